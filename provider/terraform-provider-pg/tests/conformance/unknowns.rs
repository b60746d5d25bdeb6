//! Hiding parts of a configuration that a later apply will know.
//!
//! **Invariant:** what a refinement promises is true of the value that it hides.

use proptest::prelude::*;
use proptest::sample::Index;
use tfplugin::value::Bounds;
use tfplugin::{Refinement, Type, Typed, Value};

/// One part to hide.
#[derive(Clone, Debug)]
pub(crate) struct Veil {
    place: Index,
    refined: bool,
}

/// A few parts to hide, often none.
pub(crate) fn veils() -> impl Strategy<Value = Vec<Veil>> {
    let veil = (any::<Index>(), any::<bool>()).prop_map(|(place, refined)| Veil { place, refined });
    prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(veil, 1..4)]
}

/// The configuration with these parts unknown, except for some attributes.
pub(crate) fn hide(config: &Value, veils: &[Veil], spared: &[&str]) -> Value {
    let mut hidden = config.clone();
    for veil in veils {
        let count = places(&mut hidden, spared, &mut |_, _| false);
        if count > 0 {
            let chosen = veil.place.index(count);
            let mut at = 0;
            places(&mut hidden, spared, &mut |value, in_dynamic| {
                at += 1;
                if at == chosen + 1 {
                    *value = unknown(value, veil.refined, in_dynamic);
                }
                at == chosen + 1
            });
        }
    }
    hidden
}

/// What to do with a value, given whether it is inside a dynamic one; says whether it is done.
type Visit<'a> = dyn FnMut(&mut Value, bool) -> bool + 'a;

/// Visits every value inside a configuration until `visit` says that it is done, and counts them.
fn places(config: &mut Value, spared: &[&str], visit: &mut Visit<'_>) -> usize {
    let Value::Map(attributes) = config else { return 0 };
    let mut count = 0;
    for (name, value) in attributes {
        if !spared.contains(&name.as_str()) && walk(value, false, &mut count, visit) {
            break;
        }
    }
    count
}

fn walk(value: &mut Value, in_dynamic: bool, count: &mut usize, visit: &mut Visit<'_>) -> bool {
    *count += 1;
    if visit(value, in_dynamic) {
        return true;
    }
    let (inner, in_dynamic) = match value {
        // The wrapper was visited already.
        Value::Dynamic(typed) => (&mut typed.value, true),
        value => (value, in_dynamic),
    };
    match inner {
        Value::List(items) => items.iter_mut().any(|item| walk(item, in_dynamic, count, visit)),
        Value::Map(items) => items.values_mut().any(|item| walk(item, in_dynamic, count, visit)),
        _ => false,
    }
}

/// An unknown in the place of a value.
fn unknown(value: &Value, refined: bool, in_dynamic: bool) -> Value {
    let mut refinement = Refinement::default();
    match value {
        Value::Unknown(_) => return value.clone(),
        Value::Dynamic(typed) => {
            let Typed { ty, value } = &**typed;
            return match ty {
                // An untyped null may become anything.
                Type::Dynamic => Value::unknown(),
                ty if refined => Value::Dynamic(Box::new(Typed { ty: ty.clone(), value: unknown(value, false, true) })),
                _ => Value::unknown(),
            };
        }
        // It may become null, and nothing can be said of it.
        Value::Null => return Value::unknown(),
        _ if !refined => return Value::unknown(),
        Value::String(text) => {
            let half = text.chars().take(text.chars().count() / 2).filter(char::is_ascii).collect::<String>();
            refinement.prefix = Some(half).filter(|half| !half.is_empty() && text.starts_with(half.as_str()));
        }
        Value::Number(number) => {
            let bound = Some((number.clone(), true));
            let bounds = Bounds { number_min: bound.clone(), number_max: bound, ..Bounds::default() };
            refinement.bounds = Some(Box::new(bounds));
        }
        // No schema of ours has tuples, and what dynamic values hold is not refined.
        Value::List(items) if !in_dynamic => {
            let count = u64::try_from(items.len()).ok();
            let bounds = Bounds { length_min: count.map(|n| n / 2), length_max: count, ..Bounds::default() };
            refinement.bounds = Some(Box::new(bounds));
        }
        _ => {}
    }
    refinement.not_null = Some(true);
    Value::Unknown(refinement)
}

#[test]
fn what_is_hidden_is_hidden_and_nothing_else() {
    let config = Value::object([("a", Value::from("text")), ("b", Value::from(vec!["x", "y"])), ("c", Value::Null)]);
    let veil = |place: usize, refined| {
        let mut count = 0;
        let mut hidden = config.clone();
        places(&mut hidden, &["c"], &mut |value, in_dynamic| {
            count += 1;
            if count == place + 1 {
                *value = unknown(value, refined, in_dynamic);
            }
            count == place + 1
        });
        hidden
    };
    assert_eq!(places(&mut config.clone(), &["c"], &mut |_, _| false), 4);
    let prefix = Refinement { not_null: Some(true), prefix: Some("te".into()), ..Refinement::default() };
    assert_eq!(*veil(0, true).get("a"), Value::Unknown(prefix));
    assert_eq!(*veil(1, false).get("b"), Value::unknown());
    assert_eq!(*veil(3, false).get("b"), Value::List(vec!["x".into(), Value::unknown()]));
}
