//! What each type of the server becomes: exact, stable, and of one type for the whole column.

use pg_connector::source::{Kind, SourceQuery};
use serde_json::{Value, json};
use testbed::TestDatabase;

use super::source::{Bench, columns, query};

/// The values of one column, as SQL and as they are read.
type Case = (&'static str, &'static [&'static str], &'static str, Shape);

/// The type of a column's values, short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    Text,
    Numbers,
    Texts,
    Bools,
    Grid,
    TextGrid,
}

impl Shape {
    fn kind(self) -> Kind {
        let list = |kind| Kind::List(Box::new(kind));
        match self {
            Self::Number => Kind::Number,
            Self::Text => Kind::String,
            Self::Numbers => list(Kind::Number),
            Self::Texts => list(Kind::String),
            Self::Bools => list(Kind::Bool),
            Self::Grid => list(list(Kind::Number)),
            Self::TextGrid => list(list(Kind::String)),
        }
    }
}

use Shape::{Bools, Grid, Number, Numbers, Text, TextGrid, Texts};

const CASES: &[Case] = &[
    // Numbers.
    ("numeric", &["0.10", "-12345678901234567890.000000001"], "[0.10,-12345678901234567890.000000001]", Number),
    ("numeric", &["1.50", "NaN", "Infinity", "-Infinity"], r#"["1.50","NaN","Infinity","-Infinity"]"#, Text),
    ("float8", &["1e300", "-1e-300", "0.1"], "[1e+300,-1e-300,0.1]", Number),
    ("float8", &["1.5", "-infinity", "nan"], r#"["1.5","-Infinity","NaN"]"#, Text),
    ("real", &["16777216", "0.1"], "[1.6777216e+07,0.1]", Number),
    ("bigint", &["-9223372036854775808"], "[-9223372036854775808]", Number),
    ("oid", &["4294967295"], "[4294967295]", Number),
    ("money", &["1234.5"], r#"["$1,234.50"]"#, Text),
    // Times.
    ("timestamptz", &["2024-01-02 03:04:05.6+02", "infinity"], r#"["2024-01-02T01:04:05.6Z","infinity"]"#, Text),
    ("timestamptz", &["0044-03-15 00:00:00+00 BC"], r#"["0044-03-15 00:00:00+00 BC"]"#, Text),
    ("timestamp", &["2024-02-29 00:00:00", "-infinity"], r#"["2024-02-29T00:00:00","-infinity"]"#, Text),
    ("date", &["0044-03-15 BC", "infinity", "9999-12-31"], r#"["0044-03-15 BC","infinity","9999-12-31"]"#, Text),
    (
        "timetz",
        &["12:34:56.7-08", "00:00+00", "1:2+05:30"],
        r#"["12:34:56.7-08:00","00:00:00Z","01:02:00+05:30"]"#,
        Text,
    ),
    ("time", &["24:00"], r#"["24:00:00"]"#, Text),
    ("interval", &["-1 year +2 days -03:04:05.6", "0"], r#"["P-1Y2DT-3H-4M-5.6S","PT0S"]"#, Text),
    // Texts of all sorts.
    ("bytea", &[r"\x", r"\x00ff10"], r#"["","AP8Q"]"#, Text),
    ("bit(3)", &["101"], r#"["101"]"#, Text),
    ("varbit", &["", "1"], r#"["","1"]"#, Text),
    ("inet", &["10.0.0.1/8", "::1"], r#"["10.0.0.1/8","::1"]"#, Text),
    ("macaddr", &["08:00:2b:01:02:03"], r#"["08:00:2b:01:02:03"]"#, Text),
    ("pg_lsn", &["16/B374D848"], r#"["16/B374D848"]"#, Text),
    ("tsvector", &["'a' 'b':1"], r#"["'a' 'b':1"]"#, Text),
    ("point", &["(1,2.5)"], r#"["(1,2.5)"]"#, Text),
    ("json", &["{\"a\" : 1.0}", "null"], r#"["{\"a\" : 1.0}","null"]"#, Text),
    ("jsonb", &["1e20"], r#"["100000000000000000000"]"#, Text),
    ("int4range", &["[1,3]", "empty"], r#"["[1,4)","empty"]"#, Text),
    ("tstzrange", &["[2024-01-01 00:00+00,)"], r#"["[\"2024-01-01 00:00:00+00\",)"]"#, Text),
    ("nummultirange", &["{[1,2],(5,)}"], r#"["{[1,2],(5,)}"]"#, Text),
    ("pair", &["(1,\"x y\")"], r#"["(1,\"x y\")"]"#, Text),
    ("mood", &["sad"], r#"["sad"]"#, Text),
    // Domains.
    ("small", &["5"], "[5]", Number),
    ("smalls", &["{1,2}"], "[[1,2]]", Numbers),
    ("of_smalls", &["{3}"], "[[3]]", Numbers),
    // Arrays.
    ("integer[]", &["{}", "{1,NULL}"], "[[],[1,null]]", Numbers),
    ("integer[]", &["{{1,2},{3,NULL}}", "{}"], "[[[1,2],[3,null]],[]]", Grid),
    ("integer[]", &["[-1:0]={7,8}"], "[[7,8]]", Numbers),
    ("integer[]", &["{1}", "{{2}}"], r#"["[1]","[[2]]"]"#, Text),
    ("numeric[]", &["{1.50,NaN}", "{2}"], r#"[["1.50","NaN"],["2"]]"#, Texts),
    ("float8[]", &["{{1,Infinity}}"], r#"[[["1","Infinity"]]]"#, TextGrid),
    ("boolean[]", &["{t,f,NULL}"], "[[true,false,null]]", Bools),
    ("text[]", &[r#"{"",NULL,"NULL","a,b","q\"\\"}"#], r#"[["",null,"NULL","a,b","q\"\\"]]"#, Texts),
    ("jsonb[]", &[r#"{"{\"a\": [1]}"}"#], r#"[["{\"a\": [1]}"]]"#, Texts),
    ("bytea[]", &[r#"{"\\x00ff"}"#], r#"[["AP8="]]"#, Texts),
    ("timestamptz[]", &["{2024-01-02 03:04:05+00}"], r#"[["2024-01-02T03:04:05Z"]]"#, Texts),
    ("box[]", &["{(2,2),(1,1);(4,4),(3,3)}"], r#"[["(2,2),(1,1)","(4,4),(3,3)"]]"#, Texts),
    ("pair[]", &[r#"{"(1,a)","(2,\"b c\")"}"#], r#"[["(1,a)","(2,\"b c\")"]]"#, Texts),
    ("mood[]", &["{sad,happy}"], r#"[["sad","happy"]]"#, Texts),
    ("small[]", &["{1}"], "[[1]]", Numbers),
    ("int2vector", &["1 2"], r#"["1 2"]"#, Text),
    // Vectors.
    ("vector", &["[1,-2.5,3e-05]"], "[[1,-2.5,3e-05]]", Numbers),
    ("halfvec(2)", &["[0.5,1]"], "[[0.5,1]]", Numbers),
    ("sparsevec(4)", &["{1:1.5,4:2}/4"], r#"["{1:1.5,4:2}/4"]"#, Text),
    ("vector(2)[]", &["{\"[1,2]\",NULL}"], "[[[1,2],null]]", Grid),
];

const TYPES: &str = "create extension vector; create type mood as enum ('sad', 'happy'); create type pair as (a int, b text); \
    create domain small as int check (value < 10); create domain smalls as small[]; create domain of_smalls as smalls";

#[tokio::test]
async fn every_type_becomes_what_the_documentation_says() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, TYPES).await;
        for (at, (type_name, values, expected, shape)) in CASES.iter().enumerate() {
            let create = format!("create table t{at} (id int primary key, a {type_name})");
            t.client.batch_execute(&create).await.unwrap();
            for (id, value) in values.iter().enumerate() {
                let literal = value.replace('\'', "''");
                let insert = format!("insert into t{at} values ({id}, '{literal}'::{type_name})");
                t.client.batch_execute(&insert).await.unwrap_or_else(|e| panic!("{insert}: {e:?}"));
            }
            t.client.batch_execute(&format!("insert into t{at} values (99, null)")).await.unwrap();
            let rows = t.read(&columns(&format!("t{at}"), &["a"])).await.unwrap();
            let mut read: Vec<Value> = rows.rows.into_iter().flatten().collect();
            assert_eq!(read.pop(), Some(Value::Null), "{type_name}");
            assert_eq!(Value::from(read).to_string(), *expected, "{type_name}");
            assert_eq!(rows.columns[0].kind, shape.kind(), "{type_name} {values:?}");
            // Without a key every type can be sorted by, and an empty table has the same type.
            t.client.batch_execute(&format!("create view v{at} as select a from t{at}")).await.unwrap();
            assert_eq!(t.read(&query(&format!("v{at}"))).await.unwrap().rows.len(), values.len() + 1);
        }
    }
}

#[tokio::test]
async fn types_of_extensions_are_what_they_print() {
    let setup = "create extension hstore; create extension citext; \
        create table p (id int primary key, h hstore, c citext, hs hstore[], x xml); \
        insert into p values (1, 'a=>1', 'Abc', array['a=>NULL'::hstore], '<a/>')";
    let mut t = Bench::new(15, setup).await;
    let read = t.values(&query("p")).await;
    assert_eq!(read, json!([[1, "\"a\"=>\"1\"", "Abc", ["\"a\"=>NULL"], "<a/>"]]));
}

#[tokio::test]
async fn long_texts_come_whole() {
    let mut t =
        Bench::new(18, "create table p (id int primary key, a text); insert into p select 1, repeat('é', 5000000)")
            .await;
    let read = t.values(&SourceQuery { limit: Some(1), ..columns("p", &["a"]) }).await;
    assert_eq!(read[0][0].as_str().map(|text| text.chars().count()), Some(5_000_000));
}
