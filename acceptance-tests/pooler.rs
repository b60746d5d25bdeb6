//! Everything behind PgBouncer in transaction-pooling mode, where no session outlives a transaction and where there are fewer
//! sessions than the provider asks for.

use std::fmt::Write;

use testbed::{Cli, PgBouncer, TestDatabase, Workspace};

use crate::support::{clis, exists, named_table, provider};

/// Fewer than the provider's ten.
const SESSIONS: u32 = 3;

/// A table with rows of a file and an HNSW index, one with inline rows, and a trigger on each.
fn configuration(inline: &str) -> String {
    let attachment = |table: &str| {
        format!(
            "resource \"pg_sql_attachment\" \"{table}\" {{\n  table = pg_table_target.{table}.id\n  name = \"touch\"\n  \
             setup_sql = <<-SQL\n    create function {table}_touch() returns trigger language plpgsql as $$ begin return new; \
             end $$;\n    create trigger touch before update on {table} for each row execute function {table}_touch();\n  SQL\n  \
             teardown_sql = \"drop trigger if exists touch on {table}; drop function if exists {table}_touch()\"\n}}\n"
        )
    };
    [
        named_table("f", "a text; e vector(3)", "rows_file = \"${path.module}/r.jsonl\""),
        named_table("i", "a text", &format!("rows = [{inline}]")),
        "resource \"pg_vector_index\" \"f\" {\n  table = pg_table_target.f.id\n  column = \"e\"\n  method = \"hnsw\"\n}\n".to_owned(),
        attachment("f"),
        attachment("i"),
    ]
    .concat()
}

fn lines(rows: u32, text: impl Fn(u32) -> &'static str) -> String {
    (0..rows).fold(String::new(), |mut lines, id| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{{\"id\": {id}, \"a\": \"{}\", \"e\": [{id}, 1, 2]}}", text(id));
        lines
    })
}

#[test]
fn transactions_are_all_that_is_needed() {
    for (turn, cli) in clis().iter().enumerate() {
        let major = TestDatabase::VERSIONS[turn % TestDatabase::VERSIONS.len()];
        println!("-- {cli}, Postgres {major}");
        let (_direct, _pooler, mut w) = behind(cli, major, SESSIONS, 60);
        let mut write = |text: &str| w.folder().write("r.jsonl", text).unwrap_or_else(|e| panic!("{e}"));

        write(&lines(500, |_| "as it was"));
        w.apply(&configuration("{ id = 1, a = \"x\" }, { id = 2, a = \"y\" }"));
        assert_eq!(w.sql("select count(*), (select count(*) from i) from f"), "500|2");
        assert_eq!(w.sql("select indisvalid from pg_index where indexrelid = 'f__vector__e'::regclass"), "t");
        assert_eq!(w.sql("select count(*) from pg_trigger where tgname = 'touch'"), "2");

        let before = w.sql("select xmin from f where id = 1");
        w.folder()
            .write("r.jsonl", &lines(510, |id| if id.is_multiple_of(100) { "changed" } else { "as it was" }))
            .unwrap();
        w.apply(&configuration("{ id = 2, a = \"z\" }, { id = 3 }"));
        assert_eq!(w.sql("select count(*), count(*) filter (where a = 'changed') from f"), "510|6");
        assert_eq!(w.sql(&format!("select count(*) from f where xmin = '{before}'")), "495", "others were written too");
        assert_eq!(w.sql("select string_agg(id || coalesce(a, '-'), ' ' order by id) from i"), "2z 3-");

        w.sql("update f set a = 'drifted' where id = 7; delete from i where id = 3");
        let plan = w.plan(&configuration("{ id = 2, a = \"z\" }, { id = 3 }"));
        assert_eq!(
            (plan.action("pg_table_target.f"), plan.action("pg_table_target.i")),
            ("update".to_owned(), "update".to_owned())
        );
        w.apply_plan();
        assert_eq!(w.sql("select a, (select count(*) from i) from f where id = 7"), "as it was|2");

        assert_server_side(&w);
        w.destroy();
        assert!(!exists(&w, "f") && !exists(&w, "i"));
    }
}

#[test]
fn a_pooler_with_too_few_sessions_is_named() {
    let (_direct, _pooler, w) = behind(&clis()[0], 18, 1, 3);
    let table = named_table("t", "e vector(3)", "");
    w.apply(&table);
    let index =
        "resource \"pg_vector_index\" \"t\" {\n  table = pg_table_target.t.id\n  column = \"e\"\n  method = \"hnsw\"\n";
    w.apply_fails(
        &format!("{table}{index}}}\n"),
        &["query_wait_timeout", "raise its pool size", "two sessions at once"],
    );
    w.apply(&format!("{table}{index}  concurrently = false\n}}\n"));
}

/// A database, a pooler in front of it, and a workspace that knows only the pooler.
fn behind(cli: &Cli, major: u32, sessions: u32, patience: u32) -> (TestDatabase, PgBouncer, Workspace) {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|e| panic!("{e}"));
    let direct = runtime.block_on(TestDatabase::new(major));
    let server = direct.address();
    let pooler = runtime.block_on(PgBouncer::start(&server, sessions, patience)).unwrap_or_else(|e| panic!("{e}"));
    let through = direct.through(&pooler.address.host, pooler.address.port);
    (direct, pooler, Workspace::with(cli, through, provider()))
}

/// The sessions of the server were really shared: there were more of ours than it ever had.
fn assert_server_side(w: &Workspace) {
    let count = w.sql("select count(*) from pg_stat_activity where datname = current_database()");
    let count: u32 = count.parse().unwrap_or_else(|e| panic!("{count}: {e}"));
    assert!(count <= SESSIONS, "{count} sessions");
    let opened = w.log().lines().filter(|line| line.contains("connection authorized")).count();
    assert!(opened <= 2 * SESSIONS as usize, "the server saw {opened} sessions: they were not shared");
}
