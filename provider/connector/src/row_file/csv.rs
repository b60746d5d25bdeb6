//! CSV as RFC 4180 has it, with one thing that libraries do not tell: whether a field was quoted.
//!
//! The difference between an empty field and an empty quoted one is how null and the empty text are told apart.

use std::io::BufRead;

use super::MAX_RECORD_BYTES;
use super::span::Span;

/// One record, as long as the next one is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'r> {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// The number of bytes before it.
    pub(super) at: u64,
    text: &'r str,
    beside: &'r str,
    fields: &'r [Field],
    count: usize,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    span: Span,
    /// Whether it was quoted.
    quoted: bool,
}

impl<'r> Record<'r> {
    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The fields, as many as were asked for: text without quotes, and whether it was quoted.
    pub(super) fn fields(self) -> impl Iterator<Item = (&'r str, bool)> {
        self.fields.iter().map(move |field| (field.span.of(self.text, self.beside), field.quoted))
    }
}

/// A record that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line on which the record begins.
    pub(super) line: u64,
    /// What is wrong.
    pub(super) message: String,
}

/// Reads records one after the other.
pub(super) struct Reader<R> {
    source: R,
    line: u64,
    /// The number of bytes read.
    at: u64,
    buffer: Vec<u8>,
    beside: String,
    fields: Vec<Field>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of this source.
    pub(super) fn new(source: R) -> Self {
        Self { source, line: 0, at: 0, buffer: Vec::new(), beside: String::new(), fields: Vec::new() }
    }

    /// Goes on to that place, where a record begins; whether it could.
    pub(super) fn skip_to(&mut self, at: u64) -> bool {
        super::skip(&mut self.source, self.at, at).is_some_and(|at| {
            self.at = at;
            true
        })
    }

    /// The next record, with at most so many of its fields; `None` at the end. Empty lines are passed over.
    pub(super) fn record(&mut self, most: usize) -> Result<Option<Record<'_>>, Fault> {
        super::let_go(&mut self.buffer);
        let mut begin = 0;
        let mut at = self.at;
        let mut open = false;
        loop {
            let from = self.buffer.len();
            let limit = u64::try_from(MAX_RECORD_BYTES - from).unwrap_or(u64::MAX);
            let read = std::io::Read::take(&mut self.source, limit).read_until(b'\n', &mut self.buffer);
            let begun = if begin == 0 { self.line + 1 } else { begin };
            let fault = |message: String| Fault { line: begun, message };
            let read = read.map_err(|e| fault(format!("it cannot be read: {e}")))?;
            if read == 0 && self.buffer.is_empty() {
                return Ok(None);
            }
            if self.buffer.len() >= MAX_RECORD_BYTES {
                return Err(fault(format!("the record is longer than {} MiB", MAX_RECORD_BYTES >> 20)));
            }
            if read == 0 {
                return Err(fault("a quoted field is not closed".to_owned()));
            }
            self.line += 1;
            self.at += read as u64;
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if begin == 0 {
                begin = self.line;
                if matches!(self.buffer.as_slice(), b"\n" | b"\r\n") {
                    self.buffer.clear();
                    begin = 0;
                    at = self.at;
                    continue;
                }
            }
            // A record goes on after a line end inside quotes: then the quotes so far are odd in number.
            for byte in self.buffer.iter().skip(from) {
                open ^= *byte == b'"';
            }
            if !open {
                let text = std::str::from_utf8(&self.buffer).map_err(|_| fault("the text is not UTF-8".to_owned()))?;
                let text = text.strip_suffix('\n').unwrap_or(text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                self.fields.clear();
                self.beside.clear();
                let count = fields(text, &mut self.fields, &mut self.beside, most).map_err(fault)?;
                return Ok(Some(Record { line: begun, at, text, beside: &self.beside, fields: &self.fields, count }));
            }
        }
    }
}

/// Keeps the first fields, and returns how many there are.
fn fields(text: &str, fields: &mut Vec<Field>, beside: &mut String, most: usize) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let (mut at, mut count) = (0, 0);
    let mut keep = |count: usize, field| {
        if count <= most {
            fields.push(field);
        }
    };
    loop {
        count += 1;
        if bytes.get(at) == Some(&b'"') {
            let (field, after) = quoted_field(text, at + 1, beside)?;
            keep(count, field);
            at = after;
        } else {
            let end = bytes[at..].iter().position(|b| matches!(b, b',' | b'"')).map_or(bytes.len(), |found| at + found);
            if bytes.get(end) == Some(&b'"') {
                return Err(format!("field {count}: a quote stands inside a field that does not begin with one"));
            }
            keep(count, Field { span: Span { start: at, end, undone: false }, quoted: false });
            at = end;
        }
        match bytes.get(at) {
            Some(b',') => at += 1,
            None => return Ok(count),
            Some(_) => return Err(format!("field {count}: text follows the closing quote")),
        }
    }
}

/// The field after an opening quote, and where the text goes on after the closing one.
fn quoted_field(text: &str, start: usize, beside: &mut String) -> Result<(Field, usize), String> {
    let quote = |from: usize| {
        let found = text.as_bytes()[from..].iter().position(|b| *b == b'"');
        found.map(|at| from + at).ok_or_else(|| "a quoted field is not closed".to_owned())
    };
    let doubled = |at: usize| text.as_bytes().get(at + 1) == Some(&b'"');
    let mut end = quote(start)?;
    if !doubled(end) {
        return Ok((Field { span: Span { start, end, undone: false }, quoted: true }, end + 1));
    }
    let begin = beside.len();
    let mut from = start;
    while doubled(end) {
        beside.push_str(&text[from..=end]);
        from = end + 2;
        end = quote(from)?;
    }
    beside.push_str(&text[from..end]);
    Ok((Field { span: Span { start: begin, end: beside.len(), undone: true }, quoted: true }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, Vec<String>)>, String> {
        let mut reader = Reader::new(text.as_bytes());
        let mut records = Vec::new();
        loop {
            match reader.record(9) {
                Ok(None) => return Ok(records),
                Ok(Some(record)) => {
                    let shown = |(text, quoted)| if quoted { format!("<{text}>") } else { String::from(text) };
                    records.push((record.line, record.fields().map(shown).collect()));
                }
                Err(fault) => return Err(format!("{}: {}", fault.line, fault.message)),
            }
        }
    }

    #[test]
    fn records_are_read() {
        for (text, expected) in [
            ("", vec![]),
            ("a,b", vec![(1, vec!["a", "b"])]),
            ("a,b\r\n\r\n1,\n", vec![(1, vec!["a", "b"]), (3, vec!["1", ""])]),
            ("\u{feff}a\n", vec![(1, vec!["a"])]),
            ("\"x, \"\"y\"\"\",\"\"\nz,\n", vec![(1, vec!["<x, \"y\">", "<>"]), (2, vec!["z", ""])]),
            ("\"li\nne\",1\nn,2\n", vec![(1, vec!["<li\nne>", "1"]), (3, vec!["n", "2"])]),
            ("\"\n\n\"\n", vec![(1, vec!["<\n\n>"])]),
            (" a , é\n", vec![(1, vec![" a ", " é"])]),
        ] {
            let expected: Vec<(u64, Vec<String>)> =
                expected.into_iter().map(|(l, f)| (l, f.into_iter().map(str::to_owned).collect())).collect();
            assert_eq!(read(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn faults_name_the_line() {
        for (text, fault) in [
            ("a\n\"b", "2: a quoted field is not closed"),
            ("a\n\"b\"c\n", "2: field 1: text follows the closing quote"),
            ("a\nb\"\"c\n", "2: field 1: a quote stands inside"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(fault), "{error}");
        }
    }
}
