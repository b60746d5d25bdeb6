//! The example that the demo and the README show, through the life that a user gives it.

use testbed::Workspace;

use crate::support::{describe, everywhere, exists, shape};

const EXAMPLE: &str = include_str!("../examples/quickstart/main.tf");

const TABLE: &str = "pg_table_target.products";
const INDEX: &str = "pg_vector_index.products";
const ATTACHMENT: &str = "pg_sql_attachment.products_fts";

/// The example with parts of it replaced; each part must be there.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(EXAMPLE.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the example does not hold {old}");
        text.replace(old, new)
    })
}

fn price(w: &Workspace, name: &str) -> String {
    w.sql(&format!("select price from shop.products where name = '{name}'"))
}

#[test]
fn from_the_first_plan_to_destroy() {
    everywhere(|w| {
        let plan = w.plan(EXAMPLE);
        for address in [TABLE, INDEX, ATTACHMENT] {
            assert_eq!(plan.action(address), "create");
        }
        let steps = plan.steps(TABLE).join("\n");
        for part in ["create extension", "create schema", "create table shop.products", "vector(384)"] {
            assert!(steps.contains(part), "no {part} in the steps of the plan\n{steps}");
        }
        w.apply_plan();
        assert_eq!(
            shape(w, "shop.products"),
            "category text!, name text!, description text, embedding vector(384), price numeric"
        );
        assert_eq!(
            describe(w, "shop.products__vector__embedding"),
            "hnsw vector_cosine_ops ef_construction=64,m=16 valid"
        );
        assert!(exists(w, "shop.products_description_fts"));
        assert_eq!(w.output("table"), "shop.products");
        assert_eq!(w.output("index"), "products__vector__embedding");
        let prices = w.output("prices");
        assert_eq!(prices.as_object().map(serde_json::Map::len), Some(6));
        assert_eq!(prices["shoes/trail shoe"].to_string(), "129.9");
        assert!(prices["bags/duffel"].is_null());
        similarity_search_uses_the_index(w);

        // A row, a column, an index option and an attachment in one go.
        let changed = with(&[
            ("price = 89,", "price = 79.95,"),
            (
                r#"price       = { type = "numeric" }"#,
                r#"price = { type = "numeric(12,2)" }, weight = { type = "numeric" }"#,
            ),
            ("m               = 16", "m = 24"),
            ("to_tsvector('english'", "to_tsvector('simple'"),
        ]);
        let plan = w.plan(&changed);
        for address in [TABLE, INDEX, ATTACHMENT] {
            assert_eq!(plan.action(address), "update", "{address}");
        }
        w.apply_plan();
        assert_eq!(
            shape(w, "shop.products"),
            "category text!, name text!, description text, embedding vector(384), price numeric(12,2), weight numeric"
        );
        assert_eq!(price(w, "city shoe"), "79.95");
        assert_eq!(
            describe(w, "shop.products__vector__embedding"),
            "hnsw vector_cosine_ops ef_construction=64,m=24 valid"
        );
        let definition = w.sql("select pg_get_indexdef('shop.products_description_fts'::regclass)");
        assert!(definition.contains("'simple'"), "{definition}");

        // Somebody drops the table.
        w.sql("drop table shop.products");
        let plan = w.plan(&changed);
        for address in [TABLE, INDEX, ATTACHMENT] {
            assert_eq!(plan.action(address), "create", "{address}");
        }
        w.apply_plan();
        assert_eq!(w.sql("select count(*) from shop.products"), "6");
        assert_eq!(price(w, "city shoe"), "79.95");
        assert!(exists(w, "shop.products_description_fts"));
        similarity_search_uses_the_index(w);

        w.destroy();
        let left = "select count(*) from pg_class where relnamespace not in
                    ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)";
        assert_eq!(w.sql(left), "0", "destroy left relations behind");
        assert_eq!(w.sql("select string_agg(extname, ',' order by extname) from pg_extension"), "plpgsql,vector");
        assert_eq!(
            w.sql("select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' order by 1"),
            "public\nshop"
        );
    });
}

fn similarity_search_uses_the_index(w: &Workspace) {
    let query = "select name from shop.products order by embedding <=>
                 (select embedding from shop.products where name = 'rain coat') limit 2";
    assert_eq!(w.sql(query), "rain coat\nwinter coat");
    let explained = w.sql(&format!("set enable_seqscan = off; explain {query}"));
    assert!(explained.contains("products__vector__embedding"), "{explained}");
}

#[test]
fn it_is_formatted_as_the_cli_wants_it() {
    let cli = crate::support::clis().swap_remove(0);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut command = std::process::Command::new(&cli.path);
    command.args(["fmt", "-check", "-diff", "-recursive", folder]).env_remove("TF_CLI_CONFIG_FILE");
    testbed::process::output(&mut command).unwrap_or_else(|e| panic!("{e}"));
}
