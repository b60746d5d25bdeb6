//! Reads a JSON Schema once, so that many values can be held against it.
//!
//! All faults of a schema are found here, by their place in it. **Invariant:** every reference leads somewhere, and no
//! schema leads back to itself without going into a part of the value, so that holding a value against it ends.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::exact::Exact;
use crate::record_schema::reference::Place;

/// Where a schema stands among all of them.
pub(super) type Id = usize;

/// The types of JSON Schema.
pub(super) const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

/// How many schemas may say something about one and the same value, one inside the other.
const MOST_NESTED: usize = 64;

/// A bound of a number: the key word, and what to say when it is not kept.
pub(super) const BOUNDS: [(&str, &str); 4] = [
    ("minimum", "is less than"),
    ("exclusiveMinimum", "is not greater than"),
    ("maximum", "is greater than"),
    ("exclusiveMaximum", "is not less than"),
];

/// The least and the greatest number of something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

/// What one schema says; an empty one lets everything through.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    /// Whether it is `false`.
    pub(super) never: bool,
    /// Whether null fits, whatever the rest says.
    pub(super) nullable: bool,
    pub(super) types: Vec<&'static str>,
    /// The allowed values in one spelling, and the only one as it is shown.
    pub(super) allowed: Vec<HashSet<String>>,
    pub(super) constant: Option<String>,
    /// By their place in [`BOUNDS`], with the bound as it is written.
    pub(super) bounds: Vec<(usize, Exact, String)>,
    pub(super) multiple_of: Option<(Exact, String)>,
    pub(super) characters: Range,
    pub(super) elements: Range,
    pub(super) members: Range,
    pub(super) pattern: Option<(Regex, String)>,
    pub(super) unique: bool,
    pub(super) first: Vec<Id>,
    pub(super) items: Option<Id>,
    pub(super) contains: Option<(Id, Range)>,
    pub(super) required: Vec<String>,
    pub(super) properties: HashMap<String, Id>,
    pub(super) patterns: Vec<(Regex, Id)>,
    pub(super) others: Option<Id>,
    pub(super) names: Option<Id>,
    pub(super) needs: Vec<(String, Vec<String>)>,
    pub(super) dependents: Vec<(String, Id)>,
    /// All of these must fit, what is referred to included.
    pub(super) all: Vec<Id>,
    /// Of each list one must fit.
    pub(super) any: Vec<Vec<Id>>,
    /// Exactly one must fit.
    pub(super) one: Vec<Id>,
    pub(super) not: Option<Id>,
    /// If the first fits, the second must fit, else the third.
    pub(super) condition: Option<[Option<Id>; 3]>,
    /// How many schemas lead here.
    references: usize,
}

impl Schema {
    /// Whether several schemas lead here, so that it is worth remembering which values fit.
    pub(super) fn is_shared(&self) -> bool {
        self.references > 1
    }

    /// The schemas that say something about the same value.
    fn same_value(&self) -> impl Iterator<Item = Id> {
        let condition = self.condition.iter().flatten().flatten();
        let needed = self.dependents.iter().map(|(_, id)| id);
        self.all
            .iter()
            .chain(self.any.iter().flatten())
            .chain(&self.one)
            .chain(&self.not)
            .chain(condition)
            .chain(needed)
            .copied()
    }
}

/// Reads the schema at the place and all that it leads to; the first one is that of the place.
pub(super) fn compile(place: &Place<'_>) -> Result<Vec<Schema>, Vec<String>> {
    let mut compiler = Compiler::default();
    compiler.id(place.clone());
    while let Some((id, place)) = compiler.waiting.pop_front() {
        let schema = compiler.schema(&place);
        // What it says itself may lead back here.
        let references = compiler.schemas[id].references;
        compiler.schemas[id] = Schema { references, ..schema };
    }
    if compiler.faults.is_empty() {
        compiler.check_ends();
    }
    if compiler.faults.is_empty() { Ok(compiler.schemas) } else { Err(compiler.faults) }
}

#[derive(Debug, Default)]
struct Compiler<'a> {
    schemas: Vec<Schema>,
    /// The place of each.
    at: Vec<String>,
    known: HashMap<String, Id>,
    waiting: VecDeque<(Id, Place<'a>)>,
    faults: Vec<String>,
}

impl<'a> Compiler<'a> {
    /// The schema at a place, which is read later.
    fn id(&mut self, place: Place<'a>) -> Id {
        if let Some(id) = self.known.get(&place.at) {
            self.schemas[*id].references += 1;
            return *id;
        }
        let id = self.schemas.len();
        self.schemas.push(Schema { references: 1, ..Schema::default() });
        self.at.push(place.at.clone());
        self.known.insert(place.at.clone(), id);
        self.waiting.push_back((id, place));
        id
    }

    fn fault(&mut self, place: &Place<'_>, word: &str, what: &str) {
        self.faults.push(format!("{}/{word} {what}", place.at));
    }

    fn schema(&mut self, place: &Place<'a>) -> Schema {
        let words = match place.schema {
            Value::Bool(everything) => return Schema { never: !everything, ..Schema::default() },
            Value::Object(words) => words,
            other => {
                self.faults.push(format!("{} is {other}, and a schema is an object or a boolean", place.at));
                return Schema::default();
            }
        };
        let mut schema = Schema { nullable: words.get("nullable") == Some(&Value::Bool(true)), ..Schema::default() };
        for (word, said) in words {
            self.word(&mut schema, place, words, word, said);
        }
        schema
    }

    /// Reads one key word. Those that are not listed say nothing about values, or nothing that is checked.
    fn word(
        &mut self,
        schema: &mut Schema,
        place: &Place<'a>,
        words: &Map<String, Value>,
        word: &str,
        said: &'a Value,
    ) {
        match word {
            "type" => schema.types = self.types(place, said),
            "enum" | "const" => {
                let one = std::slice::from_ref(said);
                let Some(values) = (if word == "enum" { said.as_array().map(Vec::as_slice) } else { Some(one) }) else {
                    return self.fault(place, word, "is no list of values");
                };
                schema.allowed.push(values.iter().map(spelling).collect());
                schema.constant = (word == "const").then(|| said.to_string()).or(schema.constant.take());
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.bound(schema, place, words, word, said);
            }
            "multipleOf" => match number(said).filter(Exact::is_divisor) {
                Some(divisor) => schema.multiple_of = Some((divisor, said.to_string())),
                None => {
                    self.fault(place, word, &format!("is {said}, and it is a number above zero of at most 18 digits"));
                }
            },
            "minLength" | "minItems" | "minProperties" | "maxLength" | "maxItems" | "maxProperties" | "minContains"
            | "maxContains" => {
                let Some(count) = count(said) else {
                    return self.fault(place, word, &format!("is {said}, and it is a whole number, zero or more"));
                };
                let range = match &word[3..] {
                    "Length" => &mut schema.characters,
                    "Items" => &mut schema.elements,
                    "Properties" => &mut schema.members,
                    _ => return,
                };
                if word.starts_with("min") { range.least = count } else { range.most = Some(count) }
            }
            "pattern" => {
                let regex =
                    said.as_str().and_then(|text| self.regex(place, word, text).map(|regex| (regex, text.to_owned())));
                schema.pattern = regex;
            }
            "uniqueItems" => schema.unique = said == &Value::Bool(true),
            "prefixItems" => schema.first = self.list(place, word, said),
            "items" if said.is_array() => schema.first = self.list(place, word, said),
            "items" => schema.items = Some(self.id(place.nested(said, &[word]))),
            "additionalItems" if words.get("items").is_some_and(Value::is_array) => {
                schema.items = Some(self.id(place.nested(said, &[word])));
            }
            "contains" => {
                let most = words.get("maxContains").and_then(count);
                let least = words.get("minContains").map_or(Some(1), count).unwrap_or(1);
                schema.contains = Some((self.id(place.nested(said, &[word])), Range { least, most }));
            }
            "required" => schema.required = self.names(place, word, said),
            "properties" => schema.properties = self.map(place, word, said).into_iter().collect(),
            "patternProperties" => {
                for (pattern, id) in self.map(place, word, said) {
                    schema.patterns.extend(self.regex(place, word, &pattern).map(|regex| (regex, id)));
                }
            }
            "additionalProperties" => schema.others = Some(self.id(place.nested(said, &[word]))),
            "propertyNames" => schema.names = Some(self.id(place.nested(said, &[word]))),
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                for (name, said) in said.as_object().into_iter().flatten() {
                    if said.is_array() {
                        schema.needs.push((name.clone(), self.names(place, word, said)));
                    } else {
                        schema.dependents.push((name.clone(), self.id(place.nested(said, &[word, name]))));
                    }
                }
            }
            "$ref" => match place.nested(place.schema, &[]).target(said) {
                Ok(target) => schema.all.push(self.id(target)),
                Err(fault) => self.faults.push(fault),
            },
            "allOf" => schema.all.extend(self.list(place, word, said)),
            "anyOf" => schema.any.push(self.list(place, word, said)),
            "oneOf" => schema.one = self.list(place, word, said),
            "not" => schema.not = Some(self.id(place.nested(said, &[word]))),
            "if" => {
                let mut branch = |word: &str| {
                    let said = match word {
                        "if" => Some(said),
                        other => place.schema.get(other),
                    };
                    said.map(|said| self.id(place.nested(said, &[word])))
                };
                schema.condition = Some([branch("if"), branch("then"), branch("else")]);
            }
            _ => {}
        }
    }

    fn types(&mut self, place: &Place<'_>, said: &Value) -> Vec<&'static str> {
        let said = said.as_array().map_or(std::slice::from_ref(said), Vec::as_slice);
        let mut types = Vec::new();
        for name in said {
            match TYPES.iter().find(|known| name.as_str() == Some(known)) {
                Some(known) => types.push(*known),
                None => self.fault(place, "type", &format!("is {name}, and the types are {}", TYPES.join(", "))),
            }
        }
        types
    }

    fn bound(&mut self, schema: &mut Schema, place: &Place<'_>, words: &Map<String, Value>, word: &str, said: &Value) {
        if said.is_boolean() && word.starts_with("exclusive") {
            // As draft 4 has it: whether the other bound is itself allowed.
            return;
        }
        let Some(bound) = number(said) else {
            return self.fault(place, word, &format!("is {said}, and a bound is a number"));
        };
        let exclusive = match word {
            "minimum" => "exclusiveMinimum",
            "maximum" => "exclusiveMaximum",
            _ => "",
        };
        let word = if words.get(exclusive) == Some(&Value::Bool(true)) { exclusive } else { word };
        schema.bounds.extend(BOUNDS.iter().position(|(name, _)| *name == word).map(|at| (at, bound, said.to_string())));
    }

    fn regex(&mut self, place: &Place<'_>, word: &str, pattern: &str) -> Option<Regex> {
        let regex = Regex::new(pattern);
        if let Err(error) = &regex {
            let what = format!(
                "holds the pattern {pattern:?}, which cannot be checked: {error}; patterns know neither looking around, nor \
                 references back, nor classes of Unicode"
            );
            self.fault(place, word, &what);
        }
        regex.ok()
    }

    fn names(&mut self, place: &Place<'_>, word: &str, said: &Value) -> Vec<String> {
        let names = said.as_array().map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        names.flatten().unwrap_or_else(|| {
            self.fault(place, word, "is no list of names");
            Vec::new()
        })
    }

    fn list(&mut self, place: &Place<'a>, word: &str, said: &'a Value) -> Vec<Id> {
        let Some(schemas) = said.as_array() else {
            self.fault(place, word, "is no list of schemas");
            return Vec::new();
        };
        let each = schemas.iter().enumerate();
        each.map(|(at, schema)| self.id(place.nested(schema, &[word, &at.to_string()]))).collect()
    }

    fn map(&mut self, place: &Place<'a>, word: &str, said: &'a Value) -> Vec<(String, Id)> {
        let Some(schemas) = said.as_object() else {
            self.fault(place, word, "is no object of schemas");
            return Vec::new();
        };
        schemas.iter().map(|(name, schema)| (name.clone(), self.id(place.nested(schema, &[word, name])))).collect()
    }

    /// Goes along the schemas that speak of one value, without recursion: a chain of them can be as long as the text.
    fn check_ends(&mut self) {
        let mut longest: Vec<Option<usize>> = vec![None; self.schemas.len()];
        for start in 0..self.schemas.len() {
            let mut open = BTreeSet::new();
            let mut stack = vec![start];
            while let Some(&id) = stack.last() {
                if longest[id].is_some() {
                    stack.pop();
                    continue;
                }
                let next: Vec<Id> = self.schemas[id].same_value().collect();
                if open.insert(id) {
                    if let Some(back) = next.iter().find(|next| open.contains(next)) {
                        let fault = format!("{} leads back to itself and says nothing about a value", self.at[*back]);
                        return self.faults.push(fault);
                    }
                    stack.extend(next.iter().filter(|next| longest[**next].is_none()));
                } else {
                    let length = 1 + next.iter().filter_map(|next| longest[*next]).max().unwrap_or_default();
                    if length > MOST_NESTED {
                        let fault = format!("{} leads on through more than {MOST_NESTED} schemas", self.at[id]);
                        return self.faults.push(fault);
                    }
                    longest[id] = Some(length);
                    open.remove(&id);
                    stack.pop();
                }
            }
        }
    }
}

/// One text for all spellings of a value.
pub(super) fn spelling(value: &Value) -> String {
    match value {
        Value::Number(number) => Exact::spelling(number),
        Value::Array(items) => format!("[{}]", items.iter().map(spelling).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let member = |(name, value): (&String, &Value)| format!("{name:?}:{}", spelling(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn number(value: &Value) -> Option<Exact> {
    value.as_number().and_then(Exact::of)
}

/// A count, also when it is written `3.0`.
fn count(value: &Value) -> Option<u64> {
    number(value)?.to_u64()
}
