//! Where a field stands: in the record as it was read, or beside it where an escape had to be undone.

/// A piece of the one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it stands in the text beside the record.
    pub(super) undone: bool,
}

impl Span {
    pub(super) fn of<'t>(self, record: &'t str, beside: &'t str) -> &'t str {
        let text = if self.undone { beside } else { record };
        text.get(self.start..self.end).unwrap_or_default()
    }
}
