//! Targets: declared, interrupted and declared again on a real server.

mod everyday;
mod interrupted;
mod lifecycle;
mod limits;

use pg_connector::record_schema::ColumnOverride;
use pg_connector::schemars::{self, JsonSchema};
use pg_connector::spec::ManagedBy;
use pg_connector::table_schema::{ColumnDef, TableSchema};
use pg_connector::target::{Outcome, SqlCommandAttachment, TableTarget, TargetPlan, Tracking, VectorIndex};
use pg_connector::vector_index::{Method, Metric};
use pg_connector::{Database, Errors, Scope, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;

/// A database, and a target in it.
struct Bench {
    server: TestDatabase,
    database: Database,
    scope: Scope,
}

impl Bench {
    async fn new(major: u32) -> Self {
        let server = TestDatabase::new(major).await;
        let database = Database::from_url(&server.url()).unwrap();
        Self { server, database, scope: Scope::default() }
    }

    async fn plan(&self, target: TableTarget) -> Result<TargetPlan, Errors> {
        Box::pin(target.reconcile(&self.database, &self.scope)).await
    }

    /// Applies a declaration, and sees to it that nothing is left to be done.
    async fn apply(&self, declare: impl Fn() -> TableTarget) -> Result<Outcome, Errors> {
        let outcome = Box::pin(self.plan(declare()).await?.apply(&self.scope)).await?;
        let again = self.plan(declare()).await?;
        assert!(again.is_empty(), "a second plan:\n{again}");
        Ok(outcome)
    }

    /// What is in the schema `public`: columns, keys, rows, indexes.
    async fn content(&self) -> String {
        const CONTENT: &str = "select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || \
                case when a.attnotnull then ' not null' else '' end || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') \
            from pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum) \
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped \
            order by c.relname, a.attname; \
            select pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ' invalid' end from pg_index i \
            join pg_class c on c.oid = i.indrelid where c.relnamespace = 'public'::regnamespace order by 1";
        let shape = self.server.query(CONTENT).await;
        let is_there = self.server.query("select to_regclass('public.t') is not null").await == "t";
        let rows = if is_there {
            self.server.query("select to_jsonb(t)::text from public.t order by 1").await
        } else {
            String::new()
        };
        format!("{shape}\n{rows}")
    }
}

fn t() -> TableName {
    TableName::new("public", "t")
}

/// A declaration of the table `t`, as data.
#[derive(Clone, Debug, Default)]
struct Declared {
    columns: &'static [(&'static str, ColumnKind)],
    key: &'static [&'static str],
    rows: Vec<Value>,
    index: Option<(Metric, Method)>,
    attachments: &'static [(&'static str, &'static str, Option<&'static str>)],
    force: bool,
    user: bool,
}

#[derive(Clone, Copy, Debug)]
enum ColumnKind {
    Nullable(&'static str),
    NotNull(&'static str),
    Default(&'static str, &'static str),
}

impl Declared {
    fn target(&self) -> TableTarget {
        let columns = self.columns.iter().map(|(name, kind)| {
            let def = match kind {
                ColumnKind::Nullable(ty) => ColumnDef::new(*ty),
                ColumnKind::NotNull(ty) => ColumnDef::new(*ty).not_null(),
                ColumnKind::Default(ty, default) => ColumnDef::new(*ty).default(*default),
            };
            (*name, def)
        });
        let mut target = TableTarget::new("t", TableSchema::new(columns, self.key))
            .force_destroy(self.force)
            .managed_by(if self.user { ManagedBy::User } else { ManagedBy::System });
        for row in &self.rows {
            target.declare_row(row).unwrap();
        }
        if let Some((metric, method)) = self.index {
            target.declare_vector_index(VectorIndex::on("e").metric(metric).method(method).concurrently(false));
        }
        for (name, setup, teardown) in self.attachments {
            let attachment = SqlCommandAttachment::new(*name, *setup);
            target.declare_sql_command_attachment(match teardown {
                Some(teardown) => attachment.teardown(*teardown),
                None => attachment,
            });
        }
        target
    }
}
