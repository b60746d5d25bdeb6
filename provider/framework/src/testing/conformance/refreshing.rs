//! From the state file to what is there now: `UpgradeResourceState`, `UpgradeResourceIdentity` and `ReadResource`.

use tfplugin_proto::tfplugin6 as proto;

use crate::codec;
use crate::diagnostics::Diagnostics;
use crate::value::Value;

use super::process::{Phase, Process, call};
use super::resource::{Kept, Live, Resource};
use super::same::same;
use super::state_rules::{known, unwritten};
use super::told;
use super::trouble::{Findings, Trouble};
use super::values::{decode, encode, encode_identity, not_deferred};

impl Resource {
    /// Reads what is there into the state file, as `apply -refresh-only` does. Gives whether anything differed.
    pub async fn refresh(&mut self) -> Result<bool, Trouble> {
        let (before, after, _) = self.look().await?;
        self.kept = self.write(&after)?;
        Ok(!same(&self.shape.ty, &before.value, &after.value))
    }

    /// Says what `plan -refresh-only` would: what the state file holds, what there is, and the provider's warnings.
    pub async fn drift(&self) -> Result<(Value, Value, Diagnostics), Trouble> {
        let (before, after, told) = self.look().await?;
        Ok((before.value, after.value, told))
    }

    async fn look(&self) -> Result<(Live, Live, Diagnostics), Trouble> {
        let process = self.session.lease(Phase::Plan).await?;
        let before = self.upgrade_kept(&process).await?;
        let (after, told) = self.read(&process, Phase::Plan, &before).await?;
        process.release().await?;
        Ok((before, after, told))
    }

    /// The state file's content in the form of today, in this process.
    pub(super) async fn upgrade_kept(&self, process: &Process) -> Result<Live, Trouble> {
        match &self.kept {
            None => Ok(Live::default()),
            Some(kept) => self.upgrade(process, kept).await,
        }
    }

    pub(super) async fn upgrade(&self, process: &Process, kept: &Kept) -> Result<Live, Trouble> {
        let mut stored = kept.json.clone();
        if kept.version == self.shape.version {
            stored = self.without_removed(&stored)?;
        }
        let request = proto::upgrade_resource_state::Request {
            type_name: self.type_name.clone(),
            version: kept.version,
            raw_state: Some(proto::RawState { json: stored, ..Default::default() }),
        };
        let response = call!(process, upgrade_resource_state, request)?;
        let mut findings = Findings::of("upgrade_resource_state");
        let told = told::read(response.diagnostics, Some((&self.shape, &Value::Null)), &mut findings);
        let mut value = Value::Null;
        if !told.has_error() {
            value = self.decode_as("U1", response.upgraded_state.as_ref(), &mut findings).unwrap_or_default();
            known(&value, "U2", &mut findings);
            unwritten(&self.shape.members, &value, "U3", &mut findings);
            if value.is_null() && findings.found.is_empty() {
                findings.whole("U1", "the upgraded state is null");
            }
        }
        self.session.judge(findings, told)?;
        let identity = self.upgrade_identity(process, kept).await?;
        Ok(Live { value, private: kept.private.clone(), identity, tainted: kept.tainted })
    }

    async fn upgrade_identity(&self, process: &Process, kept: &Kept) -> Result<Value, Trouble> {
        let Some(shape) = self.identity.as_ref().filter(|_| !kept.identity.is_empty()) else { return Ok(Value::Null) };
        if kept.identity_version == shape.version {
            let json = serde_json::from_slice(&kept.identity).map_err(|error| Trouble::host(error.to_string()))?;
            return codec::json::decode(&json, &shape.ty).map_err(|error| Trouble::host(error.to_string()));
        }
        let request = proto::upgrade_resource_identity::Request {
            type_name: self.type_name.clone(),
            version: kept.identity_version,
            raw_identity: Some(proto::RawState { json: kept.identity.clone(), ..Default::default() }),
        };
        let response = call!(process, upgrade_resource_identity, request)?;
        let mut findings = Findings::of("upgrade_resource_identity");
        let told = told::read(response.diagnostics, None, &mut findings);
        let mut identity = Value::Null;
        if !told.has_error() {
            identity = self.read_identity("U4", response.upgraded_identity.as_ref(), &mut findings);
            known(&identity, "U4", &mut findings);
        }
        self.session.judge(findings, told)?;
        Ok(identity)
    }

    /// Core drops attributes that the schema no longer has, when the versions are equal.
    fn without_removed(&self, json: &[u8]) -> Result<Vec<u8>, Trouble> {
        let bad = |error: serde_json::Error| Trouble::host(format!("the state file is no JSON: {error}"));
        let mut state: serde_json::Value = serde_json::from_slice(json).map_err(bad)?;
        let Some(attributes) = state.as_object_mut() else { return Ok(json.to_vec()) };
        let count = attributes.len();
        attributes.retain(|name, _| self.shape.members.contains_key(name));
        // Otherwise the text stays to the letter, with its line breaks.
        if attributes.len() == count { Ok(json.to_vec()) } else { serde_json::to_vec(&state).map_err(bad) }
    }

    /// Reads what there is, in this process.
    pub(super) async fn read(
        &self,
        process: &Process,
        phase: Phase,
        before: &Live,
    ) -> Result<(Live, Diagnostics), Trouble> {
        if before.value.is_null() {
            return Ok((Live::default(), Diagnostics::default()));
        }
        let request = proto::read_resource::Request {
            type_name: self.type_name.clone(),
            current_state: Some(encode(&before.value, &self.shape.ty)?),
            private: before.private.clone(),
            provider_meta: None,
            client_capabilities: Some(self.session.capabilities(phase)),
            current_identity: self.encode_identity(&before.identity)?,
        };
        let response = call!(process, read_resource, request)?;
        let mut findings = Findings::of("read_resource");
        let told = told::read(response.diagnostics, Some((&self.shape, &before.value)), &mut findings);
        not_deferred(response.deferred.as_ref(), &mut findings);
        let mut after = Live { tainted: before.tainted, ..Live::default() };
        if !told.has_error() {
            after.value = self.decode_as("F1", response.new_state.as_ref(), &mut findings).unwrap_or_default();
            known(&after.value, "F2", &mut findings);
            unwritten(&self.shape.members, &after.value, "F5", &mut findings);
            if !after.value.is_null() {
                after.identity = self.read_identity("F6", response.new_identity.as_ref(), &mut findings);
                known(&after.identity, "F6", &mut findings);
                if findings.found.is_empty() && !before.identity.is_null() && after.identity != before.identity {
                    findings.whole("F7", "the identity has changed");
                }
                if !before.private.is_empty() && response.private.is_empty() {
                    findings.whole("P12", "the private state was lost");
                }
            }
            after.private = response.private;
        }
        self.session.judge(findings, told).map(|told| (after, told))
    }

    /// Reads a state, with one rule for whatever is wrong with its form.
    pub(super) fn decode_as(
        &self,
        rule: &'static str,
        state: Option<&proto::DynamicValue>,
        findings: &mut Findings,
    ) -> Option<Value> {
        decode_as(rule, state, &self.shape.ty, findings)
    }

    /// Reads an identity, with one rule for whatever is wrong with its form; null where the CLI knows of none.
    pub(super) fn read_identity(
        &self,
        rule: &'static str,
        identity: Option<&proto::ResourceIdentityData>,
        findings: &mut Findings,
    ) -> Value {
        let Some(shape) = &self.identity else { return Value::Null };
        let data = identity.and_then(|identity| identity.identity_data.as_ref());
        decode_as(rule, data, &shape.ty, findings).unwrap_or_default()
    }

    pub(super) fn encode_identity(&self, identity: &Value) -> Result<Option<proto::ResourceIdentityData>, Trouble> {
        match &self.identity {
            Some(shape) => encode_identity(identity, &shape.ty),
            None => Ok(None),
        }
    }
}

/// Reads a value, with one rule for whatever is wrong with its form.
pub(super) fn decode_as(
    rule: &'static str,
    value: Option<&proto::DynamicValue>,
    ty: &crate::types::Type,
    findings: &mut Findings,
) -> Option<Value> {
    let before = findings.found.len();
    let value = decode(value, ty, findings);
    for finding in &mut findings.found[before..] {
        // An unknown of the wrong form or an element given twice is what it is wherever it stands.
        if matches!(finding.rule, "W1" | "W2") {
            finding.rule = rule;
        }
    }
    value
}
