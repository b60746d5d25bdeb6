//! `ValidateResourceConfig` and `PlanResourceChange`, as a plan calls them.

use tfplugin_proto::tfplugin6 as proto;

use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::value::Value;

use super::plan_rules;
use super::process::{Phase, Process, call};
use super::proposed::proposed;
use super::resource::{Action, Live, Planned, Resource};
use super::same::same;
use super::state_rules::known;
use super::told;
use super::trouble::{Findings, Trouble};
use super::validate_rules;
use super::values::{decode, encode, not_deferred};

/// How to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Whether to read first what is there; not with `-refresh=false`.
    pub refresh: bool,
    /// Whether to replace it whatever changes, as `-replace` and `replace_triggered_by` do.
    pub replace: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { refresh: true, replace: false }
    }
}

/// One answer to `PlanResourceChange`.
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) replace: Vec<Path>,
    pub(super) private: Vec<u8>,
    pub(super) identity: Value,
    pub(super) warnings: Diagnostics,
}

/// What the plan is made from.
pub(super) struct From<'a> {
    pub(super) prior: &'a Live,
    /// Not that of the prior state in the second plan of a replacement.
    pub(super) private: &'a [u8],
    pub(super) identity: &'a Value,
    pub(super) config: &'a Value,
    /// Whether the object will be made anew, so that its identity may be unknown.
    pub(super) anew: bool,
}

/// What a plan amounts to.
pub(super) struct Outcome {
    pub(super) action: Action,
    pub(super) answer: Answer,
}

impl Resource {
    /// Validates a configuration as `validate` does, in a process that is never configured. Attributes that are left out
    /// are null.
    pub async fn validate(&self, config: &Value) -> Result<Diagnostics, Trouble> {
        let process = self.session.lease(Phase::Validate).await?;
        let told = self.validate_in(&process, &self.shape.complete(config)).await?;
        process.release().await?;
        Ok(told)
    }

    /// Plans what makes the configuration true.
    pub async fn plan(&self, config: &Value) -> Result<Planned, Trouble> {
        self.plan_with(config, PlanOptions::default()).await
    }

    /// The same, with options.
    pub async fn plan_with(&self, config: &Value, options: PlanOptions) -> Result<Planned, Trouble> {
        let config = self.shape.complete(config);
        self.validate(&config).await?;
        let process = self.session.lease(Phase::Plan).await?;
        let (prior, drifted, mut warnings) = self.prior(&process, options.refresh).await?;
        self.validate_in(&process, &config).await?;
        let Outcome { action, answer } = self.decide(&process, Phase::Plan, &prior, &config, options.replace).await?;
        process.release().await?;
        warnings.extend(answer.warnings);
        Ok(Planned {
            action,
            before: self.write(&prior)?,
            prior: prior.value,
            planned: answer.value,
            replace: answer.replace,
            private: answer.private,
            identity: answer.identity,
            warnings,
            drifted,
            config,
        })
    }

    /// Plans its destruction.
    pub async fn plan_destroy(&self) -> Result<Planned, Trouble> {
        let process = self.session.lease(Phase::Plan).await?;
        let (prior, drifted, mut warnings) = self.prior(&process, true).await?;
        let answer = self.destroying(&process, Phase::Plan, &prior).await?;
        process.release().await?;
        warnings.extend(answer.warnings);
        Ok(Planned {
            action: if prior.value.is_null() { Action::NoOp } else { Action::Delete },
            before: self.write(&prior)?,
            prior: prior.value,
            planned: Value::Null,
            replace: Vec::new(),
            private: answer.private,
            identity: answer.identity,
            warnings,
            drifted,
            config: Value::Null,
        })
    }

    /// Checks that the configuration plans no change, with and without a refresh.
    pub async fn expect_no_change(&self, config: &Value) -> Result<(), Trouble> {
        for refresh in [false, true] {
            let planned = self.plan_with(config, PlanOptions { refresh, replace: false }).await?;
            let mut findings = Findings::of("plan_resource_change");
            if planned.action != Action::NoOp {
                let how = if refresh { "with" } else { "without" };
                let places = differing(&planned.prior, &planned.planned).join(", ");
                findings.whole("P13", format!("a second plan {how} refresh would {:?}: {places}", planned.action));
            }
            if planned.drifted {
                findings.whole("P13", "the refresh after the apply sees another state than the apply left");
            }
            self.session.enforce(findings)?;
        }
        Ok(())
    }

    /// The prior state of a plan, and whether it was found changed.
    async fn prior(&self, process: &Process, refresh: bool) -> Result<(Live, bool, Diagnostics), Trouble> {
        let kept = self.upgrade_kept(process).await?;
        if !refresh {
            return Ok((kept, false, Diagnostics::default()));
        }
        let (found, told) = self.read(process, Phase::Plan, &kept).await?;
        let drifted = !same(&self.shape.ty, &kept.value, &found.value);
        Ok((found, drifted, told))
    }

    pub(super) async fn validate_in(&self, process: &Process, config: &Value) -> Result<Diagnostics, Trouble> {
        let request = proto::validate_resource_config::Request {
            type_name: self.type_name.clone(),
            config: Some(encode(config, &self.shape.ty)?),
            client_capabilities: Some(self.session.capabilities(Phase::Validate)),
        };
        let response = call!(process, validate_resource_config, request)?;
        let mut findings = Findings::of("validate_resource_config");
        let told = told::read(response.diagnostics, Some((&self.shape, config)), &mut findings);
        validate_rules::check(&self.shape.members, config, &told, &mut findings);
        self.session.judge(findings, told)
    }

    /// Plans, twice if it has to be replaced, and says what is to be done.
    pub(super) async fn decide(
        &self,
        process: &Process,
        phase: Phase,
        prior: &Live,
        config: &Value,
        replace: bool,
    ) -> Result<Outcome, Trouble> {
        if prior.tainted && !prior.value.is_null() {
            // A tainted object is planned like one that does not exist, and the action put right afterwards.
            let nothing = Live::default();
            let identity = Value::Null;
            let from = From { prior: &nothing, private: &[], identity: &identity, config, anew: true };
            let answer = self.ask(process, phase, &from).await?;
            return Ok(Outcome { action: Action::Replace, answer });
        }
        let anew = prior.value.is_null() || replace;
        let from = From { prior, private: &prior.private, identity: &prior.identity, config, anew };
        let first = self.ask(process, phase, &from).await?;
        if prior.value.is_null() {
            return Ok(Outcome { action: Action::Create, answer: first });
        }
        if !replace && first.replace.is_empty() {
            let unchanged = first.value.is_wholly_known() && same(&self.shape.ty, &prior.value, &first.value);
            let action = if unchanged { Action::NoOp } else { Action::Update };
            return Ok(Outcome { action, answer: first });
        }
        let none = Value::Null;
        let identity = if self.session.flavour().replace_keeps_identity { &first.identity } else { &none };
        let nothing = Live::default();
        let from = From { prior: &nothing, private: &first.private, identity, config, anew: true };
        let second = self.ask(process, phase, &from).await?;
        Ok(Outcome { action: Action::Replace, answer: Answer { replace: first.replace, ..second } })
    }

    async fn ask(&self, process: &Process, phase: Phase, from: &From<'_>) -> Result<Answer, Trouble> {
        let (prior, ty) = (&from.prior.value, &self.shape.ty);
        let request = proto::plan_resource_change::Request {
            type_name: self.type_name.clone(),
            prior_state: Some(encode(prior, ty)?),
            proposed_new_state: Some(encode(&proposed(&self.shape.members, prior, from.config), ty)?),
            config: Some(encode(from.config, ty)?),
            prior_private: from.private.to_vec(),
            provider_meta: None,
            client_capabilities: Some(self.session.capabilities(phase)),
            prior_identity: self.encode_identity(from.identity)?,
        };
        let response = call!(process, plan_resource_change, request)?;
        let mut findings = Findings::of("plan_resource_change");
        let told = told::read(response.diagnostics, Some((&self.shape, from.config)), &mut findings);
        not_deferred(response.deferred.as_ref(), &mut findings);
        legacy(response.legacy_type_system, &mut findings);
        let mut answer = Answer {
            value: Value::Null,
            replace: Vec::new(),
            private: response.planned_private,
            identity: Value::Null,
            warnings: Diagnostics::default(),
        };
        if !told.has_error() {
            match decode(response.planned_state.as_ref(), ty, &mut findings) {
                Some(Value::Map(planned)) => {
                    answer.value = Value::Map(planned);
                    plan_rules::check(&self.shape.members, prior, from.config, &answer.value, &mut findings);
                }
                Some(_) => findings.whole("P1", "the plan is for absence, but the configuration wants existence"),
                None => {}
            }
            let asked = response.requires_replace.iter().map(|path| told::read_path(Some(path))).collect();
            answer.replace = plan_rules::replacing(&self.shape, asked, prior, &answer.value, &mut findings);
            answer.identity = self.read_identity("P11", response.planned_identity.as_ref(), &mut findings);
            if !from.anew && answer.replace.is_empty() {
                known(&answer.identity, "P11", &mut findings);
                let lost = !from.identity.is_null() && answer.identity != *from.identity;
                if lost && answer.identity.is_wholly_known() {
                    findings.whole("P11", "the identity of an object that is changed in place is planned to change");
                }
            }
            if !from.private.is_empty() && answer.private.is_empty() {
                findings.whole("P12", "the private state is lost by the plan");
            }
        }
        answer.warnings = self.session.judge(findings, told)?;
        Ok(answer)
    }

    async fn destroying(&self, process: &Process, phase: Phase, prior: &Live) -> Result<Answer, Trouble> {
        let nothing = Answer {
            value: Value::Null,
            replace: Vec::new(),
            private: prior.private.clone(),
            identity: prior.identity.clone(),
            warnings: Diagnostics::default(),
        };
        if prior.value.is_null() || !self.session.inner.schemas.capabilities.plan_destroy {
            return Ok(nothing);
        }
        let null = encode(&Value::Null, &self.shape.ty)?;
        let request = proto::plan_resource_change::Request {
            type_name: self.type_name.clone(),
            prior_state: Some(encode(&prior.value, &self.shape.ty)?),
            proposed_new_state: Some(null.clone()),
            config: Some(null),
            prior_private: prior.private.clone(),
            provider_meta: None,
            client_capabilities: Some(self.session.capabilities(phase)),
            prior_identity: self.encode_identity(&prior.identity)?,
        };
        let response = call!(process, plan_resource_change, request)?;
        let mut findings = Findings::of("plan_resource_change");
        let told = told::read(response.diagnostics, Some((&self.shape, &prior.value)), &mut findings);
        legacy(response.legacy_type_system, &mut findings);
        if !told.has_error() {
            let planned = decode(response.planned_state.as_ref(), &self.shape.ty, &mut findings);
            if planned.is_some_and(|planned| !planned.is_null()) {
                findings.whole("P1", "the plan of a destroy is not null");
            }
            if !prior.private.is_empty() && response.planned_private.is_empty() {
                findings.whole("P12", "the private state is lost by the plan");
            }
        }
        let warnings = self.session.judge(findings, told)?;
        Ok(Answer { private: response.planned_private, warnings, ..nothing })
    }
}

/// Rule T4.
pub(super) fn legacy(asked: bool, findings: &mut Findings) {
    if asked {
        findings.whole("T4", "the answer asks for the leniency of the legacy type system");
    }
}

/// The root attributes that differ.
fn differing(before: &Value, after: &Value) -> Vec<String> {
    match after {
        Value::Map(after) => after.keys().filter(|name| before.get(name) != &after[*name]).cloned().collect(),
        _ => vec!["everything".to_owned()],
    }
}
