//! The border between the connector's words and the protocol's: errors become diagnostics, contexts become scopes.
//!
//! **Invariant:** this is the only file that turns a [`pg_connector::Error`] into something a user sees.

use std::fmt::Write as _;

use pg_connector::{Blame, Error, Scope, Warning};
use tfplugin::{Context, Diagnostic, Diagnostics, Path};

/// The message for a failed operation: what was tried, what the server said, what to do next, and the attribute.
pub fn error(error: &Error, path: &dyn Fn(&Blame) -> Path) -> Diagnostic {
    let mut detail = sentence(error.message());
    if let Some(server) = error.server() {
        for (label, text) in [("Detail", &server.detail), ("Hint", &server.hint), ("Context", &server.context)] {
            if let Some(text) = text {
                let _ = write!(detail, "\n{label}: {text}");
            }
        }
        let _ = write!(detail, "\nSQLSTATE: {}", server.sqlstate);
    }
    if let Some(statement) = error.failed_statement() {
        let _ = write!(detail, "\n\nThe statement was:\n{statement}");
    }
    if let Some(advice) = error.advised().or_else(|| was_cut_off(error).then_some(CUT_OFF)) {
        let _ = write!(detail, "\n\n{}", sentence(advice));
    }
    let diagnostic = Diagnostic::error(format!("Cannot {}", error.doing()), detail);
    match error.blamed() {
        Some(blame) => diagnostic.at(path(blame)),
        None => diagnostic,
    }
}

/// What to do when the server went away in the middle.
const CUT_OFF: &str = "The server ended the connection, as it does when it stops, crashes or hands over to another. What was \
    not committed is undone. Plan again when the server answers";

/// Whether a connection that worked came to an end: the server says that it stops or crashed, or says nothing any more.
fn was_cut_off(error: &Error) -> bool {
    !error.is_unreachable() && (error.is_closed() || matches!(error.sqlstate(), Some("57P01" | "57P02" | "57P05")))
}

/// The messages for several failures.
pub fn errors<'a>(errors: impl IntoIterator<Item = &'a Error>, path: &dyn Fn(&Blame) -> Path) -> Diagnostics {
    Diagnostics(errors.into_iter().map(|e| error(e, path)).collect())
}

/// The attribute that is to blame, where attributes are all that can be.
pub fn attribute(blame: &Blame) -> Path {
    match blame {
        Blame::Attribute(name) => Path::root(name),
        _ => Path::default(),
    }
}

/// The messages for what the user should know.
pub fn warnings(warnings: &[Warning]) -> Diagnostics {
    let each = |warning: &Warning| Diagnostic::warning(warning.summary, warning.detail.clone());
    Diagnostics(warnings.iter().map(each).collect())
}

/// Adds what the user should know to the response.
pub fn warn<D>(context: &Context<D>, warnings: &[Warning]) {
    self::warnings(warnings).0.into_iter().for_each(|warning| context.warn(warning));
}

/// The limits of the running operation, as the connector takes them.
pub fn scope<D>(context: &Context<D>) -> Scope {
    Scope::until(context.cancel.clone(), context.deadline)
}

fn sentence(text: &str) -> String {
    let text = text.trim_end();
    // A text that begins with a name, as in `id: 5.5 is no whole number`, keeps the name as it is.
    let begins_with_name = text
        .split_whitespace()
        .next()
        .is_some_and(|word| word.ends_with([':', ',']) || word.contains(['.', '_', '"', '/']));
    let mut chars = text.chars();
    let mut sentence: String = match chars.next() {
        Some(first) if !begins_with_name => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    };
    if !sentence.ends_with(['.', '!', '?', ':', ')']) && !sentence.is_empty() {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_where_and_what_next() {
        let failure = Error::new("create table public.t", "it exists already")
            .statement("create table public.t ()")
            .advice("import it")
            .blame(Blame::Attribute("table_name"));
        let diagnostic = error(&failure, &attribute);
        assert_eq!(diagnostic.summary, "Cannot create table public.t");
        assert_eq!(
            diagnostic.detail,
            "It exists already.\n\nThe statement was:\ncreate table public.t ()\n\nImport it."
        );
        assert_eq!(diagnostic.path, Path::root("table_name"));
    }
}
