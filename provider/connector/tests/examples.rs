//! The examples do what they say, on a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../framework/tests/examples/mod.rs"]
mod built;

use std::process::Command;

use testbed::TestDatabase;

/// Runs an example that cargo built beside this test.
fn run(name: &str, server: &TestDatabase, args: &[&str], variables: &[(&str, &str)]) -> String {
    let binary = built::example(name);
    let mut command = Command::new(&binary);
    command.args(args).env("DATABASE_URL", server.url()).envs(variables.iter().copied());
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

const PRODUCTS: &str = "create table products (id bigint primary key, category text not null, name text not null, \
    description text not null, price float8 not null); \
    insert into products values (1, 'lights', 'lamp', 'a lamp', 9.5), (2, 'lights', 'torch', 'one torch', 4), \
    (3, 'seats', 'chair', 'a chair', 20)";

#[tokio::test]
async fn records_are_read_both_ways() {
    let server = TestDatabase::new(18).await;
    server.query(PRODUCTS).await;
    assert_eq!(run("source_record", &server, &[], &[]), "lamp: 9.5\ntorch: 4\nchair: 20\ntogether: 33.5\n");
    assert_eq!(
        run("source_row_function", &server, &[], &[]),
        "chair with a markup of a tenth: 22.00\nlamp with a markup of a tenth: 10.45\n"
    );
}

#[tokio::test]
async fn a_target_follows_its_source_and_goes() {
    let server = TestDatabase::new(18).await;
    server.query(PRODUCTS).await;
    let said = run("table_target", &server, &[], &[]);
    assert!(said.contains("table public.product_embeddings: create"), "{said}");
    assert!(said.ends_with("\n3 inserted, 0 updated, 0 deleted\n"), "{said}");
    let said = run("table_target", &server, &[], &[]);
    assert_eq!(said, "public.product_embeddings: nothing to do\n0 inserted, 0 updated, 0 deleted\n");
    server.query("update products set description = 'seats one' where id = 3; delete from products where id = 1").await;
    let said = run("table_target", &server, &[], &[]);
    assert!(said.contains("rows of public.product_embeddings: 0 to insert, 1 to update, 1 to delete"), "{said}");
    let nearest = "select name from product_embeddings order by embedding <=> '[0.5,1.5,0.5,2.5]' limit 1";
    assert_eq!(server.query(nearest).await, "torch");
    let said = run("table_target", &server, &["--remove"], &[]);
    assert!(said.contains("drop table public.product_embeddings"), "{said}");
    assert_eq!(server.query("select count(*) from pg_class where relname like 'product_embeddings%'").await, "0");
}

#[tokio::test]
async fn a_record_gets_the_types_that_it_is_given() {
    let server = TestDatabase::new(18).await;
    let said = run("type_overrides", &server, &[], &[]);
    let columns = "(id integer not null, value real not null, created_at timestamp without time zone not null, \
        summary halfvec(3) not null, primary key (id))";
    assert!(said.contains(&format!("create table public.my_rows {columns}")), "{said}");
    assert_eq!(server.query("select * from my_rows").await, "1|0.5|2026-11-27 12:00:00|[1,2,3]");
}

#[tokio::test]
async fn what_is_remembered_is_kept_in_a_file() {
    let server = TestDatabase::new(18).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracking.json");
    let variables = [("TRACKING_FILE", file.to_str().unwrap())];
    let said = run("explicit_columns", &server, &[], &variables);
    assert!(
        said.contains("attachment description_fts of public.catalogue: set up\n  create index catalogue_fts"),
        "{said}"
    );
    assert_eq!(run("explicit_columns", &server, &[], &variables), "public.catalogue: nothing to do\n");
    assert_eq!(server.query("select name, price from catalogue order by 1").await, "lamp|9.50\ntorch|4.00");
    assert_eq!(server.query("select to_regclass('terraform_pg.tracking') is null").await, "t");
}
