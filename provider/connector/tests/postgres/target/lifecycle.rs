//! A target from its first run to its removal.

use super::ColumnKind::{Default as WithDefault, NotNull, Nullable};
use super::*;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, JsonSchema)]
struct Product {
    category: String,
    name: String,
    price: Option<f64>,
    tags: Vec<String>,
    embedding: Vec<f32>,
    flag: bool,
    large: u64,
}

fn product(name: &str, price: Option<f64>) -> Product {
    Product {
        category: "a\"b".to_owned(),
        name: name.to_owned(),
        price,
        tags: vec!["x".to_owned(), "ä,\\".to_owned()],
        embedding: vec![1.0, 0.1, -2.5],
        flag: true,
        large: u64::MAX,
    }
}

fn products(rows: &[Product]) -> TableTarget {
    let overrides = [("embedding", ColumnOverride::vector(3))];
    let schema = TableSchema::from_type::<Product>(&["category", "name"], overrides).unwrap();
    let mut target = TableTarget::in_schema("shop", "products", schema);
    for row in rows {
        target.declare_row(row).unwrap();
    }
    target.declare_vector_index(VectorIndex::on("embedding").method(Method::Hnsw).m(8).ef_construction(32));
    target
}

#[tokio::test]
async fn records_go_in_and_come_out_the_same() {
    use pg_connector::source::PgTableSource;
    for major in TestDatabase::VERSIONS {
        let b = Bench::new(major).await;
        let rows = || vec![product("1", Some(0.1)), product("2", None), product("3", Some(f64::INFINITY))];
        let plan = b.plan(products(&rows())).await.unwrap();
        let shown = plan.to_string();
        for part in [
            "table shop.products: create\n  create schema if not exists shop  -- left out if not needed\n",
            "create table shop.products (category text not null, name text not null, price double precision",
            "rows of shop.products: 3 to insert, 0 to update, 0 to delete\n",
            "vector index shop.products__vector__embedding: create\n  create index concurrently",
            "  -- lock SHARE UPDATE EXCLUSIVE",
        ] {
            assert!(shown.contains(part), "{part}\nis not in\n{shown}");
        }
        let outcome = b.apply(|| products(&rows())).await.unwrap();
        assert_eq!(outcome.rows.inserted, 3);
        let source = PgTableSource::<Product>::new(&b.database, TableName::new("shop", "products"));
        let mut read: Vec<Product> = source.iter_rows(&b.scope).collect::<Result<_, _>>().unwrap();
        read.sort_by(|x, y| x.name.cmp(&y.name));
        assert_eq!(read, rows());

        let fewer = || vec![product("1", Some(0.2)), product("3", Some(f64::INFINITY)), product("4", None)];
        let plan = b.plan(products(&fewer())).await.unwrap();
        let counts = plan.row_counts().unwrap();
        assert_eq!((counts.inserted, counts.updated, counts.deleted), (Some(1), Some(1), 1));
        let outcome = b.apply(|| products(&fewer())).await.unwrap();
        assert_eq!((outcome.rows.inserted, outcome.rows.updated, outcome.rows.deleted), (1, 1, 1));

        let table = TableName::new("shop", "products");
        let removal = TableTarget::remove(&b.database, &b.scope, &table, false).await.unwrap();
        assert!(removal.to_string().contains("drop table shop.products"), "{removal}");
        removal.apply(&b.scope).await.unwrap();
        let left = "select count(*) from pg_class where relname = 'products' or relname like 'ledger%'; \
            select count(*) from terraform_pg.tracking";
        assert_eq!(b.server.query(left).await, "0\n0");
        assert!(TableTarget::remove(&b.database, &b.scope, &table, false).await.unwrap().is_empty());
        b.apply(|| products(&rows())).await.unwrap();
    }
}

/// Declarations that follow each other, each with what is different.
fn story() -> Vec<(&'static str, Declared)> {
    const VIEW: (&str, &str, Option<&str>) =
        ("view", "create view v as select id, n from public.t", Some("drop view if exists v"));
    const INDEX: (&str, &str, Option<&str>) =
        ("by_n", "create index t_by_n on t (n)", Some("drop index if exists t_by_n"));
    let one = Declared {
        columns: &[("id", Nullable("int8")), ("n", Nullable("int4"))],
        key: &["id"],
        rows: vec![json!({"id": 1, "n": 10}), json!({"id": 2})],
        ..Declared::default()
    };
    let vector = Declared {
        columns: &[("id", Nullable("int8")), ("n", Nullable("int4")), ("e", Nullable("vector(2)"))],
        rows: vec![json!({"id": 1, "n": 10, "e": [1, 2]}), json!({"id": 2, "n": null, "e": [3, 4]})],
        index: Some((Metric::Cosine, Method::Hnsw)),
        ..one.clone()
    };
    let attached = Declared { attachments: &[VIEW, INDEX], ..vector.clone() };
    vec![
        ("a table with rows", one.clone()),
        ("other rows", Declared { rows: vec![json!({"id": 2, "n": 5}), json!({"id": 3, "n": 6})], ..one.clone() }),
        ("a vector and its index", vector.clone()),
        ("another metric", Declared { index: Some((Metric::L2, Method::Hnsw)), ..vector.clone() }),
        ("attachments", attached.clone()),
        (
            "a view on another column, and the column dropped that it was on",
            Declared {
                columns: &[("id", Nullable("int8")), ("e", Nullable("vector(2)"))],
                rows: vec![json!({"id": 1, "e": [1, 2]})],
                attachments: &[(
                    "view_of_id",
                    "create view v as select id from public.t",
                    Some("drop view if exists v"),
                )],
                ..attached.clone()
            },
        ),
        (
            "other dimensions, another type and an index that follows",
            Declared {
                columns: &[("id", Nullable("int8")), ("n", WithDefault("int8", "7")), ("e", Nullable("halfvec(3)"))],
                rows: vec![json!({"id": 1, "n": 1, "e": [1, 2, 3]})],
                index: Some((Metric::Ip, Method::Hnsw)),
                force: true,
                ..vector.clone()
            },
        ),
        (
            "another key",
            Declared {
                columns: &[("id", Nullable("int8")), ("k", Nullable("text")), ("e", NotNull("vector(2)"))],
                key: &["k", "id"],
                rows: vec![json!({"id": 1, "k": "x", "e": [1, 2]})],
                attachments: &[("by_id", "create index t_by_id on t (id)", None)],
                ..vector.clone()
            },
        ),
        ("no rows", Declared { rows: Vec::new(), ..one }),
    ]
}

#[tokio::test]
async fn every_step_of_a_story_ends_where_a_fresh_start_would() {
    for major in TestDatabase::VERSIONS {
        let b = Bench::new(major).await;
        for (what, declared) in story() {
            b.apply(|| declared.target()).await.unwrap_or_else(|errors| panic!("{what}: {errors}"));
            let fresh = Bench::new(major).await;
            fresh.apply(|| declared.target()).await.unwrap();
            assert_eq!(b.content().await, fresh.content().await, "{what} on {major}");
        }
    }
}

#[tokio::test]
async fn what_somebody_changed_is_put_right() {
    let b = Bench::new(18).await;
    let (_, declared) = story().remove(4);
    b.apply(|| declared.target()).await.unwrap();
    let content = b.content().await;
    for damage in [
        "update t set n = 77 where id = 1",
        "delete from t where id = 2",
        "alter table t alter n type int8",
        "update t set n = 0 where n is null; alter table t alter n set not null",
        "drop index t__vector__e",
        "drop index t__vector__e; create index t__vector__e on t using ivfflat (e vector_cosine_ops)",
        "drop table t cascade",
    ] {
        b.server.query(&format!("set client_min_messages = error; drop view if exists v; {damage}")).await;
        // The view stands in the way of what has to be put right, and without a check nobody sees that it is gone.
        b.server.query("update terraform_pg.tracking set tracking = tracking #- '{attachments,view}'").await;
        b.apply(|| declared.target()).await.unwrap_or_else(|errors| panic!("{damage}: {errors}"));
        assert_eq!(b.content().await, content, "{damage}");
    }
}

#[tokio::test]
async fn a_check_sees_that_an_attachment_is_gone() {
    let b = Bench::new(18).await;
    let declare = || {
        let mut target = story().remove(0).1.target();
        target.declare_sql_command_attachment(
            SqlCommandAttachment::new("view", "create view v as select 1 as one")
                .teardown("drop view v")
                .check("select from pg_views where viewname = 'v'"),
        );
        target
    };
    b.apply(declare).await.unwrap();
    b.server.query("drop view v").await;
    let plan = b.plan(declare()).await.unwrap();
    assert!(plan.to_string().contains("attachment view of public.t: set up\n  create view v"), "{plan}");
    b.apply(declare).await.unwrap();
    assert_eq!(b.server.query("select * from v").await, "1");
}

#[tokio::test]
async fn the_table_of_somebody_else_is_filled_and_left() {
    let b = Bench::new(18).await;
    let declared = Declared { user: true, ..story().remove(2).1 };
    let error = b.plan(declared.target()).await.unwrap().apply(&b.scope).await.unwrap_err();
    assert!(error.to_string().contains("public.t"), "{error}");
    b.server
        .query("create extension vector; create table t (id int8 primary key, n int4, e vector(2), theirs text)")
        .await;
    b.server.query("insert into t values (9, 9, null, 'x')").await;
    b.apply(|| declared.target()).await.unwrap();
    assert_eq!(b.server.query("select count(*) from t").await, "3");
    let removal = TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap();
    assert!(removal.to_string().contains("vector index public.t__vector__e: drop"), "{removal}");
    removal.apply(&b.scope).await.unwrap();
    assert_eq!(
        b.server.query("select id from t; select count(*) from pg_class where relname = 't__vector__e'").await,
        "9\n0"
    );
}
