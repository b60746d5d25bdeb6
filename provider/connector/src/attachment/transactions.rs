//! Which statements cannot be part of a text that runs in one transaction.
//!
//! **Invariant:** pure; only what Postgres always refuses is refused here. What it refuses at times, it says itself.

use crate::sql_text::Statement;

/// Why a statement cannot run in the transaction of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It begins, ends or divides a transaction.
    Controls,
    /// Postgres runs it only outside a transaction.
    RunsOutside,
}

const CONTROLS: &[&[&str]] = &[
    &["begin"],
    &["start", "transaction"],
    &["commit"],
    &["end"],
    &["rollback"],
    &["abort"],
    &["savepoint"],
    &["release"],
    &["prepare", "transaction"],
];

const RUN_OUTSIDE: &[&[&str]] = &[
    &["create", "index", "concurrently"],
    &["create", "unique", "index", "concurrently"],
    &["drop", "index", "concurrently"],
    &["reindex", "index", "concurrently"],
    &["reindex", "table", "concurrently"],
    &["reindex", "schema"],
    &["reindex", "database"],
    &["reindex", "system"],
    &["vacuum"],
    &["create", "database"],
    &["drop", "database"],
    &["create", "tablespace"],
    &["drop", "tablespace"],
    &["alter", "system"],
    &["discard", "all"],
];

/// Why the statement cannot be part of a transactional text, where that shows.
pub(super) fn misfit(statement: &Statement<'_>) -> Option<Misfit> {
    let begins = |all: &[&[&str]]| all.iter().any(|words| statement.begins_with(words));
    let detaches = statement.begins_with(&["alter", "table"])
        && statement.has_word("detach")
        && statement.has_word("concurrently");
    if begins(CONTROLS) {
        Some(Misfit::Controls)
    } else if begins(RUN_OUTSIDE) || detaches {
        Some(Misfit::RunsOutside)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql_text::split;

    #[test]
    fn what_does_not_fit_into_a_transaction_is_told_apart() {
        use Misfit::{Controls, RunsOutside};
        for (sql, expected) in [
            ("BEGIN isolation level serializable", Some(Controls)),
            ("end", Some(Controls)),
            ("rollback to a", Some(Controls)),
            ("release savepoint a", Some(Controls)),
            ("commit prepared 'x'", Some(Controls)),
            ("prepare p as select 1", None),
            ("set transaction isolation level serializable", None),
            ("do $$ begin commit; end $$", None),
            ("call p()", None),
            ("Create /* now */ Index CONCURRENTLY i on t (a)", Some(RunsOutside)),
            ("create unique index concurrently if not exists i on t (a)", Some(RunsOutside)),
            ("create index on t (\"concurrently\")", None),
            ("drop index concurrently i", Some(RunsOutside)),
            ("drop index i", None),
            ("reindex (verbose) table concurrently t", None),
            ("reindex table t", None),
            ("reindex schema public", Some(RunsOutside)),
            ("vacuum (analyze) t", Some(RunsOutside)),
            ("analyze t", None),
            ("alter table t detach partition p concurrently", Some(RunsOutside)),
            ("alter table t detach partition p", None),
            ("refresh materialized view concurrently m", None),
            ("alter type e add value 'x'", None),
            ("alter system set work_mem = '1MB'", Some(RunsOutside)),
        ] {
            assert_eq!(misfit(&split("check", sql).unwrap()[0]), expected, "{sql}");
        }
    }
}
