//! Do we read and write values byte for byte as the CLI does? `cty.json` holds values that its own library wrote.
//!
//! **Invariant:** where our bytes differ from the CLI's, they must still be read as the same value.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use serde_json::Value as Json;
use tfplugin::codec::{json, msgpack};
use tfplugin::testing::surfaces::equal;
use tfplugin::types::Type;

/// The one vector that we write differently: a fraction that is no exact float goes as decimal text, which the CLI
/// reads as an equal number.
const WRITTEN_DIFFERENTLY: [&str; 1] = ["num_0.8_float"];

struct Vector {
    name: String,
    ty: Type,
    bytes: Vec<u8>,
    json: Option<Json>,
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Json> = serde_json::from_str(include_str!("cty.json")).unwrap();
    all.iter()
        .map(|vector| {
            let hex = vector["msgpack_hex"].as_str().unwrap();
            Vector {
                name: vector["name"].as_str().unwrap().to_owned(),
                ty: Type::from_json(vector["type"].to_string().as_bytes()).unwrap(),
                bytes: (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect(),
                // A vector without JSON holds something that JSON cannot say, which is not the same as null.
                json: vector.get("json").cloned(),
            }
        })
        .collect()
}

#[test]
fn there_are_all_vectors() {
    assert_eq!(vectors().len(), 56);
}

#[test]
fn messagepack_reads_and_writes_like_the_cli() {
    for Vector { name, ty, bytes, .. } in vectors() {
        let value = msgpack::decode(&bytes, &ty).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = msgpack::encode(&value, &ty).unwrap_or_else(|error| panic!("{name}: {error}"));
        if WRITTEN_DIFFERENTLY.contains(&name.as_str()) {
            assert_ne!(written, bytes, "{name} is no exception any more");
        } else {
            assert_eq!(written, bytes, "{name}: {value:?}");
        }
        assert_eq!(msgpack::decode(&written, &ty).unwrap(), value, "{name}");
    }
}

#[test]
fn json_reads_and_writes_like_the_cli() {
    for Vector { name, ty, bytes, json } in vectors() {
        let value = msgpack::decode(&bytes, &ty).unwrap();
        let Some(expected) = json else {
            assert!(json::encode(&value, &ty).is_err(), "{name} is unknown or infinite, which JSON cannot say");
            continue;
        };
        let read = json::decode(&expected, &ty).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(equal(&read, &value, &ty), "{name}: {read:?} is not {value:?}");
        let written = json::encode(&value, &ty).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(written.to_string(), expected.to_string(), "{name}");
    }
}

#[test]
fn every_type_is_written_as_it_was_read() {
    let all: Vec<Json> = serde_json::from_str(include_str!("cty.json")).unwrap();
    for vector in all {
        let text = vector["type"].to_string();
        assert_eq!(String::from_utf8(Type::from_json(text.as_bytes()).unwrap().to_json()).unwrap(), text);
    }
}
