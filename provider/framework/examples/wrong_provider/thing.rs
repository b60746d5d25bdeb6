//! The resource: a file in a folder, with every feature that a schema has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

use async_trait::async_trait;
use serde_json::json;
use tfplugin::codec::json as state;
use tfplugin::{
    ApplyFailure, Attribute, Configured, Context, Default as SchemaDefault, Diagnostic, Diagnostics, ImportId, Mode,
    Nesting, Path, Plan, PlanRequest, Private, Refinement, Resource, Schema, State, Type, Value,
};

/// What configuring the provider makes: where the things are.
pub(crate) type Folder = PathBuf;

/// A managed thing.
pub(crate) struct Thing;

pub(crate) fn text(name: &'static str, mode: Mode) -> Attribute {
    Attribute::new(name, Type::String, mode, "Text.")
}

pub(crate) fn schema() -> Schema {
    let of = |name, ty| Attribute::new(name, ty, Mode::Optional, "A collection.");
    let strings = || Box::new(Type::String);
    let column = vec![
        text("type", Mode::Required).same(same_case),
        Attribute::new("nullable", Type::Bool, Mode::OptionalComputed, "Computed where it is left out."),
        text("secret", Mode::Optional).write_only(),
    ];
    let part = vec![text("key", Mode::Required), text("made", Mode::Computed)];
    Schema {
        version: 1,
        description: "A file in a folder.",
        attributes: vec![
            text("name", Mode::Required).replace(),
            text("schema", Mode::Optional).default(SchemaDefault::String("public")),
            text("sql", Mode::Optional).same(same_case),
            text("note", Mode::Optional).validate(not_bad),
            text("old", Mode::Optional).deprecated("Use note."),
            text("password", Mode::Optional).write_only(),
            Attribute::new("size", Type::Number, Mode::Optional, "A number."),
            of("tags", Type::Set(strings())),
            of("list", Type::List(strings())),
            of("labels", Type::Map(strings())),
            of("any", Type::Dynamic),
            Attribute::nested("columns", Nesting::Map, column, Mode::Optional, "Nested objects by name."),
            Attribute::nested("parts", Nesting::Set, part.clone(), Mode::Optional, "Nested objects without order."),
            Attribute::nested("steps", Nesting::List, part.clone(), Mode::Optional, "Nested objects in order."),
            Attribute::nested("first", Nesting::Single, part, Mode::Optional, "One nested object."),
            text("id", Mode::Computed).keep_prior(),
            Attribute::new("revision", Type::Number, Mode::Computed, "How often it was changed."),
        ],
    }
}

fn same_case(left: &Value, right: &Value) -> bool {
    left.as_str().map(str::to_lowercase) == right.as_str().map(str::to_lowercase)
}

fn not_bad(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    match value.as_str() {
        Some("bad") => diagnostics.push(Diagnostic::error("Bad note", "It says so itself.").at(path.clone())),
        Some("odd") => diagnostics.push(Diagnostic::warning("Odd note", "It says so itself.").at(path.clone())),
        _ => {}
    }
}

fn identity(name: &Value) -> Value {
    Value::object([("name", name.clone())])
}

/// The planned thing with what is computed.
fn finished(planned: &Value, revision: i64) -> Value {
    let known = |object: &Value, name: &str, value: Value| {
        let mut object = object.clone();
        if object.get(name).is_unknown() {
            object.set(name, value);
        }
        object
    };
    let made =
        |part: &Value| known(part, "made", format!("made {}", part.get("key").as_str().unwrap_or_default()).into());
    let each = |value: &Value, change: &dyn Fn(&Value) -> Value| match value {
        Value::Map(items) => Value::Map(items.iter().map(|(key, item)| (key.clone(), change(item))).collect()),
        Value::List(items) => Value::List(items.iter().map(change).collect()),
        other => other.clone(),
    };
    let mut value = planned.clone();
    value.set("id", format!("thing:{}", planned.get("name").as_str().unwrap_or_default()).into());
    value.set("revision", revision.into());
    value.set("columns", each(planned.get("columns"), &|column| known(column, "nullable", true.into())));
    for parts in ["parts", "steps"] {
        value.set(parts, each(planned.get(parts), &made));
    }
    if !planned.get("first").is_null() {
        value.set("first", made(planned.get("first")));
    }
    // It is spelled here in another way than it was written.
    value.set("sql", planned.get("sql").as_str().map(str::to_uppercase).into());
    value
}

fn failed(what: &str, path: &std::path::Path, error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error(format!("Cannot {what} a thing"), format!("{}: {error}", path.display()))
}

fn place(context: &Context<Folder>, value: &Value) -> Result<PathBuf, Diagnostic> {
    let name = value.get("name").as_str().unwrap_or_default();
    match &context.provider {
        Configured::Known(folder) => Ok(folder.join(format!("{name}.json"))),
        _ => Err(Diagnostic::error("No folder", "The provider is not configured.")),
    }
}

fn write(path: &std::path::Path, value: &Value) -> Result<(), Diagnostic> {
    let json = state::encode(value, &schema().ty()).map_err(|error| failed("encode", path, error))?;
    fs::write(path, json.to_string()).map_err(|error| failed("write", path, error))
}

fn read(path: &std::path::Path) -> Result<Option<Value>, Diagnostic> {
    let json = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| failed("read", path, error))?,
    };
    let json = serde_json::from_slice(&json).map_err(|error| failed("read", path, error))?;
    state::decode(&json, &schema().ty()).map(Some).map_err(|error| failed("read", path, error))
}

fn noted(mut private: Private, what: &str) -> Private {
    private.insert(what.to_owned(), json!(true));
    private
}

#[async_trait]
impl Resource<Folder> for Thing {
    fn name(&self) -> &'static str {
        "wrong_thing"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn identity(&self) -> Vec<Attribute> {
        vec![text("name", Mode::Required)]
    }

    async fn plan(&self, _: &Context<Folder>, request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        if request.prior.is_null() {
            plan.private = noted(std::mem::take(&mut plan.private), "planned");
            plan.identity = identity(plan.value.get("name"));
            let refinement =
                Refinement { not_null: Some(true), prefix: Some("thing:".to_owned()), ..Refinement::default() };
            plan.value.set("id", Value::Unknown(refinement));
        }
        Diagnostics::default()
    }

    async fn read(&self, context: &Context<Folder>, state: State) -> Result<Option<State>, Diagnostics> {
        let Some(value) = read(&place(context, &state.value)?)? else { return Ok(None) };
        let identity = identity(value.get("name"));
        Ok(Some(State { value, private: noted(state.private, "read"), identity }))
    }

    async fn create(&self, context: &Context<Folder>, _: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        let path = place(context, &plan.value)?;
        match plan.value.get("note").as_str() {
            Some("wait") => {
                fs::write(path.with_extension("begun"), "").map_err(|error| failed("begin", &path, error))?;
                context.cancel.cancelled().await;
                return Err(Diagnostic::error("Stopped", "As asked.").into());
            }
            Some("fail") => return Err(Diagnostic::error("Failed", "As asked.").into()),
            _ => {}
        }
        if path.exists() {
            return Err(failed("create", &path, "it is there already").into());
        }
        let value = finished(&plan.value, 1);
        write(&path, &value)?;
        let identity = identity(value.get("name"));
        let private = noted(plan.private, "made");
        if plan.value.get("note").as_str() == Some("half") {
            let state = Some(State { value, private, identity });
            return Err(ApplyFailure { state, diagnostics: Diagnostic::error("Half made", "As asked.").into() });
        }
        Ok(State { value, private, identity })
    }

    async fn update(
        &self,
        context: &Context<Folder>,
        prior: &Value,
        _: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure> {
        let value = finished(&plan.value, prior.get("revision").as_i64().unwrap_or_default() + 1);
        write(&place(context, &value)?, &value)?;
        Ok(State { identity: identity(value.get("name")), value, private: plan.private })
    }

    async fn delete(&self, context: &Context<Folder>, prior: &Value, private: &Private) -> Result<(), ApplyFailure> {
        let path = place(context, prior)?;
        // The delete half of a replacement is given what the plan of the new object left there.
        if private.is_empty() {
            return Err(failed("destroy", &path, "its notes were lost").into());
        }
        Ok(fs::remove_file(&path).map_err(|error| failed("destroy", &path, error))?)
    }

    async fn import(&self, _: &Context<Folder>, id: ImportId) -> Result<State, Diagnostics> {
        let name = match id {
            ImportId::Id(id) => id.into(),
            ImportId::Identity(identity) => identity.get("name").clone(),
        };
        let value = Value::object([("name", name.clone())]);
        Ok(State { value, private: noted(Private::new(), "imported"), identity: identity(&name) })
    }

    fn upgrade(&self, _: i64, mut state: serde_json::Value) -> Result<serde_json::Value, Diagnostics> {
        // Version 0 called the name a title.
        state["name"] = state["title"].take();
        Ok(state)
    }

    fn move_from(&self, source_type: &str, source: &serde_json::Value) -> Option<Result<State, Diagnostics>> {
        let label = source["label"].as_str().filter(|_| source_type == "wrong_label")?;
        let value = Value::Map(BTreeMap::from([("name".to_owned(), label.into())]));
        Some(Ok(State { value, private: noted(Private::new(), "moved"), identity: identity(&label.into()) }))
    }
}
