//! For each rule of results: a result that breaks it, and its neighbours that do not.

use crate::number::Number;
use crate::schema::Mode;
use crate::value::Typed;

use super::*;

fn broken(ty: Type, planned: impl Into<Value>, actual: impl Into<Value>) -> Option<&'static str> {
    let attributes = [Attribute::new("a", ty, Mode::OptionalComputed, "")];
    let object = |value: Value| Value::object([("a", value)]);
    let found = result(&attributes, &object(planned.into()), &object(actual.into()));
    assert!(found.iter().all(|v| v.path.to_string().starts_with('a')), "{found:?}");
    found.first().map(|violation| violation.rule)
}

fn texts(items: &[&str]) -> Value {
    items.to_vec().into()
}

fn entry(key: &str, text: &str) -> Value {
    Value::object([(key, Value::from(text))])
}

fn list_of(ty: Type) -> Type {
    Type::List(Box::new(ty))
}

fn set_of(ty: Type) -> Type {
    Type::Set(Box::new(ty))
}

fn map_of(ty: Type) -> Type {
    Type::Map(Box::new(ty))
}

#[test]
fn known_values_come_back_the_same() {
    assert_eq!(broken(Type::Number, 5, 5), None);
    assert_eq!(broken(Type::Number, 5, 8), Some("A1"));
    assert_eq!(broken(Type::String, "e\u{301}", "\u{e9}"), None);
    assert_eq!(broken(Type::String, "a", "A"), Some("A1"));
    assert_eq!(broken(Type::String, "a", 5), Some("W2"));
    assert_eq!(broken(list_of(Type::String), texts(&["a"]), texts(&["b"])), Some("A1"));
    assert_eq!(broken(map_of(Type::String), entry("k", "a"), entry("k", "b")), Some("A1"));
}

#[test]
fn null_and_empty_differ() {
    assert_eq!(broken(Type::String, Value::Null, ""), Some("A2"));
    assert_eq!(broken(Type::String, "", Value::Null), Some("A2"));
    assert_eq!(broken(list_of(Type::String), Value::Null, texts(&[])), Some("A2"));
    assert_eq!(broken(map_of(Type::String), Value::Map([].into()), Value::Null), Some("A2"));
    assert_eq!(broken(Type::String, Value::Null, Value::Null), None);
}

#[test]
fn collections_keep_their_length_and_keys() {
    assert_eq!(broken(list_of(Type::String), texts(&["a"]), texts(&["a", "b"])), Some("A3"));
    let (one, other) = (entry("k", "a"), entry("l", "a"));
    assert_eq!(broken(map_of(Type::String), one, other), Some("A3"));
}

#[test]
fn sets_keep_their_elements() {
    let ty = || set_of(Type::String);
    assert_eq!(broken(ty(), texts(&["a", "b"]), texts(&["b", "a"])), None);
    assert_eq!(broken(ty(), texts(&["a", "b"]), texts(&["a"])), Some("A4"));
    assert_eq!(broken(ty(), texts(&["a"]), texts(&["a", "b"])), Some("A4"));
    assert_eq!(broken(ty(), texts(&["a"]), texts(&["a", "a"])), Some("A4"));
    let unknowns = Value::List(vec![Value::unknown(), Value::unknown()]);
    assert_eq!(broken(ty(), unknowns.clone(), texts(&["a", "b"])), None);
    assert_eq!(broken(ty(), unknowns, texts(&["a"])), None, "two unknowns may become the same");
}

#[test]
fn promises_about_unknown_values_are_kept() {
    let promise = |refinement| Value::Unknown(refinement);
    let none = Refinement::default;
    let bounded = |bounds| Refinement { bounds: Some(Box::new(bounds)), ..none() };
    let number = |n: i64| Number::from(n);
    for (ty, refinement, good, bad) in [
        (Type::String, Refinement { not_null: Some(true), ..none() }, Value::from("x"), Value::Null),
        (Type::String, Refinement { not_null: Some(false), ..none() }, Value::Null, "x".into()),
        (Type::String, Refinement { prefix: Some("pg_".into()), ..none() }, "pg_x".into(), "p".into()),
        (
            list_of(Type::String),
            bounded(Bounds { length_min: Some(1), ..Bounds::default() }),
            texts(&["a"]),
            texts(&[]),
        ),
        (
            list_of(Type::String),
            bounded(Bounds { length_max: Some(1), ..Bounds::default() }),
            texts(&[]),
            texts(&["a", "b"]),
        ),
        (
            Type::Number,
            bounded(Bounds { number_min: Some((number(3), true)), ..Bounds::default() }),
            3.into(),
            2.into(),
        ),
        (
            Type::Number,
            bounded(Bounds { number_max: Some((number(3), false)), ..Bounds::default() }),
            2.into(),
            3.into(),
        ),
    ] {
        assert_eq!(broken(ty.clone(), promise(refinement.clone()), good), None, "{refinement:?}");
        assert_eq!(broken(ty, promise(refinement.clone()), bad), Some("A5"), "{refinement:?}");
    }
    assert_eq!(broken(Type::Number, Value::unknown(), "text"), Some("W2"));
}

#[test]
fn nothing_stays_unknown() {
    assert_eq!(broken(Type::String, Value::unknown(), Value::unknown()), Some("A6"));
    assert_eq!(broken(Type::String, "a", Value::unknown()), Some("A6"));
    assert_eq!(broken(list_of(Type::String), Value::unknown(), Value::List(vec![Value::unknown()])), Some("A6"));
}

#[test]
fn dynamic_values_keep_their_type() {
    let dynamic = |ty, value: Value| Value::Dynamic(Box::new(Typed { ty, value }));
    let list = || dynamic(list_of(Type::String), texts(&["a"]));
    assert_eq!(broken(Type::Dynamic, list(), list()), None);
    let tuple = dynamic(Type::Tuple(vec![Type::String]), texts(&["a"]));
    assert_eq!(broken(Type::Dynamic, list(), tuple), Some("A1"));
    assert_eq!(broken(Type::Dynamic, list(), dynamic(list_of(Type::String), texts(&["b"]))), Some("A1"));
    assert_eq!(broken(Type::Dynamic, Value::unknown(), texts(&["a"])), Some("W2"), "without its type");
    let unknown = dynamic(Type::Tuple(vec![Type::Dynamic]), Value::List(vec![Value::unknown()]));
    assert_eq!(broken(Type::Dynamic, unknown, dynamic(Type::Tuple(vec![Type::String]), texts(&["a"]))), None);
}

#[test]
fn nested_objects_and_the_whole() {
    let inner = || vec![Attribute::new("t", Type::String, Mode::Optional, "")];
    let attributes = [
        Attribute::nested("map", Nesting::Map, inner(), Mode::Optional, ""),
        Attribute::nested("list", Nesting::List, inner(), Mode::Optional, ""),
        Attribute::nested("one", Nesting::Single, inner(), Mode::Optional, ""),
        Attribute::nested("set", Nesting::Set, inner(), Mode::Optional, ""),
        Attribute::new("wo", Type::String, Mode::Optional, "").write_only(),
    ];
    let item = |text: &str| entry("t", text);
    let whole = |text: &str| {
        Value::object([
            ("map", Value::object([("k", item(text))])),
            ("list", Value::List(vec![item(text)])),
            ("one", item(text)),
            ("set", Value::List(vec![item(text)])),
            ("wo", Value::Null),
        ])
    };
    let rules = |planned: &Value, actual: &Value| -> Vec<String> {
        result(&attributes, planned, actual).iter().map(|v| format!("{} {}", v.rule, v.path)).collect()
    };
    let planned = whole("a");
    assert_eq!(rules(&planned, &planned), Vec::<String>::new());
    assert_eq!(rules(&planned, &whole("b")), [r#"A1 map["k"].t"#, "A1 list[0].t", "A1 one.t", "A4 set"]);
    assert_eq!(rules(&planned, &Value::Null), ["A7 "]);
    let with = |name: &str, value: Value| {
        let mut object = planned.clone();
        object.set(name, value);
        object
    };
    assert_eq!(rules(&planned, &with("wo", "secret".into())), ["A9 wo"]);
    assert_eq!(rules(&planned, &with("map", Value::Map([].into()))), ["A3 map"]);
    assert_eq!(rules(&planned, &with("list", Value::List(vec![]))), ["A3 list"]);
    assert_eq!(rules(&planned, &with("one", Value::Null)), ["A2 one"]);
    assert_eq!(rules(&planned, &with("zz", Value::Null)), ["W1 "]);
    assert_eq!(rules(&with("list", Value::unknown()), &planned), Vec::<String>::new());
    assert_eq!(rules(&with("map", Value::object([("k", Value::unknown())])), &planned), Vec::<String>::new());
    let mut missing = planned.clone();
    if let Value::Map(items) = &mut missing {
        items.remove("wo");
    }
    assert_eq!(rules(&planned, &missing), ["W1 wo"]);
}
