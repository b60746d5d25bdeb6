//! What a change does beside its columns: rows, checks that were left behind, vector indexes.

use super::*;

#[test]
fn rows_are_written_between_new_columns_and_not_null() {
    let (prior, desired) = (table(&[("a", "text")]), table(&[("a", "text"), ("b", "int not null")]));
    let mut change = change(Some(&prior), &desired);
    change.owned = Some(declare(&prior, &json!([{"id": 1, "a": "x"}])).into());
    change.rows = Some(declare(&desired, &json!([{"id": 1, "a": "x", "b": 5}])).into());
    let decided = plan(&change);
    let steps = sql(&decided);
    assert_eq!(steps[0], "alter table public.t add column b integer");
    assert_eq!(steps[1], "lock table public.t in share row exclusive mode");
    assert!(steps[2].starts_with("update public.t"));
    let last = ["set constraints all immediate", "alter table public.t alter column b set not null"];
    assert_eq!(steps[steps.len() - 2..], last);
}

#[test]
fn rows_are_only_looked_at_when_something_about_them_changes() {
    let spec = table(&[("a", "text"), ("b", "text")]);
    let rows = declare(&spec, &json!([{"id": 1, "a": "x"}]));
    let same =
        TableChange { rows: Some(rows.clone().into()), owned: Some(rows.clone().into()), ..change(Some(&spec), &spec) };
    assert_eq!(sql(&plan(&same)), [""; 0]);
    let writes = |change: &TableChange| plan(change).steps.iter().any(|step| step.sql.starts_with("update public.t"));
    assert!(writes(&TableChange { rows_drifted: true, ..same.clone() }));
    assert!(!writes(&TableChange { desired: table(&[("a", "text"), ("b", "jsonb")]), ..same.clone() }));
    assert!(writes(&TableChange { desired: table(&[("a", "jsonb"), ("b", "text")]), ..same.clone() }));
    assert!(writes(&TableChange { rows: Some(declare(&spec, &json!([{"id": 1, "a": "y"}])).into()), ..same.clone() }));
    let gone = plan(&TableChange { rows: None, ..same });
    assert!(sql(&gone).iter().any(|sql| sql.starts_with("delete from public.t")));
    // With rows, null is forbidden in the one transaction.
    let not_null = TableChange {
        rows: Some(declare(&spec, &json!([{"id": 1, "a": "y"}])).into()),
        owned: Some(rows.into()),
        ..change(Some(&spec), &table(&[("a", "text not null"), ("b", "text")]))
    };
    assert!(sql(&plan(&not_null)).contains(&"set constraints all immediate"));
}

#[test]
fn an_interrupted_change_is_finished_or_cleared_up() {
    let name = crate::table::render::check_name("a");
    let with_check = |spec: &TableSpec, name: &str| {
        let check = NotNullCheck { name: name.to_owned(), column: "a".to_owned() };
        Some(ObservedTable { not_null_checks: vec![check], ..observed(spec) })
    };
    let (null, not_null) = (table(&[("a", "text")]), table(&[("a", "text not null")]));
    let drop_check = format!("alter table public.t drop constraint if exists {name}");
    // Still wanted: the same statements, of which the first is skipped.
    let again = TableChange { observed: with_check(&null, &name), ..change(Some(&null), &not_null) };
    let decided = plan(&again);
    assert_eq!(sql(&decided).len(), 4);
    assert!(decided.steps[0].skippable);
    // No longer wanted, or done already.
    for spec in [&null, &not_null] {
        let change = TableChange { observed: with_check(spec, &name), ..change(Some(spec), spec) };
        assert_eq!(sql(&plan(&change)), [drop_check.as_str()]);
    }
    // The column goes, and the check with it.
    let gone = TableChange { observed: with_check(&null, &name), ..change(Some(&null), &table(&[])) };
    assert_eq!(sql(&plan(&gone)), [LOCK, "alter table public.t drop column a"]);
    // Of a column that was called something else then.
    let renamed =
        TableChange { observed: with_check(&null, "terraform_pg_not_null_x"), ..change(Some(&null), &not_null) };
    assert_eq!(
        sql(&plan(&renamed)),
        [
            "alter table public.t alter column a set not null",
            "alter table public.t drop constraint if exists terraform_pg_not_null_x",
        ]
    );
}

#[test]
fn vector_indexes_that_cannot_follow_are_rebuilt() {
    let prior = table(&[("e", "vector(3)"), ("f", "vector(3)")]);
    let index = |name: &str, key: &str, column: &str| DependentIndex {
        name: name.to_owned(),
        columns: vec![column.to_owned()],
        definition: format!("create index {name} on public.t using hnsw ({key}) with (m=16)"),
    };
    let live = ObservedTable {
        vector_indexes: vec![
            index("t__vector__e", "e vector_cosine_ops", "e"),
            index("half", "((e)::halfvec(3)) halfvec_l2_ops", "e"),
            index("t__vector__f", "f vector_cosine_ops", "f"),
        ],
        ..observed(&prior)
    };
    let with = |desired: &TableSpec| TableChange {
        observed: Some(live.clone()),
        force_destroy: true,
        ..change(Some(&prior), desired)
    };
    assert_eq!(
        sql(&plan(&with(&table(&[("e", "halfvec(3)"), ("f", "vector(3)")])))),
        [
            "drop index public.t__vector__e",
            "alter table public.t alter column e type halfvec(3) using e::halfvec",
            "create index t__vector__e on public.t using hnsw (e halfvec_cosine_ops) with (m=16)",
        ]
    );
    assert_eq!(
        sql(&plan(&with(&table(&[("e", "vector(3)"), ("f", "vector(4)")])))),
        [
            "drop index public.t__vector__f",
            "alter table public.t drop column f",
            "alter table public.t add column f vector(4)",
            "create index t__vector__f on public.t using hnsw (f vector_cosine_ops) with (m=16)",
        ]
    );
    // The index goes with its column.
    let dropped = sql(&plan(&with(&table(&[("f", "vector(3)")])))).join("; ");
    let indexes = "drop index public.t__vector__e; drop index public.half";
    assert_eq!(dropped, format!("{indexes}; alter table public.t drop column e"));
}

#[test]
fn vector_indexes_over_expressions_follow_or_are_warned_of() {
    for (from, definition, to, steps, warning) in [
        ("vector(3)", "hnsw (((subvector(e, 1, 2))::vector(2)) vector_l2_ops)", "halfvec(3)", 4, None),
        ("halfvec(3)", "hnsw (((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops)", "vector(3)", 3, None),
        ("vector", "hnsw (((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops)", "vector(3)", 1, None),
        ("vector(3)", "hnsw (((e)::halfvec(3)) halfvec_l2_ops)", "halfvec(3)", 2, Some("remove quantize")),
        ("vector(3)", "ivfflat (e vector_l2_ops)", "sparsevec(3)", 3, Some("method = \"hnsw\"")),
        ("vector(3)", "hnsw (e vector_l2_ops)", "sparsevec(3)", 3, None),
    ] {
        let prior = table(&[("e", from)]);
        let index = DependentIndex {
            name: "i".to_owned(),
            columns: vec!["e".to_owned()],
            definition: format!("create index i on public.t using {definition}"),
        };
        let observed = Some(ObservedTable { vector_indexes: vec![index], ..observed(&prior) });
        let decided = plan(&TableChange { observed, ..change(Some(&prior), &table(&[("e", to)])) });
        assert_eq!(sql(&decided).len(), steps, "{definition} to {to}: {:?}", sql(&decided));
        let warned: Vec<&str> = decided.warnings.iter().map(|warning| warning.detail.as_str()).collect();
        assert_eq!(warned.len(), usize::from(warning.is_some()), "{warned:?}");
        assert!(warning.is_none_or(|words| warned[0].contains(words)), "{warned:?}");
    }
}

#[test]
fn every_plan_that_was_carried_out_is_followed_by_an_empty_one() {
    let tables = [
        table(&[]),
        table(&[("a", "text")]),
        table(&[("a", "varchar(10) not null default 'x' -- c")]),
        table(&[("a", "int8"), ("b", "vector(3)"), ("c", "app.mood default 'sad'")]),
        TableSpec {
            comment: Some("c".to_owned()),
            ..table(&[("b", "halfvec(3)"), ("d", "timestamptz default now()")])
        },
    ];
    for from in &tables {
        for to in &tables {
            let there = TableChange { force_destroy: true, ..change(Some(from), to) };
            assert_eq!(plan(&there).refusals.len(), 0);
            assert_eq!(plan(&there).steps.is_empty(), from == to, "{from:?} to {to:?}");
            assert_eq!(sql(&plan(&change(Some(to), to))), [""; 0]);
        }
    }
}
