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
             create index elsewhere on t using hnsw (e vector_l2_ops); create view v as select 1;
             create materialized view m as select 1; create sequence s; create foreign data wrapper w;
             create server far foreign data wrapper w; create foreign table f (id bigint) server far;
             create table products (id bigint primary key, e vector(3));
             create index products__vector__e on products using hnsw (e vector_l2_ops)",
        );
        let database = w.database().name.clone();
        w.configure(&format!("{}{}", table("e vector(3)", ""), crate::support::index("column = \"e\"")));
        for (address, id, words) in [
            (
                "pg_table_target.t",
                "public.nowhere",
                vec!["Cannot import table public.nowhere", &database, "has no table public.nowhere"],
            ),
            ("pg_table_target.t", "public.Product", vec!["has no table public.product", "There is public.products"]),
            ("pg_table_target.t", "shop.products", vec!["has no schema shop", "There is public.products"]),
            (
                "pg_vector_index.i",
                "public.product__vector__e",
                vec!["Cannot import index public.product__vector__e", &database, "There is public.products__vector__e"],
            ),
            ("pg_vector_index.i", "public.t", vec!["public.t is no index"]),
            ("pg_table_target.t", "t", vec!["schema.name"]),
            ("pg_table_target.t", "public.\"t", vec!["quot"]),
            ("pg_table_target.t", "public.v", vec!["a view", "only tables"]),
            ("pg_table_target.t", "public.m", vec!["a materialised view", "only tables"]),
            ("pg_table_target.t", "public.f", vec!["a foreign table", "only tables"]),
            ("pg_table_target.t", "public.s", vec!["a sequence", "only tables"]),
            ("pg_table_target.t", "public.t_pkey", vec!["an index", "only tables"]),
            ("pg_table_target.t", "pg_catalog.pg_class", vec!["pg_catalog", "belongs to the server"]),
            (
                "pg_table_target.t",
                "information_schema.sql_features",
                vec!["information_schema", "belongs to the server"],
            ),
            ("pg_table_target.t", "terraform_pg.ledger_x", vec!["terraform_pg"]),
            ("pg_vector_index.i", "public.elsewhere", vec!["__vector__"]),
            ("pg_vector_index.i", "public.t_pkey", vec!["t_pkey"]),
        ] {
            println!("{address} {id}");
            w.import(address, id).failed_with(&words);
        }
    });
}

/// The CLI's own version, as numbers.
fn version(w: &testbed::Workspace) -> (u32, u32) {
    let (_, version) = w.cli().name.split_once(" v").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[test]
fn an_identity_imports_what_an_id_imports() {
    alternating(|w| {
        w.sql(
            r#"create extension vector; create schema "S"; create table "S"."T" (id bigint primary key, e vector(3));
               create index "T__vector__e" on "S"."T" using hnsw (e vector_l2_ops)"#,
        );
        let resources = "resource \"pg_table_target\" \"t\" {\n  schema_name = \"S\"\n  table_name = \"T\"\n  \
             primary_key = [\"id\"]\n  columns = { id = { type = \"bigint\" }, e = { type = \"vector(3)\" } }\n}\n\
             resource \"pg_vector_index\" \"i\" {\n  table = pg_table_target.t.id\n  column = \"e\"\n  method = \"hnsw\"\n  \
             metric = \"l2\"\n}\n";
        let tf = format!(
            "{resources}import {{\n  to = pg_table_target.t\n  identity = {{ schema_name = \"S\", table_name = \"T\" }}\n}}\n\
             import {{\n  to = pg_vector_index.i\n  identity = {{ schema_name = \"S\", index_name = \"T__vector__e\" }}\n}}\n"
        );
        // Both CLIs learnt it in their version 1.12.
        if version(w) < (1, 12) {
            w.plan_fails(&tf, &["identity"]);
            return;
        }
        w.plan(&tf).text.says(&["2 to import, 0 to add, 0 to change, 0 to destroy"]);
        w.apply_plan();
    });
}

#[test]
fn a_configuration_that_the_cli_writes_plans_an_import_and_nothing_else() {
    everywhere(|w| {
        w.sql(
            "create extension vector;
             create table t (id bigint primary key, a varchar(9) not null default 'x', at timestamptz default now(),
                             e vector(3), n numeric(10,2)[]);
             comment on column t.a is 'An a'; comment on table t is 'It''s a table';
             create index t__vector__e on t using hnsw (e vector_ip_ops) with (m = 10) where id > 5",
        );
        w.configure(
            "import {\n  to = pg_table_target.t\n  id = \"public.t\"\n}\n\
             import {\n  to = pg_vector_index.i\n  id = \"public.t__vector__e\"\n}\n",
        );
        w.tf(&["plan", "-generate-config-out=generated.tf"]).succeeded().says(&["2 to import, 0 to add, 0 to change"]);
        w.tf(&["apply", "-auto-approve"]).succeeded().says(&["2 imported, 0 added, 0 changed"]);
        w.assert_empty_plan();
    });
}

/// Tables as people have them: each is imported, its configuration is written by the CLI, and nothing is left to plan.
#[test]
fn the_configuration_that_the_cli_writes_plans_empty() {
    everywhere(|w| {
        w.sql(
            "create extension vector; create type mood as enum ('sad', 'ok'); create domain positive as int check (value > 0);
             create table plain (id bigint generated always as identity primary key, a varchar(9) not null default 'x',
               e vector(3), at timestamptz(3) default now(), tags text[] default '{}', m mood default 'ok', p positive,
               total numeric(10,2) default 1 + 1, doc jsonb default '{\"a\": \"${b}\"}', sum int generated always as (2) stored);
             comment on table plain is 'it''s \"theirs\"'; comment on column plain.a is E'two\nlines, 100 % {of} ${it}';
             create table counted (n serial primary key, k uuid not null default gen_random_uuid());
             create table parts (id bigint, day date, primary key (day, id)) partition by range (day);
             create table parts_1 partition of parts for values from ('2024-01-01') to ('2025-01-01');
             create schema \"My Schema\"; create table \"My Schema\".\"T.x\" (\"Key\" text collate \"C\" primary key, \"größe\" \"char\")",
        );
        let imports = [
            ("plain", "id = \"public.plain\""),
            ("counted", "id = \"public.counted\""),
            ("parts", "id = \"public.parts\""),
            ("odd", r#"id = "\"My Schema\".\"T.x\"""#),
        ];
        let blocks = imports.map(|(name, id)| format!("import {{\n  to = pg_table_target.{name}\n  {id}\n}}\n"));
        w.configure(&blocks.concat());
        let plan = w.tf(&["plan", "-generate-config-out=generated.tf"]).succeeded();
        plan.says(&["4 to import, 0 to add, 0 to change, 0 to destroy"]);
        w.tf(&["apply", "-auto-approve"]).succeeded();
        w.assert_empty_plan();
        assert_eq!(w.sql("select count(*) from pg_inherits where inhrelid = 'parts_1'::regclass"), "1");
        // And what was imported is managed like anything else: a column comes to the parent and its children.
        let odd = w.state("pg_table_target.odd");
        assert_eq!(odd["columns"]["größe"]["type"], "\"char\"");
        assert_eq!(w.state("pg_table_target.plain")["columns"]["sum"]["default"], serde_json::Value::Null);
    });
}

#[test]
fn a_partitioned_table_is_managed_and_its_children_are_left_alone() {
    alternating(|w| {
        w.sql(
            "create table t (id bigint primary key, a text) partition by range (id);
             create table t_1 partition of t for values from (0) to (10);
             create table t_2 partition of t for values from (10) to (20);
             alter table t_2 add constraint short check (length(a) < 9); insert into t values (11, 'theirs')",
        );
        let tf = |columns: &str, more: &str| {
            format!("import {{\n  to = pg_table_target.t\n  id = \"public.t\"\n}}\n{}", table(columns, more))
        };
        w.apply(&tf("a text", ""));
        w.apply(&tf("a text not null; b integer", "rows = [{ id = 1, a = \"ours\", b = 5 }]"));
        assert_eq!(w.sql("select tableoid::regclass, id, a, b from t order by id"), "t_1|1|ours|5\nt_2|11|theirs|");
        // A child that comes or goes, and what only it has, is nobody's business here.
        w.sql("alter table t detach partition t_1; create table t_3 partition of t for values from (20) to (30)");
        let plan = w.plan(&tf("a text not null; b integer", ""));
        assert_eq!(plan.action("pg_table_target.t"), "update");
        w.apply_plan();
        assert_eq!(w.sql("select count(*) from pg_constraint where conname = 'short'"), "1");
        w.plan_fails(&tf("b integer", ""), &["column a holds data in 1 row", "force_destroy"]);
        assert_eq!(w.sql("select a from t_2"), "theirs");
    });
}

#[test]
fn a_table_without_a_key_is_kept_when_it_gets_the_declared_one() {
    alternating(|w| {
        w.sql("create table t (id bigint, a text); insert into t values (1, 'theirs')");
        let tf = table("a text", "");
        w.configure(&tf);
        w.import("pg_table_target.t", "public.t").succeeded();
        w.plan_fails(&tf, &["1 row not declared here", "no primary key", "alter table public.t add primary key (id)"]);
        w.sql("alter table public.t add primary key (id)");
        assert_eq!(w.plan(&tf).action("pg_table_target.t"), "no-op");
        w.apply(&tf);
        assert_eq!(w.sql("select a from t"), "theirs");
    });
}
