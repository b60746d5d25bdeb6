//! Whether what an apply left behind is what was planned.
//!
//! Rules: A1 a known planned value comes back the same; A2 null stays null, and what is not null does not become it; A3
//! lists and maps keep their length and keys; A4 sets keep their elements; A5 what takes the place of an unknown keeps the
//! promises made about it; A6 nothing is unknown; A7 a create or update leaves an object; A9 write-only attributes are
//! null; W1 and W2 the form.
//!
//! **Invariant:** says yes only to what `AssertObjectCompatible` of both CLIs says yes to.

use crate::equality::equal;
use crate::schema::{Attribute, Kind, Nesting};
use crate::types::Type;
use crate::value::{Bounds, Refinement, Value};

use super::state::{Unknowns, attribute as conform_attribute, conform, same_names};
use super::{At, Findings, Violation, kind};

const KNOWN: Unknowns = Unknowns::Forbidden("A6");

/// Checks the object that a create or an update left behind.
pub(crate) fn result(attributes: &[Attribute], planned: &Value, actual: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    match actual {
        Value::Map(_) => object(attributes, planned, actual, &At::ROOT, &mut findings),
        other => findings.add("A7", &At::ROOT, format!("the resulting object is {}", kind(other))),
    }
    findings.0
}

fn object(attributes: &[Attribute], planned: &Value, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    let Value::Map(items) = actual else {
        return mismatch(planned, actual, at, findings);
    };
    same_names(attributes, items, at, findings);
    for attribute in attributes {
        if let Some(actual) = items.get(attribute.name) {
            let at = at.attribute(attribute.name);
            self::attribute(attribute, planned.get(attribute.name), actual, &at, findings);
        }
    }
}

fn attribute(attribute: &Attribute, planned: &Value, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    if attribute.write_only {
        if !actual.is_null() {
            findings.add("A9", at, "a write-only attribute must be null in the result");
        }
        return;
    }
    let Kind::Nested(nesting, attributes) = &attribute.kind else {
        return compatible(&attribute.ty(), planned, actual, at, findings);
    };
    if let Value::Unknown(promise) = planned {
        conform_attribute(attribute, actual, KNOWN, at, findings);
        return kept(promise, actual, at, findings);
    }
    match (nesting, planned, actual) {
        (Nesting::Single, Value::Map(_), _) => object(attributes, planned, actual, at, findings),
        (Nesting::Map, Value::Map(before), Value::Map(after)) if before.keys().eq(after.keys()) => {
            for (key, actual) in after {
                element(attributes, before.get(key).unwrap_or(&Value::Null), actual, &at.key(key), findings);
            }
        }
        (Nesting::List, Value::List(before), Value::List(after)) if before.len() == after.len() => {
            for (i, (planned, actual)) in before.iter().zip(after).enumerate() {
                element(attributes, planned, actual, &at.index(i), findings);
            }
        }
        (Nesting::Set, Value::List(before), Value::List(after)) => {
            conform_attribute(attribute, actual, KNOWN, at, findings);
            same_set(before, after, at, findings, |planned, actual| {
                let mut findings = Findings::default();
                element(attributes, planned, actual, &At::ROOT, &mut findings);
                findings.0.is_empty()
            });
        }
        (_, Value::Null, Value::Null) => {}
        _ => mismatch(planned, actual, at, findings),
    }
}

/// Checks one object of a collection, which may itself have been planned as null or unknown.
fn element(attributes: &[Attribute], planned: &Value, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    match (planned, actual) {
        (Value::Unknown(_), _) => super::state::object(attributes, actual, KNOWN, at, findings),
        (Value::Null, Value::Null) => {}
        (Value::Map(_), _) => object(attributes, planned, actual, at, findings),
        _ => mismatch(planned, actual, at, findings),
    }
}

/// Checks a value of a plain type.
fn compatible(ty: &Type, planned: &Value, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    match (ty, planned, actual) {
        (_, Value::Unknown(promise), _) => {
            conform(ty, actual, KNOWN, at, findings);
            kept(promise, actual, at, findings);
        }
        (Type::Dynamic, Value::Dynamic(before), Value::Dynamic(after)) if before.ty == after.ty => {
            compatible(&before.ty, &before.value, &after.value, at, findings);
        }
        // An unknown inside of it may have had no type of its own yet.
        (Type::Dynamic, Value::Dynamic(before), Value::Dynamic(after))
            if !before.value.is_wholly_known() && becomes(&before.ty, &after.ty) =>
        {
            conform(ty, actual, KNOWN, at, findings);
        }
        (Type::List(element), Value::List(before), Value::List(after)) if before.len() == after.len() => {
            for (i, (planned, actual)) in before.iter().zip(after).enumerate() {
                compatible(element, planned, actual, &at.index(i), findings);
            }
        }
        (Type::Tuple(types), Value::List(before), Value::List(after)) if before.len() == after.len() => {
            for (i, (ty, (planned, actual))) in types.iter().zip(before.iter().zip(after)).enumerate() {
                compatible(ty, planned, actual, &at.index(i), findings);
            }
        }
        (Type::Map(element), Value::Map(before), Value::Map(after)) if before.keys().eq(after.keys()) => {
            for ((key, planned), actual) in before.iter().zip(after.values()) {
                compatible(element, planned, actual, &at.key(key), findings);
            }
        }
        (Type::Object(types), Value::Map(before), Value::Map(after)) if before.keys().eq(after.keys()) => {
            for ((name, planned), actual) in before.iter().zip(after.values()) {
                if let Some(ty) = types.get(name) {
                    compatible(ty, planned, actual, &at.attribute(name), findings);
                }
            }
        }
        (Type::Set(element), Value::List(before), Value::List(after)) => {
            conform(ty, actual, KNOWN, at, findings);
            same_set(before, after, at, findings, |planned, actual| {
                let mut findings = Findings::default();
                compatible(element, planned, actual, &At::ROOT, &mut findings);
                findings.0.is_empty()
            });
        }
        _ if equal(ty, planned, actual) => {}
        _ => mismatch(planned, actual, at, findings),
    }
}

/// Rule A4: each planned element is there and nothing else; unknown elements may have become the same.
fn same_set(
    before: &[Value],
    after: &[Value],
    at: &At<'_>,
    findings: &mut Findings,
    fits: impl Fn(&Value, &Value) -> bool,
) {
    // The usual case first, since comparing each with each is quadratic.
    if before.len() == after.len() && before.iter().zip(after).all(|(planned, actual)| fits(planned, actual)) {
        return;
    }
    let lost = before.iter().any(|planned| !after.iter().any(|actual| fits(planned, actual)));
    let new = after.iter().any(|actual| !before.iter().any(|planned| fits(planned, actual)));
    if lost || new || after.len() > before.len() {
        findings.add("A4", at, "the set does not hold the planned elements");
    }
}

/// Reports a value that is not what was planned.
fn mismatch(planned: &Value, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    let (rule, text) = match (planned.inner(), actual.inner()) {
        (_, Value::Unknown(_)) => ("A6", "the value is still unknown".to_owned()),
        (Value::Null, Value::Null) => ("W2", "null was planned with another type".to_owned()),
        (Value::Null, actual) => ("A2", format!("null was planned, but the result is {}", kind(actual))),
        (planned, Value::Null) => ("A2", format!("{} was planned, but the result is null", kind(planned))),
        (Value::List(before), Value::List(after)) if before.len() != after.len() => {
            ("A3", format!("{} elements were planned, but the result has {}", before.len(), after.len()))
        }
        (Value::Map(before), Value::Map(after)) if !before.keys().eq(after.keys()) => {
            ("A3", "the result has other keys than were planned".to_owned())
        }
        (planned, actual) if std::mem::discriminant(planned) != std::mem::discriminant(actual) => {
            ("W2", format!("{} was planned, but the result is {}", kind(planned), kind(actual)))
        }
        _ => ("A1", "the result is not the value that was planned".to_owned()),
    };
    findings.add(rule, at, text);
}

/// Whether a planned type may turn out to be another: only where it was left open.
fn becomes(planned: &Type, actual: &Type) -> bool {
    match (planned, actual) {
        (Type::Dynamic, _) => true,
        (Type::List(planned), Type::List(actual))
        | (Type::Set(planned), Type::Set(actual))
        | (Type::Map(planned), Type::Map(actual)) => becomes(planned, actual),
        (Type::Tuple(planned), Type::Tuple(actual)) if planned.len() == actual.len() => {
            planned.iter().zip(actual).all(|(planned, actual)| becomes(planned, actual))
        }
        (Type::Object(planned), Type::Object(actual)) if planned.keys().eq(actual.keys()) => {
            planned.values().zip(actual.values()).all(|(planned, actual)| becomes(planned, actual))
        }
        _ => planned == actual,
    }
}

/// Rule A5: what a plan said about an unknown value holds for the value.
fn kept(promise: &Refinement, actual: &Value, at: &At<'_>, findings: &mut Findings) {
    let actual = actual.inner();
    let broken = |what: &str| format!("the plan promised {what}");
    if promise.not_null == Some(true) && *actual == Value::Null {
        findings.add("A5", at, broken("a value that is not null"));
    }
    if promise.not_null == Some(false) && *actual != Value::Null {
        findings.add("A5", at, broken("null"));
    }
    if let (Some(prefix), Value::String(text)) = (&promise.prefix, actual)
        && !text.starts_with(prefix.as_str())
    {
        findings.add("A5", at, broken("another beginning of the text"));
    }
    if promise.bounds.as_ref().is_some_and(|bounds| !within(bounds, actual)) {
        findings.add("A5", at, broken("a number or a length within other bounds"));
    }
}

fn within(bounds: &Bounds, actual: &Value) -> bool {
    let length = match actual {
        Value::Number(number) => {
            let low = |(min, inclusive): &(_, bool)| number < min || number == min && !inclusive;
            let high = |(max, inclusive): &(_, bool)| number > max || number == max && !inclusive;
            return !bounds.number_min.as_ref().is_some_and(low) && !bounds.number_max.as_ref().is_some_and(high);
        }
        Value::List(items) => items.len() as u64,
        Value::Map(items) => items.len() as u64,
        _ => return true,
    };
    bounds.length_min.is_none_or(|min| length >= min) && bounds.length_max.is_none_or(|max| length <= max)
}

#[cfg(test)]
mod tests;
