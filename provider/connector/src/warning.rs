//! What the user should know though nothing failed.

/// Something the user should know though nothing failed. The summary is constant for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// A constant title.
    pub summary: &'static str,
    /// The particulars.
    pub detail: String,
}
