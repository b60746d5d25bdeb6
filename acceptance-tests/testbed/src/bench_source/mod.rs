//! How long reading rows takes, side by side: psql's binary COPY as the floor, this provider's library, and the reference
//! connector.
//!
//! The contestants take turns, so that all of them meet the same machine; each number is a median, and what counts is the
//! ratio to the floor.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use testbed::process::{on_path, output};
use testbed::{Address, Result, Servers, database};

use crate::bench_rows::{reference_command, reference_python};

const MAJOR: u32 = 18;
const ROUNDS: usize = 7;
const DATABASE: &str = "source_of_bench";

/// What the library may take, in parts of the floor.
const BUDGET: f64 = 2.0;

/// The dimensions of the vectors of each table.
const TABLES: [(&str, u32); 2] = [("small", 3), ("large", 384)];

/// Reads the options, measures and prints tables.
pub(crate) async fn run(args: &[String]) -> Result<ExitCode> {
    let [provider_option, provider, rows_option, rows] = args else { return Err(crate::USAGE.to_owned()) };
    if provider_option != "--provider" || rows_option != "--rows" {
        return Err(crate::USAGE.to_owned());
    }
    let rows: u64 = rows.parse().map_err(|_| format!("{rows:?} is no number of rows"))?;
    let example = Path::new(provider).join("examples/source_bench");
    let example = example.canonicalize().map_err(|_| format!("{} is missing: run `make bench`", example.display()))?;
    let psql = on_path("psql").ok_or("psql is missing: `apt-get install postgresql-client`")?;
    let python = reference_python();
    if let Err(error) = &python {
        println!("The reference connector is left out, since it cannot be installed: {error}\n");
    }
    let servers = Servers::start(&[MAJOR]).await?;
    let address = servers.address(MAJOR)?;
    database::run(address, "postgres", &format!("create database {DATABASE}")).await?;
    database::run(address, DATABASE, &setup(rows)).await?;
    for (table, dimensions) in TABLES {
        let mut all = vec![("psql", Vec::new()), ("library", Vec::new())];
        all.extend(python.iter().map(|_| ("reference", Vec::new())));
        let mut peak = 0;
        for _ in 0..ROUNDS {
            for (name, times) in &mut all {
                times.push(match (*name, &python) {
                    ("psql", _) => copy(&psql, address, table)?,
                    ("library", _) => {
                        let (time, memory) = ask(Command::new(&example).args([&url(address), table, "1"]), rows)?;
                        peak = peak.max(memory);
                        time
                    }
                    (_, Ok(python)) => {
                        let mut command = reference_command(python);
                        command.args(["-c", include_str!("reference.py"), &url(address), table]);
                        ask(&mut command, rows)?.0
                    }
                    (_, Err(error)) => return Err(error.clone()),
                });
            }
        }
        print(rows, dimensions, all, peak);
    }
    Ok(ExitCode::SUCCESS)
}

fn url(address: &Address) -> String {
    format!("postgresql://{}@{}:{}/{DATABASE}", address.user, address.host, address.port)
}

fn setup(rows: u64) -> String {
    let table = |(name, dimensions): (&str, u32)| {
        format!(
            "create table {name} as select n::bigint as id, 'name ' || n as name, n * 1.5::float8 as price, \
             (select array_agg(random()) from generate_series(1, {dimensions}) where n > 0)::vector({dimensions}) as embedding \
             from generate_series(1, {rows}) as n; "
        )
    };
    format!("create extension vector; {}", TABLES.map(table).concat())
}

/// Reads the table with COPY in the binary form, and throws it away.
fn copy(psql: &PathBuf, address: &Address, table: &str) -> Result<Duration> {
    let mut command = Command::new(psql);
    command.args(["--no-psqlrc", "--quiet", &url(address), "--command"]);
    command.arg(format!("copy {table} to stdout (format binary)")).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|e| format!("psql: {e}"))?;
    if status.success() { Ok(start.elapsed()) } else { Err(format!("psql ended with {status}")) }
}

/// Runs a program that prints milliseconds, memory in KiB and the number of rows.
fn ask(command: &mut Command, rows: u64) -> Result<(Duration, u64)> {
    let text = output(command)?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [time, peak, count] if *count == rows => Ok((Duration::from_millis(*time), *peak)),
        _ => Err(format!("{text:?} is no answer")),
    }
}

fn print(rows: u64, dimensions: u32, all: Vec<(&str, Vec<Duration>)>, peak: u64) {
    let medians: Vec<(&str, Duration)> = all
        .into_iter()
        .map(|(name, mut times)| {
            times.sort_unstable();
            (name, times.get(times.len() / 2).copied().unwrap_or_default())
        })
        .collect();
    let floor = medians.first().map(|(_, time)| *time).unwrap_or_default();
    println!(
        "{rows} rows read, of four columns with a vector of {dimensions} dimensions; in brackets: against psql's binary COPY"
    );
    println!("| | budget | time |\n|---|---|---|");
    for (name, time) in medians {
        let budget = if name == "library" { format!("{BUDGET:.1}") } else { String::new() };
        println!("| {name} | {budget} | {} ms ({:.2}) |", time.as_millis(), time.as_secs_f64() / floor.as_secs_f64());
    }
    println!("the library's memory at most {} MiB\n", peak / 1024);
}
