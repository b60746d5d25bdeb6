//! Whether a planned object is one that core accepts for this configuration and prior state.
//!
//! Rules: P1 the plan of a create or update is not null; P2 a configured value is planned as configured or as it was; P3 an
//! argument that is neither configured nor computed is null; P5 an unknown configured value stays unknown (core would
//! take the prior value too, but then the plan made again at apply could contradict it); P6 a known one stays known;
//! P7 write-only attributes are null; P8 nested objects are as many, and under the same keys, as configured; W1 and W2
//! the form. P4: whatever the provider computes is free.
//!
//! **Invariant:** says yes only to what `AssertPlanValid` of both CLIs says yes to.

use crate::equality::equal;
use crate::schema::{Attribute, Kind, Mode, Nesting};
use crate::value::Value;

use super::state::{self, Unknowns, same_names};
use super::{At, Findings, Violation, kind};

/// Checks a planned object.
pub(crate) fn plan(attributes: &[Attribute], prior: &Value, config: &Value, planned: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    match planned {
        Value::Map(_) => object(attributes, prior, config, planned, &At::ROOT, &mut findings),
        other => findings.add("P1", &At::ROOT, format!("the planned object is {}", kind(other))),
    }
    findings.0
}

fn object(
    attributes: &[Attribute],
    prior: &Value,
    config: &Value,
    planned: &Value,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let Value::Map(items) = planned else {
        return findings.add("P8", at, format!("an object is configured, but {} is planned", kind(planned)));
    };
    same_names(attributes, items, at, findings);
    for attribute in attributes {
        if let Some(planned) = items.get(attribute.name) {
            let (prior, config) = (prior.get(attribute.name), config.get(attribute.name));
            self::attribute(attribute, prior, config, planned, &at.attribute(attribute.name), findings);
        }
    }
}

fn attribute(
    attribute: &Attribute,
    prior: &Value,
    config: &Value,
    planned: &Value,
    at: &At<'_>,
    findings: &mut Findings,
) {
    if attribute.write_only {
        if !planned.is_null() {
            findings.add("P7", at, "a value is planned for a write-only attribute");
        }
        return;
    }
    let computed = attribute.mode == Mode::Computed || attribute.mode == Mode::OptionalComputed && config.is_null();
    if computed {
        return state::attribute(attribute, planned, Unknowns::Allowed, at, findings);
    }
    if config.is_null() {
        // Of a dynamic attribute, a null with a type is another value than one without.
        if !planned.is_null() || planned != config {
            let text = format!("{} is planned, but the argument is not set and not computed", kind(planned));
            findings.add("P3", at, text);
        }
        return;
    }
    if let (Kind::Nested(nesting, attributes), false) = (&attribute.kind, config.is_unknown()) {
        let kept = !prior.is_null() && config.is_wholly_known() && equal(&attribute.ty(), prior, planned);
        if !kept {
            nested(*nesting, attributes, prior, config, planned, at, findings);
        }
        return;
    }
    let ty = attribute.ty();
    let as_before = !prior.is_null() && !config.is_unknown() && equal(&ty, prior, planned);
    if !as_before && !equal(&ty, config, planned) {
        differs(config, planned, at, findings);
    }
}

/// Reports a planned value that is neither the configured nor the prior one.
fn differs(config: &Value, planned: &Value, at: &At<'_>, findings: &mut Findings) {
    let (rule, text) = if config.is_unknown() {
        ("P5", format!("the configured value is unknown, but {} is planned", kind(planned)))
    } else if planned.is_unknown() {
        ("P6", "the configured value is known, but unknown is planned".to_owned())
    } else {
        let text = format!("{} is configured, but {} is planned that is not the same", kind(config), kind(planned));
        ("P2", text)
    };
    findings.add(rule, at, text);
}

fn nested(
    nesting: Nesting,
    attributes: &[Attribute],
    prior: &Value,
    config: &Value,
    planned: &Value,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let mut element = |prior: &Value, config: &Value, planned: &Value, at: &At<'_>| {
        if config.is_null() || config.is_unknown() {
            let agrees = if config.is_null() { planned.is_null() } else { planned.is_unknown() };
            if !agrees {
                differs(config, planned, at, findings);
            }
        } else {
            object(attributes, prior, config, planned, at, findings);
        }
    };
    match (nesting, config, planned) {
        (Nesting::Single, _, _) => element(prior, config, planned, at),
        (Nesting::Map, Value::Map(config), Value::Map(planned)) if config.keys().eq(planned.keys()) => {
            for (key, item) in planned {
                element(prior.get(key), config.get(key).unwrap_or(&Value::Null), item, &at.key(key));
            }
        }
        (Nesting::List, Value::List(config), Value::List(planned)) if config.len() == planned.len() => {
            let before = prior.as_list().unwrap_or_default();
            for (i, (config, item)) in config.iter().zip(planned).enumerate() {
                element(before.get(i).unwrap_or(&Value::Null), config, item, &at.index(i));
            }
        }
        // Core does not pair the elements of sets either; it only counts them.
        (Nesting::Set, Value::List(config), Value::List(planned)) if config.len() == planned.len() => {
            for (i, item) in planned.iter().enumerate() {
                state::object(attributes, item, Unknowns::Allowed, &at.index(i), findings);
            }
        }
        _ => {
            let text = format!("{} is configured, but {} with other elements is planned", kind(config), kind(planned));
            findings.add("P8", at, text);
        }
    }
}

#[cfg(test)]
mod tests;
