//! What is asked at the same time is answered in one look, and each answer is as if it had been asked alone.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pg_connector::attachment::{self, Attachment, OnTeardownError};
use pg_connector::error::RowLabel;
use pg_connector::rows::{self, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Look, Seen, TableChange};
use pg_connector::vector_index;
use pg_connector::{Database, Error, Scope, TableName};
use serde_json::json;
use testbed::{Held, TestDatabase};
use tokio::task::JoinHandle;

use crate::sessions::{database, one, within};

/// Statements of the server's log that begin a look.
const LOOK: &str = "begin isolation level repeatable read, read only";

fn name(name: &str) -> TableName {
    TableName::new("public", name)
}

async fn read_within(database: &Database, table: &str, scope: &Scope) -> Result<Option<Seen>, Error> {
    table::read(database, scope, &name(table), Look::Table).await
}

async fn read(database: &Database, table: &str) -> Result<Option<Seen>, Error> {
    read_within(database, table, &within(Duration::from_mins(1))).await
}

fn start(database: &Database, table: &str, scope: &Scope) -> JoinHandle<Result<Option<Seen>, Error>> {
    let (database, table, scope) = (database.clone(), table.to_owned(), scope.clone());
    tokio::spawn(async move { read_within(&database, &table, &scope).await })
}

fn columns(seen: Option<Seen>) -> Option<Vec<String>> {
    seen.map(|seen| seen.observed.columns.into_iter().map(|column| column.name).collect())
}

/// Keeps every look waiting.
fn hold(test: &TestDatabase) -> Held {
    Held::new(test, "begin; lock table pg_catalog.pg_attrdef").unwrap()
}

async fn wait_until(test: &TestDatabase, condition: &str) {
    let begun = Instant::now();
    while test.query(condition).await != "t" {
        assert!(begun.elapsed() < Duration::from_secs(30), "never came true: {condition}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// True while a session of ours waits for a lock.
const WAITING: &str = "select count(*) > 0 from pg_locks l join pg_stat_activity a using (pid) \
    where not l.granted and a.datname = current_database()";

#[tokio::test]
async fn reads_at_the_same_time_share_one_connection_and_few_looks() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create extension vector").await;
        for i in 0..40 {
            test.query(&format!(
                "create table t{i} (id bigint primary key, c{i} text default 'd', v vector(3)); \
                 create index t{i}__vector__v on t{i} using hnsw (v vector_l2_ops) with (m = {})",
                i % 20 + 4
            ))
            .await;
        }
        let database = database(&test, 10);
        let found = join_all((0..50).map(|i| {
            let database = &database;
            async move { (i, read(database, &format!("t{i}")).await.unwrap()) }
        }));
        for (i, seen) in found.await {
            let expected = (i < 40).then(|| vec!["id".to_owned(), format!("c{i}"), "v".to_owned()]);
            if let Some(seen) = &seen {
                assert_eq!(seen.observed.primary_key, ["id"]);
                assert_eq!(seen.observed.columns[1].default.as_deref(), Some("'d'::text"));
                assert_eq!(seen.observed.vector_indexes[0].name, format!("t{i}__vector__v"));
            }
            assert_eq!(columns(seen), expected);
        }
        let scope = within(Duration::from_mins(1));
        let found = join_all((0..50).map(|i| {
            let (table, index) = (name(&format!("t{i}")), name(&format!("t{i}__vector__v")));
            let (database, scope) = (&database, &scope);
            async move { (i, vector_index::read(database, scope, &table, &index, None).await.unwrap()) }
        }));
        for (i, seen) in found.await {
            let m = seen.map(|seen| seen.index.options["m"].clone());
            assert_eq!(m, (i < 40).then(|| (i % 20 + 4).to_string()));
        }
        let found = join_all((0..50).map(|i| {
            let attachment = Attachment {
                table: name(&format!("t{i}")),
                name: "a".to_owned(),
                setup_sql: "select 1".to_owned(),
                teardown_sql: None,
                check_sql: None,
                transactional: true,
                on_teardown_error: OnTeardownError::Fail,
                in_part: false,
            };
            let (database, scope) = (&database, &scope);
            async move { (i, attachment::read(database, scope, &attachment).await.unwrap()) }
        }));
        for (i, there) in found.await {
            assert_eq!(there, i < 40);
        }
        // The first question begins a look at once, and the others come before it has a connection.
        assert_eq!(looks_and_connections(&test).await, (3, 1));
    }
}

/// How many looks there were, and how many connections of ours.
async fn looks_and_connections(test: &TestDatabase) -> (usize, usize) {
    let log = test.log().await;
    let is_ours = |line: &&str| line.contains("connection authorized") && line.contains("pg-connector");
    (log.matches(LOOK).count(), log.lines().filter(is_ours).count())
}

#[tokio::test]
async fn rows_of_many_tables_are_digested_in_one_look() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create schema other; create domain other.number as bigint").await;
        let database = database(&test, 10);
        let scope = within(Duration::from_mins(1));
        let mut declared = Vec::new();
        for i in 0..12 {
            let column = |name: &str, type_name: &str| ColumnSpec {
                name: name.to_owned(),
                type_name: type_name.to_owned(),
                nullable: name == "a",
                default: None,
                comment: None,
            };
            let table = TableSpec {
                name: name(&format!("t{i}")),
                managed_by: ManagedBy::System,
                comment: None,
                columns: vec![column("id", if i % 3 == 0 { "other.number" } else { "bigint" }), column("a", "text")],
                primary_key: vec!["id".to_owned()],
            };
            // Of some tables the rows name different columns, and one has none.
            let rows = [json!({ "id": i, "a": "x" }), json!({ "id": 1000 }), json!({ "id": 2000, "a": null })];
            let rows = rows.into_iter().take(i).filter_map(|row| Some((RowLabel::Index(i), row.as_object()?.clone())));
            let rows = rows::declare(&table, &rows.collect::<Vec<_>>()).unwrap();
            let change = TableChange { rows: Some(rows.clone().into()), ..TableChange::create(table.clone()) };
            let applied = table::apply(&database, &scope, &change, true).await.unwrap();
            declared.push((table, Owned::from(rows), applied.rows_digest));
        }
        test.query("update t5 set a = 'y'; alter table t6 drop column a; drop table t7; create view t7 as select 1")
            .await;
        let found = join_all(declared.iter().map(|(table, owned, _)| {
            let (database, scope) = (&database, &scope);
            async move {
                let look = Look::Rows { table, owned, digest: true };
                table::read(database, scope, &table.name, look).await.unwrap().unwrap()
            }
        }));
        for (i, (seen, (.., applied))) in found.await.into_iter().zip(&declared).enumerate() {
            match i {
                5 => assert!(seen.rows_digest.is_some() && seen.rows_digest != *applied),
                6 => assert_eq!(seen.rows_digest.as_deref(), Some("the table has no column \"a\"")),
                7 => assert_eq!(seen.rows_digest, None, "it is a view"),
                _ => assert_eq!(seen.rows_digest, *applied, "t{i}"),
            }
        }
        assert_eq!(looks_and_connections(&test).await.0, 1);
    }
}

#[tokio::test]
async fn an_answer_is_never_older_than_its_question() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create table t (id bigint primary key)").await;
        let database = database(&test, 3);
        let done = tokio_util::sync::CancellationToken::new();
        let crowd: Vec<_> = (0..8)
            .map(|_| {
                let (database, done) = (database.clone(), done.clone());
                tokio::spawn(async move {
                    while !done.is_cancelled() {
                        read(&database, "t").await.unwrap().unwrap();
                    }
                })
            })
            .collect();
        let session = database.connect(&within(Duration::from_mins(1))).await.unwrap();
        for i in 0..60 {
            session.batch_execute(&format!("alter table t add column c{i} text")).await.unwrap();
            let seen = read(&database, "t").await.unwrap();
            assert_eq!(columns(seen).unwrap().len(), i + 2, "what was committed before the question is in the answer");
        }
        done.cancel();
        for one in crowd {
            one.await.unwrap();
        }
    }
}

#[tokio::test]
async fn who_gives_up_takes_nobody_along() {
    let test = TestDatabase::new(18).await;
    test.query("create table a (id bigint); create table b (id bigint); create table c (id bigint)").await;
    let database = database(&test, 10);
    let held = hold(&test);
    let (stays, cancelled) = (within(Duration::from_mins(1)), within(Duration::from_mins(1)));
    let short = within(Duration::from_millis(100));
    let reads = [start(&database, "a", &stays), start(&database, "b", &cancelled), start(&database, "c", &short)];
    wait_until(&test, WAITING).await;
    cancelled.cancel.cancel();
    let [a, b, c] = reads;
    let error = b.await.unwrap().unwrap_err();
    assert_eq!((error.doing(), error.message()), ("read table public.b", "cancelled"));
    assert!(c.await.unwrap().unwrap_err().message().starts_with("timed out after 100ms"));
    assert!(!a.is_finished());
    drop(held);
    assert_eq!(columns(a.await.unwrap().unwrap()).unwrap(), ["id"]);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_ends_on_the_server() {
    let test = TestDatabase::new(18).await;
    test.query("create table a (id bigint)").await;
    let database = database(&test, 1);
    let held = hold(&test);
    let scope = within(Duration::from_mins(1));
    let reads = [start(&database, "a", &scope), start(&database, "a", &scope)];
    wait_until(&test, WAITING).await;
    scope.cancel.cancel();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap_err().message(), "cancelled");
    }
    wait_until(&test, &WAITING.replace("count(*) > 0", "count(*) = 0")).await;
    drop(held);
    // The only place of the pool is free again.
    assert!(read(&database, "a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_table_that_cannot_be_read_does_not_stand_in_the_way_of_others() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query(
            "create function f() returns int language sql as 'select 1'; create table a (id bigint); \
             create table broken (id int default f()); create table b (id bigint)",
        )
        .await;
        test.query("delete from pg_proc where proname = 'f'").await;
        let database = database(&test, 10);
        let (a, broken, b) = tokio::join!(read(&database, "a"), read(&database, "broken"), read(&database, "b"));
        assert_eq!((columns(a.unwrap()).unwrap().len(), columns(b.unwrap()).unwrap().len()), (1, 1));
        let error = broken.unwrap_err();
        assert_eq!((error.doing(), error.sqlstate()), ("read table public.broken", Some("XX000")));
    }
}

#[tokio::test]
async fn a_locked_table_keeps_only_its_own_read_waiting() {
    let test = TestDatabase::new(18).await;
    test.query("create table a (id bigint); create table locked (id int default 1)").await;
    let mut settings = Settings::parse(&test.url()).unwrap();
    settings.lock_timeout = Some(Duration::from_mins(1));
    let database = Database::new(settings).unwrap();
    let held = Held::new(&test, "begin; lock table locked").unwrap();
    let scope = within(Duration::from_mins(1));
    let (locked, other) = (start(&database, "locked", &scope), start(&database, "a", &scope));
    assert!(other.await.unwrap().unwrap().is_some());
    assert!(!locked.is_finished());
    assert!(read(&database, "a").await.unwrap().is_some(), "later ones do not wait either");
    drop(held);
    assert!(locked.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn without_a_server_everybody_is_told_so() {
    let mut settings = Settings::parse("postgresql://nobody@127.0.0.1:1/none").unwrap();
    settings.connect_timeout = Some(Duration::from_secs(5));
    let database = Database::new(settings).unwrap();
    for failure in join_all((0..5).map(|_| read(&database, "a"))).await {
        let error = failure.unwrap_err();
        assert!(error.is_unreachable() && error.doing().contains("127.0.0.1:1"), "{error}");
    }
}

#[tokio::test]
async fn a_full_pool_is_named_when_time_is_up() {
    let test = TestDatabase::new(18).await;
    let database = database(&test, 1);
    let session = database.connect(&within(Duration::from_mins(1))).await.unwrap();
    let error = read_within(&database, "a", &within(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(error.doing(), "read table public.a");
    assert!(error.message().starts_with("timed out after 50ms before there was a free connection to "), "{error}");
    drop(session);
    assert!(read(&database, "a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_looked_goes_back_as_it_was() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create extension vector; create table a (id bigint, v vector(3))").await;
        let database = database(&test, 1);
        let scope = within(Duration::from_mins(1));
        let state = "select concat_ws(' ', pg_backend_pid(), current_setting('search_path'), \
            current_setting('lock_timeout'), current_setting('transaction_read_only'), now() = statement_timestamp())";
        let before = one(&database.connect(&scope).await.unwrap(), state).await;
        assert!(read(&database, "a").await.unwrap().is_some());
        assert_eq!(one(&database.connect(&scope).await.unwrap(), state).await, before);
    }
}
