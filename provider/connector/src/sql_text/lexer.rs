//! Which characters of an SQL text belong together: literals, names, comments.
//!
//! Follows the server's own scanner with `standard_conforming_strings = on`, as far as it matters for where a statement,
//! a literal or a comment ends.
//!
//! **Invariant:** the lexemes, put together, are the text.

/// What a lexeme is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A keyword or an unquoted name.
    Word,
    /// `"…"`, also with `U&`.
    QuotedName,
    /// `'…'`, with any of its prefixes.
    Text,
    /// `$tag$…$tag$`.
    DollarText,
    /// A number.
    Number,
    /// `;`
    Semicolon,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    /// Any other character.
    Other,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its characters.
    pub(crate) text: &'a str,
    /// Its byte offset.
    pub(crate) start: usize,
    /// False for a literal, quoted name or comment that the text ends in the middle of.
    pub(crate) closed: bool,
}

impl Lexeme<'_> {
    /// Whether this is that keyword.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether the server would skip it.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// The name that it stands for, as the catalogue has it; `None` where it is none, or one with `U&`.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_lowercase()),
            Kind::QuotedName => {
                let quoted = self.text.strip_prefix('"')?.strip_suffix('"')?;
                Some(quoted.replace("\"\"", "\""))
            }
            _ => None,
        }
    }

    /// The content of a dollar-quoted text, and its byte offset in the whole text.
    pub(crate) fn dollar_body(&self) -> Option<(usize, &str)> {
        if self.kind != Kind::DollarText {
            return None;
        }
        let tag = self.text[1..].find('$')? + 2;
        let end = if self.closed { self.text.len() - tag } else { self.text.len() };
        self.text.get(tag..end).map(|body| (self.start + tag, body))
    }
}

/// Cuts the text.
pub(crate) fn lex(text: &str) -> Vec<Lexeme<'_>> {
    let mut lexemes = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let (kind, length, closed) = next(&text[start..]);
        let length = length.clamp(1, text.len() - start);
        lexemes.push(Lexeme { kind, text: &text[start..start + length], start, closed });
        start += length;
    }
    lexemes
}

/// The lexemes that the server would not skip.
pub(crate) fn significant(text: &str) -> Vec<Lexeme<'_>> {
    lex(text).into_iter().filter(|lexeme| !lexeme.is_blank()).collect()
}

fn next(rest: &str) -> (Kind, usize, bool) {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        _ if first.is_ascii_whitespace() || first == '\u{b}' => {
            (Kind::Space, run(rest, |c| c.is_ascii_whitespace() || c == '\u{b}'), true)
        }
        '-' if rest.starts_with("--") => (Kind::Comment, rest.find(['\n', '\r']).unwrap_or(rest.len()), true),
        '/' if rest.starts_with("/*") => block_comment(rest),
        '\'' => quoted(rest, 0, Kind::Text, false),
        '"' => quoted(rest, 0, Kind::QuotedName, false),
        '$' => dollar(rest),
        ';' => (Kind::Semicolon, 1, true),
        '(' | '[' => (Kind::Open, 1, true),
        ')' | ']' => (Kind::Close, 1, true),
        _ if first.is_ascii_digit() => {
            (Kind::Number, run(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.'), true)
        }
        _ if starts_name(first) => word(rest),
        _ => (Kind::Other, first.len_utf8(), true),
    }
}

fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// A word, or the literal or quoted name that it is the prefix of.
fn word(rest: &str) -> (Kind, usize, bool) {
    let length = run(rest, |c| starts_name(c) || c.is_ascii_digit() || c == '$');
    let after = &rest[length..];
    match rest[..length].to_ascii_lowercase().as_str() {
        "e" if after.starts_with('\'') => quoted(rest, length, Kind::Text, true),
        "b" | "x" | "n" if after.starts_with('\'') => quoted(rest, length, Kind::Text, false),
        "u" if after.starts_with("&'") => quoted(rest, length + 1, Kind::Text, false),
        "u" if after.starts_with("&\"") => quoted(rest, length + 1, Kind::QuotedName, false),
        _ => (Kind::Word, length, true),
    }
}

/// A literal or quoted name whose opening quote is at this offset; a doubled quote does not close it.
fn quoted(rest: &str, at: usize, kind: Kind, escapes: bool) -> (Kind, usize, bool) {
    let quote = rest.as_bytes()[at];
    let bytes = rest.as_bytes();
    let mut i = at + 1;
    while i < bytes.len() {
        if escapes && bytes[i] == b'\\' {
            i += 2;
        } else if bytes[i] != quote {
            i += 1;
        } else if bytes.get(i + 1) == Some(&quote) {
            i += 2;
        } else {
            // A literal goes on after a line break; only there does it matter that backslashes still escape.
            let gap = run(&rest[i + 1..], |c| c.is_ascii_whitespace());
            let goes_on = escapes && rest[i + 1..i + 1 + gap].contains(['\n', '\r']);
            if goes_on && bytes.get(i + 1 + gap) == Some(&quote) {
                i += gap + 2;
            } else {
                return (kind, i + 1, true);
            }
        }
    }
    (kind, rest.len(), false)
}

fn dollar(rest: &str) -> (Kind, usize, bool) {
    let tag = run(&rest[1..], |c| starts_name(c) || c.is_ascii_digit());
    let opens = rest[1 + tag..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if !opens {
        return (Kind::Other, 1, true);
    }
    let delimiter = &rest[..tag + 2];
    match rest[delimiter.len()..].find(delimiter) {
        Some(at) => (Kind::DollarText, at + 2 * delimiter.len(), true),
        None => (Kind::DollarText, rest.len(), false),
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> (Kind, usize, bool) {
    let bytes = rest.as_bytes();
    let (mut depth, mut i) = (1, 2);
    while i < bytes.len() {
        match &bytes[i..(i + 2).min(bytes.len())] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return (Kind::Comment, i, true);
        }
    }
    (Kind::Comment, rest.len(), false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn significant(text: &str) -> Vec<(Kind, &str)> {
        lex(text).into_iter().filter(|l| l.kind != Kind::Space).map(|l| (l.kind, l.text)).collect()
    }

    #[test]
    fn literals_end_where_the_server_ends_them() {
        for (text, kind) in [
            ("'a'", Kind::Text),
            ("'it''s; fine'", Kind::Text),
            (r"'a\'", Kind::Text),
            (r"E'a\'; b'", Kind::Text),
            ("e'a'\n  'b\\'; c'", Kind::Text),
            ("U&'d\\0061t'", Kind::Text),
            ("b'01'", Kind::Text),
            ("\"a;\"\"b\"", Kind::QuotedName),
            ("u&\"a;b\"", Kind::QuotedName),
            ("$$a;'b$$", Kind::DollarText),
            ("$fn$ $$ ; $$ $other$ $fn$", Kind::DollarText),
            ("/* a /* b; */ c; */", Kind::Comment),
            ("-- a; 'b", Kind::Comment),
            ("naïve", Kind::Word),
            ("a$b$c", Kind::Word),
            ("1_000.5e3", Kind::Number),
        ] {
            assert_eq!(significant(text), [(kind, text)], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_literal_is_none() {
        assert_eq!(significant("$1;$2").iter().filter(|(k, _)| *k == Kind::Semicolon).count(), 1);
        assert_eq!(significant("a - b / c").iter().filter(|(k, _)| *k == Kind::Comment).count(), 0);
        assert_eq!(significant("code'x'"), [(Kind::Word, "code"), (Kind::Text, "'x'")]);
    }

    #[test]
    fn an_open_end_is_marked() {
        for text in ["'a", "E'a\\", "\"a", "$$a", "$x$a$$", "/* a", "/* /* */", "'a''"] {
            assert!(!lex(text).last().unwrap().closed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn lexemes_put_together_are_the_text(text in "[ae\\\\U&$'\"/*;()\\n -]{0,40}|\\PC{0,40}") {
            let together: String = lex(&text).iter().map(|l| l.text).collect();
            prop_assert_eq!(together, text);
        }
    }
}
