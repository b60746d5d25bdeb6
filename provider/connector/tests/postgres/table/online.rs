//! Who writes to a table while it is changed, and what is left when a change is cut off.

use super::*;

/// What a change may make somebody wait who writes.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// Columns by name, with what is said of each.
type Columns = &'static [(&'static str, &'static str)];

/// Kinds of changes that a plan does not warn of.
const HARMLESS: &[(Columns, Columns)] = &[
    (&[("a", "text")], &[("a", "text"), ("b", "int")]),
    (&[("a", "text")], &[("a", "text"), ("b", "int not null default 5")]),
    (&[("a", "text")], &[("a", "text not null")]),
    (&[("a", "text not null")], &[("a", "text")]),
    (&[("a", "text")], &[("a", "text default 'x' -- c")]),
    (&[("a", "text default 'x'")], &[("a", "text")]),
    (&[("a", "varchar(5)")], &[("a", "varchar(9)")]),
    (&[("a", "text"), ("b", "int")], &[("a", "text")]),
];

#[tokio::test]
async fn who_writes_does_not_wait_longer_than_the_lock_timeout_unless_the_plan_says_so() {
    for (at, (from, to)) in HARMLESS.iter().enumerate() {
        let mut t = Target::new(TestDatabase::VERSIONS[at % 2]).await;
        let mut settings = Settings::parse(&t.server.url()).unwrap();
        settings.lock_timeout = Some(LOCK_TIMEOUT);
        t.database = Database::new(settings).unwrap();
        t.apply(from).await.unwrap();
        t.query("insert into t (id, a) select i, 'x' from generate_series(1, 20000) i").await;
        let warnings = t.veto(&t.spec(to)).await.unwrap();
        assert_eq!(warnings, [], "{to:?}");
        // Somebody reads for a long time, so that no exclusive lock is granted; who asks for one keeps writers waiting.
        let reader = crate::rows::connect(&t.server).await;
        reader.batch_execute("begin; select count(*) from t").await.unwrap();
        let writer = crate::rows::connect(&t.server).await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(async move {
            let (mut longest, mut next) = (Duration::ZERO, 0);
            while stopped.try_recv().is_err() {
                next -= 1;
                let start = Instant::now();
                writer.batch_execute(&format!("insert into t (id, a) values ({next}, 'x')")).await.unwrap();
                longest = longest.max(start.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            longest
        });
        let reading = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            reader.batch_execute("commit").await.unwrap();
        });
        t.apply(to).await.unwrap();
        stop.send(()).unwrap();
        let longest = writing.await.unwrap();
        reading.await.unwrap();
        // Far less than the reader took; the rest is for a busy machine.
        assert!(longest < LOCK_TIMEOUT + Duration::from_millis(1300), "{to:?}: {longest:?}");
    }
}

/// Ends the session that is about to run its nth `ALTER TABLE`.
async fn kill_at(t: &Target, nth: usize) {
    t.query(&format!(
        "drop event trigger if exists killer; drop sequence if exists killed; create sequence killed; \
         create or replace function kill() returns event_trigger language plpgsql as \
         'begin if nextval(''killed'') = {nth} then perform pg_terminate_backend(pg_backend_pid()); end if; end'; \
         create event trigger killer on ddl_command_start when tag in ('ALTER TABLE') execute function kill()"
    ))
    .await;
}

#[tokio::test]
async fn null_that_is_forbidden_online_is_finished_wherever_it_was_cut_off() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let checks = "select count(*), count(*) filter (where convalidated) from pg_constraint where conrelid = 't'::regclass and contype = 'c'";
        for (nth, left) in [(1, "0|0"), (2, "1|0"), (3, "1|1"), (4, "1|1")] {
            t.apply(&[("a", "text")]).await.unwrap();
            t.query("insert into t values (1, 'x') on conflict do nothing").await;
            kill_at(&t, nth).await;
            t.apply(&[("a", "text not null")]).await.unwrap_err();
            t.query("drop event trigger killer").await;
            assert_eq!(t.query(checks).await, left, "killed at {nth}");
            assert_eq!(t.columns().await, "id bigint !, a text", "killed at {nth}");
            // The next apply looks again, and finishes.
            t.refresh().await;
            t.apply(&[("a", "text not null")]).await.unwrap();
            assert_eq!(t.columns().await, "id bigint !, a text !");
            assert_eq!(t.query(checks).await, "0|0");
        }
    }
}

#[tokio::test]
async fn a_change_that_is_cut_off_anywhere_has_not_happened() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let first = t.spec(&[("a", "int"), ("b", "text"), ("gone", "text")]);
        t.apply_rows(&first, &json!([{"id": 1, "a": 1, "b": "x"}])).await.unwrap();
        let second = t.spec(&[("a", "bigint default 5"), ("b", "text not null -- c"), ("n", "int not null")]);
        let rows = json!([{"id": 1, "a": 2, "b": "x", "n": 1}, {"id": 2, "a": 2, "b": "y", "n": 2}]);
        let steps = table::plan(&t.change(&second, &rows)).steps;
        let alters = steps.iter().filter(|step| step.sql.starts_with("alter table")).count();
        assert!(alters >= 5, "{steps:?}");
        let before = (t.columns().await, t.query("select * from t").await);
        for nth in 1..=alters {
            kill_at(&t, nth).await;
            t.apply_rows(&second, &rows).await.unwrap_err();
            t.query("drop event trigger killer").await;
            assert_eq!((t.columns().await, t.query("select * from t").await), before, "killed at {nth}");
        }
        t.refresh().await;
        t.apply_rows(&second, &rows).await.unwrap();
        assert_eq!(t.query("select id, a, b, n from t order by id").await, "1|2|x|1\n2|2|y|2");
    }
}

/// `set not null` cannot follow a deferred trigger that is still to run; it is run first.
#[tokio::test]
async fn deferred_work_is_done_before_null_is_forbidden() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let rows = |b: &str| json!([{"id": 1, "a": "x", "b": b}]);
        t.apply_rows(&t.spec(&[("a", "text"), ("b", "text")]), &rows("1")).await.unwrap();
        t.query(
            "create table other (id bigint primary key); insert into other values (1), (2); \
             alter table t add foreign key (id) references other deferrable initially deferred",
        )
        .await;
        let steps = t.spec(&[("a", "text not null"), ("b", "text")]);
        t.apply_rows(&steps, &rows("2")).await.unwrap();
        assert_eq!(t.columns().await, "id bigint !, a text !, b text");
    }
}
