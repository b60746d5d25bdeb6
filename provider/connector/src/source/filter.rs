//! A condition that a user wrote, checked to be one before it is put between parentheses, and masked for messages.
//!
//! The server is what keeps a condition from writing or from starting a second statement (a read-only transaction, and a
//! protocol that takes one statement); this check keeps it a condition, so that an error names the condition and not the
//! query around it. **Invariant:** the text between the parentheses is the user's, character for character.

/// A piece of SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// A string literal with its quotes, of any form.
    Literal(&'a str),
    /// A quoted name or a comment.
    Opaque(&'a str),
    /// Any other character.
    Plain(char),
}

/// Why the text cannot stand as a condition; `None` when it can.
pub(super) fn fault(text: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut empty = true;
    for piece in pieces(text) {
        let piece = match piece {
            Ok(piece) => piece,
            Err(what) => return Some(format!("{what} is not closed")),
        };
        match piece {
            Piece::Plain('(') => depth += 1,
            Piece::Plain(')') => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return Some("a closing parenthesis has no opening one".to_owned()),
            },
            Piece::Plain(';') => return Some("it holds a semicolon, and only one condition can stand here".to_owned()),
            Piece::Plain('\0') => return Some("it holds the NUL character".to_owned()),
            _ => {}
        }
        let blank = match piece {
            Piece::Plain(c) => c.is_whitespace(),
            Piece::Opaque(text) => !text.starts_with('"'),
            Piece::Literal(_) => false,
        };
        empty &= blank;
    }
    if depth > 0 {
        return Some("a parenthesis is not closed".to_owned());
    }
    empty.then(|| "it is empty".to_owned())
}

/// The text with its string literals masked, as messages may show it.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Ok(Piece::Literal(_)) => masked.push_str("'…'"),
            Ok(Piece::Opaque(text)) => masked.push_str(text),
            Ok(Piece::Plain(c)) => masked.push(c),
            Err(_) => {
                masked.push('…');
                break;
            }
        }
    }
    masked
}

fn pieces(text: &str) -> impl Iterator<Item = Result<Piece<'_>, &'static str>> {
    let mut rest = text;
    let mut in_word = false;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let piece = match first {
            '\'' => quoted(rest, '\'', false).map(Piece::Literal).ok_or("a string literal"),
            'e' | 'E' if !in_word && rest[1..].starts_with('\'') => {
                quoted(&rest[1..], '\'', true).map(|q| Piece::Literal(&rest[..=q.len()])).ok_or("a string literal")
            }
            '"' => quoted(rest, '"', false).map(Piece::Opaque).ok_or("a quoted name"),
            '$' if !in_word => match dollar_tag(rest) {
                Some(tag) => match rest[tag.len()..].find(tag) {
                    Some(at) => Ok(Piece::Literal(&rest[..at + 2 * tag.len()])),
                    None => Err("a dollar-quoted literal"),
                },
                None => Ok(Piece::Plain('$')),
            },
            '-' if rest.starts_with("--") => Ok(Piece::Opaque(&rest[..rest.find('\n').unwrap_or(rest.len())])),
            '/' if rest.starts_with("/*") => comment(rest).map(Piece::Opaque).ok_or("a comment"),
            other => Ok(Piece::Plain(other)),
        };
        in_word = matches!(piece, Ok(Piece::Plain(c)) if c.is_alphanumeric() || c == '_' || (c == '$' && in_word));
        rest = match piece {
            Ok(Piece::Literal(text) | Piece::Opaque(text)) => &rest[text.len()..],
            Ok(Piece::Plain(c)) => &rest[c.len_utf8()..],
            Err(_) => "",
        };
        Some(piece)
    })
}

/// The quoted text at the beginning, with its quotes. Doubled quotes need no care: they look like two quoted texts.
fn quoted(text: &str, quote: char, backslashes: bool) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if backslashes && c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(&text[..=at]);
        }
    }
    None
}

/// `$tag$` at the beginning.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let plain =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    plain.then(|| &text[..=end])
}

/// The comment at the beginning, with those inside it.
fn comment(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(&text[..at]);
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_let_through() {
        for text in [
            "true",
            "name = $1 or id = $2::bigint",
            "a = ')' and b = '; drop table t'",
            "a = 'it''s)'",
            r"a = E'it\'s)' and b = e'\\'",
            "\"a;)\" = 1",
            "\"a\"\"b(\" = 1",
            "(a = 1) or (b in (1, 2)) -- ) a comment",
            "a /* ) /* ; */ ( */ = 1",
            "a = $$);$$ and b = $x$ $$ ; $x$",
            "a$b$c = 1",
            "id = $1",
            "naïve = 'ü)'",
            "(select max(id) from t) = id",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn other_texts_say_why_not() {
        for (text, why) in [
            ("true) union select 1 --", "no opening"),
            ("(true", "parenthesis is not closed"),
            ("true; drop table t", "semicolon"),
            ("", "empty"),
            ("  -- nothing", "empty"),
            ("/* nothing */", "empty"),
            ("a = 'x", "literal is not closed"),
            (r"a = E'x\'", "literal is not closed"),
            ("\"a", "name is not closed"),
            ("a = $x$ $y$", "dollar-quoted"),
            ("/* /* */", "comment is not closed"),
            (r"a = 'x\' ) or ' '", "no opening"),
            ("a\0", "NUL"),
        ] {
            let fault = fault(text).unwrap_or_default();
            assert!(fault.contains(why), "{text}: {fault:?}");
        }
    }

    #[test]
    fn literals_are_masked() {
        assert_eq!(
            masked("a = 'secret' and b = E'x\\'' and \"c\" = $q$s$q$ or d = 5"),
            "a = '…' and b = '…' and \"c\" = '…' or d = 5"
        );
        assert_eq!(masked("a = 'it''s'"), "a = '…''…'");
        assert_eq!(masked("a = 'secret"), "a = …");
    }
}
