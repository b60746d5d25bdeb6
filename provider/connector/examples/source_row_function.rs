//! Reads chosen columns of a table, and makes of each row what a function says.

use pg_connector::source::PgTableSource;
use pg_connector::{Database, Scope, TableName};

#[expect(clippy::print_stdout, reason = "an example shows what it reads")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::from_url(&std::env::var("DATABASE_URL")?)?;
    let table = TableName::new("public", "products");
    let source = PgTableSource::with_row_fn(&database, table, |row| {
        let price = row["price"].as_f64().unwrap_or_default();
        format!("{} with a markup of a tenth: {:.2}", row["name"].as_str().unwrap_or_default(), price * 1.1)
    })
    .columns(["id", "name", "price"])
    .order_by(["price desc".parse()?])
    .limit(2);
    for line in source.iter_rows(&Scope::default()) {
        println!("{}", line?);
    }
    Ok(())
}
