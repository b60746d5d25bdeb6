//! What is to be done about an index, decided under the table's lock from what there is now.
//!
//! **Invariant:** only looks; where what there is is not what the plan counted on, that is an error.

use tokio_postgres::Transaction;

use super::build::Build;
use super::catalog::{Extension, Found};
use super::observe::{Form, Sight, changed_since, doing, feasible, look, normal_form, overtaken, taken};
use super::plan::{self, Action, Recipe, create_steps, replace_steps};
use super::spec::VectorIndexSpec;
use crate::error::{Blame, Error};
use crate::name::TableName;
use crate::step::Step;

/// What is to be done, decided under the table's lock.
pub(super) struct Decision {
    pub(super) recipe: Recipe,
    pub(super) action: Action,
    pub(super) steps: Vec<Step>,
    pub(super) extension: Option<Extension>,
    /// The condition in the server's form.
    pub(super) form: Form,
    /// Whether something of an interrupted build is there.
    pub(super) leftover: bool,
}

/// Decides what is to be done from what there is now; an error when that is not what the plan counted on.
pub(super) async fn decide(
    transaction: &mut Transaction<'_>,
    build: &Build<'_>,
    resumed: bool,
) -> Result<Decision, Vec<Error>> {
    let spec = build.spec;
    let before = build.prior.map(|prior| prior.index_name);
    let Some(sight) = look(transaction, &spec.table, &spec.qualified(), before).await.map_err(|error| vec![error])?
    else {
        return Err(vec![
            Error::new(doing(spec), format!("there is no table {}", spec.table))
                .advice("declare the table, or correct `table`")
                .blame(Blame::Attribute("table")),
        ]);
    };
    let recipe = feasible(transaction, spec, build.concurrently, &sight).await?;
    let extension = sight.extension.as_ref();
    let doing = doing(spec);
    let form = normal_form(transaction, &doing, &spec.table, spec.predicate.as_deref(), extension);
    let form = form.await.map_err(|error| vec![error])?;
    let (action, steps) = choose(build, &sight, &recipe, &form, resumed)?;
    let leftover = sight.has_leftover();
    Ok(Decision { recipe, action, steps, extension: sight.extension, form, leftover })
}

fn choose(
    build: &Build<'_>,
    sight: &Sight,
    recipe: &Recipe,
    form: &Form,
    resumed: bool,
) -> Result<(Action, Vec<Step>), Vec<Error>> {
    let spec = build.spec;
    let old_is_there = matches!(sight.before, Found::Index(_));
    if resumed && !old_is_there && is_wanted(&sight.named, spec, recipe, form) {
        return Ok((Action::Keep, Vec::new()));
    }
    let renamed = build.prior.is_none_or(|prior| prior.index_name != spec.index_name());
    let changed = build.prior.and_then(|prior| changed_since(spec, &prior, sight));
    if let Some(error) = changed.or_else(|| taken(spec, &sight.named).filter(|_| renamed)) {
        return Err(vec![error]);
    }
    let Some(prior) = &build.prior else {
        return Ok((Action::Rebuild, create_steps(spec, recipe, build.concurrently)));
    };
    let found = sight.prior(spec, prior);
    let old = TableName::new(&spec.table.schema, prior.index_name);
    let (action, mut steps) = match plan::plan(spec, build.concurrently, prior)? {
        // The column is new, so the plan could not say more than that the index is built again.
        None => (Action::Rebuild, replace_steps(spec, recipe, build.concurrently, &old)),
        Some(planned) => {
            let column = prior.seen.columns.get(&spec.column);
            let fits = column.and_then(|column| plan::recipe(spec, *column).ok()).as_ref() == Some(recipe);
            let gone = matches!(found, Found::Nothing);
            if !fits || gone && planned.action == Action::Rename {
                return Err(vec![overtaken(spec, prior, sight)]);
            }
            if planned.action == Action::RebuildIfNeeded && is_wanted(found, spec, recipe, form) {
                return Ok((Action::Keep, Vec::new()));
            }
            (planned.action, planned.steps)
        }
    };
    if matches!(found, Found::Nothing) {
        // It went with a column of the table, which the same apply has changed.
        let gone = plan::drop(&old, false);
        steps.retain(|step| step.sql != gone.sql);
    }
    Ok((action, steps))
}

/// Whether an index is exactly what is wanted. `form` is the wanted condition in the server's form.
pub(super) fn is_wanted(found: &Found, spec: &VectorIndexSpec, recipe: &Recipe, form: &Form) -> bool {
    match found {
        Found::Index(index) => {
            index.valid && index.fits(spec, recipe.operator_class) && form.is(index.predicate.as_deref())
        }
        _ => false,
    }
}
