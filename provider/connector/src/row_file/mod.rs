//! Files of rows, read one row at a time: JSON Lines and CSV, plain or gzip.
//!
//! **Invariant:** memory does not grow with the file, and every fault names the file and the line.

mod csv;
mod json;
mod span;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Blame, Error};

/// The longest line of JSON Lines, and the longest record of CSV, in bytes.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

/// The most columns that a table of Postgres has.
const MAX_COLUMNS: usize = 1600;

/// A buffer that grew beyond this for one record is not kept for the next.
const KEPT_BYTES: usize = 1 << 20;

/// Empties a buffer, and lets go of it when a rare long record made it large.
fn let_go(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_BYTES);
}

/// One row of a file, as long as the next one is not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRow<'f> {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// The number of bytes before it, after decompression.
    pub(crate) at: u64,
    /// What it names.
    pub(crate) cells: FileCells<'f>,
}

/// What a row of a file names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileCells<'f> {
    /// A JSON object.
    Json(JsonCells<'f>),
    /// A CSV record.
    Csv(CsvCells<'f>),
}

/// The cells of a JSON object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonCells<'f>(json::Object<'f>);

impl<'f> JsonCells<'f> {
    /// The names, and the values as JSON text.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'f str, &'f str)> {
        self.0.fields()
    }
}

/// The fields of a CSV record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CsvCells<'f> {
    record: csv::Record<'f>,
    null: Option<&'f str>,
}

impl<'f> CsvCells<'f> {
    /// The fields in the order of the header; `None` is null.
    pub(crate) fn fields(self) -> impl Iterator<Item = Option<&'f str>> {
        self.record.fields().map(move |(text, quoted)| {
            let is_null = self.null.map_or(text.is_empty() && !quoted, |null| text == null);
            (!is_null).then_some(text)
        })
    }
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
pub(crate) struct RowFile {
    path: PathBuf,
    body: Body,
    /// Whether nothing that follows can be understood.
    broken: bool,
}

enum Body {
    Json(json::Reader<Box<dyn BufRead + Send>>),
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
    pub(crate) fn open(path: &Path, csv_null: Option<&str>) -> Result<Self, Error> {
        let format = Format::of(path)?;
        let unopened = |e| {
            fault(path, None, &format!("it cannot be opened: {e}")).advice(
                "the path is relative to the folder that the command runs in; write \"${path.module}/rows.jsonl\" to name \
                 a file beside the configuration",
            )
        };
        // Opening a pipe would wait for somebody who writes.
        if !std::fs::metadata(path).map_err(unopened)?.is_file() {
            return Err(fault(path, None, "it is no regular file, and rows are read more than once"));
        }
        let file = File::open(path).map_err(unopened)?;
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
            Body::Json(json::Reader::new(source))
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
            if record.len() > MAX_COLUMNS {
                let message =
                    format!("the header names {} columns, and a table has at most {MAX_COLUMNS}", record.len());
                return wrong(record.line, &message);
            }
            let header: Vec<String> = record.fields().map(|(text, _)| text.to_owned()).collect();
            let mut seen = HashSet::new();
            if let Some(twice) = header.iter().find(|name| !seen.insert(name.as_str())) {
                return wrong(1, &format!("the header names column {twice:?} twice"));
            }
            Body::Csv { reader, header, null: csv_null.map(str::to_owned) }
        };
        Ok(Self { path: path.to_owned(), body, broken: false })
    }

    /// The columns of a CSV file's header.
    pub(crate) fn header(&self) -> Option<&[String]> {
        match &self.body {
            Body::Csv { header, .. } => Some(header),
            Body::Json(_) => None,
        }
    }

    /// Goes on to that place, where a row begins; whether it could. Lines are no longer counted.
    pub(crate) fn skip_to(&mut self, at: u64) -> bool {
        match &mut self.body {
            Body::Json(reader) => reader.skip_to(at),
            Body::Csv { reader, .. } => reader.skip_to(at),
        }
    }

    /// The next row. After a faulty line the rows of JSON Lines go on; after a record of CSV that cannot be told from its
    /// neighbours there are no more.
    pub(crate) fn next(&mut self) -> Option<Result<FileRow<'_>, Error>> {
        if self.broken {
            return None;
        }
        let Self { path, body, broken } = self;
        match body {
            Body::Json(reader) => match reader.object() {
                Err(trouble) => {
                    *broken = trouble.is_the_end;
                    Some(Err(fault(path, Some(trouble.line), &trouble.message)))
                }
                Ok(None) => None,
                Ok(Some(object)) => {
                    let cells = FileCells::Json(JsonCells(object));
                    Some(Ok(FileRow { line: object.line, at: object.at, cells }))
                }
            },
            Body::Csv { reader, header, null } => match reader.record(header.len()) {
                Err(e) => {
                    *broken = true;
                    Some(Err(fault(path, Some(e.line), &e.message)))
                }
                Ok(None) => None,
                Ok(Some(record)) if record.len() != header.len() => {
                    let message = format!("the record has {} fields and the header has {}", record.len(), header.len());
                    Some(Err(fault(path, Some(record.line), &message)))
                }
                Ok(Some(record)) => {
                    let cells = FileCells::Csv(CsvCells { record, null: null.as_deref() });
                    Some(Ok(FileRow { line: record.line, at: record.at, cells }))
                }
            },
        }
    }
}

/// Passes over what comes before that place; `None` when the source is past it, ends before it or cannot be read. `at` is
/// where it is.
fn skip(source: &mut impl BufRead, mut at: u64, to: u64) -> Option<u64> {
    while at < to {
        let there = source.fill_buf().ok()?.len();
        let step = there.min(usize::try_from(to - at).unwrap_or(usize::MAX));
        if step == 0 {
            return None;
        }
        source.consume(step);
        at += step as u64;
    }
    (at == to).then_some(at)
}

/// A fault on a line of a file, in a column where one is to blame.
pub(crate) fn fault_in(path: &Path, line: u64, column: Option<&str>, message: &str) -> Error {
    let column = column.map_or_else(String::new, |column| format!(", column {column}"));
    fault_at(path, &format!(", line {line}{column}"), message)
}

fn fault(path: &Path, line: Option<u64>, message: &str) -> Error {
    fault_at(path, &line.map_or_else(String::new, |line| format!(", line {line}")), message)
}

fn fault_at(path: &Path, place: &str, message: &str) -> Error {
    Error::new("read the rows file", format!("{}{place}: {message}", path.display()))
        .blame(Blame::Attribute("rows_file"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The cells of a row as text.
    fn shown(row: FileRow<'_>) -> String {
        let cells: Vec<String> = match row.cells {
            FileCells::Json(cells) => cells.fields().map(|(name, value)| format!("{name}={value}")).collect(),
            FileCells::Csv(cells) => cells.fields().map(|text| format!("{text:?}")).collect(),
        };
        cells.join(" ")
    }

    /// Each row as text: its line and its cells.
    fn read(name: &str, content: &[u8], null: Option<&str>) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let text = |e: Error| e.message().replace(&path.display().to_string(), name);
        let mut file = RowFile::open(&path, null).map_err(text)?;
        let mut rows = Vec::new();
        while let Some(row) = file.next() {
            let row = row.map_err(text)?;
            rows.push(format!("{}: {}", row.line, shown(row)));
        }
        Ok(rows)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn json_lines_keep_values_as_they_are_written() {
        let content = b"{\"n\":12345678901234567890.10, \"a\\u0062\" : [1, {\"x\" : null}]}\r\n\n {\"n\":\"\\n\"}";
        let rows = read("a.jsonl", content, None).unwrap();
        assert_eq!(rows, ["1: n=12345678901234567890.10 ab=[1, {\"x\" : null}]", "3: n=\"\\n\""]);
    }

    #[test]
    fn gzip_is_read_in_all_its_members() {
        let mut two = gzip(b"{\"a\":1}\n");
        two.extend(gzip(b"{\"a\":2}\n"));
        assert_eq!(read("a.ndjson.gz", &two, None).unwrap().len(), 2);
        assert_eq!(read("a.csv.gz", &gzip(b"a\n1\n"), None).unwrap().len(), 1);
    }

    #[test]
    fn a_row_is_found_again_at_its_place() {
        let csv = "\u{feff}a,b\r\n\r\n1,\"li\r\nne\"\n\n\n2,é\n\"3\",";
        let json = "\u{feff}{\"a\":1}\r\n\n  \n {\"a\":\"é\"}\n{\"a\":[2]}";
        let cases = [("a.csv", csv.as_bytes().to_vec()), ("a.jsonl", json.as_bytes().to_vec())];
        let packed = cases.clone().map(|(name, content)| (format!("{name}.gz"), gzip(&content)));
        for (name, content) in cases.map(|(name, content)| (name.to_owned(), content)).into_iter().chain(packed) {
            let path = Path::new(&name);
            let open =
                || RowFile::read_from(path, Format::of(path).unwrap(), std::io::Cursor::new(content.clone()), None);
            let mut file = open().unwrap();
            let mut rows = Vec::new();
            while let Some(row) = file.next() {
                let row = row.unwrap();
                rows.push((row.at, shown(row)));
            }
            assert_eq!(rows.len(), 3, "{name}");
            for (at, text) in &rows {
                let mut file = open().unwrap();
                assert!(file.skip_to(*at), "{name} {at}");
                let row = file.next().unwrap().unwrap();
                assert_eq!((row.at, &shown(row)), (*at, text), "{name}");
            }
            let mut file = open().unwrap();
            assert!(file.skip_to(rows[0].0) && file.skip_to(rows[2].0), "{name}");
            assert_eq!(shown(file.next().unwrap().unwrap()), rows[2].1, "{name}");
            assert!(!file.skip_to(rows[0].0), "{name}: it does not go back");
            assert!(!file.skip_to(10_000), "{name}: it ends before");
        }
    }

    #[test]
    fn null_is_the_unquoted_empty_field_or_what_was_chosen() {
        let cells = |null| read("a.csv", b"a,b\n,\"\"\nNULL,\\N\n", null).unwrap();
        assert_eq!(cells(None), ["2: None Some(\"\")", "3: Some(\"NULL\") Some(\"\\\\N\")"]);
        assert_eq!(cells(Some("\\N")), ["2: Some(\"\") Some(\"\")", "3: Some(\"NULL\") None"]);
    }

    #[test]
    fn faults_name_file_and_line() {
        for (name, content, message) in [
            ("a.txt", &b""[..], "a.txt: its name ends in none of"),
            ("a.jsonl", b"{\"a\":1}\n{\"a\":\n", "a.jsonl, line 2: the JSON object does not end"),
            ("a.jsonl", b"[1]\n", "a.jsonl, line 1: a line must be one JSON object"),
            ("a.jsonl", b"{\"a\":1}\n12\n", "a.jsonl, line 2: a line must be one JSON object"),
            ("a.jsonl", b"\"x\"\n", "a.jsonl, line 1: a line must be one JSON object"),
            ("a.jsonl", b"null\n", "a.jsonl, line 1: a line must be one JSON object"),
            ("a.jsonl", b"{\"a\":1} {\"a\":2}\n", "a.jsonl, line 1: at character 9: trailing characters"),
            ("a.jsonl", b"{\"a\":\"\xff\"}\n", "a.jsonl, line 1: at character 7: the text is not UTF-8"),
            ("a.csv", b"a\n\xff\n", "a.csv, line 2: the text is not UTF-8"),
            ("a.jsonl", b"{\"a\" 1}\n", "a.jsonl, line 1: at character 6: expected `:`"),
            ("a.csv", b"", "a.csv, line 1: a CSV file begins with a header"),
            ("a.csv", b"a,a\n", "a.csv, line 1: the header names column \"a\" twice"),
            ("a.csv", &b",".repeat(1600), "a.csv, line 1: the header names 1601 columns, and a table has at most 1600"),
            ("a.csv", b"a,b\n1,2\n\"x\ny\",2,3\n", "a.csv, line 3: the record has 3 fields and the header has 2"),
            ("a.csv", b"a\n\"x\n", "a.csv, line 2: a quoted field is not closed"),
            ("a.csv.gz", b"a\n1\n", "it cannot be read"),
            ("a.jsonl.gz", b"", "it cannot be read"),
            ("a.jsonl.gz", &gzip(b"{\"a\":1}\n")[..20], "it cannot be read"),
            ("a.jsonl.gz", &[gzip(b"{\"a\":1}\n"), b"rest".to_vec()].concat(), "a.jsonl.gz, line 2: it cannot be read"),
            (
                "a.jsonl",
                &[b"{\"a\":1}\n{\"a\":\"", vec![b'x'; MAX_RECORD_BYTES].as_slice()].concat(),
                "a.jsonl, line 2: the line is longer than 8 MiB",
            ),
            (
                "a.csv",
                &[b"a\n1\n\"", vec![b'\n'; MAX_RECORD_BYTES].as_slice()].concat(),
                "a.csv, line 3: the record is longer than 8 MiB",
            ),
            // A bomb: a long line that is short before it is unpacked.
            (
                "a.csv.gz",
                &gzip(&vec![b'0'; 20 * MAX_RECORD_BYTES]),
                "a.csv.gz, line 1: the record is longer than 8 MiB",
            ),
        ] {
            let error = read(name, content, None).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let missing = RowFile::open(Path::new("/nowhere/a.csv"), None).unwrap_err();
        assert!(missing.message().contains("/nowhere/a.csv: it cannot be opened"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let [pipe, below] = ["pipe.csv", "folder.jsonl"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::fs::create_dir(&below).unwrap();
        for path in [pipe, below] {
            let error = RowFile::open(&path, None).unwrap_err();
            assert!(error.message().contains("it is no regular file"), "{error}");
        }
    }
}
