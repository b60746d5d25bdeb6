//! SQL expressions that users write, such as a column's default.
//!
//! **Invariant:** what has no fault here is one expression, so it cannot become another clause or statement of the text
//! that it is put into.

use crate::sql_text::{Kind, Lexeme, lex, significant};

/// The functions of every server that are not volatile and that people use in defaults, and key words that look like
/// functions.
const NOT_VOLATILE: &str = " abs age array_append array_cat array_fill array_prepend array_to_string box btrim cast ceil \
    ceiling char_length circle coalesce concat concat_ws current_database current_schema current_setting current_time \
    current_timestamp current_user date date_part date_trunc daterange decode div encode exp extract floor format \
    greatest hashtext initcap int4range int8range json_array json_build_array json_build_object json_object \
    jsonb_build_array jsonb_build_object jsonb_object jsonb_set least left length line ln localtime localtimestamp log \
    lower lpad lseg ltrim make_date make_interval make_time make_timestamp make_timestamptz md5 mod now nullif numrange \
    octet_length overlay path plainto_tsquery point polygon position power repeat replace reverse right round row rpad \
    rtrim session_user sha224 sha256 sha384 sha512 sign split_part sqrt statement_timestamp string_to_array substr \
    substring timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector \
    transaction_timestamp translate trim trunc tsrange tstzrange upper ";

/// Type names that take something in parentheses.
const TYPES: &str = " bit bpchar char character decimal dec float halfvec interval numeric sparsevec time timestamp timestamptz timetz \
    varbit varchar varying vector ";

/// Why a text is not one expression.
pub(crate) fn fault(text: &str) -> Option<String> {
    let lexemes = lex(text);
    if lexemes.iter().all(Lexeme::is_blank) {
        return Some("an expression cannot be empty".to_owned());
    }
    let holds_nul = text.contains('\0');
    let mut open: Vec<&str> = Vec::new();
    for lexeme in &lexemes {
        let wrong = match lexeme.kind {
            _ if holds_nul => "it holds the NUL character",
            _ if !lexeme.closed => "a quote in it is not closed",
            Kind::Comment => "it holds a comment",
            Kind::Semicolon => "it holds a semicolon",
            Kind::Other if lexeme.text == "," && open.is_empty() => "it holds a comma outside of parentheses",
            Kind::Open => {
                open.push(if lexeme.text == "(" { ")" } else { "]" });
                continue;
            }
            Kind::Close if open.pop() != Some(lexeme.text) => "its parentheses do not match",
            _ => continue,
        };
        return Some(format!("it is not one SQL expression: {wrong}"));
    }
    if open.is_empty() { None } else { Some("it is not one SQL expression: its parentheses do not match".to_owned()) }
}

/// The expression where a clause may follow it: in parentheses unless it is a plain value, call or cast.
pub(crate) fn rendered(text: &str) -> String {
    let text = text.trim();
    if is_plain(text) { text.to_owned() } else { format!("({text})") }
}

/// Whether it is the value null, which is no default at all.
pub(crate) fn is_null(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("null")
}

/// Whether it is a literal, perhaps cast, and so always the same value.
pub(crate) fn is_constant(text: &str) -> bool {
    let lexemes = significant(text);
    let (value, cast) = match lexemes.as_slice() {
        [sign, value, cast @ ..] if matches!(sign.text, "-" | "+") => (value, cast),
        [value, cast @ ..] => (value, cast),
        [] => return false,
    };
    let literal = matches!(value.kind, Kind::Text | Kind::Number) || value.is("true") || value.is("false");
    literal && (cast.is_empty() || cast[0].text.starts_with(':'))
}

/// Whether its value may differ from row to row, so that a new column with this default makes the server write the
/// whole table. What is neither a constant nor a known function of every server counts as such.
pub(crate) fn may_be_volatile(text: &str) -> bool {
    let lexemes = significant(text);
    let words = |list: &str, word: &str| list.contains(&format!(" {} ", word.to_ascii_lowercase()));
    lexemes.iter().enumerate().any(|(at, lexeme)| {
        let called = lexemes.get(at + 1).is_some_and(|next| next.text == "(");
        let qualified = at >= 2 && lexemes[at - 1].text == ".";
        let builtin = !qualified || lexemes[at - 2].is("pg_catalog");
        match lexeme.kind {
            Kind::Word if called => !(builtin && (words(NOT_VOLATILE, lexeme.text) || words(TYPES, lexeme.text))),
            Kind::QuotedName => called,
            _ => false,
        }
    })
}

/// `'x'`, `-1`, `true`, `f(…)`, `a.f(…)`, `array[…]`, `date 'x'`, and casts of these with `::`.
fn is_plain(text: &str) -> bool {
    let lexemes = significant(text);
    let mut rest = lexemes.as_slice();
    if let [first, tail @ ..] = rest
        && matches!(first.text, "-" | "+")
        && tail.first().is_some_and(|l| l.kind == Kind::Number)
    {
        rest = tail;
    }
    rest = match rest {
        [first, tail @ ..] if matches!(first.kind, Kind::Number | Kind::Text | Kind::DollarText) => tail,
        [first, literal, tail @ ..] if first.kind == Kind::Word && literal.kind == Kind::Text => tail,
        [first, ..] if first.kind == Kind::Open => match group(rest) {
            Some(after) => after,
            None => return false,
        },
        [first, ..] if first.is("not") => return false,
        _ => match name(rest) {
            Some(after) if after.first().is_some_and(|l| l.kind == Kind::Open) => match group(after) {
                Some(after) => after,
                None => return false,
            },
            Some(after) => after,
            None => return false,
        },
    };
    while let [colon, another, tail @ ..] = rest {
        if colon.text != ":" || another.text != ":" {
            return false;
        }
        let Some(after) = name(tail) else { return false };
        rest = after;
        while rest.first().is_some_and(|l| l.kind == Kind::Open) {
            let Some(after) = group(rest) else { return false };
            rest = after;
        }
    }
    rest.is_empty()
}

/// What follows a name of one or more parts.
fn name<'a, 't>(lexemes: &'a [Lexeme<'t>]) -> Option<&'a [Lexeme<'t>]> {
    let is_name = |l: &Lexeme<'_>| matches!(l.kind, Kind::Word | Kind::QuotedName);
    let mut rest = lexemes.split_first().filter(|(first, _)| is_name(first))?.1;
    while let [dot, part, tail @ ..] = rest {
        if dot.text != "." || !is_name(part) {
            break;
        }
        rest = tail;
    }
    Some(rest)
}

/// What follows the group in parentheses or brackets that the lexemes begin with.
fn group<'a, 't>(lexemes: &'a [Lexeme<'t>]) -> Option<&'a [Lexeme<'t>]> {
    let mut depth = 0;
    for (at, lexeme) in lexemes.iter().enumerate() {
        match lexeme.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return lexemes.get(at + 1..);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_expression_is_an_expression() {
        for text in [
            "0",
            "'a,b;c'",
            "now()",
            "f(1, 2)",
            "array[1,2]",
            "'x'::text",
            "(1, 2)",
            "$$a;b$$",
            "a and b",
            "'it''s'",
            "'--'",
            "nextval('public.s')",
            "\"we;ird\"()",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
        for text in [
            "",
            "  ",
            "1; drop table t",
            "1, b int",
            "1 -- x",
            "1 /* x */",
            "f(1",
            "f(1))",
            "'x",
            "f(1]",
            ")(",
            "\"a",
            "$$a",
            "1) , x int default (1",
        ] {
            assert!(fault(text).is_some(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_expression_escapes_its_place(text in "[a-z0-9 .,()\\[\\]\"';:$+-]{0,20}") {
            if fault(&text).is_none() {
                let place = format!("f({}, 1)", rendered(&text));
                proptest::prop_assert_eq!(fault(&place), None);
                let lexemes = lex(&place);
                let mut depth = 0;
                let outer = lexemes.iter().filter(|lexeme| {
                    depth += i32::from(lexeme.kind == Kind::Open) - i32::from(lexeme.kind == Kind::Close);
                    depth == 1 && lexeme.text == ","
                });
                proptest::prop_assert_eq!(outer.count(), 1);
            }
        }
    }

    #[test]
    fn parentheses_keep_an_expression_together() {
        for (text, sql) in [
            (" 0 ", "0"),
            ("-1.5", "-1.5"),
            ("'x'", "'x'"),
            ("'{}'::jsonb", "'{}'::jsonb"),
            ("'{}'::text[]", "'{}'::text[]"),
            ("now()", "now()"),
            ("pg_catalog.now()", "pg_catalog.now()"),
            ("(1 + 1)", "(1 + 1)"),
            ("array[1, 2]", "array[1, 2]"),
            ("date '2020-01-01'", "date '2020-01-01'"),
            ("nextval('s'::regclass)", "nextval('s'::regclass)"),
            ("5::numeric(10,2)", "5::numeric(10,2)"),
            ("true", "true"),
            ("current_timestamp", "current_timestamp"),
            ("1 + 1", "(1 + 1)"),
            ("(1) + (2)", "((1) + (2))"),
            ("not true", "(not true)"),
            ("5 not null", "(5 not null)"),
            ("5 primary key", "(5 primary key)"),
            ("now() at time zone 'utc'", "(now() at time zone 'utc')"),
            ("'x' collate \"C\"", "('x' collate \"C\")"),
        ] {
            assert_eq!(rendered(text), sql);
        }
    }

    #[test]
    fn a_default_that_may_be_volatile_is_told() {
        for text in [
            "0",
            "'gen_random_uuid()'",
            "now()",
            "current_timestamp",
            "now() + interval '1 day'",
            "'{}'::jsonb",
            "lower('A')",
            "pg_catalog.now()",
            "5::numeric(10,2)",
            "(1 + 1)",
            "array[1,2]",
            "jsonb_build_object('a', now())",
        ] {
            assert!(!may_be_volatile(text), "{text}");
        }
        for text in [
            "gen_random_uuid()",
            "random()",
            "nextval('s')",
            "my.now()",
            "f()",
            "\"now\"()",
            "clock_timestamp()",
            "coalesce(null, gen_random_uuid())",
            "uuidv7()",
            "public.gen_random_uuid ()",
        ] {
            assert!(may_be_volatile(text), "{text}");
        }
    }
}
