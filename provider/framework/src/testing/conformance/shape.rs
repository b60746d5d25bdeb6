//! What a schema on the wire says, in the host's own words.
//!
//! **Invariant:** made from the provider's answer alone, so that the host believes what a CLI would believe.

use std::collections::BTreeMap;

use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::schema::object::NestingMode;

use crate::path::{Path, Step};
use crate::schema::Nesting;
use crate::types::Type;
use crate::value::Value;

/// The attributes of an object, by name.
pub(super) type Members = BTreeMap<String, Member>;

/// A schema.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) version: i64,
    pub(super) members: Members,
    pub(super) ty: Type,
}

/// An attribute.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) held: Held,
    pub(super) ty: Type,
    pub(super) required: bool,
    pub(super) optional: bool,
    pub(super) computed: bool,
    pub(super) write_only: bool,
}

/// What an attribute holds.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Plain,
    Nested(Nesting, Members),
}

impl Shape {
    /// Reads a schema; what is wrong with it was found before by the schema rules.
    pub(super) fn read(schema: &proto::Schema) -> Result<Self, String> {
        let block = schema.block.as_ref().ok_or("the schema has no block")?;
        if let Some(nested) = block.block_types.first() {
            return Err(format!("this host plays no nested blocks, and the schema has {}", nested.type_name));
        }
        let members = read_members(&block.attributes)?;
        Ok(Self { version: schema.version, ty: object_of(&members), members })
    }

    /// The identity's attributes as a shape; none is computed.
    pub(super) fn read_identity(schema: &proto::ResourceIdentitySchema) -> Result<Self, String> {
        let read = |attribute: &proto::resource_identity_schema::IdentityAttribute| {
            let ty = Type::from_json(&attribute.r#type).map_err(|error| error.to_string())?;
            let member = Member {
                held: Held::Plain,
                ty,
                required: attribute.required_for_import,
                optional: !attribute.required_for_import,
                computed: false,
                write_only: false,
            };
            Ok::<_, String>((attribute.name.clone(), member))
        };
        let members = schema.identity_attributes.iter().map(read).collect::<Result<Members, _>>()?;
        Ok(Self { version: schema.version, ty: object_of(&members), members })
    }

    /// The value with null for each attribute that it leaves out, as a configuration is read.
    pub(super) fn complete(&self, value: &Value) -> Value {
        complete(&self.members, value)
    }
}

fn read_members(attributes: &[proto::schema::Attribute]) -> Result<Members, String> {
    attributes.iter().map(|attribute| Ok((attribute.name.clone(), read_member(attribute)?))).collect()
}

fn read_member(attribute: &proto::schema::Attribute) -> Result<Member, String> {
    let (held, ty) = match &attribute.nested_type {
        None => {
            let ty = Type::from_json(&attribute.r#type).map_err(|error| format!("{}: {error}", attribute.name))?;
            (Held::Plain, ty)
        }
        Some(object) => {
            let members = read_members(&object.attributes)?;
            let element = object_of(&members);
            let (nesting, ty) = match object.nesting() {
                NestingMode::Single => (Nesting::Single, element),
                NestingMode::List => (Nesting::List, Type::List(Box::new(element))),
                NestingMode::Set => (Nesting::Set, Type::Set(Box::new(element))),
                NestingMode::Map => (Nesting::Map, Type::Map(Box::new(element))),
                NestingMode::Invalid => return Err(format!("{}: no nesting mode", attribute.name)),
            };
            (Held::Nested(nesting, members), ty)
        }
    };
    Ok(Member {
        held,
        ty,
        required: attribute.required,
        optional: attribute.optional,
        computed: attribute.computed,
        write_only: attribute.write_only,
    })
}

fn object_of(members: &Members) -> Type {
    Type::Object(members.iter().map(|(name, member)| (name.clone(), member.ty.clone())).collect())
}

fn complete(members: &Members, value: &Value) -> Value {
    let Value::Map(given) = value else { return value.clone() };
    let mut whole: BTreeMap<String, Value> = given.clone();
    for (name, member) in members {
        let value = given.get(name).cloned().unwrap_or_default();
        let value = match &member.held {
            Held::Plain => value,
            Held::Nested(..) => each_object(member, value, &|members, item| complete(members, &item)),
        };
        whole.insert(name.clone(), value);
    }
    Value::Map(whole)
}

/// Changes each object that a nested attribute holds.
pub(super) fn each_object(member: &Member, value: Value, change: &dyn Fn(&Members, Value) -> Value) -> Value {
    match (&member.held, value) {
        (Held::Nested(Nesting::Single, members), value @ Value::Map(_)) => change(members, value),
        (Held::Nested(Nesting::Map, members), Value::Map(items)) => {
            Value::Map(items.into_iter().map(|(key, item)| (key, change(members, item))).collect())
        }
        (Held::Nested(_, members), Value::List(items)) => {
            Value::List(items.into_iter().map(|item| change(members, item)).collect())
        }
        (_, value) => value,
    }
}

/// The objects that a nested attribute holds, each with the step to it; none inside a set, where no path leads.
pub(super) fn objects<'a>(nesting: Nesting, value: &'a Value) -> Vec<(Option<Step>, &'a Value)> {
    match (nesting, value) {
        (Nesting::Single, Value::Map(_)) => vec![(None, value)],
        (Nesting::Map, Value::Map(items)) => {
            items.iter().map(|(key, item)| (Some(Step::Key(key.clone())), item)).collect()
        }
        (Nesting::List, Value::List(items)) => (0..).zip(items).map(|(i, item)| (Some(Step::Index(i)), item)).collect(),
        (Nesting::Set, Value::List(items)) => items.iter().map(|item| (None, item)).collect(),
        _ => Vec::new(),
    }
}

/// The path with one step more, where there is one.
pub(super) fn step(path: &Path, step: Option<Step>) -> Path {
    let mut path = path.clone();
    path.0.extend(step);
    path
}
