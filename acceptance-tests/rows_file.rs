//! Rows from a file: as many as there are, with nothing of them in the state.

use std::fmt::Write;
use std::ops::Range;

use testbed::Workspace;

use crate::support::{alternating, everywhere, exists, once, table};

fn with(file: &str, more: &str) -> String {
    table("a text", &format!("rows_file = \"${{path.module}}/{file}\"\n  {more}"))
}

/// JSON lines with the given ids, whose texts come from a function.
fn lines(ids: Range<u32>, text: impl Fn(u32) -> String) -> String {
    ids.fold(String::new(), |mut lines, id| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{{\"id\": {id}, \"a\": \"{}\"}}", text(id));
        lines
    })
}

fn write(w: &mut Workspace, file: &str, text: &str) {
    w.folder().write(file, text).unwrap_or_else(|e| panic!("{e}"));
}

/// How many tables there are that remember which rows of a file are ours.
fn ledgers(w: &Workspace) -> usize {
    let count = w.sql("select count(*) from pg_tables where schemaname = 'terraform_pg'");
    count.parse().unwrap_or_else(|e| panic!("{count}: {e}"))
}

#[test]
fn many_rows_come_change_and_go() {
    everywhere(|w| {
        write(w, "r.jsonl", &lines(0..5000, |id| format!("row {id}")));
        let plan = w.plan(&with("r.jsonl", ""));
        assert_eq!(plan.after("pg_table_target.t")["row_count"], 5000);
        w.apply_plan();
        assert_eq!(w.sql("select count(*), min(id), max(id) from t"), "5000|0|4999");
        assert_eq!(w.state("pg_table_target.t")["row_count"], 5000);
        let state = std::fs::read_to_string(w.folder().path().join("terraform.tfstate")).unwrap_or_default();
        assert!(!state.is_empty() && state.len() < 100_000, "the state is {} bytes", state.len());
        assert!(!state.contains("row 1234"), "a value of the file is in the state");

        let before = w.sql("select xmin from t where id = 11");
        write(w, "r.jsonl", &lines(10..5005, |id| format!("row {id}{}", if id % 100 == 0 { "!" } else { "" })));
        let plan = w.plan(&with("r.jsonl", ""));
        assert_eq!(plan.action("pg_table_target.t"), "update");
        plan.text.says(&["10 rows that came from rows_file", "5 rows are inserted and 49 rows are updated"]);
        w.apply_plan();
        assert_eq!(w.sql("select count(*), min(id), max(id) from t"), "4995|10|5004");
        assert_eq!(w.sql("select count(*) from t where a like '%!'"), "50");
        // 10 to 4999, without the 49 that changed and were there before.
        assert_eq!(w.sql(&format!("select count(*) from t where xmin = '{before}'")), "4941");

        let with_ledger = ledgers(w);
        w.destroy();
        assert!(!exists(w, "t"));
        assert_eq!(ledgers(w), with_ledger - 1, "a ledger outlived its table");
    });
}

#[test]
fn a_tainted_table_is_replaced_with_its_rows_but_not_with_those_of_others() {
    alternating(|w| {
        write(w, "r.jsonl", &lines(0..50, |id| format!("row {id}")));
        w.apply(&with("r.jsonl", ""));
        let (ledgers_before, oid) = (ledgers(w), w.sql("select 't'::regclass::oid"));
        assert_eq!(w.tf(&["taint", "pg_table_target.t"]).code, 0);
        w.sql("insert into t values (100, 'theirs')");
        w.apply_fails(&with("r.jsonl", ""), &["1 row", "force_destroy"]);
        w.sql("delete from t where id = 100");
        w.apply(&with("r.jsonl", ""));
        assert_ne!(w.sql("select 't'::regclass::oid"), oid, "it is another table");
        assert_eq!(w.sql("select count(*) from t"), "50");
        assert_eq!(ledgers(w), ledgers_before, "a ledger outlived its table");
    });
}

#[test]
fn foreign_rows_are_left_alone_and_changed_ones_are_changed_back() {
    alternating(|w| {
        write(w, "r.jsonl", &lines(0..10, |id| format!("row {id}")));
        w.apply(&with("r.jsonl", ""));
        w.sql("insert into t values (99, 'theirs')");
        w.assert_empty_plan();
        w.sql("update t set a = 'other' where id = 3; delete from t where id = 4");
        assert_eq!(w.plan(&with("r.jsonl", "")).action("pg_table_target.t"), "update");
        w.apply_plan();
        assert_eq!(w.sql("select string_agg(a, ',' order by id) from t where id in (3, 4, 99)"), "row 3,row 4,theirs");
        write(w, "r.jsonl", "");
        w.apply(&with("r.jsonl", ""));
        assert_eq!(w.sql("select id from t"), "99");
    });
}

#[test]
fn csv_has_quotes_line_breaks_and_nulls() {
    alternating(|w| {
        write(w, "r.csv", "a,id\n\"x, y\",1\n,2\n\"\",3\n\"li\nne\",4\n\"a \"\"b\"\"\",5\n");
        w.apply(&with("r.csv", ""));
        assert_eq!(
            w.sql("select id, a is null, a from t order by id"),
            "1|f|x, y\n2|t|\n3|f|\n4|f|li\nne\n5|f|a \"b\""
        );
        write(w, "r.csv", "id,a\n1,NIL\n2,nil\n");
        w.apply(&with("r.csv", "csv_null = \"NIL\""));
        assert_eq!(w.sql("select id, a from t order by id"), "1|\n2|nil");
    });
}

#[test]
fn a_compressed_file_is_the_same_file() {
    alternating(|w| {
        write(w, "r.jsonl", &lines(0..100, |id| format!("row {id}")));
        let folder = w.folder().path();
        testbed::process::output(std::process::Command::new("gzip").arg(folder.join("r.jsonl")))
            .unwrap_or_else(|e| panic!("{e}"));
        w.apply(&with("r.jsonl.gz", ""));
        assert_eq!(w.sql("select count(*), max(id) from t"), "100|99");
    });
}

#[test]
fn a_file_that_changed_after_the_plan_is_not_written() {
    alternating(|w| {
        write(w, "r.jsonl", &lines(0..3, |id| format!("row {id}")));
        w.apply(&with("r.jsonl", ""));
        write(w, "r.jsonl", &lines(0..4, |id| format!("row {id}")));
        w.plan(&with("r.jsonl", ""));
        write(w, "r.jsonl", &lines(0..5, |id| format!("row {id}")));
        let output = w.tf(&["apply", "plan"]);
        assert!(output.code != 0, "{}", output.text);
        assert_eq!(w.sql("select count(*) from t"), "3");
        w.apply(&with("r.jsonl", ""));
        assert_eq!(w.sql("select count(*) from t"), "5");
    });
}

#[test]
fn from_rows_to_a_file_and_back() {
    alternating(|w| {
        w.apply(&table("a text", "rows = [{ id = 1, a = \"row 1\" }, { id = 2, a = \"row 2\" }]"));
        let before = w.sql("select xmin from t where id = 1");
        write(w, "r.jsonl", &lines(1..4, |id| format!("row {id}")));
        w.apply(&with("r.jsonl", ""));
        assert_eq!(w.sql("select string_agg(id::text, ',' order by id) from t"), "1,2,3");
        w.apply(&table("a text", "rows = [{ id = 1, a = \"row 1\" }]"));
        assert_eq!(w.sql("select id, a from t"), "1|row 1");
        assert_eq!(w.sql("select xmin from t"), before);
    });
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    once(18, |w| {
        for (file, text, words) in [
            ("bad.jsonl", "{\"id\": 1}\n{\"id\": 2, \"a\":\n", vec!["bad.jsonl", "2"]),
            ("twice.jsonl", "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 1}\n", vec!["twice.jsonl", "3"]),
            ("key.jsonl", "{\"id\": 1}\n{\"a\": \"x\"}\n", vec!["key.jsonl", "id", "2"]),
            ("column.csv", "id,nope\n1,2\n", vec!["column.csv", "nope"]),
            ("cells.csv", "id,a\n1,x\n2,y,z\n", vec!["cells.csv", "3"]),
            (
                "value.jsonl",
                "{\"id\": 1}\n\n{\"id\": 2, \"a\": 5}\n",
                vec!["value.jsonl, line 3, column a: 5 is no text"],
            ),
            ("server.csv", "id,a\n1,x\n1e400,y\n", vec!["server.csv, line 3, column id:", "1e400"]),
            ("null.jsonl", "{\"id\": 1}\n{\"id\": null}\n", vec!["null.jsonl, line 2, column id: it is null"]),
            ("kind.parquet", "PAR1", vec!["kind.parquet"]),
        ] {
            println!("{file}");
            write(w, file, text);
            w.apply_fails(&with(file, ""), &words);
            assert!(!exists(w, "t"));
        }
        w.plan_fails(&with("nowhere.jsonl", ""), &["nowhere.jsonl"]);
        w.plan_fails(&with("bad.jsonl", "rows = []"), &["rows", "rows_file"]);
    });
}

#[test]
fn a_change_of_a_file_says_how_many_rows_it_writes() {
    alternating(|w| {
        write(w, "r.jsonl", &lines(0..100, |id| format!("row {id}")));
        w.apply(&with("r.jsonl", ""));
        write(w, "r.jsonl", &lines(0..110, |id| format!("row {id}{}", if id < 7 { "!" } else { "" })));
        w.plan(&with("r.jsonl", "")).text.says(&["In public.t, 10 rows are inserted and 7 rows are updated."]);
        w.apply_plan();
        assert_eq!(w.sql("select count(*), count(*) filter (where a like '%!') from t"), "110|7");
    });
}

#[test]
fn a_table_of_somebody_else_keeps_its_own_rows_and_says_which_go() {
    alternating(|w| {
        w.sql("create table t (id bigint primary key, a text); insert into t values (99, 'theirs')");
        write(w, "r.jsonl", &lines(0..100, |id| format!("row {id}")).replace("{\"id\": 99, \"a\": \"row 99\"}\n", ""));
        w.apply(&with("r.jsonl", "managed_by = \"user\""));
        assert_eq!(w.sql("select count(*) from t"), "100");
        w.tf(&["plan", "-destroy"]).succeeded().says(&["99 rows", "deleted from public.t", "The table stays"]);
        w.destroy();
        assert_eq!((w.sql("select id, a from t"), ledgers(w)), ("99|theirs".to_owned(), 0));
    });
}
