//! Which command line is played: what each sends, omits and asks, as data.
//!
//! **Invariant:** a difference between the CLIs is a field here or a column of the rule table, never a test of a name.

/// Whose code decides what is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// HashiCorp's.
    Terraform,
    /// The Linux Foundation's.
    OpenTofu,
}

/// One command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// Its name and version.
    pub name: &'static str,
    /// Whose it is.
    pub family: Family,
    /// What it sends as `terraform_version`.
    pub terraform_version: &'static str,
    /// Whether it asks for identity schemas, keeps identities and imports by them.
    pub identities: bool,
    /// Whether a failing `GetResourceIdentitySchemas` ends the run; otherwise it is only logged.
    pub identity_schemas_are_vital: bool,
    /// Whether the second plan of a replacement is sent the first one's planned identity; otherwise none.
    pub replace_keeps_identity: bool,
    /// Whether it calls `GenerateResourceConfig`.
    pub generates_config: bool,
    /// Whether it calls `MoveResourceState` only when the provider says it can.
    pub move_needs_capability: bool,
    /// Whether a null argument of a function is sent as null; otherwise as an empty message.
    pub sends_null_arguments: bool,
    /// Whether it allows deferrals in the requests of an apply.
    pub defers_at_apply: bool,
    /// Whether the state file's JSON has line breaks and indentation.
    pub pretty_state: bool,
}

impl Flavour {
    /// Terraform 1.11: no identities yet; allows deferrals at apply.
    pub const TERRAFORM_1_11: Self = Self {
        name: "Terraform 1.11",
        family: Family::Terraform,
        terraform_version: "1.11.4",
        identities: false,
        identity_schemas_are_vital: false,
        replace_keeps_identity: false,
        generates_config: false,
        move_needs_capability: true,
        sends_null_arguments: true,
        defers_at_apply: true,
        pretty_state: false,
    };

    /// Terraform 1.14 and later.
    pub const TERRAFORM_1_14: Self = Self {
        name: "Terraform 1.14",
        terraform_version: "1.14.0",
        identities: true,
        identity_schemas_are_vital: true,
        replace_keeps_identity: true,
        generates_config: true,
        defers_at_apply: false,
        ..Self::TERRAFORM_1_11
    };

    /// OpenTofu 1.12, which says that it is 1.13.0.
    pub const OPENTOFU_1_12: Self = Self {
        name: "OpenTofu 1.12",
        family: Family::OpenTofu,
        terraform_version: "1.13.0",
        identities: true,
        identity_schemas_are_vital: false,
        replace_keeps_identity: false,
        generates_config: false,
        move_needs_capability: false,
        sends_null_arguments: false,
        defers_at_apply: false,
        pretty_state: true,
    };

    /// All of them.
    pub const ALL: [Self; 3] = [Self::TERRAFORM_1_11, Self::TERRAFORM_1_14, Self::OPENTOFU_1_12];
}
