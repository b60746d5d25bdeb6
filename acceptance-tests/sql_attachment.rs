//! Attachments: set up once, torn down with the old text, and all or nothing.

use testbed::Workspace;

use crate::support::{alternating, attachment, everywhere, exists, once, table};

fn with(setup: &str, teardown: &str) -> String {
    with_more(setup, teardown, "")
}

fn with_more(setup: &str, teardown: &str, more: &str) -> String {
    format!("{}{}", table("d text", ""), attachment(setup, teardown, more))
}

fn says(what: &str) -> String {
    format!("insert into history (what) values ('{what}');")
}

/// A table in which setups and teardowns leave their names.
fn history(w: &Workspace) {
    w.sql("create table history (n serial, what text)");
}

fn what(w: &Workspace) -> String {
    w.sql("select string_agg(what, ' ' order by n) from history")
}

#[test]
fn each_text_runs_when_its_time_has_come() {
    everywhere(|w| {
        history(w);
        w.apply(&with(&says("s1"), &says("t1")));
        assert_eq!(what(w), "s1");
        w.apply(&with(&says("s2"), &says("t2")));
        assert_eq!(what(w), "s1 t1 s2");
        // A teardown alone is only remembered.
        w.apply(&with(&says("s2"), &says("t3")));
        assert_eq!(what(w), "s1 t1 s2");
        w.apply(&table("d text", ""));
        assert_eq!(what(w), "s1 t1 s2 t3");
    });
}

#[test]
fn a_full_text_index_comes_and_goes() {
    alternating(|w| {
        w.apply(&with(
            "create index content_fts on t using gin (to_tsvector('english', d))",
            "drop index if exists content_fts",
        ));
        assert!(exists(w, "content_fts"));
        w.apply(&table("d text", ""));
        assert!(!exists(w, "content_fts") && exists(w, "t"));
    });
}

#[test]
fn several_statements_with_bodies_of_their_own() {
    alternating(|w| {
        let setup = "create function f() returns trigger language plpgsql as $$ begin new.d := new.d || ';'; return new; end $$;\n\
                     -- a comment; with a semicolon\n\
                     create trigger tr before insert on t for each row execute function f();";
        w.apply(&with(setup, "drop trigger tr on t; drop function f()"));
        w.sql("insert into t values (1, 'x')");
        assert_eq!(w.sql("select d from t"), "x;");
        w.sql("delete from t");
        w.destroy();
        assert_eq!(w.sql("select count(*) from pg_proc where proname = 'f'"), "0");
    });
}

#[test]
fn a_failed_change_keeps_the_old_one() {
    alternating(|w| {
        w.apply(&with("create view v as select 1", "drop view v"));
        w.apply_fails(&with("create view v as select 2; select 1/0", "drop view v"), &["division by zero"]);
        assert_eq!(w.sql("select * from v"), "1");
        w.apply(&with("create view v as select 2", "drop view v"));
        assert_eq!(w.sql("select * from v"), "2");
    });
}

#[test]
fn a_failed_setup_leaves_nothing() {
    alternating(|w| {
        w.apply_fails(&with("create view v as select 1; select 1/0", "drop view v"), &["division by zero"]);
        assert!(!exists(w, "v"));
        assert_eq!(w.addresses(), ["pg_table_target.t"]);
        w.apply(&with("create view v as select 1", "drop view v"));
        assert!(exists(w, "v"));
    });
}

#[test]
fn an_error_names_the_statement_and_hides_its_literals() {
    alternating(|w| {
        let setup = "create view v as select 1;\nselect 'hush hush'\n  from nowhere";
        let output = w.apply_fails(&with(setup, "drop view v"), &["nowhere", "42P01", "statement 2", "line 3"]);
        assert!(!output.errors().contains("hush hush"), "a literal was shown\n{}", output.text);
    });
}

#[test]
fn what_cannot_run_in_a_transaction_can_be_attached() {
    alternating(|w| {
        let more = "transactional = false";
        w.apply(&with_more("create index concurrently cx on t (d)", "drop index concurrently cx", more));
        assert!(exists(w, "cx"));
        w.apply(&table("d text", ""));
        assert!(!exists(w, "cx"));
    });
}

#[test]
fn a_teardown_that_fails_stops_or_warns() {
    alternating(|w| {
        w.apply(&with("create view v as select 1", "drop view v"));
        w.sql("drop view v");
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["v", "42P01"]);
        // The way out: another teardown is remembered without running anything.
        w.apply(&with("create view v as select 1", "drop view if exists v"));
        w.destroy();

        w.apply(&with_more("create view v as select 1", "drop view v", "on_teardown_error = \"warn\""));
        w.sql("drop view v");
        w.destroy().says(&["warning"]);
    });
}

#[test]
fn a_loss_that_the_check_sees_is_repaired() {
    alternating(|w| {
        let more = "check_sql = \"select 1 from pg_indexes where indexname = 'ix'\"";
        let all = with_more("create index ix on t (d)", "drop index if exists ix", more);
        w.apply(&all);
        w.sql("drop index ix");
        assert_eq!(w.plan(&all).action("pg_sql_attachment.a"), "create");
        w.apply_plan();
        assert!(exists(w, "ix"));
    });
}

#[test]
fn an_attachment_goes_with_its_table() {
    alternating(|w| {
        let all = with("create index ix on t (d)", "drop index if exists ix");
        w.apply(&all);
        w.sql("drop table t");
        let plan = w.plan(&all);
        assert_eq!(plan.action("pg_sql_attachment.a"), "create");
        w.apply_plan();
        assert!(exists(w, "ix"));
    });
}

#[test]
fn the_texts_run_before_the_table_goes() {
    alternating(|w| {
        history(w);
        let teardown = "insert into history (what) select 'rows: ' || count(*) from t;";
        w.apply(&format!("{}{}", table("d text", "rows = [{ id = 1 }]"), attachment(&says("s"), teardown, "")));
        w.destroy();
        assert_eq!(what(w), "s rows: 1");
    });
}

#[test]
fn what_is_wrong_is_said_in_the_plan() {
    once(18, |w| {
        w.plan_fails(&with("", "select 1"), &["setup_sql", "no statement"]);
        w.plan_fails(&with_more("select 1", "select 1", "on_teardown_error = \"ignore\""), &["ignore", "warn"]);
        w.apply(&table("d text", ""));
        w.configure(&with("select 1", "select 1"));
        w.import("pg_sql_attachment.a", "public.t/att").failed_with(&["cannot be imported", "setup"]);
    });
}
