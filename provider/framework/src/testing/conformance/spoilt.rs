//! Whatever a resource makes of a request, no answer that the framework lets out breaks a rule.
//!
//! The resource spoils its values in random places; what leaves the service is judged by the host's rules on the bytes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::collection::vec;
use proptest::prelude::*;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as Service;
use tonic::Request;

use crate::codec::msgpack;
use crate::context::Context;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;
use crate::provider::Provider;
use crate::resource::{ApplyFailure, ImportId, Plan, PlanRequest, Private, Resource, State};
use crate::schema::{Attribute, Mode, Schema};
use crate::server::ProviderService;
use crate::types::Type;
use crate::value::Value;

use super::agreement::{Choices, Use, attributes, object, resolved, spoil};
use super::compatible::{self, As};
use super::proposed::proposed;
use super::shape::Shape;
use super::state_rules::{known, unwritten};
use super::trouble::Findings;
use super::values::decode;
use super::{plan_rules, told};

/// The random bytes that the resource draws its mistakes from; each request takes some.
type Mistakes = Arc<Mutex<Vec<u8>>>;

struct Spoilt(Mistakes);

struct Thing(Mistakes);

impl Thing {
    fn with<T>(&self, work: impl FnOnce(&mut Choices<'_>) -> T) -> T {
        let mut bytes = self.0.lock().unwrap();
        let (outcome, rest) = {
            let mut choices = Choices(&bytes);
            let outcome = work(&mut choices);
            (outcome, choices.0.to_vec())
        };
        *bytes = rest;
        outcome
    }

    /// The value with mistakes in it; now and then it is no object at all.
    fn spoil(&self, value: &mut Value) {
        self.with(|choices| {
            spoil(&attributes(), value, choices);
            match choices.of(24) {
                1 => *value = Value::Null,
                2 => value.set("more", Value::Null),
                3 => value.set("id", Value::List(Vec::new())),
                4 => *value = Value::unknown(),
                5 => {
                    if let Value::Map(items) = value {
                        items.remove("revision");
                    }
                }
                _ => {}
            }
        });
    }

    fn identity(&self) -> Value {
        self.with(|choices| match choices.of(12) {
            1 => Value::Null,
            2 => Value::object([("name", Value::unknown())]),
            3 => Value::object([("name", Value::from(1))]),
            4 => Value::object::<String>([]),
            5 => Value::object([("name", Value::from("b"))]),
            _ => Value::object([("name", Value::from("a"))]),
        })
    }

    fn state(&self, mut value: Value) -> State {
        self.spoil(&mut value);
        State { value, private: Private::new(), identity: self.identity() }
    }

    fn warn<D>(&self, context: &Context<D>) {
        let path = self.with(|choices| match choices.of(4) {
            0 => Path::root("bag").index(0).attribute("key"),
            1 => Path::root("nothing"),
            2 => Path::root("named").key("k").attribute("key"),
            _ => Path::root("name").index(3),
        });
        context.warn(Diagnostic::warning("Beware", "of it").at(path));
    }
}

#[async_trait]
impl Provider for Spoilt {
    type Data = ();

    fn name(&self) -> &'static str {
        "spoilt"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn address(&self) -> &'static str {
        "example.com/spoilt/spoilt"
    }

    fn schema(&self) -> Schema {
        Schema::default()
    }

    async fn configure(&self, _: &Value) -> Result<(), Diagnostics> {
        Ok(())
    }

    fn resources(&self) -> Vec<Box<dyn Resource<()>>> {
        vec![Box::new(Thing(Arc::clone(&self.0)))]
    }
}

#[async_trait]
impl Resource<()> for Thing {
    fn name(&self) -> &'static str {
        "spoilt_thing"
    }

    fn schema(&self) -> Schema {
        Schema { version: 1, attributes: attributes(), ..Schema::default() }
    }

    fn identity(&self) -> Vec<Attribute> {
        vec![Attribute::new("name", Type::String, Mode::Required, "")]
    }

    async fn plan(&self, context: &Context<()>, _: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        self.warn(context);
        self.spoil(&mut plan.value);
        let identity = self.identity();
        let (identify, replace) = self.with(|choices| (choices.of(2) == 0, choices.of(6)));
        if identify {
            plan.identity = identity;
        }
        plan.replace.extend(match replace {
            1 => Some(Path::root("nothing")),
            2 => Some(Path::root("revision")),
            3 => Some(Path::root("named").key("k0").attribute("key")),
            4 => Some(Path::default()),
            _ => None,
        });
        Diagnostics::default()
    }

    async fn read(&self, context: &Context<()>, state: State) -> Result<Option<State>, Diagnostics> {
        self.warn(context);
        Ok(Some(self.state(state.value)))
    }

    async fn create(&self, context: &Context<()>, _: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        self.warn(context);
        let ty = Resource::schema(self).ty();
        let state = self.state(self.with(|choices| resolved(&ty, &plan.value, choices)));
        match self.with(|choices| choices.of(4)) {
            0 => Err(ApplyFailure { state: Some(state), diagnostics: Diagnostic::error("Half made", "").into() }),
            _ => Ok(state),
        }
    }

    async fn update(&self, c: &Context<()>, _: &Value, config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        self.create(c, config, plan).await
    }

    async fn delete(&self, _: &Context<()>, _: &Value, _: &Private) -> Result<(), ApplyFailure> {
        Ok(())
    }

    async fn import(&self, context: &Context<()>, _: ImportId) -> Result<State, Diagnostics> {
        self.warn(context);
        Ok(self.state(Value::object([("name", Value::from("a"))])))
    }

    fn move_from(&self, _: &str, _: &serde_json::Value) -> Option<Result<State, Diagnostics>> {
        Some(Ok(self.state(Value::object([("name", Value::from("a"))]))))
    }

    fn upgrade(&self, _: i64, state: serde_json::Value) -> Result<serde_json::Value, Diagnostics> {
        Ok(match self.with(|choices| choices.of(4)) {
            0 => serde_json::Value::Null,
            1 => serde_json::json!({"name": "a", "password": "secret", "one": {"secret": "s"}, "more": 1}),
            2 => serde_json::json!({"name": {}}),
            _ => state,
        })
    }
}

/// The rules broken by an answer, and whether it is an error.
struct Judged {
    findings: Findings,
    refused: bool,
}

struct Host {
    service: ProviderService<Spoilt>,
    shape: Shape,
    identity: Type,
}

/// The name of the type, as requests have it.
fn thing() -> String {
    "spoilt_thing".to_owned()
}

impl Host {
    async fn new(mistakes: Vec<u8>) -> Self {
        let service = ProviderService::new(Spoilt(Arc::new(Mutex::new(mistakes))));
        let schemas = service.get_provider_schema(Request::new(proto::get_provider_schema::Request {})).await.unwrap();
        let shape = Shape::read(&schemas.into_inner().resource_schemas["spoilt_thing"]).unwrap();
        service.configure_provider(Request::new(proto::configure_provider::Request::default())).await.unwrap();
        Self { service, shape, identity: Type::Object([("name".to_owned(), Type::String)].into()) }
    }

    fn encode(&self, value: &Value) -> proto::DynamicValue {
        proto::DynamicValue { msgpack: msgpack::encode(value, &self.shape.ty).unwrap(), json: Vec::new() }
    }

    fn told(&self, told: Vec<proto::Diagnostic>, findings: &mut Findings) -> bool {
        told::read(told, Some((&self.shape, &Value::Null)), findings).has_error()
    }

    fn read_identity(
        &self,
        identity: Option<&proto::ResourceIdentityData>,
        may_be_unknown: bool,
        findings: &mut Findings,
    ) -> Value {
        let data = identity.and_then(|identity| identity.identity_data.as_ref());
        let identity = decode(data, &self.identity, findings).unwrap_or_default();
        if !may_be_unknown {
            known(&identity, "identity", findings);
        }
        identity
    }

    /// A state that must be whole and known.
    fn state(&self, state: Option<&proto::DynamicValue>, findings: &mut Findings) -> Value {
        let value = decode(state, &self.shape.ty, findings).unwrap_or_default();
        known(&value, "known", findings);
        unwritten(&self.shape.members, &value, "write-only", findings);
        value
    }

    async fn plan(
        &self,
        prior: &Value,
        config: &Value,
        prior_identity: Option<proto::ResourceIdentityData>,
    ) -> (Judged, proto::plan_resource_change::Response, Value) {
        let request = proto::plan_resource_change::Request {
            type_name: thing(),
            prior_state: Some(self.encode(prior)),
            proposed_new_state: Some(self.encode(&proposed(&self.shape.members, prior, config))),
            config: Some(self.encode(config)),
            prior_identity: prior_identity.clone(),
            ..Default::default()
        };
        let response = self.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("plan");
        let refused = self.told(response.diagnostics.clone(), &mut findings);
        let mut planned = Value::Null;
        if !refused {
            planned = decode(response.planned_state.as_ref(), &self.shape.ty, &mut findings).unwrap_or_default();
            if planned.as_map().is_none() {
                findings.whole("P1", "no object");
            }
            plan_rules::check(&self.shape.members, prior, config, &planned, &mut findings);
            let asked = response.requires_replace.iter().map(|path| told::read_path(Some(path))).collect();
            let forcing = plan_rules::replacing(&self.shape, asked, prior, &planned, &mut findings);
            let anew = prior.is_null() || !forcing.is_empty();
            let identity = self.read_identity(response.planned_identity.as_ref(), anew, &mut findings);
            let before = self.read_identity(prior_identity.as_ref(), true, &mut findings);
            if !anew && !before.is_null() && identity != before {
                findings.whole("P11", "another identity");
            }
        }
        (Judged { findings, refused }, response, planned)
    }

    async fn apply(&self, prior: &Value, config: &Value, planned: &Value) -> Judged {
        let request = proto::apply_resource_change::Request {
            type_name: thing(),
            prior_state: Some(self.encode(prior)),
            planned_state: Some(self.encode(planned)),
            config: Some(self.encode(config)),
            ..Default::default()
        };
        let response = self.service.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("apply");
        let refused = self.told(response.diagnostics, &mut findings);
        let value = self.state(response.new_state.as_ref(), &mut findings);
        let identity = self.read_identity(response.new_identity.as_ref(), false, &mut findings);
        if !refused {
            if value.is_null() || identity.is_null() && prior.is_null() {
                findings.whole("A7", "nothing, or nothing to know it by");
            }
            compatible::check(&self.shape.ty, planned, &value, As::Result, &mut findings);
        }
        Judged { findings, refused }
    }

    async fn read(&self, state: &Value) -> Judged {
        let request = proto::read_resource::Request {
            type_name: thing(),
            current_state: Some(self.encode(state)),
            ..Default::default()
        };
        let response = self.service.read_resource(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("read");
        let refused = self.told(response.diagnostics, &mut findings);
        self.state(response.new_state.as_ref(), &mut findings);
        self.read_identity(response.new_identity.as_ref(), false, &mut findings);
        Judged { findings, refused }
    }

    async fn import(&self) -> Judged {
        let request =
            proto::import_resource_state::Request { type_name: thing(), id: "a".to_owned(), ..Default::default() };
        let response = self.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("import");
        let refused = self.told(response.diagnostics, &mut findings);
        for one in &response.imported_resources {
            self.taken_over(one.state.as_ref(), one.identity.as_ref(), &mut findings);
        }
        if !refused && response.imported_resources.len() != 1 {
            findings.whole("I1", "not one object");
        }
        Judged { findings, refused }
    }

    async fn move_state(&self) -> Judged {
        let request = proto::move_resource_state::Request { target_type_name: thing(), ..Default::default() };
        let response = self.service.move_resource_state(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("move");
        let refused = self.told(response.diagnostics, &mut findings);
        if !refused {
            self.taken_over(response.target_state.as_ref(), response.target_identity.as_ref(), &mut findings);
        }
        Judged { findings, refused }
    }

    fn taken_over(
        &self,
        state: Option<&proto::DynamicValue>,
        identity: Option<&proto::ResourceIdentityData>,
        findings: &mut Findings,
    ) {
        if self.state(state, findings).is_null() {
            findings.whole("whole", "null");
        }
        self.read_identity(identity, false, findings);
    }

    async fn upgrade(&self) -> Judged {
        let raw_state = Some(proto::RawState { json: br#"{"name":"a"}"#.to_vec(), ..Default::default() });
        let request = proto::upgrade_resource_state::Request { type_name: thing(), version: 0, raw_state };
        let response = self.service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
        let mut findings = Findings::of("upgrade");
        let refused = self.told(response.diagnostics, &mut findings);
        if !refused && self.state(response.upgraded_state.as_ref(), &mut findings).is_null() {
            findings.whole("U1", "null");
        }
        Judged { findings, refused }
    }
}

/// What came of all requests: who refused, who did not.
type Seen = BTreeSet<(&'static str, bool)>;

async fn everything(values: &[u8], mistakes: Vec<u8>, seen: &mut Seen) -> Result<(), TestCaseError> {
    let mut choices = Choices(values);
    let attributes = attributes();
    let config = object(&attributes, &mut choices, Use::Configuration);
    let stored = object(&attributes, &mut choices, Use::State);
    let prior = if choices.of(3) == 0 { Value::Null } else { stored.clone() };
    let identity = proto::ResourceIdentityData {
        identity_data: Some(proto::DynamicValue { msgpack: b"\x81\xa4name\xa1a".to_vec(), json: Vec::new() }),
    };
    let identity = Some(identity).filter(|_| !prior.is_null() && choices.of(2) == 0);

    let host = Host::new(mistakes).await;
    let (judged, _, planned) = host.plan(&prior, &config, identity).await;
    let mut all = vec![("plan", judged)];
    if !planned.is_null() {
        let ty = &host.shape.ty;
        let config = resolved(ty, &config, &mut choices);
        all.push(("apply", host.apply(&prior, &config, &planned).await));
    }
    all.push(("read", host.read(&stored).await));
    all.push(("import", host.import().await));
    all.push(("move", host.move_state().await));
    all.push(("upgrade", host.upgrade().await));
    for (what, judged) in all {
        seen.insert((what, judged.refused));
        prop_assert!(judged.findings.found.is_empty(), "{what}: {:#?}", judged.findings.found);
    }
    Ok(())
}

#[test]
fn no_answer_breaks_a_rule() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let seen = std::cell::RefCell::new(Seen::new());
    runner
        .run(&(vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..400)), |(values, mistakes)| {
            runtime.block_on(everything(&values, mistakes, &mut seen.borrow_mut()))
        })
        .unwrap();
    // Otherwise nothing was tried.
    for what in ["plan", "apply", "read", "import", "move", "upgrade"] {
        for refused in [false, true] {
            assert!(seen.borrow().contains(&(what, refused)), "{what}: refused {refused} was never seen");
        }
    }
}
