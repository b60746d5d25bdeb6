//! Declared rows: every cell checked, grouped by the columns they name, in the order of their keys.
//!
//! **Invariant:** either every row is sound, or every fault is reported with its row and column (up to a limit).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::key::{self, Key};
use super::kind::ColumnKind;
use super::value::{self, hex};
use super::{Cell, DeclaredRow, DeclaredRows, RowGroup};
use crate::error::{Blame, Error, RowLabel};
use crate::spec::TableSpec;

/// More faults than this are only counted.
const MOST_FAULTS: usize = 50;

/// A column as far as its cells are checked.
#[derive(Clone, Debug)]
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ColumnKind,
    pub(super) nullable: bool,
    /// Whether it is part of the primary key.
    pub(super) key: bool,
}

pub(super) fn declare(table: &TableSpec, rows: &[(RowLabel, Map<String, Value>)]) -> Result<DeclaredRows, Vec<Error>> {
    let columns = columns(table);
    let by_name: HashMap<&str, usize> = columns.iter().enumerate().map(|(i, c)| (c.name, i)).collect();
    let key_kinds: Vec<ColumnKind> = columns.iter().filter(|c| c.key).map(|c| c.kind.clone()).collect();
    let key_positions: Vec<usize> = (0..key_kinds.len()).collect();
    let mut faults = Faults { table, errors: Vec::new(), uncounted: 0 };
    let mut seen: HashMap<Key, &RowLabel> = HashMap::with_capacity(rows.len());
    let mut groups: BTreeMap<Vec<usize>, Vec<(Key, DeclaredRow)>> = BTreeMap::new();
    let mut nul_stripped = Vec::new();
    for (label, row) in rows {
        let before = faults.count();
        let key_columns = || columns.iter().take(key_kinds.len());
        let of_row = || named_with_key(label, key_columns().map(|c| (c.name, row.get(c.name).unwrap_or(&Value::Null))));
        let mut cells: Vec<(usize, Cell)> = Vec::with_capacity(row.len());
        let mut stripped = false;
        for (name, value) in row {
            let Some(&at) = by_name.get(name.as_str()) else {
                let message = format!("the table declares no column {name:?}");
                faults.push(label, &of_row(), name, message, Some("Declare the column, or take it out of the row."));
                continue;
            };
            let column = &columns[at];
            match value::cell(&column.kind, value) {
                Ok((Cell::Null, _)) if column.key => {
                    let message = format!("{name} is null, and a column of the primary key must have a value");
                    faults.push(label, &of_row(), name, message, None);
                }
                Ok((Cell::Null, _)) if !column.nullable => {
                    let message = format!("{name} is null, and the column is declared as not nullable");
                    let advice = "Give it a value, or leave it out of the row to get the column's default.";
                    faults.push(label, &of_row(), name, message, Some(advice));
                }
                Ok((cell, nul)) => {
                    stripped |= nul;
                    cells.push((at, cell));
                }
                Err(fault) => {
                    faults.push(label, &of_row(), name, format!("{name}: {}", fault.message), fault.advice);
                }
            }
        }
        for column in columns.iter().filter(|column| column.key && !row.contains_key(column.name)) {
            let message = format!("{} is missing, and a column of the primary key must have a value", column.name);
            faults.push(label, &of_row(), column.name, message, None);
        }
        if faults.count() > before {
            continue;
        }
        if stripped {
            nul_stripped.push(label.clone());
        }
        cells.sort_by_key(|(at, _)| *at);
        let (named, cells): (Vec<usize>, Vec<Cell>) = cells.into_iter().unzip();
        let row = DeclaredRow { label: label.clone(), cells };
        let key = key::of_row(&key_kinds, &key_positions, &row);
        if let Some(first) = seen.insert(key.clone(), label) {
            let shown = key::shown(&table.primary_key, row.cells.iter().map(text));
            let column = table.primary_key.first().map_or("", String::as_str);
            let (first, second) = (named_row(first), named_row(label));
            let message = format!("the key {shown} is declared twice: by {first} and by {second}");
            faults.push(label, "", column, message, None);
            continue;
        }
        groups.entry(named).or_default().push((key, row));
    }
    faults.finish()?;
    let groups: Vec<RowGroup> = groups
        .into_iter()
        .map(|(named, mut rows)| {
            rows.sort_by(|(a, _), (b, _)| a.cmp(b));
            RowGroup {
                columns: named.iter().map(|&at| columns[at].name.to_owned()).collect(),
                rows: rows.into_iter().map(|(_, row)| row).collect(),
            }
        })
        .collect();
    let digest = digest(&groups);
    Ok(DeclaredRows { groups, digest, nul_stripped })
}

/// The table's columns, the primary key's first.
pub(super) fn columns(table: &TableSpec) -> Vec<Column<'_>> {
    let keys: HashSet<&str> = table.primary_key.iter().map(String::as_str).collect();
    let key_columns = table.primary_key.iter().filter_map(|name| table.column(name));
    let others = table.columns.iter().filter(|column| !keys.contains(column.name.as_str()));
    key_columns
        .chain(others)
        .map(|column| Column {
            name: &column.name,
            kind: ColumnKind::of(&column.type_name),
            nullable: column.nullable,
            key: keys.contains(column.name.as_str()),
        })
        .collect()
}

struct Faults<'a> {
    table: &'a TableSpec,
    errors: Vec<Error>,
    uncounted: usize,
}

impl Faults<'_> {
    /// `row` is how a sentence names it, unless the message does.
    fn push(&mut self, label: &RowLabel, row: &str, column: &str, message: String, advice: Option<&str>) {
        if self.errors.len() == MOST_FAULTS {
            self.uncounted += 1;
            return;
        }
        let message = if row.is_empty() { message } else { format!("{row}: {message}") };
        let mut error = Error::new(format!("declare rows of {}", self.table.name), message)
            .blame(Blame::Row(label.clone(), Some(column.to_owned())));
        if let Some(advice) = advice {
            error = error.advice(advice);
        }
        self.errors.push(error);
    }

    fn count(&self) -> usize {
        self.errors.len() + self.uncounted
    }

    fn finish(mut self) -> Result<(), Vec<Error>> {
        if self.uncounted > 0 {
            let message = format!("there are {} more faults in the rows", self.uncounted);
            self.errors.push(Error::new(format!("declare rows of {}", self.table.name), message));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// The row as a sentence names it.
pub(super) fn named_row(label: &RowLabel) -> String {
    match label {
        RowLabel::Index(index) => format!("row {index}"),
        RowLabel::Key(key) => format!("row {key:?}"),
    }
}

/// The same with its key, as far as it has one.
fn named_with_key<'a>(label: &RowLabel, key: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let parts = key.filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name} = {}", value::shortened(&text))
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    if parts.is_empty() { named_row(label) } else { format!("{} ({parts})", named_row(label)) }
}

pub(super) fn text(cell: &Cell) -> &str {
    match cell {
        Cell::Null => "null",
        Cell::Text(text) => text,
    }
}

/// A digest of the rows, whatever their order and labels: each row is hashed with the names of its columns, and the
/// sorted hashes are hashed again.
fn digest(groups: &[RowGroup]) -> String {
    let mut hashes: Vec<[u8; 32]> = Vec::new();
    for group in groups {
        let mut order: Vec<usize> = (0..group.columns.len()).collect();
        order.sort_by_key(|&at| &group.columns[at]);
        for row in &group.rows {
            let mut hasher = Sha256::new();
            for &at in &order {
                add(&mut hasher, &group.columns[at]);
                match &row.cells[at] {
                    Cell::Null => hasher.update([0]),
                    Cell::Text(text) => {
                        hasher.update([1]);
                        add(&mut hasher, text);
                    }
                }
            }
            hashes.push(hasher.finalize().into());
        }
    }
    hashes.sort_unstable();
    let mut hasher = Sha256::new();
    for hash in &hashes {
        hasher.update(hash);
    }
    hex(&hasher.finalize())
}

fn add(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::name::TableName;
    use crate::spec::{ColumnSpec, ManagedBy};

    fn table(primary_key: &[&str]) -> TableSpec {
        let column = |name: &str, type_name: &str, nullable: bool| ColumnSpec {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable,
            default: None,
            comment: None,
        };
        TableSpec {
            name: TableName::new("public", "t"),
            managed_by: ManagedBy::System,
            comment: None,
            columns: vec![
                column("a", "text", true),
                column("id", "bigint", false),
                column("lang", "text", false),
                column("n", "numeric", false),
            ],
            primary_key: primary_key.iter().map(|&k| k.to_owned()).collect(),
        }
    }

    fn rows(values: &[Value]) -> Vec<(RowLabel, Map<String, Value>)> {
        let row = |(i, value): (usize, &Value)| (RowLabel::Index(i), value.as_object().unwrap().clone());
        values.iter().enumerate().map(row).collect()
    }

    fn faults(primary_key: &[&str], values: &[Value]) -> Vec<(String, Blame)> {
        let errors = declare(&table(primary_key), &rows(values)).unwrap_err();
        errors.iter().map(|e| (e.message().to_owned(), e.blamed().unwrap().clone())).collect()
    }

    #[test]
    fn rows_are_grouped_by_the_columns_they_name_and_ordered_by_key() {
        let declared = declare(
            &table(&["id"]),
            &rows(&[json!({"id": 10, "a": "x"}), json!({"a": null, "id": 9}), json!({"id": 1}), json!({"id": -1})]),
        )
        .unwrap();
        let shape: Vec<_> = declared
            .groups
            .iter()
            .map(|g| (g.columns.join(","), g.rows.iter().map(|r| text(&r.cells[0])).collect::<Vec<_>>()))
            .collect();
        assert_eq!(shape, [("id".to_owned(), vec!["-1", "1"]), ("id,a".to_owned(), vec!["9", "10"])]);
        assert_eq!(declared.count(), 4);
    }

    #[test]
    fn the_primary_key_comes_first_in_its_own_order() {
        let declared = declare(&table(&["lang", "id"]), &rows(&[json!({"a": "x", "id": 1, "lang": "de"})])).unwrap();
        assert_eq!(declared.groups[0].columns, ["lang", "id", "a"]);
    }

    #[test]
    fn all_faults_are_reported() {
        let blame = |i, column: &str| Blame::Row(RowLabel::Index(i), Some(column.to_owned()));
        let faults = faults(
            &["id", "lang"],
            &[
                json!({"id": null, "lang": "de"}),
                json!({"lang": "de", "nmae": 1}),
                json!({"id": 1, "lang": "de", "n": null, "a": 5}),
                json!({"id": 2, "lang": "de"}),
                json!({"id": "2", "lang": "de"}),
            ],
        );
        let expected = [
            ("row 0 (lang = de): id is null", blame(0, "id")),
            ("row 1 (lang = de): the table declares no column \"nmae\"", blame(1, "nmae")),
            ("row 1 (lang = de): id is missing", blame(1, "id")),
            ("not nullable", blame(2, "n")),
            ("row 2 (id = 1, lang = de): a: 5 is no text", blame(2, "a")),
            ("the key id = 2, lang = de is declared twice: by row 3 and by row 4", blame(4, "id")),
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (message, blamed) in expected {
            assert!(faults.iter().any(|(m, b)| m.contains(message) && *b == blamed), "{message}: {faults:?}");
        }
    }

    #[test]
    fn only_so_many_faults_are_spelled_out() {
        let many: Vec<Value> = (0..MOST_FAULTS + 7).map(|_| json!({"id": "x"})).collect();
        let errors = declare(&table(&["id"]), &rows(&many)).unwrap_err();
        assert_eq!(errors.len(), MOST_FAULTS + 1);
        assert!(errors[MOST_FAULTS].message().contains("7 more faults"));
    }

    #[test]
    fn the_digest_depends_on_the_rows_alone() {
        let digest = |values: &[Value]| declare(&table(&["id"]), &rows(values)).unwrap().digest;
        let one = digest(&[json!({"id": 1, "a": "x"}), json!({"id": 2})]);
        assert_eq!(one, digest(&[json!({"id": 2}), json!({"a": "x", "id": "1"})]));
        for other in [
            vec![json!({"id": 1, "a": "x"})],
            vec![json!({"id": 1, "a": "x"}), json!({"id": 2, "a": null})],
            vec![json!({"id": 1, "a": "y"}), json!({"id": 2})],
            vec![json!({"id": 1, "a": "x"}), json!({"id": 3})],
            vec![],
        ] {
            assert_ne!(one, digest(&other), "{other:?}");
        }
        let labelled = [(RowLabel::Key("k".to_owned()), json!({"id": 2}).as_object().unwrap().clone())];
        assert_eq!(declare(&table(&["id"]), &labelled).unwrap().digest, digest(&[json!({"id": 2})]));
    }

    #[test]
    fn stripped_rows_are_named() {
        let declared = declare(&table(&["id"]), &rows(&[json!({"id": 1}), json!({"id": 2, "a": "x\0"})])).unwrap();
        assert_eq!(declared.nul_stripped, [RowLabel::Index(1)]);
    }
}
