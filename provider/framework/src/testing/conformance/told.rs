//! Errors and warnings in an answer: whether they have the right form, and whether they are a refusal.
//!
//! Rules: W8 a severity; G1 a path that leads to an attribute and not into a set; G4 a warning whose summary is the same
//! for every object.

use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::attribute_path::step::Selector;
use tfplugin_proto::tfplugin6::diagnostic::Severity as Level;

use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::path::{Path, Step};
use crate::schema::Nesting;
use crate::types::Type;
use crate::value::Value;

use super::shape::{Held, Members, Shape};
use super::trouble::Findings;

/// Reads the errors and warnings of an answer about a configuration of this shape, and checks their form.
pub(super) fn read(
    told: Vec<proto::Diagnostic>,
    about: Option<(&Shape, &Value)>,
    findings: &mut Findings,
) -> Diagnostics {
    Diagnostics(told.into_iter().map(|told| one(told, about, findings)).collect())
}

fn one(told: proto::Diagnostic, about: Option<(&Shape, &Value)>, findings: &mut Findings) -> Diagnostic {
    let severity = match Level::try_from(told.severity) {
        Ok(Level::Error) => Severity::Error,
        Ok(Level::Warning) => Severity::Warning,
        _ => {
            findings.whole("W8", format!("{:?} is neither an error nor a warning", told.summary));
            Severity::Error
        }
    };
    let path = read_path(told.attribute.as_ref());
    if let Some((shape, value)) = about {
        if !leads(&shape.members, &path.0) {
            findings.add("G1", &path, format!("the path of {:?} leads to no attribute", told.summary));
        }
        if severity == Severity::Warning
            && let Some(name) = names(shape, value).find(|name| has_word(&told.summary, name))
        {
            findings.add("G4", &path, format!("the summary {:?} names {name:?}", told.summary));
        }
    }
    Diagnostic { severity, summary: told.summary, detail: told.detail, path }
}

/// A path of the protocol in our words; a step without a selector is one that leads nowhere.
pub(super) fn read_path(path: Option<&proto::AttributePath>) -> Path {
    let step = |step: &proto::attribute_path::Step| match &step.selector {
        Some(Selector::AttributeName(name)) => Step::Attribute(name.clone()),
        Some(Selector::ElementKeyString(key)) => Step::Key(key.clone()),
        Some(Selector::ElementKeyInt(index)) => Step::Index(*index),
        None => Step::Attribute(String::new()),
    };
    Path(path.into_iter().flat_map(|path| &path.steps).map(step).collect())
}

/// Whether a path leads to an attribute, or to an element that can be addressed.
fn leads(members: &Members, path: &[Step]) -> bool {
    let [Step::Attribute(name), rest @ ..] = path else { return path.is_empty() };
    let Some(member) = members.get(name) else { return false };
    match (&member.held, rest) {
        (_, []) => true,
        (Held::Plain, rest) => leads_in(&member.ty, rest),
        (Held::Nested(Nesting::Single, members), rest) => leads(members, rest),
        (Held::Nested(Nesting::Map, members), [Step::Key(_), rest @ ..])
        | (Held::Nested(Nesting::List, members), [Step::Index(_), rest @ ..]) => leads(members, rest),
        _ => false,
    }
}

fn leads_in(ty: &Type, path: &[Step]) -> bool {
    match (ty, path) {
        (_, []) | (Type::Dynamic, _) => true,
        (Type::List(element), [Step::Index(_), rest @ ..]) | (Type::Map(element), [Step::Key(_), rest @ ..]) => {
            leads_in(element, rest)
        }
        (Type::Tuple(types), [Step::Index(index), rest @ ..]) => {
            usize::try_from(*index).ok().and_then(|index| types.get(index)).is_some_and(|ty| leads_in(ty, rest))
        }
        (Type::Object(types), [Step::Attribute(name), rest @ ..]) => {
            types.get(name).is_some_and(|ty| leads_in(ty, rest))
        }
        _ => false,
    }
}

/// What tells one object of a type from another: the texts that must be configured.
fn names<'a>(shape: &'a Shape, value: &'a Value) -> impl Iterator<Item = &'a str> {
    let required = shape.members.iter().filter(|(_, member)| member.required);
    required.filter_map(|(name, _)| value.get(name).as_str()).filter(|name| name.len() >= 3)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::shape::Member;
    use super::*;

    #[test]
    fn paths_stop_at_sets_and_know_the_schema() {
        let plain = |ty: Type| Member {
            held: Held::Plain,
            ty,
            required: true,
            optional: false,
            computed: false,
            write_only: false,
        };
        let text = || Box::new(Type::String);
        let inner = || BTreeMap::from([("a".to_owned(), plain(Type::String))]);
        let nested = |nesting| Member { held: Held::Nested(nesting, inner()), ..plain(Type::Dynamic) };
        let members = Members::from([
            ("text".into(), plain(Type::String)),
            ("list".into(), plain(Type::List(text()))),
            ("set".into(), plain(Type::Set(text()))),
            ("any".into(), plain(Type::Dynamic)),
            ("one".into(), nested(Nesting::Single)),
            ("many".into(), nested(Nesting::Map)),
            ("bag".into(), nested(Nesting::Set)),
        ]);
        for (path, good) in [
            (Path::default(), true),
            (Path::root("text"), true),
            (Path::root("none"), false),
            (Path::root("text").index(0), false),
            (Path::root("list").index(0), true),
            (Path::root("list").key("k"), false),
            (Path::root("set").index(0), false),
            (Path::root("any").index(3).attribute("x"), true),
            (Path::root("one").attribute("a"), true),
            (Path::root("one").attribute("b"), false),
            (Path::root("many").key("k").attribute("a"), true),
            (Path::root("many").attribute("a"), false),
            (Path::root("bag").index(0).attribute("a"), false),
        ] {
            assert_eq!(leads(&members, &path.0), good, "{path}");
        }
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(has_word("Table users is gone", "users"));
        assert!(!has_word("Tables are users_old", "users"));
    }
}
