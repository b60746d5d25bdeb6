//! What the provider says that it offers, and its functions, as each CLI calls them.

use std::collections::BTreeSet;
use std::path::Path;

use tfplugin::testing::{Host, HostError};
use tfplugin::{Number, Type, Value};
use tfplugin_proto::tfplugin6 as proto;

use crate::stage::{Stage, each_phase_alone};

async fn host() -> Result<Host, HostError> {
    Host::start(Path::new(env!("CARGO_BIN_EXE_terraform-provider-pg")), &[]).await
}

#[tokio::test]
async fn the_metadata_names_what_the_schema_describes() {
    let host = host().await.unwrap();
    let mut client = host.client();
    let schema = client.get_provider_schema(proto::get_provider_schema::Request {}).await.unwrap().into_inner();
    let metadata = client.get_metadata(proto::get_metadata::Request {}).await.unwrap().into_inner();
    let identities = client.get_resource_identity_schemas(proto::get_resource_identity_schemas::Request {});
    let identities = identities.await.unwrap().into_inner();
    let functions = client.get_functions(proto::get_functions::Request {}).await.unwrap().into_inner();
    host.shut_down().await.unwrap();

    assert_eq!(metadata.server_capabilities, schema.server_capabilities);
    let named = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    let resources = metadata.resources.into_iter().map(|r| r.type_name).collect();
    assert_eq!(named(resources), schema.resource_schemas.keys().cloned().collect());
    let sources = metadata.data_sources.into_iter().map(|d| d.type_name).collect();
    assert_eq!(named(sources), schema.data_source_schemas.keys().cloned().collect());
    let ephemeral = metadata.ephemeral_resources.into_iter().map(|e| e.type_name).collect();
    assert_eq!(named(ephemeral), schema.ephemeral_resource_schemas.keys().cloned().collect());
    assert_eq!(
        named(metadata.functions.into_iter().map(|f| f.name).collect()),
        functions.functions.keys().cloned().collect()
    );
    assert_eq!(functions.functions, schema.functions);
    let with_identity = ["pg_table_target", "pg_vector_index"].map(str::to_owned);
    assert_eq!(identities.identity_schemas.keys().cloned().collect::<BTreeSet<_>>(), with_identity.into());
    assert!(identities.identity_schemas.values().all(|schema| schema.version == 0));
    assert!(schema.resource_schemas.values().all(|schema| schema.version == 0), "an upgrader must exist for each");
    assert_eq!(schema.data_source_schemas, schema.ephemeral_resource_schemas, "the twins take the same");
}

#[test]
fn functions_answer_the_same_in_every_cli() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let numbers =
            |texts: &[&str]| Value::List(texts.iter().map(|text| Value::Number(text.parse().unwrap())).collect());
        for (name, argument, expected) in [
            ("quote_ident", Value::from("Order \"x\""), Ok("\"Order \"\"x\"\"\"")),
            ("quote_ident", "".into(), Err("empty")),
            ("quote_literal", "it's".into(), Ok("'it''s'")),
            ("vector", numbers(&["1", "2.5", "-0.000000000000000000001"]), Ok("[1,2.5,-0.000000000000000000001]")),
            ("vector", Value::List(vec![]), Err("1 to 16000")),
            ("vector", Value::List(vec![Value::from(1), Value::Null]), Err("element 1")),
            ("vector", Value::List(vec![Value::Number(Number::Infinity)]), Err("element 0")),
            ("vector", Value::unknown(), Ok("")),
        ] {
            let answer =
                stage.session.call(name, std::slice::from_ref(&argument)).await.map_err(|e| format!("{name}: {e}"))?;
            match (answer, expected) {
                (Ok(value), Ok("")) => assert!(value.is_unknown(), "what is not known yet is not asked"),
                (Ok(value), Ok(text)) => assert_eq!(value.as_str(), Some(text)),
                (Err(error), Err(words)) => {
                    assert!(error.text.contains(words), "{}", error.text);
                    assert_eq!(error.argument, Some(0));
                }
                (answer, _) => panic!("{name}({argument:?}) is {answer:?}"),
            }
        }
        Ok(())
    });
}

#[tokio::test]
async fn a_null_argument_is_refused_however_it_is_sent() {
    let host = host().await.unwrap();
    let mut client = host.client();
    let null = proto::DynamicValue { msgpack: vec![0xc0], json: Vec::new() };
    // A CLI that finds null in an argument may send nothing at all.
    for argument in [proto::DynamicValue::default(), null] {
        for name in ["quote_ident", "quote_literal", "vector"] {
            let request = proto::call_function::Request { name: name.to_owned(), arguments: vec![argument.clone()] };
            let error = client.call_function(request).await.unwrap().into_inner().error.unwrap();
            assert!(error.text.contains("must not be null"), "{}", error.text);
            assert_eq!(error.function_argument, Some(0));
        }
    }
    let unknown = tfplugin::codec::msgpack::encode(&Value::unknown(), &Type::String).unwrap();
    let arguments = vec![proto::DynamicValue { msgpack: unknown, json: Vec::new() }];
    let request = proto::call_function::Request { name: "quote_ident".to_owned(), arguments };
    let error = client.call_function(request).await.unwrap().into_inner().error.unwrap();
    assert_eq!(error.function_argument, Some(0));
    host.shut_down().await.unwrap();
}
