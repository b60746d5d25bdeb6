//! Declared rows, kept in a temporary file that only its owner can read until they are reconciled.
//!
//! **Invariant:** memory does not grow with the number of rows; the file goes with its last user.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tempfile::TempDir;

use super::{fitted::Fitted, row_json};
use crate::error::Error;
use crate::name::TableName;
use crate::row_file::MAX_RECORD_BYTES;
use crate::rows::FileRows;
use crate::spec::{ColumnSpec, TableSpec};

/// Rows as they are declared, one after the other.
#[derive(Debug)]
pub(super) struct Spool {
    table: TableName,
    fitted: Fitted,
    file: Option<Open>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    writer: BufWriter<std::fs::File>,
    kept: Kept,
}

/// Rows that are all declared.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
    _folder: Arc<TempDir>,
}

impl Spool {
    pub(super) fn new(table: TableName, columns: &[ColumnSpec]) -> Self {
        Self { table, fitted: Fitted::of(columns), file: None, line: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), Error> {
        let doing = || format!("declare a row of {}", self.table);
        self.line.clear();
        row_json::write(row, &mut self.line).map_err(|error| Error::new(doing(), error.to_string()))?;
        if self.line.first() != Some(&b'{') {
            return Err(Error::new(doing(), "a row must be a struct or a map, whose fields are the columns"));
        }
        self.fitted.fit(&mut self.line).map_err(|error| Error::new(doing(), error.to_string()))?;
        if self.line.len() >= MAX_RECORD_BYTES {
            let most = MAX_RECORD_BYTES >> 20;
            let message = format!("as JSON it takes {} bytes, and a row may take {most} MiB", self.line.len());
            return Err(Error::new(doing(), message).advice("Insert what is as large as that by other means."));
        }
        self.line.push(b'\n');
        let failed = |error: std::io::Error| {
            Error::new(doing(), format!("the row cannot be kept in a temporary file: {error}"))
                .advice("Make room in the system's folder for temporary files, or choose another one with TMPDIR.")
        };
        let open = match &mut self.file {
            Some(open) => open,
            None => self.file.insert(Open::new().map_err(failed)?),
        };
        open.writer.write_all(&self.line).map_err(failed)
    }

    /// Ends the declaration; `None` when there is no row.
    pub(super) fn finish(self) -> Result<Option<Kept>, Error> {
        let Some(mut open) = self.file else { return Ok(None) };
        open.writer.flush().map_err(|error| {
            Error::new(
                format!("declare rows of {}", self.table),
                format!("the rows cannot be kept in a temporary file: {error}"),
            )
        })?;
        Ok(Some(open.kept))
    }
}

impl Open {
    fn new() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pg-connector-").tempdir()?;
        let path = folder.path().join("rows.jsonl");
        let writer = BufWriter::with_capacity(1 << 16, std::fs::File::create_new(&path)?);
        Ok(Self { writer, kept: Kept { path, _folder: Arc::new(folder) } })
    }
}

impl Kept {
    /// Checks the rows against the table's declaration: all faults, each with the row's position and its column.
    pub(super) async fn rows(&self, table: &TableSpec) -> Result<FileRows, Vec<Error>> {
        let (path, table) = (self.path.clone(), table.clone());
        let pass = tokio::task::spawn_blocking(move || FileRows::declare(&table, &path, None)).await;
        let rows = pass.unwrap_or_else(|ended| {
            Err(vec![Error::new("check the declared rows", format!("checking ended early: {ended}"))])
        });
        rows.map_err(|errors| errors.into_iter().map(|error| self.without_file(error)).collect())
    }

    /// The error, with the row instead of the line of a file that the caller never saw.
    pub(super) fn without_file(&self, error: Error) -> Error {
        let path = self.path.display();
        let line = format!("{path}, line ");
        let mut named = error.message().replace(&line, "declared row ").replace("first on line ", "first as row ");
        let of_file = format!(" of {path}");
        while let Some((before, after)) = named.split_once(&of_file) {
            let (before, number) = before.rsplit_once("line ").unwrap_or((before, ""));
            named = format!("{before}declared row {number}{after}");
        }
        let error = error.because(named);
        if error.doing() == "read the rows file" { error.doing_instead("declare rows") } else { error }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::ManagedBy;

    #[tokio::test]
    async fn faults_name_rows_and_nothing_stays_behind() {
        let name = TableName::new("public", "t");
        let column = |name: &str, type_name: &str| ColumnSpec {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable: false,
            default: None,
            comment: None,
        };
        let table = TableSpec {
            name: name.clone(),
            managed_by: ManagedBy::System,
            comment: None,
            columns: vec![column("id", "int"), column("n", "int")],
            primary_key: vec!["id".to_owned()],
        };
        let mut spool = Spool::new(name.clone(), &table.columns);
        for row in [json!({"id": 1, "n": 1}), json!({"id": 2, "n": "x"}), json!({"id": 1, "n": 2}), json!({"n": 2})] {
            spool.push(&row).unwrap();
        }
        assert!(spool.push(&[1]).unwrap_err().message().contains("a struct or a map"));
        let kept = spool.finish().unwrap().unwrap();
        let folder = kept.path.parent().unwrap().to_owned();
        let messages: Vec<String> = kept.rows(&table).await.unwrap_err().iter().map(ToString::to_string).collect();
        let joined = messages.join("\n");
        assert!(joined.contains("declared row 2, column n"), "{joined}");
        assert!(joined.contains("declared row 4"), "{joined}");
        assert!(!joined.contains("rows.jsonl"), "{joined}");
        assert!(folder.exists());
        drop(kept);
        assert!(!folder.exists());
        assert!(Spool::new(name, &[]).finish().unwrap().is_none());
    }
}
