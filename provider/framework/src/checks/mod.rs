//! What core leaves to providers, and what core would blame a provider for.
//!
//! Core does not notice a required argument that is null or a computed attribute that the user set: [`config`] does. And
//! core rejects, logs or misuses a response that breaks its consistency rules, with words that tell the user nothing:
//! the other files check each response before it leaves. The rules carry the numbers that the tests name:
//!
//! - S: schemas ([`schema`]); W: the form of values; P: plans ([`plan`]); A: results of an apply ([`result`]);
//!   F: read states, I: imported, M: moved, U: upgraded ones; D: data sources, E: ephemeral resources ([`state`]);
//!   C: calls of functions.
//!
//! **Invariant:** one walk over a value and no copy of it; a broken rule is reported without the values, which may be
//! secret.

pub(crate) mod config;
pub(crate) mod plan;
pub(crate) mod result;
pub(crate) mod schema;
pub(crate) mod state;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::{Path, Step};
use crate::value::Value;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's number.
    pub(crate) rule: &'static str,
    /// The attribute that breaks it.
    pub(crate) path: Path,
    /// What is wrong.
    pub(crate) text: String,
}

/// A broken rule of the object as a whole.
pub(crate) fn whole(rule: &'static str, text: &str) -> Violation {
    Violation { rule, path: Path::default(), text: text.to_owned() }
}

/// Broken rules of a value that was not planned: what is wrong with its form is one rule there, a value of a write-only
/// attribute another.
pub(crate) fn named(
    form: &'static str,
    write_only: &'static str,
    violations: impl IntoIterator<Item = Violation>,
) -> Vec<Violation> {
    let name = |violation: Violation| {
        let rule = match violation.rule {
            "W1" | "W2" => form,
            "F5" => write_only,
            other => other,
        };
        Violation { rule, ..violation }
    };
    violations.into_iter().map(name).collect()
}

/// A path of the replace list that leads to no attribute.
pub(crate) fn nowhere(path: Path) -> Violation {
    Violation {
        rule: "P10",
        path,
        text: "a replacement is asked for because of an attribute that does not exist".into(),
    }
}

/// How many broken rules of one response are told.
const MOST: usize = 10;

/// What the user is told about broken rules; `object` is such as `pg_table`, `act` such as `the plan`.
pub(crate) fn report(object: &str, act: &str, violations: Vec<Violation>) -> Diagnostics {
    let told = violations.into_iter().take(MOST).map(|violation| {
        let Violation { rule, path, text } = violation;
        let place = if path.0.is_empty() { "the object as a whole".to_owned() } else { format!("attribute {path}") };
        Diagnostic::error(
            format!("Provider bug: invalid result of {act} for {object}"),
            format!(
                "The provider made a value that the protocol forbids, and stopped before handing it on: {object}, \
                 {place}: {text} (rule {rule}).\n\nThis is a bug in the provider, not in your configuration; please \
                 report it."
            ),
        )
        .at(path)
    });
    Diagnostics(told.collect())
}

/// A place in a value, cheap enough to be made for each value visited.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a Self>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root,
    Attribute(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The root of a value.
    pub(crate) const ROOT: At<'static> = At { parent: None, segment: Segment::Root };

    pub(crate) fn attribute(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Attribute(name) }
    }

    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    /// The place as a path.
    pub(crate) fn path(&self) -> Path {
        let mut path = self.parent.map(Self::path).unwrap_or_default();
        match self.segment {
            Segment::Root => {}
            Segment::Attribute(name) => path.0.push(Step::Attribute(name.to_owned())),
            Segment::Key(key) => path.0.push(Step::Key(key.to_owned())),
            Segment::Index(index) => path = path.index(index),
        }
        path
    }
}

/// The rules broken so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Violation>);

impl Findings {
    pub(crate) fn add(&mut self, rule: &'static str, at: &At<'_>, text: impl Into<String>) {
        self.0.push(Violation { rule, path: at.path(), text: text.into() });
    }
}

/// What kind of value it is, without the value.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Unknown(_) => "unknown".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) if text.is_empty() => "the empty text".to_owned(),
        Value::String(_) => "a text".to_owned(),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Map(items) => format!("an object or map of {}", items.len()),
        Value::Dynamic(typed) => kind(&typed.value),
    }
}
