//! Whether a later value keeps what an earlier one promised: a result its plan, and a plan the plan before it.
//!
//! Rules: A1 known values; A2 null and not null; A3 lengths and keys; A4 sets; A5 (and P15) what was said of an unknown
//! value; for a plan made again they are all R2.
//!
//! **Invariant:** decides as `AssertObjectCompatible` of the CLIs does, and shares nothing with the framework's own check.

use crate::path::Path;
use crate::types::Type;
use crate::value::{Bounds, Refinement, Value};

use super::same::show;
use super::trouble::Findings;

/// Which number a broken promise gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    Result,
    Replan,
}

/// A broken promise: its rule, its place, and what it is.
struct Break(&'static str, Path, String);

/// Checks what became of `before`.
pub(super) fn check(ty: &Type, before: &Value, after: &Value, as_: As, findings: &mut Findings) {
    let mut broken = Vec::new();
    compare(ty, before, after, &Path::default(), &mut broken);
    for Break(rule, path, text) in broken {
        findings.add(if as_ == As::Replan { "R2" } else { rule }, &path, text);
    }
}

fn compare(ty: &Type, before: &Value, after: &Value, path: &Path, broken: &mut Vec<Break>) {
    let mut add = |rule, text: String| broken.push(Break(rule, path.clone(), text));
    match (ty, before, after) {
        (_, Value::Unknown(promise), after) => {
            if let Some(what) = kept(promise, after) {
                add("A5", format!("{} was planned as unknown, but with {what}", show(after)));
            }
        }
        (_, Value::Dynamic(before), Value::Dynamic(after)) if fits(&before.ty, &after.ty) => {
            compare(&before.ty, &before.value, &after.value, path, broken);
        }
        (_, Value::Dynamic(_), after) if !after.is_unknown() => {
            add("A1", format!("{} is of another type than was planned", show(after)));
        }
        (_, _, Value::Unknown(_)) => add("A6", "was known, and is unknown now".to_owned()),
        (_, Value::Null, Value::Null) => {}
        (_, Value::Null, after) => add("A2", format!("was null, but is {} now", show(after))),
        (_, before, Value::Null) => add("A2", format!("was {}, but is null now", show(before))),
        (Type::List(_) | Type::Tuple(_), Value::List(before), Value::List(after)) => {
            if before.len() == after.len() {
                for (i, (before, after)) in before.iter().zip(after).enumerate() {
                    compare(element(ty, i), before, after, &path.clone().index(i), broken);
                }
            } else {
                add("A3", format!("had {} elements, and has {} now", before.len(), after.len()));
            }
        }
        (Type::Map(_) | Type::Object(_), Value::Map(before), Value::Map(after)) => {
            if before.keys().ne(after.keys()) {
                add("A3", "has other keys now".to_owned());
            }
            for (key, before) in before {
                let Some(after) = after.get(key) else { continue };
                match ty {
                    Type::Object(types) => {
                        let ty = types.get(key).unwrap_or(&Type::Dynamic);
                        compare(ty, before, after, &path.clone().attribute(key), broken);
                    }
                    _ => compare(element(ty, 0), before, after, &path.clone().key(key), broken),
                }
            }
        }
        (Type::Set(of), Value::List(before), Value::List(after)) => {
            let fits = |before: &Value, after: &Value| {
                let mut broken = Vec::new();
                compare(of, before, after, path, &mut broken);
                broken.is_empty()
            };
            if after.len() > before.len() {
                add("A4", format!("the set had {} elements, and has {} now", before.len(), after.len()));
            } else if let Some(lost) = before.iter().find(|before| !after.iter().any(|after| fits(before, after))) {
                add("A4", format!("the set has lost {}", show(lost)));
            } else if let Some(new) = after.iter().find(|after| !before.iter().any(|before| fits(before, after))) {
                add("A4", format!("the set has gained {}", show(new)));
            }
        }
        (ty, before, after) => {
            if !super::same::same(ty, before, after) {
                add("A1", format!("was {}, but is {} now", show(before), show(after)));
            }
        }
    }
}

/// Whether a type is the planned one, where that was not left open.
fn fits(planned: &Type, ty: &Type) -> bool {
    match (planned, ty) {
        (Type::Dynamic, _) => true,
        (Type::List(a), Type::List(b)) | (Type::Set(a), Type::Set(b)) | (Type::Map(a), Type::Map(b)) => fits(a, b),
        (Type::Tuple(a), Type::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits(a, b)),
        (Type::Object(a), Type::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| fits(a, b)))
        }
        (planned, ty) => planned == ty,
    }
}

fn element(ty: &Type, index: usize) -> &Type {
    match ty {
        Type::List(element) | Type::Map(element) => element,
        Type::Tuple(types) => types.get(index).unwrap_or(&Type::Dynamic),
        _ => &Type::Dynamic,
    }
}

/// What was said of an unknown value and does not hold.
fn kept(promise: &Refinement, after: &Value) -> Option<String> {
    let after = after.inner();
    if let Value::Unknown(later) = after {
        // Something unknown is still anything, but what was once excluded must not come back.
        let forgotten = promise.not_null.is_some_and(|said| later.not_null == Some(!said));
        return forgotten.then(|| "the opposite said of null".to_owned());
    }
    match (promise.not_null, *after == Value::Null) {
        (Some(true), true) => return Some("a promise not to be null".to_owned()),
        (Some(false), false) => return Some("a promise to be null".to_owned()),
        (_, true) => return None,
        _ => {}
    }
    if let (Some(prefix), Value::String(text)) = (&promise.prefix, after)
        && !text.starts_with(prefix.as_str())
    {
        return Some(format!("a promise to begin with {prefix:?}"));
    }
    let outside = promise.bounds.as_deref().is_some_and(|bounds| !inside(bounds, after));
    outside.then(|| "a promise of other bounds".to_owned())
}

fn inside(bounds: &Bounds, after: &Value) -> bool {
    if let Value::Number(number) = after {
        let above = bounds.number_min.as_ref().is_none_or(|(min, closed)| number > min || *closed && number == min);
        let below = bounds.number_max.as_ref().is_none_or(|(max, closed)| number < max || *closed && number == max);
        return above && below;
    }
    let length = match after {
        Value::List(items) => items.len(),
        Value::Map(items) => items.len(),
        _ => return true,
    };
    let (min, max) = (bounds.length_min.unwrap_or(0), bounds.length_max.unwrap_or(u64::MAX));
    u64::try_from(length).is_ok_and(|length| (min..=max).contains(&length))
}
