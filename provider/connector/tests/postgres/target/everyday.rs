//! What programs meet every day: values as serde writes them, tables that somebody dropped, attachments that change with
//! their columns.

use pg_connector::source::PgTableSource;

use super::*;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, JsonSchema)]
enum Color {
    Red,
    Mixed { share: f64 },
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, JsonSchema)]
struct Thing {
    id: i64,
    color: Color,
    any: Value,
    bytes: Vec<u8>,
    word: String,
}

#[tokio::test]
async fn what_serde_writes_into_json_and_bytes_comes_out_the_same() {
    let b = Bench::new(18).await;
    let thing = |id, color, any, word: &str| Thing { id, color, any, bytes: vec![0, 255], word: word.to_owned() };
    let things = vec![
        thing(1, Color::Red, json!("1"), "null"),
        thing(2, Color::Mixed { share: 0.5 }, json!("a\"b"), "\"quoted\""),
        thing(3, Color::Red, json!({"1": ["x"]}), "{\"a\": 1}"),
    ];
    let declare = || {
        let types = [("bytes", ColumnOverride::of_type("bytea")), ("word", ColumnOverride::of_type("jsonb"))];
        let mut target = TableTarget::new("t", TableSchema::from_type::<Thing>(&["id"], types).unwrap());
        for thing in &things {
            target.declare_row(thing).unwrap();
        }
        target
    };
    b.apply(declare).await.unwrap();
    assert_eq!(b.server.query("select distinct jsonb_typeof(word) from t").await, "string");
    let read = PgTableSource::<Thing>::new(&b.database, t()).order_by(["id".parse().unwrap()]);
    assert_eq!(read.iter_rows(&b.scope).collect::<Result<Vec<_>, _>>().unwrap(), things);
}

#[tokio::test]
async fn json_may_be_spread_over_lines_and_a_row_has_its_limit() {
    use serde_json::value::RawValue;
    let b = Bench::new(18).await;
    let row = || RawValue::from_string("{\"id\": 1,\n\"j\": {\n\"a\": 1.50}}".to_owned()).unwrap();
    let schema = || TableSchema::new([("id", ColumnDef::new("int")), ("j", ColumnDef::new("jsonb"))], &["id"]);
    b.apply(|| {
        let mut target = TableTarget::new("t", schema());
        target.declare_row(&row()).unwrap();
        target
    })
    .await
    .unwrap();
    assert_eq!(b.server.query("select j from t").await, "{\"a\": 1.50}");
    let large = json!({"id": 1, "j": "x".repeat(8 << 20)});
    let error = TableTarget::new("t", schema()).declare_row(&large).unwrap_err();
    assert!(error.message().contains("a row may take 8 MiB"), "{error}");
}

#[tokio::test]
async fn a_row_of_somebody_else_is_named_by_the_declared_one() {
    let b = Bench::new(18).await;
    let declare = |ids: &[i64]| {
        let schema = TableSchema::new([("id", ColumnDef::new("int")), ("v", ColumnDef::new("text"))], &["id"]);
        let mut target = TableTarget::new("t", schema);
        for id in ids {
            target.declare_row(&json!({"id": id, "v": "declared"})).unwrap();
        }
        target
    };
    b.apply(|| declare(&[1])).await.unwrap();
    b.server.query("insert into t values (2, 'foreign')").await;
    let error = Box::pin(b.plan(declare(&[1, 2])).await.unwrap().apply(&b.scope)).await.unwrap_err().to_string();
    assert!(error.contains("(id = 2), declared row 2, is in the table already"), "{error}");
    assert!(!error.contains("rows.jsonl"), "{error}");
    assert_eq!(b.server.query("select v from t where id = 2").await, "foreign");
    b.server.query("delete from t where id = 2").await;
    b.apply(|| declare(&[1])).await.unwrap();
    let removal = TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap();
    assert!(removal.to_string().contains("0 to insert, 0 to update, 1 to delete"), "{removal}");
}

#[tokio::test]
async fn that_earlier_rows_are_not_known_any_more_is_said() {
    let b = Bench::new(18).await;
    let declare = |ids: &[i64]| {
        let mut target = TableTarget::new("t", TableSchema::new([("id", ColumnDef::new("int"))], &["id"]));
        for id in ids {
            target.declare_row(&json!({"id": id})).unwrap();
        }
        target
    };
    b.apply(|| declare(&[1, 2])).await.unwrap();
    let ledger = b.server.query("select tablename from pg_tables where tablename like 'ledger%'").await;
    b.server.query(&format!("drop table terraform_pg.{ledger}")).await;
    let plan = b.plan(declare(&[1])).await.unwrap();
    assert!(plan.warnings().iter().any(|warning| warning.detail.contains("all others stay")), "{plan}");
    Box::pin(plan.apply(&b.scope)).await.unwrap();
    assert_eq!(b.server.query("select id from t order by 1").await, "1\n2");
    let plan = b.plan(declare(&[1])).await.unwrap();
    assert!(plan.is_empty() && plan.warnings().is_empty(), "{plan}");
}

const FUNCTION: (&str, &str, Option<&str>) = (
    "by_function",
    "create function f() returns trigger language plpgsql as $$begin return new; end$$; \
     create trigger f before insert on t for each row execute function f()",
    Some("drop trigger f on t; drop function f()"),
);

#[tokio::test]
async fn what_an_attachment_left_of_a_dropped_table_is_torn_down() {
    let left = "select count(*) from pg_proc where proname = 'f'";
    let with = || Declared {
        columns: &[("id", ColumnKind::Nullable("int"))],
        key: &["id"],
        attachments: &[FUNCTION],
        ..Declared::default()
    };
    let without = || Declared { attachments: &[], ..with() };
    let b = Bench::new(18).await;
    b.apply(|| with().target()).await.unwrap();
    b.server.query("drop table t").await;
    b.apply(|| with().target()).await.unwrap();
    assert_eq!(b.server.query("select count(*) from pg_trigger where tgname = 'f'").await, "1");
    b.server.query("drop table t").await;
    b.apply(|| without().target()).await.unwrap();
    assert_eq!(b.server.query(left).await, "0");
    b.apply(|| with().target()).await.unwrap();
    b.server.query("drop table t").await;
    let removal = TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap();
    Box::pin(removal.apply(&b.scope)).await.unwrap();
    assert_eq!(b.server.query(left).await, "0");
    assert!(TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_attachment_changes_with_the_columns_that_it_stands_on() {
    let b = Bench::new(18).await;
    let wide = Declared {
        columns: &[
            ("id", ColumnKind::Nullable("int")),
            ("v", ColumnKind::Nullable("text")),
            ("n", ColumnKind::Nullable("int")),
        ],
        key: &["id"],
        attachments: &[("by_v", "create index t_v on t (v, n)", Some("drop index t_v"))],
        ..Declared::default()
    };
    let narrow = Declared {
        columns: &[("id", ColumnKind::Nullable("int")), ("v", ColumnKind::Nullable("text"))],
        attachments: &[("by_v", "create index t_v on t (v)", Some("drop index t_v"))],
        ..wide.clone()
    };
    for declared in [&wide, &narrow, &wide] {
        b.apply(|| declared.target()).await.unwrap();
    }
    let plan = b.plan(narrow.target()).await.unwrap().to_string();
    let order = ["tear down", "alter table public.t drop column n", "set up"].map(|part| plan.find(part));
    assert!(order.is_sorted() && order[0].is_some(), "{plan}");
}
