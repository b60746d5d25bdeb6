//! Declared rows that stay in their file: what a pass through it tells, and the passes that follow.
//!
//! **Invariant:** what is written is what the first pass found: every later pass that writes compares the digest, or the
//! hash of each row that it hands out, before anything counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use super::pass::{Faults, Found, Pass, Row};
use super::row_hash::{MOST_HASHES, Placed, Sum};
use super::value::hex;
use super::{Cell, declare, key, stage};
use crate::error::{Blame, Error};
use crate::spec::TableSpec;

/// The rows of a file, as a pass through it found them. The rows themselves stay in the file.
#[derive(Clone, Debug)]
pub struct FileRows {
    path: PathBuf,
    csv_null: Option<String>,
    columns: Vec<String>,
    count: u64,
    digest: String,
    nul_stripped: Vec<u64>,
    /// Sorted; `None` when there are too many.
    hashes: Option<Arc<Vec<Placed>>>,
}

impl FileRows {
    /// Reads the file once and checks every row against the table's declaration: all faults, up to a limit, with line and
    /// column. `csv_null` is the CSV text that means null, by default the empty field without quotes.
    pub fn declare(table: &TableSpec, path: &Path, csv_null: Option<&str>) -> Result<Self, Vec<Error>> {
        let mut pass = Pass::open(table, path, csv_null)?;
        let mut hashes = Some(Vec::new());
        let mut sum = Sum::default();
        while let Some(row) = pass.next() {
            sum.add(&row.digest);
            if let Some(all) = &mut hashes {
                all.push(Placed { hash: row.hash, at: row.at });
                if all.len() > MOST_HASHES {
                    hashes = None;
                }
            }
        }
        let columns: Vec<String> = pass.columns().iter().map(|column| column.name.to_owned()).collect();
        let found = pass.finish()?;
        if let Some(hashes) = &mut hashes {
            hashes.sort_unstable();
            let twice: Vec<u64> = hashes
                .windows(2)
                .map(|pair| [pair[0].hash.key(), pair[1].hash.key()])
                .filter(|[a, b]| a == b)
                .map(|[a, _]| a)
                .collect();
            if !twice.is_empty() {
                duplicates(table, path, csv_null, &twice)?;
            }
        }
        let named = columns_of(&columns, &found);
        Ok(Self {
            path: path.to_owned(),
            csv_null: csv_null.map(str::to_owned),
            digest: digest(&named, found.rows, sum),
            columns: named,
            count: found.rows,
            nul_stripped: found.nul_stripped,
            hashes: hashes.map(Arc::new),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns that the rows name, the primary key's first.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A digest of the rows, whatever their order.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The first lines whose texts held NUL characters, which Postgres cannot keep and which are taken out.
    pub fn nul_stripped(&self) -> &[u64] {
        &self.nul_stripped
    }

    /// The hashes of the rows and where these are, sorted; `None` when there are too many.
    pub(super) fn hashes(&self) -> Option<&[Placed]> {
        self.hashes.as_deref().map(Vec::as_slice)
    }

    /// Reads the file again and hands out its rows as text for COPY, in pieces: the columns and the row's hash. Ends early
    /// when nobody takes the pieces. Blocks its thread.
    pub(super) fn stream(&self, table: &TableSpec, pieces: &Sender<Bytes>) -> Result<(), Vec<Error>> {
        let mut pass = Pass::open(table, &self.path, self.csv_null.as_deref())?;
        let mut lines = Lines::new(self.positions(pass.columns()), pieces);
        let mut sum = Sum::default();
        while let Some(row) = pass.next() {
            if pieces.is_closed() {
                return Ok(());
            }
            sum.add(&row.digest);
            lines.add(&row);
        }
        let columns: Vec<String> = pass.columns().iter().map(|column| column.name.to_owned()).collect();
        let found = pass.finish()?;
        let named = columns_of(&columns, &found);
        if digest(&named, found.rows, sum) != self.digest {
            return Err(vec![self.changed()]);
        }
        lines.end();
        Ok(())
    }

    /// The same for some of the rows, which are sorted by their places: what lies between them is not looked at. Each row
    /// must be what the first pass found there.
    pub(super) fn stream_some(
        &self,
        table: &TableSpec,
        rows: &[Placed],
        pieces: &Sender<Bytes>,
    ) -> Result<(), Vec<Error>> {
        let mut pass = Pass::open(table, &self.path, self.csv_null.as_deref())?;
        let mut lines = Lines::new(self.positions(pass.columns()), pieces);
        for wanted in rows {
            if pieces.is_closed() {
                return Ok(());
            }
            match pass.next_at(wanted.at) {
                Some(row) if row.hash == wanted.hash && row.at == wanted.at => lines.add(&row),
                _ => return Err(vec![self.changed()]),
            }
        }
        lines.end();
        Ok(())
    }

    /// Reads the file again for the lines of the first rows that fulfil a condition on columns, cells and place.
    pub(super) fn find(
        &self,
        table: &TableSpec,
        limit: usize,
        mut wanted: impl FnMut(&[String], &[Cell], u64) -> bool,
    ) -> Vec<u64> {
        let mut lines = Vec::new();
        let Ok(mut pass) = Pass::open(table, &self.path, self.csv_null.as_deref()) else { return lines };
        let positions = self.positions(pass.columns());
        while let Some(row) = pass.next() {
            let cells: Vec<Cell> = positions.iter().map(|&at| row.owned_cell(at)).collect();
            if wanted(&self.columns, &cells, row.at) {
                lines.push(row.line);
                if lines.len() == limit {
                    break;
                }
            }
        }
        lines
    }

    fn positions(&self, columns: &[declare::Column<'_>]) -> Vec<usize> {
        (0..columns.len()).filter(|&at| self.columns.iter().any(|name| name == columns[at].name)).collect()
    }

    fn changed(&self) -> Error {
        Error::new("read the rows file", format!("{} changed while it was used", self.path.display()))
            .advice("Nothing was written. Plan again when whatever writes the file is done.")
            .blame(Blame::Attribute("rows_file"))
    }
}

/// Rows on their way into pieces of COPY's text.
struct Lines<'s> {
    positions: Vec<usize>,
    pieces: &'s Sender<Bytes>,
    buffer: BytesMut,
}

impl<'s> Lines<'s> {
    fn new(positions: Vec<usize>, pieces: &'s Sender<Bytes>) -> Self {
        Self { positions, pieces, buffer: BytesMut::new() }
    }

    fn add(&mut self, row: &Row<'_>) {
        if self.buffer.capacity() < stage::CHUNK {
            self.buffer.reserve(stage::CHUNK + stage::CHUNK / 4);
        }
        for &at in &self.positions {
            match row.cell(at) {
                Some(text) => stage::put_text(&mut self.buffer, text),
                None => stage::put_null(&mut self.buffer),
            }
            self.buffer.put_u8(b'\t');
        }
        self.buffer.put_slice(row.hash.to_hex().as_bytes());
        self.buffer.put_u8(b'\n');
        if self.buffer.len() >= stage::CHUNK {
            // A long row goes in parts, so that what waits to be sent stays small.
            while self.buffer.len() > 2 * stage::CHUNK {
                let part = self.buffer.split_to(stage::CHUNK);
                self.hand_out(part);
            }
            self.end();
        }
    }

    fn end(&mut self) {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            self.hand_out(rest);
        }
    }

    /// Waits until somebody takes the piece; when nobody will, the pass finds that out by itself.
    fn hand_out(&self, piece: BytesMut) {
        let _ = self.pieces.blocking_send(piece.freeze());
    }
}

fn columns_of(columns: &[String], found: &Found) -> Vec<String> {
    found.named.iter().map(|&at| columns[at].clone()).collect()
}

/// Tells whether keys whose hashes are the same really are, and on which lines.
fn duplicates(table: &TableSpec, path: &Path, csv_null: Option<&str>, hashes: &[u64]) -> Result<(), Vec<Error>> {
    let mut pass = Pass::open(table, path, csv_null)?;
    let kinds = key::kinds(table);
    let mut seen: HashMap<Vec<String>, u64> = HashMap::new();
    let mut faults = Faults::default();
    while let Some(row) = pass.next() {
        if hashes.binary_search(&row.hash.key()).is_err() {
            continue;
        }
        let texts = || (0..kinds.len()).map(|at| row.cell(at).unwrap_or_default());
        let normal = kinds.iter().zip(texts()).map(|(kind, text)| key::normal_text(kind, text).into_owned()).collect();
        if let Some(first) = seen.get(&normal) {
            let shown = key::shown(&table.primary_key, texts());
            let message = format!(
                "{}, line {}: the key {shown} is declared twice, first on line {first}",
                path.display(),
                row.line
            );
            faults.push(Error::new("read the rows file", message).blame(Blame::Attribute("rows_file")));
        } else {
            seen.insert(normal, row.line);
        }
    }
    faults.finish()
}

fn digest(columns: &[String], rows: u64, sum: Sum) -> String {
    let mut names: Vec<&String> = columns.iter().collect();
    names.sort_unstable();
    let mut hasher = Sha256::new();
    hasher.update("rows of a file");
    hasher.update(rows.to_be_bytes());
    for name in names {
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
    }
    hasher.update(sum.bytes());
    hex(&hasher.finalize())
}
