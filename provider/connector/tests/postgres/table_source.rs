//! Rows of a real server as values of Rust types.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use pg_connector::settings::Settings;
use pg_connector::source::{self, OrderBy, PgTableSource, RowMap, SourceQuery};
use pg_connector::{Database, Error, Scope, TableName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

async fn server(major: u32, setup: &str) -> (TestDatabase, Database) {
    let server = TestDatabase::new(major).await;
    server.query(setup).await;
    let database = Database::from_url(&server.url()).unwrap();
    (server, database)
}

fn t() -> TableName {
    TableName::new("public", "t")
}

async fn all<T: DeserializeOwned + Send + Unpin + 'static>(database: &Database) -> Result<Vec<T>, Error> {
    PgTableSource::<T>::new(database, t()).fetch_rows(&Scope::default()).try_collect().await
}

/// Types, and values of each of them.
const VALUES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767"]),
    ("int4", &["-2147483648"]),
    ("int8", &["9223372036854775807"]),
    ("oid", &["4294967295"]),
    ("float4", &["0.1", "-0", "1e30", "'NaN'", "'-infinity'"]),
    ("float8", &["0.1", "1e300", "'NaN'", "'infinity'", "123456789012345680"]),
    ("numeric", &["1.10", "12345678901234567890.123", "'NaN'", "1e-20"]),
    ("numeric(6,2)", &["7"]),
    ("money", &["'1.50'"]),
    ("text", &["'ä\"\\'", "''"]),
    ("varchar(5)", &["'abc'"]),
    ("char(5)", &["'abc'"]),
    ("name", &["'abc'"]),
    ("bytea", &["'\\x00ff'", "''"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("date", &["'2024-02-29'", "'infinity'", "'0044-03-15 BC'"]),
    ("time", &["'24:00'"]),
    ("timetz", &["'12:30+05:30'"]),
    ("timestamp", &["'2024-01-02 03:04:05.6'", "'-infinity'"]),
    ("timestamptz", &["'2024-01-02 03:04:05.6+02'"]),
    ("interval", &["'1 year -2 days 03:04:05.6'"]),
    ("inet", &["'10.0.0.1/8'", "'10.0.0.1'", "'::1'"]),
    ("cidr", &["'10.0.0.0/8'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("bit(3)", &["'101'"]),
    ("int4range", &["'[1,5)'"]),
    ("point", &["'(1,2)'"]),
    ("tsvector", &["'a fat cat'"]),
    ("mood", &["'sad'"]),
    ("pair", &["'(1,\"a b\")'"]),
    ("small", &["3"]),
    ("smalls", &["'{1,2}'"]),
    ("vector", &["'[1,2.5,-0.1]'", "'[7]'"]),
    ("vector(3)", &["'[1,2,3]'"]),
    ("halfvec(3)", &["'[1,2.5,-0.1]'"]),
    ("sparsevec(5)", &["'{1:1,5:2.5}/5'"]),
    ("int4[]", &["'{1,NULL,3}'", "'{}'", "'[0:1]={1,2}'"]),
    ("int8[]", &["'{{1,2},{3,4}}'", "'{{{1},{2}}}'"]),
    ("float8[]", &["'{1.5}'"]),
    ("text[]", &["'{a,\"b,c\",NULL,\"\"}'"]),
    ("bool[]", &["'{t,f}'"]),
    ("uuid[]", &["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"]),
    ("bytea[]", &["'{\"\\\\x00ff\"}'"]),
    ("numeric[]", &["'{1.10,2}'"]),
    ("timestamptz[]", &["'{2024-01-02 03:04:05+00}'"]),
    ("mood[]", &["'{sad,ok}'"]),
    ("vector[]", &["array['[1,2]','[3]']::vector[]"]),
    ("box[]", &["'{(1,1),(0,0)}'"]),
];

const TYPES: &str = "create extension vector; create type mood as enum ('sad', 'ok'); create type pair as (a int, b text); \
    create domain small as int4 check (value < 10); create domain smalls as int4[];";

#[tokio::test]
async fn every_type_means_what_the_data_source_makes_of_it() {
    for major in TestDatabase::VERSIONS {
        let (server, database) = server(major, TYPES).await;
        for (at, (type_name, values)) in VALUES.iter().enumerate() {
            for (one, value) in values.iter().enumerate() {
                let name = format!("t{at}_{one}");
                let setup = format!("create table {name} (v {type_name}); insert into {name} values ({value}), (null)");
                server.query(&setup).await;
                let table = TableName::new("public", &name);
                let rows: Vec<RowMap> = PgTableSource::new(&database, table.clone())
                    .fetch_rows(&Scope::default())
                    .try_collect()
                    .await
                    .unwrap();
                let mut session = database.connect(&Scope::default()).await.unwrap();
                let transaction = session.begin().await.unwrap();
                let read = source::read(&transaction, &SourceQuery::new(table)).await.unwrap();
                let expected: Vec<Value> = read.rows.into_iter().map(|row| json!({"v": row[0]})).collect();
                let (rows, expected) = (json!(rows), json!(expected));
                assert!(same(&rows, &expected), "{type_name} {value} on {major}: {rows} {expected}");
            }
        }
    }
}

/// Equal, with 1 and 1.0 the same where both are what a float holds.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.is_f64() && a.as_f64() == b.as_f64()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

#[derive(Debug, PartialEq, Deserialize)]
enum Mood {
    #[serde(rename = "sad")]
    Sad,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Inner {
    a: Vec<i32>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Record {
    id: i64,
    small: u8,
    large: u128,
    exact: String,
    rounded: f64,
    share: f32,
    nan: f64,
    maybe: Option<String>,
    bytes: Vec<u8>,
    mood: Mood,
    json: Inner,
    text_of_json: String,
    any: Value,
    embedding: Vec<f32>,
    grid: Vec<Vec<i32>>,
    holes: Vec<Option<String>>,
    uuid: String,
    map: BTreeMap<String, f64>,
    letter: char,
}

const RECORD: &str = "create table t (id bigint primary key, small int2, large numeric, exact numeric, rounded numeric, \
    share float4, nan float8, maybe text, bytes bytea, mood mood, json jsonb, text_of_json json, \"any\" jsonb, \
    embedding vector(2), grid int4[], holes text[], uuid uuid, map jsonb, letter text, unread inet); \
    insert into t values (1, 2, 340282366920938463463374607431768211455, 1.10, 1.10, 0.1, 'NaN', null, '\\x00ff', 'sad', \
    '{\"a\": [1]}', '{\"b\":  1}', '[1.10]', '[1,0.1]', '{{1,2},{3,4}}', '{a,null}', \
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"x\": 1e2}', 'ä', null)";

#[tokio::test]
async fn a_record_takes_what_its_fields_ask_for() {
    let (_server, database) = server(18, &format!("{TYPES}{RECORD}")).await;
    let mut rows: Vec<Record> = all(&database).await.unwrap();
    let nan = std::mem::take(&mut rows[0].nan);
    assert!(nan.is_nan());
    assert_eq!(
        rows,
        [Record {
            id: 1,
            small: 2,
            large: u128::MAX,
            exact: "1.10".to_owned(),
            rounded: 1.1,
            share: 0.1,
            nan: 0.0,
            maybe: None,
            bytes: vec![0, 255],
            mood: Mood::Sad,
            json: Inner { a: vec![1] },
            text_of_json: "{\"b\":  1}".to_owned(),
            any: serde_json::from_str("[1.10]").unwrap(),
            embedding: vec![1.0, 0.1],
            grid: vec![vec![1, 2], vec![3, 4]],
            holes: vec![Some("a".to_owned()), None],
            uuid: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_owned(),
            map: BTreeMap::from([("x".to_owned(), 100.0)]),
            letter: 'ä',
        }]
    );
}

/// Reads the value of an expression in SQL as a type; what it becomes, or why it does not.
async fn as_type<T: DeserializeOwned + Debug + Send + Unpin + 'static>(
    bench: &(TestDatabase, Database),
    type_name: &str,
    value: &str,
) -> String {
    let setup = format!("drop table if exists t; create table t (v {type_name}); insert into t values ({value})");
    bench.0.query(&setup).await;
    match all::<(T,)>(&bench.1).await {
        Ok(rows) => format!("{:?}", rows[0].0),
        Err(error) => error.message().replace("row 1 does not fit the type it is read as: column \"v\": ", ""),
    }
}

#[tokio::test]
async fn nothing_is_cut_off_or_made_infinite_to_fit() {
    let b = server(18, TYPES).await;
    for (value, expected) in [
        (as_type::<[i32; 2]>(&b, "int4[]", "'{1,2,3}'").await, "there are 3 elements, and the type has 2"),
        (as_type::<[[i32; 1]; 2]>(&b, "int4[]", "'{{1},{2}}'").await, "[[1], [2]]"),
        (as_type::<[[i32; 1]; 2]>(&b, "int4[]", "'{{1,2},{3,4}}'").await, "there are 2 elements, and the type has 1"),
        (as_type::<[f64; 1]>(&b, "numeric[]", "'{1.5,2}'").await, "there are 2 elements, and the type has 1"),
        (as_type::<[f32; 2]>(&b, "vector(3)", "'[1,2,3]'").await, "there are 3 elements, and the type has 2"),
        (as_type::<(f32, f32)>(&b, "vector(2)", "'[1,2]'").await, "(1.0, 2.0)"),
        (as_type::<[u8; 2]>(&b, "bytea", "'\\x010203'").await, "there are 3 elements, and the type has 2"),
        (as_type::<f64>(&b, "numeric", "1e400").await, &format!("1{} is no f64", "0".repeat(400))),
        (as_type::<f64>(&b, "jsonb", "'1e400'").await, &format!("1{} is no f64", "0".repeat(400))),
        (as_type::<f32>(&b, "float8", "1e39").await, "1000000000000000000000000000000000000000 is no f32"),
        (as_type::<f32>(&b, "numeric", "1e39").await, "1000000000000000000000000000000000000000 is no f32"),
        (as_type::<f32>(&b, "float8", "'-Infinity'").await, "-inf"),
        (as_type::<f64>(&b, "numeric", "'Infinity'").await, "inf"),
    ] {
        assert_eq!(value, expected);
    }
}

#[tokio::test]
async fn a_cell_is_read_as_a_type_reads_its_json() {
    let b = server(18, TYPES).await;
    for (value, expected) in [
        (as_type::<f64>(&b, "jsonb", "'5.5'").await, "5.5"),
        (as_type::<f32>(&b, "json", "' -1e2 '").await, "-100.0"),
        (as_type::<i64>(&b, "jsonb", "'5'").await, "5"),
        (as_type::<u128>(&b, "jsonb", "'340282366920938463463374607431768211455'").await, &u128::MAX.to_string()),
        (as_type::<i8>(&b, "jsonb", "'300'").await, "300 is no i8"),
        (as_type::<Option<i64>>(&b, "jsonb", "'null'").await, "None"),
        (as_type::<Option<Inner>>(&b, "json", "' null '").await, "None"),
        (as_type::<Option<Inner>>(&b, "jsonb", "'{\"a\": []}'").await, "Some(Inner { a: [] })"),
        (as_type::<Value>(&b, "jsonb", "'null'").await, "Null"),
        (as_type::<String>(&b, "jsonb", "'\"a b\"'").await, "\"a b\""),
        (as_type::<Vec<f64>>(&b, "numeric[]", "'{NaN,-Infinity,1.5}'").await, "[NaN, -inf, 1.5]"),
        (as_type::<Vec<Option<u8>>>(&b, "numeric[]", "'{1,null}'").await, "[Some(1), None]"),
        (as_type::<Vec<String>>(&b, "numeric[]", "'{1.10}'").await, "[\"1.10\"]"),
        (as_type::<Vec<Vec<Mood>>>(&b, "mood[]", "'{{sad}}'").await, "[[Sad]]"),
        (as_type::<IpAddr>(&b, "inet", "'10.0.0.1'").await, "10.0.0.1"),
    ] {
        assert_eq!(value, expected);
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Named {
    id: i64,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Other {
    #[expect(dead_code, reason = "only its name counts")]
    missing: i64,
}

const NAMED: &str = "create table t (id bigint primary key, name text, more int); \
    insert into t select n, 'n' || n, 0 from generate_series(1, 5) n; insert into t values (6, null)";

#[tokio::test]
async fn columns_conditions_order_and_limit_are_the_callers() {
    let (_server, database) = server(18, NAMED).await;
    let source = PgTableSource::<(i64, String)>::new(&database, t()).columns(["id", "name"]);
    let order: OrderBy = "id desc".parse().unwrap();
    let source = source.filter("id < $1", [Some("5")]).order_by([order]).limit(2);
    let rows: Vec<_> = source.iter_rows(&Scope::default()).collect::<Result<_, _>>().unwrap();
    assert_eq!(rows, [(4, "n4".to_owned()), (3, "n3".to_owned())]);
    let rows: Vec<_> = source.clone().fetch_rows(&Scope::default()).try_collect().await.unwrap();
    assert_eq!(rows.len(), 2);
    let upper = PgTableSource::with_row_fn(&database, t(), |row| row.keys().cloned().collect::<Vec<_>>()).limit(1);
    let rows: Vec<_> = upper.fetch_rows(&Scope::default()).try_collect().await.unwrap();
    assert_eq!(rows, [["id", "name", "more"]]);
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (server, database) = server(18, NAMED).await;
    let message = |error: Error| format!("{error} {}", error.advised().unwrap_or_default());
    let error = message(all::<Named>(&database).await.unwrap_err());
    assert_eq!(
        error,
        "cannot read rows of public.t: row 6 does not fit the type it is read as: column \"name\": invalid type: null, \
         expected a string Make the field an Option, where the column may be null."
    );
    let error = message(all::<(i64, i64, i64)>(&database).await.unwrap_err());
    assert!(error.contains("row 1 does not fit the type it is read as: column \"name\""), "{error}");
    let error = message(all::<(i64,)>(&database).await.unwrap_err());
    assert!(error.contains("the row has 3 columns, and the type has 1"), "{error}");
    let error = message(all::<Other>(&database).await.unwrap_err());
    assert!(error.contains("it has no column \"missing\"; it has id, name, more"), "{error}");
    assert!(error.contains("Name the columns that are there with columns."), "{error}");
    let source = PgTableSource::<Named>::new(&database, t()).columns(["more"]);
    let error = source.fetch_rows(&Scope::default()).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.message().contains("the record type has no field \"more\"; it has id, name"), "{error}");
    server.query("drop table t").await;
    let error = message(all::<Named>(&database).await.unwrap_err());
    assert!(error.contains("there is no such table or view"), "{error}");
    let nowhere = Database::from_url("postgres://nobody@127.0.0.1:1/none?sslmode=disable").unwrap();
    let mut rows = PgTableSource::<Named>::new(&nowhere, t()).iter_rows(&Scope::default());
    assert!(rows.next().unwrap().unwrap_err().is_unreachable());
    assert!(rows.next().is_none());
}

const MANY: &str = "create table t (id bigint primary key, name text not null); \
    insert into t select n, repeat('x', 100) from generate_series(1, 50000) n";

#[tokio::test]
async fn all_rows_are_of_one_snapshot_whoever_writes_meanwhile() {
    let (server, database) = server(18, MANY).await;
    let mut rows = PgTableSource::<Named>::new(&database, t()).fetch_rows(&Scope::default());
    let first = rows.next().await.unwrap().unwrap();
    assert_eq!(first.id, 1);
    server.query("update t set name = 'y'; delete from t where id > 40000; insert into t values (0, 'z')").await;
    let rest: Vec<Named> = rows.try_collect().await.unwrap();
    assert_eq!(rest.len(), 49_999);
    assert!(rest.iter().all(|row| row.name.starts_with('x')));
}

/// What the server does for us right now, but for idle connections.
const BUSY: &str = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
    and state <> 'idle'";

async fn calms_down(server: &TestDatabase) {
    for _ in 0..200 {
        if server.query(BUSY).await == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("something still runs: {}", server.query("select query, state from pg_stat_activity").await);
}

#[tokio::test]
async fn who_stops_taking_rows_ends_the_query() {
    let (server, database) = server(18, MANY).await;
    let source = PgTableSource::<Named>::new(&database, t());
    let mut rows = source.fetch_rows(&Scope::default());
    rows.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.query(BUSY).await, "1", "the transaction waits for who takes rows");
    drop(rows);
    calms_down(&server).await;
    let mut rows = source.iter_rows(&Scope::default());
    rows.next().unwrap().unwrap();
    drop(rows);
    calms_down(&server).await;

    server.query("create view slow as select id, name from t, pg_sleep(60)").await;
    let slow = PgTableSource::<Named>::new(&database, TableName::new("public", "slow"));
    let mut rows = slow.fetch_rows(&Scope::default());
    tokio::time::timeout(Duration::from_millis(300), rows.next()).await.unwrap_err();
    drop(rows);
    calms_down(&server).await;
    let scope = Scope::new(CancellationToken::new(), Some(Duration::from_millis(300)));
    let error = slow.fetch_rows(&scope).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.message().contains("timed out after 300ms"), "{error}");
    let mut rows = slow.iter_rows(&Scope::new(CancellationToken::new(), Some(Duration::from_millis(300))));
    let error = rows.next().unwrap().unwrap_err();
    assert!(error.message().contains("timed out after 300ms"), "{error}");
    calms_down(&server).await;
}

#[tokio::test]
async fn a_stream_that_is_held_keeps_nobody_waiting() {
    let (server, _) = server(18, MANY).await;
    let settings = Settings { max_connections: 1, ..Settings::parse(&server.url()).unwrap() };
    let database = Database::new(settings).unwrap();
    let source = PgTableSource::<Named>::new(&database, t());
    let mut held: Vec<_> = (0..3).map(|_| source.fetch_rows(&Scope::default())).collect();
    for rows in &mut held {
        assert_eq!(rows.next().await.unwrap().unwrap().id, 1);
    }
    let session = database.connect(&Scope::default()).await.unwrap();
    assert_eq!(all::<Named>(&database).await.unwrap().len(), 50_000);
    drop(session);
}

#[tokio::test]
async fn a_panic_of_the_row_function_is_not_the_end_of_the_rows() {
    let (_server, database) = server(18, MANY).await;
    let source = PgTableSource::with_row_fn(&database, t(), |row| assert_ne!(row["id"], 30_000));
    let rows = source.fetch_rows(&Scope::default());
    let ended = tokio::spawn(rows.try_collect::<Vec<()>>()).await;
    assert!(ended.unwrap_err().is_panic());
    let rows = source.iter_rows(&Scope::default());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rows.count())).is_err());
}

#[test]
fn a_stream_outside_a_runtime_says_so() {
    let database = Database::from_url("postgres://nobody@127.0.0.1:1/none").unwrap();
    let mut rows = PgTableSource::<Named>::new(&database, t()).fetch_rows(&Scope::default());
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    match rows.poll_next_unpin(context) {
        std::task::Poll::Ready(Some(Err(error))) => assert!(error.message().contains("tokio runtime"), "{error}"),
        other => panic!("{other:?}"),
    }
}
