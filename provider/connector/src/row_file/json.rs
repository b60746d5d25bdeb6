//! JSON Lines: one object a line. Its names and values are found, and the values are left as they are written.

use std::fmt;
use std::io::BufRead;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::MAX_RECORD_BYTES;
use super::span::Span;

/// One object, as long as the next line is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'r> {
    /// The line, from 1.
    pub(super) line: u64,
    /// The number of bytes before it.
    pub(super) at: u64,
    text: &'r str,
    beside: &'r str,
    fields: &'r [(Span, Span)],
}

impl<'r> Object<'r> {
    /// The names and the texts of the values.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.fields.iter().map(move |(name, value)| (name.of(self.text, self.beside), value.of(self.text, self.beside)))
    }
}

/// Why there is no row.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The line, from 1.
    pub(super) line: u64,
    /// What is wrong.
    pub(super) message: String,
    /// Whether nothing more can be read.
    pub(super) is_the_end: bool,
}

/// Reads objects one after the other.
pub(super) struct Reader<R> {
    source: R,
    line: u64,
    /// The number of bytes read.
    at: u64,
    buffer: Vec<u8>,
    beside: String,
    fields: Vec<(Span, Span)>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of this source.
    pub(super) fn new(source: R) -> Self {
        Self { source, line: 0, at: 0, buffer: Vec::new(), beside: String::new(), fields: Vec::new() }
    }

    /// Goes on to that place, where a line begins; whether it could.
    pub(super) fn skip_to(&mut self, at: u64) -> bool {
        super::skip(&mut self.source, self.at, at).is_some_and(|at| {
            self.at = at;
            true
        })
    }

    /// The next object; `None` at the end. Empty lines are passed over.
    pub(super) fn object(&mut self) -> Result<Option<Object<'_>>, Trouble> {
        let at = loop {
            super::let_go(&mut self.buffer);
            self.line += 1;
            let at = self.at;
            let end = |message: String| Trouble { line: self.line, message, is_the_end: true };
            let limit = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
            let read = std::io::Read::take(&mut self.source, limit).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|e| end(format!("it cannot be read: {e}")))?;
            if read == 0 {
                return Ok(None);
            }
            self.at += read as u64;
            if self.buffer.last() != Some(&b'\n') && self.buffer.len() == MAX_RECORD_BYTES {
                return Err(end(format!("the line is longer than {} MiB", MAX_RECORD_BYTES >> 20)));
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                break at;
            }
        };
        let line = self.line;
        let trouble = |message: String| Trouble { line, message, is_the_end: false };
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|e| trouble(format!("at character {}: the text is not UTF-8", e.valid_up_to() + 1)))?;
        self.fields.clear();
        self.beside.clear();
        let result = if text.trim_start().starts_with('{') {
            let mut parser = serde_json::Deserializer::from_str(text);
            let finder = Finder { text, beside: &mut self.beside, fields: &mut self.fields };
            parser.deserialize_map(finder).and_then(|()| parser.end()).map(|()| true)
        } else {
            serde_json::from_str::<IgnoredAny>(text).map(|_| false)
        };
        match result {
            Ok(true) => Ok(Some(Object { line, at, text, beside: &self.beside, fields: &self.fields })),
            Ok(false) => Err(trouble("a line must be one JSON object".to_owned())),
            Err(e) if e.is_eof() => Err(trouble("the JSON object does not end on this line".to_owned())),
            Err(e) => {
                let message = e.to_string();
                let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
                Err(trouble(format!("at character {}: {message}", e.column())))
            }
        }
    }
}

/// Notes where the fields of an object stand.
struct Finder<'r, 'n> {
    text: &'r str,
    beside: &'n mut String,
    fields: &'n mut Vec<(Span, Span)>,
}

impl<'r> Visitor<'r> for Finder<'r, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &RawValue = map.next_value()?;
            let name = match name {
                Found::InPlace(name) => self.place(name),
                Found::Undone(name) => {
                    let start = self.beside.len();
                    self.beside.push_str(&name);
                    Span { start, end: self.beside.len(), undone: true }
                }
            };
            self.fields.push((name, self.place(value.get())));
        }
        Ok(())
    }
}

impl<'r> Finder<'r, '_> {
    /// Where a piece of the line stands in it.
    fn place(&self, piece: &'r str) -> Span {
        let start = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Span { start, end: start + piece.len(), undone: false }
    }
}

/// The name of a field.
struct Name;

enum Found<'r> {
    InPlace(&'r str),
    /// It held escapes.
    Undone(String),
}

impl<'r> serde::de::DeserializeSeed<'r> for Name {
    type Value = Found<'r>;

    fn deserialize<D: serde::Deserializer<'r>>(self, deserializer: D) -> Result<Found<'r>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'r> Visitor<'r> for Name {
    type Value = Found<'r>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'r str) -> Result<Found<'r>, E> {
        Ok(Found::InPlace(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Found<'r>, E> {
        Ok(Found::Undone(name.to_owned()))
    }
}
