//! Whether a schema is one that both CLIs load.
//!
//! Rules: S1 each attribute is required, optional, computed or both of the last two; S2 it has one kind; both cannot be
//! written otherwise here. S3 names; S5, S6 what a set may not hold; S7 versions; S9 identities; S10 functions; S11
//! write-only attributes and reserved names; S12 names of types. S4 is about blocks, S8 follows from how a deprecation is
//! kept. Beyond the protocol: a default has the attribute's type, and only computed values are kept or left unknown.
//!
//! **Invariant:** looks at schemas alone; a test of the provider calls it, no user ever sees it.

use std::collections::BTreeSet;

use crate::function::Function;
use crate::schema::{Attribute, Default, Kind, Mode, Nesting, OnChange, Schema};
use crate::types::Type;

/// Names that the language keeps for itself in a resource.
const RESERVED_RESOURCE: [&str; 7] =
    ["count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection"];

/// Names that the language keeps for itself in a provider block.
const RESERVED_PROVIDER: [&str; 2] = ["alias", "version"];

/// The broken rules of the provider block.
pub(crate) fn provider(schema: &Schema) -> Vec<String> {
    let mut problems = Problems::new("provider");
    problems.schema(schema, &RESERVED_PROVIDER);
    for attribute in schema.attributes.iter().filter(|a| a.mode == Mode::Computed || a.write_only) {
        problems.add("S11", attribute.name, "a provider block has neither results nor a state");
    }
    problems.found
}

/// The broken rules of a resource, data source or ephemeral resource of a provider of this name.
pub(crate) fn block(provider: &str, type_name: &str, schema: &Schema) -> Vec<String> {
    let mut problems = Problems::new(type_name);
    if !is_name(type_name) || !type_name.strip_prefix(provider).is_some_and(|rest| rest.starts_with('_')) {
        problems.add("S12", "", "a type's name begins with the provider's name");
    }
    problems.schema(schema, &RESERVED_RESOURCE);
    problems.found
}

/// The broken rules of an identity.
pub(crate) fn identity(type_name: &str, attributes: &[Attribute]) -> Vec<String> {
    let mut problems = Problems::new(type_name);
    problems.names(attributes, "");
    for attribute in attributes {
        let primitive = |ty: &Type| matches!(ty, Type::String | Type::Number | Type::Bool);
        let allowed = match &attribute.kind {
            Kind::Plain(Type::List(element)) => primitive(element),
            Kind::Plain(ty) => primitive(ty),
            Kind::Nested(..) => false,
        };
        if !allowed {
            problems.add("S9", attribute.name, "an identity holds primitives and lists of primitives");
        }
    }
    problems.found
}

/// The broken rules of the functions.
pub(crate) fn functions(functions: &[Function]) -> Vec<String> {
    let mut problems = Problems::new("function");
    let mut names = BTreeSet::new();
    for function in functions {
        if !is_name(function.name) || !names.insert(function.name) {
            problems.add("S10", function.name, "the name is no identifier, or not the only one");
        }
        let mut parameters = BTreeSet::new();
        for parameter in &function.parameters {
            if !is_name(parameter.name) || !parameters.insert(parameter.name) {
                let place = format!("{}({})", function.name, parameter.name);
                problems.add("S10", &place, "the name is no identifier, or not the only one");
            }
        }
    }
    problems.found
}

/// The names that occur more than once.
pub(crate) fn unique<'a>(what: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| !seen.insert(*name)).map(|name| format!("S3 {what} {name}: not unique")).collect()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

struct Problems {
    of: String,
    found: Vec<String>,
}

impl Problems {
    fn new(of: &str) -> Self {
        Self { of: of.to_owned(), found: Vec::new() }
    }

    fn add(&mut self, rule: &str, place: &str, text: &str) {
        self.found.push(format!("{rule} {} {place}: {text}", self.of));
    }

    fn schema(&mut self, schema: &Schema, reserved: &[&str]) {
        if schema.version < 0 {
            self.add("S7", "", "the version is negative");
        }
        for attribute in schema.attributes.iter().filter(|a| reserved.contains(&a.name)) {
            self.add("S11", attribute.name, "the language keeps this name for itself");
        }
        self.attributes(&schema.attributes, "", false);
    }

    fn names(&mut self, attributes: &[Attribute], parent: &str) {
        let mut seen = BTreeSet::new();
        for attribute in attributes {
            if !is_name(attribute.name) || !seen.insert(attribute.name) {
                let place = format!("{parent}{}", attribute.name);
                self.add("S3", &place, "the name is no identifier, or not the only one");
            }
        }
    }

    fn attributes(&mut self, attributes: &[Attribute], parent: &str, in_set: bool) {
        self.names(attributes, parent);
        for attribute in attributes {
            let place = format!("{parent}{}", attribute.name);
            let computed = matches!(attribute.mode, Mode::Computed | Mode::OptionalComputed);
            if attribute.write_only && computed {
                self.add("S11", &place, "a write-only attribute is never computed");
            }
            if attribute.write_only && in_set {
                self.add("S6", &place, "a set holds no write-only attribute");
            }
            self.default(attribute, &place);
            if attribute.on_change == OnChange::KeepPrior && !computed {
                self.add("S11", &place, "only a computed value is kept");
            }
            match &attribute.kind {
                Kind::Plain(ty) => self.plain(ty, &place, in_set),
                Kind::Nested(nesting, nested) => {
                    self.attributes(nested, &format!("{place}."), in_set || *nesting == Nesting::Set);
                }
            }
        }
    }

    fn default(&mut self, attribute: &Attribute, place: &str) {
        let fits = match (&attribute.default, &attribute.kind) {
            (Default::None, _) => return,
            (Default::String(_), Kind::Plain(ty)) => *ty == Type::String,
            (Default::Bool(_), Kind::Plain(ty)) => *ty == Type::Bool,
            (Default::Integer(_), Kind::Plain(ty)) => *ty == Type::Number,
            (_, Kind::Nested(..)) => false,
        };
        if !fits {
            self.add("P3", place, "the default does not have the attribute's type");
        }
        if attribute.mode != Mode::OptionalComputed {
            self.add("P3", place, "a default needs an attribute that is optional and computed");
        }
    }

    fn plain(&mut self, ty: &Type, place: &str, in_set: bool) {
        match ty {
            Type::Dynamic if in_set => self.add("S5", place, "a set holds no dynamic value"),
            Type::Set(element) => {
                self.no_dynamic_element(element, place);
                self.plain(element, place, true);
            }
            Type::List(element) | Type::Map(element) => {
                self.no_dynamic_element(element, place);
                self.plain(element, place, in_set);
            }
            Type::Tuple(types) => types.iter().for_each(|ty| self.plain(ty, place, in_set)),
            Type::Object(types) => types.values().for_each(|ty| self.plain(ty, place, in_set)),
            Type::Dynamic | Type::String | Type::Number | Type::Bool => {}
        }
    }

    fn no_dynamic_element(&mut self, element: &Type, place: &str) {
        if *element == Type::Dynamic {
            self.add("W2", place, "a collection of dynamic values is no one type; make the whole attribute dynamic");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::function::Parameter;

    use super::*;

    fn text(name: &'static str, mode: Mode) -> Attribute {
        Attribute::new(name, Type::String, mode, "")
    }

    fn nested(nesting: Nesting, inner: Attribute) -> Attribute {
        Attribute::nested("n", nesting, vec![inner], Mode::Optional, "")
    }

    fn schema(attributes: Vec<Attribute>) -> Schema {
        Schema { attributes, ..Schema::default() }
    }

    #[test]
    fn each_rule_of_attributes_is_seen_when_broken() {
        let secret = || text("secret", Mode::Optional).write_only();
        let dynamic = || Attribute::new("any", Type::Dynamic, Mode::Optional, "");
        let of = |ty: Type| Attribute::new("a", ty, Mode::Optional, "");
        for (rule, attribute) in [
            ("", text("name", Mode::Required)),
            ("", text("name", Mode::Optional).default(Default::String("x"))),
            ("", nested(Nesting::List, secret())),
            ("", nested(Nesting::Map, dynamic())),
            ("S3", text("Name", Mode::Required)),
            ("S3", text("", Mode::Required)),
            ("S3", nested(Nesting::Single, text("a-b", Mode::Optional))),
            ("S5", nested(Nesting::Set, dynamic())),
            ("S5", nested(Nesting::Set, nested(Nesting::Single, dynamic()))),
            ("S5", of(Type::Set(Box::new(Type::Tuple(vec![Type::Dynamic]))))),
            ("S6", nested(Nesting::Set, secret())),
            ("S11", text("secret", Mode::Computed).write_only()),
            ("S11", text("count", Mode::Optional)),
            ("S11", text("kept", Mode::Required).keep_prior()),
            ("P3", Attribute { mode: Mode::Optional, ..text("d", Mode::Optional).default(Default::String("x")) }),
            ("P3", text("d", Mode::Optional).default(Default::Integer(1))),
            ("P3", nested(Nesting::Map, text("x", Mode::Optional)).default(Default::Bool(true))),
            ("W2", of(Type::List(Box::new(Type::Dynamic)))),
        ] {
            let found = block("pg", "pg_table", &schema(vec![attribute.clone()]));
            if rule.is_empty() {
                assert_eq!(found, Vec::<String>::new(), "{attribute:?}");
            } else {
                assert!(found.iter().any(|problem| problem.starts_with(rule)), "{rule}: {attribute:?}: {found:?}");
            }
        }
    }

    #[test]
    fn names_and_versions() {
        let twice = schema(vec![text("a", Mode::Optional), text("a", Mode::Optional)]);
        assert!(block("pg", "pg_table", &twice)[0].starts_with("S3"));
        assert!(block("pg", "table", &schema(vec![]))[0].starts_with("S12"));
        assert!(block("pg", "pgtable", &schema(vec![]))[0].starts_with("S12"));
        assert!(block("pg", "pg_t", &Schema { version: -1, ..Schema::default() })[0].starts_with("S7"));
        assert_eq!(unique("resource", ["a", "b", "a"]).len(), 1);
    }

    #[test]
    fn the_provider_block() {
        assert_eq!(provider(&schema(vec![text("count", Mode::Optional)])), Vec::<String>::new());
        assert!(provider(&schema(vec![text("alias", Mode::Optional)]))[0].starts_with("S11"));
        assert!(provider(&schema(vec![text("id", Mode::Computed)]))[0].starts_with("S11"));
    }

    #[test]
    fn identities_hold_primitives() {
        let of = |ty: Type| identity("pg_table", &[Attribute::new("a", ty, Mode::Required, "")]);
        assert_eq!(of(Type::List(Box::new(Type::String))), Vec::<String>::new());
        assert!(of(Type::Map(Box::new(Type::String)))[0].starts_with("S9"));
        assert!(of(Type::List(Box::new(Type::List(Box::new(Type::Bool)))))[0].starts_with("S9"));
    }

    #[test]
    fn functions_have_distinct_names() {
        let parameter = |name| Parameter { name, ty: Type::String, description: "", allow_null: false };
        let function = |name, parameters| Function {
            name,
            summary: "",
            description: "",
            parameters,
            result: Type::String,
            call: |_| Ok(crate::value::Value::Null),
        };
        assert_eq!(functions(&[function("f", vec![parameter("a"), parameter("b")])]), Vec::<String>::new());
        assert!(functions(&[function("f", vec![parameter("a"), parameter("a")])])[0].starts_with("S10"));
        assert!(functions(&[function("f", vec![]), function("f", vec![])])[0].starts_with("S10"));
        assert!(functions(&[function("F", vec![])])[0].starts_with("S10"));
    }
}
