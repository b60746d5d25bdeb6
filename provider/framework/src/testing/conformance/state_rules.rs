//! Whether a value may be kept: wholly known, and nothing write-only in it; and whether an identity is one.

use crate::path::Path;
use crate::value::Value;

use super::shape::Held;
use super::shape::{Members, objects, step};
use super::trouble::Findings;

/// Notes every place of the value that is unknown.
pub(super) fn known(value: &Value, rule: &'static str, findings: &mut Findings) {
    unknowns(value, &Path::default(), rule, findings);
}

fn unknowns(value: &Value, path: &Path, rule: &'static str, findings: &mut Findings) {
    match value {
        Value::Unknown(_) => findings.add(rule, path, "is unknown"),
        Value::List(items) => {
            items.iter().enumerate().for_each(|(i, item)| unknowns(item, &path.clone().index(i), rule, findings));
        }
        Value::Map(items) => {
            items.iter().for_each(|(name, item)| unknowns(item, &path.clone().attribute(name), rule, findings));
        }
        Value::Dynamic(typed) => unknowns(&typed.value, path, rule, findings),
        _ => {}
    }
}

/// Notes every write-only attribute that has a value.
pub(super) fn unwritten(members: &Members, value: &Value, rule: &'static str, findings: &mut Findings) {
    written(members, value, &Path::default(), rule, findings);
}

fn written(members: &Members, value: &Value, path: &Path, rule: &'static str, findings: &mut Findings) {
    for (name, member) in members {
        let (path, value) = (path.clone().attribute(name), value.get(name));
        if member.write_only && !value.is_null() {
            findings.add(rule, &path, "a write-only attribute has a value");
        }
        if let Held::Nested(nesting, members) = &member.held {
            for (at, object) in objects(*nesting, value) {
                written(members, object, &step(&path, at), rule, findings);
            }
        }
    }
}
