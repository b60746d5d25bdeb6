//! Where one statement ends and the next begins.

use super::Location;
use super::lexer::{Kind, Lexeme, lex};
use crate::error::Error;

/// One statement of a text.
#[derive(Clone, Debug)]
pub(crate) struct Statement<'a> {
    /// Its position among the statements, from 1.
    pub(crate) number: usize,
    /// Its characters, without what surrounds it: comments, white space, the semicolon.
    pub(crate) text: &'a str,
    /// Its byte offset in the whole text.
    pub(crate) start: usize,
    /// Its first words in lower case, up to four.
    words: Vec<String>,
    lexemes: Vec<Lexeme<'a>>,
}

impl Statement<'_> {
    /// Whether it begins with these words.
    pub(crate) fn begins_with(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(a, b)| a == b)
    }

    /// Whether this keyword or unquoted name is in it, outside literals and comments.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.lexemes.iter().any(|l| l.is(word))
    }

    /// The byte offset in it of the first backslash outside literals, names and comments. SQL has none there: it begins
    /// a command of psql.
    pub(crate) fn backslash(&self) -> Option<usize> {
        self.lexemes.iter().find(|l| l.kind == Kind::Other && l.text == "\\").map(|l| l.start - self.start)
    }
}

/// Cuts a text into its statements, leaving out empty ones. A literal, quoted name or comment without an end, and a
/// bracket without a partner, are errors that say where.
pub(crate) fn split<'a>(doing: &str, text: &'a str) -> Result<Vec<Statement<'a>>, Error> {
    let lexemes = lex(text);
    if let Some(open) = lexemes.iter().find(|l| !l.closed) {
        let Location { line, column } = Location::of(text, open.start);
        let what = match open.kind {
            Kind::Comment => "the comment",
            Kind::QuotedName => "the quoted name",
            _ => "the string",
        };
        return Err(Error::new(doing, format!("{what} that begins at line {line}, column {column} has no end")));
    }
    let mut statements = Vec::new();
    let mut begun: Vec<Lexeme<'a>> = Vec::new();
    let mut nesting = Nesting::default();
    for lexeme in lexemes {
        if lexeme.kind == Kind::Semicolon && nesting.is_outside() {
            push(&mut statements, text, std::mem::take(&mut begun));
            nesting = Nesting::default();
        } else if !(begun.is_empty() && lexeme.is_blank()) {
            nesting.enter(&begun, &lexeme);
            begun.push(lexeme);
        }
    }
    push(&mut statements, text, begun);
    Ok(statements)
}

fn push<'a>(statements: &mut Vec<Statement<'a>>, text: &'a str, mut lexemes: Vec<Lexeme<'a>>) {
    while lexemes.last().is_some_and(Lexeme::is_blank) {
        lexemes.pop();
    }
    let (Some(first), Some(last)) = (lexemes.first(), lexemes.last()) else { return };
    statements.push(Statement {
        number: statements.len() + 1,
        text: &text[first.start..last.start + last.text.len()],
        start: first.start,
        words: first_words(&lexemes),
        lexemes,
    });
}

fn first_words(lexemes: &[Lexeme<'_>]) -> Vec<String> {
    lexemes
        .iter()
        .filter(|l| !l.is_blank())
        .take_while(|l| l.kind == Kind::Word)
        .take(4)
        .map(|l| l.text.to_ascii_lowercase())
        .collect()
}

/// Brackets, and the body of an SQL function (`begin atomic … end`), inside which a semicolon ends nothing.
#[derive(Default)]
struct Nesting {
    brackets: usize,
    body: usize,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.brackets == 0 && self.body == 0
    }

    fn enter(&mut self, before: &[Lexeme<'_>], lexeme: &Lexeme<'_>) {
        match lexeme.kind {
            Kind::Open => self.brackets += 1,
            Kind::Close => self.brackets = self.brackets.saturating_sub(1),
            Kind::Word if self.body == 0 => {
                let begins = before.iter().rev().find(|l| !l.is_blank()).is_some_and(|l| l.is("begin"));
                if lexeme.is("atomic") && begins && creates_routine(before) {
                    self.body = 1;
                }
            }
            Kind::Word if lexeme.is("case") => self.body += 1,
            Kind::Word if lexeme.is("end") => self.body -= 1,
            _ => {}
        }
    }
}

fn creates_routine(lexemes: &[Lexeme<'_>]) -> bool {
    let words = first_words(lexemes);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split("check", text).unwrap().iter().map(|s| s.text).collect()
    }

    #[test]
    fn statements_end_at_their_own_semicolons() {
        let routine = "create or replace function f(a int) returns int\nbegin atomic\n  select case when a > 0 then 1 else 2 end;\n  select 2;\nend";
        let plpgsql =
            "create function g() returns trigger language plpgsql as $f$ begin new.a := 'x;'; return new; end $f$";
        let rule = "create rule r as on insert to t do also (insert into a values (1); insert into b values (2))";
        for (text, expected) in [
            ("select 1", vec!["select 1"]),
            ("select 1;", vec!["select 1"]),
            ("select 1; select 2", vec!["select 1", "select 2"]),
            (";; ;", vec![]),
            ("-- nothing\n/* here */", vec![]),
            ("-- first\nselect 1 -- one\n; -- second; really\nselect 2;", vec!["select 1", "select 2"]),
            ("select ';', \";\", $$;$$, E'\\';'; select 2", vec!["select ';', \";\", $$;$$, E'\\';'", "select 2"]),
            (&format!("{routine};\nselect 1"), vec![routine, "select 1"]),
            (&format!("{plpgsql};\nselect 1"), vec![plpgsql, "select 1"]),
            (&format!("{rule}; select 1"), vec![rule, "select 1"]),
            ("do $$ begin perform 1; end $$; select 1", vec!["do $$ begin perform 1; end $$", "select 1"]),
            ("begin; select 1; end", vec!["begin", "select 1", "end"]),
            ("create index on t (a); create index on t (b)", vec!["create index on t (a)", "create index on t (b)"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn statements_know_where_they_are_and_how_they_begin() {
        let text = "select 1;\n\n  create /* x */ Index CONCURRENTLY i on t (a)";
        let statements = split("check", text).unwrap();
        assert_eq!(statements[1].number, 2);
        assert_eq!(Location::of(text, statements[1].start), Location { line: 3, column: 3 });
        assert!(statements[1].begins_with(&["create", "index", "concurrently"]));
        assert!(statements[1].has_word("on") && !statements[1].has_word("x"));
    }

    #[test]
    fn what_has_no_end_is_an_error_that_says_where() {
        for (text, why) in [
            ("select 1;\n select 'abc", "the string that begins at line 2, column 9"),
            ("select \"abc", "the quoted name that begins at line 1, column 8"),
            ("/* a", "the comment that begins at line 1, column 1"),
            ("do $x$ begin end $$", "the string that begins at line 1, column 4"),
        ] {
            let error = split("check", text).unwrap_err();
            assert!(error.message().contains(why), "{text}: {error}");
            assert!(!error.message().contains("abc"), "{error}");
        }
    }
}
