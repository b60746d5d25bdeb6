//! What core does not check in a configuration: required but null, read-only but set, write-only but not understood by the
//! CLI, and the schema's validators.
//!
//! **Invariant:** unknown values are never judged; every problem is reported, each at its own attribute.

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;
use crate::schema::{Attribute, Kind, Mode, Nesting};
use crate::value::Value;

use super::At;

/// Checks a configuration by its schema, and says whether it has the schema's shape, whatever the validators think of its
/// values. `write_only_allowed` says whether the CLI keeps write-only values out of the state.
pub(crate) fn config(
    attributes: &[Attribute],
    config: &Value,
    write_only_allowed: bool,
    diagnostics: &mut Diagnostics,
) -> bool {
    let mut check = Check { write_only_allowed, shaped: true, diagnostics };
    check.object(attributes, config, &At::ROOT, Reach::Inside);
    check.shaped
}

/// Whether a path can lead to the value, or ends at the set that holds it.
#[derive(Clone, Copy)]
enum Reach<'a> {
    Inside,
    Set(&'a At<'a>),
}

impl Reach<'_> {
    fn path(self, at: &At<'_>) -> Path {
        match self {
            Self::Inside => at.path(),
            Self::Set(set) => set.path(),
        }
    }
}

struct Check<'a> {
    write_only_allowed: bool,
    shaped: bool,
    diagnostics: &'a mut Diagnostics,
}

impl Check<'_> {
    fn object(&mut self, attributes: &[Attribute], value: &Value, at: &At<'_>, reach: Reach<'_>) {
        if let Value::Map(items) = value {
            for attribute in attributes {
                let value = items.get(attribute.name).unwrap_or(&Value::Null);
                self.attribute(attribute, value, &at.attribute(attribute.name), reach);
            }
        }
    }

    fn error(&mut self, summary: &str, detail: String, path: Path) {
        self.shaped = false;
        self.diagnostics.push(Diagnostic::error(summary, detail).at(path));
    }

    fn attribute(&mut self, attribute: &Attribute, value: &Value, at: &At<'_>, reach: Reach<'_>) {
        if value.is_null() {
            if attribute.mode == Mode::Required {
                let detail = format!("{} is required, and null counts as not set.", at.path());
                self.error("Missing Configuration for Required Attribute", detail, reach.path(at));
            }
            return;
        }
        if attribute.mode == Mode::Computed {
            let detail = format!("{} is set by the provider. Remove it from the configuration.", at.path());
            self.error("Invalid Configuration for Read-Only Attribute", detail, reach.path(at));
            return;
        }
        if attribute.write_only && !self.write_only_allowed {
            let detail = format!(
                "{} is a write-only attribute, which this version of the CLI would keep in its state. It takes \
                 OpenTofu 1.11 or Terraform 1.11.",
                at.path()
            );
            self.error("Write-only Attribute Not Allowed", detail, reach.path(at));
        }
        if value.is_unknown() {
            return;
        }
        if !attribute.validators.is_empty() {
            let path = reach.path(at);
            for validator in &attribute.validators {
                validator(value, &path, self.diagnostics);
            }
        }
        if let Kind::Nested(nesting, attributes) = &attribute.kind {
            self.nested(*nesting, attributes, value, at, reach);
        }
    }

    fn nested(&mut self, nesting: Nesting, attributes: &[Attribute], value: &Value, at: &At<'_>, reach: Reach<'_>) {
        match (nesting, value) {
            (Nesting::Single, value) => self.object(attributes, value, at, reach),
            (Nesting::Map, Value::Map(items)) => {
                for (key, item) in items {
                    self.element(attributes, item, &at.key(key), reach);
                }
            }
            (Nesting::List, Value::List(items)) => {
                for (i, item) in items.iter().enumerate() {
                    self.element(attributes, item, &at.index(i), reach);
                }
            }
            (Nesting::Set, Value::List(items)) => {
                let reach = if let Reach::Inside = reach { Reach::Set(at) } else { reach };
                for item in items {
                    self.element(attributes, item, at, reach);
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, attributes: &[Attribute], item: &Value, at: &At<'_>, reach: Reach<'_>) {
        if item.is_null() {
            let detail = format!("{} is null. Give it a value or leave the element out.", at.path());
            self.error("Null element", detail, reach.path(at));
        }
        self.object(attributes, item, at, reach);
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Default;
    use crate::types::Type;

    use super::*;

    fn text(name: &'static str, mode: Mode) -> Attribute {
        Attribute::new(name, Type::String, mode, "")
    }

    fn lower_case(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
        if value.as_str().is_some_and(|text| text != text.to_lowercase()) {
            diagnostics.push(Diagnostic::error("Not lower case", "").at(path.clone()));
        }
    }

    fn attributes() -> Vec<Attribute> {
        let inner = || {
            vec![
                text("type", Mode::Required).validate(lower_case),
                text("id", Mode::Computed),
                text("secret", Mode::Optional).write_only(),
            ]
        };
        vec![
            text("name", Mode::Required).validate(lower_case),
            text("schema", Mode::Optional).default(Default::String("public")),
            text("id", Mode::Computed),
            text("password", Mode::Optional).write_only(),
            Attribute::nested("one", Nesting::Single, inner(), Mode::Optional, ""),
            Attribute::nested("list", Nesting::List, inner(), Mode::Optional, ""),
            Attribute::nested("map", Nesting::Map, inner(), Mode::OptionalComputed, ""),
            Attribute::nested("set", Nesting::Set, inner(), Mode::Optional, ""),
        ]
    }

    fn problems(config: &Value, write_only_allowed: bool) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        super::config(&attributes(), config, write_only_allowed, &mut diagnostics);
        diagnostics.0.iter().map(|d| format!("{}: {}", d.path, d.summary)).collect()
    }

    #[test]
    fn a_good_configuration_has_no_problems() {
        let column = || Value::object([("type", "int".into()), ("secret", Value::from("s"))]);
        let config = Value::object([
            ("name", "a".into()),
            ("password", "p".into()),
            ("one", column()),
            ("list", Value::List(vec![column(), Value::unknown()])),
            ("map", Value::object([("k", column())])),
            ("set", Value::List(vec![column()])),
        ]);
        assert_eq!(problems(&config, true), Vec::<String>::new());
    }

    #[test]
    fn unknown_values_are_not_judged() {
        let config = Value::object([("name", Value::unknown()), ("one", Value::unknown()), ("map", Value::unknown())]);
        assert_eq!(problems(&config, true), Vec::<String>::new());
    }

    #[test]
    fn each_problem_is_reported_at_its_place() {
        let column = |ty: &str| Value::object([("type", Value::from(ty)), ("id", "x".into())]);
        let config = Value::object([
            ("name", Value::Null),
            ("id", Value::unknown()),
            ("one", Value::object([("type", Value::Null)])),
            ("list", Value::List(vec![column("int"), column("INT"), Value::Null])),
            ("map", Value::object([("k", column("INT"))])),
            ("set", Value::List(vec![column("INT")])),
        ]);
        let read_only = "Invalid Configuration for Read-Only Attribute";
        let missing = "Missing Configuration for Required Attribute";
        assert_eq!(
            problems(&config, true),
            [
                format!("name: {missing}"),
                format!("id: {read_only}"),
                format!("one.type: {missing}"),
                format!("list[0].id: {read_only}"),
                "list[1].type: Not lower case".to_owned(),
                format!("list[1].id: {read_only}"),
                "list[2]: Null element".to_owned(),
                r#"map["k"].type: Not lower case"#.to_owned(),
                format!(r#"map["k"].id: {read_only}"#),
                "set: Not lower case".to_owned(),
                format!("set: {read_only}"),
            ]
        );
    }

    #[test]
    fn write_only_values_need_a_cli_that_keeps_them_out_of_the_state() {
        let one = Value::object([("type", Value::from("int")), ("secret", "s".into())]);
        let config = Value::object([("name", "a".into()), ("password", Value::unknown()), ("one", one)]);
        let refused = "Write-only Attribute Not Allowed";
        assert_eq!(problems(&config, false), [format!("password: {refused}"), format!("one.secret: {refused}")]);
    }
}
