//! Validation and configuring.

use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use crate::value::Value;

use super::host::{Host, THING, a_thing, configure_request, encode, encode_as, thing, told};

async fn validate(host: &Host, config: &Value, write_only: bool) -> Vec<String> {
    let request = proto::validate_resource_config::Request {
        type_name: THING.into(),
        config: Some(encode(config)),
        client_capabilities: Some(proto::ClientCapabilities {
            write_only_attributes_allowed: write_only,
            ..Default::default()
        }),
    };
    told(&host.service.validate_resource_config(Request::new(request)).await.unwrap().into_inner().diagnostics)
}

#[tokio::test]
async fn resources() {
    let host = Host::new();
    let none: [&str; 0] = [];
    assert_eq!(validate(&host, &a_thing(&json!({"password": "x"})), true).await, none);
    assert_eq!(validate(&host, &thing(&json!({"name": "?", "timeouts": {"create": "?"}})), true).await, none);
    let wrong = thing(&json!({"id": "x", "password": "x", "columns": {"k": {}}, "timeouts": {"create": "soon"}}));
    assert_eq!(
        validate(&host, &wrong, false).await,
        [
            "error name: Missing Configuration for Required Attribute",
            "error password: Write-only Attribute Not Allowed",
            "error columns.[k]: Missing Configuration for Required Attribute",
            "error id: Invalid Configuration for Read-Only Attribute",
            "error timeouts.[create]: Invalid timeout",
        ]
    );
    let long = thing(&json!({"name": "much too long"}));
    assert_eq!(validate(&host, &long, true).await, ["error name: Name too long"]);
    let both = a_thing(&json!({"note": "n", "old": "o"}));
    assert_eq!(validate(&host, &both, true).await, ["error old: Both note and old"]);
    let all = thing(&json!({"name": "much too long", "note": "n", "old": "o"}));
    assert_eq!(validate(&host, &all, true).await, ["error name: Name too long", "error old: Both note and old"]);
}

#[tokio::test]
async fn the_provider_block() {
    let host = Host::new();
    for (name, expected) in [("db", vec![]), ("", vec!["error host: Empty host"])] {
        let config = configure_request(name.into()).config;
        let request = proto::validate_provider_config::Request { config };
        let response = host.service.validate_provider_config(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(told(&response.diagnostics), expected);
    }
    assert_eq!(told(&host.configure("refuse".into()).await), ["error host: Refused"]);
    let empty = proto::configure_provider::Request::default();
    let response = host.service.configure_provider(Request::new(empty)).await.unwrap().into_inner();
    assert_eq!(response.diagnostics, [], "an absent block is an empty one");
}

#[tokio::test]
async fn data_sources_and_ephemeral_resources() {
    let host = Host::new();
    let ty = host.service.registry.data_sources["test_things"].ty.clone();
    for (prefix, expected) in [
        (Value::from("a"), vec![]),
        (Value::unknown(), vec![]),
        (Value::Null, vec!["error prefix: Missing Configuration for Required Attribute"]),
        ("".into(), vec!["error prefix: Empty prefix"]),
    ] {
        let pairs = [("prefix", prefix), ("limit", Value::Null), ("things", Value::Null), ("from", Value::Null)];
        let config = Some(encode_as(&Value::object(pairs), &ty));
        let type_name = || "test_things".to_owned();
        let request = proto::validate_data_resource_config::Request { type_name: type_name(), config: config.clone() };
        let data = host.service.validate_data_resource_config(Request::new(request)).await.unwrap().into_inner();
        let request = proto::validate_ephemeral_resource_config::Request { type_name: type_name(), config };
        let twin = host.service.validate_ephemeral_resource_config(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(told(&data.diagnostics), expected);
        assert_eq!(told(&twin.diagnostics), expected);
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_an_error_and_no_status() {
    let host = Host::new();
    for msgpack in [vec![0xc1], vec![0x81, 0xa4, b'n', b'a', b'm', b'e'], vec![0x80], vec![0x92, 0xc0, 0xc0]] {
        let config = Some(proto::DynamicValue { msgpack, json: Vec::new() });
        let request =
            proto::validate_resource_config::Request { type_name: THING.into(), config, ..Default::default() };
        let response = host.service.validate_resource_config(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(told(&response.diagnostics), ["error : Cannot read a value from the CLI"]);
    }
}
