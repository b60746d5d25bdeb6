//! Files of rows, read one row at a time: JSON Lines and CSV, plain or gzip.
//!
//! **Invariant:** memory does not grow with the file, and every fault names the file and the line.

mod csv;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::error::{Blame, Error};

/// The longest line of JSON Lines, and the longest record of CSV, in bytes.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// The most columns that a table of Postgres has.
const MAX_COLUMNS: usize = 1600;

/// One row of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRow {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// What it names.
    pub cells: FileCells,
}

/// What a row of a file names.
#[derive(Clone, Debug, PartialEq)]
pub enum FileCells {
    /// A JSON object.
    Json(Map<String, Value>),
    /// The fields of a CSV record, in the order of the header; `None` is null.
    Csv(Vec<Option<String>>),
}

/// What a file's name says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// JSON Lines; otherwise CSV.
    pub json: bool,
    /// Compressed.
    pub gzip: bool,
}

impl Format {
    /// Reads it from the end of the name.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let (gzip, plain) = name.strip_suffix(".gz").map_or((false, name.as_str()), |plain| (true, plain));
        let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
        let json = matches!(ending, "jsonl" | "ndjson");
        if json || ending == "csv" {
            Ok(Self { json, gzip })
        } else {
            Err(fault(path, None, "its name ends in none of .jsonl, .ndjson and .csv (also with .gz)"))
        }
    }
}

/// A file that is being read.
pub struct RowFile {
    path: PathBuf,
    body: Body,
    /// Whether nothing that follows can be understood.
    broken: bool,
}

enum Body {
    Json { source: Box<dyn BufRead + Send>, line: u64, buffer: Vec<u8> },
    Csv { reader: csv::Reader<Box<dyn BufRead + Send>>, header: Vec<String>, null: Option<String> },
}

impl std::fmt::Debug for RowFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RowFile {
    /// Opens a file; its name says what it holds. `csv_null` is the CSV text that means null, by default the empty field
    /// without quotes.
    pub fn open(path: &Path, csv_null: Option<&str>) -> Result<Self, Error> {
        let format = Format::of(path)?;
        let file = File::open(path).map_err(|e| {
            fault(path, None, &format!("it cannot be opened: {e}")).advice(
                "the path is relative to the folder that the command runs in; write \"${path.module}/rows.jsonl\" to name \
                 a file beside the configuration",
            )
        })?;
        Self::read_from(path, format, file, csv_null)
    }

    /// Reads what would be in a file of that name.
    pub(crate) fn read_from(
        path: &Path,
        Format { json, gzip }: Format,
        file: impl Read + Send + 'static,
        csv_null: Option<&str>,
    ) -> Result<Self, Error> {
        let source: Box<dyn BufRead + Send> = if gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(file))))
        } else {
            Box::new(BufReader::with_capacity(1 << 16, file))
        };
        let body = if json {
            Body::Json { source, line: 0, buffer: Vec::new() }
        } else {
            let mut reader = csv::Reader::new(source);
            let wrong = |line, message: &str| Err(fault(path, Some(line), message));
            let record = match reader.record(MAX_COLUMNS) {
                Ok(Some(record)) => record,
                Ok(None) => {
                    return wrong(1, "a CSV file begins with a header that names the columns, and it is empty");
                }
                Err(e) => return wrong(e.line, &e.message),
            };
            if record.count > MAX_COLUMNS {
                let message =
                    format!("the header names {} columns, and a table has at most {MAX_COLUMNS}", record.count);
                return wrong(record.line, &message);
            }
            let header: Vec<String> = record.fields.into_iter().map(|field| field.text).collect();
            let mut seen = HashSet::new();
            if let Some(twice) = header.iter().find(|name| !seen.insert(name.as_str())) {
                return wrong(1, &format!("the header names column {twice:?} twice"));
            }
            Body::Csv { reader, header, null: csv_null.map(str::to_owned) }
        };
        Ok(Self { path: path.to_owned(), body, broken: false })
    }

    /// The columns of a CSV file's header.
    pub fn header(&self) -> Option<&[String]> {
        match &self.body {
            Body::Csv { header, .. } => Some(header),
            Body::Json { .. } => None,
        }
    }

    /// A fault on a line of this file, in a column where one is to blame.
    pub fn fault(&self, line: u64, column: Option<&str>, message: &str) -> Error {
        let message = column.map_or_else(|| message.to_owned(), |column| format!("column {column}: {message}"));
        fault(&self.path, Some(line), &message)
    }

    fn read(&mut self) -> Result<Option<FileRow>, Error> {
        match &mut self.body {
            Body::Json { source, line, buffer } => json_row(source, line, buffer).map_err(|trouble| match trouble {
                Trouble::Line(message) => fault(&self.path, Some(*line), &message),
                Trouble::File(message) => {
                    self.broken = true;
                    fault(&self.path, Some(*line), &message)
                }
            }),
            Body::Csv { reader, header, null } => {
                let record = reader.record(header.len()).map_err(|e| {
                    self.broken = true;
                    fault(&self.path, Some(e.line), &e.message)
                })?;
                let Some(record) = record else { return Ok(None) };
                if record.count != header.len() {
                    let message = format!("the record has {} fields and the header has {}", record.count, header.len());
                    return Err(fault(&self.path, Some(record.line), &message));
                }
                let is_null = |field: &csv::Field| match &*null {
                    Some(null) => field.text == *null,
                    None => field.text.is_empty() && !field.quoted,
                };
                let cells = record.fields.into_iter().map(|f| if is_null(&f) { None } else { Some(f.text) }).collect();
                Ok(Some(FileRow { line: record.line, cells: FileCells::Csv(cells) }))
            }
        }
    }
}

impl Iterator for RowFile {
    type Item = Result<FileRow, Error>;

    /// The next row. After a faulty line the rows of JSON Lines go on; after a record of CSV that cannot be told from its
    /// neighbours there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.broken { None } else { self.read().transpose() }
    }
}

/// Why there is no row.
enum Trouble {
    /// The line is none.
    Line(String),
    /// Nothing more can be read.
    File(String),
}

fn json_row(
    source: &mut Box<dyn BufRead + Send>,
    line: &mut u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<FileRow>, Trouble> {
    loop {
        buffer.clear();
        *line += 1;
        let limit = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
        let read = source.by_ref().take(limit).read_until(b'\n', buffer);
        let read = read.map_err(|e| Trouble::File(format!("it cannot be read: {e}")))?;
        if read == 0 {
            return Ok(None);
        }
        if buffer.last() != Some(&b'\n') && buffer.len() == MAX_RECORD_BYTES {
            return Err(Trouble::File(format!("the line is longer than {} MiB", MAX_RECORD_BYTES >> 20)));
        }
        let text = buffer.strip_prefix(b"\xef\xbb\xbf").filter(|_| *line == 1).unwrap_or(buffer);
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        return match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => Ok(Some(FileRow { line: *line, cells: FileCells::Json(object) })),
            Ok(_) => Err(Trouble::Line("a line must be one JSON object".to_owned())),
            Err(e) if e.is_eof() => Err(Trouble::Line("the JSON object does not end on this line".to_owned())),
            Err(e) => {
                let message = e.to_string();
                let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
                Err(Trouble::Line(format!("at character {}: {message}", e.column())))
            }
        };
    }
}

fn fault(path: &Path, line: Option<u64>, message: &str) -> Error {
    let place = line.map_or_else(String::new, |line| format!(", line {line}"));
    Error::new("read the rows file", format!("{}{place}: {message}", path.display()))
        .blame(Blame::Attribute("rows_file"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(name: &str, content: &[u8], null: Option<&str>) -> Result<Vec<FileRow>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let text = |e: Error| e.message().replace(&path.display().to_string(), name);
        RowFile::open(&path, null).map_err(text)?.map(|row| row.map_err(text)).collect()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn json_lines_keep_numbers_exact() {
        let rows = read("a.jsonl", b"{\"n\":12345678901234567890.10}\r\n\n{\"n\":null}", None).unwrap();
        assert_eq!(rows.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 3]);
        let FileCells::Json(first) = &rows[0].cells else { panic!() };
        assert_eq!(first["n"].to_string(), "12345678901234567890.10");
    }

    #[test]
    fn gzip_is_read_in_all_its_members() {
        let mut two = gzip(b"{\"a\":1}\n");
        two.extend(gzip(b"{\"a\":2}\n"));
        assert_eq!(read("a.ndjson.gz", &two, None).unwrap().len(), 2);
        assert_eq!(read("a.csv.gz", &gzip(b"a\n1\n"), None).unwrap().len(), 1);
    }

    #[test]
    fn null_is_the_unquoted_empty_field_or_what_was_chosen() {
        let cells = |null| {
            read("a.csv", b"a,b\n,\"\"\nNULL,\\N\n", null)
                .unwrap()
                .into_iter()
                .map(|row| match row.cells {
                    FileCells::Csv(cells) => cells,
                    FileCells::Json(_) => panic!(),
                })
                .collect::<Vec<_>>()
        };
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(cells(None), [vec![None, text("")], vec![text("NULL"), text("\\N")]]);
        assert_eq!(cells(Some("\\N")), [vec![text(""), text("")], vec![text("NULL"), None]]);
    }

    #[test]
    fn faults_name_file_and_line() {
        for (name, content, message) in [
            ("a.txt", &b""[..], "a.txt: its name ends in none of"),
            ("a.jsonl", b"{\"a\":1}\n{\"a\":\n", "a.jsonl, line 2: the JSON object does not end"),
            ("a.jsonl", b"[1]\n", "a.jsonl, line 1: a line must be one JSON object"),
            ("a.jsonl", b"{\"a\" 1}\n", "a.jsonl, line 1: at character 6: expected `:`"),
            ("a.csv", b"", "a.csv, line 1: a CSV file begins with a header"),
            ("a.csv", b"a,a\n", "a.csv, line 1: the header names column \"a\" twice"),
            ("a.csv", &b",".repeat(1600), "a.csv, line 1: the header names 1601 columns, and a table has at most 1600"),
            ("a.csv", b"a,b\n1,2\n\"x\ny\",2,3\n", "a.csv, line 3: the record has 3 fields and the header has 2"),
            ("a.csv", b"a\n\"x\n", "a.csv, line 2: a quoted field is not closed"),
            ("a.csv.gz", b"a\n1\n", "it cannot be read"),
        ] {
            let error = read(name, content, None).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let missing = RowFile::open(Path::new("/nowhere/a.csv"), None).unwrap_err();
        assert!(missing.message().contains("/nowhere/a.csv: it cannot be opened"), "{missing}");
    }
}
