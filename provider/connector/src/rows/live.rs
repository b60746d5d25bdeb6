//! What the server alone knows of a table, as far as writing rows depends on it.

use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::key;
use crate::error::Error;
use crate::spec::TableSpec;

/// A table as it is now.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) oid: u32,
    /// Whether its first columns are those of the primary key, in its order.
    pub(super) key_is_first: bool,
    /// Whether keys that look different are certainly different rows.
    pub(super) key_is_exact: bool,
    /// Whether what is written is what is there afterwards, and nothing else: no trigger or rule of somebody's, no
    /// reference that cascades, no partition, no row security.
    pub(super) is_quiet: bool,
}

impl Live {
    pub(super) async fn read(transaction: &Transaction<'_>, table: &TableSpec) -> Result<Self, Error> {
        let failed = |error| Error::postgres(format!("write rows of {}", table.name), &error);
        let sql = "select c.oid, c.relkind = 'r' and not c.relhasrules and not c.relhassubclass and not c.relrowsecurity \
                     and not exists (select from pg_catalog.pg_trigger g \
                       where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled <> 'D') \
                     and not exists (select from pg_catalog.pg_constraint f where f.contype = 'f' and f.confrelid = c.oid \
                       and (f.confdeltype in ('c', 'n', 'd') or f.confupdtype in ('c', 'n', 'd'))), \
                   array(select a.attname::text from pg_catalog.pg_attribute a \
                     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum), \
                   not exists (select from pg_catalog.pg_attribute a join pg_catalog.pg_collation l on l.oid = a.attcollation \
                     where a.attrelid = c.oid and a.attname = any($2) and not l.collisdeterministic) \
                   from pg_catalog.pg_class c where c.oid = $1::text::pg_catalog.regclass";
        let name = table.name.to_string();
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&name, Type::TEXT), (&table.primary_key, Type::TEXT_ARRAY)];
        let row = transaction.query_typed_one(sql, &parameters).await.map_err(failed)?;
        let columns: Vec<String> = row.try_get(2).map_err(failed)?;
        let deterministic: bool = row.try_get(3).map_err(failed)?;
        let kinds = key::kinds(table);
        let exact = |kind| key::is_exact(kind) || deterministic && key::is_exact_text(kind);
        Ok(Self {
            oid: row.try_get(0).map_err(failed)?,
            key_is_first: columns.starts_with(&table.primary_key),
            key_is_exact: kinds.iter().all(exact),
            is_quiet: row.try_get(1).map_err(failed)?,
        })
    }
}
