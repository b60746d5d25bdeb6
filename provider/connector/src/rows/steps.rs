//! The statements of a row change, as text.
//!
//! The declared rows and the keys of the rows that are ours are first copied into two temporary tables. That is no step:
//! nobody else sees those tables, they hold nothing that is not declared, and they are gone with the transaction. Every
//! statement that touches the user's table is a step, and is made here for the plan and for apply alike.
//!
//! The table is locked against writers before anything is compared: so nothing can come between the check that no row
//! of somebody else is overwritten and the writing, no row lock of ours can deadlock with theirs, and an insert cannot
//! meet a key that was just inserted. Readers are not blocked.
//!
//! **Invariant:** no statement holds a value; a row is written only when its stored form differs.

use std::collections::{BTreeSet, HashMap};

use super::key::{self, Key};
use super::kind::ColumnKind;
use super::{Declared, DeclaredRows, Owned, RowChange, RowGroup};
use crate::error::Error;
use crate::name::{TableName, quote_ident, quote_idents};
use crate::step::{Hazard, Lock, Step};

/// The temporary table of declared rows.
pub(super) const DECLARED: &str = "terraform_pg_declared";
/// The temporary table of the keys that are ours.
pub(super) const OWNED: &str = "terraform_pg_owned";

/// What a statement does to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Keeps writers out.
    Lock,
    /// Deletes rows that are ours and no longer declared.
    Delete,
    /// Updates rows whose stored form differs.
    Update,
    /// Inserts rows that are missing.
    Insert,
}

/// One statement of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// What it does.
    pub(super) action: Action,
    /// Its text.
    pub(super) sql: String,
}

/// What of a change decides the text of its statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) table: TableName,
    /// The columns of the primary key.
    pub(super) keys: Vec<String>,
    /// The groups of declared rows.
    pub(super) groups: Vec<Group>,
    /// The number of groups of rows that are ours; zero means that none is.
    pub(super) owned_groups: usize,
    /// Whether rows that are ours are no longer declared.
    pub(super) removes: bool,
    /// The column that tells the group of a staged row, a name that no staged column has.
    pub(super) group_column: String,
    /// The column of a staged row's hash, likewise.
    pub(super) staged_hash: String,
}

/// Declared rows that name the same columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The columns that are not in the primary key.
    pub(super) columns: Vec<String>,
    /// Whether rows of it may be there already and differ.
    pub(super) updates: bool,
    /// For groups of owned rows (from 1): the columns that those named and these rows no longer name.
    pub(super) resets: Vec<(usize, Vec<String>)>,
}

impl Shape {
    pub(super) fn of(change: &RowChange<'_>) -> Result<Self, Error> {
        let keys = &change.table.primary_key;
        let owned = change.owned.map(Owned::columns).unwrap_or_default();
        let declared = change.declared.map(Declared::columns).unwrap_or_default();
        let overlap = Overlap::of(change)?;
        let groups = declared.iter().zip(overlap.former).map(|(columns, former)| {
            let resets = former.iter().filter_map(|&at| {
                let gone = |name: &&String| {
                    !columns.contains(name) && !keys.contains(name) && change.table.column(name).is_some()
                };
                let columns: Vec<String> = owned[at].iter().filter(gone).cloned().collect();
                (!columns.is_empty()).then_some((at + 1, columns))
            });
            Group {
                columns: columns.iter().filter(|name| !keys.contains(name)).cloned().collect(),
                updates: change.force || !former.is_empty(),
                resets: resets.collect(),
            }
        });
        let free = |name: &str| {
            let mut name = name.to_owned();
            while declared.iter().chain(&owned).any(|columns| columns.contains(&name)) {
                name.push('_');
            }
            name
        };
        Ok(Self {
            table: change.table.name.clone(),
            keys: keys.clone(),
            groups: groups.collect(),
            owned_groups: owned.len(),
            removes: overlap.removes,
            group_column: free("row_group"),
            staged_hash: free("row_hash"),
        })
    }

    /// Every statement, in the order in which they run.
    pub(super) fn statements(&self) -> Vec<Statement> {
        let table = &self.table;
        let mut statements = Vec::new();
        if self.removes || !self.groups.is_empty() {
            let sql = format!("lock table {table} in share row exclusive mode");
            statements.push(Statement { action: Action::Lock, sql });
        }
        if self.removes {
            let kept = match self.groups.len() {
                0 => String::new(),
                _ => format!(" and not exists (select from pg_temp.{DECLARED} as n where {})", self.same_key("n", "o")),
            };
            let key = self.same_key("t", "o");
            let sql = format!("delete from {table} as t using pg_temp.{OWNED} as o where {key}{kept}");
            statements.push(Statement { action: Action::Delete, sql });
        }
        for (at, group) in self.groups.iter().enumerate() {
            let of_group = self.of_group("n", self.groups.len(), at);
            for (former, columns) in &group.resets {
                let defaults = columns.iter().map(|name| format!("{} = default", quote_ident(name)));
                let sql = format!(
                    "update {table} as t set {} from pg_temp.{DECLARED} as n, pg_temp.{OWNED} as o where {} and {}{of_group}{}",
                    assignments(&group.columns).chain(defaults).collect::<Vec<_>>().join(", "),
                    self.same_key("t", "n"),
                    self.same_key("o", "n"),
                    self.of_group("o", self.owned_groups, former - 1),
                );
                statements.push(Statement { action: Action::Update, sql });
            }
            if group.updates && !group.columns.is_empty() {
                let sql = format!(
                    "update {table} as t set {} from pg_temp.{DECLARED} as n where {}{of_group} and {} *<> {}",
                    assignments(&group.columns).collect::<Vec<_>>().join(", "),
                    self.same_key("t", "n"),
                    record("t", &group.columns),
                    record("n", &group.columns),
                );
                statements.push(Statement { action: Action::Update, sql });
            }
        }
        for (at, group) in self.groups.iter().enumerate() {
            let columns = || self.keys.iter().chain(&group.columns);
            let sql = format!(
                "insert into {table} ({}) select {} from pg_temp.{DECLARED} as n \
                 where not exists (select from {table} as t where {}){} order by {}",
                quote_idents(columns()),
                qualified("n", columns()),
                self.same_key("t", "n"),
                self.of_group("n", self.groups.len(), at),
                qualified("n", &self.keys),
            );
            statements.push(Statement { action: Action::Insert, sql });
        }
        statements
    }

    /// Of the rows of a group that are there and not ours: how many there are, and how many of them differ.
    pub(super) fn count_takeovers(&self, at: usize) -> String {
        let counts = format!("count(*), count(*) filter (where {})", self.differs(at));
        if self.owned_groups == 0 {
            return format!("select {counts} {}", self.takeovers(at));
        }
        // Mostly all are ours. The keys alone are looked at first: whole rows would not fit in the server's memory.
        format!(
            "with k as materialized (select {} from pg_temp.{DECLARED} as n where true{}{}) \
             select {counts} from k, pg_temp.{DECLARED} as n, {} as t where {} and {}",
            qualified("n", &self.keys),
            self.of_group("n", self.groups.len(), at),
            self.not_owned(),
            self.table,
            self.same_key("n", "k"),
            self.same_key("t", "n"),
        )
    }

    /// The first of those rows that differ, or that do not: their keys as text, and of each column whether it differs.
    pub(super) fn first_takeovers(&self, at: usize, different: bool, limit: usize) -> String {
        let differs = |name: &String| {
            let one = std::slice::from_ref(name);
            format!("{} *<> {}", record("t", one), record("n", one))
        };
        format!(
            "select {}, array[{}]::bool[] {} and {}{} order by {} limit {limit}",
            self.key_texts("n"),
            self.groups[at].columns.iter().map(differs).collect::<Vec<_>>().join(", "),
            self.takeovers(at),
            if different { "" } else { "not " },
            self.differs(at),
            qualified("n", &self.keys),
        )
    }

    fn differs(&self, at: usize) -> String {
        match self.groups[at].columns.as_slice() {
            [] => "false".to_owned(),
            columns => format!("({} *<> {})", record("t", columns), record("n", columns)),
        }
    }

    fn takeovers(&self, at: usize) -> String {
        format!(
            "from pg_temp.{DECLARED} as n, {} as t where {}{}{}",
            self.table,
            self.same_key("t", "n"),
            self.of_group("n", self.groups.len(), at),
            self.not_owned(),
        )
    }

    /// The condition that a staged row's key is not ours.
    fn not_owned(&self) -> String {
        match self.owned_groups {
            0 => String::new(),
            _ => format!(" and not exists (select from pg_temp.{OWNED} as o where {})", self.same_key("o", "n")),
        }
    }

    /// Of a group of declared rows that were written: how many are not there, and how many differ.
    pub(super) fn count_unwritten(&self, at: usize) -> String {
        format!(
            "select count(*) filter (where {}), count(*) filter (where {}) {}",
            self.is_missing(),
            self.is_altered(at),
            self.written(at)
        )
    }

    /// The keys of the first of those, as text.
    pub(super) fn first_unwritten(&self, at: usize, missing: bool, limit: usize) -> String {
        format!(
            "select {} {} and {} order by {} limit {limit}",
            self.key_texts("n"),
            self.written(at),
            if missing { self.is_missing() } else { self.is_altered(at) },
            qualified("n", &self.keys),
        )
    }

    fn is_missing(&self) -> String {
        self.keys.first().map_or_else(|| "false".to_owned(), |key| format!("t.{} is null", quote_ident(key)))
    }

    fn is_altered(&self, at: usize) -> String {
        format!("not ({}) and {}", self.is_missing(), self.differs(at))
    }

    fn written(&self, at: usize) -> String {
        format!(
            "from pg_temp.{DECLARED} as n left join {} as t on {} where true{}",
            self.table,
            self.same_key("t", "n"),
            self.of_group("n", self.groups.len(), at),
        )
    }

    /// The rows that were deleted and are still there: their keys as text, and on each row how many there are.
    pub(super) fn kept(&self, limit: usize) -> String {
        let kept = match self.groups.len() {
            0 => String::new(),
            _ => format!(" and not exists (select from pg_temp.{DECLARED} as n where {})", self.same_key("n", "o")),
        };
        format!(
            "select {}, count(*) over () from pg_temp.{OWNED} as o where exists (select from {} as t where {}){kept} \
             order by {} limit {limit}",
            self.key_texts("o"),
            self.table,
            self.same_key("t", "o"),
            qualified("o", &self.keys),
        )
    }

    /// The keys that are declared more than once, as text.
    pub(super) fn duplicates(&self) -> String {
        format!(
            "select {} from pg_temp.{DECLARED} as n group by {} having count(*) > 1 limit 1",
            self.key_texts("n"),
            qualified("n", &self.keys)
        )
    }

    /// The key's columns as an array of text.
    fn key_texts(&self, alias: &str) -> String {
        let text = |name: &String| format!("{alias}.{}::text", quote_ident(name));
        format!("array[{}]", self.keys.iter().map(text).collect::<Vec<_>>().join(", "))
    }

    fn same_key(&self, a: &str, b: &str) -> String {
        same_columns(a, b, &self.keys)
    }

    /// The condition that a staged row is of that group; nothing when there is only one.
    fn of_group(&self, alias: &str, groups: usize, at: usize) -> String {
        match groups {
            0 | 1 => String::new(),
            _ => format!(" and {alias}.{} = {}", quote_ident(&self.group_column), at + 1),
        }
    }
}

/// Which rows that are ours are declared again.
struct Overlap {
    /// Whether some are not.
    removes: bool,
    /// For each group of declared rows, the groups in which they may be ours.
    former: Vec<BTreeSet<usize>>,
}

impl Overlap {
    /// Inline rows are compared key by key; of a file's it is only known that it can be any.
    fn of(change: &RowChange<'_>) -> Result<Self, Error> {
        let owned_groups = change.owned.map_or(0, |owned| owned.columns().len());
        let all = || (0..owned_groups).collect::<BTreeSet<usize>>();
        let (Some(owned), Some(declared)) = (
            change.owned.map_or(Some(Vec::new()), |owned| Some(nonempty(Some(owned.inline()?)))),
            change.declared.map_or(Some(Vec::new()), |declared| Some(nonempty(Some(declared.inline()?)))),
        ) else {
            let groups = change.declared.map_or(0, |declared| declared.columns().len());
            return Ok(Self { removes: owned_groups > 0, former: vec![all(); groups] });
        };
        let kinds = key::kinds(change.table);
        let exact = kinds.iter().all(key::is_exact);
        let mut owner: HashMap<Key, usize> = HashMap::new();
        for (at, group) in owned.iter().enumerate() {
            owner.extend(keys_of(change, &kinds, group)?.into_iter().map(|key| (key, at)));
        }
        let mut kept: usize = 0;
        let mut former = Vec::with_capacity(declared.len());
        for group in &declared {
            let found: Vec<usize> =
                keys_of(change, &kinds, group)?.iter().filter_map(|key| owner.get(key).copied()).collect();
            kept += found.len();
            // The server may see that keys are the same where this comparison does not.
            former.push(if exact { found.into_iter().collect() } else { all() });
        }
        Ok(Self { removes: kept < owner.len(), former })
    }
}

/// The groups that have rows.
pub(super) fn nonempty(rows: Option<&DeclaredRows>) -> Vec<&RowGroup> {
    rows.into_iter().flat_map(|rows| &rows.groups).filter(|group| !group.rows.is_empty()).collect()
}

pub(super) fn steps(change: &RowChange<'_>) -> Vec<Step> {
    let Ok(shape) = Shape::of(change) else {
        return Vec::new();
    };
    let step = |statement: Statement| match statement.action {
        Action::Lock => Step::new(statement.sql, Lock::ShareRowExclusive),
        Action::Delete => Step::new(statement.sql, Lock::RowExclusive).hazard(Hazard::DestroysData),
        Action::Update | Action::Insert => Step::new(statement.sql, Lock::RowExclusive),
    };
    shape.statements().into_iter().map(step).collect()
}

fn keys_of(change: &RowChange<'_>, kinds: &[ColumnKind], group: &RowGroup) -> Result<Vec<Key>, Error> {
    let positions = key_positions(change, group)?;
    Ok(group.rows.iter().map(|row| key::of_row(kinds, &positions, row)).collect())
}

/// Where the primary key's columns stand in a group.
pub(super) fn key_positions(change: &RowChange<'_>, group: &RowGroup) -> Result<Vec<usize>, Error> {
    key::positions(group, &change.table.primary_key).ok_or_else(|| {
        let key = change.table.primary_key.join(", ");
        let message = format!("the rows were declared under another primary key than ({key})");
        Error::new(format!("write rows of {}", change.table.name), message)
    })
}

/// `a.x = b.x and a.y = b.y`.
pub(super) fn same_columns(a: &str, b: &str, columns: &[String]) -> String {
    let same = |name: &String| format!("{a}.{0} = {b}.{0}", quote_ident(name));
    columns.iter().map(same).collect::<Vec<_>>().join(" and ")
}

/// `a.x, a.y`.
pub(super) fn qualified<'a>(alias: &str, columns: impl IntoIterator<Item = &'a String>) -> String {
    columns.into_iter().map(|name| format!("{alias}.{}", quote_ident(name))).collect::<Vec<_>>().join(", ")
}

fn assignments(columns: &[String]) -> impl Iterator<Item = String> {
    columns.iter().map(|name| format!("{0} = n.{0}", quote_ident(name)))
}

/// The columns as one record, whose stored form `*<>` compares byte by byte: `json` and `point` have no `=`, and to it
/// 1.0 and 1.00 are the same.
fn record(alias: &str, columns: &[String]) -> String {
    format!("row({})::record", qualified(alias, columns))
}
