//! Declares a table from a record type whose columns have other types than the record alone would give them.

use pg_connector::record_schema::ColumnOverride;
use pg_connector::schemars::JsonSchema;
use pg_connector::table_schema::TableSchema;
use pg_connector::target::TableTarget;
use pg_connector::{Database, Scope};

#[derive(serde::Serialize, JsonSchema)]
struct MyRow {
    id: i64,
    value: f64,
    created_at: String,
    summary: Vec<f32>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::from_url(&std::env::var("DATABASE_URL")?)?;
    let schema = TableSchema::from_type::<MyRow>(
        &["id"],
        [
            ("id", ColumnOverride::of_type("integer")),           // instead of bigint
            ("value", ColumnOverride::of_type("real")),           // instead of double precision
            ("created_at", ColumnOverride::of_type("timestamp")), // instead of text
            ("summary", ColumnOverride::half_vector(3)),          // instead of jsonb
        ],
    )?;
    let mut target = TableTarget::new("my_rows", schema);
    let created_at = "2026-11-27 12:00:00".to_owned();
    target.declare_row(&MyRow { id: 1, value: 0.5, created_at, summary: vec![1.0, 2.0, 3.0] })?;
    let scope = Scope::default();
    let plan = target.reconcile(&database, &scope).await?;
    println!("{plan}");
    plan.apply(&scope).await?;
    Ok(())
}
