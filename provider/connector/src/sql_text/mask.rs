//! What of an SQL text may be shown: everything but its literals and comments.
//!
//! Setup texts create roles with passwords, so a literal's content never leaves. The body of a function or a `do` block
//! is a literal too, but it is code: it stays, with its own literals masked.

use super::lexer::{Kind, Lexeme, lex};

const MASK: &str = "'***'";

/// How deep the literals inside a literal are looked for. The server nests code in code no deeper than users write it.
const MAX_BODIES: usize = 8;

/// The text with its literals and comments masked.
pub fn mask_literals(text: &str) -> String {
    mask(text, 0).0
}

/// Whether the text holds a literal that must not be shown, so that the place where it is written must not be either.
pub(crate) fn has_secrets(text: &str) -> bool {
    mask_literals(text).contains(MASK)
}

/// The text with its literals and comments masked, and where a byte offset of the original went.
pub(crate) fn mask(text: &str, at: usize) -> (String, usize) {
    let at = text.floor_char_boundary(at);
    let mut masked = String::with_capacity(text.len());
    let mut went = None;
    write(text, 0, at, true, &mut masked, &mut went);
    let end = masked.len();
    (masked, went.unwrap_or(end))
}

fn write(text: &str, base: usize, at: usize, bodies: bool, masked: &mut String, went: &mut Option<usize>) {
    let mut statement = Begun::default();
    for lexeme in &lex(text) {
        let start = base + lexeme.start;
        let holds = went.is_none() && (start..start + lexeme.text.len()).contains(&at);
        if holds {
            *went = Some(masked.len());
        }
        match (lexeme.kind, lexeme.dollar_body()) {
            (Kind::DollarText, Some((offset, body))) if bodies && statement.code_follows() => {
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
        statement.add(lexeme);
    }
}

/// What of a statement tells whether the literal that follows is the code of a routine or of a `do` block.
#[derive(Clone, Copy, Default)]
enum Begun {
    #[default]
    Nothing,
    /// `do`
    Do,
    /// `create`, perhaps of a routine, and whether `as` is its last word so far.
    Create {
        routine: bool,
        ends_with_as: bool,
    },
    Other,
}

impl Begun {
    fn add(&mut self, lexeme: &Lexeme<'_>) {
        *self = match *self {
            _ if lexeme.kind == Kind::Semicolon => Self::Nothing,
            before if lexeme.is_blank() => before,
            Self::Nothing if lexeme.is("do") => Self::Do,
            Self::Nothing if lexeme.is("create") => Self::Create { routine: false, ends_with_as: false },
            Self::Nothing => Self::Other,
            Self::Create { routine, .. } => Self::Create {
                routine: routine || lexeme.is("function") || lexeme.is("procedure"),
                ends_with_as: lexeme.is("as"),
            },
            begun => begun,
        };
    }

    fn code_follows(self) -> bool {
        matches!(self, Self::Do | Self::Create { routine: true, ends_with_as: true })
    }
}

/// A server's message about a text, without the text's literals: they may be quoted in it, or be a part of a statement
/// that its CONTEXT repeats.
pub(crate) fn scrub(message: &str, text: &str) -> String {
    let mut found = Found::default();
    found.collect(text, 0);
    replaced(&replaced(message, found.literals, MASK), found.passwords, "***")
}

/// What of a text must not be shown.
#[derive(Default)]
struct Found {
    /// The literals as they are written.
    literals: Vec<String>,
    /// The content of the literals that follow the word `password`.
    passwords: Vec<String>,
}

impl Found {
    fn collect(&mut self, text: &str, depth: usize) {
        let mut follows = false;
        for lexeme in lex(text).iter().filter(|l| !l.is_blank()) {
            match (lexeme.kind, lexeme.dollar_body()) {
                (_, Some((_, body))) => {
                    if follows {
                        self.passwords.push(body.to_owned());
                    }
                    if depth < MAX_BODIES {
                        self.collect(body, depth + 1);
                    }
                    self.literals.push(lexeme.text.to_owned());
                }
                (Kind::Text, _) => {
                    if follows {
                        let content =
                            lexeme.text.find('\'').map_or("", |at| lexeme.text[at + 1..].trim_end_matches('\''));
                        self.passwords.push(content.replace("''", "'"));
                    }
                    if lexeme.text.len() > 2 {
                        self.literals.push(lexeme.text.to_owned());
                    }
                }
                _ => {}
            }
            follows = lexeme.is("password");
        }
    }
}

/// The text with `mask` for each of the hidden texts in it, the longest where several begin at one place.
fn replaced(text: &str, mut hidden: Vec<String>, mask: &str) -> String {
    hidden.retain(|one| !one.is_empty());
    hidden.sort_unstable();
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(found) = longest_beginning(rest, &hidden) {
            clean.push_str(mask);
            rest = &rest[found.len()..];
        } else {
            clean.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    clean
}

/// The longest of the sorted texts that this one begins with.
fn longest_beginning<'a>(text: &str, sorted: &'a [String]) -> Option<&'a str> {
    let mut wanted = text;
    loop {
        let before = sorted.partition_point(|one| one.as_str() <= wanted);
        let nearest = sorted.get(before.checked_sub(1)?)?.as_str();
        if text.starts_with(nearest) {
            return Some(nearest);
        }
        // Whatever else the text begins with is at most as long as what it shares with its nearest neighbour.
        let shared = text.bytes().zip(nearest.bytes()).take_while(|(a, b)| a == b).count();
        wanted = &text[..text.floor_char_boundary(shared)];
        if wanted.is_empty() {
            return None;
        }
    }
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
    fn of_hidden_texts_the_longest_is_replaced() {
        let hidden = ["ab", "abcd", "abce", "x", "", "é"].map(str::to_owned).to_vec();
        for (text, clean) in
            [("abcd", "*"), ("abcf", "*cf"), ("abcdabce ab a", "** * a"), ("bxx", "b**"), ("è é", "è *"), ("", "")]
        {
            assert_eq!(replaced(text, hidden.clone(), "*"), clean, "{text}");
        }
    }

    #[test]
    fn a_place_inside_a_character_is_the_character() {
        assert_eq!(mask("naïve", 3), ("naïve".to_owned(), 2));
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
