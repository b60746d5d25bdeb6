//! Holds a value against a compiled schema, and says what does not fit, and where in the value.
//!
//! **Invariant:** the work is bounded by the size of the schema times the size of the value: where several ways lead to one
//! schema, it is asked only once about each part of the value.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::compile::{BOUNDS, Id, Range, Schema, spelling};
use super::exact::Exact;
use crate::rows::value::shown;

/// How deep the walk may go. JSON itself ends at 128 levels.
const MAX_DEPTH: usize = 1000;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where in the value, such as `.a[1]`.
    pub(super) path: String,
    /// What is wrong there.
    pub(super) message: String,
}

/// One value being held against schemas.
#[derive(Debug)]
pub(super) struct Check<'s> {
    schemas: &'s [Schema],
    /// What is known of shared schemas and parts of the value.
    known: HashMap<(Id, *const Value), Option<Fault>>,
}

impl<'s> Check<'s> {
    pub(super) fn new(schemas: &'s [Schema]) -> Self {
        Self { schemas, known: HashMap::new() }
    }

    /// What is wrong with the value, if anything.
    pub(super) fn fault(&mut self, id: Id, value: &Value, depth: usize) -> Option<Fault> {
        let schema = self.schemas.get(id)?;
        if depth > MAX_DEPTH {
            return Some(here("is nested too deep to be checked".to_owned()));
        }
        if !schema.is_shared() {
            return self.find(schema, value, depth + 1);
        }
        let key = (id, std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let fault = self.find(schema, value, depth + 1);
        self.known.insert(key, fault.clone());
        fault
    }

    fn fits(&mut self, id: Id, value: &Value, depth: usize) -> bool {
        self.fault(id, value, depth).is_none()
    }

    fn find(&mut self, schema: &Schema, value: &Value, depth: usize) -> Option<Fault> {
        if schema.never {
            return Some(here("is not allowed by record_schema".to_owned()));
        }
        if schema.nullable && value.is_null() {
            return None;
        }
        scalar(schema, value).map(here).or_else(|| self.forms(schema, value, depth)).or_else(|| match value {
            Value::Array(items) => self.elements(schema, items, depth),
            Value::Object(members) => self.members(schema, value, members, depth),
            _ => None,
        })
    }

    /// What other schemas say about the same value.
    fn forms(&mut self, schema: &Schema, value: &Value, depth: usize) -> Option<Fault> {
        if let Some(fault) = schema.all.iter().find_map(|id| self.fault(*id, value, depth)) {
            return Some(fault);
        }
        for forms in schema.any.iter().filter(|forms| !forms.is_empty()) {
            if !forms.iter().any(|id| self.fits(*id, value, depth)) {
                return self.of_forms(forms, value, depth);
            }
        }
        if !schema.one.is_empty() {
            match schema.one.iter().filter(|id| self.fits(**id, value, depth)).count() {
                0 => return self.of_forms(&schema.one, value, depth),
                1 => {}
                count => return Some(wrong(value, &format!("fits {count} forms of which only one is allowed"))),
            }
        }
        if schema.not.is_some_and(|id| self.fits(id, value, depth)) {
            return Some(wrong(value, "fits a form that is not allowed"));
        }
        let [condition, then, otherwise] = schema.condition?;
        let holds = condition.is_some_and(|id| self.fits(id, value, depth));
        self.fault(if holds { then } else { otherwise }?, value, depth)
    }

    /// Says what is wrong where none of the forms fits. Of one form beside null, that is what is wrong with it.
    fn of_forms(&mut self, forms: &[Id], value: &Value, depth: usize) -> Option<Fault> {
        let schemas = self.schemas;
        let mut others = forms.iter().filter(|id| schemas.get(**id).is_none_or(|schema| schema.types != ["null"]));
        match (others.next(), others.next()) {
            (Some(only), None) => self.fault(*only, value, depth),
            _ => Some(wrong(value, "fits none of the allowed forms")),
        }
    }

    fn elements(&mut self, schema: &Schema, items: &[Value], depth: usize) -> Option<Fault> {
        if let Some(what) = count_fault(schema.elements, items.len(), "elements") {
            return Some(here(what));
        }
        if schema.unique {
            let mut seen = HashSet::new();
            if let Some(at) = items.iter().position(|item| !seen.insert(spelling(item))) {
                return Some(wrong(&items[at], "is there twice").inside(&format!("[{at}]")));
            }
        }
        for (at, item) in items.iter().enumerate() {
            let Some(id) = schema.first.get(at).copied().or(schema.items) else { break };
            if let Some(fault) = self.fault(id, item, depth) {
                return Some(fault.inside(&format!("[{at}]")));
            }
        }
        let (id, range) = schema.contains?;
        let count = items.iter().filter(|item| self.fits(id, item, depth)).count();
        count_fault(range, count, "elements of the form that it must contain").map(here)
    }

    fn members(&mut self, schema: &Schema, value: &Value, members: &Map<String, Value>, depth: usize) -> Option<Fault> {
        let missing = |names: &[String]| names.iter().find(|name| !members.contains_key(*name)).cloned();
        if let Some(name) = missing(&schema.required) {
            return Some(here(format!("{name:?} is missing")));
        }
        if let Some(what) = count_fault(schema.members, members.len(), "members") {
            return Some(here(what));
        }
        for (name, needed) in schema.needs.iter().filter(|(name, _)| members.contains_key(name)) {
            if let Some(needed) = missing(needed) {
                return Some(here(format!("{needed:?} is missing, which {name:?} needs")));
            }
        }
        let needed = schema.dependents.iter().filter(|(name, _)| members.contains_key(name));
        if let Some(fault) = needed.map(|(_, id)| *id).find_map(|id| self.fault(id, value, depth)) {
            return Some(fault);
        }
        for (name, member) in members {
            if let Some(id) = schema.names {
                // A name is no part of the value that could be remembered.
                let fault = Check::new(self.schemas).fault(id, &Value::String(name.clone()), depth);
                if let Some(fault) = fault {
                    return Some(here(format!("the name {name:?} does not fit: {}", fault.message)));
                }
            }
            let patterns = schema.patterns.iter().filter(|(pattern, _)| pattern.is_match(name)).map(|(_, id)| *id);
            let mut ids: Vec<Id> = schema.properties.get(name).copied().into_iter().chain(patterns).collect();
            if ids.is_empty() {
                ids.extend(schema.others);
            }
            if let Some(fault) = ids.into_iter().find_map(|id| self.fault(id, member, depth)) {
                return Some(fault.inside(&format!(".{name}")));
            }
        }
        None
    }
}

impl Fault {
    fn inside(mut self, place: &str) -> Self {
        self.path.insert_str(0, place);
        self
    }
}

fn here(message: String) -> Fault {
    Fault { path: String::new(), message }
}

fn wrong(value: &Value, what: &str) -> Fault {
    here(format!("{} {what}", shown(&value.into())))
}

/// What is wrong with a value that needs no other schema to tell.
fn scalar(schema: &Schema, value: &Value) -> Option<String> {
    let wrong = |what: String| Some(format!("{} {what}", shown(&value.into())));
    if !schema.types.is_empty() && !schema.types.iter().any(|name| is_of_type(name, value)) {
        return wrong(format!("is not of type {}", schema.types.join(" or ")));
    }
    if !schema.allowed.is_empty() {
        let spelling = spelling(value);
        if schema.allowed.iter().any(|allowed| !allowed.contains(&spelling)) {
            return wrong(schema.constant.as_ref().map_or("is none of the allowed values".to_owned(), |constant| {
                format!("is not {}", crate::rows::value::shortened(constant))
            }));
        }
    }
    match value {
        Value::Number(number) if !schema.bounds.is_empty() || schema.multiple_of.is_some() => {
            let number = Exact::of(number)?;
            let is_beyond = |(at, bound, _): &&(usize, Exact, String)| match at {
                0 => number < *bound,
                1 => number <= *bound,
                2 => number > *bound,
                _ => number >= *bound,
            };
            if let Some((at, _, text)) = schema.bounds.iter().find(is_beyond) {
                return wrong(format!("{} {text}", BOUNDS[*at].1));
            }
            let (_, divisor) = schema.multiple_of.as_ref().filter(|(divisor, _)| !number.is_multiple_of(divisor))?;
            wrong(format!("is not a multiple of {divisor}"))
        }
        Value::String(text) => {
            if let Some(what) = count_fault(schema.characters, text.chars().count(), "characters") {
                return wrong(what);
            }
            let (_, pattern) = schema.pattern.as_ref().filter(|(pattern, _)| !pattern.is_match(text))?;
            wrong(format!("does not match {pattern}"))
        }
        _ => None,
    }
}

fn count_fault(range: Range, count: usize, what: &str) -> Option<String> {
    let count = count as u64;
    if count < range.least {
        return Some(format!("has only {count} {what}, and at least {} are needed", range.least));
    }
    let most = range.most.filter(|most| count > *most)?;
    Some(format!("has {count} {what}, and at most {most} are allowed"))
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => {
            number.is_i64() || Exact::of(number).is_some_and(|number| number.is_whole())
        }
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        _ => false,
    }
}
