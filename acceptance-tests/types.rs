//! Types: whatever the server knows, in whatever spelling; and columns inferred from what generators print.

use crate::support::{alternating, once, shape, table};

const TYPES: &str = "create schema app; create schema extensions; create extension vector schema extensions;
    create type app.mood as enum ('sad', 'happy'); create domain app.\"Positive\" as integer check (value > 0);
    create type pair as (a int, b text); create type \"order\" as enum ('asc')";

#[test]
fn types_of_every_kind_and_schema_plan_empty_afterwards_and_after_an_import() {
    alternating(|w| {
        w.sql(TYPES);
        let spelled = |types: [&str; 10]| {
            let columns: Vec<String> = types.iter().enumerate().map(|(at, name)| format!("c{at} {name}")).collect();
            table(&columns.join(";"), "")
        };
        let first = spelled([
            "app.mood",
            "APP.Mood[]",
            "app.\\\"Positive\\\"",
            "pair",
            "\\\"order\\\"",
            "vector(3)",
            "extensions.halfvec(3)",
            "INT4 ARRAY",
            "Decimal ( 10 , 2 )",
            "timestamp(3) with time zone",
        ]);
        let second = spelled([
            "app . mood",
            "app.mood array",
            "\\\"app\\\".\\\"Positive\\\"",
            "public.pair",
            "public.\\\"order\\\"",
            "extensions.vector(3)",
            "HALFVEC(3)",
            "_int4",
            "numeric(10,2)",
            "timestamptz(3)",
        ]);
        w.apply(&first);
        let made = "id bigint!, c0 app.mood, c1 app.mood[], c2 app.\"Positive\", c3 pair, c4 \"order\", \
                    c5 extensions.vector(3), c6 extensions.halfvec(3), c7 integer[], c8 numeric(10,2), \
                    c9 timestamp(3) with time zone";
        assert_eq!(shape(w, "t"), made);
        assert_eq!(w.plan(&second).actions().len(), 0);
        for tf in [&first, &second] {
            w.tf(&["state", "rm", "pg_table_target.t"]).succeeded();
            w.configure(tf);
            w.import("pg_table_target.t", "public.t").succeeded();
            w.apply(tf);
        }
        assert_eq!(shape(w, "t"), made);
        assert!(!w.log().contains("alter table"), "nothing was to be done");
    });
}

#[test]
fn what_is_no_single_type_is_refused_before_anything_is_asked_of_the_server() {
    once(16, |w| {
        for text in [
            "int, drop table x",
            "text -- x",
            "text /* x */",
            "int) --",
            "int default 1",
            "int not null primary key",
            "int check (true)",
            "text collate \\\"C\\\"",
            "\\\"int",
            "varchar('x'",
            "serial",
        ] {
            let tf = table("", "").replace(
                "\"bigint\" }",
                &format!("\"bigint\" }}\n    a = {{ type = \"{text}\" }}\n    b = {{ type = \"int; drop table x\" }}"),
            );
            w.configure(&tf);
            // Each error points at its column.
            w.tf(&["validate"]).failed_with(&["columns[\"a\"].type: ", "columns[\"b\"].type: ", "Write "]);
        }
        w.apply_fails(&table("a nowhere.mood; b int", ""), &["knows no type nowhere.mood", "Nothing was written"]);
        w.apply_fails(&table("a int; b mood", ""), &["knows no type mood", "column b"]);
        assert!(!w.log().contains("create table"));
    });
}

/// A table whose columns are told by this schema.
fn told(schema: &str, overrides: &str) -> String {
    format!(
        "resource \"pg_table_target\" \"t\" {{\n  table_name = \"t\"\n  primary_key = [\"id\"]\n  \
         column_overrides = {{\n{overrides}\n  }}\n  record_schema = <<-JSON\n{schema}\nJSON\n}}\n"
    )
}

#[test]
fn what_pydantic_and_schemars_print_becomes_a_table() {
    alternating(|w| {
        let pydantic = include_str!("../provider/connector/tests/fixtures/pydantic_validation.json");
        let overrides = "emb = { vector = { dimension = 3 } }\n    three = { vector = { dimension = 3, dtype = \"float16\" } }\n    \
                         color = { type = \"text\", nullable = true }";
        w.apply(&told(pydantic, overrides));
        let made = shape(w, "t");
        assert!(made.starts_with("id bigint!, big bigint!, name text!"), "{made}");
        for column in
            ["emb vector(3)!", "three halfvec(3)!", "color text", "dec numeric!", "net cidr!", "inner2 jsonb,"]
        {
            assert!(made.contains(column), "{column}: {made}");
        }
        w.destroy();
        let schemars = include_str!("../provider/connector/tests/fixtures/schemars.json").replace("\"i64_\"", "\"id\"");
        w.apply(&told(&schemars, "arr = { vector = { dimension = 3 } }"));
        let made = shape(w, "t");
        for column in ["id bigint!", "arr vector(3)!", "u64_ numeric!", "skipped integer,", "t time without time zone!"]
        {
            assert!(made.contains(column), "{column}: {made}");
        }
    });
}

#[test]
fn a_schema_that_cannot_be_read_says_where() {
    once(18, |w| {
        let property = |a: &str| {
            format!(
                "{{\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"integer\"}},\"a\":{a}}},\
                 \"$defs\":{{\"A\":{{\"$ref\":\"#/$defs/A\"}}}}}}"
            )
        };
        for (schema, overrides, words) in [
            (property("{\"$ref\":\"#/$defs/Nope\"}"), "", &["/properties/a/$ref", "it defines A"][..]),
            (property("{\"$ref\":\"#/$defs/A\"}"), "", &["/$defs/A/$ref", "leads back to itself"]),
            ("{".to_owned(), "", &["the text is no JSON"]),
            (property("{\"type\":\"string\"}"), "a = { vector = { dimension = 3 } }", &["an array of numbers", "text"]),
            (
                property("{\"type\":\"array\"}"),
                "a = { vector = { dimension = 3, dtype = \"int8\" } }",
                &["int8", "float32", "float16"],
            ),
            (
                property("{\"type\":\"array\"}"),
                "a = { vector = { dimension = 20000 } }",
                &["20000 dimensions", "16000"],
            ),
            (property("{\"type\":\"array\"}"), "a = { type = \"int; drop table x\" }", &["int; drop table x"]),
            (property("{\"type\":\"array\"}"), "id = { nullable = true }", &["primary key", "cannot be null"]),
            (
                property("{\"type\":\"array\"}"),
                "a = { type = \"text\", vector = { dimension = 3 } }",
                &["Column \"a\"", "type or vector, not both"],
            ),
            (property("true").replace("\"a\"", &format!("{:?}", "x".repeat(64))), "", &["64 bytes", "63"]),
        ] {
            w.configure(&told(&schema, overrides));
            let errors = w.tf(&["validate"]).failed_with(words).errors();
            assert_eq!(errors.matches("Error: ").count(), 1, "one fault is one error: {errors}");
        }
    });
}
