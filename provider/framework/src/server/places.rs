//! Where a diagnostic points: to an attribute that the schema has, or to the last one on the way there (rule G1).
//!
//! A set's elements have no addresses, and a path with a wrong step shows the user no line at all. Nor do the CLIs follow a
//! path further than to one element of an attribute's expression: for what is deeper they show the first line of the block,
//! or that of an attribute of the block that happens to have the name of the last step.
//!
//! **Invariant:** a path leads somewhere, and to a line that the CLIs find; where it had to be cut off, the text says the
//! whole of it.

use tfplugin_proto::tfplugin6 as proto;

use proto::attribute_path::step::Selector;

use crate::path::{Path, Step};
use crate::provider::Provider;
use crate::schema::{Attribute, Kind, Nesting};
use crate::types::Type;

use super::Registry;

/// The attributes of the provider block.
pub(super) fn provider<P: Provider>(registry: &Registry<P>) -> &[Attribute] {
    &registry.schema.attributes
}

/// The attributes of a managed resource.
pub(super) fn resource<'a, P: Provider>(registry: &'a Registry<P>, name: &str) -> &'a [Attribute] {
    registry.resources.get(name).map_or(&[], |resource| &resource.schema.attributes)
}

/// The attributes of a data source.
pub(super) fn data_source<'a, P: Provider>(registry: &'a Registry<P>, name: &str) -> &'a [Attribute] {
    registry.data_sources.get(name).map_or(&[], |data| &data.schema.attributes)
}

/// The attributes of an ephemeral resource.
pub(super) fn ephemeral_resource<'a, P: Provider>(registry: &'a Registry<P>, name: &str) -> &'a [Attribute] {
    registry.ephemeral_resources.get(name).map_or(&[], |data| &data.schema.attributes)
}

/// No attributes, for what has no diagnostics.
pub(super) fn nothing<P: Provider>(_: &Registry<P>) -> &[Attribute] {
    &[]
}

/// Cuts each path off after the last step that leads somewhere.
pub(super) fn fit(attributes: &[Attribute], diagnostics: &mut [proto::Diagnostic]) {
    for diagnostic in diagnostics {
        let Some(path) = &mut diagnostic.attribute else { continue };
        let steps: Vec<&Selector> = path.steps.iter().map_while(|step| step.selector.as_ref()).collect();
        let good = good_steps(attributes, &steps);
        path.steps.truncate(good);
        if path.steps.is_empty() {
            diagnostic.attribute = None;
            continue;
        }
        let full = text(path);
        if good > FOLLOWED && !diagnostic.detail.contains(&full) {
            let gap = if diagnostic.detail.is_empty() { "" } else { "\n\n" };
            diagnostic.detail = format!("{}{gap}Where: {full}", diagnostic.detail);
        }
        path.steps.truncate(FOLLOWED);
        // An attribute of an object is only looked for when it is given as an element.
        if let [_, step] = &mut path.steps[..]
            && let Some(Selector::AttributeName(name)) = &step.selector
        {
            step.selector = Some(Selector::ElementKeyString(name.clone()));
        }
    }
}

/// How many steps the CLIs follow: to an attribute, and to one element of its expression.
const FOLLOWED: usize = 2;

/// The path as an expression of the configuration.
fn text(path: &proto::AttributePath) -> String {
    let step = |step: &proto::attribute_path::Step| {
        Some(match step.selector.as_ref()? {
            Selector::AttributeName(name) => Step::Attribute(name.clone()),
            Selector::ElementKeyString(key) => Step::Key(key.clone()),
            Selector::ElementKeyInt(index) => Step::Index(*index),
        })
    };
    Path(path.steps.iter().filter_map(step).collect()).to_string()
}

/// How many of the steps from an object on lead somewhere.
fn good_steps(attributes: &[Attribute], steps: &[&Selector]) -> usize {
    let [Selector::AttributeName(name), rest @ ..] = steps else { return 0 };
    let Some(attribute) = attributes.iter().find(|attribute| attribute.name == name) else { return 0 };
    1 + match (&attribute.kind, rest) {
        (Kind::Plain(ty), rest) => good_steps_in(ty, rest),
        (Kind::Nested(Nesting::Single, inner), rest) => good_steps(inner, rest),
        (Kind::Nested(Nesting::List, inner), [Selector::ElementKeyInt(_), rest @ ..])
        | (Kind::Nested(Nesting::Map, inner), [Selector::ElementKeyString(_), rest @ ..]) => {
            1 + good_steps(inner, rest)
        }
        _ => 0,
    }
}

fn good_steps_in(ty: &Type, steps: &[&Selector]) -> usize {
    match (ty, steps) {
        // What a dynamic value holds is not in the schema.
        (Type::Dynamic, steps) => steps.len(),
        (Type::List(element), [Selector::ElementKeyInt(_), rest @ ..])
        | (Type::Map(element), [Selector::ElementKeyString(_), rest @ ..]) => 1 + good_steps_in(element, rest),
        (Type::Tuple(types), [Selector::ElementKeyInt(index), rest @ ..]) => {
            let ty = usize::try_from(*index).ok().and_then(|index| types.get(index));
            ty.map_or(0, |ty| 1 + good_steps_in(ty, rest))
        }
        (Type::Object(types), [Selector::AttributeName(name), rest @ ..]) => {
            types.get(name).map_or(0, |ty| 1 + good_steps_in(ty, rest))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Mode;
    use crate::wire;

    use super::*;

    #[test]
    fn paths_end_where_the_schema_does() {
        let text = || Box::new(Type::String);
        let of = |name, ty| Attribute::new(name, ty, Mode::Optional, "");
        let nested = |name, nesting| Attribute::nested(name, nesting, vec![of("a", Type::String)], Mode::Optional, "");
        let attributes = [
            of("text", Type::String),
            of("list", Type::List(text())),
            of("set", Type::Set(text())),
            of("any", Type::Dynamic),
            of("pair", Type::Tuple(vec![Type::String])),
            nested("one", Nesting::Single),
            nested("many", Nesting::Map),
            nested("bag", Nesting::Set),
        ];
        let any = Path::root("any").index(1).attribute("x");
        for (path, expected) in [
            (Path::root("text"), Path::root("text")),
            (Path::root("nothing"), Path::default()),
            (Path::root("text").index(1), Path::root("text")),
            (Path::root("list").index(1), Path::root("list").index(1)),
            (Path::root("list").key("k"), Path::root("list")),
            (Path::root("set").index(0), Path::root("set")),
            (any, Path::root("any").index(1)),
            (Path::root("pair").index(1), Path::root("pair")),
            (Path::root("one").attribute("a"), Path::root("one").key("a")),
            (Path::root("many").key("k").attribute("a"), Path::root("many").key("k")),
            (Path::root("one").attribute("b"), Path::root("one")),
            (Path::root("many").key("k").attribute("b"), Path::root("many").key("k")),
            (Path::root("bag").index(0).attribute("a"), Path::root("bag")),
        ] {
            let mut told = [proto::Diagnostic { attribute: Some(wire::path(&path)), ..Default::default() }];
            fit(&attributes, &mut told);
            let expected = Some(wire::path(&expected)).filter(|path| !path.steps.is_empty());
            assert_eq!(told[0].attribute, expected, "{path}");
        }
    }

    #[test]
    fn what_is_cut_off_is_said() {
        let nested = vec![Attribute::new("type", Type::String, Mode::Optional, "")];
        let attributes = [Attribute::nested("columns", Nesting::Map, nested, Mode::Optional, "")];
        let columns = || Path::root("columns").key("a b");
        for (at, detail, expected) in [
            (columns(), "d", "d"),
            (columns().attribute("type"), "d", "d\n\nWhere: columns[\"a b\"].type"),
            (columns().attribute("type"), "", "Where: columns[\"a b\"].type"),
            (columns().attribute("type"), "columns[\"a b\"].type is no type.", "columns[\"a b\"].type is no type."),
        ] {
            let attribute = Some(wire::path(&at));
            let mut told = [proto::Diagnostic { attribute, detail: detail.to_owned(), ..Default::default() }];
            fit(&attributes, &mut told);
            assert_eq!(told[0].detail, expected);
            assert_eq!(told[0].attribute, Some(wire::path(&columns())));
        }
    }
}
