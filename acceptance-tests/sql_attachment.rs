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
fn what_failed_halfway_is_torn_down_and_set_up_again() {
    alternating(|w| {
        let both = |between: &str, after: &str| {
            with_more(
                &format!("create index one on t (d);\n{between}create index two on t (d)"),
                &format!("drop index two;\ndrop index one;\n{after}"),
                "transactional = false",
            )
        };
        w.apply_fails(
            &both("select 1/0;\n", ""),
            &["division by zero", "statement 2", "statement 1 has run and stays"],
        );
        assert!(exists(w, "one") && !exists(w, "two"));
        w.apply(&both("", "")).says(&["passed over what is missing", "\"two\" does not exist"]);
        assert!(exists(w, "one") && exists(w, "two"));

        // The same of a teardown: what it has done already does not stop it the next time.
        w.apply(&both("", "select 1/0"));
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["division by zero", "statements 1 to 2 have run and stay"]);
        assert!(!exists(w, "one") && !exists(w, "two"));
        w.tf(&["destroy", "-auto-approve"]).failed_with(&["division by zero"]);
        w.apply(&both("", ""));
        w.destroy().says(&["passed over what is missing"]);
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
        for (setup, words) in [
            ("select 1;\ncommit", ["setup_sql", "statement 2 (line 2, column 1) controls a transaction"]),
            ("do $$ begin perform 1; end $$; rollback", ["statement 2", "leave it out"]),
            ("vacuum t", ["cannot run inside a transaction", "transactional = false"]),
            ("create index concurrently i on t (d)", ["cannot run inside a transaction", "transactional = false"]),
            ("copy t from stdin;\n1\tit's\n\\.", ["copies from or to the client", "rows_file"]),
            ("\\d t", ["command of psql", "as SQL"]),
        ] {
            println!("{setup}");
            w.plan_fails(&with(setup, "select 1"), &words);
        }
        w.apply(&table("d text", ""));
        w.configure(&with("select 1", "select 1"));
        w.import("pg_sql_attachment.a", "public.t/att").failed_with(&["cannot be imported", "setup"]);
    });
}

/// What attachments are for: a name, a setup, a teardown, and a query that finds what the setup makes.
const KINDS: [(&str, &str, &str, &str); 9] = [
    (
        "trigger",
        "create function f() returns trigger language plpgsql as $f$ begin new.d := coalesce(new.d, ';'); return new; end $f$; create trigger tr before insert on t for each row execute function f()",
        "drop trigger tr on t; drop function f()",
        "select 1 from pg_trigger where tgname = 'tr'",
    ),
    (
        "function",
        "create function twice(a bigint) returns bigint begin atomic; select case when a > 0 then a * 2 else 0 end; end",
        "drop function twice(bigint)",
        "select 1 from pg_proc where proname = 'twice'",
    ),
    (
        "fulltext",
        "create index fts on t using gin (to_tsvector('english', coalesce(d, '')))",
        "drop index fts",
        "select 1 from pg_class where relname = 'fts'",
    ),
    (
        "generated",
        "alter table t add column long boolean generated always as (length(d) > 9) stored",
        "alter table t drop column long",
        "select 1 from pg_attribute where attrelid = 't'::regclass and attname = 'long'",
    ),
    (
        "security",
        "alter table t enable row level security; create policy p on t using (d <> '')",
        "drop policy p on t; alter table t disable row level security",
        "select 1 from pg_policy where polname = 'p'",
    ),
    (
        "grants",
        "grant select on t to pg_monitor; grant update (d) on t to pg_monitor",
        "revoke all (d) on t from pg_monitor; revoke all on t from pg_monitor",
        "select 1 from information_schema.table_privileges where grantee = 'pg_monitor' and table_name = 't'",
    ),
    (
        "comments",
        "comment on column t.d is 'it''s; fine'; comment on table t is $$theirs$$",
        "comment on column t.d is null; comment on table t is null",
        "select 1 where col_description('t'::regclass, 2) = 'it''s; fine'",
    ),
    (
        "call",
        "select make_hyper('t', by_column => 'id')",
        "select unmake_hyper('t')",
        "select 1 from hyper where rel = 't'::regclass",
    ),
    (
        "view",
        "create materialized view mv as select id, d from t with no data; create unique index mv_id on mv (id); refresh materialized view mv",
        "drop materialized view mv",
        "select 1 from pg_class where relname = 'mv_id'",
    ),
];

#[test]
fn what_attachments_are_for_goes_round() {
    alternating(|w| {
        w.sql(
            "create table hyper (rel oid, part text);
             create function make_hyper(rel regclass, by_column name) returns hyper language plpgsql as $$
             begin
               execute format('create index %I on %s (%I desc)', rel || '_hyper', rel, by_column);
               return (select h from hyper h where false);
             end $$;
             create or replace function make_hyper(rel regclass, by_column name) returns hyper language plpgsql as $$
             declare made hyper;
             begin
               execute format('create index %I on %s (%I desc)', rel || '_hyper', rel, by_column);
               insert into hyper values (rel, by_column) returning * into made;
               raise notice 'partitioned %', rel;
               return made;
             end $$;
             create function unmake_hyper(which regclass) returns void language plpgsql as $$
             begin
               execute format('drop index %I', which || '_hyper');
               delete from hyper where rel = which;
             end $$",
        );
        let table = table("d text", "rows = [{ id = 1, d = \"x\" }]");
        let all = |version: u32| {
            let attachments = KINDS.map(|(name, setup, teardown, check)| {
                format!(
                    "resource \"pg_sql_attachment\" \"{name}\" {{\n  table = pg_table_target.t.id\n  name = \"{name}\"\n  \
                     setup_sql = <<-SQL\n-- version {version}\n{setup};\nSQL\n  teardown_sql = <<-SQL\n{teardown};\nSQL\n  \
                     check_sql = <<-SQL\n{check}\nSQL\n}}\n"
                )
            });
            format!("{table}{}", attachments.concat())
        };
        w.apply(&all(1)).says(&["NOTICE: partitioned t"]);
        for (name, .., check) in KINDS {
            assert_eq!(w.sql(check), "1", "{name}");
        }
        w.apply(&all(2).replace("d = \"x\"", "d = \"y\""));
        for (name, .., check) in KINDS {
            assert_eq!(w.sql(check), "1", "{name}");
        }
        assert_eq!(w.sql("select d, long from t"), "y|f");
        w.apply(&table);
        for (name, .., check) in KINDS {
            assert_eq!(w.sql(check), "", "{name}");
        }
    });
}

#[test]
fn an_attachment_and_what_it_depends_on_change_in_one_apply() {
    let view = |of: &str, more: &str| attachment(&format!("create view v as select {of} from t"), "drop view v", more);
    alternating(|w| {
        let both = table("a text; b text", "rows = [{ id = 1, a = \"1\", b = \"x\" }]\n  force_destroy = true");
        let one = table("a text", "rows = [{ id = 1, a = \"1\" }]\n  force_destroy = true");
        w.apply(&format!("{both}{}", view("b", "")));
        w.apply(&one);
        assert!(!exists(w, "v"), "the view and its column go together");

        w.apply(&format!("{both}{}", view("a, b", "")));
        // The CLI changes the table first, and the view is still on the column that goes.
        let words = ["2BP01", "view v depends on column b of table t", "replace_triggered_by"];
        w.apply_fails(&format!("{one}{}", view("a", "")), &words);
        assert_eq!(w.sql("select * from v"), "1|x");
        let follows = "lifecycle {\n    replace_triggered_by = [pg_table_target.t.columns]\n  }";
        w.apply(&format!("{one}{}", view("a", follows)));
        assert_eq!(w.sql("select * from v"), "1");

        let numeric = one.replace("type = \"text\"", "type = \"integer\"").replace("a = \"1\"", "a = 1");
        let words = ["0A000", "view v", "replace_triggered_by"];
        w.apply_fails(&format!("{numeric}{}", view("a", "")), &words);
        w.apply(&format!("{numeric}{}", view("a", follows)));
        assert_eq!(w.sql("select a + 1 from v"), "2");
    });
}

#[test]
fn what_a_new_value_of_an_enum_needs() {
    alternating(|w| {
        w.sql("create type mood as enum ('ok')");
        let setup = "alter type mood add value if not exists 'glad';\nalter table t add column m mood default 'glad';";
        let teardown = "alter table t drop column m";
        w.apply_fails(&with(setup, teardown), &["55P04", "statement 2", "transactional = false"]);
        assert_eq!(w.sql("select enum_range(null::mood)"), "{ok}");
        w.apply(&with_more(setup, teardown, "transactional = false"));
        assert_eq!(w.sql("select enum_range(null::mood)"), "{ok,glad}");
        w.apply(&table("d text", ""));
    });
}
