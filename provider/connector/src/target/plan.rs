//! Everything that is going to happen to a target, and what has to be remembered before it does.

use super::declare::DeclaredIndex;
use super::spool::Kept;
use super::tracking::{TrackedAttachment, TrackedIndex, Tracking};
use crate::attachment::Attachment;
use crate::database::Database;
use crate::name::TableName;
use crate::rows::RowCounts;
use crate::step::Step;
use crate::table::{TableChange, TableDrop, Warning};
use crate::vector_index::Seen;

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
    /// Whether the extension may be created for an index.
    pub(super) create_vector_extension: bool,
    /// Whether nothing is to be left, and nothing to be remembered.
    pub(super) removes: bool,
    /// What is remembered of what is left alone.
    pub(super) settled: Tracking,
    pub(super) rows: Option<RowCounts>,
    pub(super) warnings: Vec<Warning>,
    /// The declared rows, for as long as they may have to be read.
    pub(super) kept: Option<Kept>,
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
    /// Before the table is changed: every state that it may be in.
    TearDown {
        name: String,
        states: Vec<Attachment>,
    },
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
                AttachmentWork::TearDown { name, .. } => (name, None),
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

    /// Whether a vector index of that name is there afterwards.
    pub(super) fn declares_index(&self, name: &str) -> bool {
        let builds = |work: &IndexWork| matches!(work, IndexWork::Build { index, .. } if index.spec.name == name);
        self.settled.indexes.contains_key(name) || self.indexes.iter().any(builds)
    }

    /// Whether an attachment of that name is there afterwards.
    pub(super) fn declares_attachment(&self, name: &str) -> bool {
        let sets_up = |work: &AttachmentWork| match work {
            AttachmentWork::SetUp(new) | AttachmentWork::Change(_, new) => new.name == name,
            AttachmentWork::TearDown { .. } => false,
        };
        self.settled.attachments.contains_key(name) || self.attachments.iter().any(sets_up)
    }
}
