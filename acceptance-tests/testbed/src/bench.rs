//! How long the CLI takes with the provider, beside what it takes alone, and what that costs the server.
//!
//! The configurations take turns, so that all of them meet the same machine; each time is a median. What the server is
//! asked is counted in its log, and how long the provider checks its own answers is what it writes into its own log.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use testbed::{Address, Cli, Folder, Result, Servers, database};

const MAJOR: u32 = 18;
const ROUNDS: usize = 7;
const TABLES: usize = 200;

/// What the provider's connections are told by.
const APPLICATION_NAME: &str = "application_name=terraform-provider-pg";

/// One configuration, applied, and how long its plans took.
struct Measured {
    name: String,
    database: String,
    folder: Folder,
    times: Vec<Duration>,
}

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
            let word = cli.name.split_whitespace().next().unwrap_or_default().to_lowercase();
            let database = format!("bench_{word}_{}", measured.len());
            database::run(address, "postgres", &format!("create database {database}")).await?;
            let folder = Folder::new_in(servers.folder(), &cli, &provider, address, &database)?;
            folder.write("main.tf", &tf)?;
            succeeded(&folder.run(&["apply", "-auto-approve"]).await?)?;
            measured.push(Measured { name, database, folder, times: Vec::new() });
        }
        for _ in 0..ROUNDS {
            for Measured { folder, times, .. } in &mut measured {
                times.push(plan(folder).await?);
            }
        }
        report(&cli, address, &mut measured).await?;
        crate::bench_data::run(&cli, &provider, &servers).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each with its name; the second one is what the others are compared with.
fn configurations() -> Vec<(String, String)> {
    const HEAD: &str = "terraform {\n  required_providers {\n    pg = { source = \"pgtarget/pg\" }\n  }\n}\n";
    let tables = |count: usize, more: &str| {
        format!(
            "{HEAD}resource \"pg_table_target\" \"t\" {{\n  count = {count}\n  table_name = \"t${{count.index}}\"\n  \
             primary_key = [\"id\"]\n  columns = {{ id = {{ type = \"bigint\" }}, a = {{ type = \"text\" }} }}\n{more}}}\n"
        )
    };
    let own =
        format!("resource \"terraform_data\" \"t\" {{\n  count = {TABLES}\n  input = \"t${{count.index}}\"\n}}\n");
    let rows = "  rows = [for i in range(5) : { id = i, a = \"a${i}\" }]\n";
    vec![
        ("one table".to_owned(), tables(1, "")),
        (format!("{TABLES} terraform_data"), own),
        (format!("{TABLES} tables"), tables(TABLES, "")),
        (format!("{TABLES} tables with five rows each"), tables(TABLES, rows)),
        (
            format!("{TABLES} tables, {TABLES} vector indexes, {TABLES} attachments"),
            (0..TABLES).map(with_index_and_attachment).fold(HEAD.to_owned(), |tf, more| tf + &more),
        ),
    ]
}

/// Each resource has a name of its own: to read an element of a counted one, the CLIs take all others into account.
fn with_index_and_attachment(i: usize) -> String {
    format!(
        "resource \"pg_table_target\" \"t{i}\" {{\n  table_name = \"t{i}\"\n  primary_key = [\"id\"]\n  \
         columns = {{ id = {{ type = \"bigint\" }}, a = {{ type = \"text\" }}, v = {{ type = \"vector(3)\" }} }}\n}}\n\
         resource \"pg_vector_index\" \"i{i}\" {{\n  table = pg_table_target.t{i}.id\n  column = \"v\"\n  \
         method = \"hnsw\"\n  concurrently = false\n}}\n\
         resource \"pg_sql_attachment\" \"a{i}\" {{\n  table = pg_table_target.t{i}.id\n  name = \"a\"\n  \
         setup_sql = \"create index on t{i} (a)\"\n}}\n"
    )
}

/// Plans where there is nothing to do.
pub(crate) async fn plan(folder: &Folder) -> Result<Duration> {
    let start = Instant::now();
    succeeded(&folder.run(&["plan", "-detailed-exitcode"]).await?)?;
    Ok(start.elapsed())
}

async fn report(cli: &Cli, address: &Address, measured: &mut [Measured]) -> Result<()> {
    let alone = measured.get(1).map(|own| median(&own.times)).unwrap_or_default();
    println!("{cli}, median of {ROUNDS} plans that find nothing to do, on Postgres {MAJOR}");
    println!("| configuration | plan | against the CLI's own | connections | statements | self-check |");
    println!("|---|---|---|---|---|---|");
    for Measured { name, database, folder, times } in measured {
        let time = median(times);
        let before = database::log(address, database).await?;
        plan(folder).await?;
        let after = database::log(address, database).await?;
        let more = |counts: fn(&str) -> bool| {
            after.lines().filter(|line| counts(line)).count() - before.lines().filter(|line| counts(line)).count()
        };
        let connections = more(|line| line.contains("connection authorized") && line.contains(APPLICATION_NAME));
        let statements = more(|line| line.contains("LOG:  statement: ") || line.contains("LOG:  execute "));
        let checking = 100.0 * checking(folder).await?.as_secs_f64() / time.as_secs_f64();
        println!(
            "| {name} | {} ms | {:.2} | {connections} | {statements} | {checking:.2} % |",
            time.as_millis(),
            time.as_secs_f64() / alone.as_secs_f64(),
        );
    }
    println!();
    Ok(())
}

/// What the provider logs of a plan that finds nothing to do.
pub(crate) async fn logged(folder: &mut Folder) -> Result<String> {
    let log = folder.path().join("provider.log");
    folder.set("TF_LOG_PROVIDER", "trace");
    folder.set("TF_LOG_PATH", &log.to_string_lossy());
    let planned = plan(folder).await;
    folder.unset("TF_LOG_PROVIDER");
    folder.unset("TF_LOG_PATH");
    planned?;
    Ok(std::fs::read_to_string(&log).unwrap_or_default())
}

/// How long a plan's answers are checked.
async fn checking(folder: &mut Folder) -> Result<Duration> {
    let text = logged(folder).await?;
    let times = text.lines().filter(|line| line.contains("checked a response")).filter_map(|line| {
        let (_, number) = line.split_once("nanoseconds=")?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    });
    Ok(Duration::from_nanos(times.sum()))
}

pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn succeeded(output: &testbed::Output) -> Result<()> {
    if output.code == 0 { Ok(()) } else { Err(format!("{} ended with {}\n{}", output.shown, output.code, output.text)) }
}
