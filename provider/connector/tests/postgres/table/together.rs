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
                    let change = TableChange {
                        desired,
                        prior: None,
                        observed: None,
                        rows: None,
                        owned: None,
                        server_digest: None,
                        rows_drifted: false,
                        force_destroy: false,
                        create_vector_extension: true,
                    };
                    table::apply(&database, &scope(), &change, true).await.map(drop)
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
