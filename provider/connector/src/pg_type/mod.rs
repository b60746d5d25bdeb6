//! Types as users spell them, and which spellings are the same type.
//!
//! A spelling is read into parts and written again in the server's own spelling; only that reaches a statement.
//! **Invariant:** a text that is not shaped like one type never parses, and names that are not known here are the same
//! only when they are written the same, apart from case, spaces, quotes and a left-out schema.

mod builtin;
mod limits;
mod parse;

use std::fmt;

use crate::name::quote_ident;

/// A type.
#[derive(Clone, Debug)]
pub struct PgType {
    /// The schema, where one is named; none for built-in types.
    schema: Option<String>,
    /// The name; of built-in types the internal one.
    name: String,
    /// Whether every server has it.
    builtin: bool,
    /// What an interval is limited to.
    fields: Option<&'static str>,
    /// What stands in the parentheses.
    modifiers: Vec<String>,
    /// Whether it is an array of it, of any number of dimensions.
    array: bool,
}

/// Why a text is no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeFault {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub advice: Option<String>,
}

impl PgType {
    /// Reads a spelling.
    pub fn parse(text: &str) -> Result<Self, TypeFault> {
        parse::parse(text)
    }

    /// The name without schema and modifiers; of built-in types the internal one, such as `int8`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether every server has it.
    pub fn is_builtin(&self) -> bool {
        self.builtin
    }

    /// Whether it is an array.
    pub(crate) fn is_array(&self) -> bool {
        self.array
    }

    /// What stands in the parentheses.
    pub(crate) fn modifiers(&self) -> &[String] {
        &self.modifiers
    }

    /// What an interval is limited to, such as `day to second`.
    pub fn fields(&self) -> Option<&'static str> {
        self.fields
    }

    /// The modifiers as numbers; `None` for one that is no number.
    pub fn numbers(&self) -> Vec<Option<i64>> {
        self.modifiers.iter().map(|modifier| modifier.parse().ok()).collect()
    }

    /// Why no server takes it, where its length, precision or number of dimensions is impossible.
    pub fn fault(&self) -> Option<TypeFault> {
        limits::fault(self)
    }

    /// Whether it is one of pgvector's types, in whichever schema, or an array of them.
    pub fn is_pgvector(&self) -> bool {
        !self.builtin && is_pgvector_name(&self.name)
    }

    /// The same type without modifiers.
    #[must_use]
    pub(crate) fn unmodified(&self) -> Self {
        Self { modifiers: Vec::new(), fields: None, ..self.clone() }
    }

    /// The elements' type of an array.
    #[must_use]
    pub fn element(&self) -> Self {
        Self { array: false, ..self.clone() }
    }

    /// Whether it is the same type. A schema that one of them leaves out is not compared.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let schemas = match (&self.schema, &other.schema) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let modifiers = self.modifiers.len() == other.modifiers.len()
            && self.modifiers.iter().zip(&other.modifiers).all(|(a, b)| {
                // A quoted modifier keeps its case, a plain one does not.
                a == b || (!a.starts_with(['\'', '"']) && a.eq_ignore_ascii_case(b))
            });
        (self.builtin, &self.name, self.fields, self.array) == (other.builtin, &other.name, other.fields, other.array)
            && (schemas || self.is_pgvector())
            && modifiers
    }
}

impl fmt::Display for PgType {
    /// Writes the type as the server would, quoted for SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote_ident(schema))?;
        }
        let mut tail = "";
        if self.builtin {
            let (head, after) = builtin::printed(&self.name, !self.modifiers.is_empty());
            f.write_str(head)?;
            tail = after;
        } else {
            f.write_str(&quote_ident(&self.name))?;
        }
        if let Some(fields) = self.fields {
            write!(f, " {fields}")?;
        }
        if !self.modifiers.is_empty() {
            write!(f, "({})", self.modifiers.join(","))?;
        }
        f.write_str(tail)?;
        if self.array { f.write_str("[]") } else { Ok(()) }
    }
}

/// Whether it is the name of one of pgvector's types.
pub(crate) fn is_pgvector_name(name: &str) -> bool {
    matches!(name, "vector" | "halfvec" | "sparsevec")
}

/// Whether two spellings are the same type.
pub fn same_type(a: &str, b: &str) -> bool {
    match (PgType::parse(a), PgType::parse(b)) {
        (Ok(a), Ok(b)) => a.is_same(&b),
        _ => a.trim() == b.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_type_are_the_same_and_print_as_the_server_prints_them() {
        for (printed, spellings) in [
            ("bigint", &["int8", "BIGINT", " bigint ", "pg_catalog.int8", "\"int8\"", "PG_CATALOG . INT8"][..]),
            ("integer", &["int", "int4", "Integer"]),
            ("smallint", &["int2", "SMALLINT"]),
            ("real", &["float4", "float(1)", "FLOAT ( 24 )"]),
            ("double precision", &["float8", "float", "float(25)", "double   precision"]),
            ("numeric", &["decimal", "DEC", "numeric"]),
            ("numeric(10,2)", &["DECIMAL(10,2)", "dec( 10 , 2 )", "numeric (10,2)"]),
            ("numeric(5,0)", &["numeric(5)", "decimal(5,0)"]),
            ("numeric(5,-2)", &["numeric(5,-2)", "numeric(5, - 2)"]),
            ("character varying", &["varchar", "CHARACTER VARYING", "char varying", "national character varying"]),
            ("character varying(10)", &["varchar(10)", "character  varying ( 10 )", "nchar varying(10)"]),
            ("character(1)", &["char", "character", "char(1)", "bpchar(1)", "nchar", "national char"]),
            ("character(5)", &["char(5)", "bpchar(5)", "\"bpchar\"(5)"]),
            ("bpchar", &["bpchar", "pg_catalog.bpchar"]),
            ("\"char\"", &["\"char\"", "pg_catalog.char"]),
            ("boolean", &["bool", "BOOLEAN"]),
            ("timestamp with time zone", &["timestamptz", "TIMESTAMP WITH TIME ZONE"]),
            ("timestamp without time zone", &["timestamp", "timestamp without  time zone"]),
            ("timestamp(3) with time zone", &["timestamptz(3)", "timestamp (3) with time zone"]),
            ("timestamp(6) without time zone", &["timestamp(6)", "timestamp(9)"]),
            ("time(0) without time zone", &["time(0)", "time(0) without time zone"]),
            ("time with time zone", &["timetz", "time with time zone"]),
            ("bit(1)", &["bit", "bit(1)"]),
            ("bit varying", &["varbit", "BIT VARYING"]),
            ("bit varying(8)", &["varbit(8)", "bit varying(8)"]),
            ("interval", &["interval"]),
            ("interval(3)", &["interval(3)", "INTERVAL ( 3 )"]),
            ("interval day to second(3)", &["interval day to second(3)", "interval DAY  TO SECOND (3)"]),
            ("interval year", &["interval year"]),
            (
                "integer[]",
                &["int4[]", "int[3]", "int[][]", "integer array", "integer ARRAY[4]", "_int4", "int [ 3 ] []"],
            ),
            ("timestamp(3) with time zone[]", &["timestamptz(3)[]"]),
            ("vector(3)", &["vector(3)", "VECTOR( 3 )", "\"vector\"(3)"]),
            ("vector(3)[]", &["vector(3)[]"]),
            ("text", &["text", "TEXT", "pg_catalog.text", "\"text\""]),
            ("jsonb", &["JSONB"]),
            ("mood", &["mood", "Mood", "\"mood\""]),
            ("\"Mood\"", &["\"Mood\""]),
            ("app.\"order\"", &["app.order", "App.\"order\""]),
            ("geometry(Point,4326)", &["geometry(Point,4326)", "GEOMETRY( POINT , 4326)"]),
            ("\"größe\"", &["größe", "\"größe\""]),
        ] {
            for spelling in spellings {
                let parsed = PgType::parse(spelling).unwrap_or_else(|e| panic!("{spelling}: {e:?}"));
                assert!(parsed.to_string().eq_ignore_ascii_case(printed), "{spelling}: {parsed}");
                assert!(same_type(spelling, printed) && same_type(printed, spelling), "{spelling} is {printed}");
                assert!(same_type(&parsed.to_string(), spelling), "{spelling} survives being printed");
            }
        }
    }

    #[test]
    fn a_schema_that_is_left_out_is_not_compared() {
        for (a, b, same) in [
            ("mood", "app.mood", true),
            ("app.mood", "other.mood", false),
            ("public.vector(3)", "extensions.vector(3)", true),
            ("public.vector(3)", "vector(3)", true),
            ("public.text", "text", false),
            ("app.mood[]", "mood[]", true),
        ] {
            assert_eq!(same_type(a, b), same, "{a} and {b}");
        }
    }

    #[test]
    fn different_types_differ() {
        for (a, b) in [
            ("int", "bigint"),
            ("varchar", "text"),
            ("varchar(3)", "varchar(4)"),
            ("varchar(3)", "varchar"),
            ("char", "\"char\""),
            ("bpchar", "char"),
            ("numeric(10,2)", "numeric(10,3)"),
            ("numeric(10)", "numeric"),
            ("timestamp", "timestamptz"),
            ("timestamp(3)", "timestamp"),
            ("vector(3)", "vector(4)"),
            ("vector(3)", "halfvec(3)"),
            ("int[]", "int"),
            ("mood", "\"Mood\""),
            ("interval year", "interval"),
            ("\"integer\"", "integer"),
        ] {
            assert!(!same_type(a, b), "{a} and {b}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_parses_is_printed_as_one_type(text in "[a-zA-Z0-9_ .,()\\[\\]\"';$%-]{0,24}|(var)?char(acter)?( varying)? ?\\([0-9]{1,3}\\)(\\[\\])?") {
            if let Ok(parsed) = PgType::parse(&text) {
                let printed = parsed.to_string();
                let again = PgType::parse(&printed).unwrap();
                proptest::prop_assert!(again.is_same(&parsed), "{text:?} as {printed:?} as {again}");
                proptest::prop_assert_eq!(again.to_string(), printed);
            }
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            " ",
            "text; drop table t",
            "text, b int",
            "text not null",
            "text default 'x'",
            "text)",
            "text) (",
            "text -- x",
            "text /* x */",
            "text collate \"C\"",
            "int check (true)",
            "text primary key",
            "vector(3",
            "vector()",
            "vector(3))",
            "vector(select 1)",
            "vector(3);",
            "vector(f(x))",
            "numeric(1,,2)",
            "numeric(,)",
            "'text'",
            "1",
            "a.b.c.d",
            "a.",
            ".a",
            "a b",
            "a\"b\"",
            "\"a",
            "text[",
            "text[a]",
            "text[]x",
            "text array[x]",
            "setof text",
            "t.c%type",
            "timestamp with time",
            "timestamp with",
            "interval day to year",
            "double",
            "double precision(3)",
            "text(3)",
            "bigint(3)",
            "float(0)",
            "float(54)",
            "$1",
            "x\u{0}y",
            "\"\"",
        ] {
            assert!(PgType::parse(text).is_err(), "{text:?} parsed as {}", PgType::parse(text).unwrap());
        }
        let fault = PgType::parse("bigserial").unwrap_err();
        assert!(fault.message.contains("no type") && fault.advice.unwrap().contains("bigint"));
        assert!(PgType::parse(&format!("{}(3)", "x".repeat(64))).unwrap_err().message.contains("63"));
    }
}
