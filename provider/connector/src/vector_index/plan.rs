//! What it takes to make the index that was seen into the one that is declared.
//!
//! A changed index is built beside the old one under a reserved name and takes its place in one short transaction, so
//! that queries are never without an index.
//!
//! **Invariant:** pure: the same declaration and the same sight always give the same steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::{ColumnType, Key, Resolved, resolve};
use super::operator_class::{Method, Metric};
use super::spec::{DEFAULT_EF_CONSTRUCTION, DEFAULT_LISTS, DEFAULT_M, VectorIndexSpec};
use crate::error::{Blame, Error};
use crate::name::{TableName, quote_ident, short_hash};
use crate::sql_text::{Kind, lex};
use crate::step::{Hazard, Lock, Step};

/// The index and the columns around it as they were last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The table's columns that pgvector can index.
    pub columns: BTreeMap<String, ColumnType>,
    /// The types of all its columns, as the server spells them.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Whether the table is the parent of partitions.
    pub partitioned: bool,
    /// Whether an interrupted build left something behind.
    #[serde(default)]
    pub leftover: bool,
    /// The index.
    pub index: ObservedIndex,
    /// The options that were in force when the file of the index was written.
    pub built_with: BTreeMap<String, String>,
}

/// A pgvector index as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedIndex {
    /// How it is organised.
    pub method: Method,
    /// Its metric.
    pub metric: Metric,
    /// Its operator class.
    pub operator_class: String,
    /// What it is over; where that is none of our forms, the expression in the server's spelling.
    pub key: Result<Key, String>,
    /// Its options, as they were given.
    pub options: BTreeMap<String, String>,
    /// Its condition in the server's spelling, read with `search_path = pg_catalog`.
    pub predicate: Option<String>,
    /// Whether the server uses and maintains it.
    pub valid: bool,
    /// The number of its file; it changes when the index is built again.
    pub file: u32,
}

/// The index that is ours already.
#[derive(Clone, Copy, Debug)]
pub struct Prior<'a> {
    /// Its name in the database.
    pub index_name: &'a str,
    /// Its condition as it was last declared, or in the server's spelling.
    pub predicate: Option<&'a str>,
    /// It, as it was last seen.
    pub seen: &'a Seen,
}

/// What a change takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexPlan {
    /// The operator class that the index will have.
    pub operator_class: String,
    /// What is done.
    pub action: Action,
    /// The statements, in order.
    pub steps: Vec<Step>,
}

/// What is done about an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// It gets another name.
    Rename,
    /// It is built, or built again.
    Rebuild,
    /// It is built again if the server finds that the condition means something else, and not only reads otherwise.
    RebuildIfNeeded,
}

/// The statements that build one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    pub operator_class: &'static str,
    key: String,
}

impl Seen {
    /// Whether the server may only spell the condition otherwise, since a column that it names has another type.
    pub fn may_be_respelled(&self, before: &Self) -> bool {
        self.types != before.types && self.index.predicate != before.index.predicate
    }

    /// Whether the index does what its description says. `alter index … set (m = …)` changes only the description.
    pub fn usable(&self) -> bool {
        self.index.valid && self.index.options == self.built_with
    }
}

impl ObservedIndex {
    /// An option's value, when it was given.
    pub fn option(&self, name: &str) -> Option<u32> {
        self.options.get(name).and_then(|value| value.parse().ok())
    }

    /// Whether the index is what the declaration says, its condition aside.
    pub(super) fn fits(&self, spec: &VectorIndexSpec, operator_class: &str) -> bool {
        let same =
            |name, wanted: Option<u32>, default| self.option(name).unwrap_or(default) == wanted.unwrap_or(default);
        self.method == spec.method
            && self.operator_class == operator_class
            && self.key.as_ref() == Ok(&Key::wanted(spec))
            && match spec.method {
                Method::Ivfflat => same("lists", spec.lists, DEFAULT_LISTS),
                Method::Hnsw => {
                    same("m", spec.m, DEFAULT_M)
                        && same("ef_construction", spec.ef_construction, DEFAULT_EF_CONSTRUCTION)
                }
            }
    }
}

/// The name under which an index is built before it takes its own. Nobody else uses names that begin so.
pub fn reserved_name(index: &TableName) -> String {
    // No name holds a NUL, so the parts cannot run into each other.
    format!("terraform_pg_build_{:016x}", short_hash(&format!("{}\0{}", index.schema, index.name)))
}

/// The index under that name.
pub(super) fn reserved(index: &TableName) -> TableName {
    TableName::new(&index.schema, reserved_name(index))
}

/// Decides what a change takes; `None` while the type of the column is not known.
pub fn plan(spec: &VectorIndexSpec, concurrently: bool, prior: &Prior<'_>) -> Result<Option<IndexPlan>, Vec<Error>> {
    let Some(column) = prior.seen.columns.get(&spec.column) else { return Ok(None) };
    let recipe = recipe(spec, *column)?;
    let renamed = prior.index_name != spec.index_name();
    let fits = prior.seen.usable() && prior.seen.index.fits(spec, recipe.operator_class);
    let wanted = spec.predicate.as_deref();
    let same_predicate = wanted == prior.predicate || wanted == prior.seen.index.predicate.as_deref();
    // Two conditions can only be the same in other words where there are two.
    let respelled = wanted.is_some() && prior.seen.index.predicate.is_some();
    let action = match (fits, same_predicate, renamed) {
        (true, true, false) => Action::Keep,
        (true, true, true) => Action::Rename,
        (true, false, false) if respelled => Action::RebuildIfNeeded,
        _ => Action::Rebuild,
    };
    if matches!(action, Action::Rebuild | Action::RebuildIfNeeded) && concurrently && prior.seen.partitioned {
        return Err(vec![not_concurrently(spec)]);
    }
    let old = TableName::new(&spec.table.schema, prior.index_name);
    let mut steps = Vec::new();
    if prior.seen.leftover {
        steps.push(drop_leftover(spec, concurrently));
    }
    match action {
        Action::Keep => {}
        Action::Rename => steps.push(rename(&old, &spec.index_name())),
        Action::Rebuild => steps.extend(replace_steps(spec, &recipe, concurrently, &old)),
        Action::RebuildIfNeeded => {
            steps.extend(replace_steps(spec, &recipe, concurrently, &old).into_iter().map(Step::skippable));
        }
    }
    Ok(Some(IndexPlan { operator_class: recipe.operator_class.to_owned(), action, steps }))
}

/// Decides what it takes to build an index where there is none, on a column of this type.
pub fn plan_new(spec: &VectorIndexSpec, concurrently: bool, column: ColumnType) -> Result<IndexPlan, Vec<Error>> {
    let recipe = recipe(spec, column)?;
    let steps = create_steps(spec, &recipe, concurrently);
    Ok(IndexPlan { operator_class: recipe.operator_class.to_owned(), action: Action::Rebuild, steps })
}

/// The parts of the index that depend on the column's type.
pub(super) fn recipe(spec: &VectorIndexSpec, column: ColumnType) -> Result<Recipe, Vec<Error>> {
    resolve(spec, column).map(|Resolved { sql, operator_class }| Recipe { operator_class, key: sql })
}

/// The error for a table whose indexes cannot be built concurrently.
pub(super) fn not_concurrently(spec: &VectorIndexSpec) -> Error {
    Error::new(
        format!("create index {} on table {}", spec.qualified(), spec.table),
        "the table is partitioned, and Postgres cannot build an index on a partitioned table concurrently",
    )
    .advice("set `concurrently = false`: writing to the table is then blocked during the build")
    .blame(Blame::Attribute("concurrently"))
}

/// The statement that builds the index under this name.
pub(super) fn create(spec: &VectorIndexSpec, recipe: &Recipe, concurrently: bool, name: &str) -> Step {
    let options: Vec<String> = [("lists", spec.lists), ("m", spec.m), ("ef_construction", spec.ef_construction)]
        .into_iter()
        .filter_map(|(option, value)| value.map(|value| format!("{option} = {value}")))
        .collect();
    let with = if options.is_empty() { String::new() } else { format!(" with ({})", options.join(", ")) };
    let condition = match &spec.predicate {
        Some(predicate) if ends_in_line_comment(predicate) => format!(" where ({predicate}\n)"),
        Some(predicate) => format!(" where ({predicate})"),
        None => String::new(),
    };
    let sql = format!(
        "create index{} {} on {} using {} ({} {}){with}{condition}",
        if concurrently { " concurrently" } else { "" },
        quote_ident(name),
        spec.table,
        spec.method,
        recipe.key,
        recipe.operator_class,
    );
    if concurrently {
        Step::new(sql, Lock::ShareUpdateExclusive)
    } else {
        Step::new(sql, Lock::Share).hazard(Hazard::BlocksWrites)
    }
}

fn ends_in_line_comment(predicate: &str) -> bool {
    lex(predicate).iter().rfind(|l| l.kind != Kind::Space).is_some_and(|l| l.text.starts_with("--"))
}

/// The statement that gives an index another name.
pub(super) fn rename(index: &TableName, to: &str) -> Step {
    Step::new(format!("alter index {index} rename to {}", quote_ident(to)), Lock::ShareUpdateExclusive)
}

/// The statement that drops an index.
pub(super) fn drop(index: &TableName, concurrently: bool) -> Step {
    if concurrently {
        Step::new(format!("drop index concurrently if exists {index}"), Lock::ShareUpdateExclusive)
    } else {
        Step::new(format!("drop index {index}"), Lock::AccessExclusive)
    }
}

/// The statement that drops what an interrupted build left behind. It is left out when that is gone or of use.
pub(super) fn drop_leftover(spec: &VectorIndexSpec, concurrently: bool) -> Step {
    drop(&reserved(&spec.qualified()), concurrently).skippable()
}

/// The statements that build the index beside the old one and let it take its place.
pub(super) fn replace_steps(spec: &VectorIndexSpec, recipe: &Recipe, concurrently: bool, old: &TableName) -> Vec<Step> {
    let reserved = reserved(&spec.qualified());
    let mut create = create(spec, recipe, concurrently, &reserved.name);
    // A build that an earlier apply finished is taken instead.
    create.skippable = concurrently;
    vec![create, drop(old, false), rename(&reserved, &spec.index_name())]
}

/// The statements that build an index where there was none.
pub(super) fn create_steps(spec: &VectorIndexSpec, recipe: &Recipe, concurrently: bool) -> Vec<Step> {
    if !concurrently {
        return vec![create(spec, recipe, false, &spec.index_name())];
    }
    let reserved = reserved(&spec.qualified());
    vec![create(spec, recipe, true, &reserved.name), rename(&reserved, &spec.index_name())]
}

#[cfg(test)]
mod tests {
    use super::super::operator_class::VectorType;
    use super::*;

    fn spec() -> VectorIndexSpec {
        VectorIndexSpec {
            table: TableName::new("public", "t"),
            column: "e".to_owned(),
            name: "e".to_owned(),
            metric: Metric::Cosine,
            method: Method::Hnsw,
            lists: None,
            m: Some(16),
            ef_construction: None,
            quantize: None,
            subvector: None,
            predicate: None,
        }
    }

    fn seen() -> Seen {
        let options = BTreeMap::from([("m".to_owned(), "16".to_owned())]);
        Seen {
            columns: BTreeMap::from([("e".to_owned(), ColumnType { ty: VectorType::Vector, dimensions: Some(3) })]),
            types: BTreeMap::new(),
            partitioned: false,
            leftover: false,
            index: ObservedIndex {
                method: Method::Hnsw,
                metric: Metric::Cosine,
                operator_class: "vector_cosine_ops".to_owned(),
                key: Ok(Key { column: "e".to_owned(), quantize: None, subvector: None }),
                options: options.clone(),
                predicate: None,
                valid: true,
                file: 1,
            },
            built_with: options,
        }
    }

    fn action(spec: &VectorIndexSpec, seen: &Seen, predicate: Option<&str>) -> Action {
        plan(spec, true, &Prior { index_name: "t__vector__e", predicate, seen }).unwrap().unwrap().action
    }

    #[test]
    fn the_steps_of_a_rebuild() {
        let spec = VectorIndexSpec { metric: Metric::L2, ef_construction: Some(80), ..spec() };
        let seen = seen();
        let prior = Prior { index_name: "t__vector__e", predicate: None, seen: &seen };
        let sql = |concurrently| -> Vec<String> {
            let plan = plan(&spec, concurrently, &prior).unwrap().unwrap();
            assert_eq!(plan.operator_class, "vector_l2_ops");
            plan.steps.into_iter().map(|s| s.sql).collect()
        };
        let reserved = reserved_name(&TableName::new("public", "t__vector__e"));
        assert_eq!(
            sql(true),
            [
                format!(
                    "create index concurrently {reserved} on public.t using hnsw (e vector_l2_ops) with (m = 16, ef_construction = 80)"
                ),
                "drop index public.t__vector__e".to_owned(),
                format!("alter index public.{reserved} rename to t__vector__e"),
            ]
        );
        assert_eq!(sql(false).len(), 3, "the same, in one transaction");
        assert!(sql(false)[0].starts_with(&format!("create index {reserved} on public.t")));
    }

    #[test]
    fn only_what_differs_is_done() {
        type Change = fn(&mut VectorIndexSpec, &mut Seen);
        let cases: [(Change, Action); 13] = [
            (|_, _| {}, Action::Keep),
            (|spec, _| spec.ef_construction = Some(64), Action::Keep),
            (|spec, _| spec.m = None, Action::Keep),
            (|spec, _| spec.m = Some(17), Action::Rebuild),
            (|spec, _| spec.method = Method::Ivfflat, Action::Rebuild),
            (|spec, _| spec.name = "other".to_owned(), Action::Rename),
            (|spec, _| (spec.name, spec.m) = ("other".to_owned(), Some(17)), Action::Rebuild),
            (|spec, _| spec.predicate = Some("id > 5".to_owned()), Action::Rebuild),
            (|_, seen| seen.index.valid = false, Action::Rebuild),
            (|_, seen| _ = seen.built_with.insert("m".to_owned(), "8".to_owned()), Action::Rebuild),
            (|_, seen| seen.index.key = Err("lower(e)".to_owned()), Action::Rebuild),
            (
                |spec, seen| {
                    spec.predicate = Some("id>5".to_owned());
                    seen.index.predicate = Some("(id > 5)".to_owned());
                },
                Action::RebuildIfNeeded,
            ),
            (
                |spec, seen| {
                    spec.predicate = Some("(id > 5)".to_owned());
                    seen.index.predicate = Some("(id > 5)".to_owned());
                },
                Action::Keep,
            ),
        ];
        for (i, (change, expected)) in cases.into_iter().enumerate() {
            let (mut spec, mut seen) = (spec(), seen());
            change(&mut spec, &mut seen);
            assert_eq!(action(&spec, &seen, None), expected, "case {i}");
        }
        let (mut with, mut sight) = (spec(), seen());
        with.predicate = Some("id>5".to_owned());
        sight.index.predicate = Some("(id > 5)".to_owned());
        assert_eq!(action(&with, &sight, Some("id>5")), Action::Keep, "the text that is in force already");
    }

    #[test]
    fn what_an_interrupted_build_left_is_cleared_away() {
        let mut seen = seen();
        seen.leftover = true;
        let prior = Prior { index_name: "t__vector__e", predicate: None, seen: &seen };
        let planned = plan(&spec(), true, &prior).unwrap().unwrap();
        assert_eq!((planned.action, planned.steps.len()), (Action::Keep, 1));
        assert!(planned.steps[0].skippable && planned.steps[0].sql.starts_with("drop index concurrently if exists"));
    }

    #[test]
    fn an_unseen_column_leaves_the_plan_open() {
        let spec = VectorIndexSpec { column: "new".to_owned(), ..spec() };
        let plan = plan(&spec, true, &Prior { index_name: "t__vector__e", predicate: None, seen: &seen() });
        assert_eq!(plan.unwrap(), None);
    }

    #[test]
    fn a_partitioned_table_needs_consent_to_block() {
        let mut seen = seen();
        seen.partitioned = true;
        let spec = VectorIndexSpec { m: Some(20), ..spec() };
        let prior = Prior { index_name: "t__vector__e", predicate: None, seen: &seen };
        assert!(plan(&spec, true, &prior).unwrap_err()[0].advised().unwrap().contains("concurrently = false"));
        assert!(plan(&spec, false, &prior).is_ok());
    }

    #[test]
    fn names_and_conditions_are_quoted() {
        let spec = VectorIndexSpec {
            table: TableName::new("My s", "T"),
            column: "we\"ird".to_owned(),
            predicate: Some("a > 5 -- why".to_owned()),
            ..spec()
        };
        let recipe = recipe(&spec, ColumnType { ty: VectorType::Vector, dimensions: Some(3) }).unwrap();
        let steps = create_steps(&spec, &recipe, false);
        assert_eq!(
            steps[0].sql,
            "create index \"T__vector__e\" on \"My s\".\"T\" using hnsw (\"we\"\"ird\" vector_cosine_ops) with (m = 16) where (a > 5 -- why\n)"
        );
        assert_eq!(reserved_name(&spec.qualified()), "terraform_pg_build_9073af421e94b9cf");
    }
}
