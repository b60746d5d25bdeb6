//! For each rule of plans: a plan that breaks it, and its neighbours that do not.

use serde_json::{Value as Json, json};

use crate::types::Type;
use crate::value::Refinement;

use super::*;

/// Values as JSON; the text `?` is an unknown.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) if text == "?" => Value::unknown(),
        Json::String(text) => text.as_str().into(),
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_i64().unwrap().into(),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(items) => Value::Map(items.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
    }
}

fn text(name: &'static str, mode: Mode) -> Attribute {
    Attribute::new(name, Type::String, mode, "")
}

fn attributes() -> Vec<Attribute> {
    let inner = || vec![text("t", Mode::Required), text("c", Mode::OptionalComputed)];
    vec![
        text("arg", Mode::Optional),
        text("both", Mode::OptionalComputed),
        text("res", Mode::Computed),
        text("wo", Mode::Optional).write_only(),
        Attribute::new("set", Type::Set(Box::new(Type::String)), Mode::Optional, ""),
        Attribute::nested("map", Nesting::Map, inner(), Mode::Optional, ""),
        Attribute::nested("list", Nesting::List, inner(), Mode::Optional, ""),
        Attribute::nested("one", Nesting::Single, inner(), Mode::Optional, ""),
        Attribute::nested("objects", Nesting::Set, inner(), Mode::Optional, ""),
    ]
}

/// An object of all attributes, those not named null.
fn whole(given: &Json) -> Value {
    let mut all = Value::object(attributes().iter().map(|a| (a.name, Value::Null)));
    for (name, item) in given.as_object().unwrap() {
        all.set(name, value(item));
    }
    all
}

fn rules(prior: &Json, config: &Json, planned: &Json) -> Vec<String> {
    let prior = if prior.is_null() { Value::Null } else { whole(prior) };
    plan(&attributes(), &prior, &whole(config), &whole(planned))
        .into_iter()
        .map(|v| format!("{} {}", v.rule, v.path))
        .collect()
}

#[test]
fn each_rule_is_seen_when_broken() {
    let none: [&str; 0] = [];
    let null = Json::Null;
    for (prior, config, planned, broken) in [
        (&null, json!({"arg": "a"}), json!({"arg": "a"}), &none[..]),
        (&null, json!({"arg": "a"}), json!({"arg": "A"}), &["P2 arg"]),
        (&json!({"arg": "A"}), json!({"arg": "a"}), json!({"arg": "A"}), &[]),
        (&json!({"arg": "A"}), json!({"arg": "a"}), json!({"arg": "b"}), &["P2 arg"]),
        (&null, json!({"arg": "a"}), json!({"arg": null}), &["P2 arg"]),
        (&null, json!({"set": ["a", "b"]}), json!({"set": ["b", "a"]}), &[]),
        (&null, json!({"set": ["a", "b"]}), json!({"set": ["a"]}), &["P2 set"]),
        (&null, json!({"set": []}), json!({"set": null}), &["P2 set"]),
        (&null, json!({}), json!({"arg": "x"}), &["P3 arg"]),
        (&null, json!({}), json!({"arg": "?"}), &["P3 arg"]),
        (&null, json!({}), json!({"map": {}}), &["P3 map"]),
        (&null, json!({}), json!({"both": "x", "res": "?"}), &[]),
        (&null, json!({"both": "y"}), json!({"both": "x"}), &["P2 both"]),
        (&null, json!({"arg": "?"}), json!({"arg": "?"}), &[]),
        (&null, json!({"arg": "?"}), json!({"arg": "x"}), &["P5 arg"]),
        (&json!({"arg": "x"}), json!({"arg": "?"}), json!({"arg": "x"}), &["P5 arg"]),
        (&null, json!({"both": "?"}), json!({"both": "x"}), &["P5 both"]),
        (&null, json!({"map": "?"}), json!({"map": {}}), &["P5 map"]),
        (&null, json!({"arg": "a"}), json!({"arg": "?"}), &["P6 arg"]),
        (&null, json!({"wo": "s"}), json!({}), &[]),
        (&null, json!({"wo": "s"}), json!({"wo": "s"}), &["P7 wo"]),
        (&null, json!({}), json!({"res": 5}), &["W2 res"]),
    ] {
        assert_eq!(rules(prior, &config, &planned), broken, "{prior} {config} {planned}");
    }
}

#[test]
fn nested_objects_are_checked_one_by_one() {
    let none: [&str; 0] = [];
    let ok = json!({"t": "a", "c": "?"});
    let configured = json!({"t": "a", "c": null});
    let wrong = json!({"t": "b", "c": null});
    for (config, planned, broken) in [
        (json!({"map": {"k": configured}}), json!({"map": {"k": ok}}), &none[..]),
        (json!({"map": {"k": configured}}), json!({"map": {"k": wrong}}), &[r#"P2 map["k"].t"#]),
        (json!({"map": {"k": configured}}), json!({"map": {"l": ok}}), &["P8 map"]),
        (json!({"map": {"k": configured}}), json!({"map": {}}), &["P8 map"]),
        (json!({"map": {"k": configured}}), json!({"map": "?"}), &["P8 map"]),
        (json!({"map": {"k": configured}}), json!({"map": null}), &["P8 map"]),
        (json!({"map": {"k": "?"}}), json!({"map": {"k": ok}}), &[r#"P5 map["k"]"#]),
        (json!({"map": {"k": configured}}), json!({"map": {"k": {"t": "a"}}}), &[r#"W1 map["k"].c"#]),
        (json!({"map": {"k": configured}}), json!({"map": {"k": {"t": "a", "c": null, "x": 1}}}), &[r#"W1 map["k"]"#]),
        (json!({"list": [configured]}), json!({"list": [ok]}), &[]),
        (json!({"list": [configured]}), json!({"list": [wrong]}), &["P2 list[0].t"]),
        (json!({"list": [configured]}), json!({"list": []}), &["P8 list"]),
        (json!({"one": configured}), json!({"one": ok}), &[]),
        (json!({"one": configured}), json!({"one": wrong}), &["P2 one.t"]),
        (json!({"one": configured}), json!({"one": "?"}), &["P8 one"]),
        (json!({"objects": [configured]}), json!({"objects": [ok]}), &[]),
        (json!({"objects": [configured]}), json!({"objects": []}), &["P8 objects"]),
        (json!({"objects": [configured]}), json!({"objects": [{"t": "a"}]}), &["W1 objects[0].c"]),
    ] {
        assert_eq!(rules(&Json::Null, &config, &planned), broken, "{config} {planned}");
    }
    let prior = json!({"map": {"old": {"t": "A", "c": "x"}}});
    assert!(rules(&prior, &json!({"map": {"new": configured}}), &prior).is_empty(), "the prior value as a whole");
}

#[test]
fn the_object_as_a_whole() {
    let rule = |planned: &Value| plan(&attributes(), &Value::Null, &whole(&json!({})), planned)[0].rule;
    assert_eq!(rule(&Value::Null), "P1");
    assert_eq!(rule(&Value::unknown()), "P1");
    let mut more = whole(&json!({}));
    more.set("zz", Value::Null);
    assert_eq!(rule(&more), "W1");
    assert_eq!(rule(&Value::object([("arg", Value::Null)])), "W1");
}

#[test]
fn refinements_of_a_configured_unknown_may_be_dropped() {
    let refined = Value::Unknown(Refinement { not_null: Some(true), ..Refinement::default() });
    let mut config = whole(&json!({}));
    config.set("arg", refined);
    assert!(plan(&attributes(), &Value::Null, &config, &whole(&json!({"arg": "?"}))).is_empty());
}
