//! Schemas, data sources, ephemeral resources, functions, generated configurations.

use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::{Code, Request};

use crate::server::Registry;
use crate::types::Type;
use crate::value::Value;
use crate::wire;

use super::host::{Host, Stored, THING, a_thing, decode, encode, encode_as, told};
use super::provider::{TestProvider, dynamic};

#[tokio::test]
async fn the_schema_says_what_the_provider_offers() {
    let host = Host::new();
    assert_eq!(Registry::new(TestProvider { world: host.world.clone() }).check(), Vec::<String>::new());
    let schema = || async {
        let request = Request::new(proto::get_provider_schema::Request {});
        host.service.get_provider_schema(request).await.unwrap().into_inner()
    };
    let described = schema().await;
    let capabilities = described.server_capabilities.unwrap();
    assert!(capabilities.plan_destroy && capabilities.get_provider_schema_optional);
    assert!(capabilities.move_resource_state && capabilities.generate_resource_config);
    let provider = described.provider.clone().unwrap().block.unwrap();
    assert!(provider.attributes.iter().all(|a| a.optional && !a.computed), "a provider block computes nothing");
    let thing = &described.resource_schemas[THING];
    assert_eq!(thing.version, 2);
    let block = thing.block.as_ref().unwrap();
    let attribute = |name: &str| block.attributes.iter().find(|a| a.name == name).unwrap();
    assert!(attribute("name").required && !attribute("name").optional && !attribute("name").computed);
    assert!(attribute("schema").optional && attribute("schema").computed);
    assert!(attribute("id").computed && !attribute("id").optional);
    assert!(attribute("password").write_only);
    assert_eq!(attribute("old").deprecation_message, "Use note.");
    assert_eq!(attribute("tags").r#type, br#"["set","string"]"#);
    let columns = attribute("columns");
    assert_eq!(columns.r#type, b"", "either a type or a nested type");
    assert_eq!(columns.nested_type.as_ref().unwrap().nesting(), proto::schema::object::NestingMode::Map);
    assert_eq!(described.ephemeral_resource_schemas.len(), 1);
    assert_eq!(described.functions["join"].parameters.len(), 2);
    assert_eq!(schema().await, described);

    let request = Request::new(proto::get_metadata::Request {});
    let metadata = host.service.get_metadata(request).await.unwrap().into_inner();
    assert_eq!(metadata.resources[0].type_name, THING);
    let request = Request::new(proto::get_resource_identity_schemas::Request {});
    let identities = host.service.get_resource_identity_schemas(request).await.unwrap().into_inner();
    assert!(identities.identity_schemas[THING].identity_attributes[0].required_for_import);
}

#[tokio::test]
async fn names_that_are_not_offered_are_errors_and_other_requests_are_unimplemented() {
    let host = Host::configured().await;
    let type_name = "test_nothing".to_owned();
    let request = proto::read_resource::Request { type_name: type_name.clone(), ..Default::default() };
    let response = host.service.read_resource(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Unknown resource"]);
    let request = proto::read_data_source::Request { type_name, ..Default::default() };
    let response = host.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Unknown data source"]);
    let request = proto::plan_action::Request::default();
    let status = host.service.plan_action(Request::new(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn data_sources_and_their_ephemeral_twins_read_the_same() {
    let host = Host::configured().await;
    host.make(&Stored::default(), &a_thing(&json!({}))).await;
    let ty = host.service.registry.data_sources["test_things"].ty.clone();
    let pairs = [("prefix", "a".into()), ("limit", Value::Null), ("things", Value::Null), ("from", Value::Null)];
    let config = Some(encode_as(&Value::object(pairs), &ty));
    let type_name = "test_things".to_owned();
    let request =
        proto::read_data_source::Request { type_name: type_name.clone(), config: config.clone(), ..Default::default() };
    let data = host.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
    let request =
        proto::open_ephemeral_resource::Request { type_name: type_name.clone(), config, ..Default::default() };
    let open = host.service.open_ephemeral_resource(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((&data.diagnostics[..], &open.diagnostics[..]), (&[][..], &[][..]));
    assert_eq!(data.state, open.result);
    let value = wire::decode(data.state.as_ref(), &ty, "state").unwrap();
    assert_eq!(value.get("limit").as_i64(), Some(100), "defaults are filled in");
    assert_eq!(value.get("from").as_str(), Some("db after 3"), "also those of the provider block");
    assert_eq!(*value.get("things"), dynamic(Type::Tuple(vec![Type::String]), vec!["a"]));

    let private = Some(b"x".to_vec());
    let request = proto::renew_ephemeral_resource::Request { type_name: type_name.clone(), private: private.clone() };
    let renewed = host.service.renew_ephemeral_resource(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(renewed, proto::renew_ephemeral_resource::Response { private, ..Default::default() });
    let request = proto::close_ephemeral_resource::Request { type_name, private: None };
    let closed = host.service.close_ephemeral_resource(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(closed.diagnostics, []);
}

#[tokio::test]
async fn functions() {
    let host = Host::new();
    let text = |text: &str| encode_as(&text.into(), &Type::String);
    let null = proto::DynamicValue::default;
    let unknown = || encode_as(&Value::unknown(), &Type::String);
    for (arguments, expected) in [
        (vec![text("a"), text("b")], Ok("ab")),
        (vec![text("a"), null()], Ok("a-")),
        (vec![null(), text("b")], Err(("null", Some(0)))),
        (vec![text("a"), unknown()], Err(("not known", Some(1)))),
        (vec![text("fail"), null()], Err(("no", Some(0)))),
        (vec![text("a")], Err(("takes 2 arguments, but got 1", None))),
        (vec![text("blame"), null()], Err(("no", None))),
        (vec![text("wrong"), null()], Err(("rule C1", None))),
        (vec![text("unknown"), null()], Err(("rule C1", None))),
    ] {
        let request = proto::call_function::Request { name: "join".into(), arguments };
        let response = host.service.call_function(Request::new(request)).await.unwrap().into_inner();
        match expected {
            Ok(result) => {
                assert_eq!(response.error, None);
                let value = wire::decode(response.result.as_ref(), &Type::String, "result").unwrap();
                assert_eq!(value.as_str(), Some(result));
            }
            Err((part, argument)) => {
                let error = response.error.unwrap();
                assert!(error.text.contains(part), "{}", error.text);
                assert_eq!(error.function_argument, argument);
                assert_eq!(response.result, None);
            }
        }
    }
    let request = proto::call_function::Request { name: "nothing".into(), arguments: Vec::new() };
    let response = host.service.call_function(Request::new(request)).await.unwrap().into_inner();
    assert!(response.error.unwrap().text.contains("Unknown function"));
    let request = Request::new(proto::get_functions::Request {});
    assert!(host.service.get_functions(request).await.unwrap().into_inner().functions.contains_key("join"));
}

#[tokio::test]
async fn a_generated_configuration_is_legal_and_plans_empty() {
    let host = Host::configured().await;
    let config = a_thing(&json!({"sql": "select 1", "columns": {"k": {"type": "int"}}, "tags": ["x"]}));
    let stored = host.make(&Stored::default(), &config).await;
    let mut state = stored.value.clone();
    state.set("old", "o".into());
    let request = proto::generate_resource_config::Request { type_name: THING.into(), state: Some(encode(&state)) };
    let response = host.service.generate_resource_config(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(response.diagnostics, []);
    let generated = decode(response.config.as_ref());
    let expected =
        a_thing(&json!({"sql": "select 1", "columns": {"k": {"type": "int", "nullable": true}}, "tags": ["x"]}));
    assert_eq!(generated, expected, "no results, no default, nothing deprecated");
    let plan = host.plan(&stored, &generated).await;
    assert_eq!(decode(plan.planned_state.as_ref()), stored.value);
}
