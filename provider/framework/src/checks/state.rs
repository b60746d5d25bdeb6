//! Whether a value has the form that its schema gives, as a state or a data source's result must.
//!
//! Rules: W1 every attribute and no other; W2 the type; W4 an unknown only where one is allowed (A6, D2, F2, ...);
//! F5 write-only attributes are null; D1 a data source's result is not null, and D4 holds what was configured.
//!
//! **Invariant:** looks at one value alone; what it must agree with is checked in `plan` and `result`.

use std::collections::BTreeMap;

use crate::equality::equal;
use crate::schema::{Attribute, Kind, Nesting};
use crate::types::Type;
use crate::value::Value;

use super::{At, Findings, Violation, kind};

/// Whether a value may hold unknowns, and which rule says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknowns {
    Allowed,
    /// Forbidden by this rule.
    Forbidden(&'static str),
}

/// Checks a whole object that may not hold unknowns; a null object is not looked into.
pub(crate) fn state(attributes: &[Attribute], value: &Value, unknown_rule: &'static str) -> Vec<Violation> {
    let _timed = super::Timed::start();
    let mut findings = Findings::default();
    if !value.is_null() {
        object(attributes, value, Unknowns::Forbidden(unknown_rule), &At::ROOT, &mut findings);
    }
    findings.0
}

/// The numbers of the rules of something that is read and not kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataRules {
    /// It is not null.
    pub(crate) whole: &'static str,
    /// Nothing is unknown.
    pub(crate) known: &'static str,
    /// It has the form of its schema.
    pub(crate) form: &'static str,
}

/// The rules of data sources.
pub(crate) const DATA: DataRules = DataRules { whole: "D1", known: "D2", form: "D3" };

/// The rules of ephemeral resources.
pub(crate) const EPHEMERAL: DataRules = DataRules { whole: "E1", known: "E2", form: "E1" };

/// Checks what a data source or an ephemeral resource made of its configuration.
pub(crate) fn data(rules: DataRules, attributes: &[Attribute], config: &Value, value: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    if value.is_null() {
        findings.add(rules.whole, &At::ROOT, "the result is null");
        return findings.0;
    }
    findings.0.extend(super::named(rules.form, rules.form, state(attributes, value, rules.known)));
    for attribute in attributes {
        let config = config.get(attribute.name);
        if !config.is_null() && !equal(&attribute.ty(), config, value.get(attribute.name)) {
            findings.add(
                "D4",
                &At::ROOT.attribute(attribute.name),
                "the configured value comes back as something else",
            );
        }
    }
    findings.0
}

/// Checks a value of a plain type that may not hold unknowns.
pub(crate) fn plain(ty: &Type, value: &Value, unknown_rule: &'static str) -> Vec<Violation> {
    let mut findings = Findings::default();
    conform(ty, value, Unknowns::Forbidden(unknown_rule), &At::ROOT, &mut findings);
    findings.0
}

/// Checks the form of a resource's identity, which is one rule.
pub(crate) fn identity(
    rule: &'static str,
    attributes: &[Attribute],
    value: &Value,
    unknowns: Unknowns,
) -> Vec<Violation> {
    let mut findings = Findings::default();
    if attributes.is_empty() {
        if !value.is_null() {
            findings.add("A10", &At::ROOT, "an identity, but the resource type has none");
        }
    } else if !value.is_null() {
        object(attributes, value, unknowns, &At::ROOT, &mut findings);
    }
    super::named(rule, rule, findings.0)
}

/// Checks an object of these attributes: that each is there, and each one's value.
pub(crate) fn object(
    attributes: &[Attribute],
    value: &Value,
    unknowns: Unknowns,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let items = match value {
        Value::Map(items) => items,
        Value::Null => return,
        Value::Unknown(_) => return unknown(unknowns, at, findings),
        other => return findings.add("W2", at, format!("an object was expected, not {}", kind(other))),
    };
    same_names(attributes, items, at, findings);
    for attribute in attributes {
        let Some(value) = items.get(attribute.name) else { continue };
        self::attribute(attribute, value, unknowns, &at.attribute(attribute.name), findings);
    }
}

/// Rule W1: an object has each attribute and no other.
pub(crate) fn same_names(
    attributes: &[Attribute],
    items: &BTreeMap<String, Value>,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let mut present = 0;
    for attribute in attributes {
        if items.contains_key(attribute.name) {
            present += 1;
        } else {
            findings.add("W1", &at.attribute(attribute.name), "the attribute is missing");
        }
    }
    if items.len() > present {
        for name in items.keys().filter(|name| attributes.iter().all(|a| a.name != **name)) {
            findings.add("W1", at, format!("the schema has no attribute {name}"));
        }
    }
}

/// Checks the value of one attribute.
pub(crate) fn attribute(
    attribute: &Attribute,
    value: &Value,
    unknowns: Unknowns,
    at: &At<'_>,
    findings: &mut Findings,
) {
    if attribute.write_only && !value.is_null() {
        return findings.add("F5", at, "a write-only attribute must be null outside of the configuration");
    }
    match &attribute.kind {
        Kind::Plain(ty) => conform(ty, value, unknowns, at, findings),
        Kind::Nested(nesting, attributes) => nested(*nesting, attributes, value, unknowns, at, findings),
    }
}

fn nested(
    nesting: Nesting,
    attributes: &[Attribute],
    value: &Value,
    unknowns: Unknowns,
    at: &At<'_>,
    findings: &mut Findings,
) {
    match (nesting, value) {
        (_, Value::Null) => {}
        (_, Value::Unknown(_)) => unknown(unknowns, at, findings),
        (Nesting::Single, value) => object(attributes, value, unknowns, at, findings),
        (Nesting::Map, Value::Map(items)) => {
            for (key, item) in items {
                object(attributes, item, unknowns, &at.key(key), findings);
            }
        }
        (Nesting::List | Nesting::Set, Value::List(items)) => {
            for (i, item) in items.iter().enumerate() {
                object(attributes, item, unknowns, &at.index(i), findings);
            }
        }
        (_, other) => findings.add("W2", at, format!("objects were expected, not {}", kind(other))),
    }
}

/// Checks a value of a plain type.
pub(crate) fn conform(ty: &Type, value: &Value, unknowns: Unknowns, at: &At<'_>, findings: &mut Findings) {
    match (ty, value) {
        (_, Value::Unknown(_)) => unknown(unknowns, at, findings),
        (_, Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_)) => {}
        (Type::Dynamic, Value::Dynamic(typed)) => conform(&typed.ty, &typed.value, unknowns, at, findings),
        (Type::List(element) | Type::Set(element), Value::List(items)) => {
            for (i, item) in items.iter().enumerate() {
                conform(element, item, unknowns, &at.index(i), findings);
            }
        }
        (Type::Map(element), Value::Map(items)) => {
            for (key, item) in items {
                conform(element, item, unknowns, &at.key(key), findings);
            }
        }
        (Type::Tuple(types), Value::List(items)) if types.len() == items.len() => {
            for (i, (ty, item)) in types.iter().zip(items).enumerate() {
                conform(ty, item, unknowns, &at.index(i), findings);
            }
        }
        (Type::Object(types), Value::Map(items)) => {
            for (name, ty) in types {
                let at = at.attribute(name);
                match items.get(name) {
                    Some(item) => conform(ty, item, unknowns, &at, findings),
                    None => findings.add("W1", &at, "the attribute is missing"),
                }
            }
            for name in items.keys().filter(|name| !types.contains_key(*name)) {
                findings.add("W1", at, format!("the type has no attribute {name}"));
            }
        }
        (Type::Dynamic, _) => findings.add("W2", at, "a dynamic value must carry its type"),
        (ty, value) => findings.add("W2", at, format!("{} does not fit {}", kind(value), type_name(ty))),
    }
}

fn unknown(unknowns: Unknowns, at: &At<'_>, findings: &mut Findings) {
    if let Unknowns::Forbidden(rule) = unknowns {
        findings.add(rule, at, "the value is still unknown");
    }
}

fn type_name(ty: &Type) -> &'static str {
    match ty {
        Type::String => "a text",
        Type::Number => "a number",
        Type::Bool => "a boolean",
        Type::Dynamic => "a dynamic value",
        Type::List(_) => "a list",
        Type::Set(_) => "a set",
        Type::Map(_) => "a map",
        Type::Tuple(_) => "a tuple of that length",
        Type::Object(_) => "an object",
    }
}
