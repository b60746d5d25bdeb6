//! What it takes to make a target what it is declared as, or to take it away.
//!
//! **Invariant:** deciding changes nothing, neither in the database nor in what is remembered.

use std::collections::HashSet;

use super::plan::{AttachmentWork, TableWork, TargetPlan};
use super::tracking::{TrackedTable, Tracking};
use super::{TableTarget, attachments, indexes};
use crate::catalog::ObservedTable;
use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::name::TableName;
use crate::pg_type::same_type;
use crate::rows::{Declared, Ledger, Owned, RowCounts};
use crate::spec::{ManagedBy, TableSpec};
use crate::table::{self, Look, Said, TableChange, TableDrop, Warning};

/// Of a change that writes no row.
const NO_ROWS: RowCounts = RowCounts { deleted: 0, inserted: Some(0), updated: Some(0) };

/// What is known of the table before anything is decided about it.
struct Known {
    /// The table, when it is there and ours.
    observed: Option<ObservedTable>,
    /// What it is declared as now.
    prior: Option<TableSpec>,
    /// Our rows in it.
    ledger: Option<Ledger>,
    /// Whether they are not what they were after the last run.
    drifted: bool,
}

/// Decides what a declaration takes.
pub(super) async fn declaration(
    target: TableTarget,
    database: &Database,
    scope: &Scope,
    tracking: Tracking,
    version: Option<i64>,
) -> Result<TargetPlan, Errors> {
    let TableTarget { spec, force_destroy, create_vector_extension, rows, .. } = target;
    let kept = rows.finish()?;
    let mut faults = spec.faults();
    let declared_indexes = collect(target.indexes.into_iter().map(|index| index.declared(&spec.name)), &mut faults);
    let declared_attachments = collect(target.attachments.into_iter().map(|one| one.declared(&spec.name)), &mut faults);
    let names = declared_indexes.iter().map(|index| ("vector index", &index.spec.name));
    twice(&spec.name, names.chain(declared_attachments.iter().map(|one| ("attachment", &one.name))), &mut faults);
    let mut declared_rows = None;
    if let (Some(kept), true) = (&kept, faults.is_empty()) {
        match kept.rows(&spec).await {
            Ok(rows) => declared_rows = Some(Declared::from(rows)),
            Err(errors) => faults.extend(errors),
        }
    }
    if !faults.is_empty() {
        return Err(faults.into());
    }

    let known = know(database, scope, &spec, &tracking.table).await?;
    let change = TableChange {
        prior: known.prior.clone(),
        observed: known.observed.clone(),
        rows: declared_rows,
        owned: known.ledger.clone().map(Owned::from),
        server_digest: tracking.table.rows_digest.clone().filter(|_| !tracking.table.unsettled),
        rows_drifted: known.drifted,
        force_destroy,
        create_vector_extension,
        desired: spec,
    };
    let mut warnings = Vec::new();
    if known.observed.is_some() && known.ledger.is_none() && tracking.table.ledger.is_some() {
        warnings.push(rows_unknown(&change.desired.name));
    }
    warnings.extend(another(&change.desired, &tracking.table, known.observed.as_ref()));
    let Decided { work, desired, fresh, rows } = decide(database, scope, change, &mut warnings).await?;
    let mut plan = TargetPlan {
        name: desired.name.clone(),
        database: database.clone(),
        create_vector_extension,
        removes: false,
        settled: tracking.clone(),
        tracking,
        version,
        table: TableWork::Keep,
        indexes: Vec::new(),
        attachments: Vec::new(),
        rows,
        warnings,
        kept,
    };
    // A table that is made now has nothing on it yet; what was on the one that it replaces goes with that.
    let live = known.observed.as_ref().filter(|_| !fresh);
    Box::pin(indexes::plan(&mut plan, scope, &desired, live, declared_indexes)).await?;
    let table = attachments::Table {
        is_there: known.observed.is_some(),
        fresh,
        reshaped: known.prior.as_ref().is_some_and(|prior| loses_columns(prior, &desired)),
    };
    attachments::plan(&mut plan, scope, table, declared_attachments).await?;
    if matches!(work, TableWork::Keep) {
        let table = &mut plan.settled.table;
        *table = TrackedTable {
            possible: vec![desired],
            oid: known.observed.as_ref().map(|observed| observed.oid).or(table.oid),
            unsettled: false,
            may_be_missing: false,
            ..table.clone()
        };
    }
    plan.table = work;
    Ok(plan)
}

/// Decides what it takes to take everything away.
pub(super) async fn removal(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    tracking: Tracking,
    version: Option<i64>,
    force_destroy: bool,
) -> Result<TargetPlan, Errors> {
    let mut plan = TargetPlan {
        name: table.clone(),
        database: database.clone(),
        create_vector_extension: false,
        removes: true,
        settled: Tracking::default(),
        tracking,
        version,
        table: TableWork::Keep,
        indexes: Vec::new(),
        attachments: Vec::new(),
        rows: None,
        warnings: Vec::new(),
        kept: None,
    };
    let Some(spec) = plan.tracking.table.possible.last().cloned() else { return Ok(plan) };
    if spec.name != *table {
        let message = format!("what is remembered is of table {}", spec.name);
        return Err(Error::new(format!("remove target {table}"), message).into());
    }
    let known = know(database, scope, &spec, &plan.tracking.table).await?;
    for (name, tracked) in &plan.tracking.attachments {
        let states = attachments::former(tracked, table, name, known.observed.is_some());
        plan.attachments.push(AttachmentWork::TearDown { name: name.clone(), states });
    }
    let Known { observed: Some(observed), prior, ledger, .. } = known else { return Ok(plan) };
    if spec.managed_by == ManagedBy::User {
        plan.indexes = plan.tracking.indexes.values().map(indexes::dropped).collect();
    }
    let drop = TableDrop {
        declared: prior.unwrap_or(spec),
        observed: Some(observed),
        owned: ledger.map(Owned::from),
        force_destroy,
    };
    plan.warnings = table::veto_drop(database, scope, &drop).await?;
    plan.warnings.extend(another(&drop.declared, &plan.tracking.table, drop.observed.as_ref()));
    plan.rows = drop.owned.as_ref().map(|owned| RowCounts { deleted: owned.count(), ..NO_ROWS });
    plan.table = TableWork::Drop { steps: table::plan_drop(&drop), drop: Box::new(drop) };
    Ok(plan)
}

fn collect<T>(results: impl Iterator<Item = Result<T, Vec<Error>>>, faults: &mut Vec<Error>) -> Vec<T> {
    results.filter_map(|result| result.map_err(|errors| faults.extend(errors)).ok()).collect()
}

/// Finds names that are declared twice.
fn twice<'a>(table: &TableName, names: impl Iterator<Item = (&'static str, &'a String)>, faults: &mut Vec<Error>) {
    let mut seen = HashSet::new();
    for (what, name) in names {
        if !seen.insert((what, name)) {
            faults.push(Error::new(format!("declare {what} {name} of table {table}"), "it is declared twice"));
        }
    }
}

/// Looks at the table, and which of the states that are remembered it is in.
async fn know(database: &Database, scope: &Scope, spec: &TableSpec, tracked: &TrackedTable) -> Result<Known, Errors> {
    let owned = tracked.ledger.clone().map(Owned::from);
    let look = match (&owned, tracked.possible.first()) {
        (Some(owned), Some(table)) => Look::Rows { table, owned, digest: !tracked.unsettled },
        _ if tracked.unsettled && spec.managed_by == ManagedBy::System => Look::Ledger,
        _ => Look::Table,
    };
    let nothing = Known { observed: None, prior: None, ledger: None, drifted: false };
    let Some(seen) = table::read(database, scope, &spec.name, look).await? else { return Ok(nothing) };
    if !tracked.is_known() && spec.managed_by == ManagedBy::User {
        return Ok(nothing);
    }
    if !tracked.can_be(&seen.observed) {
        return Err(table::exists(spec, &seen.observed)
            .advice(
                "It was not made by this target, or what was remembered of that is lost. Declare it as managed by the user \
                 to fill it without changing it, or drop or rename it.",
            )
            .into());
    }
    let mut ledger = seen.ledger;
    if tracked.unsettled && tracked.ledger.is_some() && ledger.is_none() && spec.managed_by == ManagedBy::System {
        // The run that was interrupted may have made the table anew, and a ledger with it.
        let look = table::read(database, scope, &spec.name, Look::Ledger).await?;
        ledger = look.and_then(|seen| seen.ledger);
    }
    if let (Some(ledger), true) = (&mut ledger, tracked.unsettled) {
        // What it holds is what the interrupted run left, so nothing is taken for known of it.
        ledger.digest.clear();
    }
    Ok(Known {
        prior: tracked.declared(&seen.observed),
        drifted: ledger.is_some() && (tracked.unsettled || seen.rows_digest != tracked.rows_digest),
        observed: Some(seen.observed),
        ledger,
    })
}

/// What is done about the table, and what the rest needs to know of that.
struct Decided {
    work: TableWork,
    desired: TableSpec,
    /// Whether the table is made now.
    fresh: bool,
    /// How many rows are written.
    rows: Option<RowCounts>,
}

async fn decide(
    database: &Database,
    scope: &Scope,
    change: TableChange,
    warnings: &mut Vec<Warning>,
) -> Result<Decided, Errors> {
    let desired = change.desired.clone();
    let decided = table::plan(&change);
    if !decided.refusals.is_empty() {
        return Err(decided.refusals.into());
    }
    warnings.extend(decided.warnings);
    warnings.extend(change.rows.as_ref().and_then(stripped));
    if !decided.replace.is_empty() {
        let drop = TableDrop {
            declared: change.prior.clone().unwrap_or_else(|| change.desired.clone()),
            observed: change.observed.clone(),
            owned: change.owned.clone(),
            force_destroy: change.force_destroy,
        };
        warnings.extend(table::veto_drop(database, scope, &drop).await?);
        let create = TableChange {
            rows: change.rows,
            force_destroy: change.force_destroy,
            create_vector_extension: change.create_vector_extension,
            ..TableChange::create(change.desired)
        };
        let mut steps = table::plan_drop(&drop);
        steps.extend(table::plan(&create).steps);
        let rows = first_rows(&create);
        let work = TableWork::Replace { drop: Box::new(drop), create: Box::new(create), steps };
        return Ok(Decided { work, desired, fresh: true, rows });
    }
    let fresh = change.observed.is_none() && desired.managed_by == ManagedBy::System;
    if decided.steps.is_empty() && change.observed.is_some() {
        return Ok(Decided { work: TableWork::Keep, desired, fresh, rows: None });
    }
    let Said { warnings: said, rows } = Box::pin(table::ask(database, scope, &change)).await?;
    warnings.extend(said);
    let rows = first_rows(&change).or(rows.filter(|counts| *counts != NO_ROWS));
    let work = TableWork::Change { change: Box::new(change), steps: decided.steps };
    Ok(Decided { work, desired, fresh, rows })
}

/// Whether columns are dropped or get another type, so that what stands on them has to go before.
fn loses_columns(prior: &TableSpec, desired: &TableSpec) -> bool {
    prior.columns.iter().any(|column| match desired.column(&column.name) {
        Some(still) => !same_type(&still.type_name, &column.type_name),
        None => true,
    })
}

fn rows_unknown(table: &TableName) -> Warning {
    Warning {
        summary: "Which rows were declared before is not known any more",
        detail: format!(
            "The keys of the rows that earlier runs declared in {table} are lost, as they are after a restore or when the \
             table was made anew. Declared rows that are there as they are declared are taken over; all others stay."
        ),
    }
}

/// Whether the table that is there now is another one than was made, which is said before it is taken over or dropped.
fn another(spec: &TableSpec, tracked: &TrackedTable, observed: Option<&ObservedTable>) -> Option<Warning> {
    let (made, found) = (tracked.oid?, observed?.oid);
    (made != found && !tracked.unsettled && spec.managed_by == ManagedBy::System).then(|| Warning {
        summary: "The table is another one",
        detail: format!(
            "{} is not the table that this target made: somebody dropped that and made this one under its name, or the database \
             was restored. It is taken for ours from now on. Declare it as managed by the user if it is somebody else's.",
            spec.name
        ),
    })
}

fn stripped(rows: &Declared) -> Option<Warning> {
    let named = rows.nul_stripped();
    (!named.is_empty()).then(|| Warning {
        summary: "NUL characters are left out",
        detail: format!(
            "Postgres cannot keep the character NUL in text. It is left out of declared rows, the first of them: {}.",
            named.join(", ").replace("line ", "row ")
        ),
    })
}

/// How many rows are written where none is ours yet: all that are declared, or where others may be there, nobody knows.
fn first_rows(change: &TableChange) -> Option<RowCounts> {
    let declared = change.rows.as_ref().map_or(0, Declared::count);
    match &change.observed {
        _ if declared == 0 || change.owned.is_some() => None,
        None => Some(RowCounts { inserted: Some(declared), ..NO_ROWS }),
        Some(_) => Some(RowCounts::default()),
    }
}
