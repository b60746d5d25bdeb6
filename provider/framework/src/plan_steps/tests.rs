//! Tables of configuration, prior state and the plan that must come of them.

use serde_json::{Value as Json, json};

use crate::types::Type;
use crate::value::Refinement;

use super::*;

/// Values as JSON, for short tables; the text `?` is an unknown.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) if text == "?" => Value::unknown(),
        Json::String(text) => text.as_str().into(),
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_i64().unwrap().into(),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(items) => Value::Map(items.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
    }
}

fn same_case(left: &Value, right: &Value) -> bool {
    left.as_str().map(str::to_lowercase) == right.as_str().map(str::to_lowercase)
}

fn text(name: &'static str, mode: Mode) -> Attribute {
    Attribute::new(name, Type::String, mode, "")
}

fn columns(nesting: Nesting) -> Attribute {
    let inner = vec![
        text("type", Mode::Required).same(same_case),
        Attribute::new("nullable", Type::Bool, Mode::OptionalComputed, ""),
        text("note", Mode::Optional).default(Default::String("-")),
    ];
    Attribute::nested("columns", nesting, inner, Mode::OptionalComputed, "")
}

/// The plan of a resource with these attributes.
fn plan(attributes: &[Attribute], prior: &Json, config: &Json) -> Value {
    planned_value(attributes, &value(prior), &value(config))
}

fn root() -> Vec<Attribute> {
    vec![
        text("name", Mode::Required),
        text("schema", Mode::Optional).default(Default::String("public")),
        text("comment", Mode::Optional),
        text("sql", Mode::Optional).same(same_case),
        text("password", Mode::Optional).write_only(),
        text("id", Mode::Computed).keep_prior(),
        Attribute::new("count", Type::Number, Mode::Computed, ""),
        text("class", Mode::OptionalComputed),
    ]
}

#[test]
fn root_attributes() {
    let prior = json!({"name": "t", "schema": "public", "comment": null, "sql": "select 1", "password": null,
        "id": "i", "count": 3, "class": "c"});
    for (case, prior, config, planned) in [
        (
            "create: defaults, unknown computed values, no write-only value",
            &Json::Null,
            json!({"name": "t", "password": "secret"}),
            json!({"name": "t", "schema": "public", "comment": null, "sql": null, "password": null, "id": "?",
                "count": "?", "class": "?"}),
        ),
        ("no change keeps every prior value", &prior, json!({"name": "t", "sql": "select 1"}), prior.clone()),
        ("a value that means the same is no change", &prior, json!({"name": "t", "sql": "SELECT 1"}), prior.clone()),
        (
            "a write-only value is no change",
            &prior,
            json!({"name": "t", "sql": "select 1", "password": "x"}),
            prior.clone(),
        ),
        (
            "update: computed values become unknown, those that keep their prior value do not",
            &prior,
            json!({"name": "t", "sql": "select 1", "comment": "new"}),
            json!({"name": "t", "schema": "public", "comment": "new", "sql": "select 1", "password": null, "id": "i",
                "count": "?", "class": "?"}),
        ),
        (
            "a configured value that is computed otherwise stays what the user wrote",
            &prior,
            json!({"name": "t", "sql": "select 1", "class": "d"}),
            json!({"name": "t", "schema": "public", "comment": null, "sql": "select 1", "password": null, "id": "i",
                "count": "?", "class": "d"}),
        ),
        (
            "an unknown configured value stays unknown, also where the prior could be kept",
            &prior,
            json!({"name": "t", "sql": "?", "schema": "?"}),
            json!({"name": "t", "schema": "?", "comment": null, "sql": "?", "password": null, "id": "i", "count": "?",
                "class": "?"}),
        ),
        (
            "a removed argument is null, or its default",
            &json!({"name": "t", "schema": "other", "comment": "c", "sql": "select 1", "password": null, "id": "i",
                "count": 3, "class": "c"}),
            json!({"name": "t"}),
            json!({"name": "t", "schema": "public", "comment": null, "sql": null, "password": null, "id": "i",
                "count": "?", "class": "?"}),
        ),
        (
            "a kept value that was never there is unknown",
            &json!({"name": "t", "schema": "public", "comment": null, "sql": null, "password": null, "id": null,
                "count": 3, "class": "c"}),
            json!({"name": "t", "comment": "new"}),
            json!({"name": "t", "schema": "public", "comment": "new", "sql": null, "password": null, "id": "?",
                "count": "?", "class": "?"}),
        ),
    ] {
        assert_eq!(plan(&root(), prior, &config), value(&planned), "{case}");
    }
}

#[test]
fn the_refinement_of_an_unknown_value_is_kept() {
    let refined = Value::Unknown(Refinement { prefix: Some("sel".to_owned()), ..Refinement::default() });
    let planned = planned_value(&root(), &Value::Null, &Value::object([("name", refined.clone())]));
    assert_eq!(planned.get("name"), &refined);
}

#[test]
fn objects_in_a_map_meet_their_prior_value_by_key() {
    let attributes = [columns(Nesting::Map)];
    let prior = json!({"columns": {
        "a": {"type": "int", "nullable": false, "note": "-"},
        "b": {"type": "text", "nullable": true, "note": "n"},
    }});
    for (case, config, planned) in [
        ("left out: the prior value", json!({"columns": null}), prior.clone()),
        (
            "untouched elements keep what was computed for them",
            json!({"columns": {"a": {"type": "INT"}, "b": {"type": "text", "note": "n"}}}),
            prior.clone(),
        ),
        (
            "a new element, beside an untouched one",
            json!({"columns": {"a": {"type": "int"}, "c": {"type": "int"}}}),
            json!({"columns": {"a": {"type": "int", "nullable": false, "note": "-"},
                "c": {"type": "int", "nullable": "?", "note": "-"}}}),
        ),
        (
            "a changed element computes again; a default comes back",
            json!({"columns": {"a": {"type": "bigint"}, "b": {"type": "text"}}}),
            json!({"columns": {"a": {"type": "bigint", "nullable": "?", "note": "-"},
                "b": {"type": "text", "nullable": "?", "note": "-"}}}),
        ),
        (
            "a configured computed value",
            json!({"columns": {"a": {"type": "int", "nullable": true}}}),
            json!({"columns": {"a": {"type": "int", "nullable": true, "note": "-"}}}),
        ),
        (
            "unknown inside an element",
            json!({"columns": {"a": {"type": "?"}}}),
            json!({"columns": {"a": {"type": "?", "nullable": "?", "note": "-"}}}),
        ),
        (
            "unknown elements and collections stay unknown",
            json!({"columns": {"a": "?"}}),
            json!({"columns": {"a": "?"}}),
        ),
        ("unknown as a whole", json!({"columns": "?"}), json!({"columns": "?"})),
        ("empty is not null", json!({"columns": {}}), json!({"columns": {}})),
    ] {
        assert_eq!(plan(&attributes, &prior, &config), value(&planned), "{case}");
    }
}

#[test]
fn objects_in_a_list_meet_their_prior_value_by_index() {
    let attributes = [columns(Nesting::List)];
    let prior = json!({"columns": [{"type": "int", "nullable": false, "note": "-"}]});
    let config = json!({"columns": [{"type": "int"}, {"type": "int"}]});
    let planned = json!({"columns": [{"type": "int", "nullable": false, "note": "-"},
        {"type": "int", "nullable": "?", "note": "-"}]});
    assert_eq!(plan(&attributes, &prior, &config), value(&planned));
}

#[test]
fn objects_in_a_set_meet_their_prior_value_by_what_is_configured() {
    let attributes = [columns(Nesting::Set)];
    let prior = json!({"columns": [{"type": "int", "nullable": false, "note": "-"},
        {"type": "text", "nullable": true, "note": "-"}]});
    let config = json!({"columns": [{"type": "date"}, {"type": "text"}]});
    let planned = json!({"columns": [{"type": "date", "nullable": "?", "note": "-"},
        {"type": "text", "nullable": true, "note": "-"}]});
    assert_eq!(plan(&attributes, &prior, &config), value(&planned));
    let same = json!({"columns": [{"type": "text"}, {"type": "int"}]});
    assert_eq!(plan(&attributes, &prior, &same), value(&prior), "another order is no change");
}

#[test]
fn a_single_object() {
    let attributes = [columns(Nesting::Single), text("other", Mode::Optional)];
    let prior = json!({"columns": {"type": "int", "nullable": false, "note": "-"}, "other": null});
    let config = json!({"columns": {"type": "int"}, "other": "changed"});
    let planned = json!({"columns": {"type": "int", "nullable": false, "note": "-"}, "other": "changed"});
    assert_eq!(plan(&attributes, &prior, &config), value(&planned), "its own values decide what is computed again");
}

#[test]
fn computed_objects_are_unknown_as_a_whole() {
    let steps = vec![text("sql", Mode::Computed)];
    let attributes =
        [text("name", Mode::Required), Attribute::nested("steps", Nesting::List, steps, Mode::Computed, "")];
    let prior = json!({"name": "a", "steps": [{"sql": "create"}]});
    assert_eq!(plan(&attributes, &prior, &json!({"name": "a"})), value(&prior));
    let planned = json!({"name": "b", "steps": "?"});
    assert_eq!(plan(&attributes, &prior, &json!({"name": "b"})), value(&planned));
}

#[test]
fn defaults_fill_a_configuration_at_every_depth() {
    let attributes = [text("schema", Mode::Optional).default(Default::String("public")), columns(Nesting::Map)];
    let config = value(&json!({"columns": {"a": {"type": "int"}, "b": {"type": "?", "note": "n"}}}));
    let filled = value(&json!({"schema": "public", "columns": {
        "a": {"type": "int", "nullable": null, "note": "-"}, "b": {"type": "?", "nullable": null, "note": "n"}}}));
    assert_eq!(with_defaults(&attributes, config), filled);
}

#[test]
fn replacing_attributes_are_found_where_they_changed() {
    let inner = |replace: bool| {
        let ty = text("type", Mode::Required);
        vec![if replace { ty.replace() } else { ty }, text("note", Mode::Optional)]
    };
    let attributes = [
        text("name", Mode::Required).replace(),
        Attribute::nested("map", Nesting::Map, inner(true), Mode::Optional, ""),
        Attribute::nested("list", Nesting::List, inner(true), Mode::Optional, ""),
        Attribute::nested("one", Nesting::Single, inner(true), Mode::Optional, ""),
        Attribute::nested("set", Nesting::Set, inner(true), Mode::Optional, ""),
        Attribute::nested("all", Nesting::Map, inner(false), Mode::Optional, "").replace(),
    ];
    let prior = json!({"name": "n", "map": {"a": {"type": "x"}, "b": {"type": "x"}}, "list": [{"type": "x"}],
        "one": {"type": "x"}, "set": [{"type": "x"}], "all": {"a": {"type": "x"}}});
    for (planned, paths) in [
        (json!({}), vec![]),
        (json!({"name": "m"}), vec!["name"]),
        (json!({"name": "?"}), vec!["name"]),
        (json!({"map": {"a": {"type": "y"}, "b": {"type": "x", "note": "n"}}}), vec![r#"map["a"].type"#]),
        (json!({"map": {"a": {"type": "x"}, "c": {"type": "x"}}}), vec![]),
        (json!({"map": null}), vec![]),
        (json!({"list": [{"type": "y"}, {"type": "x"}]}), vec!["list[0].type"]),
        (json!({"one": {"type": "y"}}), vec!["one.type"]),
        (json!({"set": [{"type": "y"}]}), vec![]),
        (json!({"all": {"a": {"type": "x", "note": "n"}}}), vec!["all"]),
        (json!({"all": {"a": {"type": "y"}}, "name": "m"}), vec!["name", "all"]),
    ] {
        let mut after = prior.clone();
        for (key, value) in planned.as_object().unwrap() {
            after[key] = value.clone();
        }
        let found = replace_paths(&attributes, &value(&prior), &value(&after));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), paths, "{planned}");
        assert!(replace_paths(&attributes, &Value::Null, &value(&after)).is_empty(), "not on create");
    }
}

#[test]
fn the_replace_list_is_sorted_unique_and_only_of_changes() {
    let prior = value(&json!({"a": 1, "b": 1, "c": 1, "m": {"k": 1}, "l": [1]}));
    let planned = value(&json!({"a": 2, "b": 1, "c": "?", "m": "?", "l": []}));
    let key = Path::root("m").key("k");
    let index = Path::root("l").index(0);
    let paths = vec![key.clone(), Path::root("c"), Path::root("b"), Path::root("a"), Path::root("c"), index.clone()];
    let normal = normalise_replace(paths, &prior, &planned).unwrap();
    assert_eq!(normal, [Path::root("a"), Path::root("c"), index, key]);
    let nowhere = Path::root("m").attribute("other").index(3);
    let lost = vec![Path::root("a"), Path::root("zz"), Path::root("l").index(7), Path::root("l").index(1)];
    assert_eq!(normalise_replace(lost.clone(), &prior, &planned), Err(lost[1..].to_vec()));
    assert!(normalise_replace(vec![nowhere], &prior, &planned).is_ok(), "inside an unknown anything may be");
    assert_eq!(normalise_replace(lost, &Value::Null, &planned), Ok(vec![]), "a create replaces nothing");
}

#[test]
fn another_spelling_is_put_back_at_every_depth() {
    let attributes = [text("sql", Mode::Optional).same(same_case), text("name", Mode::Optional), columns(Nesting::Map)];
    let before = json!({"sql": "select 1", "name": "a", "columns": {"a": {"type": "int"}, "gone": {"type": "int"}}});
    let after = json!({"sql": "SELECT 1", "name": "A", "columns": {"a": {"type": "INT"}, "new": {"type": "INT"}}});
    let kept = json!({"sql": "select 1", "name": "A", "columns": {"a": {"type": "int"}, "new": {"type": "INT"}}});
    assert_eq!(with_kept_spelling(&attributes, &value(&before), value(&after)), value(&kept));
    for (before, after) in [(json!({"sql": null}), json!({"sql": "x"})), (json!({"sql": "?"}), json!({"sql": "x"}))] {
        assert_eq!(with_kept_spelling(&attributes, &value(&before), value(&after)), value(&after));
    }
    assert_eq!(with_kept_spelling(&attributes, &Value::Null, value(&after)), value(&after));
}
