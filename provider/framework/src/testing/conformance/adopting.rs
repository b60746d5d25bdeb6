//! Objects that are there already: import, move from another type, and a configuration for what was imported.

use tfplugin_proto::tfplugin6 as proto;

use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::value::Value;

use super::process::{Phase, Process, call};
use super::refreshing::decode_as;
use super::resource::{Live, Resource};
use super::shape::{Held, Member, Members, each_object, objects, step};
use super::state_rules::{known, unwritten};
use super::told;
use super::trouble::{Findings, Trouble};
use super::values::{encode, not_deferred};

/// A resource of another type, as its state file holds it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The address of its provider.
    pub provider: String,
    /// Its type.
    pub type_name: String,
    /// The version of its schema.
    pub version: i64,
    /// Its attributes.
    pub json: Vec<u8>,
    /// Its provider's notes.
    pub private: Vec<u8>,
}

impl Resource {
    /// Imports an object by its id, and reads it.
    pub async fn import_id(&mut self, id: &str) -> Result<Diagnostics, Trouble> {
        self.import(id, &Value::Null).await
    }

    /// Imports an object by its identity, and reads it. Attributes of the identity that are left out are null.
    pub async fn import_identity(&mut self, identity: &Value) -> Result<Diagnostics, Trouble> {
        let Some(shape) = &self.identity else {
            let cli = self.session.flavour().name;
            return Err(Trouble::host(format!("{cli} knows no identity of {}", self.type_name)));
        };
        let identity = shape.complete(identity);
        self.import("", &identity).await
    }

    async fn import(&mut self, id: &str, identity: &Value) -> Result<Diagnostics, Trouble> {
        let process = self.session.lease(Phase::Plan).await?;
        let (found, mut told) = self.imported(&process, id, identity).await?;
        let (read, more) = self.read(&process, Phase::Plan, &found).await?;
        told.extend(more);
        process.release().await?;
        let mut findings = Findings::of("read_resource");
        if read.value.is_null() {
            findings.whole("I6", "what was just imported is not there");
        }
        self.session.enforce(findings)?;
        self.kept = self.write(&read)?;
        Ok(told)
    }

    async fn imported(&self, process: &Process, id: &str, identity: &Value) -> Result<(Live, Diagnostics), Trouble> {
        let request = proto::import_resource_state::Request {
            type_name: self.type_name.clone(),
            id: id.to_owned(),
            client_capabilities: Some(self.session.capabilities(Phase::Plan)),
            identity: self.encode_identity(identity)?,
        };
        let response = call!(process, import_resource_state, request)?;
        let mut findings = Findings::of("import_resource_state");
        let told = told::read(response.diagnostics, None, &mut findings);
        not_deferred(response.deferred.as_ref(), &mut findings);
        let mut live = Live::default();
        if !told.has_error() {
            match &response.imported_resources[..] {
                [one] if one.type_name == self.type_name => {
                    live.value = self.decode_as("I2", one.state.as_ref(), &mut findings).unwrap_or_default();
                    known(&live.value, "I3", &mut findings);
                    unwritten(&self.shape.members, &live.value, "I4", &mut findings);
                    live.identity = self.read_identity("I5", one.identity.as_ref(), &mut findings);
                    known(&live.identity, "I5", &mut findings);
                    if !identity.is_null() && live.identity.is_null() {
                        findings.whole("I5", "an import by identity gave none");
                    }
                    if live.value.is_null() && findings.found.is_empty() {
                        findings.whole("I1", "the imported object is null");
                    }
                    live.private.clone_from(&one.private);
                }
                others => findings.whole("I1", format!("{} objects, or one of another type", others.len())),
            }
        }
        self.session.judge(findings, told).map(|told| (live, told))
    }

    /// Takes over the state of a resource of another type, as a `moved` block does.
    pub async fn move_from(&mut self, source: &Source) -> Result<Diagnostics, Trouble> {
        let able = self.session.inner.schemas.capabilities.move_resource_state;
        if self.session.flavour().move_needs_capability && !able {
            return Err(Trouble::host("the provider does not say that it can move between types"));
        }
        let request = proto::move_resource_state::Request {
            source_provider_address: source.provider.clone(),
            source_type_name: source.type_name.clone(),
            source_schema_version: source.version,
            source_state: Some(proto::RawState { json: source.json.clone(), ..Default::default() }),
            target_type_name: self.type_name.clone(),
            source_private: source.private.clone(),
            ..Default::default()
        };
        let process = self.session.lease(Phase::Plan).await?;
        let response = call!(process, move_resource_state, request)?;
        process.release().await?;
        let mut findings = Findings::of("move_resource_state");
        let told = told::read(response.diagnostics, None, &mut findings);
        let mut live = Live::default();
        if !told.has_error() {
            live.value = self.decode_as("M1", response.target_state.as_ref(), &mut findings).unwrap_or_default();
            known(&live.value, "M2", &mut findings);
            unwritten(&self.shape.members, &live.value, "M3", &mut findings);
            live.identity = self.read_identity("M1", response.target_identity.as_ref(), &mut findings);
            known(&live.identity, "M2", &mut findings);
            if live.value.is_null() && findings.found.is_empty() {
                findings.whole("M1", "the moved state is null");
            }
            live.private = response.target_private;
        }
        let told = self.session.judge(findings, told)?;
        self.kept = self.write(&live)?;
        Ok(told)
    }

    /// The configuration that `plan -generate-config-out` writes for what is in the state file: the provider's where the
    /// CLI asks for it, else the CLI's own guess. It is validated.
    pub async fn generate_config(&self) -> Result<Value, Trouble> {
        let process = self.session.lease(Phase::Plan).await?;
        let state = self.upgrade_kept(&process).await?.value;
        let able = self.session.inner.schemas.capabilities.generate_resource_config;
        let config = if able && self.session.flavour().generates_config {
            self.generated(&process, &state).await?
        } else {
            guessed(&self.shape.members, state)
        };
        process.release().await?;
        self.validate(&config).await?;
        Ok(config)
    }

    async fn generated(&self, process: &Process, state: &Value) -> Result<Value, Trouble> {
        let request = proto::generate_resource_config::Request {
            type_name: self.type_name.clone(),
            state: Some(encode(state, &self.shape.ty)?),
        };
        let response = call!(process, generate_resource_config, request)?;
        let mut findings = Findings::of("generate_resource_config");
        let told = told::read(response.diagnostics, None, &mut findings);
        let mut config = Value::Null;
        if !told.has_error() {
            let ty = &self.shape.ty;
            config = decode_as("N1", response.config.as_ref(), ty, &mut findings).unwrap_or_default();
            known(&config, "N1", &mut findings);
            only_settable(&self.shape.members, &config, &Path::default(), &mut findings);
        }
        self.session.judge(findings, told)?;
        Ok(config)
    }
}

fn is_settable(member: &Member) -> bool {
    (member.required || member.optional) && !member.write_only
}

fn only_settable(members: &Members, config: &Value, path: &Path, findings: &mut Findings) {
    for (name, member) in members {
        let (path, value) = (path.clone().attribute(name), config.get(name));
        if !is_settable(member) && !value.is_null() {
            findings.add("N2", &path, "is generated, and may not be configured");
        }
        if let Held::Nested(nesting, members) = &member.held {
            for (at, object) in objects(*nesting, value) {
                only_settable(members, object, &step(&path, at), findings);
            }
        }
    }
}

/// What a CLI writes that does not ask the provider.
fn guessed(members: &Members, state: Value) -> Value {
    let Value::Map(mut state) = state else { return state };
    for (name, member) in members {
        let Some(value) = state.get_mut(name) else { continue };
        *value = if is_settable(member) { each_object(member, std::mem::take(value), &guessed) } else { Value::Null };
    }
    Value::Map(state)
}
