//! Everything that a change takes, in order: what the plan shows and apply runs.
//!
//! **Invariant:** pure. Plan and apply both get their statements here, so they cannot differ.

use super::diff::{Diff, diff};
use super::kept::Unkept;
use super::render::{self, Origin};
use super::{TableChange, Warning};
use crate::catalog::{DependentIndex, NotNullCheck, ObservedTable};
use crate::error::Error;
use crate::pg_type::PgType;
use crate::rows::{self, Declared, Owned, RowChange, ledger};
use crate::spec::{ColumnSpec, ManagedBy};
use crate::step::{Hazard, Lock, Step};

/// For an index whose method does not know the column's new type.
pub(super) const METHOD_FIRST: &str = "Set method = \"hnsw\" on it in an apply of its own first. Or do both in one: set \
    `lifecycle { replace_triggered_by = [...] }` on the index and name this table's column in the list, so that it goes \
    before the column is changed and is built after it.";

/// Fewer rows are compared and written within a moment.
const MANY_ROWS: u64 = 10_000;

/// What a change takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Script<'a> {
    /// What is done, in order.
    pub(super) actions: Vec<Action>,
    /// The attributes whose change needs a new table.
    pub(super) replace: Vec<&'static str>,
    /// Why it cannot be done at all.
    pub(super) refusals: Vec<Error>,
    /// What the user should know, whatever is in the table.
    pub(super) warnings: Vec<Warning>,
    /// Whether it runs as several short transactions.
    pub(super) online: bool,
    /// The columns whose data is lost.
    pub(super) lost: Vec<&'a str>,
    /// Which values a change of type would not keep.
    pub(super) unkept: Vec<Unkept>,
    /// The columns that may no longer be null, and whether they are new.
    pub(super) not_null: Vec<(&'a str, bool)>,
}

/// A statement and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// The statement.
    pub(super) step: Step,
    /// What it is for.
    pub(super) kind: Kind,
    /// Which part of the declaration its parts came from.
    pub(super) origins: Vec<Origin>,
}

/// What a statement is for, as far as it matters to those who run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Makes an object that other tables use too.
    Shared(SharedObject),
    /// Makes the table.
    Create,
    /// Locks the table, before it is checked whether data is lost.
    Lock,
    /// Drops a column.
    DropColumn(String),
    /// Changes the types of columns: name, type that each value is cast to if any, new type.
    Retype(Vec<(String, Option<String>, String)>),
    /// Forbids null in columns.
    NotNull(Vec<String>),
    /// Makes the check that a column is not null.
    AddCheck(String),
    /// Validates it.
    ValidateCheck(String),
    /// Drops it.
    DropCheck(String),
    /// Drops a vector index that cannot follow.
    DropIndex(DependentIndex),
    /// Builds it again.
    CreateIndex(DependentIndex),
    /// Writes rows, together with its neighbours of the same kind.
    Rows,
    /// Anything else.
    Plain,
}

/// An object that other tables use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SharedObject {
    /// The table's schema.
    Schema,
    /// The extension `vector`.
    Extension,
    /// The schema of the ledgers of rows that come from files.
    LedgerSchema,
    /// The table in that schema that remembers targets.
    Tracking,
}

impl<'a> Script<'a> {
    /// Decides what the change takes.
    pub(super) fn of(change: &'a TableChange) -> Self {
        let faults = change.desired.faults();
        if !faults.is_empty() {
            return Self { refusals: faults, ..Self::default() };
        }
        match &change.observed {
            None => Self::create(change),
            Some(observed) => Self::alter(change, observed),
        }
    }

    fn create(change: &'a TableChange) -> Self {
        let table = &change.desired;
        let mut this = Self::default();
        if table.managed_by == ManagedBy::System {
            if table.name.schema != "public" {
                this.push(Kind::Shared(SharedObject::Schema), render::create_schema(&table.name));
            }
            this.extension(change, table.columns.iter());
            this.ledger_schema(change, None);
            let (step, origins) = render::create_table(table);
            this.actions.push(Action { step, kind: Kind::Create, origins });
            let own = table.comment.as_deref().map(|text| (None, text));
            let comments = table.columns.iter().filter_map(|c| Some((Some(c.name.as_str()), c.comment.as_deref()?)));
            for (column, text) in own.into_iter().chain(comments).filter(|(_, text)| !text.is_empty()) {
                this.push(Kind::Plain, render::comment(&table.name, column, Some(text)));
            }
        } else {
            this.ledger_schema(change, None);
        }
        this.rows(change, None);
        this
    }

    fn alter(change: &'a TableChange, observed: &'a ObservedTable) -> Self {
        let diff = diff(change, observed);
        if !diff.replace.is_empty() {
            // A new table has its columns from the start, so what could not be changed in the old one does not matter.
            let created = Self::create(change);
            return Self { replace: diff.replace, ..created };
        }
        if !diff.refusals.is_empty() {
            return Self { refusals: diff.refusals, ..Self::default() };
        }
        let mut this = Self::default();
        let prior = change.prior.as_ref();
        if change.desired.managed_by == ManagedBy::System && prior.is_some_and(|p| p.managed_by == ManagedBy::User) {
            this.warnings.push(Warning {
                summary: "The table is managed here from now on",
                detail: format!(
                    "{} was managed by somebody else. After this apply it is altered as it is declared here, and \
                     destroying the resource drops it.",
                    change.desired.name
                ),
            });
        }
        let writes_rows = writes_rows(change, &diff);
        if !writes_rows && !diff.not_null.is_empty() && diff.only_sets_not_null() {
            this.online(change, &diff);
        } else {
            this.edits(change, observed, &diff, writes_rows);
        }
        this
    }

    /// All edits in one transaction.
    fn edits(&mut self, change: &'a TableChange, observed: &'a ObservedTable, diff: &Diff<'a>, writes_rows: bool) {
        let table = &change.desired.name;
        let new: Vec<&'a ColumnSpec> = diff.recreated.iter().chain(&diff.added).copied().collect();
        let had_vectors = observed.columns.iter().any(|column| is_pgvector(&column.type_name));
        if !had_vectors {
            self.extension(change, new.iter().copied().chain(diff.retyped.iter().map(|r| r.column)));
        }
        if writes_rows {
            self.ledger_schema(change, change.owned.as_ref());
        }
        self.lost = diff.dropped.iter().map(|c| c.name.as_str()).collect();
        self.lost.extend(diff.recreated.iter().map(|c| c.name.as_str()));
        self.unkept = diff.retyped.iter().filter_map(|r| r.unkept.clone()).collect();
        if self.may_lose() && !change.force_destroy {
            // With consent it is only told what is lost, and nobody has to wait for that.
            self.push(Kind::Lock, render::lock_table(table).hazard(Hazard::ScansTable));
        }
        let (helpful, stray): (Vec<&NotNullCheck>, Vec<&NotNullCheck>) =
            diff.leftovers.iter().partition(|check| diff.not_null.contains(&check.column.as_str()));
        for check in stray {
            self.push(Kind::DropCheck(check.column.clone()), render::drop_check(table, &check.name));
        }
        let rebuilt = rebuilt_indexes(observed, diff);
        for index in lost_indexes(observed, diff).into_iter().chain(rebuilt.iter().map(|(index, _)| *index)) {
            self.push(Kind::DropIndex(index.clone()), render::drop_index(table, index));
        }
        self.warnings.extend(left_behind(observed, diff));
        for name in &self.lost.clone() {
            self.push(Kind::DropColumn((*name).to_owned()), render::drop_column(table, name));
        }
        for retyped in diff.retyped.iter().filter(|r| r.drops_default) {
            self.push(Kind::Plain, render::set_default(table, &retyped.column.name, None));
        }
        if !diff.retyped.is_empty() {
            let (step, origins) = render::retype(table, &diff.retyped);
            let columns = diff
                .retyped
                .iter()
                .map(|r| (r.column.name.clone(), r.using.clone(), render::type_text(&r.column.type_name)));
            self.actions.push(Action { step, kind: Kind::Retype(columns.collect()), origins });
        }
        for column in &new {
            let (step, origins) = render::add_column(table, column);
            self.actions.push(Action { step, kind: Kind::Plain, origins });
        }
        for name in &diff.nullable {
            self.push_for(name, Some("nullable"), render::drop_not_null(table, name));
        }
        for (name, default) in &diff.defaults {
            self.push_for(name, Some("default"), render::set_default(table, name, *default));
        }
        for (column, text) in &diff.comments {
            self.push(Kind::Plain, render::comment(table, *column, *text));
        }
        if writes_rows {
            self.rows(change, change.owned.as_ref());
        }
        let filled_later = new.iter().filter(|c| !c.nullable && !render::is_filled(c)).map(|c| (c.name.as_str(), true));
        self.not_null = diff.not_null.iter().map(|name| (*name, false)).chain(filled_later).collect();
        if !self.not_null.is_empty() {
            if self.actions.iter().any(|action| action.kind == Kind::Rows) {
                self.push(Kind::Plain, render::constraints_now());
            }
            let names: Vec<&str> = self.not_null.iter().map(|(name, _)| *name).collect();
            let step = render::set_not_null(table, &names).hazard(Hazard::ScansTable);
            self.push(Kind::NotNull(names.iter().map(|&name| name.to_owned()).collect()), step);
        }
        for check in helpful {
            self.push(Kind::DropCheck(check.column.clone()), render::drop_check(table, &check.name));
        }
        for (index, definition) in rebuilt {
            self.push(Kind::CreateIndex(index.clone()), render::create_index(&definition));
        }
    }

    /// Only null is forbidden: a check is made, validated beside the writers, and lets the rest be short.
    fn online(&mut self, change: &'a TableChange, diff: &Diff<'a>) {
        let table = &change.desired.name;
        self.online = true;
        self.not_null = diff.not_null.iter().map(|name| (*name, false)).collect();
        for name in &diff.not_null {
            let column = || (*name).to_owned();
            self.push(Kind::AddCheck(column()), render::add_check(table, name));
            self.push(Kind::ValidateCheck(column()), render::validate_check(table, name));
            self.push(Kind::NotNull(vec![column()]), render::set_not_null(table, &[name]));
            self.push(Kind::DropCheck(column()), render::drop_check(table, &render::check_name(name)));
        }
    }

    /// Whether it depends on what the table holds if something is lost.
    pub(super) fn may_lose(&self) -> bool {
        !self.lost.is_empty() || !self.unkept.is_empty()
    }

    fn extension<'c>(&mut self, change: &TableChange, mut columns: impl Iterator<Item = &'c ColumnSpec>) {
        if change.create_vector_extension && columns.any(|column| is_pgvector(&column.type_name)) {
            self.push(Kind::Shared(SharedObject::Extension), render::create_extension());
        }
    }

    /// Rows of a file need a ledger, and the first ledger a schema.
    fn ledger_schema(&mut self, change: &TableChange, owned: Option<&Owned>) {
        let from_file = matches!(&change.rows, Some(rows @ Declared::File(_)) if rows.count() > 0);
        if from_file && owned.and_then(Owned::ledger).is_none() {
            let step = Step::new(ledger::create_schema(), Lock::None).skippable();
            self.push(Kind::Shared(SharedObject::LedgerSchema), step);
        }
    }

    fn rows(&mut self, change: &TableChange, owned: Option<&Owned>) {
        let rows = RowChange {
            table: &change.desired,
            owned,
            declared: change.rows.as_ref(),
            force: change.force_destroy,
            server_digest: None,
        };
        let count = change.rows.as_ref().map_or(0, Declared::count).max(owned.map_or(0, Owned::count));
        for (at, step) in rows::steps(&rows).into_iter().enumerate() {
            // The first keeps writers out until the last is done.
            let long = at == 0 && count > MANY_ROWS && change.observed.is_some();
            self.push(Kind::Rows, if long { step.hazard(Hazard::BlocksWrites) } else { step });
        }
    }

    fn push(&mut self, kind: Kind, step: Step) {
        self.actions.push(Action { step, kind, origins: Vec::new() });
    }

    /// A statement that is about one attribute of one column.
    fn push_for(&mut self, column: &str, part: Option<&'static str>, step: Step) {
        let origin = Origin { at: 0..step.sql.chars().count(), column: column.to_owned(), part };
        self.actions.push(Action { step, kind: Kind::Plain, origins: vec![origin] });
    }
}

/// Whether rows have to be looked at.
fn writes_rows(change: &TableChange, diff: &Diff<'_>) -> bool {
    let declared = change.rows.as_ref().filter(|rows| rows.count() > 0).map(Declared::digest);
    // A ledger without rows is still one that has to go.
    let owned = change.owned.as_ref().filter(|o| o.count() > 0 || o.ledger().is_some()).map(Owned::digest);
    let named = |name: &str| change.rows.as_ref().is_some_and(|rows| rows.names(name));
    change.rows_drifted
        || declared != owned
        || diff.retyped.iter().any(|r| named(&r.column.name))
        || diff.recreated.iter().chain(&diff.added).any(|c| named(&c.name))
}

fn is_pgvector(spelling: &str) -> bool {
    PgType::parse(spelling).is_ok_and(|parsed| parsed.is_pgvector())
}

/// The type that a column of that name is given, unless it keeps its own.
fn new_type(diff: &Diff<'_>, column: &str) -> Option<PgType> {
    let given = diff.retyped.iter().map(|r| r.column).chain(diff.recreated.iter().copied());
    given.into_iter().find(|c| c.name == column).and_then(|c| PgType::parse(&c.type_name).ok())
}

/// The vector indexes that go with a column, which the plan shows although the server would drop them unasked.
fn lost_indexes<'a>(observed: &'a ObservedTable, diff: &Diff<'_>) -> Vec<&'a DependentIndex> {
    let goes = |column: &String| {
        diff.dropped.iter().any(|c| &c.name == column)
            || diff.recreated.iter().any(|c| &c.name == column && !is_pgvector(&c.type_name))
    };
    observed.vector_indexes.iter().filter(|index| index.columns.iter().any(goes)).collect()
}

/// The vector indexes that cannot stay, with the definition that they get: those on a column that goes and comes back,
/// and those whose operator class is not for the column's new type.
fn rebuilt_indexes<'a>(observed: &'a ObservedTable, diff: &Diff<'_>) -> Vec<(&'a DependentIndex, String)> {
    let lost = lost_indexes(observed, diff);
    let mut rebuilt = Vec::new();
    for index in observed.vector_indexes.iter().filter(|index| !lost.contains(index)) {
        // No vector any more: the server says that an index is in the way.
        let vectors = |column: &String| {
            let from = PgType::parse(&observed.column(column)?.type_name).ok()?;
            Some((from, new_type(diff, column).filter(PgType::is_pgvector)?))
        };
        let recreated = index.columns.iter().any(|column| diff.recreated.iter().any(|c| &c.name == column));
        let Some((from, to)) = index.columns.iter().find_map(vectors) else { continue };
        let follows = index.is_plain() || index.is_part_of(from.name());
        let misfit = follows && index.vector_types().iter().any(|name| *name != to.name());
        match (recreated || misfit, follows) {
            (true, true) => rebuilt.push((index, index.definition_for(to.name()))),
            (true, false) => rebuilt.push((index, index.definition.clone())),
            (false, _) => {}
        }
    }
    rebuilt
}

/// Warns of vector indexes that a change of type leaves without sense, or that cannot be built again.
fn left_behind(observed: &ObservedTable, diff: &Diff<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for index in &observed.vector_indexes {
        for column in &index.columns {
            let Some(to) = new_type(diff, column).filter(PgType::is_pgvector) else { continue };
            let (name, to) = (&index.name, to.name());
            if to == "halfvec" && !index.is_plain() && index.casts_to(to) {
                warnings.push(Warning {
                    summary: "A vector index no longer needs its quantize",
                    detail: format!(
                        "Index {name} is over column {column} cast to halfvec, which the column is from now on. In its \
                         pg_vector_index, remove quantize = \"half\": a column of halfvec refuses it."
                    ),
                });
            }
            if to == "sparsevec" && index.method() == Some("ivfflat") {
                warnings.push(Warning {
                    summary: "A vector index cannot follow its column",
                    detail: format!("Index {name} cannot be built again: ivfflat has no sparsevec. {METHOD_FIRST}"),
                });
            }
        }
    }
    warnings
}
