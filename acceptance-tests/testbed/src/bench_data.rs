//! How long the CLI takes with many rows that the data source reads, beside the same rows in its own `terraform_data`.
//!
//! Both configurations hold 100,000 rows of four columns and take turns. What the provider itself takes of a plan is what it
//! writes into its log about the request; the rest is the CLI's own cost of so large a value.

use std::path::Path;
use std::time::{Duration, Instant};

use testbed::{Cli, Folder, Result, Servers, database};

use crate::bench::{logged, median, succeeded};

const MAJOR: u32 = 18;
const ROWS: u32 = 100_000;
const ROUNDS: usize = 3;

/// The table, and the same rows as a file that the CLI reads itself.
const QUERY: &str =
    "select n as id, 'name of ' || n as name, n * 1.37 as price, timestamptz '2024-01-01' + n * interval '1 min' as at";

/// What the data source is compared with.
const OWN: &str = "terraform_data";

/// One way to hold the rows, and how long it took.
struct Measured {
    name: &'static str,
    folder: Folder,
    applied: Duration,
    plans: Vec<Duration>,
}

/// Measures one CLI and prints a table.
pub(crate) async fn run(cli: &Cli, provider: &Path, servers: &Servers) -> Result<()> {
    let address = servers.address(MAJOR)?;
    let name = format!("bench_data_{}", cli.name.split_whitespace().next().unwrap_or_default().to_lowercase());
    database::run(address, "postgres", &format!("create database {name}")).await?;
    let table =
        format!("create table p as {QUERY} from generate_series(1, {ROWS}) n; alter table p add primary key (id)");
    database::run(address, &name, &table).await?;
    let csv = format!("{QUERY} from generate_series(1, {ROWS}) n");
    let lines =
        database::run(address, &name, &format!("select concat_ws(',', id, name, price, at) from ({csv}) p")).await?;
    let mut measured = Vec::new();
    for (name_of, tf) in configurations() {
        let folder = Folder::new_in(servers.folder(), cli, provider, address, &name)?;
        folder.write("main.tf", &tf)?;
        folder.write("rows.csv", &format!("id,name,price,at\n{lines}\n"))?;
        let applied = timed(&folder, &["apply", "-auto-approve"]).await?;
        measured.push(Measured { name: name_of, folder, applied, plans: Vec::new() });
    }
    for _ in 0..ROUNDS {
        for Measured { folder, plans, .. } in &mut measured {
            plans.push(timed(folder, &["plan", "-detailed-exitcode"]).await?);
        }
    }
    println!("{cli}, {ROWS} rows of four columns, one apply and the median of {ROUNDS} plans that find nothing to do");
    println!("| rows in | apply | plan | against terraform_data | the provider's part of a plan |");
    println!("|---|---|---|---|---|");
    let own = measured.first().map(|own| median(&own.plans)).unwrap_or_default();
    for Measured { name, folder, applied, plans } in &mut measured {
        let time = median(plans);
        // The CLI's own needs no provider of ours.
        let part = if *name == OWN {
            "none".to_owned()
        } else {
            let read: Duration = logged(folder).await?.lines().filter_map(answered).sum();
            format!("{} ms", read.as_millis())
        };
        println!(
            "| {name} | {} ms | {} ms | {:.2} | {part} |",
            applied.as_millis(),
            time.as_millis(),
            time.as_secs_f64() / own.as_secs_f64(),
        );
    }
    println!();
    Ok(())
}

/// How long a call takes that succeeds. With `-json` the CLI does not look for a difference of so many lines to print, which
/// would cost it far more than everything else.
async fn timed(folder: &Folder, args: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    succeeded(&folder.run(&[args, &["-json"]].concat()).await?)?;
    Ok(start.elapsed())
}

/// Each with its name; the first one is what the other is compared with.
fn configurations() -> [(&'static str, String); 2] {
    let own = "resource \"terraform_data\" \"r\" {\n  input = csvdecode(file(\"rows.csv\"))\n}\n";
    let ours = "terraform {\n  required_providers {\n    pg = { source = \"pgtarget/pg\" }\n  }\n}\n\
                data \"pg_table_rows\" \"r\" {\n  table_name = \"p\"\n  limit = 1000000\n}\n";
    let count = |rows: &str| format!("output \"count\" {{\n  value = length({rows})\n}}\n");
    [
        (OWN, own.to_owned() + &count("terraform_data.r.output")),
        ("pg_table_rows", ours.to_owned() + &count("data.pg_table_rows.r.rows")),
    ]
}

/// How long the provider took for the read that a line of its log tells of.
fn answered(line: &str) -> Option<Duration> {
    let line = line.split_once("answered").filter(|_| line.contains("read_data_source"))?.1;
    let text = line.split_once("elapsed=")?.1.trim_start_matches('"');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].split(|c: char| !c.is_alphabetic()).next()?;
    let seconds = match unit {
        "s" => number,
        "ms" => number / 1e3,
        "µs" => number / 1e6,
        _ => number / 1e9,
    };
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_read_is_found_in_a_line_of_the_log() {
        let line = |request: &str, elapsed: &str| {
            format!("2026-01-01T00:00:00Z [TRACE] provider.pg: answered: elapsed={elapsed} request={request}")
        };
        assert_eq!(answered(&line("read_data_source", "312.5ms")), Some(Duration::from_micros(312_500)));
        assert_eq!(answered(&line("read_data_source", "1.5s")), Some(Duration::from_millis(1500)));
        assert_eq!(answered(&line("plan_resource_change", "1.5s")), None);
    }
}
