//! What it takes to make a target what it is declared as.
//!
//! **Invariant:** deciding changes nothing, neither in the database nor in what is remembered.

use std::collections::{BTreeMap, HashSet};

use super::TableTarget;
use super::declare::DeclaredIndex;
use super::spool::Kept;
use super::tracking::{TrackedAttachment, TrackedIndex, TrackedTable, Tracking};
use crate::attachment::{self, Attachment};
use crate::catalog::ObservedTable;
use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::name::TableName;
use crate::pg_type::same_type;
use crate::rows::{self, Declared, Ledger, Owned, RowChange, RowCounts};
use crate::spec::{ManagedBy, TableSpec};
use crate::step::Step;
use crate::table::{self, Look, TableChange, TableDrop, Warning};
use crate::vector_index::{self, Action, ColumnType, Prior, Seen, VectorIndexSpec};

/// Everything that is going to happen to a target. It prints as a list of what is done to each object, with every statement,
/// the lock it takes and the harm it can do.
#[derive(Debug)]
pub struct TargetPlan {
    pub(super) name: TableName,
    pub(super) database: Database,
    /// What was remembered, and which version of it where the database remembers.
    pub(super) tracking: Tracking,
    pub(super) version: Option<i64>,
    pub(super) table: TableWork,
    pub(super) indexes: Vec<IndexWork>,
    pub(super) attachments: Vec<AttachmentWork>,
    /// Whether nothing is to be left, and nothing to be remembered.
    pub(super) removes: bool,
    /// What is remembered of what is left alone.
    pub(super) settled: Tracking,
    pub(super) rows: Option<RowCounts>,
    pub(super) warnings: Vec<Warning>,
    /// The declared rows, for as long as they may have to be read.
    pub(super) _kept: Option<Kept>,
}

/// What is done about the table itself.
#[derive(Debug)]
pub(super) enum TableWork {
    Keep,
    Change { change: Box<TableChange>, steps: Vec<Step> },
    Replace { drop: Box<TableDrop>, create: Box<TableChange>, steps: Vec<Step> },
    Drop { drop: Box<TableDrop>, steps: Vec<Step> },
}

/// What is done about a vector index.
#[derive(Debug)]
pub(super) enum IndexWork {
    Build {
        index: Box<DeclaredIndex>,
        prior: Option<Box<OwnedPrior>>,
        steps: Vec<Step>,
    },
    /// Before the table is changed; with what is built after that, where its column gets another type.
    Drop {
        name: String,
        index: TableName,
        concurrently: bool,
    },
}

/// The index that is ours already.
#[derive(Debug)]
pub(super) struct OwnedPrior {
    pub(super) predicate: Option<String>,
    pub(super) seen: Seen,
}

/// What is done about an attachment.
#[derive(Debug)]
pub(super) enum AttachmentWork {
    SetUp(Attachment),
    /// Its teardown and the new setup together.
    Change(Attachment, Attachment),
    /// Before the table is changed.
    TearDown(Attachment),
}

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

impl TargetPlan {
    /// Whether there is nothing to do and nothing else to remember.
    pub fn is_empty(&self) -> bool {
        matches!(self.table, TableWork::Keep)
            && self.indexes.is_empty()
            && self.attachments.is_empty()
            && self.settled == self.tracking
    }

    /// All statements on the table, its rows and its vector indexes, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let table = match &self.table {
            TableWork::Keep => &[],
            TableWork::Change { steps, .. } | TableWork::Replace { steps, .. } | TableWork::Drop { steps, .. } => {
                steps.as_slice()
            }
        };
        let builds = self.indexes.iter().flat_map(|work| match work {
            IndexWork::Build { steps, .. } => steps.as_slice(),
            IndexWork::Drop { .. } => &[],
        });
        table.iter().chain(builds)
    }

    /// How many rows are inserted, updated and deleted, as far as it can be told without writing them; `None` when no rows
    /// are written.
    pub fn row_counts(&self) -> Option<&RowCounts> {
        self.rows.as_ref()
    }

    /// What the caller should know before it is applied.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What is to be remembered *before* it is applied by who keeps that: what may be the case if the run is interrupted.
    pub fn pending(&self) -> Tracking {
        let mut pending = self.tracking.clone();
        match &self.table {
            TableWork::Keep => {}
            TableWork::Change { change, .. } => {
                pending.table = pending.table.before(&change.desired, change.observed.is_none());
            }
            TableWork::Replace { create, .. } => pending.table = pending.table.before(&create.desired, true),
            TableWork::Drop { drop, .. } => pending.table = pending.table.before(&drop.declared, true),
        }
        for work in &self.indexes {
            if let IndexWork::Build { index, .. } = work {
                let DeclaredIndex { spec, concurrently, .. } = &**index;
                let tracked = TrackedIndex { spec: spec.clone(), concurrently: *concurrently, seen: None };
                pending.indexes.insert(spec.name.clone(), tracked);
            }
        }
        for work in &self.attachments {
            let (name, attachment) = match work {
                AttachmentWork::SetUp(new) | AttachmentWork::Change(_, new) => (&new.name, Some(new)),
                AttachmentWork::TearDown(old) => (&old.name, None),
            };
            let tracked = pending.attachments.remove(name);
            let mut tracked = match (tracked, attachment) {
                (Some(tracked), Some(new)) => tracked.or(new),
                (Some(tracked), None) => tracked,
                (None, Some(new)) => TrackedAttachment::certain(new),
                (None, None) => continue,
            };
            tracked.in_part = true;
            pending.attachments.insert(name.clone(), tracked);
        }
        pending
    }
}

/// Decides what a declaration takes.
pub(super) async fn plan(
    target: TableTarget,
    database: &Database,
    scope: &Scope,
    tracking: Tracking,
    version: Option<i64>,
) -> Result<TargetPlan, Errors> {
    let TableTarget { spec, force_destroy, create_vector_extension, rows, indexes, attachments } = target;
    let kept = rows.finish()?;
    let mut faults = spec.faults();
    let declared_indexes = collect(indexes.into_iter().map(|index| index.declared(&spec.name)), &mut faults);
    let declared_attachments = collect(attachments.into_iter().map(|one| one.declared(&spec.name)), &mut faults);
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
    let table = decide(database, scope, change, &mut warnings).await?;
    let rows = count(database, scope, &table).await?;
    let mut plan = TargetPlan {
        name: table.desired.name.clone(),
        database: database.clone(),
        removes: false,
        settled: tracking.clone(),
        tracking,
        version,
        table: TableWork::Keep,
        indexes: Vec::new(),
        attachments: Vec::new(),
        rows,
        warnings,
        _kept: kept,
    };
    let Decided { work, desired, fresh } = table;
    // A table that is made now has nothing on it yet; what was on the one that it replaces goes with that.
    let live = known.observed.as_ref().filter(|_| !fresh);
    plan_indexes(&mut plan, scope, &desired, live, declared_indexes).await?;
    plan_attachments(&mut plan, scope, known.observed.is_some(), fresh, declared_attachments).await?;
    if matches!(work, TableWork::Keep) {
        let table = &mut plan.settled.table;
        *table = TrackedTable { possible: vec![desired], unsettled: false, may_be_missing: false, ..table.clone() };
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
        removes: true,
        settled: Tracking::default(),
        tracking,
        version,
        table: TableWork::Keep,
        indexes: Vec::new(),
        attachments: Vec::new(),
        rows: None,
        warnings: Vec::new(),
        _kept: None,
    };
    let Some(spec) = plan.tracking.table.possible.last().cloned() else { return Ok(plan) };
    if spec.name != *table {
        let message = format!("what is remembered is of table {}", spec.name);
        return Err(Error::new(format!("remove target {table}"), message).into());
    }
    let known = know(database, scope, &spec, &plan.tracking.table).await?;
    let Known { observed: Some(observed), prior, ledger, .. } = known else { return Ok(plan) };
    for (name, tracked) in &plan.tracking.attachments {
        plan.attachments.extend(tracked.former(table, name).map(AttachmentWork::TearDown));
    }
    if spec.managed_by == ManagedBy::User {
        plan.indexes = plan.tracking.indexes.values().map(dropped).collect();
    }
    let drop = TableDrop {
        declared: prior.unwrap_or(spec),
        observed: Some(observed),
        owned: ledger.map(Owned::from),
        force_destroy,
    };
    plan.warnings = table::veto_drop(database, scope, &drop).await?;
    plan.rows = drop.owned.as_ref().map(|owned| RowCounts { deleted: owned.count(), ..RowCounts::default() });
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
            prior: None,
            observed: None,
            owned: None,
            server_digest: None,
            rows_drifted: false,
            ..change
        };
        let mut steps = table::plan_drop(&drop);
        steps.extend(table::plan(&create).steps);
        let work = TableWork::Replace { drop: Box::new(drop), create: Box::new(create), steps };
        return Ok(Decided { work, desired, fresh: true });
    }
    let fresh = change.observed.is_none() && desired.managed_by == ManagedBy::System;
    if decided.steps.is_empty() && change.observed.is_some() {
        return Ok(Decided { work: TableWork::Keep, desired, fresh });
    }
    warnings.extend(table::veto(database, scope, &change).await?);
    let work = TableWork::Change { change: Box::new(change), steps: decided.steps };
    Ok(Decided { work, desired, fresh })
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

/// How many rows are written.
async fn count(database: &Database, scope: &Scope, decided: &Decided) -> Result<Option<RowCounts>, Errors> {
    let (change, fresh) = match &decided.work {
        TableWork::Change { change, .. } => (change, change.observed.is_none()),
        TableWork::Replace { create, .. } => (create, true),
        TableWork::Keep | TableWork::Drop { .. } => return Ok(None),
    };
    let writes_rows = change.rows.as_ref().is_some_and(|rows| rows.count() > 0) || change.owned.is_some();
    if !writes_rows {
        return Ok(None);
    }
    let declared = change.rows.as_ref().map_or(0, Declared::count);
    if fresh || change.owned.is_none() {
        return Ok(Some(RowCounts {
            deleted: 0,
            inserted: Some(declared).filter(|_| fresh),
            updated: Some(0).filter(|_| fresh),
        }));
    }
    let mut session = database.connect(scope).await?;
    let transaction = session.begin().await?;
    let rows = RowChange {
        table: &change.desired,
        owned: change.owned.as_ref(),
        declared: change.rows.as_ref(),
        force: change.force_destroy,
        server_digest: None,
    };
    let counts = rows::counts(&transaction, &rows).await.map_err(|error| scope.explain(error))?;
    Ok(counts.filter(|counts| *counts != RowCounts { deleted: 0, inserted: Some(0), updated: Some(0) }))
}

fn dropped(tracked: &TrackedIndex) -> IndexWork {
    IndexWork::Drop {
        name: tracked.spec.name.clone(),
        index: tracked.spec.qualified(),
        concurrently: tracked.concurrently,
    }
}

async fn plan_indexes(
    plan: &mut TargetPlan,
    scope: &Scope,
    desired: &TableSpec,
    live: Option<&ObservedTable>,
    declared: Vec<DeclaredIndex>,
) -> Result<(), Errors> {
    let mut tracked: BTreeMap<String, TrackedIndex> = std::mem::take(&mut plan.settled.indexes);
    let mut faults = Vec::new();
    let mut builds = Vec::new();
    for index in declared {
        let ours = tracked.remove(&index.spec.name);
        let seen = match live {
            Some(_) => {
                let before = ours.as_ref().and_then(|ours| ours.seen.as_ref());
                vector_index::read(&plan.database, scope, &desired.name, &index.spec.qualified(), before).await?
            }
            None => None,
        };
        let moves = live.is_some_and(|live| gets_another_type(desired, live, &index.spec.column));
        match (seen, ours) {
            (Some(_), None) => {
                let name = index.spec.qualified();
                let error = Error::new(format!("create index {name}"), "an index of that name is there already")
                    .advice("It was not made by this target. Declare this one under another name, or drop that one.");
                faults.push(error);
            }
            (Some(seen), Some(ours)) => {
                let prior = prior(&plan.database, scope, &index.spec, &ours, seen).await?;
                let known = Prior {
                    index_name: &index.spec.index_name(),
                    predicate: prior.predicate.as_deref(),
                    seen: &prior.seen,
                };
                match vector_index::plan(&index.spec, index.concurrently, &known) {
                    Ok(Some(decided)) if decided.action == Action::Keep && decided.steps.is_empty() => {
                        let concurrently = index.concurrently;
                        let seen = ours.seen.or(Some(prior.seen));
                        let kept = TrackedIndex { spec: index.spec, concurrently, seen };
                        plan.settled.indexes.insert(kept.spec.name.clone(), kept);
                    }
                    // The table's own change would take the index from under a build that was decided before it.
                    Ok(_) if moves => {
                        plan.indexes.push(dropped(&ours));
                        builds.push(build(index, desired, &mut faults));
                    }
                    Ok(Some(decided)) => builds.push(IndexWork::Build {
                        index: Box::new(index),
                        prior: Some(Box::new(prior)),
                        steps: decided.steps,
                    }),
                    Ok(None) => builds.push(build(index, desired, &mut faults)),
                    Err(errors) => faults.extend(errors),
                }
            }
            (None, _) => builds.push(build(index, desired, &mut faults)),
        }
    }
    if !faults.is_empty() {
        return Err(faults.into());
    }
    if live.is_some() {
        plan.indexes.extend(tracked.values().map(dropped));
    }
    plan.indexes.extend(builds);
    Ok(())
}

fn gets_another_type(desired: &TableSpec, live: &ObservedTable, column: &str) -> bool {
    match (desired.column(column), live.column(column)) {
        (Some(desired), Some(live)) => !same_type(&desired.type_name, &live.type_name),
        _ => true,
    }
}

/// A new index, with its statements where the column's declared type tells them.
fn build(index: DeclaredIndex, desired: &TableSpec, faults: &mut Vec<Error>) -> IndexWork {
    let VectorIndexSpec { column, .. } = &index.spec;
    let mut steps = Vec::new();
    match desired.column(column) {
        None => {
            let known: Vec<&str> = desired.columns.iter().map(|column| column.name.as_str()).collect();
            let message = format!("the table has no column {column:?}; it has {}", known.join(", "));
            faults.push(Error::new(format!("create index {}", index.spec.qualified()), message));
        }
        Some(column) => match ColumnType::parse(&column.type_name) {
            Some(ty) => match vector_index::plan_new(&index.spec, index.concurrently, ty) {
                Ok(decided) => steps = decided.steps,
                Err(errors) => faults.extend(errors),
            },
            // Perhaps a domain; the server knows.
            None => {}
        },
    }
    IndexWork::Build { index: Box::new(index), prior: None, steps }
}

/// The index that is ours, with its condition in words that still say what it is.
async fn prior(
    database: &Database,
    scope: &Scope,
    spec: &VectorIndexSpec,
    ours: &TrackedIndex,
    seen: Seen,
) -> Result<OwnedPrior, Errors> {
    let unchanged = ours.seen.as_ref().is_some_and(|before| before.index.predicate == seen.index.predicate);
    let respelled = ours.seen.as_ref().is_some_and(|before| seen.may_be_respelled(before));
    let declared = ours.spec.predicate.clone();
    let still = match &declared {
        _ if unchanged => true,
        Some(predicate) if respelled => {
            vector_index::same_condition(database, scope, &spec.table, predicate, &seen).await?
        }
        _ => false,
    };
    let predicate = if still { declared } else { seen.index.predicate.clone() };
    Ok(OwnedPrior { predicate, seen })
}

async fn plan_attachments(
    plan: &mut TargetPlan,
    scope: &Scope,
    is_there: bool,
    fresh: bool,
    declared: Vec<Attachment>,
) -> Result<(), Errors> {
    let mut tracked: BTreeMap<String, TrackedAttachment> = std::mem::take(&mut plan.settled.attachments);
    let mut set_up = Vec::new();
    for new in declared {
        let ours = tracked.remove(&new.name);
        let former = ours.as_ref().filter(|_| is_there).and_then(|ours| ours.former(&new.table, &new.name));
        let Some(old) = former else {
            set_up.push(AttachmentWork::SetUp(new));
            continue;
        };
        if fresh {
            plan.attachments.push(AttachmentWork::TearDown(old));
            set_up.push(AttachmentWork::SetUp(new));
        } else if old.in_part {
            // Whatever an interrupted run left of it goes first.
            if old.teardown_sql.is_some() {
                plan.attachments.push(AttachmentWork::TearDown(old));
            }
            set_up.push(AttachmentWork::SetUp(new));
        } else if old.setup_sql != new.setup_sql {
            set_up.push(AttachmentWork::Change(old, new));
        } else if new.check_sql.is_some() && !attachment::read(&plan.database, scope, &new).await? {
            set_up.push(AttachmentWork::SetUp(new));
        } else {
            plan.settled.attachments.insert(new.name.clone(), TrackedAttachment::certain(&new));
        }
    }
    if is_there {
        for (name, ours) in &tracked {
            plan.attachments.extend(ours.former(&plan.name, name).map(AttachmentWork::TearDown));
        }
    }
    plan.attachments.extend(set_up);
    Ok(())
}
