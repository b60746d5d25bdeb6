//! SQL texts that users write: cut into statements, located, shown without their secrets.
//!
//! **Invariant:** pure; a text is only cut where Postgres itself would end a statement, and nothing in this module ever
//! returns the content of a string literal.

mod excerpt;
mod lexer;
mod mask;
mod split;

pub(crate) use excerpt::excerpt;
pub(crate) use lexer::significant;
pub(crate) use lexer::{Kind, Lexeme, lex};
#[cfg(feature = "surfaces")]
pub(crate) use mask::mask;
pub use mask::mask_literals;
pub(crate) use mask::{has_secrets, scrub};
pub(crate) use split::{Statement, split};

/// A place in a text, counted as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The character in the line, from 1.
    pub(crate) column: usize,
}

impl Location {
    /// The place of a byte offset.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}
