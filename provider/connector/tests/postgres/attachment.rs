//! Attachments on a real server.

use std::sync::Arc;

use pg_connector::attachment::{self, Attachment, OnTeardownError, Remains};
use pg_connector::{Blame, Database, Scope, TableName};
use testbed::TestDatabase;

use crate::sessions::database as connect_with;

fn attachment(setup: &str, teardown: Option<&str>) -> Attachment {
    Attachment {
        table: TableName::new("public", "t"),
        name: "att".to_owned(),
        setup_sql: setup.to_owned(),
        teardown_sql: teardown.map(str::to_owned),
        check_sql: None,
        transactional: true,
        on_teardown_error: OnTeardownError::Fail,
        in_part: false,
    }
}

fn step_by_step(setup: &str, teardown: Option<&str>) -> Attachment {
    Attachment { transactional: false, ..attachment(setup, teardown) }
}

async fn on_each_version<F: Future<Output = ()>>(run: impl Fn(Arc<TestDatabase>, Database) -> F) {
    for major in TestDatabase::VERSIONS {
        let test = Arc::new(TestDatabase::new(major).await);
        test.query("create table t (id bigint primary key, d text); create table log (n serial, what text)").await;
        Box::pin(run(Arc::clone(&test), connect_with(&test, 10))).await;
    }
}

async fn log(test: &TestDatabase) -> String {
    test.query("select coalesce(string_agg(what, ',' order by n), '') from log").await
}

fn says(what: &str) -> String {
    format!("insert into log (what) values ('{what}')")
}

#[tokio::test]
async fn the_teardown_in_force_runs_before_the_new_setup() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        for transactional in [true, false] {
            test.query("truncate log").await;
            let with = |setup: &str, teardown: &str| Attachment {
                transactional,
                ..attachment(&says(setup), Some(&says(teardown)))
            };
            let first = with("s1", "t1");
            attachment::create(&database, &scope, &first).await.unwrap();
            let second = with("s2", "t2");
            attachment::change(&database, &scope, &first, &second).await.unwrap();
            let third = with("s2", "t3");
            attachment::change(&database, &scope, &second, &third).await.unwrap();
            assert_eq!(log(&test).await, "s1,t1,s2");
            attachment::destroy(&database, &scope, &third).await.unwrap();
            assert_eq!(log(&test).await, "s1,t1,s2,t3");
        }
    })
    .await;
}

#[tokio::test]
async fn a_transactional_text_runs_wholly_or_not_at_all() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        let broken = format!("{}; select 1/0", says("half"));
        let error = attachment::create(&database, &scope, &attachment(&broken, None)).await.unwrap_err().error;
        assert_eq!(error.sqlstate(), Some("22012"));
        assert_eq!(log(&test).await, "");
        let old = attachment(&says("s1"), Some(&says("t1")));
        attachment::create(&database, &scope, &old).await.unwrap();
        let failure = attachment::change(&database, &scope, &old, &attachment(&broken, None)).await.unwrap_err();
        assert_eq!(failure.remains, Remains::AsBefore);
        assert_eq!(log(&test).await, "s1", "the old one is still in force");
        let teardown = format!("{}; drop view nowhere", says("t1"));
        let old = attachment(&says("s1"), Some(&teardown));
        let error = attachment::destroy(&database, &scope, &old).await.unwrap_err().error;
        assert!(error.message().contains("nowhere") && error.advised().unwrap().contains("if exists"), "{error}");
        assert_eq!(log(&test).await, "s1");
        let lenient = Attachment { on_teardown_error: OnTeardownError::Warn, ..old.clone() };
        let new = Attachment { setup_sql: says("s2"), ..lenient.clone() };
        let warnings = attachment::change(&database, &scope, &old, &new).await.unwrap();
        assert!(warnings[0].detail.contains("nowhere"), "{warnings:?}");
        assert_eq!(log(&test).await, "s1,s2", "the failed teardown is undone, the setup is not");
        assert_eq!(attachment::destroy(&database, &scope, &lenient).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn other_texts_run_statement_by_statement() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        let cx = step_by_step("create index concurrently cx on t (d); vacuum t", Some("drop index concurrently cx"));
        attachment::create(&database, &scope, &cx).await.unwrap();
        attachment::destroy(&database, &scope, &cx).await.unwrap();
        let broken = format!("{};\n{};\nselect 1/0; {}", says("one"), says("two"), says("four"));
        let failure = attachment::create(&database, &scope, &step_by_step(&broken, None)).await.unwrap_err();
        assert_eq!(failure.remains, Remains::NewInPart, "what has run is not forgotten");
        let error = failure.error;
        assert!(error.advised().unwrap().contains("statements 1 to 2 have run and stay"), "{error:?}");
        assert_eq!(log(&test).await, "one,two");
        let old = step_by_step(&says("s1"), Some(&says("t1")));
        let failure = attachment::change(&database, &scope, &old, &step_by_step("select 1/0", None)).await.unwrap_err();
        assert_eq!(failure.remains, Remains::Nothing);
        let explicit = format!("begin; {}; {}; commit", says("b1"), says("b2"));
        attachment::create(&database, &scope, &step_by_step(&explicit, None)).await.unwrap();
        let open = format!("begin; {}", says("lost"));
        let error = attachment::create(&database, &scope, &step_by_step(&open, None)).await.unwrap_err().error;
        assert!(error.message().contains("does not end it"), "{error}");
        assert_eq!(log(&test).await, "one,two,t1,b1,b2");
        let error =
            attachment::create(&database, &scope, &attachment("create index concurrently cx on t (d)", None)).await;
        assert!(error.unwrap_err().error.advised().unwrap().contains("transactional = false"));
    })
    .await;
}

#[tokio::test]
async fn what_failed_halfway_can_be_torn_down() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        let both = step_by_step(
            "create index one on t (d); select 1/0; create index two on t (d)",
            Some("drop index two; drop index one; drop table only_once"),
        );
        test.query("create table only_once ()").await;
        let failure = attachment::create(&database, &scope, &both).await.unwrap_err();
        assert_eq!(failure.remains, Remains::NewInPart);
        assert!(attachment::destroy(&database, &scope, &both).await.is_err(), "of a whole one nothing may be missing");
        let in_part = Attachment { in_part: true, check_sql: Some("select 1 where false".to_owned()), ..both.clone() };
        assert!(attachment::read(&database, &scope, &in_part).await.unwrap(), "it is still to be torn down");
        let warnings = attachment::destroy(&database, &scope, &in_part).await.unwrap();
        assert!(warnings[0].detail.contains("index \"two\" does not exist"), "{warnings:?}");
        let left = "select count(*) from pg_class where relname in ('one', 'two', 'only_once')";
        assert_eq!(test.query(left).await, "0");

        // A teardown that fails for another reason stops, and says how far it was.
        let stuck = step_by_step("create view v as select 1", Some("drop view v; select 1/0"));
        attachment::create(&database, &scope, &stuck).await.unwrap();
        let failure = attachment::destroy(&database, &scope, &stuck).await.unwrap_err();
        assert_eq!(failure.remains, Remains::OldInPart);
        let stuck = Attachment { in_part: true, ..stuck };
        let failure = attachment::destroy(&database, &scope, &stuck).await.unwrap_err();
        assert_eq!((failure.error.sqlstate(), failure.remains), (Some("22012"), Remains::OldInPart));
        let mended = Attachment { teardown_sql: Some("drop view v; select 1".to_owned()), ..stuck };
        assert_eq!(attachment::destroy(&database, &scope, &mended).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_error_shows_its_place_and_no_secret() {
    on_each_version(|_, database| async move {
        let scope = Scope::default();
        let setup = "create role r password 'geheim';\n\nselect 'geheim',\n  wrong from t";
        let error = attachment::create(&database, &scope, &attachment(setup, None)).await.unwrap_err().error;
        assert!(error.doing().ends_with("statement 2, line 4, column 3"), "{error}");
        assert_eq!(error.failed_statement(), Some("  select '***',\n    wrong from t\n    ^"));
        assert_eq!((error.sqlstate(), error.blamed()), (Some("42703"), None), "what is pointed at is shown");
        let plain = attachment::create(&database, &scope, &attachment("select wrong", None)).await.unwrap_err().error;
        assert_eq!(plain.blamed(), Some(&Blame::Attribute("setup_sql")));
        let raising =
            "do $$ begin raise exception 'told %', 5 using detail = 'why', hint = 'what', errcode = 'XY123'; end $$";
        let error = attachment::create(&database, &scope, &attachment(raising, None)).await.unwrap_err().error;
        let server = error.server().unwrap();
        assert_eq!(
            (error.message(), server.detail.as_deref(), server.hint.as_deref()),
            ("told 5", Some("why"), Some("what"))
        );
        assert_eq!(server.sqlstate, "XY123");
        for setup in [
            "create role r password 'geheim' wrong",
            "create role r passwort 'geheim'",
            "do $$ begin execute 'create role r passwort ''geheim'''; end $$",
            "do $$ declare a text; begin a := 'geheim'; perform 1/0; end $$",
            "select 'geheim",
        ] {
            let error = attachment::create(&database, &scope, &attachment(setup, None)).await.unwrap_err().error;
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_check_finds_out_what_is_gone() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        let checked = Attachment {
            check_sql: Some("select 1 from pg_indexes where indexname = 'ix' -- there\n;".to_owned()),
            ..attachment("create index ix on t (d)", Some("drop index ix"))
        };
        attachment::create(&database, &scope, &checked).await.unwrap();
        assert!(attachment::read(&database, &scope, &checked).await.unwrap());
        test.query("drop index ix").await;
        assert!(!attachment::read(&database, &scope, &checked).await.unwrap());
        let check = |sql: &str| Attachment { check_sql: Some(sql.to_owned()), ..attachment("select 1", None) };
        for (sql, there) in [("select null", true), ("select 1 where false", false), ("select 1 from gone", false)] {
            assert_eq!(attachment::read(&database, &scope, &check(sql)).await.unwrap(), there, "{sql}");
        }
        test.query(
            "create function writes() returns int language plpgsql as $$ begin insert into log (what) values ('no'); return 1; end $$",
        )
        .await;
        for sql in [
            "insert into log (what) values ('no') returning 1",
            "with w as (insert into log (what) values ('no') returning 1) select * from w",
            "select writes()",
            "select nextval('log_n_seq')",
            "select set_config('transaction_read_only', 'off', true), writes()",
            "create table made as select 1",
        ] {
            let error = attachment::read(&database, &scope, &check(sql)).await.unwrap_err();
            let told = error.advised().is_some_and(|advice| advice.contains("read-only")) || error.sqlstate() == Some("25001");
            assert!(told, "{sql}: {error:?}");
            let with_setup = Attachment { setup_sql: says("set up"), ..check(sql) };
            assert!(attachment::create(&database, &scope, &with_setup).await.is_err(), "{sql}");
        }
        // What a check changes in its session and does not write is gone too, and the setup beside it stays.
        let sets = check("select set_config('work_mem', '1MB', false), pg_notify('x', 'y')");
        attachment::create(&database, &scope, &Attachment { setup_sql: says("kept"), ..sets.clone() }).await.unwrap();
        assert!(attachment::read(&database, &scope, &sets).await.unwrap());
        assert_eq!(log(&test).await, "kept");
        test.query("truncate log").await;
        let blind = Attachment { setup_sql: says("set up"), ..check("select 1 where false") };
        let error = attachment::create(&database, &scope, &blind).await.unwrap_err().error;
        assert_eq!(error.blamed(), Some(&Blame::Attribute("check_sql")));
        assert_eq!(log(&test).await, "");
    })
    .await;
}

#[tokio::test]
async fn a_missing_table_is_gone_and_no_failure_of_the_teardown() {
    on_each_version(|test, database| async move {
        let scope = Scope::default();
        let index = attachment("create index ix on t (d)", Some("drop index ix"));
        attachment::create(&database, &scope, &index).await.unwrap();
        assert!(attachment::read(&database, &scope, &index).await.unwrap());
        test.query("drop table t").await;
        assert!(!attachment::read(&database, &scope, &index).await.unwrap());
        let warnings = attachment::destroy(&database, &scope, &index).await.unwrap();
        assert!(warnings[0].detail.contains("its table is gone"), "{warnings:?}");
        for other in [attachment(&says("x"), None), step_by_step(&says("x"), None)] {
            let error = attachment::create(&database, &scope, &other).await.unwrap_err().error;
            assert_eq!(error.blamed(), Some(&Blame::Attribute("table")), "{error}");
        }
        assert_eq!(log(&test).await, "");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_the_session_reaches_others() {
    on_each_version(|test, _| async move {
        let database = connect_with(&test, 1);
        let scope = Scope::default();
        let setup = "set role pg_monitor; set search_path = pg_catalog; set work_mem = '1MB'; create temporary table tmp (); \
            prepare p as select 1; listen x; select pg_advisory_lock(1)";
        for transactional in [true, false, true] {
            let leaky = Attachment { transactional, ..attachment(setup, None) };
            attachment::create(&database, &scope, &leaky).await.unwrap();
            let session = database.connect(&scope).await.unwrap();
            let sql = "select current_user::text, current_setting('search_path') ~ 'public', \
                (select count(*) from pg_prepared_statements where name = 'p'), to_regclass('pg_temp.tmp') is null";
            let row = session.query_one(sql, &[]).await.unwrap();
            let found: (String, bool, i64, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
            assert_eq!(found, ("postgres".to_owned(), true, 0, true));
        }
    })
    .await;
}

#[tokio::test]
async fn remarks_of_the_server_come_back() {
    on_each_version(|_, database| async move {
        let setup = "do $$ begin raise notice 'hello %', 1; raise warning 'mind'; end $$; drop view if exists nowhere";
        let warnings = attachment::create(&database, &Scope::default(), &attachment(setup, None)).await.unwrap();
        assert_eq!(warnings.len(), 1);
        for part in ["NOTICE: hello 1", "WARNING: mind", "\"nowhere\" does not exist, skipping"] {
            assert!(warnings[0].detail.contains(part), "{warnings:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_attachments_are_for_goes_round() {
    on_each_version(|_, database| async move {
        let scope = Scope::default();
        for (setup, teardown) in [
            (
                "create function f() returns trigger language plpgsql as $f$ begin new.d := coalesce(new.d, ';'); return new; end $f$;\n\
                 create trigger tr before insert on t for each row execute function f()",
                "drop trigger tr on t; drop function f()",
            ),
            (
                "create function twice(a bigint) returns bigint begin atomic; select case when a > 0 then a * 2 else 0 end; end;\n\
                 create view v as select twice(id) as two from t",
                "drop view v; drop function twice(bigint)",
            ),
            ("alter table t add column fts tsvector generated always as (to_tsvector('simple', d)) stored; create index f on t using gin (fts)", "alter table t drop column fts"),
            ("alter table t enable row level security; create policy p on t using (d <> '')", "drop policy p on t; alter table t disable row level security"),
            ("grant select on t to pg_monitor; comment on column t.d is 'it''s; fine'", "revoke select on t from pg_monitor; comment on column t.d is null"),
            ("create rule r as on update to t do also (insert into log (what) values ('a'); insert into log (what) values ('b'))", "drop rule r on t"),
        ] {
            let both = attachment(setup, Some(teardown));
            for _ in 0..2 {
                attachment::create(&database, &scope, &both).await.unwrap();
                attachment::destroy(&database, &scope, &both).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocks_with_others_are_tried_again() {
    on_each_version(|test, database| async move {
        test.query(
            "create table a (n int); create table b (n int); insert into a values (0); insert into b values (0)",
        )
        .await;
        let mut running = tokio::task::JoinSet::new();
        for (i, (one, two)) in [("a", "b"), ("b", "a")].into_iter().cycle().take(6).enumerate() {
            let database = database.clone();
            running.spawn(async move {
                // Each belongs to a table of its own, so no lock of ours keeps them apart.
                let setup =
                    format!("lock table {one}; select pg_sleep(0.2); lock table {two}; update {two} set n = n + 1");
                let on = Attachment { name: format!("d{i}"), ..attachment(&setup, None) };
                let on = Attachment { table: TableName::new("public", if i % 2 == 0 { "t" } else { "log" }), ..on };
                attachment::create(&database, &Scope::default(), &on).await.unwrap();
            });
        }
        while let Some(result) = running.join_next().await {
            result.unwrap();
        }
        assert_eq!(test.query("select (select n from a) + (select n from b)").await, "6");
    })
    .await;
}
