//! What else stands on a column, and goes with it when it is dropped without a word from the server.
//!
//! **Invariant:** only looks. What the plan itself drops is not reported.

use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::Warning;
use super::script::{Kind, Script};
use crate::catalog::{NOT_NULL_CHECK, ObservedTable};
use crate::error::{Blame, Error};
use crate::spec::TableSpec;

/// The indexes, constraints and statistics that depend on one of these columns, with all the columns that they depend on.
/// The index of a constraint is the constraint.
const FELLOWS: &str = "with d as (select d.classid, d.objid, pg_catalog.array_agg(distinct a.attname::text) as columns \
        from pg_catalog.pg_depend d join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid \
        where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = $1 and d.objsubid = 0 \
            and d.deptype in ('a', 'n') \
        group by d.classid, d.objid having pg_catalog.array_agg(a.attname::text) && $2) \
    select case k.contype when 'u' then 'unique constraint' when 'c' then 'check constraint' \
            when 'f' then 'foreign key' when 'x' then 'exclusion constraint' else 'constraint' end, \
        k.conname::text, d.columns \
        from d join pg_catalog.pg_constraint k on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid \
        where k.conrelid = $1 and k.contype <> 'n' and not pg_catalog.starts_with(k.conname::text, $3) \
    union all select case when x.indisunique then 'unique index' else 'index' end, c.relname::text, d.columns \
        from d join pg_catalog.pg_class c on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = d.objid \
        join pg_catalog.pg_index x on x.indexrelid = c.oid \
    union all select 'statistics', s.stxname::text, d.columns \
        from d join pg_catalog.pg_statistic_ext s on d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass and s.oid = d.objid \
    order by 1, 2";

/// Whether what goes with the dropped columns forbids that: errors for what also stands on columns that stay, or with
/// consent, as for what stands on the dropped columns alone, warnings. A plan only warns: what made the index may be
/// torn down by the same apply, before the column goes.
pub(super) async fn lost(
    transaction: &Transaction<'_>,
    doing: &str,
    desired: &TableSpec,
    script: &Script<'_>,
    live: &ObservedTable,
    (force, planning): (bool, bool),
) -> Result<(Vec<Error>, Vec<Warning>), Error> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    if script.lost.is_empty() {
        return Ok((errors, warnings));
    }
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&live.oid, Type::OID), (&script.lost, Type::TEXT_ARRAY), (&NOT_NULL_CHECK, Type::TEXT)];
    let failed = |error| Error::postgres(doing, &error);
    for row in transaction.query_typed(FELLOWS, &parameters).await.map_err(failed)? {
        let (kind, name): (String, String) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let columns: Vec<String> = row.try_get(2).map_err(failed)?;
        let shown = |kind: &str| format!("{kind} {name} on ({})", columns.join(", "));
        let planned = |kind: &Kind| matches!(kind, Kind::DropIndex(index) if index.name == name);
        if script.actions.iter().any(|action| planned(&action.kind)) {
            continue;
        }
        let (gone, kept): (Vec<&str>, Vec<&str>) =
            columns.iter().map(String::as_str).partition(|column| script.lost.contains(column));
        if kept.is_empty() || force || kind == "statistics" {
            let also = format!("In {}, {} goes with column {}.", desired.name, shown(&kind), gone.join(" and "));
            warnings.push(Warning { summary: "More goes with a column", detail: also });
            continue;
        }
        let message = format!("{} would go with column {}", shown(&kind), gone.join(" and "));
        if planning {
            let detail = format!("In {}, {message}. Unless it is gone by then, apply will refuse.", desired.name);
            warnings.push(Warning { summary: "More goes with a column", detail });
            continue;
        }
        errors.push(Error::new(doing, message).blame(Blame::Attribute("columns")).advice(format!(
            "Postgres drops it without a word, though it also stands on {}. Drop it first, with the attachment or the \
             migration that made it, or set force_destroy = true to consent to its loss.",
            kept.join(" and ")
        )));
    }
    Ok((errors, warnings))
}
