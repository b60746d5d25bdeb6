//! How long the CLI takes with the provider, beside what it takes alone.
//!
//! The configurations take turns, so that all of them meet the same machine; each number is a median.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use testbed::{Cli, Folder, Result, Servers};

const MAJOR: u32 = 18;
const ROUNDS: usize = 7;
const TABLES: usize = 200;

/// Reads the options, measures and prints a table.
pub(crate) async fn run(args: &[String]) -> Result<ExitCode> {
    let [option, provider] = args else { return Err(crate::USAGE.to_owned()) };
    if option != "--provider" {
        return Err(crate::USAGE.to_owned());
    }
    let provider = Path::new(provider).canonicalize().map_err(|e| format!("{provider}: {e}"))?;
    let servers = Servers::start(&[MAJOR]).await?;
    let address = servers.address(MAJOR)?;
    for cli in Cli::all()? {
        let mut measured = Vec::new();
        for (name, tf) in configurations() {
            let database =
                format!("bench_{}_{}", cli.name.split_whitespace().next().unwrap_or_default(), measured.len());
            let database = database.to_lowercase();
            testbed::database::run(address, "postgres", &format!("create database {database}")).await?;
            let folder = Folder::new_in(servers.folder(), &cli, &provider, address, &database)?;
            folder.write("main.tf", &tf)?;
            succeeded(&folder.run(&["apply", "-auto-approve"]).await?)?;
            measured.push((name, folder, Vec::new()));
        }
        for _ in 0..ROUNDS {
            for (_, folder, times) in &mut measured {
                let start = Instant::now();
                succeeded(&folder.run(&["plan", "-detailed-exitcode"]).await?)?;
                times.push(start.elapsed());
            }
        }
        let alone = median(&measured[1].2);
        println!("{cli}, median of {ROUNDS} plans that find nothing to do, on Postgres {MAJOR}");
        println!("| configuration | plan | against the CLI's own |\n|---|---|---|");
        for (name, _, times) in &measured {
            let time = median(times);
            println!("| {name} | {} ms | {:.2} |", time.as_millis(), time.as_secs_f64() / alone.as_secs_f64());
        }
        println!();
    }
    Ok(ExitCode::SUCCESS)
}

/// The second one is what the others are compared with.
fn configurations() -> Vec<(String, String)> {
    let head = "terraform {\n  required_providers {\n    pg = { source = \"pgtarget/pg\" }\n  }\n}\n";
    let tables = |count: usize| {
        format!(
            "{head}resource \"pg_table_target\" \"t\" {{\n  count = {count}\n  table_name = \"t${{count.index}}\"\n  \
             primary_key = [\"id\"]\n  columns = {{ id = {{ type = \"bigint\" }}, a = {{ type = \"text\" }} }}\n}}\n"
        )
    };
    let own =
        format!("resource \"terraform_data\" \"t\" {{\n  count = {TABLES}\n  input = \"t${{count.index}}\"\n}}\n");
    vec![
        ("one table".to_owned(), tables(1)),
        (format!("{TABLES} terraform_data"), own),
        (format!("{TABLES} tables"), tables(TABLES)),
    ]
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn succeeded(output: &testbed::Output) -> Result<()> {
    if output.code == 0 { Ok(()) } else { Err(format!("{} ended with {}\n{}", output.shown, output.code, output.text)) }
}
