//! Reads the products of one table, and declares another one with an embedding for each, and an index to search it by.
//!
//! Run it again, and only what changed is written; run it with `--remove`, and all that it made is gone.

use futures_util::TryStreamExt;
use pg_connector::record_schema::ColumnOverride;
use pg_connector::schemars::JsonSchema;
use pg_connector::source::PgTableSource;
use pg_connector::table_schema::TableSchema;
use pg_connector::target::{TableTarget, VectorIndex};
use pg_connector::vector_index::{Method, Metric};
use pg_connector::{Database, Scope, TableName};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Product {
    category: String,
    name: String,
    description: String,
}

#[derive(Serialize, JsonSchema)]
struct OutputProduct {
    category: String,
    name: String,
    description: String,
    embedding: Vec<f32>,
}

/// Stands for a model: how often each of four letters occurs.
fn embed(text: &str) -> Vec<f32> {
    let weight = |letter| text.chars().filter(|c| *c == letter).map(|_| 1.0).sum::<f32>() + 0.5;
    ['a', 'e', 'i', 'o'].into_iter().map(weight).collect()
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::from_url(&std::env::var("DATABASE_URL")?)?;
    let scope = Scope::default();
    let table = TableName::new("public", "product_embeddings");
    if std::env::args().any(|arg| arg == "--remove") {
        let plan = TableTarget::remove(&database, &scope, &table, false).await?;
        println!("{plan}");
        plan.apply(&scope).await?;
        return Ok(());
    }

    let schema =
        TableSchema::from_type::<OutputProduct>(&["category", "name"], [("embedding", ColumnOverride::vector(4))])?;
    let mut target = TableTarget::new("product_embeddings", schema);
    let source = PgTableSource::<Product>::new(&database, TableName::new("public", "products"));
    let mut products = source.fetch_rows(&scope);
    while let Some(Product { category, name, description }) = products.try_next().await? {
        let embedding = embed(&description);
        target.declare_row(&OutputProduct { category, name, description, embedding })?;
    }
    target.declare_vector_index(
        VectorIndex::on("embedding").metric(Metric::Cosine).method(Method::Hnsw).m(16).ef_construction(64),
    );

    let plan = target.reconcile(&database, &scope).await?;
    println!("{plan}");
    let outcome = plan.apply(&scope).await?;
    let rows = &outcome.rows;
    println!("{} inserted, {} updated, {} deleted", rows.inserted, rows.updated, rows.deleted);
    Ok(())
}
