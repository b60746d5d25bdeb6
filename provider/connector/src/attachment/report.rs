//! How a failing statement of an attachment is described: its place, an excerpt, what the server said, what has run.
//!
//! **Invariant:** no excerpt holds the content of a string literal of the texts, and no message that of a password; a value
//! that the server objects to may be named in its words.

use super::spec::{Attachment, Text, blamed};
use crate::database::{Notice, remarks};
use crate::error::Error;
use crate::sql_text::{Location, Statement, excerpt, scrub};
use crate::warning::Warning;

/// What is being run, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure<'a> {
    /// The attachment.
    pub attachment: &'a Attachment,
    /// Which of its texts.
    pub text: Text,
    /// The text.
    pub sql: &'a str,
}

impl Failure<'_> {
    /// Completes "Cannot …".
    pub(super) fn doing(&self) -> String {
        format!("run {} of {}", self.text.attribute(), self.attachment.title())
    }

    /// The error of one statement.
    pub(super) fn of(&self, statement: &Statement<'_>, error: &tokio_postgres::Error) -> Error {
        let error = Error::postgres(String::new(), error);
        let position = error.server().and_then(|server| server.position);
        let at = position.map_or(0, |position| byte_offset(statement.text, position));
        let Location { line, column } = Location::of(self.sql, statement.start + at);
        let doing = format!("{}: statement {}, line {line}, column {column}", self.doing(), statement.number);
        let error =
            error.doing_instead(doing).map_texts(|text| scrub(text, self.sql)).statement(excerpt(statement.text, at));
        let error = blamed(error, self.text, self.sql);
        let advice = self.advice(&error, statement);
        error.advice_if(advice)
    }

    fn advice(&self, error: &Error, statement: &Statement<'_>) -> Option<&'static str> {
        match error.sqlstate()? {
            "25001" if self.text != Text::Check && self.attachment.transactional => {
                Some("set `transactional = false`: each statement then runs on its own, outside a transaction")
            }
            "55P04" if self.text != Text::Check && self.attachment.transactional => Some(
                "a value that `alter type … add value` adds can be used only when its transaction is over: set \
                 `transactional = false`, or add the value in an attachment of its own",
            ),
            "25006" if self.text == Text::Check => Some("`check_sql` is run read-only; it must not change anything"),
            "42P07" | "42710" | "42723" if self.text == Text::Setup => Some(
                "an object of that name is there already; drop it or name another one, and let `teardown_sql` drop \
                 what `setup_sql` creates",
            ),
            "42P01" | "42704" | "42883" if self.text == Text::Teardown => Some(
                "what the teardown drops is gone already; change `teardown_sql` so that it says `if exists`, or set \
                 `on_teardown_error = \"warn\"`, apply that change alone, then go on",
            ),
            _ if !self.attachment.transactional && statement.has_word("concurrently") => {
                Some("a concurrent build that fails can leave an invalid index behind, which must be dropped by hand")
            }
            _ => None,
        }
    }

    /// Adds what of a text has run before its failing statement, and so is in force.
    pub(super) fn with_what_ran(error: Error, failed: usize) -> Error {
        let ran = match failed {
            0 | 1 => return error,
            2 => "statement 1 has run and stays".to_owned(),
            _ => format!("statements 1 to {} have run and stay", failed - 1),
        };
        let advice = error.advised().map_or_else(String::new, |advice| format!(". {advice}"));
        error.advice(format!("{ran}, since the text is not transactional{advice}"))
    }
}

/// The error for a text that begins a transaction and does not end it.
pub(super) fn left_open(failure: &Failure<'_>) -> Error {
    let error = Error::new(
        failure.doing(),
        "the text begins a transaction and does not end it, so what it did in there is undone",
    )
    .advice("end it with commit");
    blamed(error, failure.text, failure.sql)
}

/// The warning for a teardown whose failure does not count.
pub(super) fn teardown_failed(attachment: &Attachment, error: &Error, why: Option<&str>) -> Warning {
    let because = why.map_or_else(
        || "on_teardown_error is \"warn\", so what it set up may still be there".to_owned(),
        |why| format!("{why}, so this was let pass"),
    );
    Warning {
        summary: "The teardown of an attachment failed",
        detail: format!("{error}\n\n{} was torn down as far as possible: {because}.", capital(&attachment.title())),
    }
}

/// The warning for statements of a teardown that named what was not there.
pub(super) fn passed_over(attachment: &Attachment, missing: &[Error]) -> Option<Warning> {
    if missing.is_empty() {
        return None;
    }
    let each: Vec<String> = missing.iter().map(|error| format!("- {error}")).collect();
    let why = if attachment.in_part {
        "its setup or an earlier teardown had failed halfway"
    } else {
        "on_teardown_error is \"warn\""
    };
    Some(Warning {
        summary: "The teardown of an attachment passed over what is missing",
        detail: format!("{}: {why}, so this was let pass:\n{}", capital(&attachment.title()), each.join("\n")),
    })
}

/// What the server remarked, as one warning.
pub(super) fn notices(attachment: &Attachment, notices: &[Notice]) -> Vec<Warning> {
    if notices.is_empty() {
        return Vec::new();
    }
    let texts = [Some(&attachment.setup_sql), attachment.teardown_sql.as_ref()];
    let clean = |text: &str| texts.iter().flatten().fold(text.to_owned(), |text, sql| scrub(&text, sql));
    let mut lines = vec![format!("{}:", capital(&attachment.title()))];
    lines.extend(remarks(notices, clean));
    vec![Warning { summary: "Postgres remarked on an attachment's SQL", detail: lines.join("\n") }]
}

/// The byte offset of a position that counts characters from 1.
fn byte_offset(text: &str, position: u32) -> usize {
    let characters = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(1);
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
