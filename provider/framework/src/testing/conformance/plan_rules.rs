//! Whether a planned object is legal for its configuration and prior state: rules P2 to P8 and P10.
//!
//! **Invariant:** decides as `AssertPlanValid` of the CLIs does, from their description, and shares nothing with the
//! framework's own check.

use crate::path::Path;
use crate::schema::Nesting;
use crate::value::Value;

use super::proposed::at;
use super::same::{same, show};
use super::shape::{Held, Member, Members, Shape, step};
use super::trouble::Findings;

/// Checks a planned object that is not null.
pub(super) fn check(members: &Members, prior: &Value, config: &Value, planned: &Value, findings: &mut Findings) {
    object(members, prior, config, planned, &Path::default(), findings);
}

fn object(members: &Members, prior: &Value, config: &Value, planned: &Value, path: &Path, findings: &mut Findings) {
    for (name, member) in members {
        let path = path.clone().attribute(name);
        self::member(member, prior.get(name), config.get(name), planned.get(name), &path, findings);
    }
}

fn member(member: &Member, prior: &Value, config: &Value, planned: &Value, path: &Path, findings: &mut Findings) {
    if member.write_only {
        if !planned.is_null() {
            findings.add("P7", path, "a value is planned for a write-only attribute");
        }
        return;
    }
    let is = |other: &Value| same(&member.ty, planned, other);
    let kept = is(prior) && !prior.is_null() && !config.is_null();
    let computed_only = member.computed && !member.optional;
    if is(config) || kept || computed_only || member.computed && config.is_null() {
        return unwritten(member, planned, path, findings);
    }
    if let (Held::Nested(nesting, members), false) = (&member.held, config.is_unknown()) {
        return nested(*nesting, members, [prior, config, planned], path, findings);
    }
    let (rule, what) = if config.is_null() {
        ("P3", "is planned for an attribute that is neither configured nor computed")
    } else if config.is_unknown() {
        ("P5", "is planned for a configured value that is not known yet")
    } else if planned.is_unknown() {
        ("P6", "is planned for a configured value that is known")
    } else {
        ("P2", "is planned, which is neither the configured nor the prior value")
    };
    findings.add(rule, path, format!("{} {what}", show(planned)));
}

/// Rule P7 inside a value that is legal otherwise.
fn unwritten(member: &Member, planned: &Value, path: &Path, findings: &mut Findings) {
    if let Held::Nested(nesting, members) = &member.held {
        for (at, object) in super::shape::objects(*nesting, planned) {
            for (name, member) in members {
                let path = step(path, at.clone()).attribute(name);
                if member.write_only && !object.get(name).is_null() {
                    findings.add("P7", &path, "a value is planned for a write-only attribute");
                }
                unwritten(member, object.get(name), &path, findings);
            }
        }
    }
}

fn nested(
    nesting: Nesting,
    members: &Members,
    [prior, config, planned]: [&Value; 3],
    path: &Path,
    findings: &mut Findings,
) {
    let mut one = |prior: &Value, config: &Value, planned: &Value, path: &Path| match (config, planned) {
        (Value::Map(_), Value::Map(_)) => object(members, prior, config, planned, path, findings),
        (Value::Map(_), _) => findings.add("P8", path, format!("{} is planned for a configured object", show(planned))),
        (config, planned) if config.is_null() == planned.is_null() && config.is_unknown() == planned.is_unknown() => {}
        (config, _) => {
            let text = format!("{} is planned where {} is configured", show(planned), show(config));
            findings.add("P8", path, text);
        }
    };
    match (nesting, config, planned) {
        (Nesting::Single, _, _) => one(prior, config, planned, path),
        (Nesting::Map, Value::Map(wanted), Value::Map(items)) if wanted.keys().eq(items.keys()) => {
            for (key, config) in wanted {
                one(prior.get(key), config, planned.get(key), &path.clone().key(key));
            }
        }
        (Nesting::List, Value::List(wanted), Value::List(items)) if wanted.len() == items.len() => {
            let before = prior.as_list().unwrap_or_default();
            for (i, (config, planned)) in wanted.iter().zip(items).enumerate() {
                one(before.get(i).unwrap_or(&Value::Null), config, planned, &path.clone().index(i));
            }
        }
        // The elements of sets are not paired with the configured ones, only counted.
        (Nesting::Set, Value::List(wanted), Value::List(items)) if wanted.len() == items.len() => {}
        _ => findings.add("P8", path, "the planned elements are not as many, or not under the keys, as configured"),
    }
}

/// Rule P10, and which of the paths really force a replacement: those whose value differs, and write-only ones.
pub(super) fn replacing(
    shape: &Shape,
    asked: Vec<Path>,
    prior: &Value,
    planned: &Value,
    findings: &mut Findings,
) -> Vec<Path> {
    if prior.is_null() {
        return Vec::new();
    }
    let forces = |path: &Path| match (at(prior, path), at(planned, path)) {
        (None, None) => {
            findings.add("P10", path, "a replacement because of an attribute that does not exist");
            false
        }
        (before, after) => before != after || is_write_only(&shape.members, path),
    };
    let mut forcing: Vec<Path> = asked.into_iter().filter(forces).collect();
    forcing.sort();
    forcing.dedup();
    forcing
}

fn is_write_only(members: &Members, path: &Path) -> bool {
    use crate::path::Step;
    let mut members = members;
    for at in &path.0 {
        let Step::Attribute(name) = at else { continue };
        match members.get(name) {
            Some(member) if member.write_only => return true,
            Some(Member { held: Held::Nested(_, inner), .. }) => members = inner,
            _ => return false,
        }
    }
    false
}
