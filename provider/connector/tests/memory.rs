//! Memory does not grow with the file: a program of its own, so that nothing else is measured. It reads Linux's `/proc`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use pg_connector::rows::{FileRows, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, TableChange};
use pg_connector::{Database, Scope, TableName};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;

/// JSON Lines of 4 KiB each, every hundredth of them changed, and one that is much longer.
fn write(path: &Path, rows: u64, version: u32) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let text = "lorem ipsum ".repeat(340);
    for id in 0..rows {
        let version = if id % 100 == 0 { version } else { 0 };
        writeln!(file, "{{\"id\": {id}, \"a\": \"{version} {text}\", \"j\": {{\"id\": [{id}]}}}}").unwrap();
    }
    writeln!(file, "{{\"id\": -1, \"a\": \"{}\"}}", text.repeat(250)).unwrap();
    file.flush().unwrap();
}

/// The greatest resident memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn memory_does_not_grow_with_the_file() {
    let server = TestDatabase::new(18).await;
    let database = Database::new(Settings::parse(&server.url()).unwrap()).unwrap();
    let scope = Scope::new(CancellationToken::new(), Some(Duration::from_mins(5)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let column = |name: &str, type_name: &str| ColumnSpec {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        nullable: name != "id",
        default: None,
        comment: None,
    };
    let table = TableSpec {
        name: TableName::new("public", "t"),
        managed_by: ManagedBy::System,
        comment: None,
        columns: vec![column("id", "bigint"), column("a", "text"), column("j", "jsonb")],
        primary_key: vec!["id".to_owned()],
    };
    let mut change = TableChange::create(table.clone());
    let mut peaks = Vec::new();
    // A change of few rows, and one of all: the file is read twice in each.
    for (rows, version) in [(100, 0), (100, 1), (5_000, 1), (5_000, 2)] {
        write(&path, rows, version);
        change.rows = Some(FileRows::declare(&table, &path, None).unwrap().into());
        let applied = table::apply(&database, &scope, &change, true).await.unwrap();
        (change.prior, change.observed) = (Some(table.clone()), Some(applied.observed));
        (change.owned, change.server_digest) = (applied.ledger.map(Owned::from), applied.rows_digest);
        peaks.push(peak());
    }
    assert_eq!(server.query("select count(*), count(*) filter (where a like '2 %') from t").await, "5001|50");
    let file = std::fs::metadata(&path).unwrap().len();
    assert!(file > 20 * MIB, "{file} bytes");
    assert!(peaks[3] - peaks[1] < 8 * MIB, "fifty times as many rows took more memory: {peaks:?}");
}
