//! What core leaves to the provider's validation: rules V1, V2 and G3.
//!
//! **Invariant:** unknown values are never expected to be judged.

use crate::diagnostics::{Diagnostics, Severity};
use crate::path::Path;
use crate::value::Value;

use super::shape::{Held, Members, objects, step};
use super::trouble::Findings;

/// Checks that the errors name each attribute that must not be as it is configured.
pub(super) fn check(members: &Members, config: &Value, told: &Diagnostics, findings: &mut Findings) {
    let mut faults = Vec::new();
    collect(members, config, &Path::default(), &mut faults);
    let blamed = |path: &Path| told.0.iter().any(|told| told.severity == Severity::Error && told.path == *path);
    let missed: Vec<_> = faults.iter().filter(|(_, path, _)| !blamed(path)).collect();
    // All of several errors are told; when only some are, it is this rule and not the one of the fault.
    let some_told = missed.len() < faults.len() || told.has_error();
    for (rule, path, text) in missed {
        findings.add(if some_told { "G3" } else { rule }, path, *text);
    }
}

type Fault = (&'static str, Path, &'static str);

fn collect(members: &Members, config: &Value, path: &Path, faults: &mut Vec<Fault>) {
    for (name, member) in members {
        let (value, path) = (config.get(name), path.clone().attribute(name));
        if member.required && value.is_null() {
            faults.push(("V1", path, "a required attribute is null, and the provider does not mind"));
            continue;
        }
        if member.computed && !member.optional && !value.is_null() {
            faults.push(("V2", path, "a read-only attribute is configured, and the provider does not mind"));
            continue;
        }
        if let Held::Nested(nesting, members) = &member.held {
            for (at, object) in objects(*nesting, value) {
                // No path leads into a set, so there is no saying which error means which element.
                if at.is_some() || *nesting == crate::schema::Nesting::Single {
                    collect(members, object, &step(&path, at), faults);
                }
            }
        }
    }
}
