//! A provider with every feature of the schema, on a database that is a map in memory, with a switch for each thing that a
//! provider can do wrong.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;

use crate::context::{Configured, Context};
use crate::data_source::DataSource;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::function::{Function, FunctionError, Parameter};
use crate::path::Path;
use crate::provider::Provider;
use crate::resource::{ApplyFailure, ImportId, Plan, PlanRequest, Private, Resource, State};
use crate::schema::{Attribute, Default as SchemaDefault, Mode, Nesting, Schema};
use crate::types::Type;
use crate::value::{Typed, Value};

/// What the provider talks to, and what it is to do wrong.
#[derive(Default)]
pub(super) struct World {
    /// The things there are, by name.
    pub(super) things: Mutex<BTreeMap<String, Value>>,
    /// What goes wrong: the number of a rule to break, or `panic in ...`, `hang in ...`, `fail when told to stop in ...`.
    pub(super) fault: Mutex<String>,
    /// What was done, in order.
    pub(super) log: Mutex<Vec<String>>,
}

impl World {
    fn note(&self, act: impl Into<String>) {
        self.log.lock().unwrap().push(act.into());
    }

    pub(super) fn is(&self, fault: &str) -> bool {
        *self.fault.lock().unwrap() == fault
    }

    /// What a careless message may hold.
    fn secrets() -> String {
        format!("{:?} or {:?}", Value::from("of the \"block\""), Value::from("of the resource"))
    }

    /// What may go wrong in an operation before it does anything.
    async fn trouble<D>(&self, context: &Context<D>, operation: &str) -> Result<(), Diagnostics> {
        self.note(operation);
        assert!(!self.is(&format!("panic in {operation}")), "the sky fell in {operation}");
        assert!(!self.is(&format!("panic with secrets in {operation}")), "no {} in sight", Self::secrets());
        if self.is(&format!("hang in {operation}")) {
            pending::<()>().await;
        }
        if self.is(&format!("fail when told to stop in {operation}")) {
            context.cancel.cancelled().await;
            return Err(Diagnostic::error("Cancelled", "rolled back").into());
        }
        if self.is(&format!("warn and fail in {operation}")) {
            context.warn(Diagnostic::warning("Beware", "first"));
            return Err(Diagnostics(vec![Diagnostic::error("One", ""), Diagnostic::error("Two", "")]));
        }
        Ok(())
    }
}

/// The provider.
pub(super) struct TestProvider {
    pub(super) world: Arc<World>,
}

/// What configuring makes: the value of its one argument.
pub(super) struct Data {
    pub(super) host: String,
    pub(super) retries: i64,
}

fn text(name: &'static str, mode: Mode) -> Attribute {
    Attribute::new(name, Type::String, mode, "")
}

fn same_case(left: &Value, right: &Value) -> bool {
    left.as_str().map(str::to_lowercase) == right.as_str().map(str::to_lowercase)
}

fn short(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if value.as_str().is_some_and(|text| text.len() > 8) {
        diagnostics.push(Diagnostic::error("Name too long", "at most 8 bytes").at(path.clone()));
    }
}

#[async_trait]
impl Provider for TestProvider {
    type Data = Data;

    fn name(&self) -> &'static str {
        "test"
    }

    fn version(&self) -> &'static str {
        "1.2.3"
    }

    fn address(&self) -> &'static str {
        "example.com/test/test"
    }

    fn schema(&self) -> Schema {
        let retries = Attribute::new("retries", Type::Number, Mode::Optional, "How often.");
        Schema {
            attributes: vec![
                text("host", Mode::Optional),
                text("password", Mode::Optional).sensitive(),
                retries.default(SchemaDefault::Integer(3)),
            ],
            ..Schema::default()
        }
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        assert!(!self.world.is("panic in validate provider"), "the sky fell");
        if config.get("host").as_str() == Some("") {
            diagnostics.push(Diagnostic::error("Empty host", "").at(Path::root("host")));
        }
    }

    async fn configure(&self, config: &Value) -> Result<Data, Diagnostics> {
        assert!(!self.world.is("panic in configure"), "the sky fell on {config:?}");
        if self.world.is("hang in configure") {
            pending::<()>().await;
        }
        if config.get("host").as_str() == Some("refuse") {
            return Err(Diagnostic::error("Refused", "").at(Path::root("host")).into());
        }
        let host = config.get("host").as_str().unwrap_or("localhost").to_owned();
        Ok(Data { host, retries: config.get("retries").as_i64().unwrap() })
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Data>>> {
        vec![Box::new(Thing { world: Arc::clone(&self.world) })]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Data>>> {
        vec![Box::new(Things { world: Arc::clone(&self.world) })]
    }

    fn ephemeral_resources(&self) -> Vec<Box<dyn DataSource<Data>>> {
        vec![Box::new(Things { world: Arc::clone(&self.world) })]
    }

    fn functions(&self) -> Vec<Function> {
        let parameter = |name, allow_null| Parameter { name, ty: Type::String, description: "", allow_null };
        vec![Function {
            name: "join",
            summary: "Joins two texts.",
            description: "",
            parameters: vec![parameter("left", false), parameter("right", true)],
            result: Type::String,
            call: |arguments| match (arguments[0].as_str(), arguments[1].as_str()) {
                (Some("fail"), _) => Err(FunctionError { text: "no".to_owned(), argument: Some(0) }),
                (Some("blame"), _) => Err(FunctionError { text: "no".to_owned(), argument: Some(2) }),
                (Some("panic"), _) => panic!("the sky fell"),
                (Some("wrong"), _) => Ok(Value::from(1)),
                (Some("unknown"), _) => Ok(Value::unknown()),
                (Some(left), right) => Ok(format!("{left}{}", right.unwrap_or("-")).into()),
                _ => Ok(Value::Null),
            },
        }]
    }
}

/// The resource.
pub(super) struct Thing {
    world: Arc<World>,
}

/// The attributes of the resource.
pub(super) fn thing_attributes() -> Vec<Attribute> {
    let column = vec![
        text("type", Mode::Required).same(same_case),
        Attribute::new("nullable", Type::Bool, Mode::OptionalComputed, ""),
        text("secret", Mode::Optional).write_only(),
    ];
    let timeouts = ["create", "read", "update", "delete"].map(|name| text(name, Mode::Optional)).to_vec();
    vec![
        text("name", Mode::Required).replace().validate(short),
        text("schema", Mode::Optional).default(SchemaDefault::String("public")),
        text("sql", Mode::Optional).same(same_case),
        text("note", Mode::Optional),
        text("old", Mode::Optional).deprecated("Use note."),
        text("password", Mode::Optional).write_only(),
        Attribute::new("size", Type::Number, Mode::Optional, ""),
        Attribute::new("tags", Type::Set(Box::new(Type::String)), Mode::Optional, ""),
        Attribute::new("any", Type::Dynamic, Mode::Optional, ""),
        Attribute::nested("columns", Nesting::Map, column, Mode::Optional, ""),
        Attribute::nested("timeouts", Nesting::Single, timeouts, Mode::Optional, ""),
        text("id", Mode::Computed).keep_prior(),
        Attribute::new("revision", Type::Number, Mode::Computed, ""),
    ]
}

/// The value of a dynamic attribute.
pub(super) fn dynamic(ty: Type, value: impl Into<Value>) -> Value {
    Value::Dynamic(Box::new(Typed { ty, value: value.into() }))
}

fn identity(name: &str) -> Value {
    Value::object([("name", Value::from(name))])
}

impl Thing {
    /// The planned thing with what the database computes.
    fn finish(planned: &Value, revision: i64) -> Value {
        let mut value = planned.clone();
        value.set("id", format!("thing:{}", planned.get("name").as_str().unwrap()).into());
        value.set("revision", revision.into());
        if let Some(columns) = planned.get("columns").as_map() {
            let finished = columns.iter().map(|(name, column)| {
                let mut column = column.clone();
                if column.get("nullable").is_unknown() {
                    column.set("nullable", true.into());
                }
                (name.clone(), column)
            });
            value.set("columns", Value::Map(finished.collect()));
        }
        if let Some(sql) = planned.get("sql").as_str() {
            // The database spells it in its own way.
            value.set("sql", sql.to_uppercase().into());
        }
        value
    }

    fn break_result(&self, value: &mut Value) {
        let is = |rule| self.world.is(rule);
        match () {
            () if is("A1") => value.set("note", "other".into()),
            () if is("A2") => value.set("size", 0.into()),
            () if is("A3") => value.set("columns", Value::Map(BTreeMap::new())),
            () if is("A4") => value.set("tags", vec!["other"].into()),
            () if is("A6") => value.set("revision", Value::unknown()),
            () if is("A7") => *value = Value::Null,
            () if is("A9") => value.set("password", "secret".into()),
            () if is("W1 in apply") => value.set("extra", Value::Null),
            () if is("W2 in apply") => value.set("revision", "text".into()),
            () => {}
        }
    }
}

#[async_trait]
impl Resource<Data> for Thing {
    fn name(&self) -> &'static str {
        "test_thing"
    }

    fn schema(&self) -> Schema {
        Schema { version: 2, description: "A thing.", attributes: thing_attributes() }
    }

    fn identity(&self) -> Vec<Attribute> {
        vec![text("name", Mode::Required)]
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        assert!(!self.world.is("panic in validate"), "the sky fell");
        if !config.get("note").is_null() && !config.get("old").is_null() {
            diagnostics.push(Diagnostic::error("Both note and old", "").at(Path::root("old")));
        }
    }

    async fn plan(&self, context: &Context<Data>, request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        if let Err(errors) = self.world.trouble(context, "plan").await {
            return errors;
        }
        let seen = match &context.provider {
            Configured::Known(data) => data.host.clone(),
            Configured::Unknown(names) => format!("unknown {}", names.join(" ")),
            Configured::Not => "nothing".to_owned(),
        };
        self.world.note(format!("planned with {seen}, private {}", json!(request.private)));
        plan.private.insert("planned".to_owned(), json!(request.prior.is_null()));
        if request.prior.is_null() && plan.value.get("name").is_wholly_known() {
            plan.identity = Value::object([("name", plan.value.get("name").clone())]);
        }
        if self.world.is("G1") {
            for path in [Path::root("tags").index(0), Path::root("nothing")] {
                context.warn(Diagnostic::warning("Beware", "").at(path));
            }
        }
        let is = |rule| self.world.is(rule);
        match () {
            () if is("P1") => plan.value = Value::Null,
            () if is("P2") => plan.value.set("note", "other".into()),
            () if is("P3") => plan.value.set("size", 1.into()),
            () if is("P5") => plan.value.set("note", "guessed".into()),
            () if is("P6") => plan.value.set("note", Value::unknown()),
            () if is("P7") => plan.value.set("password", "secret".into()),
            () if is("P8") => plan.value.set("columns", Value::Map(BTreeMap::new())),
            () if is("P10") => plan.replace.push(Path::root("nothing")),
            () if is("P11") => plan.identity = identity("another"),
            () if is("W1") => plan.value.set("extra", Value::Null),
            () if is("W2") => plan.value.set("revision", "text".into()),
            () => {}
        }
        Diagnostics::default()
    }

    async fn plan_destroy(&self, context: &Context<Data>, prior: &Value, _: &Private) -> Diagnostics {
        if let Err(errors) = self.world.trouble(context, "plan_destroy").await {
            return errors;
        }
        match prior.get("note").as_str() {
            Some("keep") => Diagnostic::error("Not destroyed", "its note says so").into(),
            _ => Diagnostics::default(),
        }
    }

    async fn read(&self, context: &Context<Data>, mut state: State) -> Result<Option<State>, Diagnostics> {
        self.world.trouble(context, "read").await?;
        let name = state.value.get("name").as_str().unwrap().to_owned();
        let Some(found) = self.world.things.lock().unwrap().get(&name).cloned() else { return Ok(None) };
        let timeouts = state.value.get("timeouts").clone();
        state.value = found;
        state.value.set("timeouts", timeouts);
        state.private.insert("read".to_owned(), json!(true));
        let is = |rule| self.world.is(rule);
        match () {
            () if is("F1") => state.value.set("extra", Value::Null),
            () if is("F2") => state.value.set("note", Value::unknown()),
            () if is("F5") => state.value.set("password", "secret".into()),
            () if is("F6") => state.identity = Value::object([("name", Value::unknown())]),
            () if is("F7") => state.identity = identity("another"),
            () => {}
        }
        Ok(Some(state))
    }

    async fn create(&self, context: &Context<Data>, config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        self.world.trouble(context, "create").await?;
        self.world.note(format!("created with password {:?}", config.get("password").as_str().unwrap_or("none")));
        let mut value = Self::finish(&plan.value, 1);
        let name = value.get("name").as_str().unwrap().to_owned();
        if self.world.is("partial create") {
            let state = State { value, private: plan.private, identity: plan.identity };
            let diagnostics = Diagnostic::error("Half done", "").into();
            return Err(ApplyFailure { state: Some(state), diagnostics });
        }
        if self.world.is("A10 in a failed create") {
            let identity = Value::object([("name", Value::unknown())]);
            let state = Some(State { value, private: plan.private, identity });
            return Err(ApplyFailure { state, diagnostics: Diagnostic::error("Half done", "").into() });
        }
        if self.world.is("no reason") {
            return Err(ApplyFailure::default());
        }
        self.world.things.lock().unwrap().insert(name.clone(), value.clone());
        self.break_result(&mut value);
        let mut private = plan.private;
        private.insert("made".to_owned(), json!({"big": 1, "list": [1.50]}));
        let identity = if self.world.is("A10") {
            Value::object([("name", 1)].map(|(k, n)| (k, Value::from(n))))
        } else {
            identity(&name)
        };
        Ok(State { value, private, identity })
    }

    async fn update(
        &self,
        context: &Context<Data>,
        prior: &Value,
        _: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure> {
        self.world.trouble(context, "update").await?;
        let mut value = Self::finish(&plan.value, prior.get("revision").as_i64().unwrap() + 1);
        let name = value.get("name").as_str().unwrap().to_owned();
        self.world.things.lock().unwrap().insert(name.clone(), value.clone());
        self.break_result(&mut value);
        Ok(State { value, private: plan.private, identity: Value::Null })
    }

    async fn delete(&self, context: &Context<Data>, prior: &Value, private: &Private) -> Result<(), ApplyFailure> {
        self.world.trouble(context, "delete").await?;
        self.world.note(format!("deleted with private {}", json!(private)));
        self.world.things.lock().unwrap().remove(prior.get("name").as_str().unwrap());
        Ok(())
    }

    async fn import(&self, context: &Context<Data>, id: ImportId) -> Result<State, Diagnostics> {
        self.world.trouble(context, "import").await?;
        let name = match &id {
            ImportId::Id(id) => Value::from(id.as_str()),
            ImportId::Identity(identity) => identity.get("name").clone(),
        };
        let mut value = Value::object([("name", name)]);
        match () {
            () if self.world.is("I1") => value = Value::Null,
            () if self.world.is("I2") => value.set("extra", Value::Null),
            () if self.world.is("I3") => value.set("note", Value::unknown()),
            () if self.world.is("I4") => value.set("password", "secret".into()),
            () => {}
        }
        let identity = if self.world.is("I5") { Value::object([("name", Value::unknown())]) } else { Value::Null };
        Ok(State { value, private: Private::from_iter([("imported".to_owned(), json!(true))]), identity })
    }

    fn upgrade(&self, from: i64, mut state: serde_json::Value) -> Result<serde_json::Value, Diagnostics> {
        assert!(!self.world.is("panic in upgrade"), "the sky fell");
        if self.world.is("U1") {
            return Ok(serde_json::Value::Null);
        }
        match from {
            // Version 0 called the name a title.
            0 => {
                let title = state["title"].take();
                state["name"] = title;
            }
            // Version 1 kept a size as text.
            _ => {
                if let Some(size) = state["size"].as_str() {
                    state["size"] = size.parse().map_err(|_| Diagnostic::error("Bad size", size.to_owned()))?;
                }
            }
        }
        Ok(state)
    }

    fn move_from(&self, source_type: &str, source: &serde_json::Value) -> Option<Result<State, Diagnostics>> {
        assert!(!self.world.is("panic in move"), "the sky fell");
        if source_type != "test_other" {
            return None;
        }
        let mut value = Value::object([("name", source["label"].as_str().map(str::to_owned).into())]);
        match () {
            () if self.world.is("M1") => value = Value::Null,
            () if self.world.is("M2") => value.set("note", Value::unknown()),
            () if self.world.is("M3") => value.set("password", "secret".into()),
            () => {}
        }
        Some(Ok(State { value, ..State::default() }))
    }
}

/// The data source, and its ephemeral twin.
struct Things {
    world: Arc<World>,
}

#[async_trait]
impl DataSource<Data> for Things {
    fn name(&self) -> &'static str {
        "test_things"
    }

    fn schema(&self) -> Schema {
        let limit = Attribute::new("limit", Type::Number, Mode::Optional, "");
        let things = Attribute::new("things", Type::Dynamic, Mode::Computed, "");
        Schema {
            attributes: vec![
                text("prefix", Mode::Required),
                limit.default(SchemaDefault::Integer(100)),
                things,
                text("from", Mode::Computed),
            ],
            ..Schema::default()
        }
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        assert!(!self.world.is("panic in validate data"), "the sky fell");
        if config.get("prefix").as_str() == Some("") {
            diagnostics.push(Diagnostic::error("Empty prefix", "").at(Path::root("prefix")));
        }
    }

    async fn read(&self, context: &Context<Data>, config: &Value) -> Result<Value, Diagnostics> {
        self.world.trouble(context, "data").await?;
        let Configured::Known(data) = &context.provider else {
            return Err(Diagnostic::error("No data", "").into());
        };
        let prefix = config.get("prefix").as_str().unwrap();
        let names: Vec<Value> = self
            .world
            .things
            .lock()
            .unwrap()
            .keys()
            .filter(|name| name.starts_with(prefix))
            .map(|name| name.as_str().into())
            .collect();
        let mut value = config.clone();
        value.set("things", dynamic(Type::Tuple(vec![Type::String; names.len()]), Value::List(names)));
        value.set("from", format!("{} after {}", data.host, data.retries).into());
        match () {
            () if self.world.is("D1") => value = Value::Null,
            () if self.world.is("D2") => value.set("from", Value::unknown()),
            () if self.world.is("D3") => value.set("things", Value::List(Vec::new())),
            () if self.world.is("D4") => value.set("prefix", "other".into()),
            () => {}
        }
        Ok(value)
    }
}
