//! What our engine does about the same declarations, told from the statements that it plans.

use std::collections::{BTreeMap, BTreeSet};

use pg_connector::attachment::{self, Attachment};
use pg_connector::catalog::{DependentIndex, ObservedColumn, ObservedTable, RelationKind};
use pg_connector::pg_type::PgType;
use pg_connector::rows::{self, DeclaredRows};
use pg_connector::table::{self, TableChange, TableDrop, TablePlan};
use pg_connector::vector_index::{self, ColumnType, Key, ObservedIndex, Prior, Seen, VectorIndexSpec, VectorType};
use pg_connector::{Blame, quote_ident};
use serde_json::{Map, Value};

use crate::Fact;
use crate::case::{Case, Index, Table};

pub(crate) fn ours(case: &Case) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    // An apply that failed changed nothing.
    match (&case.previous, &case.next) {
        (Some(before), Some(after)) if before.place() == after.place() => change(before, after, &mut facts),
        (before, after) => {
            if let Some(before) = before {
                remove(before, &mut facts);
            }
            if let Some(after) = after {
                create(after, &mut facts);
            }
        }
    }
    facts
}

fn create(after: &Table, facts: &mut BTreeSet<Fact>) {
    let rows = declared(after, facts);
    let change = table_change(None, after, rows);
    let planned = table::plan(&change);
    if !planned.refusals.is_empty() {
        facts.insert(Fact::Refused);
        return;
    }
    statements(None, after, &planned, facts);
    new_children(None, after, facts);
}

fn remove(before: &Table, facts: &mut BTreeSet<Fact>) {
    remove_children(before, facts);
    let drop = TableDrop {
        declared: before.spec(),
        observed: Some(observed(before)),
        owned: owned(before),
        force_destroy: false,
    };
    for step in table::plan_drop(&drop) {
        match words(&step.sql)[..] {
            ["drop", "table", ..] => facts.insert(Fact::DropTable(before.place())),
            ["delete", "from", ..] => facts.insert(Fact::DeleteRows),
            ["lock", ..] => false,
            _ => panic!("{}", step.sql),
        };
    }
}

fn change(before: &Table, after: &Table, facts: &mut BTreeSet<Fact>) {
    let rows = declared(after, facts);
    let mut change = table_change(Some(before), after, rows);
    let mut planned = table::plan(&change);
    if !planned.refusals.is_empty() {
        // What only needs consent is planned with it.
        let columns: Vec<String> = planned.refusals.iter().filter_map(column_of).collect();
        change.force_destroy = true;
        planned = table::plan(&change);
        if !planned.refusals.is_empty() {
            facts.insert(Fact::Refused);
            return;
        }
        facts.extend(columns.into_iter().map(Fact::AskConsent));
    }
    statements(Some(before), after, &planned, facts);
    if !planned.replace.is_empty() {
        // Whatever belongs to the table goes and comes with it.
        facts.retain(|fact| *fact != Fact::CreateTable(after.place()));
        facts.insert(Fact::ReplaceTable(after.place()));
        remove_children(before, facts);
        new_children(None, after, facts);
        return;
    }
    let (old, new) = (before.attachments(), after.attachments());
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        texts(old.get(name), new.get(name), facts);
    }
    for index in before.indexes.iter().filter(|index| sound(before, index).is_some()) {
        match after.index(&index.name) {
            None => {
                // It goes first, so a change of its column finds none to build again.
                facts.remove(&Fact::BuildIndex(index.name.clone()));
                facts.insert(Fact::DropIndex(index.name.clone()));
            }
            Some(wanted) => facts.extend(index_change(before, after, (index, wanted), facts)),
        }
    }
    new_children(Some(before), after, facts);
}

fn column_of(error: &pg_connector::Error) -> Option<String> {
    match error.blamed() {
        Some(Blame::Column(column, Some("type"))) => Some(column.clone()),
        _ => None,
    }
}

/// What is done about an index that both declarations name.
fn index_change(
    before: &Table,
    after: &Table,
    (index, wanted): (&Index, &Index),
    facts: &BTreeSet<Fact>,
) -> Option<Fact> {
    let old = sound(before, index)?;
    let Some(new) = sound(after, wanted) else { return Some(Fact::RefusedIndex(wanted.name.clone())) };
    let rebuilt = facts.contains(&Fact::BuildIndex(index.name.clone()));
    let ty = vectors(if rebuilt { after } else { before })[&old.column].ty;
    let options: BTreeMap<String, String> = options(index).into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let seen = Seen {
        columns: vectors(after),
        types: BTreeMap::new(),
        partitioned: false,
        leftover: false,
        index: ObservedIndex {
            method: old.method,
            metric: old.metric,
            operator_class: vector_index::operator_class(ty, old.metric, old.method).unwrap().to_owned(),
            key: Ok(Key { column: old.column.clone(), quantize: None, subvector: None }),
            options: options.clone(),
            predicate: None,
            valid: true,
            file: 1,
        },
        built_with: options,
    };
    let prior = Prior { index_name: &old.index_name(), predicate: None, seen: &seen };
    let planned = vector_index::plan(&new, true, &prior).unwrap().unwrap();
    (!planned.steps.is_empty()).then(|| Fact::BuildIndex(wanted.name.clone()))
}

/// Attachments and indexes that were not there, or whose table was not.
fn new_children(before: Option<&Table>, after: &Table, facts: &mut BTreeSet<Fact>) {
    for index in &after.indexes {
        let known = before.and_then(|before| sound(before, before.index(&index.name)?)).is_some();
        match sound(after, index) {
            None => facts.insert(Fact::RefusedIndex(index.name.clone())),
            Some(_) => !known && facts.insert(Fact::BuildIndex(index.name.clone())),
        };
    }
    if before.is_none() {
        after.attachments().values().for_each(|new| texts(None, Some(new), facts));
    }
}

fn remove_children(before: &Table, facts: &mut BTreeSet<Fact>) {
    before.attachments().values().for_each(|old| texts(Some(old), None, facts));
    let sound = before.indexes.iter().filter(|index| sound(before, index).is_some());
    facts.extend(sound.map(|index| Fact::DropIndex(index.name.clone())));
}

fn texts(old: Option<&Attachment>, new: Option<&Attachment>, facts: &mut BTreeSet<Fact>) {
    let name = &old.or(new).unwrap().name;
    let runs = attachment::plan(old, new).into_iter();
    facts.extend(runs.map(|(text, sql)| Fact::Run(name.clone(), text.into(), sql.to_owned())));
}

fn table_change(before: Option<&Table>, after: &Table, rows: DeclaredRows) -> TableChange {
    TableChange {
        desired: after.spec(),
        prior: before.map(Table::spec),
        observed: before.map(observed),
        rows: (rows.count() > 0).then(|| rows.into()),
        owned: before.and_then(owned),
        server_digest: None,
        rows_drifted: false,
        force_destroy: false,
        create_vector_extension: true,
    }
}

fn declared(after: &Table, facts: &mut BTreeSet<Fact>) -> DeclaredRows {
    if !after.spec().faults().is_empty() {
        return DeclaredRows::default();
    }
    let rows = rows::declare(&after.spec(), &after.labelled_rows()).unwrap();
    if !rows.nul_stripped.is_empty() {
        facts.insert(Fact::WarnOfNul);
    }
    rows
}

fn owned(before: &Table) -> Option<rows::Owned> {
    let rows = rows::declare(&before.spec(), &before.labelled_rows()).unwrap();
    (rows.count() > 0).then(|| rows.into())
}

/// The statements of a table, as facts.
fn statements(before: Option<&Table>, after: &Table, planned: &TablePlan, facts: &mut BTreeSet<Fact>) {
    let mut dropped = BTreeSet::new();
    for step in &planned.steps {
        let sql = step.sql.as_str();
        let index = |name: &str| {
            let name = name.rsplit_once("__vector__").unwrap().1;
            name.trim_end_matches('"').to_owned()
        };
        match words(sql)[..] {
            ["create", "table", ..] => drop(facts.insert(Fact::CreateTable(after.place()))),
            ["create", "extension", ..] => drop(facts.insert(Fact::Extension)),
            ["alter", "table", _, "add", "column", name, ..] => drop(facts.insert(Fact::AddColumn(bare(name)))),
            ["alter", "table", _, "drop", "column", name] => drop(dropped.insert(bare(name))),
            ["alter", "table", _, "alter", ..] => {
                let altered = sql.split("alter column ").skip(1).map(|rest| bare(rest.split(' ').next().unwrap()));
                for column in altered {
                    let new = facts.contains(&Fact::AddColumn(column.clone()));
                    facts.insert(if new { Fact::FillThenForbidNull } else { Fact::AlterColumn }(column));
                }
            }
            ["drop", "index", name] => drop(facts.insert(Fact::DropIndex(index(name)))),
            ["create", "index", name, ..] => {
                facts.remove(&Fact::DropIndex(index(name)));
                facts.insert(Fact::BuildIndex(index(name)));
            }
            ["delete", "from", ..] => {
                // The statement is there whenever rows are looked at; it finds rows that are no longer declared.
                if before.is_some_and(|before| !before.keys().is_subset(&after.keys())) {
                    facts.insert(Fact::DeleteRows);
                }
            }
            ["insert" | "update", ..] => {
                // So is this one; it finds rows that are new or not as declared.
                let lost = |row: &Map<String, Value>| dropped.iter().any(|column| row.contains_key(column));
                let same = |row| before.is_some_and(|before| before.rows.contains(row)) && planned.replace.is_empty();
                if after.rows.iter().any(|row| !same(row) || lost(row)) {
                    facts.insert(Fact::WriteRows);
                }
            }
            ["create", "schema", ..]
            | ["lock", "table", ..]
            | ["set", "constraints", ..]
            // The way in which an online `set not null` gets there.
            | ["alter", "table", _, "add" | "validate" | "drop", "constraint", ..] => {}
            _ => panic!("a statement that nobody knows: {sql}"),
        }
    }
    for column in dropped {
        let again = facts.remove(&Fact::AddColumn(column.clone()));
        facts.insert(if again { Fact::RecreateColumn } else { Fact::DropColumn }(column));
    }
}

fn words(sql: &str) -> Vec<&str> {
    sql.split(' ').collect()
}

fn bare(name: &str) -> String {
    name.trim_matches('"').to_owned()
}

/// The table as a server would show it.
fn observed(table: &Table) -> ObservedTable {
    let column = |(name, type_name, nullable): &(String, String, bool)| ObservedColumn {
        name: name.clone(),
        type_name: PgType::parse(type_name).unwrap().to_string(),
        nullable: *nullable,
        default: None,
        generated: false,
        comment: None,
        spelled: None,
    };
    let sound = table.indexes.iter().filter_map(|index| Some((sound(table, index)?, index)));
    ObservedTable {
        oid: 1,
        kind: RelationKind::Table,
        columns: table.columns.iter().map(column).collect(),
        primary_key: table.primary_key.clone(),
        comment: None,
        vector_indexes: sound.map(|(spec, index)| dependent(table, &spec, index)).collect(),
        not_null_checks: Vec::new(),
    }
}

fn dependent(table: &Table, spec: &VectorIndexSpec, index: &Index) -> DependentIndex {
    let class = vector_index::operator_class(vectors(table)[&spec.column].ty, spec.metric, spec.method).unwrap();
    let options: Vec<String> = options(index).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let with = if options.is_empty() { String::new() } else { format!(" with ({})", options.join(", ")) };
    let definition = format!(
        "create index {} on {} using {} ({} {class}){with}",
        quote_ident(&spec.index_name()),
        spec.table,
        spec.method,
        quote_ident(&spec.column)
    );
    DependentIndex { name: spec.index_name(), columns: vec![spec.column.clone()], definition }
}

fn options(index: &Index) -> Vec<(&'static str, String)> {
    let all = [("lists", index.lists), ("m", index.m), ("ef_construction", index.ef_construction)];
    all.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))).collect()
}

/// The index, unless we refuse its declaration.
fn sound(table: &Table, index: &Index) -> Option<VectorIndexSpec> {
    let declaration = table.declaration(index);
    if declaration.faults().is_empty() { declaration.spec() } else { None }
}

fn vectors(table: &Table) -> BTreeMap<String, ColumnType> {
    let column = |(name, type_name, _): &(String, String, bool)| {
        let parsed = PgType::parse(type_name).unwrap();
        let ty = VectorType::ALL.iter().find(|ty| ty.to_string() == parsed.name())?;
        let dimensions = parsed.numbers().first().copied().flatten().and_then(|n| u32::try_from(n).ok());
        Some((name.clone(), ColumnType { ty: *ty, dimensions }))
    };
    table.columns.iter().filter_map(column).collect()
}
