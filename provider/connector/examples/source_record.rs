//! Reads the rows of a table as records, in code without async and as a stream.

use futures_util::TryStreamExt;
use pg_connector::source::PgTableSource;
use pg_connector::{Database, Scope, TableName};

#[derive(serde::Deserialize)]
struct Product {
    name: String,
    price: f64,
}

#[expect(clippy::print_stdout, reason = "an example shows what it reads")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::from_url(&std::env::var("DATABASE_URL")?)?;
    // The columns are those that the record names: "name" and "price".
    let source = PgTableSource::<Product>::new(&database, TableName::new("public", "products"));

    // A plain iterator …
    for row in source.iter_rows(&Scope::default()) {
        let row = row?;
        println!("{}: {}", row.name, row.price);
    }

    // … and a stream. Both read one snapshot, a little ahead of who takes the rows.
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut total = 0.0;
        let mut rows = source.fetch_rows(&Scope::default());
        while let Some(row) = rows.try_next().await? {
            total += row.price;
        }
        println!("together: {total}");
        Ok(())
    })
}
