//! For each numbered rule, a resource that breaks it and is caught before the CLI sees it.

use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

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
    for (fault, attribute) in [("P10", "nothing"), ("P11", "")] {
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
        ("A10", "", false),
        ("W1 in apply", "", false),
        ("W2 in apply", "revision", false),
    ] {
        let host = Host::configured().await;
        let plan = host.plan(&Stored::default(), &config).await;
        host.set_fault(fault);
        let applied = host.apply(&Value::Null, &config, &plan).await;
        if fault == "A10" {
            // The value of the wrong type is reported as one of its attribute.
            assert!(applied.diagnostics[0].detail.contains("(rule W2)"), "{:?}", applied.diagnostics);
        } else {
            assert_names(&applied.diagnostics, fault, attribute);
        }
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
    for (fault, rule, attribute) in [("F1", "W1", ""), ("F2", "F2", "note"), ("F5", "F5", "password"), ("F7", "F7", "")]
    {
        host.set_fault(fault);
        let read = host.read(&stored).await;
        assert_names(&read.diagnostics, rule, attribute);
        assert_eq!(read.new_state, None);
    }
    host.set_fault("F6");
    let read = host.read(&Stored { identity: None, ..stored }).await;
    assert_names(&read.diagnostics, "F6", "name");
}

#[tokio::test]
async fn imports_and_moves() {
    for (fault, attribute) in [("F1 in import", ""), ("F2 in import", "note"), ("F5 in import", "password")] {
        let host = Host::with_fault(fault).await;
        let request =
            proto::import_resource_state::Request { type_name: THING.into(), id: "a".into(), ..Default::default() };
        let response = host.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        assert_names(&response.diagnostics, fault, attribute);
        assert_eq!(response.imported_resources, []);
    }
    let host = Host::with_fault("F2 in move").await;
    let request = proto::move_resource_state::Request {
        target_type_name: THING.into(),
        source_type_name: "test_other".into(),
        source_state: Some(proto::RawState { json: br#"{"label":"a"}"#.to_vec(), ..Default::default() }),
        ..Default::default()
    };
    let response = host.service.move_resource_state(Request::new(request)).await.unwrap().into_inner();
    assert_names(&response.diagnostics, "F2", "note");
    assert_eq!(response.target_state, None);
}

#[tokio::test]
async fn data_sources() {
    let host = Host::configured().await;
    let ty = host.service.registry.data_sources["test_things"].ty.clone();
    let config =
        Value::object([("prefix", "a".into()), ("limit", Value::Null), ("things", Value::Null), ("from", Value::Null)]);
    for (fault, rule) in [("D1", "D1"), ("D2", "D2"), ("D3", "W2")] {
        host.set_fault(fault);
        let request = proto::read_data_source::Request {
            type_name: "test_things".into(),
            config: Some(encode_as(&config, &ty)),
            ..Default::default()
        };
        let response = host.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
        assert!(response.diagnostics[0].detail.contains(&format!("(rule {rule})")), "{fault}: {response:?}");
        assert_eq!(response.state, None);
    }
}
