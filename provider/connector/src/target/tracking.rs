//! What is remembered of a target between runs.
//!
//! **Invariant:** whatever is the case in the database after an interrupted run is among the states that are remembered:
//! what is about to be made is remembered before it is made, what was made is remembered alone afterwards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attachment::{Attachment, OnTeardownError};
use crate::catalog::ObservedTable;
use crate::name::TableName;
use crate::rows::Ledger;
use crate::spec::TableSpec;
use crate::table;
use crate::vector_index::{Seen, VectorIndexSpec};

/// What is remembered of a target: what it may be, as far as runs of this target made it. Empty for a new one.
///
/// It is kept in the database by default; who keeps it elsewhere serialises it, and takes it for what it is: the format
/// may grow, but what was written by an earlier version stays readable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tracking {
    pub(super) table: TrackedTable,
    pub(super) indexes: BTreeMap<String, TrackedIndex>,
    pub(super) attachments: BTreeMap<String, TrackedAttachment>,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TrackedTable {
    /// What it may be declared as, the oldest first. More than one after an interrupted run.
    pub(super) possible: Vec<TableSpec>,
    /// The number of the very table that was made; another one when it was dropped and made again, or restored.
    pub(super) oid: Option<u32>,
    /// Whether a run began to change it that did not say how it ended.
    pub(super) unsettled: bool,
    /// Whether that run may have ended before the table was there.
    pub(super) may_be_missing: bool,
    /// The defaults that were set, in the server's spelling right after.
    pub(super) default_forms: BTreeMap<String, Option<String>>,
    /// Where the keys of our rows are.
    pub(super) ledger: Option<Ledger>,
    /// The server's digest of our rows right after they were written.
    pub(super) rows_digest: Option<String>,
}

/// A vector index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrackedIndex {
    /// What it is, or is about to become.
    pub(super) spec: VectorIndexSpec,
    /// Whether it is built and dropped while writing goes on.
    pub(super) concurrently: bool,
    /// It, as it was seen right after it was made; `None` until then.
    pub(super) seen: Option<Seen>,
}

/// A SQL command attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrackedAttachment {
    /// What may be there, the oldest first.
    pub(super) possible: Vec<Texts>,
    /// Whether only a part of it may be there, or nothing.
    pub(super) in_part: bool,
}

/// The texts of an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Texts {
    setup_sql: String,
    teardown_sql: Option<String>,
    check_sql: Option<String>,
    transactional: bool,
    warns_of_failing_teardown: bool,
}

impl TrackedTable {
    /// What was declared when the table became what it is now; nothing for one that we never made.
    pub(super) fn declared(&self, observed: &ObservedTable) -> Option<TableSpec> {
        let newest = self.possible.iter().rev().find(|spec| fits(spec, observed));
        newest.or(self.possible.first()).map(|spec| self.in_force(spec, observed))
    }

    /// Whether this target ever made it.
    pub(super) fn is_known(&self) -> bool {
        !self.possible.is_empty()
    }

    /// Whether the table can be the one that this target made, or was about to make.
    pub(super) fn can_be(&self, observed: &ObservedTable) -> bool {
        self.is_known() && (!self.may_be_missing || self.possible.iter().any(|spec| fits(spec, observed)))
    }

    /// The same, before it is changed into this.
    pub(super) fn before(&self, desired: &TableSpec, may_be_missing: bool) -> Self {
        let mut this = Self { unsettled: true, may_be_missing: self.may_be_missing || may_be_missing, ..self.clone() };
        if !this.possible.contains(desired) {
            this.possible.push(desired.clone());
        }
        this
    }

    /// The declaration, with those defaults and comments that somebody else changed meanwhile as they are now.
    fn in_force(&self, spec: &TableSpec, observed: &ObservedTable) -> TableSpec {
        let mut spec = spec.clone();
        for column in &mut spec.columns {
            let Some(live) = observed.column(&column.name) else { continue };
            let changed = self.default_forms.get(&column.name).is_some_and(|form| *form != live.default);
            if column.default.is_some() && changed {
                column.default.clone_from(&live.default);
            }
            // The server does not keep an empty comment.
            if column.comment.as_deref().is_some_and(|comment| comment != live.comment.as_deref().unwrap_or_default()) {
                column.comment.clone_from(&live.comment);
            }
        }
        if spec.comment.as_deref().is_some_and(|comment| comment != observed.comment.as_deref().unwrap_or_default()) {
            spec.comment.clone_from(&observed.comment);
        }
        spec
    }

    /// What is remembered after an apply.
    pub(super) fn after(applied: &table::Applied, declared: TableSpec) -> Self {
        let has_default = |name: &str| declared.column(name).is_some_and(|column| column.default.is_some());
        let live = applied.observed.columns.iter().filter(|column| has_default(&column.name));
        Self {
            default_forms: live.map(|column| (column.name.clone(), column.default.clone())).collect(),
            possible: vec![declared],
            oid: Some(applied.observed.oid),
            unsettled: false,
            may_be_missing: false,
            ledger: applied.ledger.clone(),
            rows_digest: applied.rows_digest.clone(),
        }
    }
}

/// Whether a table is what it would be if it had just been made so.
fn fits(spec: &TableSpec, observed: &ObservedTable) -> bool {
    let change = table::TableChange {
        prior: Some(spec.clone()),
        observed: Some(observed.clone()),
        ..table::TableChange::create(spec.clone())
    };
    let plan = table::plan(&change);
    plan.steps.is_empty() && plan.replace.is_empty() && plan.refusals.is_empty()
}

impl Texts {
    pub(super) fn of(attachment: &Attachment) -> Self {
        Self {
            setup_sql: attachment.setup_sql.clone(),
            teardown_sql: attachment.teardown_sql.clone(),
            check_sql: attachment.check_sql.clone(),
            transactional: attachment.transactional,
            warns_of_failing_teardown: attachment.on_teardown_error == OnTeardownError::Warn,
        }
    }

    fn attachment(&self, table: &TableName, name: &str, in_part: bool) -> Attachment {
        Attachment {
            table: table.clone(),
            name: name.to_owned(),
            setup_sql: self.setup_sql.clone(),
            teardown_sql: self.teardown_sql.clone(),
            check_sql: self.check_sql.clone(),
            transactional: self.transactional,
            on_teardown_error: if self.warns_of_failing_teardown {
                OnTeardownError::Warn
            } else {
                OnTeardownError::Fail
            },
            in_part,
        }
    }
}

impl TrackedAttachment {
    /// What is there for certain.
    pub(super) fn certain(attachment: &Attachment) -> Self {
        Self { possible: vec![Texts::of(attachment)], in_part: false }
    }

    /// What may be there, the newest first. Where that is more than one state, only a part of each may be there.
    pub(super) fn former(&self, table: &TableName, name: &str) -> Vec<Attachment> {
        let in_part = self.in_part || self.possible.len() > 1;
        self.possible.iter().rev().map(|texts| texts.attachment(table, name, in_part)).collect()
    }

    /// The same, with one more state that may come true.
    pub(super) fn or(mut self, attachment: &Attachment) -> Self {
        let texts = Texts::of(attachment);
        if !self.possible.contains(&texts) {
            self.possible.push(texts);
        }
        self
    }
}
