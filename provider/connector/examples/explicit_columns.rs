//! Declares a table column by column, with a full-text index attached to it, and keeps what is to be remembered in a file.

use pg_connector::table_schema::{ColumnDef, TableSchema};
use pg_connector::target::{SqlCommandAttachment, TableTarget, Tracking};
use pg_connector::{Database, Scope};
use serde_json::json;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::from_url(&std::env::var("DATABASE_URL")?)?;
    let file = std::env::var("TRACKING_FILE")?;
    let scope = Scope::default();

    let schema = TableSchema::new(
        [
            ("category", ColumnDef::new("text")),
            ("name", ColumnDef::new("text")),
            ("description", ColumnDef::new("text").default("''")),
            ("price", ColumnDef::new("numeric(10,2)").not_null()),
        ],
        &["category", "name"],
    );
    let mut target = TableTarget::new("catalogue", schema).comment("what is for sale");
    target
        .declare_row(&json!({"category": "lights", "name": "lamp", "description": "It is bright.", "price": "9.50"}))?;
    target.declare_row(&json!({"category": "lights", "name": "torch", "description": null, "price": 4}))?;
    target.declare_sql_command_attachment(
        SqlCommandAttachment::new(
            "description_fts",
            "create index catalogue_fts on catalogue using gin (to_tsvector('english', description))",
        )
        .teardown("drop index if exists catalogue_fts"),
    );

    let tracking: Tracking = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Tracking::default(),
        Err(error) => return Err(error.into()),
    };
    let plan = target.reconcile_from(tracking, &database, &scope).await?;
    println!("{plan}");
    // What may be the case if this ends halfway is kept first, and then what is the case.
    std::fs::write(&file, serde_json::to_vec(&plan.pending())?)?;
    let (tracking, result) = match plan.apply(&scope).await {
        Ok(outcome) => (outcome.tracking, Ok(())),
        Err(failure) => (failure.tracking.clone(), Err(failure)),
    };
    std::fs::write(&file, serde_json::to_vec(&tracking)?)?;
    Ok(result?)
}
