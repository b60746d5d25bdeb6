//! Reconciles one table with one file of rows after the other, and prints how long each took and how much memory there was.
//!
//! Usage: `rows_bench URL TABLE COLUMN=TYPE...`; the first column is the primary key. Each line of standard input names a
//! file, and is answered by a line `READ APPLY REFRESH PEAK ROWS`: milliseconds for the first pass through the file, for
//! the apply and for what a refresh then looks at, the greatest resident memory so far in KiB, and the rows written.

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
    let mut change = TableChange {
        desired: table.clone(),
        prior: None,
        observed: None,
        rows: None,
        owned: None,
        server_digest: None,
        rows_drifted: false,
        force_destroy: false,
        create_vector_extension: true,
    };
    for line in std::io::stdin().lock().lines() {
        let path = line.map_err(|error| error.to_string())?;
        let start = Instant::now();
        let rows = FileRows::declare(&table, Path::new(&path), None).map_err(all)?;
        let read = start.elapsed();
        change.rows = Some(rows.into());
        // Also where the plan already finds nothing to write: the question is what the comparison costs.
        change.rows_drifted = change.observed.is_some();
        let start = Instant::now();
        let applied = table::apply(&database, &scope, &change, true).await.map_err(|error| error.to_string())?;
        let apply = start.elapsed();
        change.prior = Some(table.clone());
        change.observed = Some(applied.observed);
        change.owned = applied.ledger.map(Owned::from);
        change.server_digest = applied.rows_digest;
        let start = Instant::now();
        if let Some(owned) = &change.owned {
            let look = Look::Rows { table: &table, owned, digest: true };
            table::read(&database, &scope, &table.name, look).await.map_err(|error| error.to_string())?;
        }
        let written = applied.rows.deleted + applied.rows.updated + applied.rows.inserted;
        let refresh = start.elapsed();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{} {} {} {} {written}", read.as_millis(), apply.as_millis(), refresh.as_millis(), peak()?)
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
