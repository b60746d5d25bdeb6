//! One switch for each rule: which answer is changed, and how.

use std::sync::atomic::{AtomicI64, Ordering};

use tfplugin::{Schema, Type, Value};
use tfplugin_proto::tfplugin6 as proto;
use tonic::Status;

use proto::attribute_path::{Step, step::Selector};
use proto::schema::{Attribute, Block, NestedBlock};

use crate::tamper::{Edit, Object, Outcome, bytes, object};
use crate::{thing, things};

const THING: &str = "wrong_thing";
const THINGS: &str = "wrong_things";
const NULL: &[u8] = &[0xc0];
const UNKNOWN: &[u8] = &[0xd4, 0, 0];

/// Makes the table from edits that give nothing.
macro_rules! switches {
    ($($rule:literal $request:ident |$asked:pat_param, $answer:ident| $edit:expr;)*) => {
        /// The rules and the edits that break them.
        pub(crate) fn all() -> Vec<(&'static str, Edit)> {
            vec![$(($rule, Edit::$request(|$asked, $answer| { $edit; Outcome::Ok(()) }))),*]
        }
    };
}

switches! {
    "S1" Schema |_, answer| attribute(answer, "note", |note| note.required = true);
    "S2" Schema |_, answer| attribute(answer, "note", |note| note.r#type = b"\"text\"".to_vec());
    "S3" Schema |_, answer| attribute(answer, "note", |note| note.name = "Note".to_owned());
    "S4" Schema |_, answer| block(answer).block_types.push(limits_of_a_map());
    "S5" Schema |_, answer| attribute(answer, "tags", |tags| tags.r#type = b"[\"set\",\"dynamic\"]".to_vec());
    "S6" Schema |_, answer| nested(answer, "parts", |key| key.write_only = true);
    "S7" Schema |_, answer| schema(answer).version = -1;
    "S8" Schema |_, answer| attribute(answer, "note", |note| note.deprecation_message = "No more.".to_owned());
    "S9" Identities |_, answer| identity(answer).identity_attributes[0].r#type = b"[\"map\",\"string\"]".to_vec();
    "S10" Schema |_, answer| answer.functions.values_mut().for_each(same_names);
    "S10" Functions |_, answer| answer.functions.values_mut().for_each(same_names);
    "S11" Schema |_, answer| attribute(answer, "note", |note| note.name = "count".to_owned());
    "S12" Schema |_, answer| rename(answer);
    "S13" Schema |_, answer| answer.provider = None;

    "T1" Read |_, answer| fail(answer)?;
    "T2" Stop |_, answer| answer.error = "not now".to_owned();
    "T3" Plan |_, answer| answer.deferred = Some(proto::Deferred { reason: 1 });
    "T4" Plan |_, answer| answer.legacy_type_system = true;

    "V1" Validate |_, answer| answer.diagnostics.retain(|told| !told.summary.contains("Required"));
    "V2" Validate |_, answer| answer.diagnostics.retain(|told| !told.summary.contains("Read-Only"));
    "G1" Plan |_, answer| answer.diagnostics.push(warning("Beware", "nothing"));
    "G3" Validate |_, answer| answer.diagnostics.truncate(1);
    "G4" Plan |asked, answer| answer.diagnostics.push(warning(&format!("Beware of {}", name(&asked.config)), "note"));

    "W1" Plan |_, answer| planned(answer, |it| it.without("note"));
    "W2" Plan |_, answer| planned(answer, |it| it.set_bytes("revision", b"\xa4text"));
    "W5" Plan |_, answer| planned(answer, |it| it.set_bytes("revision", b"\xd5\x05\0\0"));
    "W6" Plan |_, answer| planned(answer, |it| it.set_bytes("tags", b"\x92\xa1t\xa1t"));
    "W8" Plan |_, answer| answer.diagnostics.push(proto::Diagnostic { severity: 0, ..warning("Beware", "note") });

    "P1" Plan |_, answer| answer.planned_state = Some(null());
    "P2" Plan |_, answer| planned(answer, |it| it.set("note", &"other".into()));
    "P3" Plan |_, answer| planned(answer, |it| it.set("size", &1.into()));
    "P5" Plan |asked, answer| if unknown_note(&asked.config) { planned(answer, |it| it.set("note", &"guess".into())) };
    "P6" Plan |_, answer| planned(answer, |it| it.set("note", &Value::unknown()));
    "P7" Plan |_, answer| planned(answer, |it| it.set("password", &"secret".into()));
    "P8" Plan |_, answer| planned(answer, |it| it.set_bytes("columns", b"\x80"));
    "P10" Plan |_, answer| answer.requires_replace.push(path("nothing"));
    "P11" Plan |asked, answer| if is_update(asked) { answer.planned_identity = another() };
    "P12" Plan |_, answer| answer.planned_private.clear();
    "P13" Plan |asked, answer| if is_update(asked) { planned(answer, |it| it.set("revision", &Value::unknown())) };

    "R1" Plan |asked, answer| if note_is_known_now(asked) { answer.requires_replace.push(path("revision")) };
    "R2" Plan |_, answer| planned(answer, |it| it.set("revision", &count().into()));

    "A1" Apply |_, answer| result(answer, |it| it.set("note", &"other".into()));
    "A2" Apply |_, answer| result(answer, |it| it.set("size", &0.into()));
    "A3" Apply |_, answer| result(answer, |it| it.set_bytes("list", b"\x91\xa1x"));
    "A4" Apply |_, answer| result(answer, |it| it.set_bytes("tags", b"\x91\xa5other"));
    "A5" Apply |_, answer| result(answer, |it| it.set("id", &"other".into()));
    "A6" Apply |_, answer| result(answer, |it| it.set("revision", &Value::unknown()));
    "A7" Apply |_, answer| answer.new_state = Some(null());
    "A9" Apply |_, answer| result(answer, |it| it.set("password", &"secret".into()));
    "A10" Apply |_, answer| answer.new_identity = None;

    "F1" Read |_, answer| read(answer, |it| it.without("note"));
    "F2" Read |_, answer| read(answer, |it| it.set("note", &Value::unknown()));
    "F5" Read |_, answer| read(answer, |it| it.set("password", &"secret".into()));
    "F6" Read |_, answer| answer.new_identity = identity_of(UNKNOWN);
    "F7" Read |_, answer| answer.new_identity = another();

    "D1" ReadData |_, answer| answer.state = Some(null());
    "D2" ReadData |_, answer| data(&mut answer.state, |it| it.set_bytes("names", UNKNOWN));
    "D3" ReadData |_, answer| data(&mut answer.state, |it| it.without("names"));
    "D4" ReadData |_, answer| data(&mut answer.state, |it| it.set("prefix", &"other".into()));
    "E1" Open |_, answer| answer.result = Some(null());
    "E2" Open |_, answer| data(&mut answer.result, |it| it.set_bytes("names", UNKNOWN));

    "C1" Call |_, answer| answer.result = Some(raw(b"\xc3"));
    "C2" Call |_, answer| if let Some(error) = &mut answer.error { error.function_argument = Some(7) };
    "C4" Functions |_, answer| answer.functions.clear();
    "C3" Call |_, answer| answer.result = Some(raw(&bytes(&count().to_string().into(), &Type::String)));

    "I1" Import |_, answer| answer.imported_resources.extend(answer.imported_resources.clone());
    "I2" Import |_, answer| imported(answer, |it| it.without("note"));
    "I3" Import |_, answer| imported(answer, |it| it.set("note", &Value::unknown()));
    "I4" Import |_, answer| imported(answer, |it| it.set("password", &"secret".into()));
    "I5" Import |_, answer| answer.imported_resources.iter_mut().for_each(|one| one.identity = None);
    "I6" Import |_, answer| imported(answer, |it| it.set("name", &"missing".into()));

    "U1" Upgrade |_, answer| answer.upgraded_state = Some(null());
    "U2" Upgrade |_, answer| upgraded(answer, |it| it.set("note", &Value::unknown()));
    "U3" Upgrade |_, answer| upgraded(answer, |it| it.set("password", &"secret".into()));
    // The one version of the identity becomes the second one, so that the CLI asks for an upgrade.
    "U4" Identities |_, answer| identity(answer).version = 1;
    "U4" UpgradeIdentity |_, answer| answer.upgraded_identity = identity_of(UNKNOWN);
    "M1" Move |_, answer| answer.target_state = Some(null());
    "M2" Move |_, answer| moved(answer, |it| it.set("note", &Value::unknown()));
    "M3" Move |_, answer| moved(answer, |it| it.set("password", &"secret".into()));
    "N1" Generate |_, answer| generated(answer, |it| it.without("note"));
    "N2" Generate |_, answer| generated(answer, |it| it.set("revision", &1.into()));
}

fn fail(_: &mut proto::read_resource::Response) -> Outcome {
    Err(Status::internal("a status in place of an answer"))
}

fn raw(msgpack: &[u8]) -> proto::DynamicValue {
    proto::DynamicValue { msgpack: msgpack.to_vec(), json: Vec::new() }
}

fn null() -> proto::DynamicValue {
    raw(NULL)
}

/// How often it has been called in this process.
fn count() -> i64 {
    static COUNT: AtomicI64 = AtomicI64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed) + 1
}

// Schemas.

fn schema(answer: &mut proto::get_provider_schema::Response) -> &mut proto::Schema {
    answer.resource_schemas.entry(THING.to_owned()).or_default()
}

fn block(answer: &mut proto::get_provider_schema::Response) -> &mut Block {
    schema(answer).block.get_or_insert_default()
}

fn attribute(answer: &mut proto::get_provider_schema::Response, name: &str, edit: fn(&mut Attribute)) {
    block(answer).attributes.iter_mut().filter(|attribute| attribute.name == name).for_each(edit);
}

fn nested(answer: &mut proto::get_provider_schema::Response, name: &str, edit: fn(&mut Attribute)) {
    let of_that_name = block(answer).attributes.iter_mut().filter(|attribute| attribute.name == name);
    of_that_name.filter_map(|it| it.nested_type.as_mut()?.attributes.first_mut()).for_each(edit);
}

fn limits_of_a_map() -> NestedBlock {
    NestedBlock { type_name: "more".to_owned(), block: Some(Block::default()), nesting: 4, min_items: 1, max_items: 1 }
}

fn rename(answer: &mut proto::get_provider_schema::Response) {
    if let Some(schema) = answer.data_source_schemas.remove(THINGS) {
        answer.data_source_schemas.insert("right_things".to_owned(), schema);
    }
}

fn same_names(function: &mut proto::Function) {
    function.parameters.iter_mut().for_each(|parameter| parameter.name = "same".to_owned());
}

fn identity(answer: &mut proto::get_resource_identity_schemas::Response) -> &mut proto::ResourceIdentitySchema {
    answer.identity_schemas.entry(THING.to_owned()).or_default()
}

// Values.

fn edit(place: &mut Option<proto::DynamicValue>, schema: &Schema, edit: fn(Object<'_>) -> Object<'_>) {
    drop(object(place, schema.ty()).map(edit));
}

fn planned(answer: &mut proto::plan_resource_change::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.planned_state, &thing::schema(), change);
}

fn result(answer: &mut proto::apply_resource_change::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.new_state, &thing::schema(), change);
}

fn read(answer: &mut proto::read_resource::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.new_state, &thing::schema(), change);
}

fn upgraded(answer: &mut proto::upgrade_resource_state::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.upgraded_state, &thing::schema(), change);
}

fn moved(answer: &mut proto::move_resource_state::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.target_state, &thing::schema(), change);
}

fn generated(answer: &mut proto::generate_resource_config::Response, change: fn(Object<'_>) -> Object<'_>) {
    edit(&mut answer.config, &thing::schema(), change);
}

fn imported(answer: &mut proto::import_resource_state::Response, change: fn(Object<'_>) -> Object<'_>) {
    answer.imported_resources.iter_mut().for_each(|one| edit(&mut one.state, &thing::schema(), change));
}

fn data(place: &mut Option<proto::DynamicValue>, change: fn(Object<'_>) -> Object<'_>) {
    edit(place, &things::schema(), change);
}

fn identity_of(name: &[u8]) -> Option<proto::ResourceIdentityData> {
    let identity_data = Some(raw(&[b"\x81\xa4name", name].concat()));
    Some(proto::ResourceIdentityData { identity_data })
}

fn another() -> Option<proto::ResourceIdentityData> {
    identity_of(b"\xa7another")
}

// Requests and diagnostics.

fn config(value: &Option<proto::DynamicValue>) -> Value {
    let decode =
        |value: &proto::DynamicValue| tfplugin::codec::msgpack::decode(&value.msgpack, &thing::schema().ty()).ok();
    value.as_ref().and_then(decode).unwrap_or_default()
}

fn name(value: &Option<proto::DynamicValue>) -> String {
    config(value).get("name").as_str().unwrap_or_default().to_owned()
}

fn unknown_note(value: &Option<proto::DynamicValue>) -> bool {
    config(value).get("note").is_unknown()
}

fn is_update(asked: &proto::plan_resource_change::Request) -> bool {
    !config(&asked.prior_state).is_null() && !config(&asked.config).is_null()
}

/// Whether this is the plan at apply of an update whose note was unknown when it was planned first.
fn note_is_known_now(asked: &proto::plan_resource_change::Request) -> bool {
    let note = |value| config(value).get("note").clone();
    let now = note(&asked.config);
    is_update(asked) && now.as_str() == Some("another note") && now != note(&asked.prior_state)
}

fn path(attribute: &str) -> proto::AttributePath {
    let step = Step { selector: Some(Selector::AttributeName(attribute.to_owned())) };
    proto::AttributePath { steps: vec![step] }
}

fn warning(summary: &str, attribute: &str) -> proto::Diagnostic {
    let summary = summary.to_owned();
    proto::Diagnostic { severity: 2, summary, detail: String::new(), attribute: Some(path(attribute)) }
}
