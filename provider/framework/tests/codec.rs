//! The codecs against vectors made by go-cty itself, and against themselves with random values and random bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value as Json;
use tfplugin::codec::{json, msgpack};
use tfplugin::{Number, Refinement, Type, Typed, Value};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn vectors_of_go_cty() {
    let vectors: Vec<Json> = serde_json::from_str(include_str!("cty.json")).unwrap();
    assert!(vectors.len() > 50);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let ty = Type::from_json_value(&vector["type"]).unwrap();
        assert_eq!(serde_json::from_slice::<Json>(&ty.to_json()).unwrap(), vector["type"], "{name}: type");
        let wire = bytes(vector["msgpack_hex"].as_str().unwrap());
        let value = msgpack::decode(&wire, &ty).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = msgpack::encode(&value, &ty).unwrap();
        assert_eq!(msgpack::decode(&written, &ty).unwrap(), value, "{name}: round trip");
        // A float that no decimal text was parsed to comes back as text of the same value.
        if !name.ends_with("_float") && !name.contains("set_unknown") {
            assert_eq!(hex(&written), hex(&wire), "{name}: bytes");
        }
        if let Some(expected) = vector.get("json") {
            let from_json = json::decode(expected, &ty).unwrap_or_else(|e| panic!("{name}: {e}"));
            if !name.ends_with("_float") {
                assert_eq!(from_json, value, "{name}: from JSON");
            }
            let to_json = json::encode(&from_json, &ty).unwrap();
            assert_eq!(json::decode(&to_json, &ty).unwrap(), from_json, "{name}: JSON round trip");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("NaN", Number::from_f64),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{0,40})?".prop_map(|text| text.trim_end_matches('.').parse().unwrap()),
    ]
}

fn finite() -> impl Strategy<Value = Number> {
    number().prop_filter("finite", |n| matches!(n, Number::Finite(_)))
}

fn refinement() -> impl Strategy<Value = Refinement> {
    let bound = || prop::option::of((number(), any::<bool>()));
    (
        prop::option::of(any::<bool>()),
        prop::option::of("[a-z ]{0,20}"),
        bound(),
        bound(),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(not_null, prefix, number_min, number_max, length_min, length_max)| Refinement {
            not_null,
            prefix,
            number_min,
            number_max,
            length_min,
            length_max,
        })
}

fn ty() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::String), Just(Type::Number), Just(Type::Bool), Just(Type::Dynamic)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| Type::List(Box::new(t))),
            inner.clone().prop_map(|t| Type::Map(Box::new(t))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Type::Tuple),
            prop::collection::btree_map("[a-z_]{1,5}", inner, 0..4).prop_map(Type::Object),
        ]
    })
}

/// A value of that type; with unknowns, or with what JSON can hold.
fn value(ty: Type, unknowns: bool) -> BoxedStrategy<Value> {
    let known: BoxedStrategy<Value> = match ty {
        Type::String => any::<String>().prop_map(|s| Value::String(nfc(&s))).boxed(),
        Type::Number if unknowns => number().prop_map(Value::Number).boxed(),
        Type::Number => finite().prop_map(Value::Number).boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Dynamic => prop_oneof![
            any::<bool>().prop_map(|b| Value::Dynamic(Box::new(Typed { ty: Type::Bool, value: Value::Bool(b) }))),
            finite().prop_map(|n| Value::Dynamic(Box::new(Typed {
                ty: Type::Tuple(vec![Type::Number, Type::String]),
                value: Value::List(vec![Value::Number(n), Value::Null]),
            }))),
        ]
        .boxed(),
        Type::List(t) | Type::Set(t) => prop::collection::vec(value(*t, unknowns), 0..4).prop_map(Value::List).boxed(),
        Type::Map(t) => {
            prop::collection::btree_map("[a-z]{0,5}", value(*t, unknowns), 0..4).prop_map(Value::Map).boxed()
        }
        Type::Tuple(types) => {
            types.into_iter().map(|t| value(t, unknowns)).collect::<Vec<_>>().prop_map(Value::List).boxed()
        }
        Type::Object(types) => {
            let (names, values): (Vec<_>, Vec<_>) = types.into_iter().map(|(n, t)| (n, value(t, unknowns))).unzip();
            values
                .prop_map(move |values| Value::Map(names.iter().cloned().zip(values).collect::<BTreeMap<_, _>>()))
                .boxed()
        }
    };
    if unknowns {
        prop_oneof![8 => known, 1 => Just(Value::Null), 1 => refinement().prop_map(Value::Unknown)].boxed()
    } else {
        prop_oneof![8 => known, 1 => Just(Value::Null)].boxed()
    }
}

fn nfc(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}

fn typed(unknowns: bool) -> impl Strategy<Value = (Type, Value)> {
    ty().prop_flat_map(move |t| (Just(t.clone()), value(t, unknowns)))
}

proptest! {
    #[test]
    fn msgpack_round_trip((ty, value) in typed(true)) {
        let wire = msgpack::encode(&value, &ty).unwrap();
        prop_assert_eq!(msgpack::decode(&wire, &ty).unwrap(), value);
    }

    #[test]
    fn json_round_trip((ty, value) in typed(false)) {
        let text = serde_json::to_string(&json::encode(&value, &ty).unwrap()).unwrap();
        let back = json::decode(&serde_json::from_str(&text).unwrap(), &ty).unwrap();
        prop_assert_eq!(back, value);
    }

    #[test]
    fn type_round_trip(ty in ty()) {
        prop_assert_eq!(Type::from_json(&ty.to_json()).unwrap(), ty);
    }

    #[test]
    fn mutated_bytes_never_panic((ty, value) in typed(true), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut wire = msgpack::encode(&value, &ty).unwrap();
        let at = at.index(wire.len());
        wire[at] = byte;
        let _ = msgpack::decode(&wire, &ty);
        let _ = msgpack::decode(&wire[..at], &ty);
    }

    #[test]
    fn random_bytes_never_panic(ty in ty(), wire in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = msgpack::decode(&wire, &ty);
        let _ = Type::from_json(&wire);
    }
}

#[test]
fn numbers_keep_every_digit() {
    for text in ["0.1", "-0.000000000000000000000000000001", "123456789012345678901234567890.5", "1e400", "0", "-0"] {
        let value = Value::Number(text.parse().unwrap());
        let wire = msgpack::encode(&value, &Type::Number).unwrap();
        assert_eq!(msgpack::decode(&wire, &Type::Number).unwrap(), value, "{text}");
    }
    for text in ["1e99999999", "1e-99999999", "", "x", "1e9223372036854775808"] {
        assert!(text.parse::<Number>().is_err(), "{text}");
    }
}

#[test]
fn hostile_sizes_are_refused_at_once() {
    let strings = Type::List(Box::new(Type::String));
    for hex in ["ddffffffff", "dfffffffff", "dbffffffff61", "c6ffffffff", "c9ffffffff0c", "ddffffffffc0c0"] {
        for ty in [&strings, &Type::String, &Type::Dynamic, &Type::Map(Box::new(Type::Bool))] {
            assert!(msgpack::decode(&bytes(hex), ty).is_err(), "{hex}");
        }
    }
    let deep: Vec<u8> = std::iter::repeat_n(0x91, 100_000).collect();
    let nested = (0..150).fold(Type::String, |t, _| Type::List(Box::new(t)));
    assert!(msgpack::decode(&deep, &nested).is_err());
    let json = "[\"list\",".repeat(100_000);
    assert!(Type::from_json(json.as_bytes()).is_err());
}

#[test]
fn faults_name_the_place() {
    let ty = Type::Object(BTreeMap::from([("a".to_owned(), Type::List(Box::new(Type::Number)))]));
    let wrong = Value::object([("a", Value::List(vec![Value::from(1), Value::from("x")]))]);
    assert_eq!(msgpack::encode(&wrong, &ty).unwrap_err().to_string(), "a[1]: the value is not a number");
    assert_eq!(
        msgpack::encode(&Value::object([("b", Value::Null)]), &ty).unwrap_err().to_string(),
        "the object has an attribute \"b\" that its type does not have"
    );
    assert_eq!(
        msgpack::encode(&Value::Map(BTreeMap::new()), &ty).unwrap_err().to_string(),
        "the object lacks its attribute \"a\""
    );
    let json = serde_json::json!({"a": [1, true], "gone": 1});
    assert_eq!(json::decode(&json, &ty).unwrap_err().to_string(), "a[1]: the JSON is not a number");
}

#[test]
fn plain_json_keeps_what_it_is_given() {
    let json: Json = serde_json::from_str(r#"{"a":[1,"x",null,{"b":12345678901234567890.10}],"c":true}"#).unwrap();
    let (ty, value) = json::from_plain_json(&json).unwrap();
    let wrapped = Value::Dynamic(Box::new(Typed { ty: ty.clone(), value }));
    let wire = msgpack::encode(&wrapped, &Type::Dynamic).unwrap();
    let back = json::to_plain_json(&msgpack::decode(&wire, &Type::Dynamic).unwrap()).unwrap();
    assert_eq!(back.to_string(), r#"{"a":[1,"x",null,{"b":12345678901234567890.1}],"c":true}"#);
    assert!(json::to_plain_json(&Value::List(vec![Value::unknown()])).is_none());
}
