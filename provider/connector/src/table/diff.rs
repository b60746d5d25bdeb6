//! What differs between a table as it was seen and as it is declared.
//!
//! **Invariant:** pure. A column that was never declared here is never touched, nor a default or comment that was never
//! set here; the order of columns never matters.

use super::TableChange;
use super::casts::{self, Retype};
use super::kept::{self, Unkept};
use crate::catalog::{NotNullCheck, ObservedColumn, ObservedTable};
use crate::error::{Blame, Error};
use crate::expression;
use crate::name::quote_ident;
use crate::pg_type::PgType;
use crate::spec::{ColumnSpec, ManagedBy, TableSpec};

/// The difference, by kind of edit.
#[derive(Clone, Debug, Default)]
pub(super) struct Diff<'a> {
    /// Why it cannot be made good.
    pub(super) refusals: Vec<Error>,
    /// The attributes whose change needs a new table.
    pub(super) replace: Vec<&'static str>,
    /// Columns that are no longer declared.
    pub(super) dropped: Vec<&'a ObservedColumn>,
    /// Columns whose data cannot be kept: dropped and added again.
    pub(super) recreated: Vec<&'a ColumnSpec>,
    /// Columns whose type changes.
    pub(super) retyped: Vec<Retyped<'a>>,
    /// Columns that are not there.
    pub(super) added: Vec<&'a ColumnSpec>,
    /// Defaults to set, or with `None` to drop.
    pub(super) defaults: Vec<(&'a str, Option<&'a str>)>,
    /// Columns that may be null from now on.
    pub(super) nullable: Vec<&'a str>,
    /// Columns that are there and may no longer be null.
    pub(super) not_null: Vec<&'a str>,
    /// Comments to set, or with `None` to drop; of the table where no column is named.
    pub(super) comments: Vec<(Option<&'a str>, Option<&'a str>)>,
    /// Checks that an interrupted change left behind.
    pub(super) leftovers: Vec<&'a NotNullCheck>,
}

/// A column whose type changes and whose data is kept.
#[derive(Clone, Debug)]
pub(super) struct Retyped<'a> {
    pub(super) column: &'a ColumnSpec,
    /// The type that each value is cast to, where the assignment alone does not do it.
    pub(super) using: Option<String>,
    /// Whether the whole table is written again.
    pub(super) rewrites: bool,
    /// Whether values may lose digits or parts.
    pub(super) loses: bool,
    /// Which values would be others, where the pair of types makes that possible.
    pub(super) unkept: Option<Unkept>,
    /// Whether its default has to make way, since it is ours and may not fit the new type.
    pub(super) drops_default: bool,
}

/// Compares.
pub(super) fn diff<'a>(change: &'a TableChange, observed: &'a ObservedTable) -> Diff<'a> {
    let desired = &change.desired;
    let mut diff = Diff::default();
    if !observed.kind.is_table() {
        diff.refusals.push(
            Error::new(super::doing(change), format!("{} is {}", desired.name, observed.kind.noun()))
                .blame(Blame::Attribute("table_name"))
                .advice("Only ordinary and partitioned tables can be targets; choose another name."),
        );
        return diff;
    }
    let was_user = change.prior.as_ref().is_some_and(|prior| prior.managed_by == ManagedBy::User);
    if desired.managed_by == ManagedBy::User || was_user {
        diff.refusals = mismatches(desired, observed, &super::doing(change), was_user);
        if desired.managed_by == ManagedBy::User || !diff.refusals.is_empty() {
            return diff;
        }
    }
    // What somebody else managed was never set here.
    let prior = change.prior.as_ref().filter(|_| !was_user);
    if desired.primary_key != observed.primary_key {
        diff.replace.push("primary_key");
    }
    for column in &desired.columns {
        if let Some(live) = observed.column(&column.name) {
            diff.column(change, prior.and_then(|p| p.column(&column.name)), column, live);
            continue;
        }
        diff.added.push(column);
        if let Some(comment) = column.comment.as_deref().filter(|text| !text.is_empty()) {
            diff.comments.push((Some(&column.name), Some(comment)));
        }
    }
    let no_longer = |live: &&ObservedColumn| {
        desired.column(&live.name).is_none() && prior.is_some_and(|p| p.column(&live.name).is_some())
    };
    diff.dropped = observed.columns.iter().filter(no_longer).collect();
    let ours = prior.is_some_and(|p| p.comment.is_some());
    if let Some(comment) = comment(desired.comment.as_deref(), ours, observed.comment.as_deref()) {
        diff.comments.push((None, comment));
    }
    diff.leftovers = observed.not_null_checks.iter().filter(|check| !diff.loses_column(&check.column)).collect();
    diff
}

impl<'a> Diff<'a> {
    /// Whether there is nothing to do but to forbid null in columns.
    pub(super) fn only_sets_not_null(&self) -> bool {
        let foreign_check = |check: &&NotNullCheck| {
            !self.not_null.contains(&check.column.as_str()) || check.name != super::render::check_name(&check.column)
        };
        self.dropped.is_empty()
            && self.recreated.is_empty()
            && self.retyped.is_empty()
            && self.added.is_empty()
            && self.defaults.is_empty()
            && self.nullable.is_empty()
            && self.comments.is_empty()
            && !self.leftovers.iter().any(foreign_check)
    }

    /// Whether the column of that name is dropped, perhaps to be added again.
    fn loses_column(&self, name: &str) -> bool {
        self.dropped.iter().any(|c| c.name == name) || self.recreated.iter().any(|c| c.name == name)
    }

    fn column(
        &mut self,
        change: &TableChange,
        prior: Option<&'a ColumnSpec>,
        column: &'a ColumnSpec,
        live: &'a ObservedColumn,
    ) {
        let name = column.name.as_str();
        let ours = prior.is_some_and(|p| p.comment.is_some());
        let mut comment = comment(column.comment.as_deref(), ours, live.comment.as_deref());
        let mut retyped = false;
        if !live.is_spelled(&column.type_name) {
            if change.desired.primary_key.contains(&column.name) {
                self.replace.push("columns");
                return;
            }
            match decide(change, column, live) {
                Ok(Retype::Convert { using, rewrites, loses }) => {
                    let unkept = unkept(column, live, using.as_deref());
                    let managed = column.default.is_some() || prior.is_some_and(|p| p.default.is_some());
                    let drops_default = managed && live.default.is_some();
                    self.retyped.push(Retyped { column, using, rewrites, loses, unkept, drops_default });
                    retyped = true;
                }
                Ok(Retype::Impossible) => {
                    self.recreated.push(column);
                    // The comment goes with the column, also one that somebody else made.
                    comment = column.comment.as_deref().or(live.comment.as_deref()).filter(|t| !t.is_empty()).map(Some);
                    self.comments.extend(comment.map(|text| (Some(name), text)));
                    return;
                }
                Err(refusal) => {
                    self.refusals.push(refusal);
                    return;
                }
            }
        }
        self.comments.extend(comment.map(|text| (Some(name), text)));
        if live.generated && column.default.is_some() {
            self.refusals.push(
                Error::new(
                    super::doing(change),
                    format!("the server computes column {name} itself, so it has no default"),
                )
                .blame(Blame::Column(column.name.clone(), Some("default")))
                .advice("Leave the default out."),
            );
            return;
        }
        self.compare_default(prior, column, live, retyped);
        if live.generated && !live.nullable && column.nullable {
            self.refusals.push(
                Error::new(super::doing(change), format!("the server computes column {name} itself and never as null"))
                    .blame(Blame::Column(column.name.clone(), Some("nullable")))
                    .advice("Set nullable = false."),
            );
        } else if live.nullable && !column.nullable {
            self.not_null.push(name);
        } else if !live.nullable && column.nullable {
            self.nullable.push(name);
        }
    }

    fn compare_default(
        &mut self,
        prior: Option<&ColumnSpec>,
        column: &'a ColumnSpec,
        live: &ObservedColumn,
        retyped: bool,
    ) {
        let before = prior.and_then(|p| p.default.as_deref());
        let dropped_for_type = retyped && live.default.is_some() && (before.is_some() || column.default.is_some());
        match column.default.as_deref() {
            Some(text) => {
                let none = expression::is_null(text);
                let same = match live.default.as_deref() {
                    None => none,
                    Some(live) => text.trim() == live,
                };
                // The text that is in force already, whatever the server makes of it.
                let unchanged = before == Some(text);
                if none && dropped_for_type {
                    return;
                }
                if dropped_for_type || !(same || unchanged) {
                    self.defaults.push((&column.name, Some(text)));
                }
            }
            None if before.is_some() && live.default.is_some() && !dropped_for_type => {
                self.defaults.push((&column.name, None));
            }
            None => {}
        }
    }
}

/// Whether the type can be changed, and how.
fn decide(change: &TableChange, column: &ColumnSpec, live: &ObservedColumn) -> Result<Retype, Error> {
    let refuse = |message: String| {
        Error::new(super::doing(change), message).blame(Blame::Column(column.name.clone(), Some("type")))
    };
    if live.generated {
        let message =
            format!("the server computes column {} as {}, which is not changed here", column.name, live.type_name);
        return Err(refuse(message).advice(format!("Declare type = {:?}.", live.type_name)));
    }
    let to = PgType::parse(&column.type_name).map_err(|fault| refuse(fault.message))?;
    let Ok(from) = PgType::parse(&live.type_name) else {
        return Ok(Retype::Convert { using: Some(to.to_string()), rewrites: true, loses: true });
    };
    match casts::retype(&from, &to) {
        Retype::Impossible if !change.force_destroy => {
            let why = if from.is_pgvector() && to.is_pgvector() {
                "a vector of one dimension cannot become one of another".to_owned()
            } else {
                "Postgres has no cast between these types".to_owned()
            };
            Err(refuse(format!("column {} is {} and declared as {to}: {why}", column.name, live.type_name)).advice(
                "Set force_destroy = true to drop the column with its data and add it again, or add a column of another \
                 name and drop this one later.",
            ))
        }
        decided => Ok(decided),
    }
}

/// Which values of a column would be others after the change of its type.
fn unkept(column: &ColumnSpec, live: &ObservedColumn, using: Option<&str>) -> Option<Unkept> {
    let to = PgType::parse(&column.type_name).ok()?;
    let value = format!("t.{}", quote_ident(&column.name));
    match PgType::parse(&live.type_name) {
        Ok(from) => kept::unkept(&column.name, &value, &from, &to, using),
        Err(_) => Some(kept::of_unknown(&column.name, &value, &live.type_name, &to)),
    }
}

/// What to do about a comment: nothing, or set it to something, or to nothing. An empty comment is none.
#[expect(clippy::option_option, reason = "nothing to do and a comment to drop are different things")]
fn comment<'a>(desired: Option<&'a str>, ours: bool, live: Option<&str>) -> Option<Option<&'a str>> {
    let desired_text = desired.filter(|text| !text.is_empty());
    let managed = desired.is_some() || ours;
    (managed && desired_text != live).then_some(desired_text)
}

/// How a table that somebody else manages does not fit its declaration.
pub(super) fn mismatches(desired: &TableSpec, observed: &ObservedTable, doing: &str, adopting: bool) -> Vec<Error> {
    let mut errors = Vec::new();
    let advice = if adopting {
        "A table that was managed by somebody else is only taken over as it is: declare what is there, and change it afterwards."
    } else {
        "With managed_by = \"user\" the table is only filled, never altered: declare what is there, or alter the table yourself."
    };
    let mut push = |blame: Blame, message: String| {
        errors.push(Error::new(doing, message).blame(blame).advice(advice));
    };
    if !observed.kind.is_table() {
        push(Blame::Attribute("table_name"), format!("{} is {}", desired.name, observed.kind.noun()));
        return errors;
    }
    for column in &desired.columns {
        let blame = |part| Blame::Column(column.name.clone(), part);
        let Some(live) = observed.column(&column.name) else {
            push(blame(None), format!("the table has no column {}", column.name));
            continue;
        };
        if !live.is_spelled(&column.type_name) {
            let message = format!("column {} is {} and declared as {}", column.name, live.type_name, column.type_name);
            push(blame(Some("type")), message);
        }
        if live.nullable != column.nullable {
            let (is, declared) = if live.nullable { ("nullable", "not null") } else { ("not null", "nullable") };
            push(blame(Some("nullable")), format!("column {} is {is} and declared as {declared}", column.name));
        }
    }
    if desired.primary_key != observed.primary_key {
        let live = match observed.primary_key.as_slice() {
            [] => "the table has no primary key".to_owned(),
            key => format!("the table's primary key is ({})", key.join(", ")),
        };
        push(Blame::Attribute("primary_key"), format!("{live}, declared is ({})", desired.primary_key.join(", ")));
    }
    errors
}
