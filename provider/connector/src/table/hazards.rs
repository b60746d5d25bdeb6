//! What of a plan can hurt the table as it is now.
//!
//! **Invariant:** an empty table cannot be hurt, and a step that blocks nobody for long is no hazard.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::script::{Kind, Script};
use super::{TableChange, Warning, transaction};
use crate::catalog::ObservedTable;
use crate::error::Error;
use crate::expression;
use crate::name::TableName;
use crate::pg_type::PgType;
use crate::sql_text::mask_literals;
use crate::step::{Hazard, Lock};

/// A table of fewer bytes is read within a moment.
const LONG: i64 = 8 << 20;

/// How big a table is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    /// Whether it has no row at all.
    pub(super) empty: bool,
    /// About how many rows it has, if the server has counted.
    pub(super) rows: f64,
    /// How many bytes it takes, with its indexes and partitions.
    pub(super) bytes: i64,
}

/// Asks for the size.
pub(super) async fn size(
    transaction: &Transaction<'_>,
    name: &TableName,
    live: &ObservedTable,
) -> Result<Size, tokio_postgres::Error> {
    let sql = format!(
        "select coalesce(sum(greatest(c.reltuples, 0)), 0)::float8, \
            coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::int8, \
            not exists (select from {name}) \
         from (select $1::oid as oid union select relid from pg_catalog.pg_partition_tree($1::oid)) as p \
            join pg_catalog.pg_class c on c.oid = p.oid"
    );
    let row = transaction.query_typed_one(&sql, &[(&live.oid, Type::OID)]).await?;
    Ok(Size { rows: row.try_get(0)?, bytes: row.try_get(1)?, empty: row.try_get(2)? })
}

/// Whether the type is a domain with constraints, at any depth, and the default that it gives a column without one.
const OF_DOMAIN: &str = "with recursive t (oid) as (select pg_catalog.to_regtype($1)::oid union \
        select d.typbasetype from pg_catalog.pg_type d join t on t.oid = d.oid where d.typtype = 'd') \
    select exists (select from pg_catalog.pg_type d join t on t.oid = d.oid where d.typtype = 'd' and (d.typnotnull \
            or exists (select from pg_catalog.pg_constraint c where c.contypid = d.oid))), \
        (select d.typdefault from pg_catalog.pg_type d where d.oid = pg_catalog.to_regtype($1) and d.typtype = 'd')";

/// The warnings of new columns whose type is a domain that makes the server write every row. What a domain is, only the
/// server knows, so the steps do not say it.
pub(super) async fn domains(
    transaction: &Transaction<'_>,
    change: &TableChange,
    script: &Script<'_>,
    size: Size,
) -> Result<Vec<Warning>, Error> {
    let name = &change.desired.name;
    let doing = super::doing(change);
    let failed = |error| Error::postgres(&*doing, &error);
    let mut warnings = Vec::new();
    let beginning = format!("alter table {name} add column ");
    for action in script.actions.iter().filter(|action| !size.empty && action.step.sql.starts_with(&beginning)) {
        let added = action.origins.first().and_then(|origin| change.desired.column(&origin.column));
        let Some(column) = added.filter(|_| !action.step.hazards.contains(&Hazard::RewritesTable)) else { continue };
        let Ok(parsed) = PgType::parse(&column.type_name) else { continue };
        if parsed.is_builtin() || parsed.is_pgvector() {
            continue;
        }
        transaction::find_types(transaction, name, &doing).await?;
        let spelled = parsed.to_string();
        let row = transaction.query_typed_one(OF_DOMAIN, &[(&spelled, Type::TEXT)]).await.map_err(failed)?;
        let (constrained, default): (bool, Option<String>) =
            (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let gives = default.filter(|_| column.default.is_none());
        let why = if constrained {
            "which is a domain with constraints"
        } else if gives.is_some_and(|default| expression::may_be_volatile(&default)) {
            "which is a domain whose default is computed for each row"
        } else {
            continue;
        };
        warnings.push(Warning {
            summary: "The table is rewritten",
            detail: format!(
                "{name} ({size}): nobody can read or write the table until all of it and its indexes are written again, since \
                 column {column} has the type {spelled}, {why}.\n\n{sql}",
                size = size.shown(),
                column = column.name,
                sql = mask_literals(&action.step.sql),
            ),
        });
    }
    Ok(warnings)
}

/// The warnings of a script for a table of that size.
pub(super) fn warnings(script: &Script<'_>, name: &TableName, size: Size) -> Vec<Warning> {
    if size.empty {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let rewrites = script.actions.iter().any(|action| action.step.hazards.contains(&Hazard::RewritesTable));
    for action in &script.actions {
        let step = &action.step;
        let has = |hazard| step.hazards.contains(&hazard);
        let what =
            |harm: &str| format!("{} ({size}): {harm}\n\n{}", name, mask_literals(&step.sql), size = size.shown());
        if has(Hazard::RewritesTable) {
            warnings.push(Warning {
                summary: "The table is rewritten",
                detail: what("nobody can read or write the table until all of it and its indexes are written again."),
            });
        } else if has(Hazard::BlocksWrites) && action.kind == Kind::Rows {
            warnings.push(Warning {
                summary: "Writers wait while rows are written",
                detail: what("nobody can write to the table until the declared rows are compared and written."),
            });
        } else if has(Hazard::BlocksWrites) {
            warnings.push(Warning {
                summary: "An index is rebuilt under a lock",
                detail: what("nobody can write to the table until the index is built, nor read it before the commit."),
            });
        } else if has(Hazard::ScansTable)
            && step.lock == Lock::AccessExclusive
            && size.takes_long()
            && !(action.kind == Kind::Lock && rewrites)
        {
            warnings.push(Warning {
                summary: "The table is scanned under a lock",
                detail: what("nobody can read or write the table until all of it is read."),
            });
        }
    }
    warnings
}

impl Size {
    /// Whether reading all of it takes longer than anybody would wait for a lock anyway.
    fn takes_long(self) -> bool {
        self.bytes >= LONG
    }

    fn shown(self) -> String {
        let bytes = bytes_shown(self.bytes);
        match self.rows {
            rows if rows < 1.0 => bytes,
            rows => format!("about {} rows, {bytes}", count_shown(rows)),
        }
    }
}

fn count_shown(count: f64) -> String {
    match count {
        c if c < 10_000.0 => format!("{c:.0}"),
        c if c < 999_500.0 => format!("{:.0} thousand", c / 1e3),
        c if c < 999_500_000.0 => format!("{:.1} million", c / 1e6),
        c => format!("{:.1} billion", c / 1e9),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
fn bytes_shown(bytes: i64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.0} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_round_numbers() {
        for (rows, bytes, shown) in [
            (0.0, 8192, "8 kB"),
            (3.0, 16_384, "about 3 rows, 16 kB"),
            (123_456.0, 50 << 20, "about 123 thousand rows, 50 MB"),
            (1_234_567.0, 3 << 30, "about 1.2 million rows, 3 GB"),
            (5e9, 3 << 40, "about 5.0 billion rows, 3.0 TB"),
        ] {
            assert_eq!(Size { empty: false, rows, bytes }.shown(), shown);
        }
    }
}
