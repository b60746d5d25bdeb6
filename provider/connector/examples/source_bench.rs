//! Reads all rows of a table again and again, and prints how long each time took and how much memory there was.
//!
//! Usage: `source_bench URL TABLE TIMES`; the table has the columns `id bigint`, `name text`, `price float8` and
//! `embedding vector`. Each line of the output is `MILLISECONDS PEAK ROWS`, with the greatest resident memory so far in KiB.

use std::process::ExitCode;
use std::time::Instant;

use futures_util::TryStreamExt;
use pg_connector::source::PgTableSource;
use pg_connector::{Database, Errors, Scope, TableName};
use testbed::process::peak_memory;

#[derive(serde::Deserialize)]
struct Product {
    id: i64,
    name: String,
    price: f64,
    embedding: Vec<f32>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command line program speaks to its user")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, table, times] = args.as_slice() else {
        eprintln!("usage: source_bench URL TABLE TIMES");
        return ExitCode::FAILURE;
    };
    for _ in 0..times.parse().unwrap_or(1) {
        let start = Instant::now();
        match read(url, table).await {
            Ok(rows) => println!("{} {} {rows}", start.elapsed().as_millis(), peak_memory()),
            Err(error) => {
                eprintln!("source_bench: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Reads every row into a record, and keeps none.
async fn read(url: &str, table: &str) -> Result<u64, Errors> {
    let database = Database::from_url(url)?;
    let source = PgTableSource::<Product>::new(&database, TableName::new("public", table));
    let mut rows = source.fetch_rows(&Scope::default());
    let mut count = 0;
    while let Some(Product { id, name, price, embedding }) = rows.try_next().await? {
        std::hint::black_box((id, name, price, embedding));
        count += 1;
    }
    Ok(count)
}
