//! The shape of a resource as data: the plan algorithm, the checks and the registry docs are all derived from it.

use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::types::Type;
use crate::value::Value;

/// The schema of a resource, a data source or the provider block.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Version of the state's form; an upgrader must exist for each older one.
    pub version: i64,
    /// Markdown, shown in the registry docs.
    pub description: &'static str,
    /// The attributes, in the order in which the docs show them.
    pub attributes: Vec<Attribute>,
}

/// Who gives an attribute its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The user must.
    Required,
    /// The user may; otherwise it is null.
    Optional,
    /// The provider does; the user must not.
    Computed,
    /// The user may; otherwise the provider does.
    OptionalComputed,
}

/// What an attribute holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A plain type.
    Plain(Type),
    /// Objects with attributes of their own.
    Nested(Nesting, Vec<Attribute>),
}

/// How nested objects are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects.
    Map,
}

/// What a computed attribute becomes in a plan that changes something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// Unknown until apply.
    #[default]
    Unknown,
    /// It keeps its prior value (in a plan that creates it is unknown).
    KeepPrior,
}

/// The value that an attribute takes when the configuration leaves it out.
#[derive(Clone, Debug, Default)]
pub enum Default {
    /// None: null, or computed.
    #[default]
    None,
    /// Text.
    String(&'static str),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i64),
}

/// A check of one configured value; unknown and null values are never given to it.
pub type Validator = fn(&Value, &Path, &mut Diagnostics);

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Who gives its value.
    pub mode: Mode,
    /// Markdown, shown in the registry docs.
    pub description: &'static str,
    /// Whether the CLI hides its value.
    pub sensitive: bool,
    /// Whether it is sent by the user but never kept.
    pub write_only: bool,
    /// Why it should no longer be used, if so.
    pub deprecated: Option<&'static str>,
    /// Its value when the configuration leaves it out. Needs [`Mode::OptionalComputed`].
    pub default: Default,
    /// What happens to it, when computed, in a plan that changes something else.
    pub on_change: OnChange,
    /// Whether a change of it replaces the resource.
    pub replace: bool,
    /// Says whether two known, non-null values mean the same, so that a plan keeps the prior one.
    pub same: Option<fn(&Value, &Value) -> bool>,
    /// Checks of the configured value.
    pub validators: Vec<Validator>,
}

impl Attribute {
    /// An attribute of a plain type.
    pub fn new(name: &'static str, ty: Type, mode: Mode, description: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Plain(ty),
            mode,
            description,
            sensitive: false,
            write_only: false,
            deprecated: None,
            default: Default::None,
            on_change: OnChange::Unknown,
            replace: false,
            same: None,
            validators: Vec::new(),
        }
    }

    /// An attribute that holds nested objects.
    pub fn nested(
        name: &'static str,
        nesting: Nesting,
        attributes: Vec<Self>,
        mode: Mode,
        description: &'static str,
    ) -> Self {
        Self { kind: Kind::Nested(nesting, attributes), ..Self::new(name, Type::Dynamic, mode, description) }
    }

    /// Hides the value in the CLI's output.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The value is sent by the user but never kept.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Using the attribute earns a warning that says this.
    #[must_use]
    pub fn deprecated(mut self, message: &'static str) -> Self {
        self.deprecated = Some(message);
        self
    }

    /// A change of the value replaces the resource.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.replace = true;
        self
    }

    /// The value when the configuration leaves it out; the attribute becomes optional and computed.
    #[must_use]
    pub fn default(mut self, default: Default) -> Self {
        self.default = default;
        self.mode = Mode::OptionalComputed;
        self
    }

    /// A computed value that keeps its prior value when other attributes change.
    #[must_use]
    pub fn keep_prior(mut self) -> Self {
        self.on_change = OnChange::KeepPrior;
        self
    }

    /// Values that mean the same are no change.
    #[must_use]
    pub fn same(mut self, same: fn(&Value, &Value) -> bool) -> Self {
        self.same = Some(same);
        self
    }

    /// One more check of the configured value.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// The type of the attribute's value.
    pub fn ty(&self) -> Type {
        match &self.kind {
            Kind::Plain(ty) => ty.clone(),
            Kind::Nested(nesting, attributes) => {
                let object = Box::new(object_type(attributes));
                match nesting {
                    Nesting::Single => *object,
                    Nesting::List => Type::List(object),
                    Nesting::Set => Type::Set(object),
                    Nesting::Map => Type::Map(object),
                }
            }
        }
    }
}

impl Schema {
    /// The type of a whole resource.
    pub fn ty(&self) -> Type {
        object_type(&self.attributes)
    }
}

/// The object type of these attributes.
pub(crate) fn object_type(attributes: &[Attribute]) -> Type {
    Type::Object(attributes.iter().map(|a| (a.name.to_owned(), a.ty())).collect())
}
