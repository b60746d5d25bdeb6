//! Import: what is there becomes ours without a change, by its id as SQL writes it.

use crate::support::{alternating, everywhere, exists, once, table};

#[test]
fn a_table_and_its_vector_index_are_imported_and_plan_empty() {
    everywhere(|w| {
        w.sql(
            "create extension vector;
             create table t (id bigint primary key, a varchar(9) not null, e vector(3));
             insert into t values (1, 'theirs', '[1,2,3]');
             create index t__vector__e on t using hnsw (e vector_ip_ops) with (m = 10)",
        );
        let tf = format!(
            "{}{}",
            table("a varchar(9) not null; e vector(3)", ""),
            crate::support::index("column = \"e\"\n  metric = \"ip\"\n  method = \"hnsw\"\n  m = 10")
        );
        w.configure(&tf);
        w.import("pg_table_target.t", "public.t").succeeded();
        w.import("pg_vector_index.i", "public.t__vector__e").succeeded();
        w.assert_empty_plan();
        assert_eq!(w.state("pg_table_target.t")["id"], "public.t");
        assert_eq!(w.sql("select a from t"), "theirs");

        w.apply(&tf.replace("m = 10", "m = 12"));
        // The rows that were there are not ours, so the table is not ours to drop.
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["force_destroy"]);
        assert!(exists(w, "t"));
    });
}

#[test]
fn an_import_block_plans_an_import_and_nothing_else() {
    alternating(|w| {
        w.sql(
            "create extension vector; create table t (id bigint primary key, e vector(3));
             create index t__vector__e on t using ivfflat (e vector_cosine_ops)",
        );
        let tf = format!(
            "import {{\n  to = pg_table_target.t\n  id = \"public.t\"\n}}\n\
             import {{\n  to = pg_vector_index.i\n  id = \"public.t__vector__e\"\n}}\n{}{}",
            table("e vector(3)", ""),
            crate::support::index("column = \"e\"")
        );
        w.plan(&tf).text.says(&["2 to import, 0 to add, 0 to change, 0 to destroy"]);
        w.apply_plan();
    });
}

#[test]
fn a_name_is_quoted_where_sql_quotes_it() {
    alternating(|w| {
        w.sql(r#"create schema "My Schema"; create table "My Schema"."t.""x" (id bigint primary key)"#);
        let tf = table("", "schema_name = \"My Schema\"").replace("table_name = \"t\"", r#"table_name = "t.\"x""#);
        w.configure(&tf);
        w.import("pg_table_target.t", r#""My Schema"."t.""x""#).succeeded();
        w.assert_empty_plan();
    });
}

#[test]
fn what_is_declared_beyond_the_catalogue_is_one_update() {
    alternating(|w| {
        w.sql("create table t (id bigint primary key, a text); insert into t values (1, 'x')");
        let tf = table("a text", "force_destroy = true\n  rows = [{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }]");
        w.configure(&tf);
        w.import("pg_table_target.t", "public.t").succeeded();
        assert_eq!(w.plan(&tf).action("pg_table_target.t"), "update");
        w.apply_plan();
        assert_eq!(w.sql("select id, a from t order by id"), "1|x\n2|y");
    });
}

#[test]
fn what_cannot_be_imported_says_why() {
    once(18, |w| {
        w.sql(
            "create extension vector; create table t (id bigint primary key, e vector(3));
             create index elsewhere on t using hnsw (e vector_l2_ops); create view v as select 1",
        );
        w.configure(&format!("{}{}", table("e vector(3)", ""), crate::support::index("column = \"e\"")));
        for (address, id, words) in [
            ("pg_table_target.t", "public.nowhere", vec!["non-existent"]),
            ("pg_table_target.t", "t", vec!["schema.name"]),
            ("pg_table_target.t", "public.\"t", vec!["quot"]),
            ("pg_table_target.t", "public.v", vec!["a view", "only tables"]),
            ("pg_vector_index.i", "public.elsewhere", vec!["__vector__"]),
            ("pg_vector_index.i", "public.t_pkey", vec!["t_pkey"]),
        ] {
            println!("{address} {id}");
            w.import(address, id).failed_with(&words);
        }
    });
}
