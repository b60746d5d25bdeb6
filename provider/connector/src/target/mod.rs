//! A table as a target: declare what it is, its rows and what stands on it; see what that takes; make it so.
//!
//! [`TableTarget`] collects the declaration, [`TableTarget::reconcile`] compares it with what earlier runs made and with the
//! database, and the [`TargetPlan`] says everything that is going to happen before [`TargetPlan::apply`] does it.
//!
//! Between runs a target is remembered in the database ([`TableTarget::reconcile`]), or by the caller
//! ([`TableTarget::reconcile_from`]). A run that was interrupted leaves more than one possible state behind; the next one
//! looks which of them is the case, and goes on from there.

mod apply;
mod attachments;
mod decide;
mod declare;
mod fitted;
mod indexes;
mod plan;
mod row_json;
mod shown;
mod spool;
mod store;
mod tracking;

use serde::Serialize;

use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::name::TableName;
use crate::spec::{ManagedBy, TableSpec};
use crate::table_schema::TableSchema;

pub use apply::{Failure, Outcome};
pub use declare::{SqlCommandAttachment, VectorIndex};
pub use plan::TargetPlan;
pub use tracking::Tracking;

/// A table, its rows, its vector indexes and its SQL command attachments, as they should be.
///
/// What is declared exists afterwards. What an earlier run declared and this one does not is gone. What was never declared
/// is left alone: rows of others, columns of others in a table that is [managed by the user](TableTarget::managed_by).
///
/// ```
/// use pg_connector::target::{SqlCommandAttachment, TableTarget, VectorIndex};
/// use pg_connector::record_schema::ColumnOverride;
/// use pg_connector::schemars::{self, JsonSchema};
/// use pg_connector::table_schema::TableSchema;
/// use pg_connector::vector_index::Method;
/// use pg_connector::{Database, Scope};
///
/// #[derive(serde::Serialize, JsonSchema)]
/// struct Product {
///     category: String,
///     name: String,
///     price: f64,
///     embedding: Vec<f32>,
/// }
///
/// # testbed::block_on(async {
/// # let server = testbed::TestDatabase::new(18).await;
/// # let url = server.url();
/// let database = Database::from_url(&url)?;
/// let scope = Scope::default();
/// let declare = |price| {
///     let schema = TableSchema::from_type::<Product>(
///         &["category", "name"],
///         [("embedding", ColumnOverride::vector(3))],
///     )?;
///     let mut table = TableTarget::new("products", schema);
///     table.declare_row(&Product {
///         category: "lights".to_owned(),
///         name: "lamp".to_owned(),
///         price,
///         embedding: vec![1.0, 2.0, 3.0],
///     })?;
///     table.declare_vector_index(VectorIndex::on("embedding").method(Method::Hnsw));
///     table.declare_sql_command_attachment(
///         SqlCommandAttachment::new("by_price", "create index products_by_price on products (price)")
///             .teardown("drop index if exists products_by_price"),
///     );
///     Ok::<_, pg_connector::Errors>(table)
/// };
///
/// let plan = declare(9.5)?.reconcile(&database, &scope).await?;
/// println!("{plan}");
/// plan.apply(&scope).await?;
///
/// // The same again takes nothing, and another price updates one row.
/// assert!(declare(9.5)?.reconcile(&database, &scope).await?.is_empty());
/// let outcome = declare(8.0)?.reconcile(&database, &scope).await?.apply(&scope).await?;
/// assert_eq!((outcome.rows.inserted, outcome.rows.updated, outcome.rows.deleted), (0, 1, 0));
/// # Ok::<(), pg_connector::Errors>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TableTarget {
    spec: TableSpec,
    force_destroy: bool,
    create_vector_extension: bool,
    rows: spool::Spool,
    indexes: Vec<VectorIndex>,
    attachments: Vec<SqlCommandAttachment>,
}

impl TableTarget {
    /// A table of this name and schema, in the schema `public`.
    pub fn new(table_name: impl Into<String>, schema: TableSchema) -> Self {
        Self::in_schema("public", table_name, schema)
    }

    /// A table of this name in another schema, which is created when it is missing.
    pub fn in_schema(schema_name: impl Into<String>, table_name: impl Into<String>, schema: TableSchema) -> Self {
        let name = TableName::new(schema_name.into(), table_name.into());
        let rows = spool::Spool::new(name.clone(), &schema.columns);
        let spec = TableSpec {
            name,
            managed_by: ManagedBy::System,
            comment: None,
            columns: schema.columns,
            primary_key: schema.primary_key,
        };
        Self {
            spec,
            force_destroy: false,
            create_vector_extension: true,
            rows,
            indexes: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// Who owns the table itself. A table that is managed by the user must be there and fit; only rows, indexes and
    /// attachments are ours, and [`TableTarget::remove`] leaves the table where it is.
    #[must_use]
    pub fn managed_by(mut self, managed_by: ManagedBy) -> Self {
        self.spec.managed_by = managed_by;
        self
    }

    /// The table's comment. Without one, the comment is left alone.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.spec.comment = Some(comment.into());
        self
    }

    /// Consents to destroy or overwrite data that this target does not own, such as rows that it never declared in a table
    /// that has to be dropped.
    #[must_use]
    pub fn force_destroy(mut self, consent: bool) -> Self {
        self.force_destroy = consent;
        self
    }

    /// Whether the extension `vector` may be created where it is missing and needed; true unless set.
    #[must_use]
    pub fn create_vector_extension(mut self, may: bool) -> Self {
        self.create_vector_extension = may;
        self
    }

    /// Declares a row: any struct or map that serde can write, whose fields are columns and among them the primary key's.
    /// A column that a row leaves out is null, or its default. Rows are kept in a temporary file, so there may be many, of
    /// 8 MiB each; what does not fit its column is an error of [`TableTarget::reconcile`].
    pub fn declare_row<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), Error> {
        self.rows.push(row)
    }

    /// Declares a pgvector index.
    pub fn declare_vector_index(&mut self, index: VectorIndex) {
        self.indexes.push(index);
    }

    /// Declares SQL that belongs to the table.
    pub fn declare_sql_command_attachment(&mut self, attachment: SqlCommandAttachment) {
        self.attachments.push(attachment);
    }

    /// Compares the declaration with the database and with what earlier runs made, which is remembered in the table
    /// `terraform_pg.tracking` of the same database. Nothing is changed.
    pub async fn reconcile(self, database: &Database, scope: &Scope) -> Result<TargetPlan, Errors> {
        let kept = Box::pin(store::load(database, scope, &self.spec.name)).await?;
        Box::pin(decide::declaration(self, database, scope, kept.tracking, Some(kept.version))).await
    }

    /// The same for who keeps what is to be remembered: pass what the last run left behind, or nothing at first. Keep
    /// [`TargetPlan::pending`] *before* the plan is applied, and then what [`Outcome`] or [`Failure`] hand back.
    pub async fn reconcile_from(
        self,
        tracking: Tracking,
        database: &Database,
        scope: &Scope,
    ) -> Result<TargetPlan, Errors> {
        Box::pin(decide::declaration(self, database, scope, tracking, None)).await
    }

    /// What it takes to take a target away that earlier runs made: its attachments are torn down, its indexes dropped, and
    /// its rows deleted or, unless it is managed by the user, the table dropped. Data of others is kept unless there is
    /// consent, by an error. An empty plan when nothing is remembered.
    pub async fn remove(
        database: &Database,
        scope: &Scope,
        table: &TableName,
        force_destroy: bool,
    ) -> Result<TargetPlan, Errors> {
        let kept = Box::pin(store::load(database, scope, table)).await?;
        let version = Some(kept.version);
        Box::pin(decide::removal(database, scope, table, kept.tracking, version, force_destroy)).await
    }

    /// The same for who keeps what is to be remembered.
    pub async fn remove_from(
        tracking: Tracking,
        database: &Database,
        scope: &Scope,
        table: &TableName,
        force_destroy: bool,
    ) -> Result<TargetPlan, Errors> {
        Box::pin(decide::removal(database, scope, table, tracking, None, force_destroy)).await
    }
}
