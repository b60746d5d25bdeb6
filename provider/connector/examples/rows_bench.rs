//! Reconciles one table with one file of rows after the other, and prints how long each took and how much memory there was.
//!
//! Usage: `rows_bench URL TABLE COLUMN=TYPE...`; the first column is the primary key. Each line of standard input names a
//! file, and is answered by a line `READ LOOK APPLY PEAK ROWS`: milliseconds for the pass through the file, for the look
//! at the rows where nothing is to be done, and for the apply where something is; then the greatest resident memory so far
//! in KiB, and the number of rows written.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pg_connector::rows::{FileRows, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Look, TableChange};
use pg_connector::{Database, Scope, TableName};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "a command line program speaks to its user")]
async fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rows_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Result<(), String> {
    let [url, name, columns @ ..] = args else { return Err("usage: rows_bench URL TABLE COLUMN=TYPE...".to_owned()) };
    let table = table(name, columns)?;
    let all = |errors: Vec<pg_connector::Error>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let settings = Settings::parse(url).map_err(all)?;
    let database = Database::new(settings).map_err(|error| error.to_string())?;
    let scope = Scope::new(CancellationToken::new(), Some(Duration::from_hours(1)));
    let mut change = TableChange::create(table.clone());
    for line in std::io::stdin().lock().lines() {
        let path = line.map_err(|error| error.to_string())?;
        let start = Instant::now();
        let rows = FileRows::declare(&table, Path::new(&path), None).map_err(all)?;
        let read = start.elapsed();
        change.rows = Some(rows.into());
        let start = Instant::now();
        let (mut look, mut apply, mut written) = (Duration::ZERO, Duration::ZERO, 0);
        if let (true, Some(owned)) = (table::plan(&change).steps.is_empty(), &change.owned) {
            let rows = Look::Rows { table: &table, owned, digest: true };
            let seen = table::read(&database, &scope, &table.name, rows).await.map_err(|error| error.to_string())?;
            if seen.and_then(|seen| seen.rows_digest) != change.server_digest {
                return Err("the rows drifted".to_owned());
            }
            look = start.elapsed();
        } else {
            let applied = table::apply(&database, &scope, &change, true).await.map_err(|error| error.to_string())?;
            apply = start.elapsed();
            written = applied.rows.deleted + applied.rows.updated + applied.rows.inserted;
            change.prior = Some(table.clone());
            change.observed = Some(applied.observed);
            change.owned = applied.ledger.map(Owned::from);
            change.server_digest = applied.rows_digest;
        }
        let mut out = std::io::stdout().lock();
        let [read, look, apply] = [read, look, apply].map(|time| time.as_millis());
        writeln!(out, "{read} {look} {apply} {} {written}", peak()?)
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn table(name: &str, columns: &[String]) -> Result<TableSpec, String> {
    let mut specs = Vec::new();
    for column in columns {
        let (name, type_name) = column.split_once('=').ok_or_else(|| format!("{column:?} is no COLUMN=TYPE"))?;
        specs.push(ColumnSpec {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable: !specs.is_empty(),
            default: None,
            comment: None,
        });
    }
    let key = specs.first().ok_or("a table needs a column")?.name.clone();
    Ok(TableSpec {
        name: TableName::new("public", name),
        managed_by: ManagedBy::System,
        comment: None,
        columns: specs,
        primary_key: vec![key],
    })
}

/// The greatest resident memory of this process, where the system tells.
fn peak() -> Result<u64, String> {
    let status = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.to_string()),
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default())
}
