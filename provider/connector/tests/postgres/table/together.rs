//! Others at work on the same table or database at the same time, or before us.

use super::*;

#[tokio::test]
async fn an_interrupted_set_not_null_is_finished_or_cleared_up() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        let steps = table::plan(&t.change(&t.spec(&[("a", "text not null")]), &json!([]))).steps;
        // Whatever of it has run when the process is killed: the next apply finishes it, or takes it back.
        for run in [1, 2] {
            for finish in [true, false] {
                for step in &steps[..run] {
                    t.query(&step.sql).await;
                }
                let stale = t.change(&t.spec(&[("a", "text not null")]), &json!([]));
                t.refresh().await;
                if finish {
                    // Also with a plan that was made before.
                    table::apply(&t.database, &scope(), &stale, false).await.unwrap();
                    t.refresh().await;
                    t.apply(&[("a", "text not null")]).await.unwrap();
                    assert_eq!(t.columns().await, "id bigint !, a text !");
                }
                t.apply(&[("a", "text")]).await.unwrap();
                assert_eq!(t.columns().await, "id bigint !, a text");
                assert_eq!(
                    t.query("select count(*) from pg_constraint where conrelid = 't'::regclass and contype = 'c'")
                        .await,
                    "0"
                );
            }
        }
    }
}

#[tokio::test]
async fn many_tables_share_one_schema_and_one_extension() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        for round in 0..3 {
            let mut tasks = tokio::task::JoinSet::new();
            for i in 0..20 {
                // Every second one is another process.
                let database = database(&server);
                let name = TableName::new(format!("app{round}"), format!("t{i}"));
                let desired = spec(&name, &[("e", "vector(3)")]);
                tasks.spawn(async move {
                    table::apply(&database, &scope(), &TableChange::create(desired), true).await.map(drop)
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap().unwrap();
            }
            assert_eq!(
                server.query(&format!("select count(*) from pg_tables where schemaname = 'app{round}'")).await,
                "20"
            );
            server.query(&format!("drop schema app{round} cascade; drop extension vector")).await;
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_not_granted_is_asked_for_again_and_nobody_waits_long() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        let reader = crate::rows::connect(&t.server).await;
        reader.batch_execute("begin; select * from t").await.unwrap();
        let writer = crate::rows::connect(&t.server).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let release = tokio::spawn(async move {
            stopped.await.ok();
            reader.batch_execute("commit").await.unwrap();
        });
        // While the reader holds its lock, a writer behind us waits no longer than our short patience.
        let writing = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            for i in 0..40 {
                let start = Instant::now();
                writer.batch_execute(&format!("insert into t (id) values ({i})")).await.unwrap();
                longest = longest.max(start.elapsed());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            stop.send(()).ok();
            longest
        });
        t.apply(&[("a", "text"), ("b", "int")]).await.unwrap();
        let longest = writing.await.unwrap();
        release.await.unwrap();
        assert!(longest < Duration::from_millis(3500), "{longest:?}");
        assert_eq!(t.columns().await, "id bigint !, a text, b integer");
        // And when the time is up, the error says so.
        let holder = crate::rows::connect(&t.server).await;
        holder.batch_execute("begin; select * from t").await.unwrap();
        let short = Scope::new(CancellationToken::new(), Some(Duration::from_secs(1)));
        let change = t.change(&t.spec(&[("a", "text")]), &json!([]));
        let error = table::apply(&t.database, &short, &change, true).await.unwrap_err();
        assert!(error.message().contains("timed out after 1s"), "{error}");
    }
}

#[tokio::test]
async fn of_two_applies_at_once_one_waits_and_then_says_what_it_found() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let other = database(&t.server);
        let create = t.change(&t.spec(&[("a", "text")]), &json!([]));
        let scope = scope();
        let (one, two) =
            tokio::join!(table::apply(&t.database, &scope, &create, true), table::apply(&other, &scope, &create, true));
        let errors: Vec<Error> = [&one, &two].into_iter().filter_map(|result| result.as_ref().err().cloned()).collect();
        assert!(matches!(errors.as_slice(), [error] if error.message().contains("exists already")), "{errors:?}");
        t.prior = Some(create.desired.clone());
        t.observed = one.or(two).ok().map(|applied| applied.observed);
        let add = |name: &str| t.change(&t.spec(&[("a", "text"), (name, "int not null default 1")]), &json!([]));
        let (b, c) = (add("b"), add("b"));
        let (one, two) =
            tokio::join!(table::apply(&t.database, &scope, &b, true), table::apply(&other, &scope, &c, true));
        let errors: Vec<Error> = [&one, &two].into_iter().filter_map(|result| result.as_ref().err().cloned()).collect();
        assert!(matches!(errors.as_slice(), [error] if error.message().contains("column b was added")), "{errors:?}");
        assert_eq!(t.columns().await, "id bigint !, a text, b integer ! 1");
    }
}

#[tokio::test]
async fn null_is_forbidden_online_while_others_write() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        t.query("insert into t select i, repeat('x', 100) from generate_series(1, 200000) i").await;
        let writer = crate::rows::connect(&t.server).await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(async move {
            let (mut longest, mut count) = (Duration::ZERO, 0);
            while stopped.try_recv().is_err() {
                let start = Instant::now();
                writer.batch_execute(&format!("insert into t values (-{count} - 1, 'x')")).await.unwrap();
                longest = longest.max(start.elapsed());
                count += 1;
            }
            (longest, count)
        });
        t.apply(&[("a", "text not null")]).await.unwrap();
        stop.send(()).unwrap();
        let (longest, count) = writing.await.unwrap();
        assert!(count > 0 && longest < Duration::from_secs(2), "{count} writes, the longest took {longest:?}");
        assert_eq!(t.columns().await, "id bigint !, a text !");
    }
}

/// Tables that come, change and go beside each other, through one pool or two of that many connections.
struct Crowd {
    databases: Vec<Database>,
    schema: String,
}

impl Crowd {
    /// Runs one change of each table at once.
    async fn each(&self, count: usize, change: impl Fn(TableName) -> TableChange) -> Vec<Applied> {
        let tasks: Vec<_> = (0..count)
            .map(|at| {
                let database = self.databases[at % self.databases.len()].clone();
                let change = change(TableName::new(&*self.schema, format!("t{at}")));
                tokio::spawn(async move { table::apply(&database, &scope(), &change, true).await })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            done.push(task.await.unwrap().unwrap());
        }
        done
    }
}

fn crowded(desired: TableSpec, before: Option<(TableSpec, ObservedTable)>, rows: &Value) -> TableChange {
    let objects = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
    let rows: Vec<_> = objects.enumerate().map(|(at, row)| (RowLabel::Index(at), row)).collect();
    let owned = before.as_ref().map(|(prior, _)| rows::declare(prior, &rows).unwrap().into());
    let (prior, observed) = before.unzip();
    TableChange {
        rows: Some(rows::declare(&desired, &rows).unwrap().into()),
        desired,
        prior,
        observed,
        owned,
        server_digest: None,
        rows_drifted: false,
        force_destroy: false,
        create_vector_extension: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_tables_at_once_need_no_more_connections_than_they_may_have() {
    const TABLES: usize = 50;
    let rounds = if std::env::var("TESTBED_MATRIX").is_ok_and(|matrix| matrix == "full") { 20 } else { 1 };
    for (major, connections, processes) in [(18, 1, 1), (16, 2, 2), (18, 10, 2)] {
        let server = TestDatabase::new(major).await;
        let databases: Vec<Database> = (0..processes)
            .map(|_| {
                let mut settings = Settings::parse(&server.url()).unwrap();
                settings.max_connections = connections;
                settings.application_name = "crowd".to_owned();
                Database::new(settings).unwrap()
            })
            .collect();
        for round in 0..rounds {
            // Each round begins without the schema and without the extension.
            let crowd = Crowd { databases: databases.clone(), schema: format!("round{round}") };
            let rows = json!([{"id": 1, "a": 1, "e": [1, 2, 3]}, {"id": 2, "a": 2}]);
            let first = |name: &TableName| spec(name, &[("a", "int"), ("e", "vector(3)")]);
            let made = crowd.each(TABLES, |name| crowded(first(&name), None, &rows)).await;
            let second = |name: &TableName| spec(name, &[("a", "bigint"), ("e", "vector(3)"), ("n", "int default 7")]);
            let seen = |name: &TableName| made[name.name[1..].parse::<usize>().unwrap()].observed.clone();
            let changed =
                crowd.each(TABLES, |name| crowded(second(&name), Some((first(&name), seen(&name))), &rows)).await;
            // Null is forbidden online, in several transactions each.
            let third = |name: &TableName| {
                spec(name, &[("a", "bigint not null"), ("e", "vector(3)"), ("n", "int not null default 7")])
            };
            let seen = |name: &TableName| changed[name.name[1..].parse::<usize>().unwrap()].observed.clone();
            let finished =
                crowd.each(TABLES, |name| crowded(third(&name), Some((second(&name), seen(&name))), &rows)).await;
            let sums = "select count(distinct table_name), count(*) filter (where is_nullable = 'NO') \
                from information_schema.columns where table_schema = 'round'";
            let sums = sums.replace("round", &format!("round{round}"));
            assert_eq!(server.query(&sums).await, "50|150");
            let drops: Vec<_> = finished
                .into_iter()
                .enumerate()
                .map(|(at, applied)| {
                    let name = TableName::new(&*crowd.schema, format!("t{at}"));
                    let database = databases[at % processes as usize].clone();
                    let owned = crowded(third(&name), Some((third(&name), applied.observed.clone())), &rows).owned;
                    let dropping = TableDrop {
                        declared: third(&name),
                        observed: Some(applied.observed),
                        owned,
                        force_destroy: false,
                    };
                    tokio::spawn(async move { table::drop(&database, &scope(), &dropping).await })
                })
                .collect();
            for dropping in drops {
                dropping.await.unwrap().unwrap();
            }
            let left =
                "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where nspname ~ '^round'";
            assert_eq!(server.query(left).await, "0");
            server.query(&format!("drop schema round{round}; drop extension vector")).await;
        }
        let log = server.log().await;
        for word in ["deadlock detected", "tuple concurrently"] {
            assert!(!log.contains(word), "{connections} connections, {processes} processes: {word}");
        }
        let most = most_at_once(&log);
        assert!((1..=connections * processes).contains(&most), "{most} of {connections} for each of {processes}");
    }
}

/// How many connections of the crowd were open at the same time, by the server's log.
fn most_at_once(log: &str) -> u32 {
    let mut open = std::collections::HashSet::new();
    let mut most = 0;
    for line in log.lines() {
        let Some((_, rest)) = line.split_once(" [") else { continue };
        let Some((pid, entry)) = rest.split_once("] LOG:  ") else { continue };
        if entry.starts_with("connection authorized") && entry.contains("application_name=crowd") {
            open.insert(pid);
            most = most.max(open.len());
        } else if entry.starts_with("disconnection") {
            open.remove(pid);
        }
    }
    u32::try_from(most).unwrap()
}

#[tokio::test]
async fn a_look_of_the_plan_that_takes_too_long_is_no_failed_change() {
    let mut t = Target::new(18).await;
    t.apply(&[("a", "text")]).await.unwrap();
    let session = t.database.connect(&scope()).await.unwrap();
    session.batch_execute("begin; lock table t in access exclusive mode").await.unwrap();
    let short = || Scope::new(CancellationToken::new(), Some(Duration::from_millis(300)));
    let change = t.change(&t.spec(&[("a", "text"), ("b", "text")]), &json!([]));
    let errors = table::veto(&t.database, &short(), &change).await.unwrap_err();
    assert_eq!(errors[0].to_string(), "cannot read table public.t for the plan: timed out after 300ms");
    let errors = table::veto_drop(&t.database, &short(), &t.to_drop()).await.unwrap_err();
    assert_eq!(errors[0].doing(), "read table public.t for the plan");
    session.batch_execute("rollback").await.unwrap();
    // What the declaration is to blame for is still about the change.
    t.query("insert into t values (1, 'theirs')").await;
    assert_eq!(t.veto(&t.spec(&[])).await.unwrap_err()[0].doing(), "change table public.t");
}
