//! Makes a target what its plan says.
//!
//! What goes, goes first: torn down attachments, dropped indexes. Then the table with its rows, in one transaction wherever
//! Postgres allows; then indexes; then attachments, so that they find everything.
//!
//! **Invariant:** what is remembered is brought up to date after every object, so that an error or a crash leaves no doubt
//! but about the object that was being worked on.

use std::fmt;

use super::plan::{AttachmentWork, IndexWork, TableWork, TargetPlan};
use super::store;
use super::tracking::{TrackedAttachment, TrackedIndex, TrackedTable, Tracking};
use crate::attachment::{self, Attachment, ChangeFailure, Remains};
use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::name::TableName;
use crate::rows::RowOutcome;
use crate::table::{self, Warning};
use crate::vector_index::{self, Build, Prior};

/// What a plan did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done to rows.
    pub rows: RowOutcome,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// What is to be remembered, for who keeps that.
    pub tracking: Tracking,
}

/// Why a plan was not carried out to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub errors: Errors,
    /// What is to be remembered, for who keeps that: what was done until then.
    pub tracking: Tracking,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Errors {
    fn from(failure: Failure) -> Self {
        failure.errors
    }
}

/// What is remembered, as it changes.
struct Memory<'a> {
    database: &'a Database,
    scope: &'a Scope,
    name: &'a TableName,
    tracking: Tracking,
    version: Option<i64>,
}

impl Memory<'_> {
    async fn keep(&mut self) -> Result<(), Error> {
        if let Some(version) = self.version {
            let Self { database, scope, name, tracking, .. } = self;
            self.version = Some(store::save(database, scope, name, tracking, version).await?);
        }
        Ok(())
    }
}

impl TargetPlan {
    /// Carries the plan out. What is not any more as it was when the plan was made is an error, and the object that it is
    /// about stays as it is.
    pub async fn apply(self, scope: &Scope) -> Result<Outcome, Failure> {
        if self.is_empty() {
            return Ok(Outcome { tracking: self.tracking, ..Outcome::default() });
        }
        let mut memory = Memory {
            database: &self.database,
            scope,
            name: &self.name,
            tracking: self.tracking.clone(),
            version: self.version,
        };
        match Box::pin(run(&self, scope, &mut memory)).await {
            Ok((rows, warnings)) => Ok(Outcome { rows, warnings, tracking: memory.tracking }),
            Err(errors) => Err(Failure { errors, tracking: memory.tracking }),
        }
    }
}

async fn run(plan: &TargetPlan, scope: &Scope, memory: &mut Memory<'_>) -> Result<(RowOutcome, Vec<Warning>), Errors> {
    let database = &plan.database;
    let mut warnings = Vec::new();
    let pending = plan.pending();
    if pending != memory.tracking {
        memory.tracking = pending;
        memory.keep().await?;
    }
    for work in &plan.attachments {
        if let AttachmentWork::TearDown { name, states } = work {
            warnings.extend(tear_down(plan, scope, memory, name, states).await?);
        }
    }
    for work in &plan.indexes {
        if let IndexWork::Drop { name, index, concurrently } = work {
            vector_index::drop(database, scope, &plan.name, index, *concurrently).await?;
            if !plan.declares_index(name) {
                memory.tracking.indexes.remove(name);
                memory.keep().await?;
            }
        }
    }
    let rows = change_table(plan, scope, memory, &mut warnings).await?;
    for work in &plan.indexes {
        let IndexWork::Build { index, prior, .. } = work else { continue };
        let name = index.spec.index_name();
        let build = Build {
            spec: &index.spec,
            concurrently: index.concurrently,
            settings: &index.settings,
            create_extension: plan.create_vector_extension,
            prior: prior.as_ref().map(|prior| Prior {
                index_name: &name,
                predicate: prior.predicate.as_deref(),
                seen: &prior.seen,
            }),
        };
        let applied = vector_index::apply(database, scope, &build).await?;
        warnings.extend(applied.warnings);
        let spec = index.spec.clone();
        let tracked = TrackedIndex { spec, concurrently: index.concurrently, seen: Some(applied.seen) };
        memory.tracking.indexes.insert(index.spec.name.clone(), tracked);
        memory.keep().await?;
    }
    for work in &plan.attachments {
        let (old, new) = match work {
            AttachmentWork::SetUp(new) => (None, new),
            AttachmentWork::Change(old, new) => (Some(old), new),
            AttachmentWork::TearDown { .. } => continue,
        };
        warnings.extend(set_up(plan, scope, memory, old, new).await?);
    }
    let Tracking { table, indexes, attachments } = &mut memory.tracking;
    if matches!(plan.table, TableWork::Keep) {
        table.clone_from(&plan.settled.table);
    }
    indexes.extend(plan.settled.indexes.clone());
    attachments.extend(plan.settled.attachments.clone());
    // What was on a table that is gone went with it.
    indexes.retain(|name, _| plan.declares_index(name));
    attachments.retain(|name, _| plan.declares_attachment(name));
    if plan.removes {
        memory.tracking = Tracking::default();
    }
    memory.keep().await?;
    Ok((rows, warnings))
}

async fn change_table(
    plan: &TargetPlan,
    scope: &Scope,
    memory: &mut Memory<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<RowOutcome, Errors> {
    let database = &plan.database;
    let change = match &plan.table {
        TableWork::Keep => return Ok(RowOutcome::default()),
        TableWork::Drop { drop, .. } => {
            warnings.extend(table::drop(database, scope, drop).await?);
            let deleted = plan.rows.as_ref().map_or(0, |rows| rows.deleted);
            return Ok(RowOutcome { deleted, ..RowOutcome::default() });
        }
        TableWork::Change { change, .. } => change,
        TableWork::Replace { drop, create, .. } => {
            warnings.extend(table::drop(database, scope, drop).await?);
            create
        }
    };
    let applied = table::apply(database, scope, change, true).await.map_err(|error| match &plan.kept {
        Some(kept) => kept.without_file(error),
        None => error,
    })?;
    memory.tracking.table = TrackedTable::after(&applied, change.desired.clone());
    memory.keep().await?;
    warnings.extend(applied.warnings);
    Ok(applied.rows)
}

async fn tear_down(
    plan: &TargetPlan,
    scope: &Scope,
    memory: &mut Memory<'_>,
    name: &String,
    states: &[Attachment],
) -> Result<Vec<Warning>, Errors> {
    let mut warnings = Vec::new();
    for old in states {
        match attachment::destroy(&plan.database, scope, old).await {
            Ok(more) => warnings.extend(more),
            // What else may be there is still remembered.
            Err(failure) if states.len() > 1 => return Err(failure.error.into()),
            Err(failure) => return Err(after_failure(memory, Some(old), None, failure).await),
        }
    }
    let comes_back = plan.attachments.iter().find_map(|work| match work {
        AttachmentWork::SetUp(new) if new.name == *name => Some(new),
        _ => None,
    });
    match comes_back {
        Some(new) => {
            let tracked = TrackedAttachment { in_part: true, ..TrackedAttachment::certain(new) };
            memory.tracking.attachments.insert(name.clone(), tracked);
        }
        None => {
            memory.tracking.attachments.remove(name);
        }
    }
    memory.keep().await?;
    Ok(warnings)
}

async fn set_up(
    plan: &TargetPlan,
    scope: &Scope,
    memory: &mut Memory<'_>,
    old: Option<&Attachment>,
    new: &Attachment,
) -> Result<Vec<Warning>, Errors> {
    let done = match old {
        Some(old) => attachment::change(&plan.database, scope, old, new).await,
        None => attachment::create(&plan.database, scope, new).await,
    };
    match done {
        Ok(warnings) => {
            memory.tracking.attachments.insert(new.name.clone(), TrackedAttachment::certain(new));
            memory.keep().await?;
            Ok(warnings)
        }
        Err(failure) => Err(after_failure(memory, old, Some(new), failure).await),
    }
}

/// Remembers what a failure left behind. That this fails too is said only in the log: the state before it still holds.
async fn after_failure(
    memory: &mut Memory<'_>,
    old: Option<&Attachment>,
    new: Option<&Attachment>,
    failure: ChangeFailure,
) -> Errors {
    let Some(name) = old.or(new).map(|attachment| attachment.name.clone()) else { return failure.error.into() };
    let part = |attachment: &Attachment| TrackedAttachment { in_part: true, ..TrackedAttachment::certain(attachment) };
    let left = match failure.remains {
        Remains::AsBefore => {
            old.map(|old| TrackedAttachment { in_part: old.in_part, ..TrackedAttachment::certain(old) })
        }
        Remains::OldInPart => old.map(part),
        Remains::Nothing => None,
        Remains::NewInPart => new.map(part),
    };
    match left {
        Some(left) => memory.tracking.attachments.insert(name, left),
        None => memory.tracking.attachments.remove(&name),
    };
    if let Err(error) = memory.keep().await {
        tracing::warn!(%error, "what a failed attachment left behind could not be remembered");
    }
    failure.error.into()
}
