//! One at a time on each table, in one process and across several, without deadlocks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pg_connector::database::Retries;
use pg_connector::{Database, Error, Scope, TableName};
use testbed::TestDatabase;

use crate::sessions::{database, one, within};

/// Takes the table's lock in one way or the other, and says whether it was granted in a short time.
async fn granted(database: &Database, table: &TableName, outside: bool) -> bool {
    let scope = within(Duration::from_millis(400));
    if outside {
        return database.lock_table_outside_transactions(table, &scope).await.is_ok();
    }
    let Ok((lock, mut session)) = database.lock_table(table, &scope).await else { return false };
    session.begin_locked(&lock).await.is_ok()
}

#[tokio::test]
async fn the_lock_holds_in_every_combination() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let (table, other) = (TableName::new("public", "t"), TableName::new("public", "u"));
        for max_connections in [1, 4] {
            let here = database(&test, max_connections);
            // Another pool stands for another process.
            let there = database(&test, max_connections);
            let scope = within(Duration::from_mins(1));
            for outside in [false, true] {
                let (lock, mut session) = if outside {
                    here.lock_table_outside_transactions(&table, &scope).await.unwrap()
                } else {
                    here.lock_table(&table, &scope).await.unwrap()
                };
                // Where the lock is held already, the transaction must not wait for itself.
                let transaction = session.begin_locked(&lock).await.unwrap();
                for outside in [false, true] {
                    assert!(!granted(&there, &table, outside).await, "{max_connections} {outside}");
                    assert!(granted(&there, &other, outside).await, "{max_connections} {outside}");
                    assert!(!granted(&here, &table, outside).await, "{max_connections} {outside}");
                }
                transaction.commit().await.unwrap();
                drop((lock, session));
                for outside in [false, true] {
                    assert!(granted(&there, &table, outside).await, "{max_connections} {outside}");
                    assert!(granted(&here, &table, outside).await, "{max_connections} {outside}");
                }
            }
        }
    }
}

#[tokio::test]
async fn waiting_for_a_lock_ends_with_the_operation_and_says_for_what() {
    let test = TestDatabase::new(18).await;
    let table = TableName::new("public", "t");
    let (here, there) = (database(&test, 2), database(&test, 2));
    let scope = Scope::default();
    let (lock, mut session) = here.lock_table(&table, &scope).await.unwrap();
    let _transaction = session.begin_locked(&lock).await.unwrap();
    let short = within(Duration::from_millis(200));
    let error = here.lock_table(&table, &short).await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot lock table public.t: another operation of this run is still working on it: timed out after 200ms"
    );
    let short = within(Duration::from_millis(200));
    let (lock, mut session) = there.lock_table(&table, &short).await.unwrap();
    let error = session.begin_locked(&lock).await.map(|_| ()).unwrap_err();
    assert_eq!(error.message(), "timed out after 200ms");
    assert!(error.doing().starts_with("lock table public.t"), "{error}");
}

/// A concurrent index build waits for the end of every transaction that it once saw with a snapshot, and a try is enough
/// to be seen. So whoever asks again must not do it in the same transaction: the build may be what has the lock.
#[tokio::test]
async fn who_waits_for_a_lock_holds_up_no_index_build() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let table = TableName::new("public", "t");
        for outside in [false, true] {
            let (here, there) = (database(&test, 2), database(&test, 2));
            let scope = within(Duration::from_mins(1));
            let (lock, mut session) = here.lock_table(&table, &scope).await.unwrap();
            let _held = session.begin_locked(&lock).await.unwrap();
            let (asking, table) = (scope.clone(), table.clone());
            let waiting = tokio::spawn(async move {
                if outside {
                    return there.lock_table_outside_transactions(&table, &asking).await.is_ok();
                }
                let (lock, mut session) = there.lock_table(&table, &asking).await.unwrap();
                session.begin_locked(&lock).await.is_ok()
            });
            let mut transactions: HashMap<String, HashSet<String>> = HashMap::new();
            while transactions.values().all(|starts| starts.len() < 3) {
                assert!(scope.stopped().is_none(), "each try is made in the same transaction: {transactions:?}");
                let open = "select pid || ' ' || xact_start from pg_stat_activity where xact_start is not null \
                    and datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
                for line in test.query(open).await.lines() {
                    let (pid, start) = line.split_once(' ').unwrap();
                    transactions.entry(pid.to_owned()).or_default().insert(start.to_owned());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            scope.cancel.cancel();
            assert!(!waiting.await.unwrap(), "it was granted although it was held");
        }
    }
}

#[tokio::test]
async fn a_concurrent_build_is_not_limited_by_the_configured_timeouts() {
    let test = TestDatabase::new(18).await;
    let mut settings = pg_connector::settings::Settings::parse(&test.url()).unwrap();
    settings.lock_timeout = Some(Duration::from_millis(1500));
    settings.statement_timeout = Some(Duration::from_mins(1));
    settings.max_connections = 2;
    let database = Database::new(settings).unwrap();
    let table = TableName::new("public", "t");
    let scope = within(Duration::from_secs(30));
    let both = "select current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')";
    let (lock, session) = database.lock_table_outside_transactions(&table, &scope).await.unwrap();
    assert_eq!(one(&session, both).await, "0 0");
    drop((lock, session));
    let session = database.connect(&scope).await.unwrap();
    assert_eq!(one(&session, both).await, "1500ms 1min");
}

#[tokio::test]
async fn a_transaction_that_deadlocks_is_run_again() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create table t (k int primary key, n int); insert into t values (1, 0), (2, 0)").await;
        let database = database(&test, 2);
        let meet = Arc::new(tokio::sync::Barrier::new(2));
        let deadlocks = Arc::new(AtomicU32::new(0));
        let tasks = [(1, 2), (2, 1)].map(|(first, second)| {
            let (database, meet, deadlocks) = (database.clone(), Arc::clone(&meet), Arc::clone(&deadlocks));
            tokio::spawn(async move {
                let scope = within(Duration::from_mins(1));
                let tries = AtomicU32::new(0);
                let attempt = async || {
                    let mut session = database.connect(&scope).await?;
                    let transaction = session.begin().await?;
                    let update = |key: i32| format!("update t set n = n + 1 where k = {key}");
                    transaction.batch_execute(&update(first)).await.unwrap();
                    if tries.fetch_add(1, Ordering::Relaxed) == 0 {
                        meet.wait().await;
                    }
                    transaction.batch_execute(&update(second)).await.map_err(|error| {
                        deadlocks.fetch_add(1, Ordering::Relaxed);
                        Error::postgres("update", &error)
                    })?;
                    transaction.commit().await.map_err(|error| Error::postgres("commit", &error))
                };
                let mut retries = Retries::new(&scope);
                while let Err(error) = attempt().await {
                    assert!(retries.again(&error).await, "{error}");
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(deadlocks.load(Ordering::Relaxed), 1);
        assert_eq!(test.query("select string_agg(n::text, ' ') from t").await, "2 2");
    }
}

#[tokio::test]
async fn many_index_builds_and_table_changes_finish_with_any_number_of_connections() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        for table in 0..40 {
            test.query(&format!(
                "create table t{table} (a int, b int, c int); insert into t{table} select i, i, i from generate_series(1, 50) i"
            ))
            .await;
        }
        for max_connections in [1, 2, 10] {
            let database = database(&test, max_connections);
            let most = Arc::new(AtomicU32::new(0));
            let tasks: Vec<_> = (0..160)
                .map(|i| {
                    let (database, most) = (database.clone(), Arc::clone(&most));
                    tokio::spawn(async move {
                        let (number, kind) = (i % 40, i / 40);
                        let table = TableName::new("public", format!("t{number}"));
                        let scope = within(Duration::from_mins(2));
                        if kind == 3 {
                            let (lock, mut session) = database.lock_table(&table, &scope).await.unwrap();
                            let transaction = session.begin_locked(&lock).await.unwrap();
                            let sql = format!("alter table {table} add column d int; alter table {table} drop column d");
                            transaction.batch_execute(&sql).await.unwrap();
                            transaction.commit().await.unwrap();
                        } else {
                            let column = ["a", "b", "c"][kind];
                            let (_lock, session) = database.lock_table_outside_transactions(&table, &scope).await.unwrap();
                            // An expression index waits for the snapshots of all other builds.
                            let build = format!("create index concurrently t{number}_{column} on {table} (({column} + 1))");
                            session.batch_execute(&build).await.unwrap();
                            let count = "select count(*)::text from pg_stat_activity where datname = current_database() \
                                and backend_type = 'client backend'";
                            most.fetch_max(one(&session, count).await.parse().unwrap(), Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let most = most.load(Ordering::Relaxed);
            assert!(most <= max_connections, "{most} connections, where {max_connections} are allowed");
            let valid = "select count(*) from pg_index i join pg_class c on c.oid = indexrelid where indisvalid and relname ~ '^t'";
            assert_eq!(test.query(valid).await, "120");
            drop(database);
            for table in 0..40 {
                test.query(&format!("drop index t{table}_a, t{table}_b, t{table}_c")).await;
            }
        }
    }
}
