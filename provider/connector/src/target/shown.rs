//! A plan as text: what is done to each object, and every statement with its lock and its hazards.

use std::fmt;

use super::plan::{AttachmentWork, IndexWork, TableWork, TargetPlan};
use crate::attachment::{self, Attachment};
use crate::step::{Lock, Step};

impl fmt::Display for TargetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "{}: nothing to do", self.name);
        }
        for work in &self.attachments {
            if let AttachmentWork::TearDown(old) = work {
                writeln!(f, "attachment {} of {}: tear down", old.name, self.name)?;
                texts(f, Some(old), None)?;
            }
        }
        for work in &self.indexes {
            if let IndexWork::Drop { index, concurrently, .. } = work {
                let how = if *concurrently { ", while writing goes on" } else { "" };
                writeln!(f, "vector index {index}: drop{how}")?;
            }
        }
        let (done, steps) = match &self.table {
            TableWork::Keep => ("stays as it is", &[][..]),
            TableWork::Change { change, steps } if change.observed.is_none() => {
                (if change.desired.managed_by == crate::spec::ManagedBy::User { "fill" } else { "create" }, &steps[..])
            }
            TableWork::Change { steps, .. } => ("change", &steps[..]),
            TableWork::Replace { steps, .. } => ("replace", &steps[..]),
            TableWork::Drop { steps, .. } => ("remove", &steps[..]),
        };
        writeln!(f, "table {}: {done}", self.name)?;
        steps.iter().try_for_each(|step| show(f, step))?;
        if let Some(rows) = &self.rows {
            let number = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let (inserted, updated) = (number(rows.inserted), number(rows.updated));
            writeln!(
                f,
                "rows of {}: {inserted} to insert, {updated} to update, {} to delete",
                self.name, rows.deleted
            )?;
        }
        for work in &self.indexes {
            if let IndexWork::Build { index, prior, steps } = work {
                let done = if prior.is_some() { "change" } else { "create" };
                writeln!(f, "vector index {}: {done}", index.spec.qualified())?;
                steps.iter().try_for_each(|step| show(f, step))?;
            }
        }
        for work in &self.attachments {
            let (done, old, new) = match work {
                AttachmentWork::SetUp(new) => ("set up", None, new),
                AttachmentWork::Change(old, new) => ("change", Some(old), new),
                AttachmentWork::TearDown(_) => continue,
            };
            writeln!(f, "attachment {} of {}: {done}", new.name, self.name)?;
            texts(f, old, Some(new))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {}. {}", warning.summary, warning.detail)?;
        }
        Ok(())
    }
}

fn texts(f: &mut fmt::Formatter<'_>, old: Option<&Attachment>, new: Option<&Attachment>) -> fmt::Result {
    attachment::plan(old, new).into_iter().try_for_each(|(_, sql)| writeln!(f, "  {}", sql.replace('\n', "\n  ")))
}

fn show(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    write!(f, "  {}", step.sql.replace('\n', "\n  "))?;
    let mut remarks: Vec<String> = step.hazards.iter().map(ToString::to_string).collect();
    if step.lock != Lock::None {
        remarks.insert(0, format!("lock {}", step.lock));
    }
    if step.skippable {
        remarks.push("left out if not needed".to_owned());
    }
    if remarks.is_empty() { writeln!(f) } else { writeln!(f, "  -- {}", remarks.join(", ")) }
}
