//! A plan as text: what is done to each object, and every statement with its lock and its hazards.

use std::fmt;

use super::plan::{AttachmentWork, IndexWork, TableWork, TargetPlan};
use crate::attachment::{self, Attachment};
use crate::spec::ManagedBy;
use crate::step::{Lock, Step};

impl fmt::Display for TargetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "{}: nothing to do", self.name);
        }
        f.write_str(&lines(self).join("\n"))
    }
}

/// The lines, in the order in which things are done.
fn lines(plan: &TargetPlan) -> Vec<String> {
    let name = &plan.name;
    let mut lines = Vec::new();
    for work in &plan.attachments {
        if let AttachmentWork::TearDown(old) = work {
            lines.push(format!("attachment {} of {name}: tear down", old.name));
            lines.extend(texts(Some(old), None));
        }
    }
    for work in &plan.indexes {
        if let IndexWork::Drop { index, concurrently, .. } = work {
            lines.push(format!(
                "vector index {index}: drop{}",
                if *concurrently { ", while writing goes on" } else { "" }
            ));
        }
    }
    let (done, steps) = match &plan.table {
        TableWork::Keep => ("stays as it is", &[][..]),
        TableWork::Change { change, steps } => match (&change.observed, change.desired.managed_by) {
            (Some(_), _) => ("change", &steps[..]),
            (None, ManagedBy::System) => ("create", &steps[..]),
            (None, ManagedBy::User) => ("fill", &steps[..]),
        },
        TableWork::Replace { steps, .. } => ("replace", &steps[..]),
        TableWork::Drop { steps, .. } => ("remove", &steps[..]),
    };
    lines.push(format!("table {name}: {done}"));
    lines.extend(steps.iter().map(shown));
    if let Some(rows) = &plan.rows {
        let number = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let (inserted, updated) = (number(rows.inserted), number(rows.updated));
        lines.push(format!("rows of {name}: {inserted} to insert, {updated} to update, {} to delete", rows.deleted));
    }
    for work in &plan.indexes {
        if let IndexWork::Build { index, prior, steps } = work {
            let done = if prior.is_some() { "change" } else { "create" };
            lines.push(format!("vector index {}: {done}", index.spec.qualified()));
            lines.extend(steps.iter().map(shown));
        }
    }
    for work in &plan.attachments {
        let (done, old, new) = match work {
            AttachmentWork::SetUp(new) => ("set up", None, new),
            AttachmentWork::Change(old, new) => ("change", Some(old), new),
            AttachmentWork::TearDown(_) => continue,
        };
        lines.push(format!("attachment {} of {name}: {done}", new.name));
        lines.extend(texts(old, Some(new)));
    }
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {}. {}", warning.summary, warning.detail)));
    lines
}

/// The texts of a change of an attachment.
fn texts(old: Option<&Attachment>, new: Option<&Attachment>) -> Vec<String> {
    attachment::plan(old, new).into_iter().map(|(_, sql)| indented(sql)).collect()
}

fn shown(step: &Step) -> String {
    let lock = Some(step.lock).filter(|lock| *lock != Lock::None).map(|lock| format!("lock {lock}"));
    let skippable = step.skippable.then(|| "left out if not needed".to_owned());
    let hazards = step.hazards.iter().map(ToString::to_string);
    let remarks: Vec<String> = lock.into_iter().chain(hazards).chain(skippable).collect();
    let sql = indented(&step.sql);
    if remarks.is_empty() { sql } else { format!("{sql}  -- {}", remarks.join(", ")) }
}

fn indented(sql: &str) -> String {
    format!("  {}", sql.replace('\n', "\n  "))
}
