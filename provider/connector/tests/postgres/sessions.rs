//! Sessions come clean, go back clean, and stop when their operation has to.

use std::time::{Duration, Instant};

use pg_connector::settings::Settings;
use pg_connector::{Database, Scope, Session};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

/// A pool of that many connections to the test's database, told apart by the application name.
pub(crate) fn database(test: &TestDatabase, max_connections: u32) -> Database {
    let mut settings = Settings::parse(&test.url()).unwrap();
    settings.max_connections = max_connections;
    Database::new(settings).unwrap()
}

pub(crate) fn within(limit: Duration) -> Scope {
    Scope::new(CancellationToken::new(), Some(limit))
}

pub(crate) async fn one(session: &Session, sql: &str) -> String {
    let row = session.query_typed(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    row[0].get(0)
}

async fn pid(session: &Session) -> String {
    one(session, "select pg_backend_pid()::text").await
}

#[tokio::test]
async fn sessions_start_with_known_settings_and_have_them_again_after_use() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let database = database(&test, 1);
        let settings = "select current_setting('timezone') || ' ' || current_setting('datestyle') || ' ' \
            || current_setting('search_path') || ' ' || current_setting('application_name') || ' ' \
            || current_setting('client_encoding')";
        let expected = "UTC ISO, MDY \"$user\", public pg-connector UTF8";
        let scope = Scope::default();
        let session = database.connect(&scope).await.unwrap();
        let first = pid(&session).await;
        assert_eq!(one(&session, settings).await, expected);
        session
            .batch_execute(
                "set timezone = 'Asia/Tokyo'; set search_path = pg_catalog; set application_name = 'x'; \
                 create temp table t (); select pg_advisory_lock(1); do $$begin raise notice 'hello'; end$$",
            )
            .await
            .unwrap();
        assert_eq!(session.take_notices()[0].message, "hello");
        session.batch_execute("do $$begin raise warning 'not taken'; end$$").await.unwrap();
        drop(session);
        let session = database.connect(&scope).await.unwrap();
        assert_eq!(pid(&session).await, first, "the connection is used again");
        assert_eq!(one(&session, settings).await, expected);
        assert_eq!(
            one(&session, "select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
                .await,
            "0"
        );
        assert_eq!(one(&session, "select coalesce(to_regclass('pg_temp.t')::text, 'none')").await, "none");
        assert!(session.take_notices().is_empty());
    }
}

#[tokio::test]
async fn a_transaction_that_was_left_open_does_not_survive_in_the_pool() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let database = database(&test, 1);
        let scope = within(Duration::from_secs(30));
        // One that the client knows of is rolled back.
        let mut session = database.connect(&scope).await.unwrap();
        let first = pid(&session).await;
        let transaction = session.begin().await.unwrap();
        transaction.batch_execute("create table known ()").await.unwrap();
        drop(transaction);
        drop(session);
        let session = database.connect(&scope).await.unwrap();
        assert_eq!(pid(&session).await, first);
        // So is one that a text began, and one that has failed.
        session.batch_execute("begin; create table unknown ()").await.unwrap();
        drop(session);
        let session = database.connect(&scope).await.unwrap();
        session.batch_execute("begin; create table unknown2 (); select 1/0").await.unwrap_err();
        drop(session);
        let session = database.connect(&scope).await.unwrap();
        assert_eq!(pid(&session).await, first);
        assert_eq!(one(&session, "select count(*)::text from pg_class where relname ~ 'known'").await, "0");
    }
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_is_cancelled() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let database = database(&test, 1);
        let scope = within(Duration::from_secs(30));
        let session = database.connect(&scope).await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(100), session.batch_execute("select pg_sleep(60)"));
        given_up.await.unwrap_err();
        drop(session);
        let session = database.connect(&scope).await.unwrap();
        let sleeping = "select count(*)::text from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid() \
            and datname = current_database()";
        assert_eq!(one(&session, sleeping).await, "0");
    }
}

#[tokio::test]
async fn what_runs_is_cancelled_when_the_operation_is_cancelled_or_out_of_time() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let database = database(&test, 1);
        let free = within(Duration::from_secs(30));
        let first = pid(&database.connect(&free).await.unwrap()).await;
        let mut seen = vec![first];
        for (by_user, expected) in [(true, "cancelled"), (false, "timed out after 400ms")] {
            let limit = if by_user { 30_000 } else { 400 };
            let scope = within(Duration::from_millis(limit));
            let session = database.connect(&scope).await.unwrap();
            let start = Instant::now();
            let token = scope.cancel.clone();
            if by_user {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    token.cancel();
                });
            }
            let error = session.batch_execute("select pg_sleep(60)").await.unwrap_err();
            let error = scope.explain(pg_connector::Error::postgres("sleep", &error));
            assert_eq!(error.sqlstate(), Some("57014"));
            assert_eq!(error.message(), expected);
            // Also what begins only afterwards, since an operation that does not look must end all the same.
            session.batch_execute("select pg_sleep(60)").await.unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(10));
            drop(session);
            // No late cancel request hits the next operation.
            let session = database.connect(&free).await.unwrap();
            let now = pid(&session).await;
            assert!(!seen.contains(&now), "the connection is not used again");
            session.batch_execute("select pg_sleep(0.7)").await.unwrap();
            seen.push(now);
            // And nothing more is begun for a scope that has ended.
            assert_eq!(database.connect(&scope).await.unwrap_err().message(), expected);
        }
    }
}

#[tokio::test]
async fn a_session_can_clear_up_under_new_limits() {
    let test = TestDatabase::new(18).await;
    let database = database(&test, 1);
    let scope = within(Duration::from_millis(200));
    let mut session = database.connect(&scope).await.unwrap();
    session.batch_execute("select pg_sleep(60)").await.unwrap_err();
    session.watch(&within(Duration::from_secs(20)));
    // A request that was on its way may still hit the first statement.
    let _ = session.batch_execute("select pg_sleep(0.1)").await;
    session.batch_execute("select pg_sleep(0.7)").await.unwrap();
}

#[tokio::test]
async fn configured_timeouts_hold_in_and_outside_transactions() {
    let test = TestDatabase::new(18).await;
    let mut settings = Settings::parse(&test.url()).unwrap();
    settings.lock_timeout = Some(Duration::from_millis(1500));
    settings.statement_timeout = Some(Duration::from_mins(1));
    let database = Database::new(settings).unwrap();
    let mut session = database.connect(&Scope::default()).await.unwrap();
    let both = "select current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')";
    assert_eq!(one(&session, both).await, "1500ms 1min");
    session.batch_execute("reset lock_timeout; reset statement_timeout").await.unwrap();
    let transaction = session.begin().await.unwrap();
    let row = transaction.query_typed(both, &[]).await.unwrap();
    assert_eq!(row[0].get::<_, String>(0), "1500ms 1min", "also where a pooler has forgotten them");
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let database = database(&test, 3);
        let tasks: Vec<_> = (0..30)
            .map(|i| {
                let database = database.clone();
                tokio::spawn(async move {
                    let scope = within(Duration::from_mins(1));
                    let session = database.connect(&scope).await.unwrap();
                    let count = "select count(*)::text from pg_stat_activity where datname = current_database() \
                                 and backend_type = 'client backend'";
                    let count = one(&session, count).await;
                    if i % 3 == 0 {
                        // This one has to be cleaned first.
                        session.batch_execute("begin").await.unwrap();
                    }
                    count.parse::<u32>().unwrap()
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap() <= 3);
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_noticed_and_replaced() {
    let test = TestDatabase::new(18).await;
    let database = database(&test, 1);
    let scope = within(Duration::from_secs(30));
    let session = database.connect(&scope).await.unwrap();
    let lost = pid(&session).await;
    test.query(&format!("select pg_terminate_backend({lost})")).await;
    let error = session.batch_execute("select 1").await.unwrap_err();
    let error = pg_connector::Error::postgres("look", &error);
    assert!(error.is_closed() || error.sqlstate() == Some("57P01"), "{error:?}");
    drop(session);
    assert_ne!(pid(&database.connect(&scope).await.unwrap()).await, lost);
}
