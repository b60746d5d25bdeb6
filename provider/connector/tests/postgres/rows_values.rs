//! Values of every type, from inline rows, JSON Lines and CSV: all three must store the same, once.

use std::fmt::Write as _;

use pg_connector::error::{Blame, RowLabel};
use serde_json::{Map, Value, json};
use testbed::TestDatabase;

use crate::rows_file::{Target, counts, spec};

/// Types of the test's own.
const TYPES: &str = "create type mood as enum ('happy', 'so-so, \"maybe\"'); create domain small as int check (value < 10); \
    create domain name_of as text check (value <> ''); create type pair as (a int, b text)";

/// A type; then values as JSON, as CSV text and as the server prints them.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const CASES: &[Case] = &[
    ("boolean", &[("true", "t", "true"), ("\"no\"", "off", "false")]),
    ("smallint", &[("-32768", "-32768", "-32768"), ("\" 7 \"", "7", "7")]),
    ("integer", &[("2147483647", "2147483647", "2147483647"), ("1e3", "1000", "1000")]),
    ("bigint", &[("9223372036854775807", "9223372036854775807", "9223372036854775807"), ("-1.0", "-1", "-1")]),
    ("oid", &[("4294967295", "4294967295", "4294967295")]),
    (
        "numeric",
        &[
            (
                "123456789012345678901234567890.1200",
                "123456789012345678901234567890.1200",
                "123456789012345678901234567890.1200",
            ),
            ("\"NaN\"", "nan", "NaN"),
            ("\"-inf\"", "-Infinity", "-Infinity"),
            ("1e-10", "0.0000000001", "0.0000000001"),
        ],
    ),
    ("numeric(6,2)", &[("-9999.99", "-9999.99", "-9999.99"), ("0.005", "0.005", "0.01"), ("\"NaN\"", "NaN", "NaN")]),
    ("real", &[("0.1", "0.1", "0.1"), ("\"Infinity\"", "inf", "Infinity"), ("1e-45", "1e-45", "1e-45")]),
    (
        "double precision",
        &[
            ("1.7976931348623157e308", "1.7976931348623157e308", "1.7976931348623157e+308"),
            ("\"-Infinity\"", "-inf", "-Infinity"),
            ("\"nan\"", "NaN", "NaN"),
            ("-0.0", "-0", "-0"),
            ("5e-324", "5e-324", "5e-324"),
        ],
    ),
    (
        "text",
        &[
            ("\"a\\tb\\\\c\\nd \\u2603\"", "\"a\tb\\c\nd ☃\"", "a\tb\\c\nd ☃"),
            ("\"\"", "\"\"", ""),
            ("\"NULL\"", "NULL", "NULL"),
            ("\"\\\\N\"", "\\N", "\\N"),
            ("\"\\\\.\"", "\\.", "\\."),
        ],
    ),
    ("varchar(3)", &[("\"äöü\"", "äöü", "äöü"), ("\"a, \"", "\"a, \"", "a, ")]),
    ("char(3)", &[("\"ab\"", "ab", "ab")]),
    ("bytea", &[("\"AAH/\"", "\\x0001ff", "\\x0001ff"), ("\"\\\\xDE ad\"", "3q0", "\\xdead"), ("\"\"", "\\x", "\\x")]),
    (
        "uuid",
        &[(
            "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        )],
    ),
    (
        "date",
        &[
            ("\"2024-02-29\"", "2024-02-29", "2024-02-29"),
            ("\"infinity\"", "infinity", "infinity"),
            ("\"-infinity\"", "-infinity", "-infinity"),
            ("\"0044-03-15 BC\"", "0044-03-15 BC", "0044-03-15 BC"),
        ],
    ),
    ("time", &[("\"12:34:56.789\"", "12:34:56.789", "12:34:56.789"), ("\"24:00\"", "24:00", "24:00:00")]),
    ("timetz", &[("\"12:34:56+02\"", "12:34:56+02:00", "12:34:56+02")]),
    (
        "timestamp",
        &[
            ("\"2024-02-29T12:00:00.5\"", "2024-02-29 12:00:00.5", "2024-02-29 12:00:00.5"),
            ("\"infinity\"", "infinity", "infinity"),
        ],
    ),
    (
        "timestamptz",
        &[
            ("\"2024-02-29T12:00:00+01:00\"", "2024-02-29 11:00Z", "2024-02-29 11:00:00+00"),
            ("\"-infinity\"", "-infinity", "-infinity"),
        ],
    ),
    (
        "interval",
        &[
            ("\"P1Y2M3DT4H5M6.5S\"", "1 year 2 mons 3 days 04:05:06.5", "1 year 2 mons 3 days 04:05:06.5"),
            ("\"-1 day\"", "P-1D", "-1 days"),
        ],
    ),
    (
        "json",
        &[("{\"b\": 1, \"a\": [1.0, null]}", "\"{\"\"b\"\":1,\"\"a\"\":[1.0,null]}\"", "{\"b\":1,\"a\":[1.0,null]}")],
    ),
    (
        "jsonb",
        &[
            (
                "{\"b\": 1, \"a\": [1.00, null]}",
                "\"{\"\"a\"\":[1.00,null],\"\"b\"\":1}\"",
                "{\"a\": [1.00, null], \"b\": 1}",
            ),
            ("\"\\\"text\\\"\"", "\"\"\"text\"\"\"", "\"text\""),
            ("[]", "[]", "[]"),
            ("true", "true", "true"),
            ("12345678901234567890.10", "12345678901234567890.10", "12345678901234567890.10"),
        ],
    ),
    ("inet", &[("\"10.0.0.1/8\"", "10.0.0.1/8", "10.0.0.1/8"), ("\"::1\"", "::1", "::1/128")]),
    ("cidr", &[("\"10.0.0.0/8\"", "10.0.0.0/8", "10.0.0.0/8")]),
    ("macaddr", &[("\"08-00-2B-01-02-03\"", "08:00:2b:01:02:03", "08:00:2b:01:02:03")]),
    ("macaddr8", &[("\"08:00:2b:01:02:03:04:05\"", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05")]),
    ("int4range", &[("\"(0,4]\"", "\"[1,5)\"", "[1,5)"), ("\"empty\"", "empty", "empty")]),
    ("int8range", &[("\"[1,)\"", "\"[1,)\"", "[1,)")]),
    ("numrange", &[("\"[1.50,2]\"", "\"[1.50,2]\"", "[1.50,2]")]),
    ("daterange", &[("\"[2024-01-01,2024-01-31]\"", "\"[2024-01-01,2024-02-01)\"", "[2024-01-01,2024-02-01)")]),
    ("tsrange", &[("\"(,2024-01-01)\"", "\"(,2024-01-01)\"", "(,\"2024-01-01 00:00:00\")")]),
    ("tstzrange", &[("\"[2024-01-01 01:00+01,)\"", "\"[2024-01-01Z,)\"", "[\"2024-01-01 00:00:00+00\",)")]),
    ("int4multirange", &[("\"{[1,2],[5,6)}\"", "\"{[1,3),[5,6)}\"", "{[1,3),[5,6)}"), ("\"{}\"", "{}", "{}")]),
    (
        "datemultirange",
        &[("\"{[2024-01-01,2024-01-01]}\"", "\"{[2024-01-01,2024-01-02)}\"", "{[2024-01-01,2024-01-02)}")],
    ),
    (
        "mood",
        &[
            ("\"happy\"", "happy", "happy"),
            ("\"so-so, \\\"maybe\\\"\"", "\"so-so, \"\"maybe\"\"\"", "so-so, \"maybe\""),
        ],
    ),
    ("small", &[("5", "5", "5")]),
    ("name_of", &[("\"x\"", "x", "x")]),
    (
        "pair",
        &[
            ("\"(1,\\\"x \\\"\\\"y\\\"\\\"\\\")\"", "\"(1,\"\"x \"\"\"\"y\"\"\"\"\"\")\"", "(1,\"x \"\"y\"\"\")"),
            ("\"(,)\"", "\"(,)\"", "(,)"),
        ],
    ),
    ("bit(3)", &[("\"101\"", "101", "101")]),
    ("varbit(5)", &[("\"1\"", "1", "1"), ("\"\"", "\"\"", "")]),
    ("point", &[("\"(1,-2.5)\"", "\"(1,-2.5)\"", "(1,-2.5)")]),
    ("box", &[("\"(3,4),(1,2)\"", "\"(1,2),(3,4)\"", "(3,4),(1,2)")]),
    ("tsvector", &[("\"'a':1 'b'\"", "'a':1 'b'", "'a':1 'b'")]),
    ("pg_lsn", &[("\"0/16B3748\"", "0/16B3748", "0/16B3748")]),
    ("money", &[("\"12.5\"", "12.5", "$12.50")]),
];

/// Types of pgvector, which 15 stands without.
const VECTORS: &[Case] = &[
    (
        "vector(3)",
        &[("[1, 2.5, -3e2]", "\"[1,2.5,-300]\"", "[1,2.5,-300]"), ("\"[0,-0.0, 1]\"", "\"[0,-0,1]\"", "[0,-0,1]")],
    ),
    ("vector", &[("[0.1]", "[0.1]", "[0.1]")]),
    ("halfvec(2)", &[("[0.1, \"-1\"]", "\"[0.1,-1]\"", "[0.099975586,-1]")]),
    ("sparsevec(5)", &[("\"{1:1,3:2.5}/5\"", "\"{1:1,3:2.5}/5\"", "{1:1,3:2.5}/5")]),
];

/// The cases of a server, each with the name of its column.
fn cases(major: u32) -> Vec<(String, &'static Case)> {
    let vectors: &[Case] = if major == 15 { &[] } else { VECTORS };
    let all = CASES.iter().chain(vectors).enumerate();
    all.map(|(at, case)| (format!("c{at}"), case)).collect()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

async fn target(major: u32, columns: &[(&str, &str)]) -> Target {
    let server = TestDatabase::new(major).await;
    server.query(TYPES).await;
    server.query(&format!("alter database {} set timezone = 'UTC'", server.name)).await;
    Target::on(server, spec(columns, &["id"]))
}

/// Applies the same rows from all three sources, the first time into an empty table.
async fn same_from_everywhere(t: &mut Target, rows: &[Map<String, Value>], csv: &str) {
    let all = u64::try_from(rows.len()).unwrap();
    let jsonl = rows.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", Value::Object(row.clone()));
        text
    });
    let inline = t.inline(&rows.iter().cloned().map(Value::Object).collect());
    assert_eq!(counts(&t.apply(Some(inline)).await.unwrap()), (0, 0, all, 0));
    let before = t.query("select string_agg(concat_ws(' ', ctid, xmin), ',' order by id) from t").await;
    for format in ["jsonl", "csv"] {
        let applied = if format == "csv" { t.csv(csv).await } else { t.jsonl(&jsonl).await };
        assert_eq!(counts(&applied.unwrap()), (0, 0, 0, 0), "{format} says what the inline rows said");
        let now = t.query("select string_agg(concat_ws(' ', ctid, xmin), ',' order by id) from t").await;
        assert_eq!(now, before, "{format}");
    }
}

#[tokio::test]
async fn every_type_is_stored_the_same_from_every_source() {
    for major in TestDatabase::VERSIONS {
        let cases = cases(major);
        let mut columns: Vec<(&str, &str)> = vec![("id", "int")];
        columns.extend(cases.iter().map(|(name, case)| (name.as_str(), case.0)));
        let mut t = target(major, &columns).await;
        let most = cases.iter().map(|(_, case)| case.1.len()).max().unwrap();
        let mut rows = Vec::new();
        let mut csv = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
        // One more row than there are values: there every cell is null.
        for at in 0..=most {
            let mut row = Map::from_iter([("id".to_owned(), json!(at))]);
            let _ = write!(csv, "\n{at}");
            for (name, case) in &cases {
                let value = case.1.get(at);
                row.insert(name.clone(), value.map_or(Value::Null, |value| json_of(value.0)));
                let _ = write!(csv, ",{}", value.map_or("", |value| value.1));
            }
            rows.push(row);
        }
        same_from_everywhere(&mut t, &rows, &csv).await;
        for (name, case) in &cases {
            for (at, value) in case.1.iter().enumerate() {
                let stored = t.query(&format!("select {name}::text from t where id = {at}")).await;
                assert_eq!(stored, value.2, "{} {} on {major}", case.0, value.0);
            }
            assert_eq!(t.query(&format!("select {name} is null from t where id = {most}")).await, "t");
        }
    }
}

#[tokio::test]
async fn arrays_of_every_type_are_too() {
    for major in TestDatabase::VERSIONS {
        let cases = cases(major);
        let types: Vec<String> = cases.iter().map(|(_, case)| format!("{}[]", case.0)).collect();
        let mut columns: Vec<(&str, &str)> = vec![("id", "int")];
        columns.extend(cases.iter().zip(&types).map(|((name, _), array)| (name.as_str(), array.as_str())));
        let mut t = target(major, &columns).await;
        let mut csv = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
        csv.push_str("\n1");
        let mut row = Map::from_iter([("id".to_owned(), json!(1))]);
        for (name, case) in &cases {
            let values = case.1.iter().map(|value| json_of(value.0)).chain([Value::Null]);
            row.insert(name.clone(), values.collect());
            let element =
                |value: &(&str, &str, &str)| format!("\"{}\"", value.2.replace('\\', "\\\\").replace('"', "\\\""));
            let elements: Vec<String> = case.1.iter().map(element).chain(["NULL".to_owned()]).collect();
            let separator = if case.0 == "box" { ";" } else { "," };
            let _ = write!(csv, ",{}", quoted(&format!("{{{}}}", elements.join(separator))));
        }
        let empty: Map<String, Value> = columns
            .iter()
            .map(|(name, _)| ((*name).to_owned(), if *name == "id" { json!(2) } else { json!([]) }))
            .collect();
        let _ = write!(csv, "\n2{}", ",{}".repeat(cases.len()));
        same_from_everywhere(&mut t, &[row, empty], &csv).await;
        for (name, case) in &cases {
            for (at, value) in case.1.iter().enumerate() {
                let stored = t.query(&format!("select ({name})[{}]::text from t where id = 1", at + 1)).await;
                assert_eq!(stored, value.2, "{}[] {} on {major}", case.0, value.0);
            }
            let shape =
                format!("select array_length({name}, 1), ({name})[{}] is null from t where id = 1", case.1.len() + 1);
            assert_eq!(t.query(&shape).await, format!("{}|t", case.1.len() + 1), "{}", case.0);
            assert_eq!(t.query(&format!("select cardinality({name}) from t where id = 2")).await, "0");
        }
    }
}

#[tokio::test]
async fn columns_that_no_row_names_are_left_to_the_server() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        server
            .query(
                "create table t (id bigint primary key, a text, d text default 'the default', n int not null default 7, \
                 g bigint generated always as (id * 2) stored, i bigint generated always as identity)",
            )
            .await;
        let columns = [("id", "bigint"), ("a", "text"), ("d", "text"), ("n", "int"), ("g", "bigint"), ("i", "bigint")];
        let mut table = spec(&columns, &["id"]);
        table.managed_by = pg_connector::spec::ManagedBy::User;
        (table.columns[3].nullable, table.columns[5].nullable) = (false, false);
        let mut t = Target::on(server, table);
        let rows = [json!({"id": 1, "a": "x"}), json!({"id": 2, "a": "y"})];
        let rows: Vec<Map<String, Value>> = rows.iter().map(|row| row.as_object().unwrap().clone()).collect();
        same_from_everywhere(&mut t, &rows, "a,id\nx,1\ny,2\n").await;
        assert_eq!(t.rows().await, "1|x|the default|7|2|1\n2|y|the default|7|4|2");
    }
}

#[tokio::test]
async fn what_does_not_fit_names_the_row_and_the_column() {
    let bad: &[(&str, &str, &str, &str)] = &[
        ("boolean", "\"maybe\"", "maybe", "neither true nor false"),
        ("smallint", "32768", "32768", "out of the range"),
        ("bigint", "1.5", "1.5", "not rounded"),
        ("numeric(6,2)", "12345", "12345", "digits before the point"),
        ("real", "1e39", "1e39", "out of the range of real"),
        ("varchar(3)", "\"abcd\"", "abcd", "4 characters"),
        ("bytea", "\"\\\\xabc\"", "\\xabc", "neither base64"),
        ("uuid", "\"a0ee\"", "a0ee", "no UUID"),
        ("date", "\"2024-02-30\"", "2024-02-30", "out of range"),
        ("date", "\"today\"", "today", "every day"),
        ("timetz", "\"noon\"", "noon", "invalid input syntax"),
        ("interval", "\"a while\"", "a while", "invalid input syntax"),
        ("jsonb", "\"{\"", "{", "no JSON text"),
        ("inet", "\"10.0.0.256\"", "10.0.0.256", "invalid input syntax"),
        ("int4range", "\"[5,1)\"", "\"[5,1)\"", "lower bound"),
        ("int4multirange", "\"[1,2)\"", "\"[1,2)\"", "malformed multirange"),
        ("mood", "\"angry\"", "angry", "enum mood"),
        ("small", "10", "10", "domain small"),
        ("name_of", "\"\"", "\"\"", "domain name_of"),
        ("pair", "\"(1)\"", "(1)", "malformed record"),
        ("bit(3)", "\"10\"", "10", "holds 3"),
        ("int[]", "[1, \"x\"]", "\"{1,x}\"", ""),
        ("date[]", "[\"2024-13-01\"]", "{2024-13-01}", "out of range"),
        ("vector(3)", "[1, 2]", "\"[1,2]\"", "2 dimensions"),
        ("halfvec(1)", "[70000]", "[70000]", "halfvec"),
        ("sparsevec(3)", "\"{9:1}/3\"", "{9:1}/3", "sparsevec"),
    ];
    let mut t = target(18, &[("id", "int"), ("v", "text")]).await;
    let long = "x".repeat(5000);
    for (type_name, value, csv, words) in bad {
        println!("{type_name} {value}");
        t.table = spec(&[("id", "int"), ("v", type_name)], &["id"]);
        let inline = json!([{"id": 6}, {"id": 7, "v": json_of(value)}]);
        let error = t.try_inline(&inline).await;
        let row = |error: &pg_connector::Error| {
            error.message().contains("row 1 (id = 7)") && !error.message().contains(&long)
        };
        assert!(row(&error) && error.message().contains(words), "{error}");
        assert_eq!(error.blamed(), Some(&Blame::Row(RowLabel::Index(1), Some("v".to_owned()))), "{error:?}");
        let jsonl = format!("{{\"id\": 6}}\n\n{{\"id\": 7, \"v\": {value}}}\n");
        for (name, content, line) in [("r.jsonl", jsonl.as_str(), 3), ("r.csv", &format!("id,v\n6,\n7,{csv}\n"), 3)] {
            let error = t.try_file(name, content).await;
            let place = format!("{name}, line {line}, column v: ");
            assert!(error.message().contains(&place) && error.message().contains(words), "{error}");
            assert_eq!(error.blamed(), Some(&Blame::Attribute("rows_file")), "{error:?}");
        }
        assert_eq!(t.query("select to_regclass('t') is null").await, "t", "nothing was written");
    }
    t.table = spec(&[("id", "int"), ("v", "int")], &["id"]);
    let error = t.try_inline(&json!([{"id": 6, "v": long}])).await;
    assert!(error.message().len() < 150, "a value is shortened: {error}");
}
