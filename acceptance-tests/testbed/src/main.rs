//! Starts the servers that tests need, runs a command beside them, and stops them again; or shows the demo.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks to its user")]

mod bench;
mod bench_data;
mod bench_rows;
mod bench_source;
mod demo;

use std::process::{Command, ExitCode};

use testbed::process::Running;
use testbed::{Cli, Result, Servers, cli};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: testbed run [--pg 15,16,18] -- COMMAND ARGS...
       testbed demo --provider FOLDER --example FOLDER [--keep]
       testbed bench --provider FOLDER
       testbed bench-rows --provider FOLDER --rows N,N,... [--reference-rows N]
       testbed bench-source --provider FOLDER --rows N

run   starts Postgres servers, sets TESTBED_PG15/16/18 and TESTBED_CLIS, runs the command, stops the servers and
      ends as the command did
demo  applies the example to a throw-away server with the provider in FOLDER, step by step
bench measures plans, and reads of many rows, with the provider in FOLDER beside the CLI's own
bench-rows
      measures rows of files beside psql and, up to 100000 or so many rows, the reference connector
bench-source
       measures reading rows with the library beside psql and the reference connector

PG_TEST_URL names a server to use instead of starting one, TF_CLI the CLIs (separated by :) instead of those on the PATH.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failed(&format!("cannot start: {e}")),
    };
    let code = runtime.block_on(async {
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(e), _) | (_, Err(e)) => return failed(&format!("cannot listen for signals: {e}")),
        };
        // Whatever is running is dropped on a signal, and everything that it started is stopped by its guard.
        let signalled = tokio::select! {
            code = command(&args) => return code.unwrap_or_else(|e| failed(&e)),
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        eprintln!("testbed: interrupted; everything that was started has been stopped");
        ExitCode::from(signalled)
    });
    // A program that we wait for on a thread may take its time; its guard lives in the keeper, not in the thread.
    runtime.shutdown_background();
    code
}

fn failed(message: &str) -> ExitCode {
    eprintln!("testbed: {message}");
    ExitCode::from(2)
}

async fn command(args: &[String]) -> Result<ExitCode> {
    match args.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        Some(("run", rest)) => run(rest).await,
        Some(("bench", rest)) => bench::run(rest).await,
        Some(("bench-rows", rest)) => bench_rows::run(rest).await,
        Some(("bench-source", rest)) => bench_source::run(rest).await,
        Some(("demo", rest)) => demo::run(rest).await,
        _ => Err(USAGE.to_owned()),
    }
}

async fn run(args: &[String]) -> Result<ExitCode> {
    let at = args.iter().position(|arg| arg == "--").ok_or(USAGE)?;
    let (options, words) = (&args[..at], &args[at + 1..]);
    let majors = match options {
        [] => vec![15, 16, 18],
        [name, list] if name == "--pg" => {
            list.split(',').map(|major| major.parse().map_err(|_| USAGE.to_owned())).collect::<Result<Vec<_>>>()?
        }
        _ => return Err(USAGE.to_owned()),
    };
    let (program, rest) = words.split_first().ok_or(USAGE)?;
    let clis = Cli::all()?;
    let servers = Servers::start(&majors).await?;
    let listed = clis.iter().map(|cli| cli.path.to_string_lossy().into_owned()).collect::<Vec<_>>().join(":");
    let mut command = Command::new(program);
    command.args(rest).envs(servers.environment()).env(cli::VARIABLE, listed);
    let mut child = Running::in_our_group(&mut command)?;
    let status = child.wait().await?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(128)).unwrap_or(1)))
}
