//! What an attachment is, and everything that is wrong with its texts before they run.
//!
//! **Invariant:** pure; an error names the statement, never the content of a literal.

use super::transactions::{Misfit, misfit};
use crate::error::{Blame, Error};
use crate::name::TableName;
use crate::sql_text::{Kind, Location, Statement, excerpt, has_secrets, significant, split};

/// SQL that belongs to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The table.
    pub table: TableName,
    /// Its name, of this crate's making: the database does not know it.
    pub name: String,
    /// What brings it about.
    pub setup_sql: String,
    /// What takes it away; nothing where `None`.
    pub teardown_sql: Option<String>,
    /// A query that finds it: without a row it is gone.
    pub check_sql: Option<String>,
    /// Whether each text runs in one transaction, and else statement by statement.
    pub transactional: bool,
    /// What a failing teardown means.
    pub on_teardown_error: OnTeardownError,
    /// Whether only a part of it may be there, since its setup or teardown failed halfway. Its teardown then passes over
    /// what is missing.
    pub in_part: bool,
}

/// What a failing teardown means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTeardownError {
    /// The operation fails.
    #[default]
    Fail,
    /// The user is warned, and the operation goes on.
    Warn,
}

/// One of the texts of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// What brings it about.
    Setup,
    /// What takes it away.
    Teardown,
    /// What finds it.
    Check,
}

impl Text {
    /// The attribute that holds it.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Setup => "setup_sql",
            Self::Teardown => "teardown_sql",
            Self::Check => "check_sql",
        }
    }
}

impl Attachment {
    /// The attachment in a sentence.
    pub(super) fn title(&self) -> String {
        format!("attachment {} of table {}", self.name, self.table)
    }
}

/// The texts that a change runs, in order. The teardown is the one that was in force, and a change of it alone runs nothing.
pub fn plan<'a>(old: Option<&'a Attachment>, new: Option<&'a Attachment>) -> Vec<(Text, &'a str)> {
    if let (Some(old), Some(new)) = (old, new)
        && old.setup_sql == new.setup_sql
    {
        return Vec::new();
    }
    let teardown = old.and_then(|old| Some((Text::Teardown, old.teardown_sql.as_deref()?)));
    teardown.into_iter().chain(new.map(|new| (Text::Setup, new.setup_sql.as_str()))).collect()
}

/// Blames a text for an error. Whoever shows the error may show the place where the text is written, and so the text:
/// one with literals is not pointed at.
pub(super) fn blamed(error: Error, text: Text, sql: &str) -> Error {
    if has_secrets(sql) { error } else { error.blame(Blame::Attribute(text.attribute())) }
}

/// Everything that is wrong with a text. `transactional` is `None` while it is not known.
pub fn faults(text: Text, sql: &str, transactional: Option<bool>) -> Vec<Error> {
    let attribute = text.attribute();
    let doing = format!("use this {attribute}");
    let blamed = |error: Error| blamed(error, text, sql);
    if sql.contains('\0') {
        return vec![blamed(Error::new(doing, "the text holds the NUL character, which Postgres cannot take"))];
    }
    let statements = match split(&doing, sql) {
        Ok(statements) => statements,
        // The rows that psql would send after it are no SQL, so the text may not even split.
        Err(_) if copies_from_client(sql) => {
            return vec![blamed(Error::new(doing, format!("the text {}", COPIES.0)).advice(COPIES.1))];
        }
        Err(error) => return vec![blamed(error)],
    };
    if statements.is_empty() && text != Text::Teardown {
        return vec![blamed(Error::new(doing, format!("`{attribute}` is empty: it holds no statement")))];
    }
    if text == Text::Check && statements.len() > 1 {
        return vec![blamed(Error::new(
            doing,
            format!("`check_sql` must be one query, and it holds {} statements", statements.len()),
        ))];
    }
    let mut faults = Vec::new();
    for statement in &statements {
        let transactional = if text == Text::Check { Some(true) } else { transactional };
        if let Some((at, fault, advice)) = fault(text, statement, transactional) {
            let Location { line, column } = Location::of(sql, statement.start + at);
            let error =
                Error::new(&doing, format!("statement {} (line {line}, column {column}) {fault}", statement.number));
            faults.push(blamed(error.statement(excerpt(statement.text, at)).advice(advice)));
        }
    }
    faults
}

/// What is wrong with a statement, at which byte of it, and what to do instead.
fn fault(
    text: Text,
    statement: &Statement<'_>,
    transactional: Option<bool>,
) -> Option<(usize, &'static str, &'static str)> {
    if let Some(at) = statement.backslash() {
        let fault = if at == 0 { "is a command of psql, not SQL" } else { "holds a command of psql, which is not SQL" };
        return Some((at, fault, "write what it does as SQL"));
    }
    if statement.begins_with(&["copy"]) && (statement.has_word("stdin") || statement.has_word("stdout")) {
        return Some((0, COPIES.0, COPIES.1));
    }
    if text == Text::Check && WRITES.iter().any(|word| statement.begins_with(&[word])) {
        return Some((0, "changes something, but the check is run read-only at every refresh", QUERY));
    }
    if transactional != Some(true) {
        return None;
    }
    match (misfit(statement)?, text) {
        (Misfit::Controls, Text::Check) => {
            Some((0, "controls a transaction, but the check runs in one that is read-only", QUERY))
        }
        (Misfit::RunsOutside, Text::Check) => {
            Some((0, "cannot run inside a transaction, and the check runs in one that is read-only", QUERY))
        }
        (Misfit::Controls, _) => Some((
            0,
            "controls a transaction, but the whole text runs in one already",
            "leave it out: all statements succeed or fail together. Or set `transactional = false`, and each statement \
             runs on its own",
        )),
        (Misfit::RunsOutside, _) => Some((
            0,
            "cannot run inside a transaction, and the whole text runs in one",
            "set `transactional = false`, and each statement runs on its own. Where the rest should stay in one \
             transaction, move this statement to an attachment of its own",
        )),
    }
}

/// What a check should be.
const QUERY: &str = "make it a query that returns a row while the attachment is there";

/// How statements begin that a read-only transaction refuses whatever they name.
const WRITES: [&str; 14] = [
    "alter", "cluster", "comment", "create", "delete", "drop", "grant", "import", "insert", "merge", "refresh",
    "revoke", "truncate", "update",
];

/// What is wrong with a copy between a file and the client, and what to do instead.
const COPIES: (&str, &str) = (
    "copies from or to the client, which has nothing to send",
    "use insert, or declare the rows with the table (`rows`, `rows_file`)",
);

/// Whether a statement begins with `copy` and names the client's input, wherever the text's literals end.
fn copies_from_client(sql: &str) -> bool {
    significant(sql).split(|l| l.kind == Kind::Semicolon).any(|statement| {
        statement.first().is_some_and(|first| first.is("copy")) && statement.iter().any(|l| l.is("stdin"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_is_refused_with_its_place() {
        for (text, sql, transactional, why) in [
            (Text::Setup, "", Some(true), "holds no statement"),
            (Text::Setup, " -- nothing\n;", None, "holds no statement"),
            (Text::Check, "select 1; select 2", None, "2 statements"),
            (Text::Check, "commit", Some(false), "controls a transaction"),
            (Text::Check, "Drop table x", None, "changes something, but the check is run read-only"),
            (Text::Check, "/* a */ insert into t values (1) returning 1", Some(false), "changes something"),
            (Text::Setup, "select 1;\n  Commit", Some(true), "statement 2 (line 2, column 3) controls a transaction"),
            (Text::Teardown, "start transaction read only", Some(true), "controls a transaction"),
            (Text::Setup, "savepoint a", Some(true), "controls a transaction"),
            (Text::Setup, "prepare transaction 'x'", Some(true), "controls a transaction"),
            (Text::Setup, "copy t from stdin", Some(false), "copies from or to the client"),
            (Text::Setup, "copy t (a, b) from stdin;\n1\tit's\n\\.\n", None, "copies from or to the client"),
            (Text::Setup, "\\d t", None, "command of psql"),
            (Text::Setup, "select 1 \\gexec", None, "statement 1 (line 1, column 10) holds a command of psql"),
            (Text::Setup, "vacuum t", Some(true), "cannot run inside a transaction, and the whole text"),
            (Text::Check, "vacuum t", Some(false), "the check runs in one that is read-only"),
            (
                Text::Setup,
                "select 1;\ncreate index concurrently i on t (a)",
                Some(true),
                "statement 2 (line 2, column 1)",
            ),
            (Text::Setup, "select 'x", None, "has no end"),
            (Text::Setup, "select 1\0", None, "NUL"),
        ] {
            let faults = faults(text, sql, transactional);
            assert_eq!(faults.len(), 1, "{sql}: {faults:?}");
            assert!(faults[0].message().contains(why), "{sql}: {}", faults[0]);
            let pointed_at = !sql.contains('\'');
            assert_eq!(faults[0].blamed().is_some(), pointed_at, "{sql}: the text must not be shown");
        }
    }

    #[test]
    fn the_old_teardown_runs_before_the_new_setup_and_only_for_another_setup() {
        let attachment = |setup: &str, teardown: Option<&str>| Attachment {
            table: TableName::new("public", "t"),
            name: "a".to_owned(),
            setup_sql: setup.to_owned(),
            teardown_sql: teardown.map(str::to_owned),
            check_sql: None,
            transactional: true,
            on_teardown_error: OnTeardownError::Fail,
            in_part: false,
        };
        for (old, new, runs) in [
            (None, Some(("s", Some("t"))), &["s"][..]),
            (Some(("s", Some("t"))), None, &["t"]),
            (Some(("s", None)), None, &[]),
            (Some(("s", Some("t"))), Some(("s", Some("u"))), &[]),
            (Some(("s", Some("t"))), Some(("r", Some("u"))), &["t", "r"]),
            (Some(("s", None)), Some(("r", Some("u"))), &["r"]),
        ] {
            let [old, new] = [old, new].map(|it| it.map(|(setup, teardown)| attachment(setup, teardown)));
            let texts: Vec<&str> = plan(old.as_ref(), new.as_ref()).into_iter().map(|(_, sql)| sql).collect();
            assert_eq!(texts, runs);
        }
    }

    #[test]
    fn what_only_looks_like_it_is_let_through() {
        for (text, sql, transactional) in [
            (Text::Setup, "do $$ begin commit; end $$", Some(true)),
            (Text::Setup, "create function f() returns int begin atomic select 1; end", Some(true)),
            (Text::Setup, "begin; select 1; commit", Some(false)),
            (Text::Setup, "begin; select 1; commit", None),
            (Text::Setup, "copy t from '/srv/rows.csv'", Some(true)),
            (Text::Setup, "insert into t values ('copy x from stdin')", Some(true)),
            (Text::Setup, "insert into t values ('commit; \\d', $$vacuum$$) -- \\q rollback;", Some(true)),
            (Text::Setup, "/* begin; */ select 1 -- commit", Some(true)),
            (Text::Setup, "vacuum t; create index concurrently i on t (a)", Some(false)),
            (Text::Setup, "vacuum t", None),
            (Text::Setup, "prepare p as select 1", Some(true)),
            (Text::Teardown, "", Some(true)),
            (Text::Check, "select 1;", Some(true)),
        ] {
            assert!(faults(text, sql, transactional).is_empty(), "{sql}");
        }
    }

    #[test]
    fn all_faults_are_reported_without_secrets() {
        let faults = faults(Text::Setup, "commit; create role r password 'geheim'; rollback to 'geheim'", Some(true));
        assert_eq!(faults.len(), 2);
        assert!(!format!("{faults:?}").contains("geheim"));
        assert!(faults.iter().all(|fault| fault.blamed().is_none()), "what is pointed at is shown");
    }
}
