//! What stands on a table beside its rows: how vector indexes and SQL command attachments are declared.

use crate::attachment::{self, Attachment, OnTeardownError, Text};
use crate::error::Error;
use crate::name::TableName;
use crate::vector_index::{BuildSettings, Declaration, Given, Method, Metric, Quantize, VectorIndexSpec};

/// A pgvector index on a column of the table, named `{table}__vector__{name}`.
///
/// ```
/// use pg_connector::target::VectorIndex;
/// use pg_connector::vector_index::{Method, Metric};
///
/// let index = VectorIndex::on("embedding").metric(Metric::Cosine).method(Method::Hnsw).m(16).ef_construction(64);
/// ```
#[derive(Clone, Debug)]
pub struct VectorIndex {
    declaration: Declaration,
    settings: BuildSettings,
    concurrently: bool,
}

impl VectorIndex {
    /// An index on this column: ivfflat, by cosine distance, named after the column, built while writing goes on.
    pub fn on(column: impl Into<String>) -> Self {
        let declaration = Declaration { column: Given::Now(column.into()), ..Declaration::default() };
        Self { declaration, settings: BuildSettings::default(), concurrently: true }
    }

    /// Its short name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.declaration.name = Given::Now(name.into());
        self
    }

    /// The distance that it orders by.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.declaration.metric = Given::Now(metric.to_string());
        self
    }

    /// How it is organised.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.declaration.method = Given::Now(method.to_string());
        self
    }

    /// The number of lists (ivfflat only).
    #[must_use]
    pub fn lists(mut self, lists: u32) -> Self {
        self.declaration.lists = Given::Now(lists.into());
        self
    }

    /// The greatest number of connections per layer (hnsw only).
    #[must_use]
    pub fn m(mut self, m: u32) -> Self {
        self.declaration.m = Given::Now(m.into());
        self
    }

    /// The size of the candidate list during construction (hnsw only).
    #[must_use]
    pub fn ef_construction(mut self, ef_construction: u32) -> Self {
        self.declaration.ef_construction = Given::Now(ef_construction.into());
        self
    }

    /// What it keeps of each vector.
    #[must_use]
    pub fn quantize(mut self, quantize: Quantize) -> Self {
        self.declaration.quantize = Given::Now(quantize.to_string());
        self
    }

    /// Indexes only so many leading dimensions.
    #[must_use]
    pub fn subvector(mut self, dimensions: u32) -> Self {
        self.declaration.subvector = Given::Now(dimensions.into());
        self
    }

    /// Indexes only the rows that fulfil this condition in SQL.
    #[must_use]
    pub fn filter(mut self, condition: impl Into<String>) -> Self {
        self.declaration.predicate = Given::Now(condition.into());
        self
    }

    /// Whether writing goes on while it is built. Behind a pooler in transaction mode it cannot.
    #[must_use]
    pub fn concurrently(mut self, concurrently: bool) -> Self {
        self.concurrently = concurrently;
        self
    }

    /// Settings of the session that builds it.
    #[must_use]
    pub fn build_settings(mut self, settings: BuildSettings) -> Self {
        self.settings = settings;
        self
    }

    /// What it is on this table, or everything that is wrong with it.
    pub(super) fn declared(mut self, table: &TableName) -> Result<DeclaredIndex, Vec<Error>> {
        self.declaration.table = Given::Now(table.to_string());
        let mut faults = self.declaration.faults();
        faults.extend(self.settings.faults());
        match self.declaration.spec() {
            Some(spec) if faults.is_empty() => {
                Ok(DeclaredIndex { spec, settings: self.settings, concurrently: self.concurrently })
            }
            _ => Err(faults),
        }
    }
}

/// A vector index, as it is declared on its table.
#[derive(Clone, Debug)]
pub(super) struct DeclaredIndex {
    pub(super) spec: VectorIndexSpec,
    pub(super) settings: BuildSettings,
    pub(super) concurrently: bool,
}

/// SQL that belongs to the table: its setup runs when it is new or changed, its teardown when it is no longer declared or
/// before a changed setup runs.
///
/// After a run that was killed while it worked on the attachment, nobody knows how far it came: the teardown runs, passing
/// over what is missing, and then the setup. Where there is no teardown, the setup should be able to run again.
///
/// ```
/// use pg_connector::target::SqlCommandAttachment;
///
/// let attachment = SqlCommandAttachment::new(
///     "content_fts_idx",
///     r#"create index content_fts on products using gin (to_tsvector('english', description))"#,
/// )
/// .teardown("drop index if exists content_fts");
/// ```
#[derive(Clone, Debug)]
pub struct SqlCommandAttachment {
    name: String,
    setup_sql: String,
    teardown_sql: Option<String>,
    check_sql: Option<String>,
    transactional: bool,
    on_teardown_error: OnTeardownError,
}

impl SqlCommandAttachment {
    /// An attachment of this name that this SQL brings about.
    pub fn new(name: impl Into<String>, setup_sql: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            setup_sql: setup_sql.into(),
            teardown_sql: None,
            check_sql: None,
            transactional: true,
            on_teardown_error: OnTeardownError::Fail,
        }
    }

    /// What takes it away. Without it, what the setup made stays.
    #[must_use]
    pub fn teardown(mut self, teardown_sql: impl Into<String>) -> Self {
        self.teardown_sql = Some(teardown_sql.into());
        self
    }

    /// A query that finds it: without a row, or where what it names is missing, it is set up again.
    #[must_use]
    pub fn check(mut self, check_sql: impl Into<String>) -> Self {
        self.check_sql = Some(check_sql.into());
        self
    }

    /// Whether each text runs in one transaction. Statements that cannot, such as `create index concurrently`, need false.
    #[must_use]
    pub fn transactional(mut self, transactional: bool) -> Self {
        self.transactional = transactional;
        self
    }

    /// What a failing teardown means.
    #[must_use]
    pub fn on_teardown_error(mut self, meaning: OnTeardownError) -> Self {
        self.on_teardown_error = meaning;
        self
    }

    /// What it is on this table, or everything that is wrong with it.
    pub(super) fn declared(self, table: &TableName) -> Result<Attachment, Vec<Error>> {
        let texts = [
            (Text::Setup, Some(&self.setup_sql)),
            (Text::Teardown, self.teardown_sql.as_ref()),
            (Text::Check, self.check_sql.as_ref()),
        ];
        let mut faults: Vec<Error> = texts
            .into_iter()
            .filter_map(|(text, sql)| Some(attachment::faults(text, sql?, Some(self.transactional))))
            .flatten()
            .collect();
        if self.name.is_empty() {
            faults.push(Error::new(format!("declare an attachment of table {table}"), "its name is empty"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Attachment {
            table: table.clone(),
            name: self.name,
            setup_sql: self.setup_sql,
            teardown_sql: self.teardown_sql,
            check_sql: self.check_sql,
            transactional: self.transactional,
            on_teardown_error: self.on_teardown_error,
            in_part: false,
        })
    }
}
