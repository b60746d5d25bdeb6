//! The rules that the host enforces, and what the CLIs make of one that is broken.
//!
//! **Invariant:** a check can only name a rule of this table (a test holds it to that).

use super::flavour::Family;

/// What a CLI does with a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It ends the operation with an error that blames the provider.
    Error,
    /// It writes a warning to its log.
    Log,
    /// It does not notice; the user meets what follows from it.
    Unnoticed,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub id: &'static str,
    /// What it demands.
    pub words: &'static str,
    /// What Terraform does when it is broken.
    pub terraform: Consequence,
    /// What OpenTofu does when it is broken.
    pub opentofu: Consequence,
}

/// The rule of a number.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

pub(super) fn is_error(id: &str, family: Family) -> bool {
    rule(id).is_none_or(|rule| {
        let consequence = match family {
            Family::Terraform => rule.terraform,
            Family::OpenTofu => rule.opentofu,
        };
        consequence == Consequence::Error
    })
}

const fn both(id: &'static str, words: &'static str) -> Rule {
    Rule { id, words, terraform: Consequence::Error, opentofu: Consequence::Error }
}

const fn terraform(id: &'static str, words: &'static str) -> Rule {
    Rule { id, words, terraform: Consequence::Error, opentofu: Consequence::Unnoticed }
}

const fn opentofu(id: &'static str, words: &'static str) -> Rule {
    Rule { id, words, terraform: Consequence::Unnoticed, opentofu: Consequence::Error }
}

const fn neither(id: &'static str, words: &'static str) -> Rule {
    Rule { id, words, terraform: Consequence::Unnoticed, opentofu: Consequence::Unnoticed }
}

/// All rules, in the order of their numbers.
pub const RULES: &[Rule] = &[
    both("S1", "An attribute is required, optional, computed, or optional and computed."),
    both("S2", "An attribute has a type or a nested type, and the type is one."),
    both("S3", "Names of attributes and blocks are identifiers in lower case, and unique among their neighbours."),
    both("S4", "Nesting modes are valid, and a block's limits go with its mode."),
    both("S5", "No set holds dynamic values."),
    terraform("S6", "No set holds write-only attributes."),
    both("S7", "Versions are not negative."),
    terraform("S8", "Only what is deprecated has a deprecation message."),
    terraform("S9", "An identity holds primitives and lists of primitives."),
    terraform("S10", "Names of functions and parameters are identifiers, and those of parameters unique."),
    both("S11", "Write-only attributes are not computed, and no root attribute has a name of the language."),
    neither("S12", "All types begin with the provider's name."),
    both("S13", "The provider block has a schema, and each schema has a block."),
    both("W1", "An object has every attribute of its schema, each once, and no other."),
    both("W2", "Each value has the type that the schema says."),
    both("W5", "Unknown values are extensions of one byte, or of kind 12 with at most 1024 bytes."),
    neither("W6", "A set holds each known element once."),
    neither("W8", "A diagnostic is an error or a warning."),
    both("T1", "A failure is a diagnostic, never a gRPC status."),
    both("T2", "A stop is not answered with an error."),
    both("T3", "Nothing is put off that the CLI does not allow to be."),
    neither("T4", "No answer asks for the leniency of the legacy type system."),
    neither("T5", "A process that is asked to end does so within two seconds, with status 0."),
    neither("V1", "A required attribute that is null is an error at that attribute."),
    neither("V2", "A computed attribute that is configured is an error at that attribute."),
    both("P1", "The plan of a destroy is null, every other is not."),
    both("P2", "A configured value is planned as configured, or as it was."),
    both("P3", "What is neither configured nor computed is planned null."),
    both("P5", "What is configured and not known yet is planned unknown, or as it was."),
    both("P6", "A known configured value is not planned unknown."),
    both("P7", "No plan holds a value of a write-only attribute."),
    both("P8", "Nested objects are planned as many, and under the same keys, as configured."),
    both("P10", "Only attributes that exist ask for a replacement."),
    terraform("P11", "A planned identity has its form, and is known and unchanged unless the object is made anew."),
    neither("P12", "Private state is handed on, by reads and by plans."),
    neither("P13", "After an apply, the same configuration plans no change."),
    both("R1", "The plan made again at apply has the same action, or none in place of an update."),
    both("R2", "The plan made again at apply keeps all that the first one knew."),
    both("A1", "A known planned value comes back as it was planned."),
    both("A2", "What was planned null comes back null, what was not does not; empty is not null."),
    both("A3", "Lists, maps and objects come back with the planned length and keys."),
    both("A4", "Sets come back with the planned elements."),
    both("A5", "What was planned unknown comes back as what the plan said of it (also called P15)."),
    both("A6", "Nothing is unknown after an apply."),
    both("A7", "A destroy leaves null, every other apply does not."),
    both("A9", "No result holds a value of a write-only attribute."),
    terraform("A10", "The identity of a result is there, has its form, and is known."),
    both("F1", "A read state has the form of its schema."),
    terraform("F2", "Nothing in a read state is unknown."),
    both("F5", "No read state holds a value of a write-only attribute."),
    terraform("F6", "The identity of a read state has its form and is known."),
    neither("F7", "Reading does not change the identity."),
    both("D1", "A data source that was read is not null."),
    both("D2", "Nothing in a data source that was read is unknown."),
    both("D3", "What was read of a data source has the form of its schema."),
    neither("D4", "A data source gives the configured arguments back."),
    both("E1", "What an ephemeral resource opens to has the form of its schema, and is not null."),
    both("E2", "Nothing of an open ephemeral resource is unknown."),
    both("C1", "The result of a function has its type and is known."),
    both("C2", "A function's error blames one of its arguments, or none."),
    both("C3", "A function gives the same result for the same arguments."),
    neither("C4", "GetFunctions gives the functions of the schema."),
    both("I1", "An import gives one object of the asked type that is not null."),
    both("I2", "An imported state has the form of its schema."),
    terraform("I3", "Nothing in an imported state is unknown."),
    both("I4", "No imported state holds a value of a write-only attribute."),
    terraform("I5", "An import by identity gives an identity, in its form and known."),
    both("I6", "What was imported is found by the read that follows."),
    both("U1", "An upgraded state has the form of its schema and is not null."),
    neither("U2", "Nothing in an upgraded state is unknown."),
    opentofu("U3", "No upgraded state holds a value of a write-only attribute."),
    terraform("U4", "An upgraded identity has its form and is known."),
    both("M1", "A moved state has the form of its schema and is not null."),
    neither("M2", "Nothing in a moved state is unknown."),
    opentofu("M3", "No moved state holds a value of a write-only attribute."),
    both("N1", "A generated configuration has the form of the schema and is known."),
    neither("N2", "A generated configuration sets nothing that the user may not set, and nothing write-only."),
    neither("G1", "The path of a diagnostic leads to an attribute, and not into a set."),
    neither("G3", "Several errors are told at once."),
    neither("G4", "The summary of a warning names no object."),
];
