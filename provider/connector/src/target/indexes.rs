//! What is done about the vector indexes of a target.

use std::collections::BTreeMap;

use super::declare::DeclaredIndex;
use super::plan::{IndexWork, OwnedPrior, TargetPlan};
use super::tracking::TrackedIndex;
use crate::catalog::ObservedTable;
use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::pg_type::same_type;
use crate::spec::TableSpec;
use crate::vector_index::{self, Action, ColumnType, Prior, Seen, VectorIndexSpec};

/// What it takes to drop an index that is ours.
pub(super) fn dropped(tracked: &TrackedIndex) -> IndexWork {
    IndexWork::Drop {
        name: tracked.spec.name.clone(),
        index: tracked.spec.qualified(),
        concurrently: tracked.concurrently,
    }
}

/// Decides about all vector indexes, the declared ones and those that are no longer declared. `live` is the table when it
/// stays; on one that is made now there is none.
pub(super) async fn plan(
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
        Some(column) => {
            // What is none of pgvector's types is perhaps a domain over one; the server knows.
            let ty = ColumnType::parse(&column.type_name);
            match ty.map(|ty| vector_index::plan_new(&index.spec, index.concurrently, ty)) {
                Some(Ok(decided)) => steps = decided.steps,
                Some(Err(errors)) => faults.extend(errors),
                None => {}
            }
        }
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
