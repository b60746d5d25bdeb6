//! One statement of a plan, with the lock it takes and the harm it can do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One statement, exactly as it will run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The statement, without a trailing semicolon; string literals of defaults and comments are masked in what users see.
    pub sql: String,
    /// The strongest lock it takes on the table.
    pub lock: Lock,
    /// The harm it can do.
    pub hazards: Vec<Hazard>,
    /// Whether apply leaves it out when it finds that it is not needed.
    pub skippable: bool,
}

/// The table locks of Postgres, weakest first; the words are those of its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lock {
    /// No lock on a table that others can use.
    None,
    /// `ACCESS SHARE`, taken by reading.
    AccessShare,
    /// `ROW EXCLUSIVE`, taken by writing rows.
    RowExclusive,
    /// `SHARE UPDATE EXCLUSIVE`: neither reading nor writing is blocked.
    ShareUpdateExclusive,
    /// `SHARE`: writing is blocked.
    Share,
    /// `SHARE ROW EXCLUSIVE`: writing is blocked.
    ShareRowExclusive,
    /// `ACCESS EXCLUSIVE`: everything is blocked.
    AccessExclusive,
}

/// The harm that a statement can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Hazard {
    /// The whole table is written again under the lock.
    RewritesTable,
    /// The whole table is read under the lock.
    ScansTable,
    /// Data is gone afterwards.
    DestroysData,
    /// Writers wait for more than a moment.
    BlocksWrites,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::AccessShare => "ACCESS SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        })
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RewritesTable => "rewrites table",
            Self::ScansTable => "scans table",
            Self::DestroysData => "destroys data",
            Self::BlocksWrites => "blocks writes",
        })
    }
}

impl Step {
    /// A statement that takes this lock and does no harm.
    pub fn new(sql: impl Into<String>, lock: Lock) -> Self {
        Self { sql: sql.into(), lock, hazards: Vec::new(), skippable: false }
    }

    /// Adds a hazard.
    #[must_use]
    pub fn hazard(mut self, hazard: Hazard) -> Self {
        self.hazards.push(hazard);
        self
    }

    /// Marks it as left out when not needed.
    #[must_use]
    pub fn skippable(mut self) -> Self {
        self.skippable = true;
        self
    }
}
