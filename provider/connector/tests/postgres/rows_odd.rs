//! Rows under circumstances that are rare: a file that changes while it is read, a ledger that somebody changed, keys and
//! values that look different and are the same, or the other way round.

use serde_json::json;
use testbed::TestDatabase;

use crate::rows_file::{Target, counts, lines, spec};

#[tokio::test]
async fn a_small_change_writes_what_the_plan_saw_or_nothing() {
    let row = |text: &'static str| move |id: u32| json!({"id": id, "a": if id == 150 { text } else { "x" }});
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    t.jsonl(&lines(0..200, row("old"))).await.unwrap();
    let planned_content = lines(0..200, row("new"));
    let planned = t.file("r.jsonl", &planned_content);
    for content in [
        lines(0..200, row("cut")),
        lines(0..200, row("newer")),
        format!("\n{planned_content}"),
        lines(0..150, row("new")),
        lines(0..200, row("new")).replace("\"id\":150", "\"id\":151"),
        String::new(),
    ] {
        t.write("r.jsonl", &content);
        let error = t.apply(Some(planned.clone())).await.unwrap_err();
        assert!(error.message().contains("changed while it was used"), "{error}");
        assert_eq!(t.query("select count(*) from t where a = 'old'").await, "1");
    }
    // What does not travel is not read either: the plan's rows are written, and the next plan sees the new ones.
    t.write("r.jsonl", &planned_content.replacen("\"x\"", "\"y\"", 1));
    assert_eq!(counts(&t.apply(Some(planned)).await.unwrap()), (0, 1, 0, 0));
    assert_eq!(
        t.query("select count(*) filter (where a = 'x'), count(*) filter (where a = 'new') from t").await,
        "199|1"
    );
    let seen = lines(0..200, row("new")).replacen("\"x\"", "\"y\"", 1);
    assert_eq!(counts(&t.jsonl(&seen).await.unwrap()), (0, 1, 0, 0));
    assert_eq!(t.query("select string_agg(id::text, ',') from t where a = 'y'").await, "0");
}

#[tokio::test]
async fn most_rows_may_go_without_the_others_travelling() {
    let row = |id: u32| json!({"id": id, "a": "x"});
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        t.jsonl(&lines(0..1000, row)).await.unwrap();
        let before = t.server.log().await.len();
        assert_eq!(counts(&t.jsonl(&lines(500..1000, row)).await.unwrap()), (500, 0, 0, 0));
        assert!(!t.server.log().await[before..].contains("copy pg_temp."), "rows travelled that are as they were");
        assert_eq!(t.query("select count(*), min(id) from t").await, "500|500");
        // The ledger knows it too.
        assert_eq!(counts(&t.jsonl("").await.unwrap()), (500, 0, 0, 0));
    }
}

#[tokio::test]
async fn the_digest_tells_every_cell_and_its_place() {
    for major in TestDatabase::VERSIONS {
        let columns =
            [("id", "bigint"), ("a", "text"), ("b", "text"), ("c", "char(3)"), ("n", "numeric"), ("f", "boolean")];
        let mut t = Target::new(major, &columns).await;
        let content = "{\"id\":1,\"a\":\"x\",\"b\":\"y\",\"c\":\"q\",\"n\":1.0,\"f\":true}\n{\"id\":2,\"a\":\"y\",\"b\":\"x\"}\n{\"id\":3,\"a\":null,\"b\":\"\"}\n";
        t.jsonl(content).await.unwrap();
        for tamper in [
            "update t set a = case id when 1 then 'y' else 'x' end where id < 3",
            "update t set a = b, b = a where id = 1",
            "update t set (a, b) = (b, a) where id < 3",
            "update t set a = '' where id = 3",
            "update t set b = null where id = 3",
            "update t set a = b, b = null where id = 3",
            "update t set id = case id when 1 then 2 else 1 end + 100 where id < 3; update t set id = id - 100 where id > 100",
            "update t set n = 1.00 where id = 1",
            "update t set f = false where id = 1",
        ] {
            t.query(tamper).await;
            t.refresh().await;
            assert!(t.drifted, "{tamper}");
            t.jsonl(content).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_digest_looks_at_what_a_type_prints() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        // Casts to text that leave something out: one of Postgres and one of somebody else.
        server
            .query(
                "create domain padded as bpchar; create type pair as (a int, b int); \
                 create function says_nothing(pair) returns text language sql immutable as $$ select 'a pair' $$; \
                 create cast (pair as text) with function says_nothing(pair)",
            )
            .await;
        let mut t =
            Target::on(server, spec(&[("id", "int"), ("c", "bpchar"), ("d", "padded"), ("p", "pair")], &["id"]));
        let content = "{\"id\":1,\"c\":\"x\",\"d\":\"x\",\"p\":\"(1,2)\"}\n";
        t.jsonl(content).await.unwrap();
        for tamper in ["update t set c = 'x '", "update t set d = 'x  '", "update t set p = '(1,3)'"] {
            t.query(tamper).await;
            t.refresh().await;
            assert!(t.drifted, "{tamper}");
            assert_eq!(counts(&t.jsonl(content).await.unwrap()), (0, 1, 0, 0), "{tamper}");
        }
    }
}

#[tokio::test]
async fn a_table_may_have_as_many_columns_as_postgres_allows() {
    let names: Vec<String> = (0..1500).map(|at| format!("c{at}")).collect();
    let mut columns = vec![("id", "int")];
    columns.extend(names.iter().map(|name| (name.as_str(), "int")));
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &columns).await;
        let row = |id: u32| {
            let cells = names.iter().enumerate().map(|(at, name)| (name.clone(), json!(at)));
            serde_json::Value::Object(cells.chain([("id".to_owned(), json!(id))]).collect())
        };
        t.jsonl(&lines(0..60, row)).await.unwrap();
        // Cells far from each other, which would cancel each other out if only their values counted.
        t.query("update t set c0 = c99, c99 = c0 where id = 7").await;
        t.refresh().await;
        assert!(t.drifted);
        assert_eq!(counts(&t.jsonl(&lines(0..60, row)).await.unwrap()), (0, 1, 0, 0));
    }
}

#[tokio::test]
async fn the_order_of_columns_means_nothing_to_the_digest() {
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text"), ("b", "text")]).await;
    let row = |id: u32| json!({"id": id, "a": "x", "b": "y"});
    t.jsonl(&lines(0..100, row)).await.unwrap();
    t.table = spec(&[("id", "bigint"), ("b", "text"), ("a", "text")], &["id"]);
    t.refresh().await;
    assert!(!t.drifted);
    // The helper shows that nothing drifted after a change of few rows either.
    assert_eq!(counts(&t.jsonl(&lines(0..101, row)).await.unwrap()), (0, 0, 1, 0));
}

#[tokio::test]
async fn a_ledger_that_somebody_changed_harms_no_row() {
    let row = |id: u32| json!({"id": id, "a": "x"});
    for (tamper, may_be_lost) in [
        ("delete from LEDGER where id = 7", false),
        ("update LEDGER set row_hash = gen_random_uuid() where id = 7", false),
        ("insert into LEDGER select * from LEDGER where id = 7", false),
        ("truncate LEDGER", false),
        ("comment on table LEDGER is null", true),
        ("alter table LEDGER drop column row_hash", true),
        ("alter table LEDGER drop column id", true),
        ("drop table LEDGER", true),
    ] {
        println!("{tamper}");
        let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
        t.jsonl(&lines(0..100, row)).await.unwrap();
        t.query("insert into t values (507, 'theirs')").await;
        let ledger = t.query("select 'terraform_pg.' || relname from pg_class where relname like 'ledger_%'").await;
        t.query(&tamper.replace("LEDGER", &ledger)).await;
        t.refresh().await;
        assert_eq!(t.owned.is_none(), may_be_lost, "whether the ledger is still believed");
        let applied = t.jsonl(&lines(0..101, row)).await.unwrap();
        assert_eq!(applied.rows.inserted, 1, "{applied:?}");
        assert_eq!(
            t.query("select count(*), count(*) filter (where a = 'theirs') from t where a <> '-'").await,
            "102|1"
        );
        let removed = counts(&t.jsonl("").await.unwrap()).0;
        assert!(removed == 101, "{removed}");
    }
}

#[tokio::test]
async fn a_key_that_somebody_gave_another_type_is_no_obstacle_to_looking() {
    let row = |id: u32| json!({"id": id, "a": "x"});
    for major in TestDatabase::VERSIONS {
        for (change, back) in [("text using id::text", "bigint using id::bigint"), ("numeric", "bigint")] {
            let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
            t.jsonl(&lines(0..100, row)).await.unwrap();
            t.query(&format!("alter table t alter id type {change}")).await;
            t.refresh().await;
            assert!(t.drifted, "{change}");
            t.query(&format!("alter table t alter id type {back}")).await;
            t.refresh().await;
            assert!(!t.drifted, "{back}");
            assert_eq!(counts(&t.jsonl(&lines(1..101, row)).await.unwrap()), (1, 0, 1, 0));
        }
    }
}

#[tokio::test]
async fn keys_are_the_same_when_the_server_says_so() {
    for major in TestDatabase::VERSIONS {
        for (type_name, a, b, same) in [
            ("numeric", "1.0", "1.00", true),
            ("numeric(6,1)", "1.04", "1.01", true),
            ("char(4)", "a", "a  ", true),
            ("timestamptz", "2024-01-01 01:00+01", "2024-01-01 00:00Z", true),
            ("double precision", "-0", "0", true),
            ("double precision", "0.1", "0.10000000000000001", true),
            ("interval", "1 day", "24:00:00", true),
            ("date", "294276-12-31", "infinity", false),
            ("inet", "10.0.0.1", "10.0.0.1/32", true),
            ("text", "a", "a ", false),
            ("jsonb", "1.0", "1.00", true),
            ("int[]", "\"{1,2}\"", "\"{01,2}\"", true),
        ] {
            println!("{type_name} {a} {b}");
            let mut t = Target::new(major, &[("id", type_name), ("a", "text")]).await;
            let both = format!("id,a\n{a},x\n{b},x\n");
            let path = t.write("r.csv", &both);
            let declared = pg_connector::rows::FileRows::declare(&t.table, &path, None);
            let refused = match declared {
                Err(errors) => Some(errors[0].clone()),
                Ok(rows) => t.apply(Some(rows.into())).await.err(),
            };
            assert_eq!(refused.is_some(), same, "{refused:?}");
            if let Some(error) = refused {
                assert!(error.message().contains("declared twice"), "{error}");
                assert_eq!(t.query("select to_regclass('t') is null").await, "t");
                // One after the other they are the same row, which is never written again for its spelling.
                t.csv(&format!("id,a\n{a},x\n")).await.unwrap();
                let respelled = t.csv(&format!("id,a\n{b},x\n")).await.unwrap();
                assert_eq!(counts(&respelled), (0, 0, 0, 0));
                assert_eq!(counts(&t.csv(&format!("id,a\n{b},y\n")).await.unwrap()), (0, 1, 0, 0));
                assert_eq!(t.query("select count(*) from t").await, "1");
            }
        }
    }
}

#[tokio::test]
async fn values_at_the_ends_of_their_types_do_not_drift() {
    let columns = [
        ("id", "int"),
        ("n", "numeric"),
        ("d", "date"),
        ("s", "timestamp"),
        ("z", "timestamptz"),
        ("i", "interval"),
        ("j", "json"),
        ("b", "jsonb"),
        ("x", "bytea"),
    ];
    let deep = format!("{}{}", "[".repeat(1500), "]".repeat(1500));
    let digits = "9".repeat(1000);
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &columns).await;
        let content = format!(
            "{{\"id\":1,\"n\":{digits}.{digits},\"d\":\"5874897-12-31\",\"s\":\"294276-12-31 23:59:59.999999\",\
             \"z\":\"4713-01-01 00:00:00+00 BC\",\"i\":\"-178000000 years\",\"j\":{deep},\"b\":{deep},\"x\":\"{}\"}}\n",
            "AAAA".repeat(100_000)
        );
        t.jsonl(&content).await.unwrap();
        assert_eq!(counts(&t.jsonl(&content).await.unwrap()), (0, 0, 0, 0));
        assert_eq!(
            t.query("select n::text = j::text, length(n::text), length(x), length(j::text), d::text from t").await,
            "f|2001|300000|3000|5874897-12-31"
        );
    }
}

#[tokio::test]
async fn a_writer_beside_us_loses_nothing_and_stops_nothing() {
    let row = |id: u32| json!({"id": id, "a": "x"});
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    t.jsonl(&lines(0..2000, row)).await.unwrap();
    let server = t.server.through(&t.server.host, t.server.port);
    let writer = tokio::spawn(async move {
        for at in 0..60 {
            server
                .query(&format!(
                    "insert into t values ({}, 'theirs'); update t set a = 'theirs!' where id = {}",
                    10_000 + at,
                    9_999 + at
                ))
                .await;
        }
    });
    for round in 1..12 {
        let changed = |id: u32| if id.is_multiple_of(50) { json!({"id": id, "a": round.to_string()}) } else { row(id) };
        t.jsonl(&lines(round * 10..2000 + round, changed)).await.unwrap();
    }
    writer.await.unwrap();
    assert_eq!(t.query("select count(*) from t where id >= 10000 and a like 'theirs%'").await, "60");
    assert_eq!(t.query("select count(*), min(id), max(id) from t where id < 10000").await, "1901|110|2010");
}

#[tokio::test]
async fn rows_that_stay_as_they_are_cost_an_index_nothing() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        server.query("create extension vector").await;
        let mut t = Target::on(server, spec(&[("id", "bigint"), ("a", "text"), ("e", "vector(3)")], &["id"]));
        let row = |id: u32| json!({"id": id, "a": "x", "e": [id, 0.5, -1]});
        let changed = |id: u32| if id == 77 { json!({"id": id, "a": "changed", "e": [1, 2, 3]}) } else { row(id) };
        t.jsonl(&lines(0..300, row)).await.unwrap();
        t.query("create index on t using hnsw (e vector_l2_ops)").await;
        let reversed = lines(0..300, row).lines().rev().collect::<Vec<_>>().join("\n");
        assert_eq!(counts(&t.jsonl(&reversed).await.unwrap()), (0, 0, 0, 0));
        // Everything is compared: nothing is known of what the server has.
        t.server_digest = None;
        assert_eq!(counts(&t.jsonl(&lines(0..299, row)).await.unwrap()), (1, 0, 0, 0));
        assert_eq!(counts(&t.jsonl(&lines(0..299, changed)).await.unwrap()), (0, 1, 0, 0));
        // Counters are written down when sessions end.
        t.database = Target::new(major, &[("id", "int")]).await.database;
        let others =
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        while t.query(others).await != "0" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let counted = "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relid = 't'::regclass";
        assert_eq!(t.query(counted).await, "300|1|1");
    }
}

#[tokio::test]
async fn what_was_taken_out_of_a_text_is_no_drift() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text"), ("l", "text[]")]).await;
        let content = "{\"id\":1,\"a\":\"x\\u0000y\",\"l\":[\"\\u0000\"]}\n{\"id\":2,\"a\":\"z\"}\n";
        let rows = t.file("r.jsonl", content);
        assert_eq!(rows.nul_stripped(), ["line 1"]);
        // The helper shows that nothing is left to do and nothing drifted.
        t.apply(Some(rows)).await.unwrap();
        assert_eq!(t.rows().await, "1|xy|{\"\"}\n2|z|");
        assert_eq!(counts(&t.csv("id,a,l\n1,xy,\"{\"\"\"\"}\"\n2,z,\n").await.unwrap()), (0, 0, 0, 0));
    }
}
