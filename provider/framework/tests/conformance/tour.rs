//! A tour through every step of a scenario, in one order for all rules.
//!
//! **Invariant:** every request that a CLI sends is sent, every feature of the schema is configured, and each step is
//! checked to have done what it says.

use std::fs;
use std::path::Path;

use tfplugin::testing::conformance::{Action, Kept, PlanOptions, Resource, Session, Source, Trouble};
use tfplugin::{Severity, Type, Typed, Value};

use super::binary::{Setup, provider_config, things};

pub(crate) const THING: &str = "wrong_thing";
const THINGS: &str = "wrong_things";

/// A configuration with everything in it.
pub(crate) fn everything(name: &str) -> Value {
    let of = |key: &str| Value::object([("key", Value::from(key))]);
    let column = |ty: &str, nullable: Value| {
        Value::object([("type", Value::from(ty)), ("nullable", nullable), ("secret", "hidden".into())])
    };
    Value::object([
        ("name", Value::from(name)),
        ("sql", "select 1".into()),
        ("note", "a note".into()),
        ("password", "secret".into()),
        ("tags", vec!["t"].into()),
        ("list", vec!["x", "y"].into()),
        ("labels", Value::object([("k", Value::from("v"))])),
        ("any", Value::Dynamic(Box::new(Typed { ty: Type::Number, value: 5.into() }))),
        ("columns", Value::object([("a", column("int", Value::Null)), ("b", column("text", false.into()))])),
        ("parts", Value::List(vec![of("p"), of("q")])),
        ("steps", Value::List(vec![of("s"), of("s")])),
        ("first", of("f")),
    ])
}

/// The configuration with another value of one attribute.
pub(crate) fn with(config: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut config = config.clone();
    config.set(name, value.into());
    config
}

/// Goes through everything until something is found.
pub(crate) async fn tour(setup: &Setup<'_>, folder: &Path) -> Result<(), Trouble> {
    let session = setup.start(folder).await?;
    let things = things(folder);
    let told = session.configure(provider_config(&things)).await?;
    assert!(told.is_empty(), "{told:?}");
    validating(&session.resource(THING)?).await?;
    let mut thing = session.resource(THING)?;
    life(&mut thing).await?;
    replacing(&mut thing).await?;
    adopting(&session, &mut thing).await?;
    older_state(&session, &mut thing).await?;
    moving(&session, &things).await?;
    reading(&session).await?;
    functions(&session).await?;
    stopping(&session, &things).await?;
    thing.destroy().await?;
    assert_eq!(thing.kept(), None);
    session.end().await
}

/// Expects a refusal, with errors at these attributes.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Trouble>, at: &[&str]) -> Result<(), Trouble> {
    match outcome {
        Err(Trouble::Refused(told)) => {
            let errors = told.0.iter().filter(|told| told.severity == Severity::Error);
            assert_eq!(errors.map(|told| told.path.to_string()).collect::<Vec<_>>(), at, "{told:?}");
            Ok(())
        }
        Err(other) => Err(other),
        Ok(done) => panic!("not refused at {at:?}: {done:?}"),
    }
}

async fn validating(thing: &Resource) -> Result<(), Trouble> {
    let good = everything("a");
    assert!(thing.validate(&good).await?.is_empty());
    assert!(thing.validate(&with(&good, "note", Value::unknown())).await?.is_empty());
    assert!(!thing.validate(&with(&good, "note", "odd")).await?.is_empty(), "a warning");
    refused(thing.validate(&with(&good, "name", Value::Null)).await, &["name"])?;
    refused(thing.validate(&with(&good, "revision", 1)).await, &["revision"])?;
    let two = with(&with(&good, "name", Value::Null), "id", "x");
    refused(thing.validate(&two).await, &["name", "id"])?;
    refused(thing.validate(&with(&good, "note", "bad")).await, &["note"])
}

async fn life(thing: &mut Resource) -> Result<(), Trouble> {
    // A plan with something unknown in it, saved, and applied when that is known.
    let open = with(&everything("alpha"), "labels", Value::unknown());
    let planned = thing.plan(&open).await?;
    assert_eq!(planned.action, Action::Create);
    assert!(planned.planned.get("labels").is_unknown());
    thing.apply_with(planned, &everything("alpha")).await?;
    thing.expect_no_change(&everything("alpha")).await?;
    assert_eq!(thing.value().get("id").as_str(), Some("thing:alpha"));
    assert!(thing.value().get("password").is_null());

    // Another spelling is no change.
    thing.expect_no_change(&with(&everything("alpha"), "sql", "SELECT 1")).await?;

    let changed = with(&everything("alpha"), "note", Value::unknown());
    let planned = thing.plan(&changed).await?;
    assert_eq!(planned.action, Action::Update);
    thing.apply_with(planned, &with(&changed, "note", "another note")).await?;
    assert_eq!(thing.value().get("revision").as_i64(), Some(2));

    // What was unknown turns out to be what there is already.
    let planned = thing.plan(&changed).await?;
    thing.apply_with(planned, &with(&changed, "note", "another note")).await?;
    let note = thing.value().get("note").clone();
    assert_eq!(note.as_str(), Some("another note"));

    let mut elements = with(&everything("alpha"), "tags", vec!["t", "u"]);
    elements.set("steps", Value::List(vec![Value::object([("key", Value::unknown())])]));
    elements.set(
        "parts",
        Value::List(vec![Value::object([("key", "p".into())]), Value::object([("key", Value::unknown())])]),
    );
    let planned = thing.plan(&elements).await?;
    elements.set("steps", Value::List(vec![Value::object([("key", Value::from("z"))])]));
    elements.set(
        "parts",
        Value::List(vec![Value::object([("key", "p".into())]), Value::object([("key", Value::from("z"))])]),
    );
    thing.apply_with(planned, &elements).await?;
    assert_eq!(thing.converge(&everything("alpha")).await?, Action::Update);

    assert!(!thing.refresh().await?, "nothing has changed");
    let (before, after, told) = thing.drift().await?;
    assert_eq!((before, told.is_empty()), (after, true));
    let planned = thing.plan_with(&everything("alpha"), PlanOptions { refresh: false, replace: false }).await?;
    assert_eq!(planned.action, Action::NoOp);
    Ok(())
}

async fn replacing(thing: &mut Resource) -> Result<(), Trouble> {
    let config = everything("beta");
    let planned = thing.plan(&config).await?;
    assert_eq!(planned.action, Action::Replace);
    assert_eq!(planned.replace.iter().map(ToString::to_string).collect::<Vec<_>>(), ["name"]);
    thing.apply(planned).await?;
    thing.expect_no_change(&config).await?;
    for tainted in [true, false] {
        if tainted {
            thing.taint();
        }
        let planned = thing.plan_with(&config, PlanOptions { refresh: true, replace: !tainted }).await?;
        assert_eq!(planned.action, Action::Replace);
        thing.apply(planned).await?;
        thing.expect_no_change(&config).await?;
    }
    // What fails half way is tainted, and made anew by the next apply.
    let mut half = thing.clone();
    half.forget();
    let config = with(&everything("half"), "note", "half");
    let planned = half.plan(&config).await?;
    refused(half.apply(planned).await, &[""])?;
    assert!(half.kept().is_some_and(|kept| kept.tainted));
    let config = everything("half");
    let planned = half.plan(&config).await?;
    assert_eq!(planned.action, Action::Replace);
    half.apply(planned).await?;
    half.expect_no_change(&config).await?;
    half.destroy().await?;
    Ok(())
}

async fn adopting(session: &Session, thing: &mut Resource) -> Result<(), Trouble> {
    // Nobody can know any more how it was written.
    let expected = with(&thing.value(), "sql", "SELECT 1");
    thing.forget();
    thing.import_id("beta").await?;
    assert_eq!(thing.value(), expected);
    if session.flavour().identities {
        let identity = thing.identity();
        assert_eq!(identity.get("name").as_str(), Some("beta"));
        thing.forget();
        thing.import_identity(&identity).await?;
        assert_eq!((thing.value(), thing.identity()), (expected, identity));
    }
    let generated = thing.generate_config().await?;
    assert_eq!((generated.get("name").as_str(), generated.get("id").is_null()), (Some("beta"), true));
    assert_eq!(thing.converge(&generated).await?, Action::NoOp);
    Ok(())
}

async fn older_state(session: &Session, thing: &mut Resource) -> Result<(), Trouble> {
    let mut json: serde_json::Value = serde_json::from_slice(&thing.kept().unwrap().json).unwrap();
    let object = json.as_object_mut().unwrap();
    let name = object.remove("name").unwrap();
    object.insert("title".to_owned(), name);
    object.insert("no longer there".to_owned(), 1.into());
    object.remove("note");
    let identity = if session.flavour().identities { br#"{"name":"beta"}"#.to_vec() } else { Vec::new() };
    let private = thing.kept().unwrap().private.clone();
    let json = serde_json::to_vec_pretty(&json).unwrap();
    thing.keep(Some(Kept { json, version: 0, private, identity, identity_version: 0, tainted: false }));
    // The attribute that the old state lacks is found by the read.
    assert!(thing.refresh().await?);
    thing.expect_no_change(&everything("beta")).await
}

async fn moving(session: &Session, folder: &Path) -> Result<(), Trouble> {
    let source = |type_name: &str| Source {
        provider: "registry.opentofu.org/example/other".to_owned(),
        type_name: type_name.to_owned(),
        json: br#"{"label":"moved"}"#.to_vec(),
        ..Source::default()
    };
    let mut maker = session.resource(THING)?;
    maker.converge(&everything("moved")).await?;
    let mut target = session.resource(THING)?;
    refused(target.move_from(&source("null_resource")).await, &[""])?;
    target.move_from(&source("wrong_label")).await?;
    assert!(target.refresh().await?);
    assert_eq!(target.value(), with(&maker.value(), "sql", "SELECT 1"));
    // An object that was lost is made again.
    fs::remove_file(folder.join("moved.json")).unwrap();
    let planned = target.plan(&everything("moved")).await?;
    assert_eq!((planned.action, planned.drifted), (Action::Create, true));
    target.apply(planned).await?;
    target.destroy().await.map(|_| ())
}

async fn reading(session: &Session) -> Result<(), Trouble> {
    let config = |prefix: Value| Value::object([("prefix", prefix)]);
    let (value, _) = session.read_data(THINGS, &config("be".into())).await?;
    assert_eq!(value.get("names"), &vec!["beta"].into());
    let (value, _) = session.read_data(THINGS, &config(Value::unknown())).await?;
    assert!(value.is_unknown());
    refused(session.read_data(THINGS, &config(Value::Null)).await, &["prefix"])?;
    let mut open = session.open(THINGS, &config("be".into())).await?;
    assert_eq!(open.value.get("names"), &vec!["beta"].into());
    open.renew().await?;
    open.close().await?;
    Ok(())
}

async fn functions(session: &Session) -> Result<(), Trouble> {
    let join = |left: Value, right: Value| async move { session.call("join", &[left, right]).await };
    assert_eq!(join("a".into(), "b".into()).await?, Ok("ab".into()));
    assert_eq!(join("a".into(), Value::Null).await?, Ok("a-".into()));
    assert_eq!(join("fail".into(), "b".into()).await?.map_err(|error| error.argument), Err(Some(0)));
    assert_eq!(join(Value::unknown(), "b".into()).await?, Ok(Value::unknown()));
    Ok(())
}

async fn stopping(session: &Session, folder: &Path) -> Result<(), Trouble> {
    let mut thing = session.resource(THING)?;
    let planned = thing.plan(&with(&everything("waiting"), "note", "wait")).await?;
    let begun = folder.join("waiting.begun");
    let when = async {
        while !begun.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    refused(thing.apply_and_stop(planned, when).await, &[""])?;
    assert_eq!(thing.kept(), None);
    Ok(())
}
