//! Declares a target with the rows of one CSV file after the other, and prints how long each took and how much memory there
//! was.
//!
//! Usage: `target_bench URL TABLE COLUMN=TYPE...`; the first column is the primary key. Each line of standard input names a
//! file, and is answered by a line `DECLARE RECONCILE APPLY PEAK ROWS`: milliseconds for declaring all rows, for the plan and
//! for the apply; then the greatest resident memory so far in KiB, and the number of rows written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::Instant;

use pg_connector::table_schema::{ColumnDef, TableSchema};
use pg_connector::target::TableTarget;
use pg_connector::{Database, Scope};
use testbed::process::peak_memory;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "a command line program speaks to its user")]
async fn main() -> ExitCode {
    match Box::pin(run(&std::env::args().skip(1).collect::<Vec<_>>())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("target_bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [url, table, columns @ ..] = args else { return Err("usage: target_bench URL TABLE COLUMN=TYPE...".into()) };
    let columns: Vec<(&str, &str)> = columns.iter().filter_map(|column| column.split_once('=')).collect();
    let [(key, _), ..] = columns[..] else { return Err("a table needs a column".into()) };
    let database = Database::from_url(url)?;
    let scope = Scope::default();
    for path in std::io::stdin().lock().lines() {
        let start = Instant::now();
        let defs = columns.iter().map(|(name, type_name)| (*name, ColumnDef::new(*type_name)));
        let mut target = TableTarget::new(table, TableSchema::new(defs, &[key]));
        let mut lines = BufReader::new(std::fs::File::open(path?)?).lines();
        let header = lines.next().ok_or("the file is empty")??;
        let names: Vec<&str> = header.split(',').collect();
        for line in lines {
            let line = line?;
            let row: BTreeMap<&str, String> = names.iter().copied().zip(fields(&line)).collect();
            target.declare_row(&row)?;
        }
        let declared = start.elapsed();
        let start = Instant::now();
        let plan = target.reconcile(&database, &scope).await?;
        let planned = start.elapsed();
        let start = Instant::now();
        let rows = plan.apply(&scope).await?.rows;
        let applied = start.elapsed();
        let written = rows.deleted + rows.updated + rows.inserted;
        let [declared, planned, applied] = [declared, planned, applied].map(|time| time.as_millis());
        let mut out = std::io::stdout().lock();
        writeln!(out, "{declared} {planned} {applied} {} {written}", peak_memory())?;
        out.flush()?;
    }
    Ok(())
}

/// The fields of a line of CSV that has no line break in a field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, fields.last_mut()) {
            ('"', Some(field)) if quoted && rest.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    fields
}
