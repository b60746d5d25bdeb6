//! Measures how a provider's process starts: from before its start to its handshake line, to its first schema, and its
//! memory there; and how long it takes to say its schema, the first time and every time after.
//!
//! Usage: `handshake_bench BINARY...`; each is started 25 times, in turn, so that all meet the same machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use tfplugin::testing::{Host, HostError, Launch};
use tfplugin_proto::tfplugin6::get_provider_schema;

const ROUNDS: usize = 25;

/// How often each process is asked for its schema again.
const REPEATS: usize = 20;

/// One start of one binary.
struct Run {
    handshake: Duration,
    schema: Duration,
    first_call: Duration,
    next_calls: Vec<Duration>,
    shutdown: Duration,
    resident_at_handshake: Option<u64>,
    resident_at_schema: Option<u64>,
}

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its table is what it is for")]
async fn main() -> ExitCode {
    let binaries: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if binaries.is_empty() {
        eprintln!("usage: handshake_bench BINARY...");
        return ExitCode::from(2);
    }
    let mut runs: Vec<Vec<Run>> = binaries.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (binary, runs) in binaries.iter().zip(&mut runs) {
            match run(binary).await {
                Ok(run) => runs.push(run),
                Err(error) => {
                    eprintln!("{}: {error}", binary.display());
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("median of {ROUNDS} starts");
    println!(
        "| binary | handshake line | slowest | schema answered | its first call | its next calls | shutdown | resident at \
         handshake | after schema |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (binary, runs) in binaries.iter().zip(&runs) {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            binary.file_name().unwrap_or_default().display(),
            milliseconds(median(runs.iter().map(|run| run.handshake))),
            milliseconds(runs.iter().map(|run| run.handshake).max()),
            milliseconds(median(runs.iter().map(|run| run.schema))),
            milliseconds(median(runs.iter().map(|run| run.first_call))),
            milliseconds(median(runs.iter().flat_map(|run| run.next_calls.iter().copied()))),
            milliseconds(median(runs.iter().map(|run| run.shutdown))),
            megabytes(median(runs.iter().filter_map(|run| run.resident_at_handshake))),
            megabytes(median(runs.iter().filter_map(|run| run.resident_at_schema))),
        );
    }
    ExitCode::SUCCESS
}

async fn run(binary: &PathBuf) -> Result<Run, HostError> {
    // The host's own certificate is made before the clock starts.
    let plugin = Launch::new(binary)?.start().await?;
    let handshake = plugin.started_in();
    let id = plugin.id();
    let resident_at_handshake = resident(id);

    let connecting = Instant::now();
    let host = Host::of(plugin).await?;
    let first_call = schema_call(&host).await;
    let schema = handshake + connecting.elapsed();
    let resident_at_schema = resident(id);
    let mut next_calls = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        next_calls.push(schema_call(&host).await);
    }
    let shutdown = host.shut_down().await?.took;
    Ok(Run { handshake, schema, first_call, next_calls, shutdown, resident_at_handshake, resident_at_schema })
}

/// How long one call takes, with reading the answer on this side.
async fn schema_call(host: &Host) -> Duration {
    let mut client = host.client();
    let started = Instant::now();
    // Also a refusal tells that the provider has answered.
    let _ = client.get_provider_schema(get_provider_schema::Request {}).await;
    started.elapsed()
}

/// Resident memory in KiB, where the system tells.
fn resident(id: Option<u32>) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", id?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn milliseconds(value: Option<Duration>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{:.2} ms", value.as_secs_f64() * 1e3))
}

fn megabytes(kib: Option<u64>) -> String {
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{:.1} MB", Duration::from_micros(kib * 1024).as_secs_f64()))
}
