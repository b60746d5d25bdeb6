use std::collections::BTreeMap;

use pg_connector::vector_index::{ColumnType, Key, Method, Metric, ObservedIndex, Seen, VectorType};
use tfplugin::{Path, Refinement};

use super::*;

fn config(pairs: &[(&str, Value)]) -> Value {
    let mut config = Value::object(schema::schema().attributes.iter().map(|a| (a.name, Value::Null)));
    config.set("table", "public.t".into());
    config.set("column", "e".into());
    for (name, value) in pairs {
        config.set(name, value.clone());
    }
    config
}

/// What the framework hands to the plan: defaults filled in.
fn proposed(config: &Value, prior: &Value) -> Plan {
    let mut value = config.clone();
    for (name, default) in [("metric", "cosine"), ("method", "ivfflat")] {
        if value.get(name).is_null() {
            value.set(name, default.into());
        }
    }
    if value.get("concurrently").is_null() {
        value.set("concurrently", true.into());
    }
    for name in ["id", "index_name", "operator_class", "valid", "steps"] {
        value.set(name, prior.get(name).clone());
    }
    Plan { value, ..Plan::default() }
}

fn seen() -> Seen {
    Seen {
        columns: BTreeMap::from([("e".to_owned(), ColumnType { ty: VectorType::Vector, dimensions: Some(3) })]),
        types: BTreeMap::new(),
        partitioned: false,
        leftover: false,
        index: ObservedIndex {
            method: Method::Ivfflat,
            metric: Metric::Cosine,
            operator_class: "vector_cosine_ops".to_owned(),
            key: Ok(Key { column: "e".to_owned(), quantize: None, subvector: None }),
            options: BTreeMap::new(),
            predicate: None,
            valid: true,
            file: 1,
        },
        built_with: BTreeMap::new(),
    }
}

fn planned(config: &Value, prior: &Value, seen: Option<&Seen>) -> Plan {
    let mut private = Private::default();
    if let Some(seen) = seen {
        model::remember(&mut private, seen);
    }
    let mut plan = proposed(config, prior);
    let diagnostics = refine(&PlanRequest { prior, config, private: &private }, &mut plan);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    plan
}

/// The state after an apply of this configuration and a refresh that saw this.
fn state(config: &Value, seen: &Seen) -> Value {
    let mut value = proposed(config, &Value::Null).value;
    value.set("name", value.get("column").clone());
    set_names(&mut value);
    value.set("steps", Value::List(Vec::new()));
    model::show(&mut value, seen, Some(seen));
    value
}

#[test]
fn a_plan_that_creates_knows_the_names_and_nothing_else() {
    let plan = planned(&config(&[]), &Value::Null, None);
    assert_eq!(plan.value.get("name").as_str(), Some("e"));
    assert_eq!(plan.value.get("id").as_str(), Some("public.t__vector__e"));
    assert_eq!(plan.value.get("index_name").as_str(), Some("t__vector__e"));
    assert!(plan.value.get("operator_class").is_unknown() && plan.value.get("steps").is_unknown());
    let later = planned(&config(&[("table", Value::unknown())]), &Value::Null, None);
    assert!(later.value.get("id").is_unknown() && later.value.get("index_name").is_unknown());
}

#[test]
fn nothing_is_planned_where_nothing_differs() {
    let with_predicate = {
        let mut seen = seen();
        seen.index.predicate = Some("(id > 5)".to_owned());
        seen
    };
    for (config, seen) in [
        (config(&[]), seen()),
        (config(&[("lists", Value::from(100))]), seen()),
        (config(&[("where", Value::from("id>5"))]), with_predicate),
    ] {
        let state = state(&config, &seen);
        assert_eq!(planned(&config, &state, Some(&seen)).value, state);
        assert_eq!(planned(&config, &state, None).value, state, "also without bookkeeping");
    }
}

#[test]
fn a_change_shows_its_statements() {
    let prior = state(&config(&[]), &seen());
    let plan = planned(&config(&[("metric", Value::from("l2"))]), &prior, Some(&seen()));
    assert_eq!(plan.value.get("operator_class").as_str(), Some("vector_l2_ops"));
    assert_eq!(plan.value.get("steps").as_list().map(<[Value]>::len), Some(3));
    let plan = planned(&config(&[("concurrently", Value::from(false))]), &prior, Some(&seen()));
    assert_eq!(plan.value.get("steps"), &Value::List(Vec::new()), "that alone builds nothing");
    let plan = planned(&config(&[("column", Value::from("new"))]), &prior, Some(&seen()));
    assert!(plan.value.get("steps").is_unknown(), "the type of that column was never seen");
    let plan = planned(&config(&[("lists", Value::unknown())]), &prior, Some(&seen()));
    assert!(plan.value.get("steps").is_unknown());
}

#[test]
fn drift_is_shown_and_mended() {
    let configured = config(&[("lists", Value::from(5))]);
    let mut before = seen();
    before.index.options = BTreeMap::from([("lists".to_owned(), "5".to_owned())]);
    before.built_with = before.index.options.clone();
    let mut drifted = before.clone();
    drifted.index.method = Method::Hnsw;
    drifted.index.metric = Metric::L2;
    drifted.index.operator_class = "vector_l2_ops".to_owned();
    drifted.index.options = BTreeMap::new();
    drifted.index.predicate = Some("(id > 5)".to_owned());
    drifted.index.valid = false;
    let mut value = state(&configured, &before);
    model::show(&mut value, &drifted, Some(&before));
    for (name, shown) in [
        ("method", Value::from("hnsw")),
        ("metric", Value::from("l2")),
        ("operator_class", Value::from("vector_l2_ops")),
        ("lists", Value::Null),
        ("where", Value::from("(id > 5)")),
        ("valid", Value::from(false)),
    ] {
        assert_eq!(value.get(name), &shown, "{name}");
    }
    let plan = planned(&configured, &value, Some(&drifted));
    assert_eq!(plan.value.get("steps").as_list().map(<[Value]>::len), Some(3));
    assert_eq!(plan.value.get("valid"), &Value::from(true));
}

#[test]
fn an_import_shows_what_the_catalogue_holds() {
    let table = TableName::new("public", "t");
    let mut found = seen();
    found.index.options = BTreeMap::from([("lists".to_owned(), "100".to_owned())]);
    let mut value = imported(&table, &table.clone(), "e").value;
    model::show(&mut value, &found, None);
    assert_eq!(value.get("lists").as_i64(), Some(100), "given, although it is the default");
    assert!(value.get("m").is_null() && value.get("where").is_null());
}

#[test]
fn faults_point_at_their_attribute() {
    let build = |name: &str, value: Value| {
        let mut build =
            Value::object([("maintenance_work_mem", Value::Null), ("max_parallel_maintenance_workers", Value::Null)]);
        build.set(name, value);
        ("build", build)
    };
    let long_prefix = Value::Unknown(Refinement {
        not_null: Some(true),
        prefix: Some(format!("public.{}", "t".repeat(53))),
        ..Refinement::default()
    });
    for (pair, path) in [
        (("metric", Value::from("manhattan")), Path::root("metric")),
        (("lists", Value::Number("1.5".parse().unwrap())), Path::root("lists")),
        (("table", Value::from("t")), Path::root("table")),
        (("table", long_prefix), Path::root("name")),
        (build("maintenance_work_mem", Value::from("lots")), Path::root("build").attribute("maintenance_work_mem")),
        (
            build("max_parallel_maintenance_workers", Value::from(-1)),
            Path::root("build").attribute("max_parallel_maintenance_workers"),
        ),
    ] {
        let mut found = Diagnostics::default();
        VectorIndex.validate(&config(&[pair]), &mut found);
        assert_eq!(found.0.len(), 1, "{found:?}");
        assert_eq!(found.0[0].path, path);
    }
}
