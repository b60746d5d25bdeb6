//! One pass through a file of rows: every cell checked, every row hashed, nothing kept.
//!
//! **Invariant:** memory does not grow with the number of rows. A row that is handed out fits the table as far as can be
//! told without the server; every other row leaves a fault that names file, line and column.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use super::declare::{self, Column};
use super::row_hash::{RowHash, key_digest, sha256};
use super::{Cell, MOST_NAMED, value};
use crate::error::Error;
use crate::row_file::{FileCells, FileRow, RowFile};
use crate::spec::TableSpec;

/// More faults than this are only counted.
const MOST_FAULTS: usize = 20;

/// A pass that is under way.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    file: RowFile,
    /// The table's columns, the primary key's first.
    columns: Vec<Column<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// The columns in the order of their names.
    in_name_order: Vec<usize>,
    /// The column of each field of a CSV file.
    header: Vec<usize>,
    /// For each column, what the rows so far made of it.
    uses: Vec<Use>,
    /// The row that was read last: one cell for each column of the table.
    cells: Vec<Cell>,
    rows: u64,
    first_line: Option<u64>,
    nul_stripped: Vec<u64>,
    faults: Faults,
    scratch: Vec<u8>,
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

/// One sound row.
#[derive(Debug)]
pub(super) struct Row<'p> {
    /// The line on which it begins.
    pub(super) line: u64,
    /// One cell for each column of the table, the primary key's first.
    pub(super) cells: &'p [Cell],
    /// What tells it from others.
    pub(super) hash: RowHash,
    /// The digest of its cells.
    pub(super) digest: [u8; 32],
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
        let mut this = Self {
            by_name: columns.iter().enumerate().map(|(at, column)| (column.name, at)).collect(),
            uses: vec![Use::default(); columns.len()],
            cells: vec![Cell::Null; columns.len()],
            header: Vec::new(),
            faults: Faults::default(),
            rows: 0,
            first_line: None,
            nul_stripped: Vec::new(),
            scratch: Vec::new(),
            file,
            columns,
            in_name_order,
        };
        this.read_header()?;
        Ok(this)
    }

    fn read_header(&mut self) -> Result<(), Vec<Error>> {
        let Some(header) = self.file.header().map(<[String]>::to_vec) else { return Ok(()) };
        for name in &header {
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
            self.faults.push(self.file.fault(1, Some(column.name), message));
        }
        std::mem::take(&mut self.faults).finish()
    }

    /// A column that the table does not declare is said once.
    fn unknown_column(&mut self, line: u64, name: &str) {
        if self.faults.unknown.insert(name.to_owned()) {
            let name = value::shortened(name);
            let error = self.file.fault(line, None, &format!("the table declares no column {name:?}"));
            self.faults.push(error.advice("Declare the column, or take it out of the file."));
        } else {
            self.faults.uncounted += 1;
        }
    }

    /// The columns of the table, the primary key's first.
    pub(super) fn columns(&self) -> &[Column<'a>] {
        &self.columns
    }

    /// The next sound row. Faults of the rows before it are kept for the end.
    pub(super) fn next(&mut self) -> Option<Row<'_>> {
        loop {
            match self.file.next()? {
                Err(error) => self.faults.push(error),
                Ok(row) => {
                    let before = self.faults.count();
                    let line = row.line;
                    let stripped = self.take(row);
                    if self.faults.count() > before {
                        continue;
                    }
                    if stripped && self.nul_stripped.len() < MOST_NAMED {
                        self.nul_stripped.push(line);
                    }
                    self.rows += 1;
                    let digest = self.digest();
                    let hash = RowHash::new(&self.key_digest(), &digest);
                    return Some(Row { line, cells: &self.cells, hash, digest });
                }
            }
        }
    }

    /// Reads a row into the cells; whether NUL characters were taken out.
    fn take(&mut self, row: FileRow) -> bool {
        self.cells.fill(Cell::Null);
        let line = row.line;
        let mut stripped = false;
        match row.cells {
            FileCells::Csv(fields) => {
                for (field, text) in fields.into_iter().enumerate() {
                    let value = text.map_or(Value::Null, Value::String);
                    stripped |= self.cell(line, self.header[field], &value);
                }
            }
            FileCells::Json(object) => {
                self.first_line.get_or_insert(line);
                for (name, value) in &object {
                    match self.by_name.get(name.as_str()) {
                        Some(&at) => {
                            let seen = &mut self.uses[at];
                            if !seen.named {
                                // The rows before did not name it.
                                seen.absent = self.first_line.filter(|first| *first < line);
                            }
                            (seen.named, seen.last) = (true, line);
                            stripped |= self.cell(line, at, value);
                        }
                        None => self.unknown_column(line, name),
                    }
                }
                for at in 0..self.columns.len() {
                    let seen = &mut self.uses[at];
                    if seen.last == line {
                        continue;
                    }
                    if self.columns[at].key {
                        let message = "it is missing, and a column of the primary key must have a value";
                        self.faults.push(self.file.fault(line, Some(self.columns[at].name), message));
                    } else if seen.named {
                        seen.absent.get_or_insert(line);
                    }
                }
            }
        }
        stripped
    }

    fn cell(&mut self, line: u64, at: usize, value: &Value) -> bool {
        let column = &self.columns[at];
        let (message, advice) = match value::cell(&column.kind, value) {
            Ok((Cell::Null, _)) if column.key => {
                ("it is null, and a column of the primary key must have a value".to_owned(), None)
            }
            Ok((Cell::Null, _)) if !column.nullable => (
                "it is null, and the column is declared as not nullable".to_owned(),
                Some("Give it a value, or declare nullable = true."),
            ),
            Ok((cell, stripped)) => {
                self.cells[at] = cell;
                return stripped;
            }
            Err(fault) => (fault.message, fault.advice),
        };
        let error = self.file.fault(line, Some(column.name), &message);
        self.faults.push(advice.into_iter().fold(error, Error::advice));
        false
    }

    /// The digest of the cells that are not null, in the order of their names.
    fn digest(&mut self) -> [u8; 32] {
        self.scratch.clear();
        for &at in &self.in_name_order {
            if let Cell::Text(text) = &self.cells[at] {
                add(&mut self.scratch, self.columns[at].name);
                add(&mut self.scratch, text);
            }
        }
        sha256(&self.scratch)
    }

    fn key_digest(&self) -> [u8; 32] {
        let parts = self.columns.iter().zip(&self.cells).take_while(|(column, _)| column.key);
        key_digest(parts.map(|(column, cell)| (&column.kind, declare::text(cell))))
    }

    /// Ends the pass: what it found, or every fault.
    pub(super) fn finish(mut self) -> Result<Found, Vec<Error>> {
        for (column, seen) in self.columns.iter().zip(&self.uses) {
            if let (true, false, false, Some(line)) = (seen.named, column.nullable, column.key, seen.absent) {
                let message = "it is missing, which means null since other rows of the file name it, and the column is \
                               declared as not nullable";
                let error = self.file.fault(line, Some(column.name), message);
                self.faults.push(error.advice("Give it a value in every row of the file, or in none."));
            }
        }
        self.faults.finish()?;
        let named = (0..self.columns.len()).filter(|&at| self.uses[at].named).collect();
        Ok(Found { named, rows: self.rows, nul_stripped: self.nul_stripped })
    }
}

fn add(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(&(text.len() as u64).to_be_bytes());
    buffer.extend_from_slice(text.as_bytes());
}
