//! The life of a resource: planned, made, refreshed, changed, replaced, imported, destroyed.

use serde_json::{Value as Json, json};
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use crate::value::Value;
use crate::wire;

use super::host::{Host, Stored, THING, a_thing, decode, path, thing, told};

fn private(stored: &[u8]) -> Json {
    serde_json::from_slice(stored).unwrap()
}

fn config() -> Value {
    a_thing(&json!({"sql": "select 1", "password": "secret", "tags": ["y", "x"], "any": "dyn",
        "columns": {"k": {"type": "int", "secret": "s"}}}))
}

#[tokio::test]
async fn a_created_thing_plans_empty_with_and_without_refresh() {
    let host = Host::configured().await;
    let plan = host.plan(&Stored::default(), &config()).await;
    assert_eq!(plan.diagnostics, []);
    assert_eq!(plan.requires_replace, []);
    let planned = thing(&json!({"name": "a", "schema": "public", "sql": "select 1", "tags": ["x", "y"], "any": "dyn",
        "columns": {"k": {"type": "int", "nullable": "?"}}, "id": "?", "revision": "?"}));
    assert!(crate::equality::equal(
        &crate::schema::object_type(&super::provider::thing_attributes()),
        &decode(plan.planned_state.as_ref()),
        &planned
    ));

    let stored = host.make(&Stored::default(), &config()).await;
    let made = thing(&json!({"name": "a", "schema": "public", "sql": "select 1", "tags": ["x", "y"], "any": "dyn",
        "columns": {"k": {"type": "int", "nullable": true}}, "id": "thing:a", "revision": 1}));
    assert_eq!(stored.value, made, "the database's spelling of sql is not a difference");
    assert!(host.log().contains(&"created with password \"secret\"".to_owned()));

    for prior in [stored.clone(), host.refresh(&stored).await] {
        let plan = host.plan(&prior, &config()).await;
        assert_eq!(plan.diagnostics, []);
        assert_eq!(decode(plan.planned_state.as_ref()), prior.value);
        assert_eq!(plan.requires_replace, []);
    }
}

#[tokio::test]
async fn drift_is_seen_and_repaired() {
    let host = Host::configured().await;
    let config = a_thing(&json!({"note": "mine", "sql": "select 1"}));
    let stored = host.make(&Stored::default(), &config).await;
    host.world.things.lock().unwrap().get_mut("a").unwrap().set("note", "theirs".into());

    let refreshed = host.refresh(&stored).await;
    assert_eq!(refreshed.value.get("note").as_str(), Some("theirs"));
    assert_eq!(refreshed.value.get("sql").as_str(), Some("select 1"), "spelling is no drift");
    let repaired = host.make(&refreshed, &config).await;
    assert_eq!(repaired.value.get("note").as_str(), Some("mine"));

    host.world.things.lock().unwrap().clear();
    let gone = host.read(&repaired).await;
    assert_eq!(gone.diagnostics, []);
    assert!(wire::is_null(gone.new_state.as_ref()), "gone");
}

#[tokio::test]
async fn an_update_makes_computed_values_unknown_and_keeps_the_identity() {
    let host = Host::configured().await;
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    let config = a_thing(&json!({"note": "new"}));
    let plan = host.plan(&stored, &config).await;
    let planned = decode(plan.planned_state.as_ref());
    assert_eq!(planned.get("id"), stored.value.get("id"));
    assert!(planned.get("revision").is_unknown());
    assert_eq!(plan.requires_replace, []);
    let updated = host.make(&stored, &config).await;
    assert_eq!(updated.value.get("revision").as_i64(), Some(2));
    assert_eq!(updated.identity, stored.identity);

    let before = Stored { identity: None, ..updated };
    let updated = host.make(&before, &a_thing(&json!({"note": "newer"}))).await;
    assert_eq!(updated.identity, None, "a CLI that knows no identities sends none");
}

#[tokio::test]
async fn a_replacement_asks_twice_and_hands_its_private_state_on() {
    let host = Host::configured().await;
    let stored = host.refresh(&host.make(&Stored::default(), &a_thing(&json!({}))).await).await;
    host.log();
    let renamed = thing(&json!({"name": "b"}));
    let first = host.plan(&stored, &renamed).await;
    assert_eq!(first.requires_replace.iter().map(|p| path(Some(p))).collect::<Vec<_>>(), ["name"]);
    assert_eq!(private(&first.planned_private)["planned"], json!(false));
    assert_eq!(private(&first.planned_private)["read"], json!(true), "what was there is kept");

    let nothing = Stored { private: first.planned_private.clone(), ..Stored::default() };
    let second = host.plan(&nothing, &renamed).await;
    assert_eq!(second.diagnostics, []);
    assert_eq!(second.requires_replace, []);
    assert!(decode(second.planned_state.as_ref()).get("id").is_unknown());
    assert_eq!(private(&second.planned_private)["read"], json!(true), "starts as a copy of the first call's");
    assert_eq!(private(&second.planned_private)["planned"], json!(true));

    let destroyed = host
        .apply(
            &stored.value,
            &Value::Null,
            &proto::plan_resource_change::Response {
                planned_state: Some(wire::null()),
                planned_private: second.planned_private.clone(),
                ..Default::default()
            },
        )
        .await;
    assert_eq!(destroyed.diagnostics, []);
    assert!(host.log().iter().any(|act| act.starts_with("deleted with private") && act.contains("\"planned\":true")));
    let created = host.apply(&Value::Null, &renamed, &second).await;
    assert_eq!(created.diagnostics, []);
    assert_eq!(decode(created.new_state.as_ref()).get("id").as_str(), Some("thing:b"));
}

#[tokio::test]
async fn a_taint_is_a_create_that_knows_nothing_of_the_object() {
    let host = Host::configured().await;
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    // Of a tainted object the CLI hands on neither the state nor what was private.
    let plan = host.plan(&Stored::default(), &a_thing(&json!({}))).await;
    assert_eq!(plan.diagnostics, []);
    let planned = decode(plan.planned_state.as_ref());
    assert!(planned.get("id").is_unknown() && planned.get("revision").is_unknown());
    // And yet this is what the delete half of the replacement is given.
    assert_eq!(private(&plan.planned_private), json!({"planned": true}));
    let nothing = proto::plan_resource_change::Response { planned_state: Some(wire::null()), ..plan };
    let destroyed = host.apply(&stored.value, &Value::Null, &nothing).await;
    assert_eq!(destroyed.diagnostics, []);
    assert!(host.log().contains(&r#"deleted with private {"planned":true}"#.to_owned()));
}

#[tokio::test]
async fn a_destroy_is_planned_null_and_may_be_refused() {
    let host = Host::configured().await;
    for (note, refused) in [("keep", true), ("", false)] {
        let stored = host.make(&Stored::default(), &a_thing(&json!({"note": note}))).await;
        let plan = host.plan(&stored, &Value::Null).await;
        if refused {
            assert_eq!(told(&plan.diagnostics), ["error : Not destroyed"]);
            assert_eq!(plan.planned_state, None);
            continue;
        }
        assert_eq!(plan.diagnostics, []);
        assert!(wire::is_null(plan.planned_state.as_ref()));
        assert_eq!(plan.planned_private, stored.private, "private state is the prior one, to the byte");
        let applied = host.apply(&stored.value, &Value::Null, &plan).await;
        assert_eq!(applied.diagnostics, []);
        assert!(wire::is_null(applied.new_state.as_ref()));
        assert!(host.world.things.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_import_by_id_or_identity_is_read_and_plans_empty() {
    let host = Host::configured().await;
    let made = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    for (id, identity) in [("a", None), ("", made.identity.clone())] {
        let request = proto::import_resource_state::Request {
            type_name: THING.into(),
            id: id.into(),
            identity,
            ..Default::default()
        };
        let response = host.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(response.diagnostics, []);
        let [imported] = &response.imported_resources[..] else { panic!("exactly one") };
        assert_eq!(imported.type_name, THING);
        assert_eq!(decode(imported.state.as_ref()), a_thing(&json!({})), "the rest is null");
        let imported = Stored {
            value: decode(imported.state.as_ref()),
            private: imported.private.clone(),
            identity: imported.identity.clone(),
        };
        assert_eq!(imported.identity.is_some(), id.is_empty());
        let read = host.refresh(&imported).await;
        assert_eq!(read.value, made.value);
        assert_eq!(private(&read.private), json!({"imported": true, "read": true}));
        let plan = host.plan(&read, &a_thing(&json!({}))).await;
        assert_eq!(decode(plan.planned_state.as_ref()), read.value);
    }
}

#[tokio::test]
async fn a_failed_create_remembers_what_the_resource_says_is_left() {
    let host = Host::with_fault("partial create").await;
    let plan = host.plan(&Stored::default(), &a_thing(&json!({}))).await;
    let half = host.apply(&Value::Null, &a_thing(&json!({})), &plan).await;
    assert_eq!(told(&half.diagnostics), ["error : Half done"]);
    assert_eq!(decode(half.new_state.as_ref()).get("id").as_str(), Some("thing:a"));

    host.set_fault("warn and fail in create");
    let nothing = host.apply(&Value::Null, &a_thing(&json!({})), &plan).await;
    assert_eq!(told(&nothing.diagnostics), ["warning : Beware", "error : One", "error : Two"], "all of them arrive");
    assert!(wire::is_null(nothing.new_state.as_ref()));

    host.set_fault("no reason");
    let silent = host.apply(&Value::Null, &a_thing(&json!({})), &plan).await;
    assert_eq!(told(&silent.diagnostics), ["error : Failed without a reason"]);
}

#[tokio::test]
async fn unknown_values_of_the_configuration_are_planned_unknown() {
    let host = Host::configured().await;
    let config = thing(&json!({"name": "?", "note": "?", "columns": {"k": {"type": "?"}}, "tags": ["x", "?"]}));
    let plan = host.plan(&Stored::default(), &config).await;
    assert_eq!(plan.diagnostics, []);
    let planned = decode(plan.planned_state.as_ref());
    for attribute in ["name", "note", "tags"] {
        assert_eq!(planned.get(attribute), config.get(attribute));
    }
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    let plan = host.plan(&stored, &config).await;
    assert_eq!(plan.requires_replace.len(), 1, "a name that may change replaces");
}
