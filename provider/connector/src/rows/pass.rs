//! One pass through a file of rows: every cell checked, every row hashed, nothing kept.
//!
//! **Invariant:** memory does not grow with the number of rows. A row that is handed out fits the table as far as can be
//! told without the server; every other row leaves a fault that names file, line and column.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::declare::{self, Column};
use super::input::Input;
use super::row_hash::{CellDigest, KeyDigest, RowHash};
use super::{Cell, MOST_NAMED, value};
use crate::error::Error;
use crate::row_file::{FileCells, FileRow, RowFile, fault_in};
use crate::spec::TableSpec;

/// More faults than this are only counted.
const MOST_FAULTS: usize = 20;

/// A text that grew beyond this for one row is not kept for the next.
const KEPT_BYTES: usize = 1 << 20;

/// A pass that is under way.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    file: RowFile,
    check: Check<'a>,
    rows: u64,
    nul_stripped: Vec<u64>,
}

/// What rows are checked against, and the row that was read last.
#[derive(Debug)]
struct Check<'a> {
    path: PathBuf,
    /// The table's columns, the primary key's first.
    columns: Vec<Column<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// The columns in the order of their names.
    in_name_order: Vec<usize>,
    /// The column of each field of a CSV file, or of the last object of JSON: the next one mostly has the same.
    header: Vec<usize>,
    /// For each column, what the rows so far made of it.
    uses: Vec<Use>,
    /// The texts of the row's cells, one after the other.
    text: String,
    /// For each column of the table, where the text of its cell is; `None` is null.
    cells: Vec<Option<Range<usize>>>,
    first_line: Option<u64>,
    row_digest: CellDigest,
    key_digest: KeyDigest,
    faults: Faults,
}

/// What rows made of a column.
#[derive(Clone, Debug, Default)]
struct Use {
    named: bool,
    /// The line that named it last.
    last: u64,
    /// The first line that did not name it.
    absent: Option<u64>,
}

/// One sound row, as long as the next one is not read.
#[derive(Debug)]
pub(super) struct Row<'p> {
    /// The line on which it begins.
    pub(super) line: u64,
    /// The number of bytes before it.
    pub(super) at: u64,
    text: &'p str,
    cells: &'p [Option<Range<usize>>],
    /// What tells it from others.
    pub(super) hash: RowHash,
    /// The digest of its cells.
    pub(super) digest: [u8; 32],
}

impl Row<'_> {
    /// The cell of a column of the table, the primary key's first; `None` is null.
    pub(super) fn cell(&self, at: usize) -> Option<&str> {
        self.text.get(self.cells.get(at)?.clone()?)
    }

    /// The same as a value of its own.
    pub(super) fn owned_cell(&self, at: usize) -> Cell {
        self.cell(at).map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
    }
}

/// What a whole pass found.
#[derive(Debug)]
pub(super) struct Found {
    /// The positions of the columns that some row names.
    pub(super) named: Vec<usize>,
    /// The number of rows.
    pub(super) rows: u64,
    /// The first lines whose texts held NUL characters.
    pub(super) nul_stripped: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    errors: Vec<Error>,
    uncounted: u64,
    unknown: HashSet<String>,
}

impl Faults {
    pub(super) fn push(&mut self, error: Error) {
        if self.errors.len() < MOST_FAULTS { self.errors.push(error) } else { self.uncounted += 1 }
    }

    fn count(&self) -> u64 {
        self.errors.len() as u64 + self.uncounted
    }

    pub(super) fn finish(mut self) -> Result<(), Vec<Error>> {
        if let (Some(last), true) = (self.errors.last(), self.uncounted > 0) {
            let more = last.clone().because(format!("there are {} more faults in the file", self.uncounted));
            self.errors.push(more);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

impl<'a> Pass<'a> {
    /// Opens the file. Faults of a CSV header end the pass before it begins.
    pub(super) fn open(table: &'a TableSpec, path: &Path, csv_null: Option<&str>) -> Result<Self, Vec<Error>> {
        let file = RowFile::open(path, csv_null).map_err(|error| vec![error])?;
        let columns = declare::columns(table);
        let mut in_name_order: Vec<usize> = (0..columns.len()).collect();
        in_name_order.sort_by_key(|&at| columns[at].name);
        let mut check = Check {
            path: path.to_owned(),
            by_name: columns.iter().enumerate().map(|(at, column)| (column.name, at)).collect(),
            uses: vec![Use::default(); columns.len()],
            text: String::new(),
            cells: vec![None; columns.len()],
            header: Vec::new(),
            faults: Faults::default(),
            first_line: None,
            row_digest: CellDigest::default(),
            key_digest: KeyDigest::default(),
            columns,
            in_name_order,
        };
        if let Some(header) = file.header() {
            check.read_header(header)?;
        }
        Ok(Self { file, check, rows: 0, nul_stripped: Vec::new() })
    }

    /// The columns of the table, the primary key's first.
    pub(super) fn columns(&self) -> &[Column<'a>] {
        &self.check.columns
    }

    /// The next sound row. Faults of the rows before it are kept for the end.
    pub(super) fn next(&mut self) -> Option<Row<'_>> {
        let Self { file, check, .. } = self;
        let (line, at) = loop {
            match file.next()? {
                Err(error) => check.faults.push(error),
                Ok(row) => {
                    let before = check.faults.count();
                    let stripped = check.take(row);
                    if check.faults.count() > before {
                        continue;
                    }
                    if stripped && self.nul_stripped.len() < MOST_NAMED {
                        self.nul_stripped.push(row.line);
                    }
                    break (row.line, row.at);
                }
            }
        };
        self.rows += 1;
        let check = &mut self.check;
        let digest = check.digest();
        let hash = RowHash::new(&check.key_digest(), &digest);
        Some(Row { line, at, text: &check.text, cells: &check.cells, hash, digest })
    }

    /// The first sound row from that place on, where a row begins. Lines are no longer counted.
    pub(super) fn next_at(&mut self, at: u64) -> Option<Row<'_>> {
        self.file.skip_to(at).then(|| self.next()).flatten()
    }

    /// Ends the pass: what it found, or every fault.
    pub(super) fn finish(self) -> Result<Found, Vec<Error>> {
        let mut check = self.check;
        for (column, seen) in check.columns.iter().zip(&check.uses) {
            if let (true, false, false, Some(line)) = (seen.named, column.nullable, column.key, seen.absent) {
                let message = "it is missing, which means null since other rows of the file name it, and the column is \
                               declared as not nullable";
                let error = fault_in(&check.path, line, Some(column.name), message);
                check.faults.push(error.advice("Give it a value in every row of the file, or in none."));
            }
        }
        check.faults.finish()?;
        let named = (0..check.columns.len()).filter(|&at| check.uses[at].named).collect();
        Ok(Found { named, rows: self.rows, nul_stripped: self.nul_stripped })
    }
}

impl Check<'_> {
    fn read_header(&mut self, header: &[String]) -> Result<(), Vec<Error>> {
        for name in header {
            match self.by_name.get(name.as_str()) {
                Some(&at) => {
                    self.header.push(at);
                    self.uses[at].named = true;
                }
                None => self.unknown_column(1, name),
            }
        }
        let missing = self.columns.iter().enumerate().filter(|(at, c)| c.key && !self.uses[*at].named);
        for (_, column) in missing {
            let message = "the header does not name it, and a column of the primary key must have a value";
            self.faults.push(fault_in(&self.path, 1, Some(column.name), message));
        }
        std::mem::take(&mut self.faults).finish()
    }

    /// A column that the table does not declare is said once.
    fn unknown_column(&mut self, line: u64, name: &str) {
        if self.faults.unknown.len() < MOST_FAULTS && self.faults.unknown.insert(name.to_owned()) {
            let name = value::shortened(name);
            let error = fault_in(&self.path, line, None, &format!("the table declares no column {name:?}"));
            self.faults.push(error.advice("Declare the column, or take it out of the file."));
        } else {
            self.faults.uncounted += 1;
        }
    }

    /// Reads a row into the cells; whether NUL characters were taken out.
    fn take(&mut self, row: FileRow<'_>) -> bool {
        self.cells.fill(None);
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        let line = row.line;
        let mut stripped = false;
        match row.cells {
            FileCells::Csv(record) => {
                for (field, text) in record.fields().enumerate() {
                    let value = text.map_or(Input::Null, |text| Input::Text(text.into()));
                    stripped |= self.cell(line, self.header[field], &value);
                }
            }
            FileCells::Json(object) => {
                self.first_line.get_or_insert(line);
                for (field, (name, text)) in object.fields().enumerate() {
                    let Some(at) = self.column_of(field, name) else {
                        self.unknown_column(line, name);
                        continue;
                    };
                    let seen = &mut self.uses[at];
                    if seen.last == line {
                        self.faults.push(fault_in(&self.path, line, Some(name), "the object names it twice"));
                        continue;
                    }
                    if !seen.named {
                        // The rows before did not name it.
                        seen.absent = self.first_line.filter(|first| *first < line);
                    }
                    (seen.named, seen.last) = (true, line);
                    match Input::of_json(text) {
                        Ok(value) => stripped |= self.cell(line, at, &value),
                        Err(error) => {
                            let message = format!("{} is no text: {error}", value::shortened(text));
                            self.faults.push(fault_in(&self.path, line, Some(name), &message));
                        }
                    }
                }
                for at in 0..self.columns.len() {
                    let seen = &mut self.uses[at];
                    if seen.last == line {
                        continue;
                    }
                    if self.columns[at].key {
                        let message = "it is missing, and a column of the primary key must have a value";
                        self.faults.push(fault_in(&self.path, line, Some(self.columns[at].name), message));
                    } else if seen.named {
                        seen.absent.get_or_insert(line);
                    }
                }
            }
        }
        stripped
    }

    /// The column of that name, which is mostly the one that the field of the object before had.
    fn column_of(&mut self, field: usize, name: &str) -> Option<usize> {
        if let Some(&at) = self.header.get(field)
            && self.columns[at].name == name
        {
            return Some(at);
        }
        let at = *self.by_name.get(name)?;
        self.header.truncate(field);
        if self.header.len() == field {
            self.header.push(at);
        }
        Some(at)
    }

    fn cell(&mut self, line: u64, at: usize, value: &Input<'_>) -> bool {
        let column = &self.columns[at];
        let start = self.text.len();
        let mut stripped = false;
        let (message, advice) = match value::write(&column.kind, value, &mut self.text, &mut stripped) {
            Ok(false) if column.key => {
                ("it is null, and a column of the primary key must have a value".to_owned(), None)
            }
            Ok(false) if !column.nullable => (
                "it is null, and the column is declared as not nullable".to_owned(),
                Some("Give it a value, or declare nullable = true."),
            ),
            Ok(is_there) => {
                self.cells[at] = is_there.then_some(start..self.text.len());
                return stripped;
            }
            Err(fault) => (fault.message, fault.advice),
        };
        let error = fault_in(&self.path, line, Some(column.name), &message);
        self.faults.push(advice.into_iter().fold(error, Error::advice));
        false
    }

    /// The digest of the cells that are not null, in the order of their names.
    fn digest(&mut self) -> [u8; 32] {
        for &at in &self.in_name_order {
            if let Some(text) = self.cells[at].clone().and_then(|place| self.text.get(place)) {
                self.row_digest.add(self.columns[at].name, text);
            }
        }
        self.row_digest.finish()
    }

    fn key_digest(&mut self) -> [u8; 32] {
        for (column, cell) in self.columns.iter().zip(&self.cells).take_while(|(column, _)| column.key) {
            let text = cell.clone().and_then(|place| self.text.get(place)).unwrap_or_default();
            self.key_digest.add(&column.kind, text);
        }
        self.key_digest.finish()
    }
}
