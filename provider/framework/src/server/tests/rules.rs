//! For each numbered rule, a resource that breaks it and is caught before the CLI sees it.

use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use crate::schema::{Attribute, Mode};
use crate::types::Type;
use crate::value::Value;
use crate::wire;

use super::host::{Host, Stored, THING, a_thing, decode, encode_as, path};

/// Checks that there is one diagnostic, which names the type, the attribute and the rule.
fn assert_names(diagnostics: &[proto::Diagnostic], fault: &str, attribute: &str) {
    let rule = fault.split(' ').next().unwrap();
    let [diagnostic] = diagnostics else { panic!("{fault}: {diagnostics:#?}") };
    assert_eq!(diagnostic.severity, 1);
    assert!(diagnostic.detail.contains(&format!("(rule {rule})")), "{fault}: {}", diagnostic.detail);
    assert!(diagnostic.summary.contains("test_thing"), "{fault}: {}", diagnostic.summary);
    assert_eq!(path(diagnostic.attribute.as_ref()), attribute, "{fault}");
    assert!(!diagnostic.detail.contains("secret"), "no value is shown: {}", diagnostic.detail);
}

#[tokio::test]
async fn plans() {
    let config = a_thing(&json!({"note": "n", "password": "secret", "columns": {"k": {"type": "int"}}}));
    for (fault, attribute) in [
        ("P1", ""),
        ("P2", "note"),
        ("P3", "size"),
        ("P6", "note"),
        ("P7", "password"),
        ("P8", "columns"),
        ("W1", ""),
        ("W2", "revision"),
    ] {
        let host = Host::with_fault(fault).await;
        let plan = host.plan(&Stored::default(), &config).await;
        assert_names(&plan.diagnostics, fault, attribute);
        assert_eq!(plan.planned_state, None, "never a half answer");
        assert_eq!(plan.planned_private, b"");
    }
    let host = Host::with_fault("P5").await;
    let plan = host.plan(&Stored::default(), &a_thing(&json!({"note": "?"}))).await;
    assert_names(&plan.diagnostics, "P5", "note");
}

#[tokio::test]
async fn plans_of_updates() {
    let host = Host::configured().await;
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    for (fault, attribute) in [("P10", ""), ("P11", "")] {
        host.set_fault(fault);
        let plan = host.plan(&stored, &a_thing(&json!({"note": "n"}))).await;
        assert_names(&plan.diagnostics, fault, attribute);
        assert_eq!(plan.planned_state, None);
    }
}

#[tokio::test]
async fn results_of_an_apply() {
    let config = a_thing(&json!({"note": "n", "tags": ["t"], "columns": {"k": {"type": "int"}}}));
    for (fault, attribute, remembers_result) in [
        ("A1", "note", true),
        ("A2", "size", true),
        ("A3", "columns", true),
        ("A4", "tags", true),
        ("A6", "revision", false),
        ("A7", "", true),
        ("A9", "password", false),
        ("A10", "name", false),
        ("W1 in apply", "", false),
        ("W2 in apply", "revision", false),
    ] {
        let host = Host::configured().await;
        let plan = host.plan(&Stored::default(), &config).await;
        host.set_fault(fault);
        let applied = host.apply(&Value::Null, &config, &plan).await;
        assert_names(&applied.diagnostics, fault, attribute);
        let state = decode(applied.new_state.as_ref());
        if fault == "A7" {
            assert!(state.is_null());
            continue;
        }
        assert_eq!(state.get("name").as_str(), Some("a"), "{fault}: what was made is not forgotten");
        assert!(state.is_wholly_known(), "{fault}");
        let whole = state.get("revision").as_i64() == Some(1);
        assert_eq!(whole, remembers_result || fault == "A10", "{fault}");
    }
}

#[tokio::test]
async fn what_a_failed_apply_leaves() {
    let host = Host::configured().await;
    let config = a_thing(&json!({}));
    let plan = host.plan(&Stored::default(), &config).await;
    host.set_fault("A10 in a failed create");
    let applied = host.apply(&Value::Null, &config, &plan).await;
    let [failure, violation] = &applied.diagnostics[..] else { panic!("{:?}", applied.diagnostics) };
    assert_eq!(failure.summary, "Half done");
    assert!(violation.detail.contains("(rule A10)"), "{}", violation.detail);
    assert_eq!(applied.new_identity, None);
    assert_eq!(decode(applied.new_state.as_ref()).get("name").as_str(), Some("a"), "what is left is remembered");
}

#[tokio::test]
async fn results_of_an_update() {
    let host = Host::configured().await;
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    let config = a_thing(&json!({"note": "n"}));
    let plan = host.plan(&stored, &config).await;
    host.set_fault("A6");
    let applied = host.apply(&stored.value, &config, &plan).await;
    assert_names(&applied.diagnostics, "A6", "revision");
    assert!(wire::is_null(applied.new_state.as_ref()), "with an error and null, the CLI keeps the state before");
}

#[tokio::test]
async fn reads() {
    let host = Host::configured().await;
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    for (fault, attribute) in [("F1", ""), ("F2", "note"), ("F5", "password"), ("F7", "")] {
        host.set_fault(fault);
        let read = host.read(&stored).await;
        assert_names(&read.diagnostics, fault, attribute);
        assert_eq!(read.new_state, None);
    }
    host.set_fault("F6");
    let read = host.read(&Stored { identity: None, ..stored }).await;
    assert_names(&read.diagnostics, "F6", "name");
}

#[tokio::test]
async fn imports_and_moves() {
    for (fault, attribute) in [("I1", ""), ("I2", ""), ("I3", "note"), ("I4", "password"), ("I5", "name")] {
        let host = Host::with_fault(fault).await;
        let request =
            proto::import_resource_state::Request { type_name: THING.into(), id: "a".into(), ..Default::default() };
        let response = host.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        assert_names(&response.diagnostics, fault, attribute);
        assert_eq!(response.imported_resources, []);
    }
    for (fault, attribute) in [("M1", ""), ("M2", "note"), ("M3", "password")] {
        let host = Host::with_fault(fault).await;
        let request = proto::move_resource_state::Request {
            target_type_name: THING.into(),
            source_type_name: "test_other".into(),
            source_state: Some(proto::RawState { json: br#"{"label":"a"}"#.to_vec(), ..Default::default() }),
            ..Default::default()
        };
        let response = host.service.move_resource_state(Request::new(request)).await.unwrap().into_inner();
        assert_names(&response.diagnostics, fault, attribute);
        assert_eq!(response.target_state, None);
    }
}

#[tokio::test]
async fn upgrades() {
    let host = Host::with_fault("U1").await;
    let request = proto::upgrade_resource_state::Request {
        type_name: THING.into(),
        version: 1,
        raw_state: Some(proto::RawState { json: br#"{"name":"a"}"#.to_vec(), ..Default::default() }),
    };
    let response = host.service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
    assert_names(&response.diagnostics, "U1", "");
    assert_eq!(response.upgraded_state, None, "a state is never lost in silence");
    let request = proto::upgrade_resource_identity::Request {
        type_name: THING.into(),
        version: 0,
        raw_identity: Some(proto::RawState { json: b"null".to_vec(), ..Default::default() }),
    };
    let response = host.service.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((response.diagnostics.len(), response.upgraded_identity), (1, None));
}

#[tokio::test]
async fn a_required_attribute_is_generated_though_it_is_deprecated() {
    let required = Attribute::new("a", Type::String, Mode::Required, "").deprecated("No more.");
    let optional = Attribute { name: "b", mode: Mode::Optional, ..required.clone() };
    let state = Value::object([("a", Value::from("x")), ("b", Value::from("y"))]);
    let expected = Value::object([("a", Value::from("x")), ("b", Value::Null)]);
    assert_eq!(crate::server::generate::config(&[required, optional], state), expected);
}

#[tokio::test]
async fn data_sources() {
    let host = Host::configured().await;
    let ty = host.service.registry.data_sources["test_things"].ty.clone();
    let config =
        Value::object([("prefix", "a".into()), ("limit", Value::Null), ("things", Value::Null), ("from", Value::Null)]);
    for (number, of) in [(1, "whole"), (2, "known"), (3, "form"), (4, "echo")] {
        let fault = format!("D{number}");
        host.set_fault(&fault);
        let request = proto::read_data_source::Request {
            type_name: "test_things".into(),
            config: Some(encode_as(&config, &ty)),
            ..Default::default()
        };
        let response = host.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
        assert!(response.diagnostics[0].detail.contains(&format!("(rule {fault})")), "{of}: {response:?}");
        assert_eq!(response.state, None);
        let request = proto::open_ephemeral_resource::Request {
            type_name: "test_things".into(),
            config: Some(encode_as(&config, &ty)),
            ..Default::default()
        };
        let response = host.service.open_ephemeral_resource(Request::new(request)).await.unwrap().into_inner();
        let rule = ["E1", "E2", "E1", "D4"][number - 1];
        assert!(response.diagnostics[0].detail.contains(&format!("(rule {rule})")), "{of}: {response:?}");
        assert_eq!(response.result, None);
    }
}

#[tokio::test]
async fn places_of_diagnostics() {
    let host = Host::with_fault("G1").await;
    let plan = host.plan(&Stored::default(), &a_thing(&json!({}))).await;
    let places: Vec<_> = plan.diagnostics.iter().map(|told| path(told.attribute.as_ref())).collect();
    assert_eq!(places, ["tags", ""], "the set, since no path leads into it, and nothing where nothing is");
    assert!(plan.planned_state.is_some(), "a wrong place is no reason to fail");
}
