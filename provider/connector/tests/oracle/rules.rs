//! In what this engine is meant to differ from the reference connector.
//!
//! **Invariant:** a rule looks at the declarations and at what the two decide, and never asks our engine why.

use std::collections::BTreeSet;

use crate::case::{Case, Index, Table};
use crate::{Fact, Run};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Only we do it.
    Ours,
    /// Only the connector does it.
    Theirs,
}

/// Something that only one of the two does.
pub(crate) struct Difference<'a> {
    pub(crate) case: &'a Case,
    pub(crate) ours: &'a BTreeSet<Fact>,
    pub(crate) theirs: &'a BTreeSet<Fact>,
    pub(crate) side: Side,
    pub(crate) fact: &'a Fact,
}

pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// How many differences of the recording it explains.
    pub(crate) count: usize,
    pub(crate) explains: fn(&Difference<'_>) -> bool,
}

/// The first rule that fits explains a difference.
pub(crate) const RULES: [Rule; 17] = [
    Rule {
        name: "an existing table is never adopted",
        count: 34,
        explains: |d| {
            let places = |fact: &Fact| match fact {
                Fact::CreateTable(name) | Fact::CreateTableIfMissing(name) => Some(name.clone()),
                _ => None,
            };
            let theirs = |name| d.theirs.contains(&Fact::CreateTableIfMissing(name));
            d.failed() && d.case.previous.is_none() && places(d.fact).is_some_and(theirs)
        },
    },
    Rule {
        name: "a table that somebody else manages has to match",
        count: 80,
        explains: |d| d.refused() && d.next().is_some_and(|next| !next.is_ours()) && !d.same_columns(),
    },
    Rule {
        name: "a table is only taken over from somebody else as it is",
        count: 8,
        explains: |d| d.refused() && d.taken_over() && !d.same_columns(),
    },
    Rule {
        name: "a type in another spelling is no change",
        count: 67,
        explains: |d| match d.fact {
            Fact::AlterColumn(name) if d.theirs_only() => d.both(|before, after| {
                same_type(before.type_of(name), after.type_of(name)) && nullable(before, name) == nullable(after, name)
            }),
            Fact::ReplaceTable(_) if d.theirs_only() => d.same_key(),
            Fact::Extension => d.replaced_for_spelling(),
            // The table stays, so what else differs is changed in it.
            Fact::AddColumn(_)
            | Fact::DropColumn(_)
            | Fact::AlterColumn(_)
            | Fact::RecreateColumn(_)
            | Fact::AskConsent(_)
            | Fact::FillThenForbidNull(_)
            | Fact::DropIndex(_)
            | Fact::DeleteRows
            | Fact::Run(_, Run::Teardown, _) => d.side == Side::Ours && d.replaced_for_spelling(),
            _ => false,
        },
    },
    Rule {
        name: "the pair of types decides, and what cannot be kept needs consent",
        count: 99,
        explains: |d| match d.fact {
            Fact::AlterColumn(name) | Fact::RecreateColumn(name) | Fact::AskConsent(name) => {
                d.theirs.contains(&Fact::AlterColumn(name.clone()))
                    && d.ours.contains(&Fact::RecreateColumn(name.clone()))
                    && d.ours.contains(&Fact::AskConsent(name.clone()))
                    && d.both(|before, after| !same_type(before.type_of(name), after.type_of(name)))
            }
            // The connector's own `alter` fails, and it goes the same way with only a line in a log.
            _ => false,
        },
    },
    Rule {
        name: "an added NOT NULL column is not null",
        count: 45,
        explains: |d| match d.fact {
            Fact::FillThenForbidNull(name) => {
                (d.theirs.contains(&Fact::AddColumn(name.clone()))
                    || d.ours.contains(&Fact::RecreateColumn(name.clone())))
                    && d.next().is_some_and(|next| nullable(next, name) == Some(false))
            }
            _ => false,
        },
    },
    Rule {
        name: "pgvector comes before the columns that need it",
        count: 17,
        explains: |d| *d.fact == Fact::ExtensionComesLate && d.ours.contains(&Fact::Extension),
    },
    Rule {
        name: "sparsevec needs pgvector too",
        count: 3,
        explains: |d| {
            let has = |table: &Table| table.columns.iter().any(|c| c.1.starts_with("sparsevec"));
            *d.fact == Fact::Extension && [d.previous(), d.next()].into_iter().flatten().any(has)
        },
    },
    Rule {
        name: "options of the other method are an error",
        count: 39,
        explains: |d| match d.fact {
            Fact::RefusedIndex(name) | Fact::BuildIndex(name) | Fact::DropIndex(name) => {
                let misfit = |table: Option<&Table>| table.and_then(|t| t.index(name)).is_some_and(has_other_options);
                misfit(d.next()) || misfit(d.previous())
            }
            _ => false,
        },
    },
    Rule {
        name: "teardown runs before its table is dropped or replaced",
        count: 97,
        explains: |d| {
            let gone = d.ours.iter().any(|f| matches!(f, Fact::ReplaceTable(_) | Fact::DropTable(_))) || d.abandoned();
            gone && d.side == Side::Ours && matches!(d.fact, Fact::Run(_, Run::Teardown, _) | Fact::DropIndex(_))
        },
    },
    Rule {
        name: "the rows of a table that somebody else manages are deleted with their declaration",
        count: 9,
        explains: |d| d.side == Side::Ours && *d.fact == Fact::DeleteRows && d.abandoned(),
    },
    Rule {
        name: "a changed teardown alone runs nothing",
        count: 14,
        explains: |d| match d.fact {
            Fact::Run(name, ..) if d.theirs_only() => d.both(|before, after| {
                let (before, after) = (before.attachments(), after.attachments());
                before.get(name).zip(after.get(name)).is_some_and(|(before, after)| {
                    before.setup_sql == after.setup_sql && before.teardown_sql != after.teardown_sql
                })
            }),
            _ => false,
        },
    },
    Rule {
        name: "a default that is written out is no change",
        count: 5,
        explains: |d| match d.fact {
            Fact::BuildIndex(name) if d.theirs_only() => d.both(|before, after| {
                before
                    .index(name)
                    .zip(after.index(name))
                    .is_some_and(|(a, b)| a != b && written_out(a) == written_out(b))
            }),
            _ => false,
        },
    },
    Rule {
        name: "only what is affected by a changed column is built or set up again",
        count: 201,
        explains: |d| {
            d.theirs_only()
                && (d.case.is_lossy() || d.replaced_for_spelling())
                && d.both(|before, after| match d.fact {
                    Fact::BuildIndex(name) => before.index(name).is_some() && before.index(name) == after.index(name),
                    Fact::Run(name, ..) => {
                        let (before, after) = (before.attachments(), after.attachments());
                        before.contains_key(name) && before.get(name) == after.get(name)
                    }
                    _ => false,
                })
        },
    },
    Rule {
        name: "rows that did not change are not touched",
        count: 89,
        explains: |d| {
            d.theirs_only()
                && *d.fact == Fact::WriteRows
                && (d.case.is_lossy() || d.replaced_for_spelling() || d.has_other_columns())
                && d.both(|before, after| before.rows == after.rows)
        },
    },
    Rule {
        name: "NUL is stripped with a warning",
        count: 16,
        explains: |d| {
            let has =
                |next: &Table| next.rows.iter().flatten().any(|(_, v)| v.as_str().is_some_and(|t| t.contains('\0')));
            *d.fact == Fact::WarnOfNul && d.next().is_some_and(has)
        },
    },
    // The connector reckons with both of what may be there, the old and what the failed apply wanted.
    Rule { name: "a failed apply leaves nothing behind", count: 61, explains: |d| d.failed() },
];

impl Difference<'_> {
    fn previous(&self) -> Option<&Table> {
        self.case.previous.as_ref()
    }

    fn next(&self) -> Option<&Table> {
        self.case.next.as_ref()
    }

    /// Whether this holds of the declarations of one table before and after.
    fn both(&self, holds: impl Fn(&Table, &Table) -> bool) -> bool {
        let pair = self.previous().zip(self.next());
        pair.is_some_and(|(before, after)| before.place() == after.place() && holds(before, after))
    }

    fn theirs_only(&self) -> bool {
        self.side == Side::Theirs
    }

    fn failed(&self) -> bool {
        self.case.failed.is_some()
    }

    fn refused(&self) -> bool {
        self.ours.contains(&Fact::Refused)
    }

    fn taken_over(&self) -> bool {
        self.both(|before, after| !before.is_ours() && after.is_ours())
    }

    /// Whether a table that somebody else manages is no longer declared.
    fn abandoned(&self) -> bool {
        self.previous()
            .is_some_and(|before| !before.is_ours() && self.next().is_none_or(|t| t.place() != before.place()))
    }

    fn same_columns(&self) -> bool {
        self.both(|before, after| {
            after.columns.iter().all(|(name, type_name, nullable_)| {
                same_type(before.type_of(name), Some(type_name)) && nullable(before, name) == Some(*nullable_)
            }) && before.primary_key == after.primary_key
        })
    }

    fn same_key(&self) -> bool {
        self.both(|before, after| {
            before.primary_key == after.primary_key
                && before.primary_key.iter().all(|name| same_type(before.type_of(name), after.type_of(name)))
        })
    }

    fn replaced_for_spelling(&self) -> bool {
        self.same_key() && self.theirs.iter().any(|fact| matches!(fact, Fact::ReplaceTable(_)))
    }

    /// Whether the connector's row, which has a value for each column, is another because the columns are.
    fn has_other_columns(&self) -> bool {
        let names = |table: &Table| table.columns.iter().map(|c| c.0.clone()).collect::<BTreeSet<_>>();
        self.both(|before, after| names(before) != names(after))
    }
}

/// Whether two spellings of the recording are one type, by a list of its own.
fn same_type(a: Option<&str>, b: Option<&str>) -> bool {
    let plain = |text: &str| {
        let text = text.to_lowercase().replace(' ', "");
        match text.as_str() {
            "int8" => "bigint",
            "charactervarying(50)" => "varchar(50)",
            "decimal(10,2)" => "numeric(10,2)",
            "timestampwithtimezone" => "timestamptz",
            "float8" => "doubleprecision",
            other => other,
        }
        .to_owned()
    };
    a.map(plain) == b.map(plain)
}

fn nullable(table: &Table, column: &str) -> Option<bool> {
    table.columns.iter().find(|c| c.0 == column).map(|c| c.2)
}

fn method(index: &Index) -> &str {
    index.method.as_deref().unwrap_or("ivfflat")
}

fn has_other_options(index: &Index) -> bool {
    match method(index) {
        "hnsw" => index.lists.is_some(),
        _ => index.m.is_some() || index.ef_construction.is_some(),
    }
}

/// The index with every default in its place.
fn written_out(index: &Index) -> (&str, &str, &str, i64, i64, i64) {
    (
        &index.column,
        index.metric.as_deref().unwrap_or("cosine"),
        method(index),
        index.lists.unwrap_or(100),
        index.m.unwrap_or(16),
        index.ef_construction.unwrap_or(64),
    )
}
