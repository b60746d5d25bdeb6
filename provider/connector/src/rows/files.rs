//! Passes through files that need not be made twice in one process.
//!
//! **Invariant:** a pass is only used again for a file that cannot have changed since: its size and time are the same, and
//! the time was past already when the pass began. What is written is compared with what the pass found in any case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::FileRows;
use crate::error::Error;
use crate::spec::{ColumnSpec, TableSpec};

/// A change this soon before a pass may not show in the file's time.
const GRAIN: Duration = Duration::from_secs(2);

/// The passes of one process.
#[derive(Debug, Default)]
pub struct Files(Mutex<HashMap<Pass, (Stamp, FileRows)>>);

/// What a pass depends on, beside the file's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pass {
    path: PathBuf,
    csv_null: Option<String>,
    columns: Vec<(String, String, bool)>,
    primary_key: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    changed: SystemTime,
}

impl Files {
    /// Like [`FileRows::declare`], off the threads that serve others, and at most once for each state of a file.
    pub async fn declare(
        &self,
        table: &TableSpec,
        path: &Path,
        csv_null: Option<&str>,
    ) -> Result<FileRows, Vec<Error>> {
        let column = |c: &ColumnSpec| (c.name.clone(), c.type_name.clone(), c.nullable);
        let key = Pass {
            path: path.to_owned(),
            csv_null: csv_null.map(str::to_owned),
            columns: table.columns.iter().map(column).collect(),
            primary_key: table.primary_key.clone(),
        };
        let begun = SystemTime::now();
        let before = stamp(path);
        if let (Some(stamp), Some((known, rows))) = (before, self.passes().get(&key))
            && *known == stamp
        {
            return Ok(rows.clone());
        }
        let (table, owned_path) = (table.clone(), path.to_owned());
        let null = csv_null.map(str::to_owned);
        let pass = move || FileRows::declare(&table, &owned_path, null.as_deref());
        let ended_early = |error| vec![Error::new("read the rows file", format!("reading ended early: {error}"))];
        let rows = tokio::task::spawn_blocking(pass).await.map_err(ended_early)??;
        if let Some(stamp) = before.filter(|before| stamp(path) == Some(*before) && before.changed + GRAIN < begun) {
            self.passes().insert(key, (stamp, rows.clone()));
        }
        Ok(rows)
    }

    fn passes(&self) -> std::sync::MutexGuard<'_, HashMap<Pass, (Stamp, FileRows)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp { bytes: found.len(), changed: found.modified().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::TableName;
    use crate::spec::ManagedBy;

    #[tokio::test]
    async fn a_file_that_may_have_changed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let column = ColumnSpec {
            name: "id".to_owned(),
            type_name: "int".to_owned(),
            nullable: false,
            default: None,
            comment: None,
        };
        let table = TableSpec {
            name: TableName::new("public", "t"),
            managed_by: ManagedBy::System,
            comment: None,
            columns: vec![column],
            primary_key: vec!["id".to_owned()],
        };
        let write = |content: &str, age: u64| {
            std::fs::write(&path, content).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        let files = Files::default();
        let digest = async || files.declare(&table, &path, None).await.unwrap().digest().to_owned();
        write("{\"id\":1}", 100);
        let one = digest().await;
        write("{\"id\":2}", 100);
        let two = digest().await;
        assert_ne!(one, two, "another time");
        assert_eq!(files.passes().len(), 1);
        write("{\"id\":1}", 0);
        assert_eq!(digest().await, one);
        let now = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "{\"id\":2}").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
        assert_eq!(digest().await, two, "a file that was just written is not believed");
    }
}
