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
fn a_generated_configuration_plans_nothing() {
    everywhere(|w| {
        w.sql(
            "create extension vector;
             create table t (id bigint primary key, e vector(3), h halfvec(8), kind text);
             create index t__vector__e on t using hnsw (e vector_ip_ops) with (m = 10, ef_construction = 70);
             create index t__vector__part on t using ivfflat ((subvector(h, 1, 4)::halfvec(4)) halfvec_l2_ops)
                 with (lists = 3) where kind in ('x', 'y');
             create index t__vector__bits on t using hnsw ((binary_quantize(h)::bit(8)) bit_hamming_ops);
             create index t__vector__half on t using hnsw ((e::halfvec(3)) halfvec_cosine_ops)",
        );
        let imports: String = ["e", "part", "bits", "half"]
            .map(|name| format!("import {{\n  to = pg_vector_index.{name}\n  id = \"public.t__vector__{name}\"\n}}\n"))
            .concat();
        w.configure(&format!("{imports}import {{\n  to = pg_table_target.t\n  id = \"public.t\"\n}}\n"));
        let planned = w.tf(&["plan", "-generate-config-out=generated.tf"]).succeeded();
        planned.says(&["5 to import, 0 to add, 0 to change, 0 to destroy"]);
        w.tf(&["apply", "-auto-approve"]).succeeded();
        w.assert_empty_plan();
        assert!(!w.log().contains("create index concurrently"), "something was built");
    });
}

#[test]
fn an_index_is_imported_by_its_identity() {
    // Terraform 1.11 and older do not know identities in configurations.
    for cli in crate::support::clis().iter().filter(|cli| !cli.name.contains("Terraform v1.11")) {
        let w = &mut testbed::Workspace::new(cli, 18, crate::support::provider());
        w.sql(
            "create extension vector; create schema \"My s\"; create table \"My s\".\"T\" (id bigint primary key, e vector(3));
             create index \"T__vector__e\" on \"My s\".\"T\" using hnsw (e vector_l2_ops)",
        );
        let tf = "import {\n  to = pg_vector_index.i\n  identity = { schema_name = \"My s\", index_name = \"T__vector__e\" }\n}\n\
                  resource \"pg_vector_index\" \"i\" {\n  table = \"\\\"My s\\\".\\\"T\\\"\"\n  column = \"e\"\n  method = \"hnsw\"\n  \
                  metric = \"l2\"\n}\n";
        w.plan(tf).text.says(&["1 to import, 0 to add, 0 to change, 0 to destroy"]);
        w.apply_plan();
    }
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
