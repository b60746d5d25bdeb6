//! Does every value survive the wire and the state, and does every input end in a value or an error?
//!
//! **Invariant:** a value that was read is never larger than what its bytes could hold.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value as Json;
use tfplugin::codec::{json, msgpack};
use tfplugin::number::Number;
use tfplugin::testing::surfaces::equal;
use tfplugin::types::Type;
use tfplugin::value::{Bounds, Refinement, Typed, Value};
use unicode_normalization::UnicodeNormalization;

/// Whether a value may hold what JSON cannot say: unknowns and infinities.
#[derive(Clone, Copy, PartialEq)]
enum For {
    Wire,
    State,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{0,2}", any::<String>(), "[e\u{301}\u{327}\u{1100}\u{1161}]{0,4}"]
        .prop_map(|text| text.nfc().collect())
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::String), Just(Type::Number), Just(Type::Bool), Just(Type::Dynamic)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Type::List),
            boxed().prop_map(Type::Set),
            boxed().prop_map(Type::Map),
            vec(inner.clone(), 0..4).prop_map(Type::Tuple),
            btree_map(text(), inner, 0..4).prop_map(Type::Object),
        ]
    })
}

fn finite_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        (-2_i64..3).prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).filter(|_| float.is_finite())),
        any::<i32>().prop_filter_map("a number", |eighths| Number::from_f64(f64::from(eighths) / 8.0)),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,3})?".prop_filter_map("a number", |text| text.parse().ok()),
    ]
}

fn number(purpose: For) -> BoxedStrategy<Number> {
    match purpose {
        For::State => finite_number().boxed(),
        For::Wire => {
            prop_oneof![9 => finite_number(), 1 => Just(Number::Infinity), 1 => Just(Number::NegativeInfinity)].boxed()
        }
    }
}

fn refinement(ty: &Type) -> BoxedStrategy<Refinement> {
    let bounds = match ty {
        Type::Number => {
            let bound = || proptest::option::of((finite_number(), any::<bool>()));
            (bound(), bound())
                .prop_map(|(number_min, number_max)| Bounds { number_min, number_max, ..Bounds::default() })
                .boxed()
        }
        Type::List(_) | Type::Set(_) | Type::Map(_) => (any::<Option<u64>>(), any::<Option<u64>>())
            .prop_map(|(length_min, length_max)| Bounds { length_min, length_max, ..Bounds::default() })
            .boxed(),
        _ => Just(Bounds::default()).boxed(),
    };
    let prefix = if *ty == Type::String { proptest::option::of("[a-z]{0,9}").boxed() } else { Just(None).boxed() };
    // Nothing is known about an unknown value whose type is unknown too.
    let not_null = if *ty == Type::Dynamic { Just(None).boxed() } else { any::<Option<bool>>().boxed() };
    (not_null, prefix, bounds)
        .prop_map(|(not_null, prefix, bounds)| {
            let bounds = (bounds != Bounds::default()).then(|| Box::new(bounds));
            Refinement { not_null, prefix, bounds }
        })
        .boxed()
}

fn value_of(ty: &Type, purpose: For) -> BoxedStrategy<Value> {
    let elements = |ty: &Type| vec(value_of(ty, purpose), 0..4).prop_map(Value::List);
    let known: BoxedStrategy<Value> = match ty {
        Type::String => text().prop_map(Value::String).boxed(),
        Type::Number => number(purpose).prop_map(Value::Number).boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Dynamic => types()
            .prop_filter("a value has a definite type", |ty| *ty != Type::Dynamic)
            .prop_flat_map(move |ty| {
                value_of(&ty, purpose).prop_map(move |value| Value::Dynamic(Box::new(Typed { ty: ty.clone(), value })))
            })
            .boxed(),
        Type::List(element) | Type::Set(element) => elements(element).boxed(),
        Type::Map(element) => btree_map(text(), value_of(element, purpose), 0..4).prop_map(Value::Map).boxed(),
        Type::Tuple(types) => {
            types.iter().map(|ty| value_of(ty, purpose)).collect::<Vec<_>>().prop_map(Value::List).boxed()
        }
        Type::Object(attributes) => {
            let names: Vec<String> = attributes.keys().cloned().collect();
            let values: Vec<_> = attributes.values().map(|ty| value_of(ty, purpose)).collect();
            values
                .prop_map(move |values| Value::Map(names.iter().cloned().zip(values).collect::<BTreeMap<_, _>>()))
                .boxed()
        }
    };
    match purpose {
        For::State => prop_oneof![8 => known, 1 => Just(Value::Null)].boxed(),
        For::Wire => {
            prop_oneof![8 => known, 1 => Just(Value::Null), 1 => refinement(ty).prop_map(Value::Unknown)].boxed()
        }
    }
}

fn typed_value(purpose: For) -> impl Strategy<Value = (Type, Value)> {
    types().prop_flat_map(move |ty| (Just(ty.clone()), value_of(&ty, purpose)))
}

/// How many values and how many bytes of text a value holds.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len(),
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(items) => 1 + items.iter().map(|(key, item)| key.len() + size(item)).sum::<usize>(),
        Value::Dynamic(typed) => 1 + size(&typed.value),
        Value::Unknown(known) => 1 + known.prefix.as_ref().map_or(0, String::len),
        Value::Bool(_) | Value::Number(_) | Value::Null => 1,
    }
}

/// Whatever the bytes are, they are an error, or a value that can be written and read again.
fn ends_well(bytes: &[u8], ty: &Type) -> Result<(), TestCaseError> {
    if let Ok(value) = msgpack::decode(bytes, ty) {
        // One character may become three in normal form C.
        prop_assert!(size(&value) <= 3 * bytes.len(), "{} from {} bytes", size(&value), bytes.len());
        let written = msgpack::encode(&value, ty).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again = msgpack::decode(&written, ty).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&again, &value);
        prop_assert!(equal(&again, &value, ty));
    }
    Ok(())
}

/// Changes, drops, doubles or inserts bytes at some places.
fn mutate(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) {
    for (place, kind, byte) in changes {
        if bytes.is_empty() {
            return;
        }
        let place = place.index(bytes.len());
        match kind % 4 {
            0 => bytes[place] = *byte,
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, *byte),
            _ => bytes.truncate(place),
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    vec(any::<(prop::sample::Index, u8, u8)>(), 1..4)
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "-?[1-9][0-9]{0,30}(e-?[0-9]{1,6})?".prop_filter_map("JSON", |text| serde_json::from_str(&text).ok()),
        any::<String>().prop_map(Json::from),
        prop_oneof![Just("string"), Just("number"), Just("dynamic"), Just("list"), Just("object")].prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 48, 4, |inner| {
        let key = prop_oneof![Just("value".to_owned()), Just("type".to_owned()), "[a-c]{0,2}"];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map(key, inner, 0..4).prop_map(|items| Json::Object(items.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_type_survives_its_json_form(ty in types()) {
        prop_assert_eq!(Type::from_json(&ty.to_json()), Ok(ty));
    }

    #[test]
    fn a_value_survives_messagepack((ty, value) in typed_value(For::Wire)) {
        let bytes = msgpack::encode(&value, &ty).unwrap();
        let read = msgpack::decode(&bytes, &ty).unwrap();
        prop_assert!(equal(&read, &value, &ty), "{:?}", read);
        prop_assert_eq!(msgpack::encode(&read, &ty).unwrap(), bytes);
    }

    #[test]
    fn a_value_survives_the_state((ty, value) in typed_value(For::State)) {
        let text = json::encode(&value, &ty).unwrap().to_string();
        let read = json::decode(&serde_json::from_str(&text).unwrap(), &ty).unwrap();
        prop_assert!(equal(&read, &value, &ty), "{}: {:?}", text, read);
    }

    #[test]
    fn a_value_survives_plain_json((_, value) in typed_value(For::State)) {
        let plain = json::to_plain_json(&value).unwrap();
        let (ty, read) = json::from_plain_json(&plain).unwrap();
        prop_assert_eq!(json::to_plain_json(&read).unwrap(), plain);
        prop_assert!(msgpack::encode(&read, &ty).is_ok());
    }

    #[test]
    fn a_number_survives_its_text(number in finite_number()) {
        prop_assert_eq!(number.to_string().parse::<Number>(), Ok(number));
    }

    #[test]
    fn a_float_survives_as_a_number(float in any::<f64>()) {
        if let Some(number) = Number::from_f64(float).filter(|_| float.is_finite()) {
            prop_assert_eq!(number.to_string().parse::<f64>().map(|read| read - float), Ok(0.0));
        }
    }

    #[test]
    fn a_number_goes_as_a_float_only_when_that_is_exact(number in finite_number()) {
        let bytes = msgpack::encode(&Value::Number(number.clone()), &Type::Number).unwrap();
        if let [0xcb, float @ ..] = bytes.as_slice() {
            let float = f64::from_be_bytes(float.try_into().unwrap());
            // No float has more than 1074 digits after the point.
            prop_assert_eq!(format!("{float:.1074}").parse::<Number>(), Ok(number));
        }
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(ty in types(), bytes in vec(any::<u8>(), 0..64)) {
        ends_well(&bytes, &ty)?;
        ends_well(&bytes, &Type::Dynamic)?;
    }

    #[test]
    fn damaged_bytes_end_in_a_value_or_an_error((ty, value) in typed_value(For::Wire), changes in changes()) {
        let mut bytes = msgpack::encode(&value, &ty).unwrap();
        mutate(&mut bytes, &changes);
        ends_well(&bytes, &ty)?;
    }

    #[test]
    fn damaged_types_end_in_a_type_or_an_error(ty in types(), changes in changes()) {
        let mut bytes = ty.to_json();
        mutate(&mut bytes, &changes);
        if let Ok(read) = Type::from_json(&bytes) {
            prop_assert_eq!(Type::from_json(&read.to_json()), Ok(read));
        }
    }

    #[test]
    fn any_json_ends_in_a_value_or_an_error(ty in types(), json in any_json()) {
        for ty in [&ty, &Type::Dynamic] {
            if let Ok(value) = json::decode(&json, ty) {
                let written = json::encode(&value, ty).unwrap();
                prop_assert!(equal(&json::decode(&written, ty).unwrap(), &value, ty));
            }
        }
        if let Ok((_, value)) = json::from_plain_json(&json) {
            prop_assert!(json::to_plain_json(&value).is_ok());
        }
    }
}

/// Each of these took minutes or gigabytes if its cost were not in proportion to its length.
#[test]
fn inputs_made_to_be_expensive_are_not() {
    const MANY: u32 = 100_000;
    let array = |count: u32, element: &[u8]| {
        [&[0xdd][..], &count.to_be_bytes(), &element.repeat(usize::try_from(count).unwrap())].concat()
    };
    let text = |text: &[u8]| [&[0xdb][..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat();
    let set = |element| Type::Set(Box::new(element));
    let numbers: Vec<u8> = (0..MANY).flat_map(|i| text(format!("{i}e-{}", i % 20_000).as_bytes())).collect();
    let header = [&[0xdd][..], &MANY.to_be_bytes()].concat();
    for (bytes, ty, is_value) in [
        (array(MANY, b"\xa71e20000"), set(Type::Number), true),
        ([header, numbers].concat(), set(Type::Number), true),
        (array(MANY, b"\xd4\0\0"), set(Type::Bool), true),
        (array(MANY, b"\xa3abc"), set(Type::String), true),
        (array(MANY, b"\x92\xc4\x06\"bool\"\xc3"), set(Type::Dynamic), true),
        (text(&b"9".repeat(4_000_000)), Type::Number, false),
        (text("\u{301}\u{327}".repeat(500_000).as_bytes()), Type::String, true),
        (text(b"1e99999999999"), Type::Number, false),
        (b"\x91".repeat(4_000_000), Type::Dynamic, false),
        (b"\x92\xc4\x09\"dynamic\"".repeat(400_000), Type::Dynamic, false),
        (array(3, b"\xdd\x7f\xff\xff\xff"), set(set(Type::Bool)), false),
    ] {
        let value = msgpack::decode(&bytes, &ty);
        assert_eq!(value.is_ok(), is_value, "{ty}: {:?}", value.err());
        if let Ok(value) = value {
            let written = msgpack::encode(&value, &ty).unwrap();
            assert!(written.len() <= 2 * bytes.len(), "{ty}");
        }
    }
}
