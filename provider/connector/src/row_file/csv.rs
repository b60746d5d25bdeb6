//! CSV as RFC 4180 has it, with one thing that libraries do not tell: whether a field was quoted.
//!
//! The difference between an empty field and an empty quoted one is how null and the empty text are told apart.

use std::io::BufRead;

use super::MAX_RECORD_BYTES;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Its fields, as many as were asked for.
    pub(super) fields: Vec<Field>,
    /// How many fields it has.
    pub(super) count: usize,
}

/// One field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// Its text, without quotes.
    pub(super) text: String,
    /// Whether it was quoted.
    pub(super) quoted: bool,
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
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of this source.
    pub(super) fn new(source: R) -> Self {
        Self { source, line: 0, buffer: Vec::new() }
    }

    /// The next record, with at most so many of its fields; `None` at the end. Empty lines are passed over.
    pub(super) fn record(&mut self, most: usize) -> Result<Option<Record>, Fault> {
        self.buffer.clear();
        let mut begin = 0;
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
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if begin == 0 {
                begin = self.line;
                if matches!(self.buffer.as_slice(), b"\n" | b"\r\n") {
                    self.buffer.clear();
                    begin = 0;
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
                let read = fields(text, most);
                return read.map(|(fields, count)| Some(Record { line: begun, fields, count })).map_err(fault);
            }
        }
    }
}

/// The first fields, and how many there are.
fn fields(text: &str, most: usize) -> Result<(Vec<Field>, usize), String> {
    let mut fields = Vec::new();
    let mut count = 0;
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let (plain, after) = rest.find(',').map_or((rest, ""), |comma| rest.split_at(comma));
            if plain.contains('"') {
                let at = count + 1;
                return Err(format!("field {at}: a quote stands inside a field that does not begin with one"));
            }
            (Field { text: plain.to_owned(), quoted: false }, after)
        };
        count += 1;
        if count <= most {
            fields.push(field);
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok((fields, count)),
            None => return Err(format!("field {count}: text follows the closing quote")),
        }
    }
}

fn quoted_field(mut rest: &str) -> Result<(Field, &str), String> {
    let mut text = String::new();
    loop {
        let Some(quote) = rest.find('"') else { return Err("a quoted field is not closed".to_owned()) };
        text.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                text.push('"');
                rest = next;
            }
            None => return Ok((Field { text, quoted: true }, rest)),
        }
    }
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
                    let shown = |f: Field| if f.quoted { format!("<{}>", f.text) } else { f.text };
                    records.push((record.line, record.fields.into_iter().map(shown).collect()));
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
