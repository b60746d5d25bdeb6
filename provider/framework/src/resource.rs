//! What a managed resource is: a schema and a handful of functions.

use async_trait::async_trait;

use crate::context::Context;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;
use crate::schema::{Attribute, Schema};
use crate::value::Value;

/// Bookkeeping that travels with the state but is hidden from the user. Unknown keys are kept.
pub type Private = serde_json::Map<String, serde_json::Value>;

/// What a resource leaves behind: its attributes, its hidden bookkeeping, its identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// All attributes, as an object.
    pub value: Value,
    /// Hidden bookkeeping.
    pub private: Private,
    /// The identity's attributes as an object; null where the resource has none.
    pub identity: Value,
}

/// What the plan is made from.
#[derive(Debug)]
pub struct PlanRequest<'a> {
    /// The refreshed state; null when the resource is to be created.
    pub prior: &'a Value,
    /// The configuration; may hold unknowns.
    pub config: &'a Value,
    /// The hidden bookkeeping of the prior state, as Read or the last apply left it. For the create half of a
    /// replacement it is what the first call planned.
    pub private: &'a Private,
}

/// The plan under way: the framework has filled it in by the schema's rules, the resource refines it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The planned attributes.
    pub value: Value,
    /// Attributes whose change replaces the resource.
    pub replace: Vec<Path>,
    /// The planned bookkeeping; starts as a copy of the prior one.
    pub private: Private,
    /// The planned identity; the framework starts it with the prior one.
    pub identity: Value,
}

/// A failed apply: what there is now, and why.
#[derive(Debug, Default)]
pub struct ApplyFailure {
    /// What the CLI should remember; `None` after a failed create (nothing was left) or update (the prior state holds).
    pub state: Option<State>,
    /// The errors.
    pub diagnostics: Diagnostics,
}

impl From<Diagnostics> for ApplyFailure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { state: None, diagnostics }
    }
}

impl From<Diagnostic> for ApplyFailure {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics::from(diagnostic).into()
    }
}

/// How the user names an object to import.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportId {
    /// By the id text of `tofu import` or of an import block.
    Id(String),
    /// By the attributes of its identity.
    Identity(Value),
}

/// A managed resource. `D` is the configured provider's data.
#[async_trait]
pub trait Resource<D: Send + Sync>: Send + Sync {
    /// The type's name, such as `pg_table_target`.
    fn name(&self) -> &'static str;

    /// Its schema; asked for once.
    fn schema(&self) -> Schema;

    /// The attributes of its identity (name, type, required for import), empty where it has none. Version 0.
    fn identity(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Checks across attributes. Values may be unknown. The schema's own rules were checked before.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Refines the plan of a create or an update. Pure but for vetoes: the live database may add errors and warnings.
    async fn plan(&self, _context: &Context<D>, _request: PlanRequest<'_>, _plan: &mut Plan) -> Diagnostics {
        Diagnostics::default()
    }

    /// May veto a destroy with an error or add warnings. Called for a plain destroy.
    async fn plan_destroy(&self, _context: &Context<D>, _prior: &Value, _private: &Private) -> Diagnostics {
        Diagnostics::default()
    }

    /// Reads what is there; `None` when the object is gone.
    async fn read(&self, context: &Context<D>, state: State) -> Result<Option<State>, Diagnostics>;

    /// Creates the object. A failed create must leave nothing behind.
    async fn create(&self, context: &Context<D>, config: &Value, plan: Plan) -> Result<State, ApplyFailure>;

    /// Changes the object in place.
    async fn update(
        &self,
        context: &Context<D>,
        prior: &Value,
        config: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure>;

    /// Destroys the object. `private` is the planned bookkeeping, so for the delete half of a replacement what the
    /// plan of the new object put there.
    async fn delete(&self, context: &Context<D>, prior: &Value, private: &Private) -> Result<(), ApplyFailure>;

    /// Finds an existing object; the CLI calls read on the result. The default refuses.
    async fn import(&self, _context: &Context<D>, _id: ImportId) -> Result<State, Diagnostics> {
        Err(Diagnostic::error("Import is not supported", format!("{} cannot be imported.", self.name())).into())
    }

    /// Turns the state of an older schema version into the next version's; called once for each version in between.
    fn upgrade(&self, _from: i64, state: serde_json::Value) -> Result<serde_json::Value, Diagnostics> {
        Ok(state)
    }

    /// Refines the configuration that is generated from a state, such as that of an import: of attributes that exclude
    /// each other only one may stay, and what follows from the others need not be written down.
    fn generate(&self, _config: &mut Value) {}

    /// Takes over the state of another resource type (a `moved` block across types). The default refuses, and advises to
    /// import; a resource that cannot be imported says here what to do instead. The state of this very type under another
    /// address of the provider is taken over by the framework.
    fn move_from(&self, _source_type: &str, _source_state: &serde_json::Value) -> Option<Result<State, Diagnostics>> {
        None
    }
}
