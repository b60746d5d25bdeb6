//! `ApplyResourceChange`: a plan is made again with what is known by now, compared, and carried out.
//!
//! **Invariant:** a create or an update is told what the second plan said; only a delete gets the first one's notes.

use tfplugin_proto::tfplugin6 as proto;

use crate::diagnostics::Diagnostics;
use crate::value::Value;

use super::compatible::{self, As};
use super::planning::{Outcome, legacy};
use super::process::{Lease, Phase, Process, call};
use super::resource::{Action, Live, Planned, Resource};
use super::state_rules::{known, unwritten};
use super::told;
use super::trouble::{Findings, Trouble};
use super::values::{decode, encode};

/// What the provider is asked to carry out.
struct Change<'a> {
    prior: &'a Live,
    planned: &'a Value,
    config: &'a Value,
    private: &'a [u8],
    identity: &'a Value,
}

impl Resource {
    /// Applies a plan with the configuration that it was made from.
    pub async fn apply(&mut self, planned: Planned) -> Result<Diagnostics, Trouble> {
        let config = planned.config.clone();
        self.apply_with(planned, &config).await
    }

    /// Applies a plan with what the configuration has become: what was unknown may be known by now.
    pub async fn apply_with(&mut self, planned: Planned, config: &Value) -> Result<Diagnostics, Trouble> {
        let process = self.session.lease(Phase::Apply).await?;
        let outcome = self.carry_out(&process, planned, config).await;
        let released = process.release().await;
        outcome.and_then(|told| released.map(|()| told))
    }

    /// Applies a plan and asks the provider to stop as soon as `when` is over.
    pub async fn apply_and_stop(
        &mut self,
        planned: Planned,
        when: impl Future<Output = ()>,
    ) -> Result<Diagnostics, Trouble> {
        let config = planned.config.clone();
        let process = self.session.lease(Phase::Apply).await?;
        let stop = async |process: &Lease| {
            when.await;
            process.stop().await
        };
        let (outcome, stopped) = tokio::join!(self.carry_out(&process, planned, &config), stop(&process));
        let released = process.release().await;
        stopped?;
        outcome.and_then(|told| released.map(|()| told))
    }

    /// Plans and applies a configuration, and checks that nothing is left to do.
    pub async fn converge(&mut self, config: &Value) -> Result<Action, Trouble> {
        let planned = self.plan(config).await?;
        let action = planned.action;
        self.apply(planned).await?;
        self.expect_no_change(config).await?;
        Ok(action)
    }

    /// Plans its destruction and carries it out.
    pub async fn destroy(&mut self) -> Result<Diagnostics, Trouble> {
        let planned = self.plan_destroy().await?;
        self.apply(planned).await
    }

    async fn carry_out(&mut self, process: &Process, planned: Planned, config: &Value) -> Result<Diagnostics, Trouble> {
        let config = self.shape.complete(config);
        // The plan file holds the state that the refresh found.
        self.kept.clone_from(&planned.before);
        let mut prior = self.upgrade_kept(process).await?;
        let mut told = Diagnostics::default();
        if planned.action == Action::NoOp {
            return Ok(told);
        }
        if matches!(planned.action, Action::Delete | Action::Replace) {
            let change = Change {
                prior: &prior,
                planned: &Value::Null,
                config: &Value::Null,
                private: &planned.private,
                identity: &planned.identity,
            };
            told.extend(self.change(process, Action::Delete, change).await?);
            prior = Live::default();
        }
        if planned.action == Action::Delete {
            return Ok(told);
        }
        self.validate_in(process, &config).await?;
        let Outcome { action, answer } = self.decide(process, Phase::Apply, &prior, &config, false).await?;
        let first = if planned.action == Action::Replace { Action::Create } else { planned.action };
        let mut findings = Findings::of("plan_resource_change");
        if action != first && (first, action) != (Action::Update, Action::NoOp) {
            findings.whole("R1", format!("was to {first:?}, and is to {action:?} at apply"));
        }
        self.session.enforce(findings)?;
        let mut findings = Findings::of("plan_resource_change");
        compatible::check(&self.shape.ty, &planned.planned, &answer.value, As::Replan, &mut findings);
        self.session.enforce(findings)?;
        if action == Action::NoOp {
            return Ok(told);
        }
        let change = Change {
            prior: &prior,
            planned: &answer.value,
            config: &config,
            private: &answer.private,
            identity: &answer.identity,
        };
        told.extend(self.change(process, action, change).await?);
        Ok(told)
    }

    async fn change(&mut self, process: &Process, action: Action, change: Change<'_>) -> Result<Diagnostics, Trouble> {
        let ty = &self.shape.ty;
        let request = proto::apply_resource_change::Request {
            type_name: self.type_name.clone(),
            prior_state: Some(encode(&change.prior.value, ty)?),
            planned_state: Some(encode(change.planned, ty)?),
            config: Some(encode(change.config, ty)?),
            planned_private: change.private.to_vec(),
            provider_meta: None,
            planned_identity: self.encode_identity(change.identity)?,
        };
        let response = call!(process, apply_resource_change, request)?;
        let mut findings = Findings::of("apply_resource_change");
        let about = if change.config.is_null() { &change.prior.value } else { change.config };
        let told = told::read(response.diagnostics, Some((&self.shape, about)), &mut findings);
        legacy(response.legacy_type_system, &mut findings);
        let value = decode(response.new_state.as_ref(), ty, &mut findings);
        let value = value.unwrap_or_else(|| change.prior.value.clone());
        known(&value, "A6", &mut findings);
        unwritten(&self.shape.members, &value, "A9", &mut findings);
        let identity = self.read_identity("A10", response.new_identity.as_ref(), &mut findings);
        known(&identity, "A10", &mut findings);
        if findings.found.is_empty() && !told.has_error() {
            match (change.planned.is_null(), value.is_null()) {
                (true, false) => findings.whole("A7", "after a destroy the state is not null"),
                (false, true) => findings.whole("A7", "after the apply the state is null"),
                (true, true) => {}
                (false, false) => compatible::check(ty, change.planned, &value, As::Result, &mut findings),
            }
            if self.identity.is_some() && identity.is_null() && !value.is_null() {
                findings.whole("A10", "the identity is missing");
            }
        }
        let failed = told.has_error() || !findings.found.is_empty();
        self.remember(
            action,
            change.prior,
            Live { value, private: response.private, identity, tainted: false },
            failed,
        )?;
        self.session.judge(findings, told)
    }

    /// Keeps what core would keep.
    fn remember(&mut self, action: Action, prior: &Live, mut after: Live, failed: bool) -> Result<(), Trouble> {
        after.value = without_unknowns(after.value);
        if failed && after.value.is_null() && action != Action::Create {
            after = prior.clone();
        }
        after.tainted = if action == Action::Create { failed } else { prior.tainted };
        self.kept = self.write(&after)?;
        Ok(())
    }
}

/// Core stores null for what is unknown after an apply.
fn without_unknowns(value: Value) -> Value {
    match value {
        Value::Unknown(_) => Value::Null,
        Value::List(items) => Value::List(items.into_iter().map(without_unknowns).collect()),
        Value::Map(items) => Value::Map(items.into_iter().map(|(key, item)| (key, without_unknowns(item))).collect()),
        Value::Dynamic(mut typed) => {
            typed.value = without_unknowns(typed.value);
            Value::Dynamic(typed)
        }
        other => other,
    }
}
