//! Tables: created, changed and dropped as declared, and never at the cost of data that is not declared.

use testbed::Workspace;

use crate::support::{alternating, exists, key, named_table, once, shape, table};

#[test]
fn a_table_with_a_composite_key_in_a_new_schema() {
    alternating(|w| {
        w.apply(
            r#"
            resource "pg_table_target" "p" {
              schema_name = "app"
              table_name  = "products"
              primary_key = ["name", "category"]
              columns = {
                category  = { type = "text" }
                name      = { type = "varchar(20)" }
                price     = { type = "decimal(10,2)" }
                embedding = { type = "vector(3)", nullable = false }
                tags      = { type = "text[]" }
              }
            }
            output "id" { value = pg_table_target.p.id }"#,
        );
        assert_eq!(
            shape(w, "app.products"),
            "name character varying(20)!, category text!, embedding vector(3)!, price numeric(10,2), tags text[]"
        );
        assert_eq!(key(w, "app.products"), "name, category");
        assert_eq!(w.output("id"), "app.products");

        w.destroy();
        assert!(!exists(w, "app.products"));
        assert_eq!(w.sql("select count(*) from pg_namespace where nspname = 'app'"), "1");
    });
}

#[test]
fn another_spelling_of_a_type_is_no_change() {
    alternating(|w| {
        w.apply(&table("a varchar(10); b DECIMAL(10,2); c timestamptz; d int4[]; e bool; f float8; g CHAR(3)", ""));
        let plan = w.plan(&table(
            "a character varying(10); b numeric(10,2); c timestamp with time zone; d integer[]; e boolean; \
             f double precision; g character(3)",
            "",
        ));
        assert_eq!(plan.actions().len(), 0, "{}", plan.text.text);
    });
}

#[test]
fn columns_are_added_retyped_and_dropped_in_place() {
    alternating(|w| {
        w.apply(&table("a integer; gone text", "rows = [{ id = 1, a = 7 }]"));
        let before = w.sql("select 't'::regclass::oid");
        let plan = w.plan(&table("a bigint; b text", "rows = [{ id = 1, a = 7, b = \"new\" }]"));
        assert_eq!(plan.action("pg_table_target.t"), "update");
        let steps = plan.steps("pg_table_target.t").join("\n");
        for part in ["alter table", "add column", "drop column", "bigint"] {
            assert!(steps.contains(part), "no {part} in\n{steps}");
        }
        w.apply_plan();
        assert_eq!(shape(w, "t"), "id bigint!, a bigint, b text");
        assert_eq!(w.sql("select id, a, b from t"), "1|7|new");
        assert_eq!(w.sql("select 't'::regclass::oid"), before);
    });
}

#[test]
fn the_log_shows_the_statements_of_the_plan() {
    alternating(|w| {
        w.apply(&table("a integer", ""));
        let plan = w.plan(&table("a bigint; b text", ""));
        w.apply_plan();
        let log = w.log();
        for step in plan.steps("pg_table_target.t") {
            assert!(log.contains(step.trim_end_matches(';')), "the server never saw: {step}\n{log}");
        }
    });
}

#[test]
fn not_null_comes_and_goes() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"x\" }]"));
        w.apply(&table("a text not null", "rows = [{ id = 1, a = \"x\" }]"));
        assert_eq!(shape(w, "t"), "id bigint!, a text!");
        w.apply(&table("a text", "rows = [{ id = 1, a = null }]"));
        assert_eq!(shape(w, "t"), "id bigint!, a text");

        w.sql("insert into t values (9, null)");
        w.apply_fails(&table("a text not null", "rows = [{ id = 1, a = \"x\" }]"), &["column a", "not nullable"]);
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        w.sql("update t set a = 'theirs' where id = 9");
        w.apply(&table("a text not null", "rows = [{ id = 1, a = \"x\" }]"));
        assert_eq!(shape(w, "t"), "id bigint!, a text!");
    });
}

#[test]
fn a_column_that_is_not_null_is_added_with_its_values() {
    alternating(|w| {
        w.apply(&table("", "rows = [{ id = 1 }, { id = 2 }]"));
        let filled = table("n integer not null", "rows = [{ id = 1, n = 10 }, { id = 2, n = 20 }]");
        w.apply(&filled);
        assert_eq!(shape(w, "t"), "id bigint!, n integer!");
        assert_eq!(w.sql("select id, n from t order by id"), "1|10\n2|20");

        w.sql("insert into t values (9, 90)");
        let more = "rows = [{ id = 1, n = 10, m = 1 }, { id = 2, n = 20, m = 2 }]";
        w.apply_fails(&table("n integer not null; m integer not null", more), &["m"]);
        assert_eq!(shape(w, "t"), "id bigint!, n integer!");
        assert_eq!(w.sql("select count(*) from t"), "3");
    });
}

#[test]
fn a_column_with_foreign_data_is_not_dropped() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        w.sql("insert into t values (1, 'keep me')");
        w.plan_fails(&table("", ""), &["force_destroy", "a"]);
        assert_eq!(w.sql("select a from t"), "keep me");

        w.apply(&table("", "force_destroy = true"));
        assert_eq!(shape(w, "t"), "id bigint!");
        assert_eq!(w.sql("select count(*) from t"), "1");
    });
}

#[test]
fn a_value_that_does_not_fit_the_new_type_is_named_and_kept() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        w.sql("insert into t values (1, '12'), (2, 'twelve')");
        for more in ["", "force_destroy = true"] {
            w.apply_fails(&table("a integer", more), &["twelve"]);
            assert_eq!(shape(w, "t"), "id bigint!, a text");
        }
        w.sql("update t set a = '13' where id = 2");
        w.apply(&table("a integer", ""));
        assert_eq!(w.sql("select a from t order by id"), "12\n13");
    });
}

#[test]
fn a_type_that_cannot_be_cast_needs_consent() {
    alternating(|w| {
        w.apply(&table("e vector(3)", ""));
        w.sql("insert into t values (1, '[1,2,3]')");
        w.apply_fails(&table("e vector(4)", ""), &["force_destroy"]);
        assert_eq!(w.sql("select e from t"), "[1,2,3]");
        w.apply(&table("e vector(4)", "force_destroy = true"));
        assert_eq!(shape(w, "t"), "id bigint!, e vector(4)");
        assert_eq!(w.sql("select e is null from t"), "t");
    });
}

#[test]
fn an_existing_table_is_never_adopted() {
    alternating(|w| {
        w.sql("create table t (id integer primary key)");
        for _ in 0..2 {
            w.apply_fails(&table("a text", ""), &["exist", "import", "managed_by"]);
            assert_eq!(shape(w, "t"), "id integer!");
        }
        w.sql("drop table t; create view t as select 1 as id");
        w.apply_fails(&table("a text", ""), &["view"]);
    });
}

#[test]
fn a_table_of_the_users_gets_rows_and_nothing_else() {
    alternating(|w| {
        w.sql("create table t (id bigint primary key, a text, extra text default 'z'); insert into t values (9, 'theirs')");
        let with = |rows: &str| table("a text", &format!("managed_by = \"user\"\n  rows = {rows}"));
        w.apply(&with("[{ id = 1, a = \"ours\" }]"));
        assert_eq!(w.sql("select id, a, extra from t order by id"), "1|ours|z\n9|theirs|z");
        w.apply(&with("[{ id = 2, a = \"two\" }]"));
        assert_eq!(w.sql("select id, a, extra from t order by id"), "2|two|z\n9|theirs|z");
        w.destroy();
        assert_eq!(w.sql("select id, a, extra from t"), "9|theirs|z");
        let log = w.log();
        for statement in ["alter table public", "create table public", "drop table public", "create schema"] {
            assert!(!log.to_lowercase().contains(statement), "{statement} was run\n{log}");
        }
    });
}

#[test]
fn a_table_of_the_users_that_does_not_match_is_an_error() {
    alternating(|w| {
        let declared = table("a text", "managed_by = \"user\"");
        w.apply_fails(&declared, &["t"]);
        assert!(!exists(w, "t"));
        w.sql("create table t (id bigint primary key, a integer)");
        w.apply_fails(&declared, &["a", "integer", "text"]);
        w.sql("drop table t; create table t (id bigint, a text primary key)");
        w.apply_fails(&declared, &["primary key"]);
    });
}

#[test]
fn foreign_rows_stop_a_destroy() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"ours\" }]"));
        w.sql("insert into t values (7, 'theirs')");
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["force_destroy"]);
        assert_eq!(w.sql("select count(*) from t"), "2");
        w.apply(&table("a text", "force_destroy = true\n  rows = [{ id = 1, a = \"ours\" }]"));
        w.destroy();
        assert!(!exists(w, "t"));
    });
}

#[test]
fn something_that_depends_on_the_table_stops_a_destroy() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        w.sql("create view v as select a from t");
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["v", "2BP01"]);
        assert!(exists(w, "t") && exists(w, "v"));
    });
}

#[test]
fn any_name_is_possible_that_postgres_can_hold() {
    alternating(|w| {
        let name = "Größe \\\"und\\\" mehr; drop table x";
        let tf = format!(
            "resource \"pg_table_target\" \"t\" {{\n schema_name = \"Ünser Schema\"\n table_name = \"{name}\"\n \
             primary_key = [\"select\"]\n columns = {{ \"select\" = {{ type = \"text\" }}, \"a b\" = {{ type = \"text\" }} }}\n \
             rows = [{{ \"select\" = \"'\", \"a b\" = \"\\\\\" }}]\n}}\noutput \"id\" {{\n value = pg_table_target.t.id\n}}\n"
        );
        w.apply(&tf);
        let quoted = "\"Ünser Schema\".\"Größe \"\"und\"\" mehr; drop table x\"";
        assert_eq!(w.output("id"), quoted);
        assert_eq!(w.sql(&format!("select \"select\", \"a b\" from {quoted}")), "'|\\");
        w.destroy();
    });
}

#[test]
fn what_is_wrong_is_said_before_anything_is_done() {
    once(18, |w| {
        let long = "x".repeat(64);
        let cases = [
            (named_table(&long, "", ""), vec!["63"]),
            (table(&format!("{long} text"), ""), vec!["63"]),
            (table("", "").replace("primary_key = [\"id\"]", "primary_key = []"), vec!["primary_key"]),
            (table("", "").replace("primary_key = [\"id\"]", "primary_key = [\"nope\"]"), vec!["nope"]),
            (table("", "").replace("primary_key = [\"id\"]", "primary_key = [\"id\", \"id\"]"), vec!["id"]),
            (table("", "managed_by = \"nobody\""), vec!["nobody", "system"]),
            (table("", "").replace("\"bigint\" }", "\"bigint\", nullable = true }"), vec!["id", "null"]),
            (table("a nonsense(", ""), vec!["nonsense"]),
            (table("", "row_count = 3"), vec!["row_count"]),
            (table("", "row_drift = \"sometimes\""), vec!["sometimes"]),
            (table("", "record_schema = \"{}\""), vec!["columns", "record_schema"]),
        ];
        for (tf, words) in cases {
            println!("{tf}");
            w.plan_fails(&tf, &words);
        }
        assert!(!w.log().contains("create table"), "a plan wrote something");
    });
}

#[test]
fn columns_come_from_a_record_schema() {
    alternating(|w| {
        let tf = |more: &str| {
            format!(
                "resource \"pg_table_target\" \"t\" {{\n  table_name = \"t\"\n  primary_key = [\"id\"]\n  \
                 record_schema = jsonencode({{ type = \"object\", required = [\"id\", \"e\"], properties = {{\n    \
                 id = {{ type = \"integer\" }}\n    e = {{ type = \"array\", items = {{ type = \"number\" }} }}\n    \
                 at = {{ type = \"string\", format = \"date-time\" }}\n    tags = {{ type = \"array\", items = {{ type = \"string\" }} }}\n  \
                 }} }})\n  column_overrides = {{\n    e = {{ vector = {{ dimension = 3, dtype = \"float16\" }} }}\n    {more}\n  }}\n}}\n"
            )
        };
        w.apply(&tf(""));
        assert_eq!(shape(w, "t"), "id bigint!, at timestamp with time zone, e halfvec(3)!, tags jsonb");
        w.apply(&tf("id = { type = \"integer\" }"));
        assert_eq!(shape(w, "t"), "id integer!, at timestamp with time zone, e halfvec(3)!, tags jsonb");
        w.plan_fails(&tf("nope = { type = \"integer\" }"), &["nope"]);
    });
}

#[test]
fn defaults_and_comments_are_kept_in_any_spelling() {
    alternating(|w| {
        let tf = |default: &str, comment: &str| {
            table("", &format!("comment = \"{comment}\"\n  rows = [{{ id = 1 }}]")).replace(
                "\"bigint\" }",
                &format!("\"bigint\", comment = \"the key\" }}\n    at = {{ type = \"timestamptz\", default = \"{default}\" }}"),
            )
        };
        w.apply(&tf("now()", "it's a table"));
        assert_eq!(
            w.sql("select obj_description('t'::regclass) || '|' || col_description('t'::regclass, 1)"),
            "it's a table|the key"
        );
        assert_eq!(w.sql("select at is not null from t"), "t");
        w.apply(&tf("current_timestamp", "another"));
        assert_eq!(
            w.sql("select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass"),
            "CURRENT_TIMESTAMP"
        );
        w.sql("alter table t alter column at drop default");
        assert_eq!(w.plan(&tf("current_timestamp", "another")).action("pg_table_target.t"), "update");
        w.apply_plan();
    });
}

#[test]
fn a_table_that_changed_after_the_plan_is_not_touched() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        w.plan(&table("a text; b text", ""));
        w.sql("alter table t add column b integer");
        w.tf(&["apply", "plan"]).failed_with(&["changed since the plan was made"]);
        assert_eq!(shape(w, "t"), "id bigint!, a text, b integer");
        no_half_state(w);
    });
}

#[test]
fn a_change_that_fails_in_the_middle_leaves_everything_as_it_was() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }]"));
        w.sql("alter table t add constraint short check (length(a) < 5)");
        let changed =
            table("a text; b text", "rows = [{ id = 1, a = \"z\", b = \"1\" }, { id = 3, a = \"much too long\" }]");
        w.apply_fails(&changed, &["short", "23514"]);
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        assert_eq!(w.sql("select id, a from t order by id"), "1|x\n2|y");
        no_half_state(w);

        w.sql("alter table t drop constraint short");
        w.apply(&changed);
        assert_eq!(w.sql("select id, a, b from t order by id"), "1|z|1\n3|much too long|");
    });
}

#[test]
fn a_create_that_fails_in_the_middle_leaves_nothing() {
    alternating(|w| {
        let tf = |value: &str| table("a macaddr", &format!("rows = [{{ id = 1 }}, {{ id = 2, a = \"{value}\" }}]"));
        w.apply_fails(&tf("nonsense"), &["nonsense", "22P02"]);
        assert!(!exists(w, "t"));
        assert_eq!(w.addresses().len(), 0, "a table that was not made is in the state");
        w.apply(&tf("08:00:2b:01:02:03"));
        assert_eq!(w.sql("select count(*) from t"), "2");
    });
}

fn no_half_state(w: &Workspace) {
    assert_eq!(w.addresses(), ["pg_table_target.t"]);
    let state = w.tf(&["show"]).succeeded().text;
    assert!(!state.contains("(tainted)"), "{state}");
}

#[test]
fn a_type_that_would_change_values_of_others_needs_consent() {
    alternating(|w| {
        w.apply(&table("a numeric; b text", ""));
        w.sql("insert into t values (1, 2, '7'), (2, 1.5, '007')");
        w.plan_fails(&table("a integer; b text", ""), &["column a", "1 row", "id = 2", "1.5", "force_destroy"]);
        w.plan_fails(&table("a numeric; b integer", ""), &["column b", "1 row", "007", "force_destroy"]);
        assert_eq!(w.sql("select a, b from t order by id"), "2|7\n1.5|007");
        let plan = w.plan(&table("a integer; b text", "force_destroy = true"));
        plan.text.says(&["Data is destroyed", "1 row"]);
        w.apply_plan();
        assert_eq!(w.sql("select a, b from t order by id"), "2|7\n2|007");
        // What keeps its value needs none.
        w.sql("update t set b = '8' where id = 2");
        w.apply(&table("a bigint; b integer", ""));
    });
}

#[test]
fn a_change_of_key_that_loses_rows_says_why_the_table_would_go() {
    once(18, |w| {
        w.apply(&table("a text not null", ""));
        w.sql("insert into t values (9, 'theirs')");
        let changed = table("a text not null", "").replace("[\"id\"]", "[\"id\", \"a\"]");
        w.plan_fails(&changed, &["replace table public.t", "primary_key", "1 row not declared here"]);
    });
}
