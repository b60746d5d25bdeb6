//! Tables on a real server.

mod edits;
mod hazards;
mod online;
mod refusals;
mod together;
mod transitions;
mod types;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pg_connector::catalog::ObservedTable;
use pg_connector::error::{Blame, RowLabel};
use pg_connector::rows::{self, Declared, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Applied, Look, TableChange, TableDrop, Warning};
use pg_connector::{Database, Error, Hazard, Lock, Scope, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

/// One declaration after the other for one table, as a user of the library would make them.
struct Target {
    server: TestDatabase,
    database: Database,
    name: TableName,
    prior: Option<TableSpec>,
    observed: Option<ObservedTable>,
    owned: Option<Owned>,
    force: bool,
}

/// A column as `type [not null] [default …] [-- comment]`.
fn column(name: &str, text: &str) -> ColumnSpec {
    let (text, comment) = text
        .split_once(" -- ")
        .map_or((text, None), |(text, comment)| (text, Some(comment.trim_matches('"').to_owned())));
    let (text, default) = text.split_once(" default ").map_or((text, None), |(text, d)| (text, Some(d.to_owned())));
    let (text, nullable) = text.strip_suffix(" not null").map_or((text, true), |text| (text, false));
    ColumnSpec { name: name.to_owned(), type_name: text.to_owned(), nullable, default, comment }
}

/// A table with the key `id bigint` and these columns.
fn spec(name: &TableName, columns: &[(&str, &str)]) -> TableSpec {
    let id = column("id", "bigint not null");
    TableSpec {
        name: name.clone(),
        managed_by: ManagedBy::System,
        comment: None,
        columns: std::iter::once(id).chain(columns.iter().map(|(name, text)| column(name, text))).collect(),
        primary_key: vec!["id".to_owned()],
    }
}

fn scope() -> Scope {
    Scope::new(CancellationToken::new(), Some(Duration::from_mins(1)))
}

fn database(server: &TestDatabase) -> Database {
    Database::new(Settings::parse(&server.url()).unwrap()).unwrap()
}

impl Target {
    async fn new(major: u32) -> Self {
        Self::named(major, TableName::new("public", "t")).await
    }

    async fn named(major: u32, name: TableName) -> Self {
        let server = TestDatabase::new(major).await;
        let database = database(&server);
        Self { server, database, name, prior: None, observed: None, owned: None, force: false }
    }

    fn spec(&self, columns: &[(&str, &str)]) -> TableSpec {
        spec(&self.name, columns)
    }

    fn change(&self, desired: &TableSpec, rows: &Value) -> TableChange {
        let objects = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
        let rows: Vec<_> = objects.enumerate().map(|(i, row)| (RowLabel::Index(i), row)).collect();
        TableChange {
            prior: self.prior.clone(),
            observed: self.observed.clone(),
            rows: (!rows.is_empty()).then(|| rows::declare(desired, &rows).unwrap().into()),
            owned: self.owned.clone(),
            force_destroy: self.force,
            ..TableChange::create(desired.clone())
        }
    }

    async fn veto(&self, desired: &TableSpec) -> Result<Vec<Warning>, Vec<Error>> {
        table::veto(&self.database, &scope(), &self.change(desired, &json!([]))).await
    }

    /// Applies, and shows that there is nothing left to do.
    async fn apply_rows(&mut self, desired: &TableSpec, rows: &Value) -> Result<Applied, Error> {
        let change = self.change(desired, rows);
        let decided = table::plan(&change);
        assert!(decided.replace.is_empty(), "{:?}", decided.replace);
        let applied = table::apply(&self.database, &scope(), &change, true).await?;
        self.prior = Some(desired.clone());
        self.observed = Some(applied.observed.clone());
        self.owned = match change.rows {
            Some(Declared::Inline(rows)) => Some(rows.into()),
            _ => None,
        };
        self.assert_nothing_left(desired, rows);
        let look = match &self.owned {
            Some(owned) => Look::Rows { table: desired, owned, digest: true },
            None => Look::Table,
        };
        let found = table::read(&self.database, &scope(), &self.name, look).await.unwrap().unwrap();
        assert_eq!(found.rows_digest, applied.rows_digest);
        let mut seen = found.observed;
        seen.remember(&applied.observed);
        assert_eq!(seen, applied.observed);
        self.observed = Some(seen);
        self.assert_nothing_left(desired, rows);
        Ok(applied)
    }

    fn assert_nothing_left(&self, desired: &TableSpec, rows: &Value) {
        let next = table::plan(&self.change(desired, rows));
        assert!(next.refusals.is_empty() && next.replace.is_empty(), "{next:?}");
        assert_eq!(next.steps.iter().map(|step| &step.sql).collect::<Vec<_>>(), [""; 0], "the second plan is empty");
    }

    async fn apply(&mut self, columns: &[(&str, &str)]) -> Result<Applied, Error> {
        self.apply_rows(&self.spec(columns), &json!([])).await
    }

    async fn refresh(&mut self) {
        let found = table::read(&self.database, &scope(), &self.name, Look::Table).await.unwrap();
        self.observed = found.map(|seen| seen.observed);
    }

    async fn drop(&self) -> Result<Vec<Warning>, Error> {
        table::drop(&self.database, &scope(), &self.to_drop()).await
    }

    fn to_drop(&self) -> TableDrop {
        TableDrop {
            declared: self.prior.clone().unwrap(),
            observed: self.observed.clone(),
            owned: self.owned.clone(),
            force_destroy: self.force,
        }
    }

    async fn query(&self, sql: &str) -> String {
        self.server.query(sql).await
    }

    /// Every column as the catalogue prints it.
    async fn columns(&self) -> String {
        self.query(&format!(
            "select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), case when attnotnull then '!' end, \
             pg_get_expr(adbin, adrelid)), ', ' order by attnum) from pg_attribute left join pg_attrdef on adrelid = attrelid \
             and adnum = attnum where attrelid = '{}'::regclass and attnum > 0 and not attisdropped",
            self.name
        ))
        .await
    }
}
