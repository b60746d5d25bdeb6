//! `proposed_new_state`: the configuration laid over the prior state, the way core does it.
//!
//! **Invariant:** a configured value is taken as it is, write-only ones included; a computed one that is left out is the
//! prior one.

use crate::path::Path;
use crate::schema::Nesting;
use crate::value::Value;

use super::same::same;
use super::shape::{Held, Member, Members};

/// The proposed object.
pub(super) fn proposed(members: &Members, prior: &Value, config: &Value) -> Value {
    if !matches!(config, Value::Map(_)) {
        return prior.clone();
    }
    let each = |(name, member): (&String, &Member)| {
        let (before, config) = (prior.get(name), config.get(name));
        let value = if member.computed && config.is_null() {
            if must_have_been_configured(member, before) { Value::Null } else { before.clone() }
        } else {
            match &member.held {
                Held::Plain => config.clone(),
                Held::Nested(nesting, members) => nested(*nesting, members, before, config),
            }
        };
        (name.clone(), value)
    };
    Value::Map(members.iter().map(each).collect())
}

fn nested(nesting: Nesting, members: &Members, prior: &Value, config: &Value) -> Value {
    let one = |prior: &Value, config: &Value| match config {
        Value::Map(_) => proposed(members, prior, config),
        other => other.clone(),
    };
    match (nesting, config) {
        (Nesting::Single, config) => one(prior, config),
        (Nesting::Map, Value::Map(items)) => {
            Value::Map(items.iter().map(|(key, item)| (key.clone(), one(prior.get(key), item))).collect())
        }
        (Nesting::List, Value::List(items)) => {
            let before = prior.as_list().unwrap_or_default();
            let one_at = |(i, item): (usize, &Value)| one(before.get(i).unwrap_or(&Value::Null), item);
            Value::List(items.iter().enumerate().map(one_at).collect())
        }
        (Nesting::Set, Value::List(items)) => {
            let mut before: Vec<&Value> = prior.as_list().unwrap_or_default().iter().collect();
            let one_of = |item: &Value| {
                let found = before.iter().position(|prior| came_of(members, prior, item));
                one(found.map_or(&Value::Null, |found| before.remove(found)), item)
            };
            Value::List(items.iter().map(one_of).collect())
        }
        (_, other) => other.clone(),
    }
}

/// Whether a prior object may be what the provider made of a configured one.
fn came_of(members: &Members, prior: &Value, config: &Value) -> bool {
    matches!(prior, Value::Map(_))
        && members.iter().all(|(name, member)| {
            let (before, config) = (prior.get(name), config.get(name));
            if member.computed && config.is_null() || same(&member.ty, before, config) {
                return true;
            }
            match &member.held {
                Held::Nested(Nesting::Single, members) if matches!(config, Value::Map(_)) => {
                    came_of(members, before, config)
                }
                _ => false,
            }
        })
}

/// Whether the prior value of a nested attribute holds what only a configuration can have put there.
fn must_have_been_configured(member: &Member, prior: &Value) -> bool {
    let Held::Nested(nesting, members) = &member.held else { return false };
    super::shape::objects(*nesting, prior).iter().any(|(_, object)| {
        members.iter().any(|(name, inner)| {
            let value = object.get(name);
            !value.is_null()
                && (inner.optional && !inner.computed || inner.required || must_have_been_configured(inner, value))
        })
    })
}

/// The values of two objects at a path; none where it leads nowhere.
pub(super) fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    use crate::path::Step;
    path.0.iter().try_fold(value, |value, step| match (value.inner(), step) {
        (unknown @ Value::Unknown(_), _) => Some(unknown),
        (Value::Map(items), Step::Attribute(name) | Step::Key(name)) => items.get(name),
        (Value::List(items), Step::Index(index)) => items.get(usize::try_from(*index).ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::types::Type;

    use super::*;

    fn member(required: bool, optional: bool, computed: bool) -> Member {
        Member { held: Held::Plain, ty: Type::String, required, optional, computed, write_only: false }
    }

    fn nest(nesting: Nesting, members: Members, computed: bool) -> Member {
        let element = Type::Object(members.iter().map(|(name, m)| (name.clone(), m.ty.clone())).collect());
        let ty = match nesting {
            Nesting::Single => element,
            Nesting::List => Type::List(Box::new(element)),
            Nesting::Set => Type::Set(Box::new(element)),
            Nesting::Map => Type::Map(Box::new(element)),
        };
        Member { held: Held::Nested(nesting, members), ty, ..member(false, true, computed) }
    }

    fn members() -> Members {
        let inner =
            || Members::from([("a".into(), member(true, false, false)), ("c".into(), member(false, true, true))]);
        BTreeMap::from([
            ("name".into(), member(true, false, false)),
            ("id".into(), member(false, false, true)),
            ("map".into(), nest(Nesting::Map, inner(), false)),
            ("set".into(), nest(Nesting::Set, inner(), false)),
            ("list".into(), nest(Nesting::List, inner(), true)),
        ])
    }

    fn item(a: &str, c: Value) -> Value {
        Value::object([("a", a.into()), ("c", c)])
    }

    #[test]
    fn computed_values_come_from_the_prior_element_that_belongs_to_the_configured_one() {
        let prior = Value::object([
            ("name", "n".into()),
            ("id", "i".into()),
            ("map", Value::object([("k", item("x", "cx".into())), ("gone", item("g", "cg".into()))])),
            ("set", Value::List(vec![item("x", "cx".into()), item("y", "cy".into())])),
            ("list", Value::List(vec![item("x", "cx".into())])),
        ]);
        let config = Value::object([
            ("name", Value::unknown()),
            ("id", Value::Null),
            ("map", Value::object([("k", item("changed", Value::Null)), ("new", item("n", Value::Null))])),
            ("set", Value::List(vec![item("z", Value::Null), item("y", Value::Null)])),
            ("list", Value::Null),
        ]);
        let expected = Value::object([
            ("name", Value::unknown()),
            ("id", "i".into()),
            ("map", Value::object([("k", item("changed", "cx".into())), ("new", item("n", Value::Null))])),
            ("set", Value::List(vec![item("z", Value::Null), item("y", "cy".into())])),
            // The list holds a required value, so a configuration must have made it, and now it is gone.
            ("list", Value::Null),
        ]);
        assert_eq!(proposed(&members(), &prior, &config), expected);
        assert_eq!(proposed(&members(), &prior, &Value::Null), prior);
    }
}
