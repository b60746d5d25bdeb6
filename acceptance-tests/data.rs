//! The data source: every value as exact as the server has it, in a stable order, and never more than was asked for.

use serde_json::json;

use crate::support::{alternating, everywhere, once};

const TABLE: &str = "
    create extension if not exists vector;
    create table p (id bigint primary key, name text, price numeric(20,10), big numeric, ok boolean, ts timestamptz, d date,
                    j jsonb, arr integer[], e vector(3), by bytea, u uuid, f double precision);
    insert into p values (2, 'b');
    insert into p values
      (1, 'a', 0.1, 12345678901234567890123, true, '2024-01-02T03:04:05.6Z', '2024-01-02', '{\"k\": [1, 2]}', '{1,2,null}',
       '[1,2.5,3]', '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.5),
      (3, 'c', 3, 3, false, null, null, 'null', '{}', null, '', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', -0.5);";

fn read(more: &str, value: &str) -> String {
    format!(
        "data \"pg_table_rows\" \"r\" {{\n  table_name = \"p\"\n  {more}\n}}\noutput \"o\" {{\n  value = {value}\n}}\n"
    )
}

const ROWS: &str = "data.pg_table_rows.r.rows";

#[test]
fn every_type_is_exact() {
    everywhere(|w| {
        w.sql(TABLE);
        w.apply(&read("", ROWS));
        let rows = w.output("o");
        let first = &rows[0];
        assert_eq!(first["id"], 1);
        assert_eq!(first["name"], "a");
        assert_eq!(first["price"].to_string(), "0.1");
        assert_eq!(first["big"].to_string(), "12345678901234567890123");
        assert_eq!(first["ok"], true);
        assert_eq!(first["arr"], json!([1, 2, null]));
        assert_eq!(first["e"].to_string(), "[1,2.5,3]");
        assert_eq!(first["by"], "AP8=");
        assert_eq!(first["u"], "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert_eq!(first["f"].to_string(), "1.5");
        assert_eq!(first["d"], "2024-01-02");
        assert!(first["ts"].as_str().is_some_and(|ts| ts.starts_with("2024-01-02T03:04:05.6")), "{first}");
        let document: serde_json::Value =
            serde_json::from_str(first["j"].as_str().unwrap_or_default()).unwrap_or_default();
        assert_eq!(document, json!({ "k": [1, 2] }));
        assert!(rows[1]["price"].is_null() && rows[1]["e"].is_null());
        assert_eq!(rows[2]["arr"], json!([]));
        assert_eq!(rows[2]["by"], "");
    });
}

#[test]
fn columns_are_chosen_and_ordered() {
    alternating(|w| {
        w.sql(TABLE);
        w.apply(&read("columns = [\"name\", \"id\"]", ROWS));
        assert_eq!(
            w.output("o"),
            json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }, { "id": 3, "name": "c" }])
        );
        w.apply(&read("columns = [\"id\"]\n  order_by = [\"f desc nulls last\", \"name\"]", ROWS));
        assert_eq!(w.output("o"), json!([{ "id": 1 }, { "id": 3 }, { "id": 2 }]));
        w.apply(&read("columns = [\"id\"]\n  limit = 2", ROWS));
        assert_eq!(w.output("o"), json!([{ "id": 1 }, { "id": 2 }]));
        w.sql("delete from p");
        w.apply(&read("", &format!("length({ROWS})")));
        assert_eq!(w.output("o"), 0);
    });
}

#[test]
fn parameters_are_values_and_never_sql() {
    alternating(|w| {
        w.sql(TABLE);
        let more = "columns = [\"id\"]\n  where = \"name = $1 or id = $2::bigint\"\n  params = [\"a'; drop table p; --\", \"3\"]";
        w.apply(&read(more, ROWS));
        assert_eq!(w.output("o"), json!([{ "id": 3 }]));
        assert_eq!(w.sql("select count(*) from p"), "3");
    });
}

#[test]
fn a_record_schema_chooses_and_checks_the_columns() {
    alternating(|w| {
        w.sql(TABLE);
        let schema = |name: &str| {
            format!(
                "record_schema = jsonencode({{ type = \"object\", required = [\"id\"], properties = \
                 {{ id = {{ type = \"integer\" }}, name = {{ type = \"{name}\" }} }} }})"
            )
        };
        w.apply(&read(&schema("string"), ROWS));
        assert_eq!(
            w.output("o"),
            json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }, { "id": 3, "name": "c" }])
        );
        w.plan_fails(&read(&schema("integer"), ROWS), &["name"]);
    });
}

#[test]
fn a_number_that_hcl_lacks_makes_the_column_text() {
    alternating(|w| {
        w.sql("create table p (id integer primary key, f double precision); insert into p values (1, 1.5), (2, 'NaN'), (3, '-Infinity')");
        w.apply(&read("columns = [\"f\"]", ROWS));
        assert_eq!(w.output("o"), json!([{ "f": "1.5" }, { "f": "NaN" }, { "f": "-Infinity" }]));
    });
}

#[test]
fn what_a_resource_writes_is_read_in_the_same_apply() {
    alternating(|w| {
        let tf = |value: &str| {
            format!(
                "{}{}",
                crate::support::named_table("p", "a text", &format!("rows = [{{ id = 1, a = \"{value}\" }}]")),
                read("depends_on = [pg_table_target.p]", &format!("{ROWS}[0].a"))
            )
        };
        w.apply(&tf("first"));
        assert_eq!(w.output("o"), "first");
        w.apply(&tf("second"));
        assert_eq!(w.output("o"), "second");
    });
}

#[test]
fn what_is_wrong_is_said() {
    once(18, |w| {
        w.sql("create table p (id integer primary key); insert into p select generate_series(1, 10001)");
        w.plan_fails(&read("", &format!("length({ROWS})")), &["limit", "10000"]);
        w.plan_fails(&read("columns = [\"nope\"]", ROWS), &["nope"]);
        w.plan_fails(&read("order_by = [\"nope\"]", ROWS), &["nope"]);
        w.plan_fails(&read("order_by = [\"id; drop table p\"]", ROWS), &["order_by"]);
        w.plan_fails(&read("limit = -1", ROWS), &["limit"]);
        let several = "columns = [\"a\", \"\"]\n  where = \"a = 'x\"\n  limit = 0.5\n  order_by = [\"id up\"]";
        w.plan_fails(&read(several, ROWS), &["name cannot be empty", "not closed", "whole number", "only asc or desc"]);
        w.plan_fails(&read("where = \"nope = 1\"", ROWS), &["nope", "42703"]);
        w.plan_fails(&read("where = \"id = $1\"", ROWS), &["params"]);
        w.plan_fails(&read("", ROWS).replace("\"p\"", "\"nowhere\""), &["nowhere"]);
        w.apply(&read("limit = 10001", &format!("length({ROWS})")));
        assert_eq!(w.output("o"), 10001);
    });
}

#[test]
fn reading_never_writes() {
    alternating(|w| {
        w.sql(TABLE);
        w.apply(&read("columns = [\"id\"]", ROWS));
        let log = w.log().to_lowercase();
        assert!(log.contains("read only"), "{log}");
    });
}

#[test]
fn names_of_any_case_and_views_are_read_without_a_flapping_order() {
    alternating(|w| {
        w.sql(
            "create schema \"My S\"; create table \"My S\".\"T x\" (\"Id\" int, \"Größe\" text) partition by range (\"Id\");
             create table \"My S\".one partition of \"My S\".\"T x\" for values from (1) to (100);
             insert into \"My S\".\"T x\" values (3, 'c'), (1, 'a'), (2, 'b');
             create view v as select \"Größe\" as g from \"My S\".\"T x\";",
        );
        let tf = read("schema_name = \"My S\"\n  order_by = [\"Id desc\"]", &format!("{ROWS}[*].Größe"))
            .replace("\"p\"", "\"T x\"")
            + "data \"pg_table_rows\" \"v\" {\n  table_name = \"v\"\n}\noutput \"v\" {\n  value = data.pg_table_rows.v.rows[*].g\n}\n";
        w.apply(&tf);
        assert_eq!(w.output("o"), json!(["c", "b", "a"]));
        assert_eq!(w.output("v"), json!(["a", "b", "c"]));
        w.sql("update \"My S\".\"T x\" set \"Größe\" = \"Größe\" where \"Id\" = 1");
        w.assert_empty_plan();
    });
}

#[test]
fn a_name_that_unicode_can_write_in_two_ways_is_read() {
    once(18, |w| {
        // An e and an accent; the CLIs know only the one character of both.
        w.sql("create table p (id int primary key, U&\"e\\0301\" text); insert into p values (1, 'x')");
        w.apply(&read("", &format!("{ROWS}[0].é")));
        assert_eq!(w.output("o"), "x");
    });
}

#[test]
fn arguments_that_are_not_known_yet_put_the_read_off() {
    alternating(|w| {
        w.sql(TABLE);
        let id = "resource \"terraform_data\" \"x\" {\n  input = \"2\"\n}\n";
        let known_late = [
            ("where = \"id = $1\"\n  params = [terraform_data.x.output]", json!([2])),
            ("where = \"id < ${terraform_data.x.output}\"", json!([1])),
            ("limit = tonumber(terraform_data.x.output)", json!([1, 2])),
            ("order_by = [\"id ${terraform_data.x.output == \"2\" ? \"desc\" : \"asc\"}\"]", json!([3, 2, 1])),
            ("columns = [terraform_data.x.output == \"2\" ? \"id\" : \"name\"]", json!([1, 2, 3])),
        ];
        for (more, expected) in known_late {
            let tf = format!("{id}{}", read(more, &format!("{ROWS}[*].id")));
            let planned = w.plan(&tf);
            assert!(planned.text.flat().contains("known after apply"), "{more}: {}", planned.text.text);
            w.apply(&tf);
            assert_eq!(w.output("o"), expected, "{more}");
            w.tf(&["destroy", "-auto-approve"]).succeeded();
        }
    });
}

#[test]
fn a_value_that_does_not_fit_its_schema_is_named_by_its_place() {
    once(18, |w| {
        w.sql(TABLE);
        let schema = |j: &str| {
            format!(
                "record_schema = jsonencode({{ properties = {{ id = {{ maximum = 3 }}, j = {j} }}, \"$defs\" = {{ K = {{ type = \"string\" }} }} }})"
            )
        };
        let nested = "{ properties = { k = { items = { \"$ref\" = \"#/$defs/K\" } } } }";
        w.plan_fails(&read(&schema(nested), ROWS), &["rows[0].j.k[0]: 1 is not of type string", "record_schema"]);
        w.plan_fails(&read(&schema("{ \"$ref\" = \"#/$defs/N\" }"), ROWS), &["/properties/j/$ref", "it defines K"]);
        w.apply(&read(&schema("{ minProperties = 1, properties = { k = { items = { enum = [1, 2] } } } }"), ROWS));
    });
}
