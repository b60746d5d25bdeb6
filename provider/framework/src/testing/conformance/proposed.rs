//! `proposed_new_state`: the configuration laid over the prior state, the way core does it.
//!
//! **Invariant:** a configured value is taken as it is, write-only ones included; a computed one that is left out is the
//! prior one.

use crate::schema::Nesting;
use crate::value::Value;

use super::same::same;
use super::shape::{Held, Member, Members, objects};

/// The proposed object.
pub(super) fn proposed(members: &Members, prior: &Value, config: &Value) -> Value {
    if matches!(config, Value::Map(_)) { object(members, prior, config) } else { prior.clone() }
}

fn object(members: &Members, prior: &Value, config: &Value) -> Value {
    let each = |(name, member): (&String, &Member)| {
        let config = if config.is_unknown() { config } else { config.get(name) };
        (name.clone(), attribute(member, prior.get(name), config))
    };
    if config.is_null() { Value::Null } else { Value::Map(members.iter().map(each).collect()) }
}

fn attribute(member: &Member, prior: &Value, config: &Value) -> Value {
    if member.computed && config.is_null() {
        let configured = member.optional && holds_configured(member, prior);
        return if configured { Value::Null } else { prior.clone() };
    }
    match &member.held {
        Held::Plain => config.clone(),
        Held::Nested(nesting, members) => nested(*nesting, members, prior, config),
    }
}

fn nested(nesting: Nesting, members: &Members, prior: &Value, config: &Value) -> Value {
    // An element that has no prior one is taken as it is.
    let element = |prior: Option<&Value>, config: &Value| match prior {
        Some(prior) => object(members, prior, config),
        None => config.clone(),
    };
    match (nesting, config) {
        (_, Value::Null | Value::Unknown(_)) => config.clone(),
        (Nesting::Single, config) => object(members, prior, config),
        (Nesting::Map, Value::Map(items)) => {
            let before = prior.as_map();
            let of = |key: &String| before.and_then(|before| before.get(key));
            Value::Map(items.iter().map(|(key, item)| (key.clone(), element(of(key), item))).collect())
        }
        (Nesting::List, Value::List(items)) => {
            let before = prior.as_list().unwrap_or_default();
            Value::List(items.iter().enumerate().map(|(i, item)| element(before.get(i), item)).collect())
        }
        (Nesting::Set, Value::List(items)) => {
            let mut before: Vec<&Value> = prior.as_list().unwrap_or_default().iter().collect();
            let one = |item: &Value| {
                let found = before.iter().position(|prior| came_of(members, prior, item));
                object(members, found.map_or(&Value::Null, |found| before.remove(found)), item)
            };
            Value::List(items.iter().map(one).collect())
        }
        (_, other) => other.clone(),
    }
}

/// Whether a prior object may be what the provider made of a configured one: only what is computed differs.
fn came_of(members: &Members, prior: &Value, config: &Value) -> bool {
    members.iter().all(|(name, member)| {
        let (before, config) = (prior.get(name), config.get(name));
        if same(&member.ty, before, config) {
            return true;
        }
        let Held::Nested(nesting, members) = &member.held else { return member.computed && config.is_null() };
        match (nesting, before, config) {
            (Nesting::Set, ..) => false,
            (_, Value::Null, _) => true,
            (Nesting::Single, before, config) => config.as_map().is_some() && came_of(members, before, config),
            (Nesting::Map, Value::Map(before), config) => before.iter().all(|(key, before)| {
                config.as_map().and_then(|items| items.get(key)).is_some_and(|config| came_of(members, before, config))
            }),
            (Nesting::List, Value::List(before), config) => before.iter().enumerate().all(|(i, before)| {
                config.as_list().and_then(|items| items.get(i)).is_some_and(|config| came_of(members, before, config))
            }),
            _ => false,
        }
    })
}

/// Whether the value of a nested attribute holds what only a configuration can have put there.
fn holds_configured(member: &Member, value: &Value) -> bool {
    let Held::Nested(nesting, members) = &member.held else { return false };
    objects(*nesting, value).iter().any(|(_, object)| {
        members.iter().any(|(name, inner)| {
            let value = object.get(name);
            !value.is_null() && (!inner.computed || holds_configured(inner, value))
        })
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
    fn an_element_that_is_not_known_is_an_object_of_unknown_attributes_where_there_was_one() {
        let unknowns = Value::object([("a", Value::unknown()), ("c", Value::unknown())]);
        let list = |items: Vec<Value>| Value::object([("list", Value::List(items))]);
        let prior = list(vec![item("x", "cx".into())]);
        let proposed = proposed(&members(), &prior, &list(vec![Value::unknown(), Value::unknown()]));
        assert_eq!(*proposed.get("list"), Value::List(vec![unknowns, Value::unknown()]));
    }

    #[test]
    fn what_only_the_provider_sets_stays() {
        let inner = Members::from([("a".into(), member(false, true, false))]);
        let computed_only = Member { optional: false, ..nest(Nesting::Single, inner.clone(), true) };
        let members =
            Members::from([("only".into(), computed_only), ("either".into(), nest(Nesting::Single, inner, true))]);
        let held = || Value::object([("a", Value::from("x"))]);
        let prior = Value::object([("only", held()), ("either", held())]);
        let config = Value::object([("only", Value::Null), ("either", Value::Null)]);
        let expected = Value::object([("only", held()), ("either", Value::Null)]);
        assert_eq!(proposed(&members, &prior, &config), expected);
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
