//! Replacing a table: what is declared comes back in the same apply, and what is not is never lost without consent.

use crate::support::{alternating, attachment, describe, everywhere, exists, index, key, named_table, table};

const ROWS: &str = "rows = [{ id = 1, a = \"x\", e = [1, 2, 3] }, { id = 2, a = \"y\", e = [3, 2, 1] }]";

fn stack(table: &str) -> String {
    format!(
        "{table}{}{}",
        index("column = \"e\"\n  method = \"hnsw\""),
        attachment("create index t_a on t (a)", "drop index if exists t_a", "")
    )
}

#[test]
fn another_primary_key_brings_rows_index_and_attachment_back() {
    everywhere(|w| {
        let columns = "a text not null; e vector(3)";
        w.apply(&stack(&table(columns, ROWS)));
        let before = w.sql("select 't'::regclass::oid");

        let changed = stack(&table(columns, ROWS)).replace("primary_key = [\"id\"]", "primary_key = [\"a\", \"id\"]");
        let plan = w.plan(&changed);
        assert_eq!(plan.action("pg_table_target.t"), "delete,create");
        // Dependents hang on the table's id, which is unknown while a new table is planned.
        assert_eq!(plan.action("pg_vector_index.i"), "delete,create");
        assert_eq!(plan.action("pg_sql_attachment.a"), "delete,create");
        w.apply_plan();

        assert_ne!(w.sql("select 't'::regclass::oid"), before);
        assert_eq!(key(w, "t"), "a, id");
        assert_eq!(w.sql("select id, a, e from t order by id"), "1|x|[1,2,3]\n2|y|[3,2,1]");
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
        assert!(exists(w, "t_a"));
    });
}

#[test]
fn rows_that_are_not_declared_stand_in_the_way() {
    alternating(|w| {
        w.apply(&table("a text not null", "rows = [{ id = 1, a = \"x\" }]"));
        w.sql("insert into t values (9, 'theirs')");
        let changed = table("a text not null", "rows = [{ id = 1, a = \"x\" }]").replace("[\"id\"]", "[\"id\", \"a\"]");
        w.apply_fails(&changed, &["force_destroy"]);
        assert_eq!(w.sql("select id, a from t order by id"), "1|x\n9|theirs");

        let consenting = changed.replace("rows = ", "force_destroy = true\n  rows = ");
        w.apply(&consenting);
        assert_eq!(key(w, "t"), "id, a");
        assert_eq!(w.sql("select id, a from t"), "1|x");
    });
}

#[test]
fn another_name_is_another_table() {
    alternating(|w| {
        w.apply(&stack(&table("a text; e vector(3)", ROWS)));
        let renamed = stack(&table("a text; e vector(3)", ROWS))
            .replace("table_name = \"t\"", "table_name = \"u\"")
            .replace("on t (a)", "on u (a)");
        assert_eq!(w.plan(&renamed).action("pg_table_target.t"), "delete,create");
        w.apply_plan();
        assert!(!exists(w, "t"));
        assert_eq!(w.sql("select count(*) from u"), "2");
        assert_eq!(describe(w, "u__vector__e"), "hnsw vector_cosine_ops valid");
        assert!(exists(w, "t_a"));
    });
}

#[test]
fn replace_on_demand_brings_everything_back() {
    alternating(|w| {
        let all = stack(&table("a text; e vector(3)", ROWS));
        w.apply(&all);
        let before = w.sql("select 't'::regclass::oid");
        let output = w.tf(&["apply", "-auto-approve", "-replace=pg_table_target.t"]).succeeded();
        assert!(output.text.contains("3 added, 0 changed, 3 destroyed"), "{}", output.text);
        w.assert_empty_plan();
        assert_ne!(w.sql("select 't'::regclass::oid"), before);
        assert_eq!(w.sql("select count(*) from t"), "2");
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
        assert!(exists(w, "t_a"));
    });
}

#[test]
fn a_moved_resource_is_left_alone() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"x\" }]"));
        let before = w.sql("select 't'::regclass::oid");
        let moved = named_table("t", "a text", "rows = [{ id = 1, a = \"x\" }]")
            .replace("\"pg_table_target\" \"t\"", "\"pg_table_target\" \"other\"");
        let plan = w.plan(&format!("{moved}moved {{\n  from = pg_table_target.t\n  to = pg_table_target.other\n}}\n"));
        assert_eq!(plan.action("pg_table_target.other"), "no-op");
        w.apply_plan();
        assert_eq!(w.sql("select 't'::regclass::oid"), before);
    });
}

#[test]
fn what_the_server_computes_is_told_before_a_plain_column_takes_its_place() {
    alternating(|w| {
        w.sql(
            "create table t (id bigint generated always as identity primary key, a text not null,
                             twice text generated always as (a || a) stored)",
        );
        let tf = table("a text not null; twice text", "");
        w.configure(&tf);
        w.import("pg_table_target.t", "public.t").succeeded();
        w.assert_empty_plan();
        w.plan_fails(
            &tf.replace("twice = { type = \"text\"", "twice = { type = \"integer\""),
            &["computes column twice"],
        );
        w.apply_fails(
            &table("a text not null; twice text", "rows = [{ id = 1, a = \"x\" }]"),
            &["428C9", "leave it out of the rows"],
        );
        let keyed = tf.replace("primary_key = [\"id\"]", "primary_key = [\"id\", \"a\"]");
        let renamed = tf.replace("table_name = \"t\"", "table_name = \"u\"");
        for replaced in [keyed, renamed] {
            let plan = w.plan(&replaced);
            assert_eq!(plan.action("pg_table_target.t"), "delete,create");
            plan.text.says(&["no longer computes", "The server computes id, twice by itself"]);
        }
        assert!(!w.plan(&tf).text.text.contains("no longer computes"));
    });
}

#[test]
fn a_name_that_is_taken_is_told_before_the_old_table_goes() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"x\" }]"));
        w.sql("create table u (x int)");
        let renamed =
            table("a text", "rows = [{ id = 1, a = \"x\" }]").replace("table_name = \"t\"", "table_name = \"u\"");
        let plan = w.plan(&renamed);
        assert_eq!(plan.action("pg_table_target.t"), "delete,create");
        plan.text.clone().says(&["public.u exists already and is a table", "public.t is dropped before that shows"]);
        assert_eq!(plan.text.text.matches("The table exists already").count(), 1, "{}", plan.text.text);
        w.sql("drop table u");
        assert!(!w.plan(&renamed).text.text.contains("exists already"));
        w.apply_plan();
        assert!(!exists(w, "t"));
    });
}
