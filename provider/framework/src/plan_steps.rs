//! What a schema alone says about a plan: defaults, kept and unknown values, and which changes replace the resource.
//!
//! The order of the steps is a contract that users of other providers rely on:
//! 1. Start from the configuration laid over the prior state. The CLI sends that as `proposed_new_state`, which is a
//!    function of the two; it is made again here, so that every step sees configuration and prior value side by side.
//! 2. Where the configuration is null, the default; write-only attributes are null.
//! 3. Where a configured value means the same as the prior one, the prior one.
//! 4. If anything differs from the prior state, each computed attribute that the configuration leaves out is unknown,
//!    unless it keeps its prior value. In nested objects the element decides: the values computed for an untouched
//!    column stay as they are when another column is added.
//! 5. Attributes whose change replaces the resource are noted.
//!
//! The resource's own hook comes after these steps, and after it the list of replacing attributes is put in order.
//!
//! **Invariant:** pure. A planned value that the user configured is the configured or the prior value, never a third.

use std::collections::BTreeMap;

use crate::equality::equal;
use crate::path::{Path, Step};
use crate::schema::{Attribute, Default, Kind, Mode, Nesting, OnChange};
use crate::value::Value;

type Object = BTreeMap<String, Value>;

/// The planned object; `prior` is null in a plan that creates it.
pub(crate) fn planned_value(attributes: &[Attribute], prior: &Value, config: &Value) -> Value {
    match config.as_map() {
        Some(config) => Value::Map(planned_object(attributes, prior.as_map(), config)),
        None => config.clone(),
    }
}

fn planned_object(attributes: &[Attribute], prior: Option<&Object>, config: &Object) -> Object {
    let mut planned = Object::new();
    let mut changed = prior.is_none();
    for attribute in attributes {
        let before = prior.map_or(&Value::Null, |prior| member(prior, attribute.name));
        let value = planned_attribute(attribute, before, member(config, attribute.name));
        changed = changed || !equal(&attribute.ty(), &value, before);
        planned.insert(attribute.name.to_owned(), value);
    }
    if changed {
        for attribute in attributes.iter().filter(|a| is_left_to_provider(a, member(config, a.name))) {
            let before = prior.map_or(&Value::Null, |prior| member(prior, attribute.name));
            if attribute.on_change == OnChange::Unknown || before.is_null() {
                planned.insert(attribute.name.to_owned(), Value::unknown());
            }
        }
    }
    planned
}

/// Whether only the provider can say what the value is.
fn is_left_to_provider(attribute: &Attribute, config: &Value) -> bool {
    let computed = match attribute.mode {
        Mode::Computed => true,
        Mode::OptionalComputed => config.is_null() && matches!(attribute.default, Default::None),
        Mode::Required | Mode::Optional => false,
    };
    computed && !attribute.write_only
}

/// Steps 1 to 3 for one attribute, and all of them for the objects nested in it.
fn planned_attribute(attribute: &Attribute, prior: &Value, config: &Value) -> Value {
    if attribute.write_only {
        return Value::Null;
    }
    if attribute.mode == Mode::Computed {
        return prior.clone();
    }
    if config.is_unknown() {
        return config.clone();
    }
    if config.is_null() {
        return match default_value(attribute) {
            Some(default) => prior_if_same(attribute, prior, default),
            None if attribute.mode == Mode::OptionalComputed => prior.clone(),
            None => config.clone(),
        };
    }
    match &attribute.kind {
        Kind::Plain(_) => prior_if_same(attribute, prior, config.clone()),
        Kind::Nested(nesting, attributes) => {
            let nested = planned_nested(*nesting, attributes, prior, config);
            prior_if_same(attribute, prior, nested)
        }
    }
}

/// The prior value when it means the same as the new one, else the new one.
fn prior_if_same(attribute: &Attribute, prior: &Value, new: Value) -> Value {
    let same = match attribute.same {
        Some(same) => prior.is_given() && new.is_wholly_known() && same(prior, &new),
        None => false,
    };
    if same || equal(&attribute.ty(), prior, &new) { prior.clone() } else { new }
}

fn planned_nested(nesting: Nesting, attributes: &[Attribute], prior: &Value, config: &Value) -> Value {
    let element = |prior: Option<&Value>, config: &Value| match config.as_map() {
        Some(config) => Value::Map(planned_object(attributes, prior.and_then(Value::as_map), config)),
        // A null or unknown element stays what it is.
        None => config.clone(),
    };
    match (nesting, config) {
        (Nesting::Single, _) => element(Some(prior), config),
        (Nesting::Map, Value::Map(items)) => {
            let plan_one = |(key, item): (&String, &Value)| {
                let before = prior.as_map().and_then(|prior| prior.get(key));
                (key.clone(), element(before, item))
            };
            Value::Map(items.iter().map(plan_one).collect())
        }
        (Nesting::List, Value::List(items)) => {
            let before = prior.as_list().unwrap_or_default();
            Value::List(items.iter().enumerate().map(|(i, item)| element(before.get(i), item)).collect())
        }
        (Nesting::Set, Value::List(items)) => {
            let mut before: Vec<&Value> = prior.as_list().unwrap_or_default().iter().collect();
            let plan_one = |item: &Value| {
                let found = before.iter().position(|prior| could_be(attributes, prior, item));
                element(found.map(|found| before.swap_remove(found)), item)
            };
            Value::List(items.iter().map(plan_one).collect())
        }
        _ => config.clone(),
    }
}

/// Whether an element of a prior set is what the configured element became.
fn could_be(attributes: &[Attribute], prior: &Value, config: &Value) -> bool {
    !prior.is_null()
        && attributes.iter().all(|attribute| {
            let (before, value) = (prior.get(attribute.name), config.get(attribute.name));
            is_left_to_provider(attribute, value)
                || equal(&attribute.ty(), before, &planned_attribute(attribute, before, value))
        })
}

/// The configuration with the schema's defaults filled in.
pub(crate) fn with_defaults(attributes: &[Attribute], config: Value) -> Value {
    each_attribute(attributes, config, |attribute, value| match &attribute.kind {
        _ if value.is_null() => default_value(attribute).unwrap_or(value),
        Kind::Nested(nesting, inner) => each_object(*nesting, value, |item| with_defaults(inner, item)),
        Kind::Plain(_) => value,
    })
}

/// An object with the value of each attribute replaced; what is no object stays what it is.
pub(crate) fn each_attribute(attributes: &[Attribute], value: Value, of: impl Fn(&Attribute, Value) -> Value) -> Value {
    let Value::Map(mut items) = value else { return value };
    let replaced = |attribute: &Attribute| {
        let value = items.remove(attribute.name).unwrap_or_default();
        (attribute.name.to_owned(), of(attribute, value))
    };
    Value::Map(attributes.iter().map(replaced).collect())
}

/// The value of a nested attribute with each object in it replaced.
pub(crate) fn each_object(nesting: Nesting, value: Value, of: impl Fn(Value) -> Value) -> Value {
    match (nesting, value) {
        (Nesting::Single, value) => of(value),
        (_, Value::Map(items)) => Value::Map(items.into_iter().map(|(key, item)| (key, of(item))).collect()),
        (_, Value::List(items)) => Value::List(items.into_iter().map(of).collect()),
        (_, value) => value,
    }
}

/// The object with null for each attribute that it does not name.
pub(crate) fn with_all_attributes(attributes: &[Attribute], value: Value) -> Value {
    match value {
        Value::Map(mut items) => {
            for attribute in attributes {
                items.entry(attribute.name.to_owned()).or_default();
            }
            Value::Map(items)
        }
        other => other,
    }
}

/// The value with null for its write-only attributes.
pub(crate) fn without_write_only(attributes: &[Attribute], value: Value) -> Value {
    each_attribute(attributes, value, |attribute, value| match &attribute.kind {
        _ if attribute.write_only => Value::Null,
        Kind::Nested(nesting, inner) => each_object(*nesting, value, |item| without_write_only(inner, item)),
        Kind::Plain(_) => value,
    })
}

/// A new state with the values that mean the same as those of the state before put back, so that another spelling is
/// neither drift nor a result that differs from the plan.
pub(crate) fn with_kept_spelling(attributes: &[Attribute], before: &Value, after: Value) -> Value {
    let mut after = match after {
        Value::Map(after) => after,
        other => return other,
    };
    let Some(before) = before.as_map() else { return Value::Map(after) };
    for attribute in attributes {
        let old = member(before, attribute.name);
        if let Some(new) = after.get_mut(attribute.name)
            && old.is_given()
        {
            *new = kept_spelling(attribute, old, std::mem::take(new));
        }
    }
    Value::Map(after)
}

fn kept_spelling(attribute: &Attribute, before: &Value, after: Value) -> Value {
    if let Some(same) = attribute.same
        && !after.is_null()
        && before.is_wholly_known()
        && after.is_wholly_known()
        && same(before, &after)
    {
        return before.clone();
    }
    let Kind::Nested(nesting, attributes) = &attribute.kind else { return after };
    match (nesting, after) {
        (Nesting::Single, after) => with_kept_spelling(attributes, before, after),
        (Nesting::Map, Value::Map(items)) => {
            let keep = |(key, item): (String, Value)| {
                let item = with_kept_spelling(attributes, before.get(&key), item);
                (key, item)
            };
            Value::Map(items.into_iter().map(keep).collect())
        }
        (Nesting::List, Value::List(items)) => {
            let before = before.as_list().unwrap_or_default();
            let keep = |(i, item)| with_kept_spelling(attributes, before.get(i).unwrap_or(&Value::Null), item);
            Value::List(items.into_iter().enumerate().map(keep).collect())
        }
        (_, after) => after,
    }
}

/// The default as a value.
pub(crate) fn default_value(attribute: &Attribute) -> Option<Value> {
    match attribute.default {
        Default::None => None,
        Default::String(text) => Some(text.into()),
        Default::Bool(value) => Some(value.into()),
        Default::Integer(number) => Some(number.into()),
    }
}

fn member<'a>(object: &'a Object, name: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    object.get(name).unwrap_or(&NULL)
}

/// The attributes whose change replaces the resource, as the schema says. An element that comes or goes is a change of
/// the collection, not of the attributes within the element.
pub(crate) fn replace_paths(attributes: &[Attribute], prior: &Value, planned: &Value) -> Vec<Path> {
    let mut paths = Vec::new();
    if let (Some(prior), Some(planned)) = (prior.as_map(), planned.as_map()) {
        collect_replace(attributes, prior, planned, &Path::default(), &mut paths);
    }
    paths
}

fn collect_replace(attributes: &[Attribute], prior: &Object, planned: &Object, at: &Path, paths: &mut Vec<Path>) {
    for attribute in attributes {
        let (before, after) = (member(prior, attribute.name), member(planned, attribute.name));
        if equal(&attribute.ty(), before, after) {
            continue;
        }
        let path = at.clone().attribute(attribute.name);
        if attribute.replace {
            paths.push(path);
            continue;
        }
        let Kind::Nested(nesting, nested) = &attribute.kind else { continue };
        let mut within = |before: &Value, after: &Value, path: &Path| {
            if let (Some(before), Some(after)) = (before.as_map(), after.as_map()) {
                collect_replace(nested, before, after, path, paths);
            }
        };
        match (nesting, before, after) {
            (Nesting::Single, _, _) => within(before, after, &path),
            (Nesting::Map, Value::Map(before), Value::Map(after)) => {
                for (key, item) in before {
                    within(item, member(after, key), &path.clone().key(key));
                }
            }
            (Nesting::List, Value::List(before), Value::List(after)) => {
                for (i, (before, after)) in before.iter().zip(after).enumerate() {
                    within(before, after, &path.clone().index(i));
                }
            }
            // A path cannot lead into a set.
            _ => {}
        }
    }
}

/// Puts the list of replacing attributes in order: sorted, each once, and only those whose value differs from the
/// prior one. Gives the paths that lead nowhere as the error.
pub(crate) fn normalise_replace(paths: Vec<Path>, prior: &Value, planned: &Value) -> Result<Vec<Path>, Vec<Path>> {
    // The CLI takes no notice of the list in a plan that creates.
    if prior.is_null() {
        return Ok(Vec::new());
    }
    let lost = |path: &&Path| resolve(prior, path).is_none() && resolve(planned, path).is_none();
    let nowhere: Vec<Path> = paths.iter().filter(lost).cloned().collect();
    if !nowhere.is_empty() {
        return Err(nowhere);
    }
    let mut paths: Vec<Path> = paths.into_iter().filter(|p| resolve(prior, p) != resolve(planned, p)).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The value at a path; inside an unknown value everything is that unknown.
fn resolve<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(value, |value, step| match (value.inner(), step) {
        (unknown @ Value::Unknown(_), _) => Some(unknown),
        (Value::Map(items), Step::Attribute(name) | Step::Key(name)) => items.get(name),
        (Value::List(items), Step::Index(index)) => usize::try_from(*index).ok().and_then(|index| items.get(index)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
