//! Where a case runs, and short ways to write configurations and to look at the database.
//!
//! [`everywhere`] is the whole matrix: every CLI with Postgres 16 and 18. [`alternating`] pairs CLIs and servers off, so
//! that each CLI and each server is used, at half the cost or less; which pairs a case gets follows from its name.
//! `TESTBED_MATRIX=full` runs every case everywhere.

use std::path::Path;

use testbed::{Cli, TestDatabase, Workspace};

/// Runs a case with every CLI on every server.
#[track_caller]
pub(crate) fn everywhere(case: impl Fn(&mut Workspace)) {
    let clis = clis();
    for cli in &clis {
        for major in TestDatabase::VERSIONS {
            on(cli, major, &case);
        }
    }
}

/// Runs a case with every CLI and on every server, but not with each on each.
#[track_caller]
pub(crate) fn alternating(case: impl Fn(&mut Workspace)) {
    if std::env::var("TESTBED_MATRIX").is_ok_and(|matrix| matrix == "full") {
        return everywhere(case);
    }
    let clis = clis();
    let majors = TestDatabase::VERSIONS;
    let name_length = std::thread::current().name().map_or(0, str::len);
    for turn in 0..clis.len().max(majors.len()) {
        on(&clis[turn % clis.len()], majors[(turn + name_length) % majors.len()], &case);
    }
}

/// Runs a case with one CLI on one server, for what depends on neither.
#[track_caller]
pub(crate) fn once(major: u32, case: impl Fn(&mut Workspace)) {
    on(&clis()[0], major, &case);
}

fn on(cli: &Cli, major: u32, case: &impl Fn(&mut Workspace)) {
    // The test runner shows this only when the case fails.
    println!("-- {cli}, Postgres {major}");
    case(&mut Workspace::new(cli, major, provider()));
}

/// Every CLI to test with.
pub(crate) fn clis() -> Vec<Cli> {
    Cli::all().unwrap_or_else(|e| panic!("{e}"))
}

/// The folder of the binary under test.
pub(crate) fn provider() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_terraform-provider-pg")).parent().unwrap_or(Path::new("/"))
}

/// A table `t` with the key `id bigint` and further columns, written `a text; b numeric(10,2) not null`.
pub(crate) fn table(columns: &str, more: &str) -> String {
    named_table("t", columns, more)
}

/// [`table`], under another name; the resource has that name too.
pub(crate) fn named_table(name: &str, columns: &str, more: &str) -> String {
    let columns = columns.split(';').map(str::trim).filter(|column| !column.is_empty()).map(column).collect::<Vec<_>>();
    let columns = columns.join("\n");
    format!(
        "resource \"pg_table_target\" \"{name}\" {{\n  table_name = \"{name}\"\n  primary_key = [\"id\"]\n  \
         columns = {{\n    id = {{ type = \"bigint\" }}\n{columns}\n  }}\n  {more}\n}}\n"
    )
}

fn column(text: &str) -> String {
    let (name, kind) = text.split_once(' ').unwrap_or((text, "text"));
    match kind.strip_suffix(" not null") {
        Some(kind) => format!("    {name} = {{ type = \"{kind}\", nullable = false }}"),
        None => format!("    {name} = {{ type = \"{kind}\" }}"),
    }
}

/// A vector index `i` on the table `t`.
pub(crate) fn index(more: &str) -> String {
    format!("resource \"pg_vector_index\" \"i\" {{\n  table = pg_table_target.t.id\n  {more}\n}}\n")
}

/// An attachment `a` of the table `t`.
pub(crate) fn attachment(setup: &str, teardown: &str, more: &str) -> String {
    format!(
        "resource \"pg_sql_attachment\" \"a\" {{\n  table = pg_table_target.t.id\n  name = \"att\"\n  \
         setup_sql = <<-SQL\n{setup}\nSQL\n  teardown_sql = <<-SQL\n{teardown}\nSQL\n  {more}\n}}\n"
    )
}

/// The columns of a table in their order, `!` for those that are not null.
pub(crate) fn shape(w: &Workspace, table: &str) -> String {
    w.sql(&format!(
        "select string_agg(attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end,
                           ', ' order by attnum)
         from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped"
    ))
}

/// The columns of a table's primary key in their order.
pub(crate) fn key(w: &Workspace, table: &str) -> String {
    w.sql(&format!(
        "select string_agg(attname, ', ' order by n) from pg_index, unnest(indkey) with ordinality as k (number, n)
         join pg_attribute on attnum = number
         where indrelid = '{table}'::regclass and attrelid = indrelid and indisprimary"
    ))
}

/// Method, operator class, options and validity of an index.
pub(crate) fn describe(w: &Workspace, index: &str) -> String {
    w.sql(&format!(
        "select concat_ws(' ', amname, opcname, (select string_agg(o, ',' order by o) from unnest(reloptions) o),
                          case when indisvalid then 'valid' else 'invalid' end)
         from pg_class c join pg_index on indexrelid = c.oid join pg_am a on a.oid = c.relam
         join pg_opclass p on p.oid = indclass[0] where c.oid = to_regclass('{index}')"
    ))
}

/// The number of indexes on a table, the primary key's included.
pub(crate) fn index_count(w: &Workspace, table: &str) -> String {
    w.sql(&format!("select count(*) from pg_index where indrelid = '{table}'::regclass"))
}

/// Whether a relation is there.
pub(crate) fn exists(w: &Workspace, relation: &str) -> bool {
    w.sql(&format!("select to_regclass('{relation}') is not null")) == "t"
}
