//! What is there: tables as the catalogue describes them.
//!
//! **Invariant:** types and defaults are in the spelling that the server has under the settings of `printing`, so the
//! same object always reads the same, whoever reads it.

mod absent;
mod read;

use serde::{Deserialize, Serialize};

use crate::pg_type::{PgType, is_pgvector_name, same_type};
use crate::sql_text::{Kind, Lexeme, lex};

use crate::pinned;

pub use absent::{Wanted, absent};
pub use read::read;
pub(crate) use read::{extension_schemas, look};

/// The settings under which the server prints types and expressions alike, however the role or the database has them set.
pub(crate) fn printing() -> impl Iterator<Item = (&'static str, &'static str)> {
    pinned::FIXED.into_iter().chain([("quote_all_identifiers", "off"), ("search_path", "pg_catalog")])
}

/// What the names of the checks begin with that an online `set not null` makes for a while.
pub(crate) const NOT_NULL_CHECK: &str = "terraform_pg_not_null_";

/// What a name in `pg_class` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// The parent of partitions.
    PartitionedTable,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
    /// An index, a sequence, a composite type.
    Other,
}

/// A table as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedTable {
    /// Its oid.
    pub oid: u32,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns, in the order of the table.
    pub columns: Vec<ObservedColumn>,
    /// The names of the primary key's columns, in order; empty without one.
    pub primary_key: Vec<String>,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Its pgvector indexes, for the case that a retype has to rebuild them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vector_indexes: Vec<DependentIndex>,
    /// The checks that an interrupted online `set not null` left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_null_checks: Vec<NotNullCheck>,
}

/// A check of ours that a column is not null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotNullCheck {
    /// The constraint's name.
    pub name: String,
    /// The column.
    pub column: String,
}

/// A column as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedColumn {
    /// Its name.
    pub name: String,
    /// Its type in the server's spelling, read with `search_path = pg_catalog`.
    pub type_name: String,
    /// Whether it may hold null.
    pub nullable: bool,
    /// Its default in the server's spelling, read with `search_path = pg_catalog`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether the server computes it (generated or identity column).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The spelling of its type that the server took for this type though we cannot tell that it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spelled: Option<String>,
}

/// A pgvector index that depends on columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentIndex {
    /// Its name.
    pub name: String,
    /// The columns it depends on.
    pub columns: Vec<String>,
    /// Its definition.
    pub definition: String,
}

impl RelationKind {
    /// What it is called in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::PartitionedTable => "a partitioned table",
            Self::View => "a view",
            Self::MaterializedView => "a materialised view",
            Self::ForeignTable => "a foreign table",
            Self::Other => "an index, a sequence or a composite type",
        }
    }

    /// Whether it can be a target.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::PartitionedTable)
    }
}

impl ObservedColumn {
    /// Whether its type can be spelled like this.
    pub fn is_spelled(&self, spelling: &str) -> bool {
        same_type(&self.type_name, spelling) || self.spelled.as_ref().is_some_and(|known| same_type(known, spelling))
    }

    /// Whether pgvector could index it, perhaps through an expression.
    fn may_have_vector_index(&self) -> bool {
        PgType::parse(&self.type_name)
            .map_or(true, |parsed| parsed.is_pgvector() || parsed.is_array() || parsed.name() == "bit")
    }
}

impl DependentIndex {
    /// The operator classes of pgvector that it names, each with the type that it is for.
    pub(crate) fn vector_types(&self) -> Vec<&str> {
        lex(&self.definition)
            .iter()
            .filter(|lexeme| lexeme.kind == Kind::Word && lexeme.text.ends_with("_ops"))
            .filter_map(|lexeme| lexeme.text.split('_').next())
            .filter(|name| is_pgvector_name(name))
            .collect()
    }

    /// Whether its key is the column itself and not an expression.
    pub(crate) fn is_plain(&self) -> bool {
        let lexemes = lex(&self.definition);
        let mut after = lexemes.iter().skip_while(|lexeme| lexeme.kind != Kind::Open).skip(1).filter(|l| !l.is_blank());
        after.next().is_some_and(|lexeme| lexeme.kind != Kind::Open)
            && after.next().is_some_and(|lexeme| lexeme.kind == Kind::Word)
    }

    /// Whether its key is a part of vectors of that type, and of that type itself.
    pub(crate) fn is_part_of(&self, type_name: &str) -> bool {
        let is_part =
            lex(&self.definition).iter().any(|lexeme| lexeme.kind == Kind::Word && lexeme.text == "subvector");
        is_part && self.vector_types() == [type_name] && self.casts_to(type_name)
    }

    /// Whether its key is cast to that type of pgvector.
    pub(crate) fn casts_to(&self, type_name: &str) -> bool {
        let words = lex(&self.definition);
        words.iter().enumerate().any(|(at, lexeme)| lexeme.text == type_name && is_cast(&words[..at]))
    }

    /// The access method.
    pub(crate) fn method(&self) -> Option<&str> {
        let words = lex(&self.definition);
        let mut after =
            words.iter().skip_while(|lexeme| !lexeme.is("using")).skip(1).filter(|lexeme| !lexeme.is_blank());
        after.next().map(|lexeme| lexeme.text)
    }

    /// The definition with the operator classes and casts of another of pgvector's types.
    pub(crate) fn definition_for(&self, type_name: &str) -> String {
        let words = lex(&self.definition);
        let text = words.iter().enumerate().map(|(at, lexeme)| match lexeme.text.split_once('_') {
            Some((prefix, rest)) if lexeme.kind == Kind::Word && rest.ends_with("_ops") && is_pgvector_name(prefix) => {
                format!("{type_name}_{rest}")
            }
            None if is_pgvector_name(lexeme.text) && is_cast(&words[..at]) => type_name.to_owned(),
            _ => lexeme.text.to_owned(),
        });
        text.collect()
    }
}

/// Whether what follows is the type of a cast, perhaps with its schema.
fn is_cast(before: &[Lexeme<'_>]) -> bool {
    match before {
        [.., cast, _, dot] if dot.text == "." => cast.text.ends_with(':'),
        [.., cast] => cast.text.ends_with(':'),
        [] => false,
    }
}

impl ObservedTable {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ObservedColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that the server computes.
    pub fn computed(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.generated).map(|column| column.name.as_str())
    }

    /// Keeps what is known of the spelling of types that did not change since.
    pub fn remember(&mut self, before: &Self) {
        for column in &mut self.columns {
            if let Some(same) = before.column(&column.name).filter(|same| same.type_name == column.type_name) {
                column.spelled.clone_from(&same.spelled);
            }
        }
    }

    /// How another sight of the table differs in what a plan rests on, in words.
    pub fn differences<'a>(&self, now: &Self, declared: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut words = Vec::new();
        if self.kind != now.kind {
            words.push(format!("it was {} and is {}", self.kind.noun(), now.kind.noun()));
        }
        let mut names: Vec<&str> = declared.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let null = |nullable| if nullable { "nullable" } else { "not null" };
        for name in names {
            match (self.column(name), now.column(name)) {
                (None, Some(_)) => words.push(format!("column {name} was added")),
                (Some(_), None) => words.push(format!("column {name} was dropped")),
                (Some(a), Some(b)) => {
                    if a.type_name != b.type_name {
                        words.push(format!("column {name} was {} and is {}", a.type_name, b.type_name));
                    }
                    if a.nullable != b.nullable {
                        words.push(format!("column {name} was {} and is {}", null(a.nullable), null(b.nullable)));
                    }
                    if a.generated != b.generated {
                        words.push(format!("column {name} is computed by the server now, or no longer"));
                    }
                }
                (None, None) => {}
            }
        }
        if self.primary_key != now.primary_key {
            let shown =
                |key: &[String]| if key.is_empty() { "none".to_owned() } else { format!("({})", key.join(", ")) };
            words.push(format!("the primary key was {} and is {}", shown(&self.primary_key), shown(&now.primary_key)));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that happens to a table.
    type Change = fn(&mut ObservedTable);

    fn table() -> ObservedTable {
        let column = |name: &str, type_name: &str| ObservedColumn {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable: false,
            default: None,
            generated: false,
            comment: None,
            spelled: None,
        };
        ObservedTable {
            oid: 1,
            kind: RelationKind::Table,
            columns: vec![column("id", "bigint"), column("a", "text")],
            primary_key: vec!["id".to_owned()],
            comment: None,
            vector_indexes: Vec::new(),
            not_null_checks: Vec::new(),
        }
    }

    #[test]
    fn what_a_plan_rests_on_is_compared_and_nothing_else() {
        let before = table();
        let harmless: [Change; 4] = [
            |t| t.oid = 2,
            |t| t.comment = Some("x".to_owned()),
            |t| t.columns.reverse(),
            |t| {
                t.columns[1].default = Some("1".to_owned());
                t.columns.push(ObservedColumn { name: "extra".to_owned(), ..t.columns[1].clone() });
            },
        ];
        for change in harmless {
            let mut now = table();
            change(&mut now);
            assert_eq!(before.differences(&now, ["id", "a", "b"]), [""; 0]);
        }
        let harmful: [(Change, &str); 7] = [
            (|t| t.kind = RelationKind::View, "it was a table and is a view"),
            (|t| t.columns[1].type_name = "integer".to_owned(), "column a was text and is integer"),
            (|t| t.columns[1].nullable = true, "column a was not null and is nullable"),
            (|t| t.columns[1].generated = true, "column a is computed by the server now, or no longer"),
            (|t| drop(t.columns.pop()), "column a was dropped"),
            (|t| t.columns.push(ObservedColumn { name: "b".to_owned(), ..t.columns[1].clone() }), "column b was added"),
            (|t| t.primary_key.push("a".to_owned()), "the primary key was (id) and is (id, a)"),
        ];
        for (change, words) in harmful {
            let mut now = table();
            change(&mut now);
            assert_eq!(before.differences(&now, ["id", "a", "b"]), [words]);
        }
    }

    #[test]
    fn spellings_are_remembered_while_the_type_stays() {
        let mut before = table();
        before.columns[1].type_name = "geography(Point,4326)".to_owned();
        before.columns[1].spelled = Some("geography(Point)".to_owned());
        let mut now = before.clone();
        now.columns[1].spelled = None;
        assert!(!now.columns[1].is_spelled("geography(point)"));
        now.remember(&before);
        assert!(now.columns[1].is_spelled("geography(point)") && now.columns[1].is_spelled("geography(Point,4326)"));
        now.columns[1].spelled = None;
        now.columns[1].type_name = "geography(Point,3857)".to_owned();
        now.remember(&before);
        assert!(!now.columns[1].is_spelled("geography(point)"));
    }

    #[test]
    fn operator_classes_are_those_of_the_new_type() {
        let index = |key: &str| DependentIndex {
            name: "i".to_owned(),
            columns: vec!["e".to_owned()],
            definition: format!("create index i on public.t using hnsw ({key}) with (m=16)"),
        };
        let plain = index("vector_x vector_cosine_ops");
        assert!(plain.is_plain());
        assert_eq!(plain.vector_types(), ["vector"]);
        let new = plain.definition_for("halfvec");
        assert_eq!(new, "create index i on public.t using hnsw (vector_x halfvec_cosine_ops) with (m=16)");
        let expression = index("((e)::halfvec(3)) halfvec_l2_ops");
        assert!(!expression.is_plain());
        assert!(!index("subvector(e, 1, 2) vector_l2_ops").is_plain());
        assert_eq!(plain.method(), Some("hnsw"));
        for (key, part_of, new) in [
            (
                "((subvector(e, 1, 2))::vector(2)) vector_l2_ops",
                "vector",
                "((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops",
            ),
            (
                "((x.subvector(vector, 1, 2))::x.vector(2)) vector_l2_ops",
                "vector",
                "((x.subvector(vector, 1, 2))::x.halfvec(2)) halfvec_l2_ops",
            ),
            (
                "((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops",
                "halfvec",
                "((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops",
            ),
        ] {
            assert!(index(key).is_part_of(part_of) && index(key).casts_to(part_of), "{key}");
            assert_eq!(index(key).definition_for("halfvec"), index(new).definition);
        }
        assert!(!index("((subvector(e, 1, 2))::halfvec(2)) halfvec_l2_ops").is_part_of("vector"));
        assert!(!index("((e)::vector(3)) vector_l2_ops").is_part_of("vector"));
    }
}
