//! Many things at once: resources of one configuration, and configurations beside each other.

use testbed::{TestDatabase, Workspace};

use crate::support::{alternating, clis, everywhere, once, provider};

const MANY: &str = r#"
resource "pg_table_target" "t" {
  count       = 10
  schema_name = "par"
  table_name  = "many_${count.index}"
  primary_key = ["id"]
  columns     = { id = { type = "bigint" }, a = { type = "text" }, e = { type = "vector(3)" }, h = { type = "halfvec(3)" } }
  rows        = [for i in range(20) : { id = i, a = "row ${i}", e = [i, 1, 2], h = [1, i, 2] }]
}
resource "pg_vector_index" "e" {
  count  = 10
  table  = pg_table_target.t[count.index].id
  column = "e"
  method = "hnsw"
}
resource "pg_vector_index" "h" {
  count  = 10
  table  = pg_table_target.t[count.index].id
  column = "h"
  method = "hnsw"
  metric = "l2"
}
resource "pg_vector_index" "ip" {
  count  = 10
  table  = pg_table_target.t[count.index].id
  column = "e"
  name   = "ip"
  method = "hnsw"
  metric = "ip"
}
resource "pg_sql_attachment" "a" {
  count        = 10
  table        = pg_table_target.t[count.index].id
  name         = "plain"
  setup_sql    = "create index many_${count.index}_a on par.many_${count.index} (a)"
  teardown_sql = "drop index if exists par.many_${count.index}_a"
}
"#;

#[test]
fn tables_indexes_and_attachments_in_parallel() {
    everywhere(|w| {
        w.configure(MANY);
        w.tf(&["apply", "-auto-approve", "-parallelism=20"]).succeeded();
        w.assert_empty_plan();
        let valid = "select count(*) from pg_index i join pg_class c on c.oid = indexrelid
                     where c.relnamespace = 'par'::regnamespace and indisvalid";
        assert_eq!(w.sql(valid), "50");
        w.tf(&["destroy", "-auto-approve", "-parallelism=20"]).succeeded();
        assert_eq!(w.sql("select count(*) from pg_class where relnamespace = 'par'::regnamespace"), "0");
        let log = w.log();
        assert!(!log.contains("deadlock detected"), "{log}");
    });
}

/// A second workspace on the same database, with a table of its own in a shared schema.
fn beside(w: &Workspace, name: &str) -> testbed::Folder {
    let database = w.database();
    let folder = testbed::Folder::new(w.cli(), provider(), &database.address(), &database.name)
        .unwrap_or_else(|e| panic!("{e}"));
    let head = "terraform {\n  required_providers {\n    pg = { source = \"pgtarget/pg\" }\n  }\n}\n";
    let tf = format!(
        "{head}resource \"pg_table_target\" \"t\" {{\n  schema_name = \"shared\"\n  table_name = \"{name}\"\n  \
         primary_key = [\"id\"]\n  columns = {{ id = {{ type = \"bigint\" }}, e = {{ type = \"vector(3)\" }} }}\n  \
         rows = [{{ id = 1, e = [1, 2, 3] }}]\n}}\n\
         resource \"pg_vector_index\" \"i\" {{\n  table = pg_table_target.t.id\n  column = \"e\"\n  method = \"hnsw\"\n}}\n"
    );
    folder.write("main.tf", &tf).unwrap_or_else(|e| panic!("{e}"));
    folder
}

#[test]
fn configurations_that_need_the_same_schema_and_extension_at_once() {
    alternating(|w| {
        let folders: Vec<_> = ["one", "two", "three"].iter().map(|name| beside(w, name)).collect();
        let running: Vec<_> = folders
            .iter()
            .map(|folder| folder.start(&["apply", "-auto-approve"]).unwrap_or_else(|e| panic!("{e}")))
            .collect();
        for background in running {
            w.wait(background).succeeded();
        }
        assert_eq!(
            w.sql("select count(*) from pg_class where relnamespace = 'shared'::regnamespace and relkind = 'r'"),
            "3"
        );
    });
}

/// A workspace with five indexes and some attachments that build indexes, all on the table `t` of somebody else.
fn on_one_table(w: &Workspace, cli: &testbed::Cli, name: &str, attachments: u32) -> testbed::Folder {
    let database = w.database();
    let folder =
        testbed::Folder::new(cli, provider(), &database.address(), &database.name).unwrap_or_else(|e| panic!("{e}"));
    let tf = format!(
        "terraform {{\n  required_providers {{\n    pg = {{ source = \"pgtarget/pg\" }}\n  }}\n}}\n\
         resource \"pg_vector_index\" \"i\" {{\n  count = 5\n  table = \"public.t\"\n  \
         column = count.index % 2 == 0 ? \"e\" : \"h\"\n  name = \"{name}${{count.index}}\"\n  method = \"hnsw\"\n  m = 8\n  \
         where = count.index == 3 ? \"id > 10\" : null\n}}\n\
         resource \"pg_sql_attachment\" \"a\" {{\n  count = {attachments}\n  table = \"public.t\"\n  \
         name = \"{name}${{count.index}}\"\n  setup_sql = \"create index ix_{name}${{count.index}} on t (kind)\"\n  \
         teardown_sql = \"drop index ix_{name}${{count.index}}\"\n}}\n"
    );
    folder.write("main.tf", &tf).unwrap_or_else(|e| panic!("{e}"));
    folder
}

/// Runs the CLIs of several folders at once.
fn at_once(w: &Workspace, folders: &[testbed::Folder], args: &[&str]) {
    let running: Vec<_> = folders.iter().map(|folder| folder.start(args).unwrap_or_else(|e| panic!("{e}"))).collect();
    for background in running {
        w.wait(background).succeeded();
    }
}

#[test]
fn indexes_and_attachments_on_one_table_from_two_runs_at_once() {
    for major in TestDatabase::VERSIONS {
        let clis = clis();
        let w = &Workspace::new(&clis[0], major, provider());
        w.sql(
            "create extension vector; create table t (id bigint primary key, kind text, e vector(3), h halfvec(3));
             insert into t select i, 'k', array[i, 1, 2]::real[]::vector, array[1, i, 2]::real[]::halfvec from generate_series(1, 200) i",
        );
        let folders = [on_one_table(w, &clis[0], "a", 3), on_one_table(w, &clis[clis.len() - 1], "b", 2)];
        let indexes = "select count(*) filter (where indisvalid) || ' of ' || count(*) from pg_index
                       where indrelid = 't'::regclass and not indisprimary";
        at_once(w, &folders, &["apply", "-auto-approve", "-parallelism=20"]);
        assert_eq!(w.sql(indexes), "15 of 15");
        at_once(w, &folders, &["destroy", "-auto-approve", "-parallelism=20"]);
        assert_eq!(w.sql(indexes), "0 of 0");
    }
}

#[test]
fn fifty_tables_through_any_number_of_connections() {
    once(18, |w| {
        let (made, changed) = ("a = { type = \"int\" }", "a = { type = \"bigint\", nullable = false }");
        for (connections, states) in [(1, &[made][..]), (2, &[made]), (10, &[made, changed])] {
            let tf = |more: &str| {
                format!(
                    "provider \"pg\" {{\n  max_connections = {connections}\n}}\n\
                     resource \"pg_table_target\" \"t\" {{\n  count = 50\n  schema_name = \"many\"\n  \
                     table_name = \"t_${{count.index}}\"\n  primary_key = [\"id\"]\n  columns = {{\n    \
                     id = {{ type = \"bigint\" }}\n    e = {{ type = \"vector(3)\" }}\n    {more}\n  }}\n}}\n"
                )
            };
            for state in states {
                w.configure(&tf(state));
                w.tf(&["apply", "-auto-approve", "-parallelism=30"]).succeeded();
            }
            if states.len() > 1 {
                w.assert_empty_plan();
            }
            w.tf(&["destroy", "-auto-approve", "-parallelism=30"]).succeeded();
            assert_eq!(w.sql("select count(*) from pg_class where relnamespace = 'many'::regnamespace"), "0");
            w.sql("drop schema many; drop extension vector");
        }
        let log = w.log();
        for word in ["deadlock detected", "tuple concurrently updated"] {
            assert!(!log.contains(word), "{word}\n{log}");
        }
    });
}

#[test]
fn two_applies_that_create_the_same_table() {
    alternating(|w| {
        let folders = [beside(w, "same"), beside(w, "same")];
        let running = folders
            .each_ref()
            .map(|folder| folder.start(&["apply", "-auto-approve"]).unwrap_or_else(|e| panic!("{e}")));
        let outputs = running.map(|background| w.wait(background));
        assert_eq!(
            outputs.iter().filter(|output| output.code == 0).count(),
            1,
            "{}\n{}",
            outputs[0].text,
            outputs[1].text
        );
        let failed = outputs.into_iter().find(|output| output.code != 0);
        if let Some(failed) = failed {
            failed.failed_with(&["exist"]);
        }
        assert_eq!(w.sql("select count(*) from shared.same"), "1");
    });
}

#[test]
fn cases_have_databases_of_their_own() {
    let [old, new] = TestDatabase::VERSIONS.map(|major| Workspace::new(&clis()[0], major, provider()));
    old.sql("create table only_here ()");
    assert_eq!(new.sql("select to_regclass('only_here') is null"), "t");
    assert_eq!(old.sql("show server_version_num")[..2], *"16");
    assert_eq!(new.sql("show server_version_num")[..2], *"18");
}
