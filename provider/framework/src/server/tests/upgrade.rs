//! Stored states of every version, and moved ones.

use std::collections::HashMap;

use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use super::host::{Host, THING, a_thing, decode, thing, told};

async fn upgrade(version: i64, json: &str) -> proto::upgrade_resource_state::Response {
    let raw_state = Some(proto::RawState { json: json.into(), ..Default::default() });
    let request = proto::upgrade_resource_state::Request { type_name: THING.into(), version, raw_state };
    Host::new().service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn states_of_every_version_are_understood() {
    for (version, json, expected) in [
        (2, r#"{"name": "a", "size": 5}"#, a_thing(&json!({"size": 5}))),
        (
            2,
            "{\n  \"name\": \"a\",\n  \"gone\": {\"x\": [1]},\n  \"columns\": {\"k\": {\"type\": \"int\", \"old\": 1}}\n}",
            a_thing(&json!({"columns": {"k": {"type": "int"}}})),
        ),
        (1, r#"{"name": "a", "size": "5"}"#, a_thing(&json!({"size": 5}))),
        (0, r#"{"title": "a", "size": "5"}"#, a_thing(&json!({"size": 5}))),
        (2, r#"{"name": "a", "any": {"value": "x", "type": "string"}}"#, a_thing(&json!({"any": "x"}))),
        (2, r#"{"name": "a", "password": "leaked"}"#, a_thing(&json!({}))),
        (2, "null", crate::value::Value::Null),
    ] {
        let response = upgrade(version, json).await;
        assert_eq!(response.diagnostics, [], "{json}");
        assert_eq!(decode(response.upgraded_state.as_ref()), expected, "{json}");
    }
}

#[tokio::test]
async fn numbers_keep_all_their_digits() {
    let response = upgrade(2, r#"{"name": "a", "size": 12345678901234567890123.000000000000000000001}"#).await;
    assert_eq!(response.diagnostics, []);
    let size = decode(response.upgraded_state.as_ref()).get("size").as_number().unwrap().to_string();
    assert_eq!(size, "12345678901234567890123.000000000000000000001");
}

#[tokio::test]
async fn what_cannot_be_upgraded_is_refused() {
    for (version, json, expected) in [
        (3, r#"{"name": "a"}"#, "error : State of a later version"),
        (2, "{", "error : State cannot be read"),
        (2, r#"{"name": ["a"]}"#, "error : State cannot be read"),
        (2, "[]", "error : State cannot be read"),
        (1, r#"{"name": "a", "size": "many"}"#, "error : Bad size"),
    ] {
        let response = upgrade(version, json).await;
        assert_eq!(told(&response.diagnostics), [expected], "{json}");
        assert_eq!(response.upgraded_state, None);
    }
    let flatmap = HashMap::from([("name".to_owned(), "a".to_owned())]);
    let raw_state = Some(proto::RawState { json: Vec::new(), flatmap: flatmap.into_iter().collect() });
    let request = proto::upgrade_resource_state::Request { type_name: THING.into(), version: 0, raw_state };
    let response = Host::new().service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : State cannot be read"]);
    assert!(response.diagnostics[0].detail.contains("0.12"));
}

#[tokio::test]
async fn identities() {
    let host = Host::new();
    for (version, json, expected) in [
        (0, r#"{"name": "a"}"#, ""),
        (1, r#"{"name": "a"}"#, "error : Identity cannot be read"),
        (0, r#"{"name": []}"#, "error : Identity cannot be read"),
    ] {
        let raw_identity = Some(proto::RawState { json: json.into(), ..Default::default() });
        let request = proto::upgrade_resource_identity::Request { type_name: THING.into(), version, raw_identity };
        let response = host.service.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(told(&response.diagnostics).concat(), expected, "{json}");
        assert_eq!(response.upgraded_identity.is_some(), expected.is_empty());
    }
}

#[tokio::test]
async fn a_move_is_taken_over_only_from_a_type_that_the_resource_knows() {
    let host = Host::new();
    for (source, known) in [("test_other", true), ("null_resource", false), ("terraform_data", false)] {
        let request = proto::move_resource_state::Request {
            source_provider_address: "example.com/other/other".into(),
            source_type_name: source.into(),
            source_state: Some(proto::RawState { json: br#"{"label":"a"}"#.to_vec(), ..Default::default() }),
            target_type_name: THING.into(),
            ..Default::default()
        };
        let response = host.service.move_resource_state(Request::new(request)).await.unwrap().into_inner();
        if known {
            assert_eq!(response.diagnostics, []);
            assert_eq!(decode(response.target_state.as_ref()), thing(&json!({"name": "a"})));
        } else {
            assert_eq!(told(&response.diagnostics), ["error : Unsupported move between resource types"]);
            assert!(response.diagnostics[0].detail.contains(source), "{:?}", response.diagnostics);
            assert_eq!(response.target_state, None);
        }
    }
}

#[tokio::test]
async fn the_same_type_under_another_address_is_a_state_of_ours() {
    let host = Host::new();
    let moved = async |address: &str, version, state: &str| {
        let raw = |json: &str| Some(proto::RawState { json: json.into(), ..Default::default() });
        let request = proto::move_resource_state::Request {
            source_provider_address: address.into(),
            source_type_name: THING.into(),
            source_schema_version: version,
            source_state: raw(state),
            source_private: br#"{"kept":true}"#.to_vec(),
            source_identity: raw(r#"{"name": "a"}"#),
            target_type_name: THING.into(),
            ..Default::default()
        };
        host.service.move_resource_state(Request::new(request)).await.unwrap().into_inner()
    };
    let fork = "registry.example.com/someone/test";
    for (version, state) in [(2, r#"{"name": "a", "size": 5, "gone": 1}"#), (0, r#"{"title": "a", "size": "5"}"#)] {
        let response = moved(fork, version, state).await;
        assert_eq!(response.diagnostics, []);
        assert_eq!(decode(response.target_state.as_ref()), a_thing(&json!({"size": 5})));
        assert_eq!(response.target_private, br#"{"kept":true}"#);
        assert!(response.target_identity.is_some());
    }
    for (address, version, expected) in [
        (fork, 3, "error : State of a later version"),
        ("registry.example.com/someone/other", 2, "error : Unsupported move between resource types"),
    ] {
        let response = moved(address, version, r#"{"name": "a"}"#).await;
        assert_eq!(told(&response.diagnostics), [expected]);
        assert_eq!(response.target_state, None);
    }
}
