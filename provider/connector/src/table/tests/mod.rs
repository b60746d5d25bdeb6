//! What a change takes, as one table: pairs of declarations and the statements between them.

mod around;
mod transitions;

use serde_json::{Value, json};

use self::transitions::{Planned, Sketch};
use super::{TableChange, TablePlan, plan};
use crate::catalog::{DependentIndex, NotNullCheck, ObservedColumn, ObservedTable, RelationKind};
use crate::error::{Blame, RowLabel};
use crate::name::TableName;
use crate::pg_type::PgType;
use crate::rows::{self, DeclaredRows};
use crate::spec::{ColumnSpec, ManagedBy, TableSpec};
use crate::step::{Hazard, Lock};

/// The columns but the key, as name and text.
type Columns<'a> = &'a [(&'a str, &'a str)];

/// Something that happens to a table.
type Drift = fn(&mut ObservedTable);

/// A column as `type [not null] [default …] [-- comment]`.
fn column(name: &str, text: &str) -> ColumnSpec {
    let (text, comment) = text
        .split_once(" -- ")
        .map_or((text, None), |(text, comment)| (text, Some(comment.trim_matches('"').to_owned())));
    let (text, default) = text.split_once(" default ").map_or((text, None), |(text, d)| (text, Some(d.to_owned())));
    let (text, nullable) = text.strip_suffix(" not null").map_or((text, true), |text| (text, false));
    ColumnSpec { name: name.to_owned(), type_name: text.to_owned(), nullable, default, comment }
}

/// A table with the key `id bigint` and these columns.
fn table(columns: &[(&str, &str)]) -> TableSpec {
    let id = column("id", "bigint not null");
    TableSpec {
        name: TableName::new("public", "t"),
        managed_by: ManagedBy::System,
        comment: None,
        columns: std::iter::once(id).chain(columns.iter().map(|(name, text)| column(name, text))).collect(),
        primary_key: vec!["id".to_owned()],
    }
}

/// The table as a server would show it right after it was made as declared.
fn observed(table: &TableSpec) -> ObservedTable {
    let server = |c: &ColumnSpec| ObservedColumn {
        name: c.name.clone(),
        type_name: PgType::parse(&c.type_name).unwrap().to_string(),
        nullable: c.nullable,
        default: c.default.as_ref().map(|text| format!("server({text})")),
        generated: false,
        comment: c.comment.clone(),
        spelled: None,
    };
    ObservedTable {
        oid: 1,
        kind: RelationKind::Table,
        columns: table.columns.iter().map(server).collect(),
        primary_key: table.primary_key.clone(),
        comment: table.comment.clone(),
        vector_indexes: Vec::new(),
        not_null_checks: Vec::new(),
    }
}

fn change(prior: Option<&TableSpec>, desired: &TableSpec) -> TableChange {
    TableChange { prior: prior.cloned(), observed: prior.map(observed), ..TableChange::create(desired.clone()) }
}

fn declare(table: &TableSpec, rows: &Value) -> DeclaredRows {
    let rows: Vec<_> = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
    let rows: Vec<_> = rows.into_iter().enumerate().map(|(i, row)| (RowLabel::Index(i), row)).collect();
    rows::declare(table, &rows).unwrap()
}

fn sql(plan: &TablePlan) -> Vec<&str> {
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    plan.steps.iter().map(|step| step.sql.as_str()).collect()
}

/// The statements between two tables that differ in these columns.
fn between(prior: &[(&str, &str)], desired: &[(&str, &str)]) -> TablePlan {
    plan(&change(Some(&table(prior)), &table(desired)))
}

const LOCK: &str = "lock table public.t in access exclusive mode";

#[test]
fn a_new_table_is_one_statement_after_what_it_needs() {
    let mut spec = table(&[
        ("e", "vector(3)"),
        ("n", "DECIMAL(10,2) not null default 0 -- the price"),
        ("d", "timestamptz default now()"),
    ]);
    spec.name = TableName::new("My App", "t");
    spec.comment = Some("it's ours".to_owned());
    spec.columns.push(column("order", "text[] default '{}'"));
    spec.columns.push(column("k", "int default 1 + 1"));
    spec.columns.push(column("größe", "\"Mood\""));
    spec.primary_key = vec!["id".to_owned()];
    let decided = plan(&change(None, &spec));
    assert_eq!(
        sql(&decided),
        [
            "create schema if not exists \"My App\"",
            "create extension if not exists vector",
            "create table \"My App\".t (id bigint not null, e vector(3), n numeric(10,2) default 0 not null, \
             d timestamp with time zone default now(), \"order\" text[] default '{}', k integer default (1 + 1), \
             \"größe\" \"Mood\", primary key (id))",
            "comment on table \"My App\".t is 'it''s ours'",
            "comment on column \"My App\".t.n is 'the price'",
        ]
    );
    let skippable: Vec<bool> = decided.steps.iter().map(|step| step.skippable).collect();
    assert_eq!(skippable, [true, true, false, false, false]);
    assert!(decided.steps.iter().all(|step| step.hazards.is_empty()));
}

#[test]
fn what_a_new_table_does_not_need_is_left_out() {
    assert_eq!(
        sql(&plan(&change(None, &table(&[("a", "text")])))),
        ["create table public.t (id bigint not null, a text, primary key (id))"]
    );
    let vectors = TableChange { create_vector_extension: false, ..change(None, &table(&[("e", "vector(3)")])) };
    assert_eq!(sql(&plan(&vectors)).len(), 1);
    let user = TableSpec { managed_by: ManagedBy::User, ..table(&[("e", "vector(3)")]) };
    assert_eq!(sql(&plan(&change(None, &user))), [""; 0]);
}

/// A table as a case sketches it.
fn sketched(sketch: &Sketch) -> TableSpec {
    let mut spec = table(&sketch.columns);
    if sketch.columns.iter().any(|(name, _)| *name == "id") {
        spec.columns.remove(0);
    }
    spec.primary_key = sketch.key.iter().map(|&name| name.to_owned()).collect();
    spec.managed_by = if sketch.user { ManagedBy::User } else { ManagedBy::System };
    spec
}

/// The same cases are carried out on a server by `tests/postgres/table/transitions.rs`.
#[test]
fn every_transition_is_planned_as_it_is_listed() {
    let cases = transitions::cases();
    assert!(cases.len() > 90);
    for case in cases.iter().filter(|case| case.get("setup").is_none()) {
        let Some(to) = case.to() else { continue };
        let (from, to) = (case.from().as_ref().map(sketched), sketched(&to));
        for force in [false, true] {
            let decided = plan(&TableChange { force_destroy: force, ..change(from.as_ref(), &to) });
            let said = decided.refusals.iter().map(crate::Error::message).collect::<Vec<_>>().join("; ");
            match case.planned(force) {
                Some(Planned::Refused(words)) => assert!(said.contains(words), "{}: {decided:?}", case.name),
                Some(Planned::Replace(attribute)) => assert_eq!(decided.replace, [attribute], "{}", case.name),
                Some(Planned::Steps(steps)) => assert_eq!(sql(&decided), steps, "{} {force}", case.name),
                None => panic!("{} has no plan", case.name),
            }
        }
    }
}

#[test]
fn what_was_never_ours_is_left_alone() {
    let mut spec = table(&[("a", "text")]);
    let mut live = observed(&spec);
    live.comment = Some("theirs".to_owned());
    live.columns[1].default = Some("'theirs'::text".to_owned());
    live.columns[1].comment = Some("theirs".to_owned());
    live.columns.push(ObservedColumn { name: "extra".to_owned(), ..live.columns[1].clone() });
    for prior in [None, Some(spec.clone())] {
        let change = TableChange { prior, observed: Some(live.clone()), ..change(None, &spec) };
        assert_eq!(sql(&plan(&change)), [""; 0]);
    }
    // After an import, what the configuration sets is compared with what is there.
    spec.comment = Some("theirs".to_owned());
    spec.columns[1] = column("a", "text default 'theirs'::text -- theirs");
    let imported = TableChange { prior: None, observed: Some(live.clone()), ..change(None, &spec) };
    assert_eq!(sql(&plan(&imported)), [""; 0]);
    // A column that was added by somebody else and is declared now is compared like any other.
    spec.columns.push(column("extra", "int"));
    let declared = TableChange { prior: None, observed: Some(live), ..change(None, &spec) };
    assert_eq!(
        sql(&plan(&declared)),
        [LOCK, "alter table public.t alter column extra type integer using extra::integer"]
    );
}

#[test]
fn the_comment_of_the_table() {
    let with = |comment: Option<&str>| TableSpec { comment: comment.map(str::to_owned), ..table(&[]) };
    for (prior, desired, steps) in [
        (None, Some("x"), vec!["comment on table public.t is 'x'"]),
        (Some("x"), Some("y"), vec!["comment on table public.t is 'y'"]),
        (Some("x"), None, vec!["comment on table public.t is null"]),
        (Some("x"), Some("x"), vec![]),
        (None, Some(""), vec![]),
        (None, None, vec![]),
    ] {
        assert_eq!(sql(&plan(&change(Some(&with(prior)), &with(desired)))), steps, "{prior:?} to {desired:?}");
    }
}

#[test]
fn drift_is_put_right() {
    let spec = table(&[("a", "text not null default 'x' -- c"), ("b", "int")]);
    let cases: [(Drift, &[&str]); 7] = [
        (
            |t| t.columns[1].type_name = "integer".to_owned(),
            &[
                "alter table public.t alter column a drop default",
                "alter table public.t alter column a type text using a::text",
                "alter table public.t alter column a set default 'x'",
            ],
        ),
        (|t| drop(t.columns.remove(2)), &["alter table public.t add column b integer"]),
        (|t| t.columns[2].nullable = false, &["alter table public.t alter column b drop not null"]),
        (|t| t.columns[1].comment = None, &["comment on column public.t.a is 'c'"]),
        (|t| t.columns[1].comment = Some("other".to_owned()), &["comment on column public.t.a is 'c'"]),
        (|t| t.columns.reverse(), &[]),
        (|t| t.columns[2].default = Some("5".to_owned()), &[]),
    ];
    for (drift, steps) in cases {
        let mut live = observed(&spec);
        drift(&mut live);
        let change = TableChange { observed: Some(live), ..change(Some(&spec), &spec) };
        assert_eq!(sql(&plan(&change)), steps);
    }
    // A drifted default is said by the prior declaration, as a refresh leaves it.
    let mut refreshed = spec.clone();
    refreshed.columns[1].default = Some("'drifted'::text".to_owned());
    let change = TableChange { prior: Some(refreshed), ..change(Some(&spec), &spec) };
    assert_eq!(sql(&plan(&change)), ["alter table public.t alter column a set default 'x'"]);
}

#[test]
fn hazards_and_locks_are_said() {
    use Hazard::{BlocksWrites, DestroysData, RewritesTable, ScansTable};
    for (prior, desired, expected) in [
        (&[("a", "int")][..], &[("a", "bigint")][..], vec![(Lock::AccessExclusive, vec![RewritesTable])]),
        (&[("a", "varchar(3)")], &[("a", "varchar(5)")], vec![(Lock::AccessExclusive, vec![])]),
        (&[("a", "varchar(3)")], &[("a", "text")], vec![(Lock::AccessExclusive, vec![])]),
        (&[("a", "numeric(5,2)")], &[("a", "numeric(7,2)")], vec![(Lock::AccessExclusive, vec![])]),
        (
            &[("a", "timestamptz")],
            &[("a", "date")],
            vec![(Lock::AccessExclusive, vec![ScansTable]), (Lock::AccessExclusive, vec![RewritesTable, DestroysData])],
        ),
        (
            &[("a", "text")],
            &[],
            vec![(Lock::AccessExclusive, vec![ScansTable]), (Lock::AccessExclusive, vec![DestroysData])],
        ),
        (&[], &[("a", "uuid default gen_random_uuid()")], vec![(Lock::AccessExclusive, vec![RewritesTable])]),
        (&[], &[("a", "timestamptz default now()")], vec![(Lock::AccessExclusive, vec![])]),
        (&[("a", "text")], &[("a", "text -- c")], vec![(Lock::ShareUpdateExclusive, vec![])]),
        (
            &[("a", "text")],
            &[("a", "text not null")],
            vec![
                (Lock::AccessExclusive, vec![]),
                (Lock::ShareUpdateExclusive, vec![ScansTable]),
                (Lock::AccessExclusive, vec![]),
                (Lock::AccessExclusive, vec![]),
            ],
        ),
        (
            &[],
            &[("a", "text not null")],
            vec![(Lock::AccessExclusive, vec![]), (Lock::AccessExclusive, vec![ScansTable])],
        ),
    ] {
        let decided = between(prior, desired);
        let steps: Vec<_> = decided.steps.into_iter().map(|step| (step.lock, step.hazards)).collect();
        assert_eq!(steps, expected, "{prior:?} to {desired:?}");
    }
    let index = super::render::create_index("create index");
    assert_eq!((index.lock, index.hazards), (Lock::Share, vec![ScansTable, BlocksWrites]));
}

#[test]
fn types_without_a_cast_are_refused_or_made_anew() {
    for (from, to) in [("bigint", "uuid"), ("vector(3)", "vector(4)"), ("boolean not null", "date not null")] {
        let (prior, desired) = (table(&[("a", from)]), table(&[("a", to)]));
        let refused = plan(&change(Some(&prior), &desired));
        assert_eq!(refused.steps, []);
        assert_eq!(refused.refusals.len(), 1);
        assert_eq!(refused.refusals[0].blamed(), Some(&Blame::Column("a".to_owned(), Some("type"))));
        assert!(refused.refusals[0].advised().unwrap().contains("force_destroy"));
    }
    let (prior, desired) = (table(&[("a", "bigint -- c")]), table(&[("a", "uuid not null -- c")]));
    let forced = TableChange { force_destroy: true, ..change(Some(&prior), &desired) };
    assert_eq!(
        sql(&plan(&forced)),
        [
            "alter table public.t drop column a",
            "alter table public.t add column a uuid",
            "comment on column public.t.a is 'c'",
            "alter table public.t alter column a set not null",
        ]
    );
}

#[test]
fn a_changed_key_is_a_new_table() {
    let prior = table(&[("a", "text not null")]);
    let mut names = prior.clone();
    names.primary_key = vec!["a".to_owned()];
    let mut order = table(&[("a", "text not null")]);
    order.primary_key = vec!["id".to_owned(), "a".to_owned()];
    let mut reordered = order.clone();
    reordered.primary_key.reverse();
    let mut retyped = prior.clone();
    retyped.columns[0].type_name = "uuid".to_owned();
    for (from, to, replace) in [
        (&prior, &names, "primary_key"),
        (&prior, &order, "primary_key"),
        (&order, &reordered, "primary_key"),
        (&prior, &retyped, "columns"),
    ] {
        let decided = plan(&change(Some(from), to));
        assert_eq!(decided.replace, [replace]);
        assert!(decided.refusals.is_empty());
        assert_eq!(decided.steps, plan(&change(None, to)).steps);
    }
    let mut recreated = retyped.clone();
    recreated.columns[1] = column("a", "vector(3)");
    let prior_vector = table(&[("a", "vector(4)")]);
    let decided = plan(&change(Some(&prior_vector), &recreated));
    assert!(decided.refusals.is_empty(), "what cannot be changed in place is made anew with the table: {decided:?}");
    assert_eq!(decided.replace, ["columns"]);
    let mut alias = prior.clone();
    alias.columns[0].type_name = "int8".to_owned();
    assert_eq!(plan(&change(Some(&prior), &alias)).replace, [""; 0]);
}

#[test]
fn tables_of_others_are_only_filled() {
    let user = |columns: &[(&str, &str)]| TableSpec { managed_by: ManagedBy::User, ..table(columns) };
    let system = table(&[("a", "text")]);
    // They fit, or not.
    assert_eq!(sql(&plan(&change(Some(&user(&[("a", "text")])), &user(&[("a", "text")])))), [""; 0]);
    let mismatches: [(Columns<'_>, Blame, &str); 3] = [
        (&[("a", "int")], Blame::Column("a".to_owned(), Some("type")), "column a is text and declared as int"),
        (&[("a", "text not null")], Blame::Column("a".to_owned(), Some("nullable")), "column a is nullable"),
        (&[("a", "text"), ("b", "text")], Blame::Column("b".to_owned(), None), "the table has no column b"),
    ];
    for (desired, blame, message) in mismatches {
        for prior in [user(&[("a", "text")]), system.clone()] {
            let refused = plan(&change(Some(&prior), &user(desired)));
            assert_eq!(refused.refusals.len(), 1);
            assert_eq!(refused.refusals[0].blamed(), Some(&blame));
            assert!(refused.refusals[0].message().contains(message), "{}", refused.refusals[0].message());
        }
        let adopting = TableSpec { managed_by: ManagedBy::System, ..user(desired) };
        assert_eq!(plan(&change(Some(&user(&[("a", "text")])), &adopting)).refusals.len(), 1, "taken over as it is");
    }
    let mut keyed = user(&[("a", "text not null")]);
    keyed.primary_key.push("a".to_owned());
    let refused = plan(&change(Some(&user(&[("a", "text not null")])), &keyed));
    assert_eq!(refused.refusals[0].blamed(), Some(&Blame::Attribute("primary_key")));
    // Handed over, either way, without a statement.
    assert_eq!(sql(&plan(&change(Some(&system), &user(&[("a", "text")])))), [""; 0]);
    let adopted = plan(&change(Some(&user(&[("a", "text")])), &system));
    assert_eq!(sql(&adopted), [""; 0]);
    assert_eq!(adopted.warnings.len(), 1);
    // What somebody else managed is not dropped when it is no longer declared.
    assert_eq!(sql(&plan(&change(Some(&user(&[("a", "text"), ("b", "int")])), &system))), [""; 0]);
}

#[test]
fn other_relations_are_no_targets() {
    let spec = table(&[]);
    for (kind, word) in [(RelationKind::View, "a view"), (RelationKind::ForeignTable, "a foreign table")] {
        let live = ObservedTable { kind, ..observed(&spec) };
        let refused = plan(&TableChange { observed: Some(live), ..change(None, &spec) });
        assert!(refused.refusals[0].message().contains(word));
    }
}

#[test]
fn computed_columns_are_not_altered() {
    let spec = table(&[("a", "int not null")]);
    let mut live = observed(&spec);
    live.columns[1].generated = true;
    let with = |text: &str| TableChange { observed: Some(live.clone()), ..change(Some(&spec), &table(&[("a", text)])) };
    assert_eq!(sql(&plan(&with("int not null"))), [""; 0]);
    for (text, part) in [("bigint not null", "type"), ("int not null default 1", "default"), ("int", "nullable")] {
        let refused = plan(&with(text));
        assert_eq!(refused.refusals[0].blamed(), Some(&Blame::Column("a".to_owned(), Some(part))));
    }
}

#[test]
fn faults_of_the_declaration_are_refusals() {
    let mut spec = table(&[("a", "text; drop table x")]);
    spec.primary_key.clear();
    let refused = plan(&change(None, &spec));
    assert_eq!((refused.refusals.len(), refused.steps.len()), (2, 0));
}
