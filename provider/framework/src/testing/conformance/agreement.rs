//! The host's rules and the framework's own checks, which share nothing, say the same of random values.
//!
//! A plan and a result are made as the framework makes them, spoilt in a few random places, and judged by both.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::checks;
use crate::path::Step;
use crate::plan_steps::planned_value;
use crate::schema::{Attribute, Default as SchemaDefault, Kind, Mode, Nesting};
use crate::types::Type;
use crate::value::{Refinement, Typed, Value};

use super::compatible::{self, As};
use super::same::same;
use super::shape::{Held, Member, Members};
use super::trouble::Findings;
use super::{plan_rules, state_rules};

/// Random choices; when they run out, the first is taken.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn of(&mut self, count: u8) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first % count
    }
}

fn same_case(left: &Value, right: &Value) -> bool {
    left.as_str().map(str::to_lowercase) == right.as_str().map(str::to_lowercase)
}

fn attributes() -> Vec<Attribute> {
    let text = |name, mode| Attribute::new(name, Type::String, mode, "");
    let of = |name, ty| Attribute::new(name, ty, Mode::Optional, "");
    let strings = || Box::new(Type::String);
    let inner = || {
        vec![
            text("key", Mode::Required),
            text("option", Mode::Optional).same(same_case),
            text("either", Mode::OptionalComputed),
            text("made", Mode::Computed),
        ]
    };
    let mut with_secret = inner();
    with_secret.push(text("secret", Mode::Optional).write_only());
    vec![
        text("name", Mode::Required).replace(),
        text("spelt", Mode::Optional).same(same_case),
        text("defaulted", Mode::Optional).default(SchemaDefault::String("a")),
        text("either", Mode::OptionalComputed),
        text("password", Mode::Optional).write_only(),
        of("list", Type::List(strings())),
        of("set", Type::Set(strings())),
        of("map", Type::Map(strings())),
        of("any", Type::Dynamic),
        Attribute::nested("one", Nesting::Single, with_secret.clone(), Mode::Optional, ""),
        Attribute::nested("many", Nesting::List, with_secret.clone(), Mode::Optional, ""),
        Attribute::nested("bag", Nesting::Set, inner(), Mode::Optional, ""),
        Attribute::nested("named", Nesting::Map, with_secret, Mode::OptionalComputed, ""),
        text("id", Mode::Computed).keep_prior(),
        text("revision", Mode::Computed),
    ]
}

fn members(attributes: &[Attribute]) -> Members {
    let member = |attribute: &Attribute| Member {
        held: match &attribute.kind {
            Kind::Plain(_) => Held::Plain,
            Kind::Nested(nesting, attributes) => Held::Nested(*nesting, members(attributes)),
        },
        ty: attribute.ty(),
        required: attribute.mode == Mode::Required,
        optional: matches!(attribute.mode, Mode::Optional | Mode::OptionalComputed),
        computed: matches!(attribute.mode, Mode::Computed | Mode::OptionalComputed),
        write_only: attribute.write_only,
    };
    attributes.iter().map(|attribute| (attribute.name.to_owned(), member(attribute))).collect()
}

/// What values are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Configuration,
    State,
    /// Anything that has the type.
    Anything,
}

fn value(ty: &Type, choices: &mut Choices<'_>, use_: Use) -> Value {
    match (choices.of(8), use_) {
        (0 | 1, _) => return Value::Null,
        (2, Use::Configuration | Use::Anything) => return unknown(ty, choices),
        _ => {}
    }
    let some = |choices: &mut Choices<'_>| usize::from(choices.of(3));
    match ty {
        Type::String => ["a", "A", "b", ""][usize::from(choices.of(4))].into(),
        Type::Number => i64::from(choices.of(3)).into(),
        Type::Bool => (choices.of(2) == 0).into(),
        Type::List(element) => (0..some(choices)).map(|_| value(element, choices, use_)).collect::<Vec<_>>().into(),
        Type::Set(element) => {
            let items = (0..some(choices)).map(|_| value(element, choices, use_)).collect();
            crate::value::canonical(Value::List(items), ty)
        }
        Type::Map(element) => Value::Map(
            (0..some(choices)).map(|i| (["k", "l"][i % 2].to_owned(), value(element, choices, use_))).collect(),
        ),
        Type::Dynamic => {
            let ty =
                [Type::String, Type::Number, Type::List(Box::new(Type::String))][usize::from(choices.of(3))].clone();
            let value = value(&ty, choices, use_);
            Value::Dynamic(Box::new(Typed { ty, value }))
        }
        Type::Tuple(types) => types.iter().map(|ty| value(ty, choices, use_)).collect::<Vec<_>>().into(),
        Type::Object(types) => {
            Value::Map(types.iter().map(|(name, ty)| (name.clone(), value(ty, choices, use_))).collect())
        }
    }
}

fn unknown(ty: &Type, choices: &mut Choices<'_>) -> Value {
    let mut refinement = Refinement::default();
    match choices.of(4) {
        0 => refinement.not_null = Some(true),
        1 if *ty == Type::String => refinement.prefix = Some("a".to_owned()),
        _ => {}
    }
    Value::Unknown(refinement)
}

fn object(attributes: &[Attribute], choices: &mut Choices<'_>, use_: Use) -> Value {
    Value::object(attributes.iter().map(|attribute| (attribute.name, one(attribute, choices, use_))))
}

fn one(attribute: &Attribute, choices: &mut Choices<'_>, use_: Use) -> Value {
    let unset = match use_ {
        Use::Configuration => attribute.mode == Mode::Computed,
        Use::State => attribute.write_only,
        Use::Anything => false,
    };
    if unset {
        return Value::Null;
    }
    let Kind::Nested(nesting, inner) = &attribute.kind else { return value(&attribute.ty(), choices, use_) };
    match (choices.of(8), use_) {
        (0 | 1, _) => return Value::Null,
        (2, Use::Configuration | Use::Anything) => return Value::unknown(),
        _ => {}
    }
    let count = choices.of(3);
    match nesting {
        Nesting::Single => object(inner, choices, use_),
        Nesting::Map => Value::Map((0..count).map(|i| (format!("k{i}"), object(inner, choices, use_))).collect()),
        Nesting::List | Nesting::Set => {
            let items: Value = (0..count).map(|_| object(inner, choices, use_)).collect::<Vec<_>>().into();
            crate::value::canonical(items, &attribute.ty())
        }
    }
}

/// Puts random values in random places.
fn spoil(attributes: &[Attribute], value: &mut Value, choices: &mut Choices<'_>) {
    for _ in 0..choices.of(3) {
        let which = choices.of(u8::try_from(attributes.len()).unwrap());
        spoil_one(&attributes[usize::from(which)], value, choices);
    }
}

fn spoil_one(attribute: &Attribute, object: &mut Value, choices: &mut Choices<'_>) {
    let mut held = object.get(attribute.name).clone();
    match (&attribute.kind, &mut held) {
        (Kind::Nested(Nesting::Single, inner), Value::Map(_)) if choices.of(2) == 0 => spoil(inner, &mut held, choices),
        (Kind::Nested(_, inner), Value::List(items)) if choices.of(2) == 0 => {
            items.iter_mut().filter(|item| item.as_map().is_some()).for_each(|item| spoil(inner, item, choices));
        }
        (Kind::Nested(_, inner), Value::Map(items)) if choices.of(2) == 0 => {
            items.values_mut().filter(|item| item.as_map().is_some()).for_each(|item| spoil(inner, item, choices));
        }
        _ => held = one(attribute, choices, Use::Anything),
    }
    object.set(attribute.name, crate::value::canonical(held, &attribute.ty()));
}

/// Something known in place of each unknown.
fn resolved(ty: &Type, planned: &Value, choices: &mut Choices<'_>) -> Value {
    match (ty, planned) {
        (ty, Value::Unknown(_)) => value(ty, choices, Use::State),
        (Type::List(element) | Type::Set(element), Value::List(items)) => {
            Value::List(items.iter().map(|item| resolved(element, item, choices)).collect())
        }
        (Type::Map(element), Value::Map(items)) => {
            Value::Map(items.iter().map(|(key, item)| (key.clone(), resolved(element, item, choices))).collect())
        }
        (Type::Object(types), Value::Map(items)) => {
            Value::Map(items.iter().map(|(name, item)| (name.clone(), resolved(&types[name], item, choices))).collect())
        }
        (Type::Dynamic, Value::Dynamic(typed)) => {
            let value = resolved(&typed.ty, &typed.value, choices);
            Value::Dynamic(Box::new(Typed { ty: typed.ty.clone(), value }))
        }
        (_, other) => other.clone(),
    }
}

/// Whether at the path, or at something that holds it, the prior value is planned for a configured one that is not known.
fn promises_prior(members: &Members, [prior, config, planned]: [&Value; 3], path: &[Step]) -> bool {
    let [Step::Attribute(name), rest @ ..] = path else { return false };
    let Some(member) = members.get(name) else { return false };
    let [prior, config, planned] = [prior, config, planned].map(|object| object.get(name));
    if !config.is_wholly_known() && !prior.is_null() && same(&member.ty, prior, planned) {
        return true;
    }
    let (Held::Nested(_, members), Some((step, inside))) = (&member.held, rest.split_first()) else { return false };
    let inner = |value: &Value| match (step, value) {
        (Step::Key(key), Value::Map(items)) => items.get(key).cloned().unwrap_or_default(),
        (Step::Index(i), Value::List(items)) => items.get(usize::try_from(*i).unwrap()).cloned().unwrap_or_default(),
        _ => Value::Null,
    };
    match step {
        Step::Attribute(_) => promises_prior(members, [prior, config, planned], rest),
        _ => promises_prior(members, [&inner(prior), &inner(config), &inner(planned)], inside),
    }
}

fn rules(findings: &Findings) -> Vec<&'static str> {
    findings.found.iter().map(|finding| finding.rule).collect()
}

fn own(violations: &[checks::Violation]) -> Vec<&'static str> {
    violations.iter().map(|violation| violation.rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn on_plans(choices in vec(any::<u8>(), 0..300)) {
        let mut choices = Choices(&choices);
        let attributes = attributes();
        let config = object(&attributes, &mut choices, Use::Configuration);
        let prior = if choices.of(3) == 0 { Value::Null } else { object(&attributes, &mut choices, Use::State) };
        let mut planned = planned_value(&attributes, &prior, &config);
        spoil(&attributes, &mut planned, &mut choices);

        let mut own = checks::plan::plan(&attributes, &prior, &config, &planned);
        let mut findings = Findings::of("plan");
        plan_rules::check(&members(&attributes), &prior, &config, &planned, &mut findings);
        let found = rules(&findings);
        if found.is_empty() {
            // The framework does not let a plan promise the prior value for what is not wholly known yet; the CLIs do.
            let members = members(&attributes);
            own.retain(|violation| !promises_prior(&members, [&prior, &config, &planned], &violation.path.0));
        }
        prop_assert!(
            own.is_empty() == found.is_empty(),
            "{own:?} is not {:?}\nprior {prior:?}\nconfig {config:?}\nplanned {planned:?}",
            findings.found
        );
    }

    #[test]
    fn on_results(choices in vec(any::<u8>(), 0..300)) {
        let mut choices = Choices(&choices);
        let attributes = attributes();
        let config = object(&attributes, &mut choices, Use::Configuration);
        let planned = planned_value(&attributes, &Value::Null, &config);
        let ty = crate::schema::object_type(&attributes);
        let mut actual = resolved(&ty, &planned, &mut choices);
        spoil(&attributes, &mut actual, &mut choices);
        let actual = crate::value::canonical(crate::plan_steps::with_all_attributes(&attributes, actual), &ty);

        let own = own(&checks::result::result(&attributes, &planned, &actual));
        let mut findings = Findings::of("apply");
        state_rules::known(&actual, "A6", &mut findings);
        state_rules::unwritten(&members(&attributes), &actual, "A9", &mut findings);
        compatible::check(&ty, &planned, &actual, As::Result, &mut findings);
        prop_assert!(
            own.is_empty() == findings.found.is_empty(),
            "{own:?} is not {:?}\nplanned {planned:?}\nactual {actual:?}",
            findings.found
        );
        prop_assert!(!same(&ty, &planned, &actual) || own.is_empty() || !planned.is_wholly_known());
    }
}
