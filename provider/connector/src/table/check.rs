//! Whether the table is still as the plan took it to be, and after an apply as it was declared.
//!
//! **Invariant:** pure.

use super::diff::mismatches;
use super::script::Script;
use super::{TableChange, doing};
use crate::catalog::ObservedTable;
use crate::error::{Blame, Error};
use crate::spec::{ColumnSpec, ManagedBy, TableSpec};
use crate::sql_text::mask_literals;

/// The error that ends an apply before it has written anything.
pub(super) fn changed(doing: &str, differences: &[String]) -> Error {
    Error::new(doing, format!("the table changed since the plan was made: {}", differences.join("; ")))
        .advice("Nothing was written. Plan again, and look at what the new plan says.")
}

/// The error for a table that is in the way of a new one.
pub(crate) fn exists(table: &TableSpec, live: &ObservedTable) -> Error {
    let name = &table.name;
    let error =
        Error::new(format!("create table {name}"), format!("{name} exists already and is {}", live.kind.noun()))
            .blame(Blame::Attribute("table_name"));
    if live.kind.is_table() {
        error.advice(format!(
            "Nothing was written. To manage the existing table from here on, import it with the id {name}; to only fill it \
             with rows, set managed_by = \"user\"; or choose another name."
        ))
    } else {
        error.advice("Nothing was written. Choose another name: import and managed_by = \"user\" are only for tables.")
    }
}

/// Compares what the plan rests on with what is there.
pub(super) fn unchanged(change: &TableChange, live: Option<&ObservedTable>) -> Result<(), Error> {
    let doing = doing(change);
    let desired = &change.desired;
    match (&change.observed, live) {
        (None, None) if desired.managed_by == ManagedBy::System => Ok(()),
        (None, None) => Err(missing(desired)),
        (None, Some(live)) if desired.managed_by == ManagedBy::System => Err(exists(desired, live)),
        (None, Some(live)) => all(mismatches(desired, live, &doing, false)),
        (Some(_), None) => Err(changed(&doing, &["it is gone".to_owned()])),
        (Some(planned), Some(live)) => {
            let differences = differences(change, planned, live);
            if differences.is_empty() { Ok(()) } else { Err(changed(&doing, &differences)) }
        }
    }
}

/// The error for a table that somebody else should have made.
pub(super) fn missing(table: &TableSpec) -> Error {
    Error::new(format!("fill table {}", table.name), format!("there is no table {}", table.name))
        .blame(Blame::Attribute("table_name"))
        .advice(
            "With managed_by = \"user\" the table has to be made before; leave managed_by out to have it made here.",
        )
}

/// One error that says what all of them say.
fn all(errors: Vec<Error>) -> Result<(), Error> {
    let messages: Vec<String> = errors.iter().map(|error| error.message().to_owned()).collect();
    match errors.into_iter().next() {
        Some(first) => Err(first.because(messages.join("; "))),
        None => Ok(()),
    }
}

fn differences(change: &TableChange, planned: &ObservedTable, live: &ObservedTable) -> Vec<String> {
    let declared = || change.prior.iter().chain([&change.desired]).flat_map(|spec| &spec.columns);
    let mut differences = planned.differences(live, declared().map(|column| column.name.as_str()));
    if change.desired.managed_by == ManagedBy::User {
        return differences;
    }
    for column in &live.columns {
        let Some(before) = planned.column(&column.name) else { continue };
        let managed = |set: fn(&ColumnSpec) -> bool| declared().any(|c| c.name == column.name && set(c));
        if before.default != column.default && managed(|c| c.default.is_some()) {
            differences.push(format!("the default of column {} is another", column.name));
        }
        if before.comment != column.comment && managed(|c| c.comment.is_some()) {
            differences.push(format!("the comment of column {} is another", column.name));
        }
    }
    let comment_is_ours = change.prior.iter().chain([&change.desired]).any(|spec| spec.comment.is_some());
    if planned.comment != live.comment && comment_is_ours {
        differences.push("its comment is another".to_owned());
    }
    differences
}

/// Looks at the table after the statements have run: there must be nothing left to do. Spellings that the server took
/// are remembered.
pub(super) fn as_declared(change: &TableChange, observed: &mut ObservedTable) -> Result<(), Error> {
    for column in &mut observed.columns {
        let declared = change.desired.column(&column.name);
        if let Some(declared) = declared.filter(|declared| !column.is_spelled(&declared.type_name)) {
            column.spelled = Some(declared.type_name.clone());
        }
    }
    let after = TableChange {
        prior: Some(change.desired.clone()),
        observed: Some(observed.clone()),
        force_destroy: change.force_destroy,
        create_vector_extension: change.create_vector_extension,
        ..TableChange::create(change.desired.clone())
    };
    let left = Script::of(&after);
    let mut wrong: Vec<String> = left.refusals.iter().map(|error| error.message().to_owned()).collect();
    wrong.extend(left.replace.iter().map(|attribute| format!("{attribute} is another")));
    if left.replace.is_empty() {
        wrong.extend(left.actions.iter().map(|action| format!("it still takes: {}", mask_literals(&action.step.sql))));
    }
    if wrong.is_empty() { Ok(()) } else { Err(changed(&doing(change), &wrong)) }
}
