//! How long rows take, side by side: psql's COPY and insert as the floor, this provider's library with rows of a file and as
//! a target that a program declares, the provider behind each CLI, and the reference connector.
//!
//! The contestants take turns, so that all of them meet the same machine; each number is a median, and what counts is the
//! ratio to the floor.

mod contestants;
mod files;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testbed::{Address, Cli, Result, Servers};

use contestants::{Contestant, Place};
pub(crate) use contestants::{reference_command, reference_python};
use files::{Files, Phase, Shape};
use report::Report;

const MAJOR: u32 = 18;

/// With more rows the reference connector takes many minutes for each phase.
const REFERENCE_ROWS: u64 = 100_000;

/// What is to be measured.
struct Options {
    provider: PathBuf,
    sizes: Vec<u64>,
    /// The reference connector takes part up to so many rows.
    reference_rows: u64,
}

/// Reads the options, measures and prints tables.
pub(crate) async fn run(args: &[String]) -> Result<ExitCode> {
    let Options { provider, sizes, reference_rows } = options(args)?;
    let examples = ["rows_bench", "target_bench"].map(|name| provider.join("examples").join(name));
    if let Some(missing) = examples.iter().find(|example| !example.is_file()) {
        return Err(format!("{} is missing: run `make bench`", missing.display()));
    }
    let clis = Cli::all()?;
    let servers = Servers::start(&[MAJOR]).await?;
    let address = servers.address(MAJOR)?;
    let python = contestants::reference_python();
    if let Err(error) = &python {
        println!("The reference connector is left out, since it cannot be installed: {error}\n");
    }
    if sizes.iter().any(|rows| *rows > reference_rows) && python.is_ok() {
        println!(
            "The reference connector takes part up to {reference_rows} rows, since it takes a time and memory that grow with \
             each row; `make bench REFERENCE_ROWS=1000000` measures more.\n"
        );
    }
    let everybody = Everybody { provider, examples, clis, python: python.ok(), reference_rows };
    let mut report = Report::new(everybody.names());
    for rows in sizes {
        for shape in [Shape::Plain, Shape::Vectors] {
            let files = Files::write(servers.folder(), rows, shape)?;
            for round in 0..rounds(rows) {
                everybody.take_turns(address, servers.folder(), &files, (rows, shape, round), &mut report).await?;
            }
            report.print(rows, shape);
        }
    }
    report.print_growth();
    Ok(ExitCode::SUCCESS)
}

fn options(args: &[String]) -> Result<Options> {
    let (provider, sizes, most) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--provider", provider, "--rows", sizes] => (provider, sizes, None),
        ["--provider", provider, "--rows", sizes, "--reference-rows", most] => (provider, sizes, Some(most)),
        _ => return Err(crate::USAGE.to_owned()),
    };
    let provider = Path::new(provider).canonicalize().map_err(|e| format!("{provider}: {e}"))?;
    let number = |size: &str| size.trim().parse().map_err(|_| format!("{size:?} is no number of rows"));
    let reference_rows = most.map_or(Ok(REFERENCE_ROWS), number)?;
    Ok(Options { provider, sizes: sizes.split(',').map(number).collect::<Result<_>>()?, reference_rows })
}

/// Fewer rounds for what takes long.
fn rounds(rows: u64) -> usize {
    if rows > 200_000 { 1 } else { 3 }
}

/// All who take part.
struct Everybody {
    provider: PathBuf,
    /// The library with rows of a file, and as a target.
    examples: [PathBuf; 2],
    clis: Vec<Cli>,
    python: Option<PathBuf>,
    reference_rows: u64,
}

impl Everybody {
    fn names(&self) -> Vec<String> {
        let mut names = ["psql", "library", "target"].map(str::to_owned).to_vec();
        names.extend(self.clis.iter().map(ToString::to_string));
        names.extend(self.python.iter().map(|_| "reference".to_owned()));
        names
    }

    fn make(&self, at: usize, place: Place<'_>) -> Result<Contestant> {
        match at {
            0 => Contestant::psql(),
            1 | 2 => Contestant::library(place, &self.examples[at - 1]),
            _ => match (self.clis.get(at - 3), &self.python) {
                (Some(cli), _) => Contestant::cli(place, cli, &self.provider),
                (None, Some(python)) => Contestant::reference(place, python),
                (None, None) => Err("there is no such contestant".to_owned()),
            },
        }
    }

    /// One round: every contestant in a database of its own, all of them side by side in each phase.
    async fn take_turns(
        &self,
        address: &Address,
        folder: &Path,
        files: &Files,
        (rows, shape, round): (u64, Shape, usize),
        report: &mut Report,
    ) -> Result<()> {
        let count = self.names().len();
        let databases: Vec<String> =
            (0..count).map(|at| format!("rows_{rows}_{shape:?}_{round}_{at}").to_lowercase()).collect();
        let mut all = Vec::new();
        for (at, database) in databases.iter().enumerate() {
            // The reference connector is the last.
            if rows > self.reference_rows && self.python.is_some() && at + 1 == count {
                continue;
            }
            testbed::database::run(address, "postgres", &format!("create database {database}")).await?;
            let place = Place { address, database, folder, shape };
            if shape == Shape::Vectors {
                place.sql("create extension vector").await?;
            }
            all.push((place, self.make(at, place)?));
        }
        for phase in Phase::ALL {
            for (at, (place, contestant)) in all.iter_mut().enumerate() {
                // The floor is always that of all rows into an empty table.
                if at == 0 && phase != Phase::Load {
                    continue;
                }
                let answer = contestant.run(*place, files, phase).await?;
                report.add((rows, shape, phase, at), &answer);
                if shape == Shape::Vectors && at > 0 {
                    match phase {
                        Phase::Load => Contestant::index(*place).await?,
                        Phase::Nothing => report.updated(at, Contestant::updated(*place).await?),
                        Phase::OnePercent | Phase::Half => {}
                    }
                }
            }
        }
        drop(all);
        for database in &databases {
            let sql = format!("drop database if exists {database} with (force)");
            testbed::database::run(address, "postgres", &sql).await?;
        }
        Ok(())
    }
}
