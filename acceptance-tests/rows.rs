//! Inline rows: exactly the declared ones are written, changed and deleted, and nobody else's.

use testbed::Workspace;

use crate::support::{alternating, everywhere, index, once, table};

fn rows(w: &Workspace) -> String {
    w.sql("select id, a from t order by id")
}

fn with(rows: &str) -> String {
    table("a text", &format!("rows = {rows}"))
}

#[test]
fn rows_come_change_and_go() {
    everywhere(|w| {
        w.apply(&with("[{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }, { id = 3, a = null }]"));
        assert_eq!(rows(w), "1|x\n2|y\n3|");
        assert_eq!(w.state("pg_table_target.t")["row_count"], 3);
        w.apply(&with("[{ id = 2, a = \"Y\" }, { id = 3 }, { id = 4, a = \"n\" }]"));
        assert_eq!(rows(w), "2|Y\n3|\n4|n");
        w.apply(&with("[]"));
        assert_eq!(rows(w), "");
    });
}

#[test]
fn only_what_differs_is_written() {
    alternating(|w| {
        w.apply(&format!(
            "{}{}",
            table("a text; e vector(3)", "rows = [for i in range(50) : { id = i, a = \"row ${i}\", e = [i, 1, 2] }]"),
            index("column = \"e\"\n  method = \"hnsw\"")
        ));
        let before = w.sql("select string_agg(xmin::text, ',' order by id) from t where id <> 7");
        w.apply(&format!(
            "{}{}",
            table(
                "a text; e vector(3)",
                "rows = [for i in range(50) : { id = i, a = i == 7 ? \"seven\" : \"row ${i}\", e = [i, 1, 2] }]"
            ),
            index("column = \"e\"\n  method = \"hnsw\"")
        ));
        assert_eq!(w.sql("select string_agg(xmin::text, ',' order by id) from t where id <> 7"), before);
        assert_eq!(w.sql("select a from t where id = 7"), "seven");
    });
}

#[test]
fn order_and_labels_mean_nothing() {
    alternating(|w| {
        w.apply(&with("[{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }]"));
        let before = w.sql("select string_agg(xmin::text, ',' order by id) from t");
        w.apply(&with("[{ a = \"y\", id = 2 }, { id = 1, a = \"x\" }]"));
        w.apply(&with("{ first = { id = 1, a = \"x\" }, second = { id = 2, a = \"y\" } }"));
        assert_eq!(w.sql("select string_agg(xmin::text, ',' order by id) from t"), before);
        w.apply(&with("{ second = { id = 2, a = \"y\" } }"));
        assert_eq!(rows(w), "2|y");
    });
}

#[test]
fn foreign_rows_are_left_alone() {
    alternating(|w| {
        w.apply(&with("[{ id = 1, a = \"x\" }]"));
        w.sql("insert into t values (9, 'theirs')");
        w.assert_empty_plan();
        w.apply(&with("[{ id = 2, a = \"y\" }]"));
        assert_eq!(rows(w), "2|y\n9|theirs");
        w.apply(&with("[]"));
        assert_eq!(rows(w), "9|theirs");
    });
}

#[test]
fn a_foreign_row_of_the_same_key_is_taken_over_only_when_it_is_the_same() {
    alternating(|w| {
        w.apply(&with("[]"));
        w.sql("insert into t values (1, 'same'), (2, 'theirs')");
        w.apply_fails(&with("[{ id = 1, a = \"same\" }, { id = 2, a = \"ours\" }]"), &["force_destroy"]);
        assert_eq!(rows(w), "1|same\n2|theirs");
        w.apply(&with("[{ id = 1, a = \"same\" }]")).says(&["warning"]);
        let consenting =
            table("a text", "force_destroy = true\n  rows = [{ id = 1, a = \"same\" }, { id = 2, a = \"ours\" }]");
        w.apply(&consenting);
        assert_eq!(rows(w), "1|same\n2|ours");
    });
}

#[test]
fn a_cell_that_is_left_out_is_left_alone() {
    alternating(|w| {
        w.apply(&with("[{ id = 1, a = \"x\" }, { id = 2 }]"));
        w.sql("update t set a = 'theirs' where id = 2");
        w.assert_empty_plan();
        w.apply(&with("[{ id = 1, a = \"z\" }, { id = 2 }]"));
        assert_eq!(rows(w), "1|z\n2|theirs");
    });
}

#[test]
fn a_value_keeps_its_exactness() {
    everywhere(|w| {
        let columns = "i2 smallint; i4 integer; n numeric; n2 numeric; f double precision; f2 double precision; r real; \
                       b boolean; t text; vc varchar(3); by bytea; u uuid; d date; ti time; ts timestamptz; tn timestamp; \
                       iv interval; js jsonb; arr bigint[]; ta text[]; v vector(3); h halfvec(2); ip inet; nu text";
        let row = r#"rows = [{
          id = 9223372036854775807, i2 = -32768, i4 = 2147483647, n = "12345678901234567890.123456789", n2 = 0.1,
          f = 1.5, f2 = "NaN", r = 0.1, b = true, t = "héllo ☃ 'q\" \\ $${x}", vc = "abc", by = "AAH/",
          u = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", d = "2024-02-29", ti = "12:34:56",
          ts = "2024-02-29T12:34:56.123456Z", tn = "2024-02-29 12:34:56", iv = "1 day 02:03:04",
          js = { a = [1, null, "x"], b = { c = true } }, arr = [1, 2, 3], ta = ["a", "b,c", "d\"e"],
          v = [1, 2.5, -3], h = [0.5, 1], ip = "10.0.0.1", nu = null
        }]"#;
        w.apply(&table(columns, row));
        let read = "select id, i2, i4, n, n2, f, f2, r, b, vc, encode(by, 'hex'), u, d, ti, tn, iv, js->'a'->>2,
                    js->'b'->>'c', arr, ta[3], v, h, ip, nu is null, ts = '2024-02-29 12:34:56.123456+00' from t";
        assert_eq!(
            w.sql(read),
            "9223372036854775807|-32768|2147483647|12345678901234567890.123456789|0.1|1.5|NaN|0.1|t|abc|0001ff|\
             a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|2024-02-29|12:34:56|2024-02-29 12:34:56|1 day 02:03:04|x|true|{1,2,3}|\
             d\"e|[1,2.5,-3]|[0.5,1]|10.0.0.1|t|t"
        );
        assert_eq!(w.sql("select t from t"), "héllo ☃ 'q\" \\ ${x}");
    });
}

#[test]
fn a_row_that_cannot_be_is_an_error_of_the_plan() {
    once(18, |w| {
        let cases = [
            ("[{ id = 1, a = \"x\" }, { id = 1, a = \"y\" }]", vec!["1"]),
            ("[{ id = null, a = \"x\" }]", vec!["id", "null"]),
            ("[{ a = \"x\" }]", vec!["id"]),
            ("[{ id = 1, b = \"x\" }]", vec!["b"]),
            ("[{ id = \"one\" }]", vec!["id", "one"]),
            ("[{ id = 1 }, { id = 2, a = true }]", vec!["Row 1 (id = 2)", "a: true is no text"]),
            ("{ first = { id = 2, a = [1] } }", vec!["first", "(id = 2)", "a: [1] is no text"]),
            ("[{ id = 1.5 }]", vec!["id", "1.5"]),
            ("[{ id = 9223372036854775808 }]", vec!["id", "9223372036854775808"]),
            ("[1]", vec!["rows"]),
            ("\"no\"", vec!["rows"]),
        ];
        for (rows, words) in cases {
            println!("{rows}");
            w.plan_fails(&with(rows), &words);
        }
    });
}

#[test]
fn several_errors_are_said_at_once() {
    once(16, |w| {
        let output = w.plan_fails(&with("[{ id = 1, b = 1 }, { id = null }, { id = 2, c = 2 }]"), &["b", "c", "null"]);
        assert!(output.text.matches("Error: ").count() > 1, "{}", output.text);
    });
}

#[test]
fn a_row_may_wait_for_another_resource() {
    alternating(|w| {
        let tf = format!(
            "resource \"terraform_data\" \"late\" {{\n  input = \"from afar\"\n}}\n{}",
            with("[{ id = 1, a = terraform_data.late.output }]")
        );
        w.apply(&tf);
        assert_eq!(rows(w), "1|from afar");
        w.apply(&tf.replace("from afar", "from near"));
        assert_eq!(rows(w), "1|from near");
    });
}

#[test]
fn state_never_takes_over_what_the_plan_does_not_say() {
    alternating(|w| {
        w.apply(&with("[{ id = 1, a = \"x\" }]"));
        w.plan(&with("[{ id = 1, a = \"y\" }]"));
        w.sql("update t set a = 'meanwhile'");
        // Rows are not part of what the plan observed, so the declared row wins, as the plan said.
        w.apply_plan();
        assert_eq!(rows(w), "1|y");
    });
}

#[test]
fn a_unique_value_that_two_rows_exchange_is_explained() {
    once(18, |w| {
        w.apply(&with("[{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }]"));
        w.sql("alter table t add constraint one_each unique (a)");
        let exchanged = with("[{ id = 1, a = \"y\" }, { id = 2, a = \"x\" }]");
        w.apply_fails(&exchanged, &["one_each", "column a", "deferrable"]);
        assert_eq!(rows(w), "1|x\n2|y");
        w.sql("alter table t drop constraint one_each, add constraint one_each unique (a) deferrable");
        w.apply(&exchanged);
        assert_eq!(rows(w), "1|y\n2|x");
    });
}

#[test]
fn a_row_that_a_rule_keeps_away_is_an_error() {
    once(16, |w| {
        w.apply(&with("[{ id = 1, a = \"x\" }]"));
        w.sql("create rule none as on insert to t do instead nothing");
        w.apply_fails(
            &with("[{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }]"),
            &["(id = 2)", "not in the table", "rule"],
        );
        assert_eq!(rows(w), "1|x");
        w.apply(&with("[{ id = 1, a = \"x\" }]"));
    });
}
