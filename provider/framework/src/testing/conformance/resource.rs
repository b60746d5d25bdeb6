//! A resource as a CLI knows it: what is in its state file, and what a plan found out.
//!
//! The steps are methods: planning in `planning`, applying in `applying`, reading and upgrading in `refreshing`, import,
//! move and generated configurations in `adopting`.
//!
//! **Invariant:** a state goes from one phase to the next only as JSON and through `UpgradeResourceState`.

use std::sync::Arc;

use crate::codec;
use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::value::Value;

use super::session::Session;
use super::shape::Shape;
use super::trouble::Trouble;

/// One resource of a configuration.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) session: Session,
    pub(super) type_name: String,
    pub(super) shape: Arc<Shape>,
    pub(super) identity: Option<Arc<Shape>>,
    pub(super) kept: Option<Kept>,
}

/// What the state file holds of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The attributes, as they are in the file.
    pub json: Vec<u8>,
    /// The version of the schema that they have.
    pub version: i64,
    /// The provider's own notes.
    pub private: Vec<u8>,
    /// The identity, as it is in the file; empty where there is none.
    pub identity: Vec<u8>,
    /// The version of the identity's schema.
    pub identity_version: i64,
    /// Whether the next plan replaces it.
    pub tainted: bool,
}

/// A resource between its state file and an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Live {
    pub(super) value: Value,
    pub(super) private: Vec<u8>,
    pub(super) identity: Value,
    pub(super) tainted: bool,
}

/// What a plan is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    NoOp,
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Destroy it and make it anew.
    Replace,
    /// Destroy it.
    Delete,
}

/// A plan that can be applied later.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it would do.
    pub action: Action,
    /// The refreshed state that it was made from; null where there was none.
    pub prior: Value,
    /// What is to become of it; null in a plan that destroys.
    pub planned: Value,
    /// The attributes that force a replacement.
    pub replace: Vec<Path>,
    /// The provider's notes in the plan.
    pub private: Vec<u8>,
    /// The planned identity.
    pub identity: Value,
    /// The provider's warnings.
    pub warnings: Diagnostics,
    /// Whether the refresh before the plan saw another state than the state file holds.
    pub drifted: bool,
    pub(super) config: Value,
    pub(super) before: Option<Kept>,
}

impl Resource {
    pub(super) fn new(session: Session, type_name: &str) -> Result<Self, Trouble> {
        let schemas = &session.inner.schemas;
        let unknown = || Trouble::host(format!("the provider has no resource {type_name}"));
        let shape = Arc::clone(schemas.resources.get(type_name).ok_or_else(unknown)?);
        let identity = schemas.identities.get(type_name).cloned();
        Ok(Self { session, type_name: type_name.to_owned(), shape, identity, kept: None })
    }

    /// What the state file holds, if it is in there.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Takes what another state file holds, such as one of an older version.
    pub fn keep(&mut self, kept: Option<Kept>) {
        self.kept = kept;
    }

    /// The attributes in the state file; null where there is none.
    pub fn value(&self) -> Value {
        let read = |kept: &Kept| {
            let json = serde_json::from_slice(&kept.json).ok()?;
            codec::json::decode(&json, &self.shape.ty).ok()
        };
        self.kept.as_ref().and_then(read).unwrap_or_default()
    }

    /// The identity in the state file; null where there is none.
    pub fn identity(&self) -> Value {
        let read = |kept: &Kept| {
            let json = serde_json::from_slice(&kept.identity).ok()?;
            codec::json::decode(&json, &self.identity.as_ref()?.ty).ok()
        };
        self.kept.as_ref().and_then(read).unwrap_or_default()
    }

    /// Marks it for replacement, as `taint` does.
    pub fn taint(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.tainted = true;
        }
    }

    /// Forgets it, as `state rm` does.
    pub fn forget(&mut self) {
        self.kept = None;
    }

    /// What the state file would hold of it.
    pub(super) fn write(&self, live: &Live) -> Result<Option<Kept>, Trouble> {
        if live.value.is_null() {
            return Ok(None);
        }
        let file = |value: &Value, shape: &Shape| {
            let json = codec::json::encode(value, &shape.ty)
                .map_err(|error| Trouble::host(format!("the state cannot be written: {error}")))?;
            let text = if self.session.flavour().pretty_state {
                serde_json::to_vec_pretty(&json)
            } else {
                serde_json::to_vec(&json)
            };
            text.map_err(|error| Trouble::host(error.to_string()))
        };
        let identity = match &self.identity {
            Some(shape) if !live.identity.is_null() => file(&live.identity, shape)?,
            _ => Vec::new(),
        };
        Ok(Some(Kept {
            json: file(&live.value, &self.shape)?,
            version: self.shape.version,
            private: live.private.clone(),
            identity,
            identity_version: self.identity.as_ref().map_or(0, |shape| shape.version),
            tainted: live.tainted,
        }))
    }
}
