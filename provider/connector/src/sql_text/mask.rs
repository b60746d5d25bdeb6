//! What of an SQL text may be shown: everything but its literals and comments.
//!
//! Setup texts create roles with passwords, so a literal's content never leaves. The body of a function or a `do` block
//! is a literal too, but it is code: it stays, with its own literals masked.

use super::lexer::{Kind, Lexeme, lex};

const MASK: &str = "'***'";

/// The text with its literals and comments masked.
pub fn mask_literals(text: &str) -> String {
    mask(text, 0).0
}

/// Whether the text holds a literal that must not be shown, so that the place where it is written must not be either.
pub fn has_secrets(text: &str) -> bool {
    mask_literals(text).contains(MASK)
}

/// The text with its literals and comments masked, and where a byte offset of the original went.
pub fn mask(text: &str, at: usize) -> (String, usize) {
    let mut masked = String::with_capacity(text.len());
    let mut went = None;
    write(text, 0, at, true, &mut masked, &mut went);
    let end = masked.len();
    (masked, went.unwrap_or(end))
}

fn write(text: &str, base: usize, at: usize, bodies: bool, masked: &mut String, went: &mut Option<usize>) {
    let lexemes = lex(text);
    for (i, lexeme) in lexemes.iter().enumerate() {
        let start = base + lexeme.start;
        let holds = went.is_none() && (start..start + lexeme.text.len()).contains(&at);
        if holds {
            *went = Some(masked.len());
        }
        match (lexeme.kind, lexeme.dollar_body()) {
            (Kind::DollarText, Some((offset, body))) if bodies && is_code(&lexemes[..i]) => {
                if holds && at >= base + offset && at < base + offset + body.len() {
                    *went = None;
                }
                let tag = &lexeme.text[..offset - lexeme.start];
                masked.push_str(tag);
                write(body, base + offset, at, false, masked, went);
                if lexeme.closed {
                    masked.push_str(tag);
                }
            }
            (Kind::Text | Kind::DollarText, _) => masked.push_str(MASK),
            (Kind::Comment, _) => {
                masked.push_str(if lexeme.text.starts_with("--") { "--" } else { "/* */" });
                let lines = if lexeme.text.starts_with("--") { 0 } else { lexeme.text.matches('\n').count() };
                masked.extend(std::iter::repeat_n('\n', lines));
            }
            (Kind::Other, _) if holds => {
                *went = Some(masked.len());
                masked.push_str(lexeme.text);
            }
            _ => {
                if holds {
                    *went = Some(masked.len() + at - start);
                }
                masked.push_str(lexeme.text);
            }
        }
    }
}

/// Whether the literal that follows is the code of a routine or of a `do` block.
fn is_code(before: &[Lexeme<'_>]) -> bool {
    let statement = before.iter().rposition(|l| l.kind == Kind::Semicolon).map_or(before, |at| &before[at + 1..]);
    let mut words = statement.iter().filter(|l| !l.is_blank());
    let first = words.next();
    let last = statement.iter().rev().find(|l| !l.is_blank());
    let block = first.is_some_and(|l| l.is("do"));
    let routine = first.is_some_and(|l| l.is("create"))
        && statement.iter().any(|l| l.is("function") || l.is("procedure"))
        && last.is_some_and(|l| l.is("as"));
    block || routine
}

/// The literals that follow the word `password`, without their quotes.
fn passwords(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut follows = false;
    for lexeme in lex(text).iter().filter(|l| !l.is_blank()) {
        match (lexeme.kind, lexeme.dollar_body()) {
            (_, Some((_, body))) => {
                if follows {
                    found.push(body.to_owned());
                }
                found.extend(passwords(body));
            }
            (Kind::Text, _) if follows => {
                let content = lexeme.text.find('\'').map_or("", |at| lexeme.text[at + 1..].trim_end_matches('\''));
                found.push(content.replace("''", "'"));
            }
            _ => {}
        }
        follows = lexeme.is("password");
    }
    found.retain(|p| !p.is_empty());
    found
}

/// A server's message about a text, without the text's literals: they may be quoted in it, or be a part of a statement
/// that its CONTEXT repeats.
pub fn scrub(message: &str, text: &str) -> String {
    let mut clean = message.to_owned();
    for literal in literals(text) {
        clean = clean.replace(&literal, MASK);
    }
    for password in passwords(text) {
        clean = clean.replace(&password, "***");
    }
    clean
}

/// The literals as they are written, the longest first so that none is cut by a shorter one inside it.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for lexeme in lex(text) {
        match (lexeme.kind, lexeme.dollar_body()) {
            (_, Some((_, body))) => {
                found.extend(literals(body));
                found.push(lexeme.text.to_owned());
            }
            (Kind::Text, _) if lexeme.text.len() > 2 => found.push(lexeme.text.to_owned()),
            _ => {}
        }
    }
    found.sort_by_key(|l| std::cmp::Reverse(l.len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_masked() {
        for (text, shown) in [
            ("create role a password 'geheim'", "create role a password '***'"),
            ("select E'a\\'geheim', $$geheim$$, U&'geheim'", "select '***', '***', '***'"),
            ("select \"name\", 1 -- geheim\n, 2", "select \"name\", 1 --\n, 2"),
            ("select 1 /* geheim\n */, 2", "select 1 /* */\n, 2"),
            ("select 'geheim", "select '***'"),
            (
                "do $$ begin execute 'geheim'; perform $x$geheim$x$; end $$",
                "do $$ begin execute '***'; perform '***'; end $$",
            ),
            (
                "create function f() returns text language sql as $f$ select 'geheim' $f$",
                "create function f() returns text language sql as $f$ select '***' $f$",
            ),
            ("create table t (); comment on table t is $$geheim$$", "create table t (); comment on table t is '***'"),
            ("create view v as select $$geheim$$", "create view v as select '***'"),
        ] {
            assert_eq!(mask(text, 0).0, shown);
            assert!(!mask(text, 0).0.contains("geheim"));
        }
    }

    #[test]
    fn a_text_without_literals_may_be_shown() {
        for (text, secret) in [
            ("create index i on t (a)", false),
            ("do $$ begin perform 1; end $$", false),
            ("do $$ begin perform 'x'; end $$", true),
            ("select 'x'", true),
            ("comment on table t is $$x$$", true),
        ] {
            assert_eq!(has_secrets(text), secret, "{text}");
        }
    }

    #[test]
    fn a_place_is_found_again() {
        for (text, at, rest) in [
            ("select 'geheim', wrong", "wrong", "wrong"),
            ("select 'geheim', 1", "heim", "'***', 1"),
            ("do $$ begin perform 'geheim'; wrong; end $$", "wrong", "wrong; end $$"),
            ("select wrong", "rong", "rong"),
        ] {
            let (masked, went) = mask(text, text.find(at).unwrap());
            assert_eq!(&masked[went..], rest, "{text}");
        }
        let (masked, went) = mask("select 1", 8);
        assert_eq!(went, masked.len());
    }

    #[test]
    fn messages_lose_the_literals_of_their_text() {
        let text = "create role a password 'ge''heim'; do $$ begin execute 'drop it'; end $$; select 'x'::int";
        assert_eq!(scrub("syntax error at or near \"'ge''heim'\"", text), "syntax error at or near \"'***'\"");
        assert_eq!(scrub("SQL statement \"execute 'drop it'\"", text), "SQL statement \"execute '***'\"");
        assert_eq!(scrub("ge'heim is too weak", text), "*** is too weak");
        assert_eq!(scrub("invalid input for integer: \"x\"", text), "invalid input for integer: \"x\"");
    }
}
