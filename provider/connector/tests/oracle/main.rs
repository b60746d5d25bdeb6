//! Whether our engine decides what the reference connector decides, for random pairs of declarations.
//!
//! `recording.jsonl.gz` holds the pairs and the connector's decisions; `record.py` makes it. Our decisions are told from
//! the statements that the pure engine plans. Where the two differ, a rule has to say why: one for each decision in which
//! this engine is meant to differ, with the number of differences that it explains.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod ours;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use pg_connector::TableName;
use pg_connector::attachment::Text;

use crate::rules::{Difference, RULES, Side};

/// One thing that is done about a declaration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    CreateTable(TableName),
    /// Created, or taken as it is when one is there.
    CreateTableIfMissing(TableName),
    DropTable(TableName),
    /// Dropped and created.
    ReplaceTable(TableName),
    AddColumn(String),
    DropColumn(String),
    /// The type, whether null is allowed, or both.
    AlterColumn(String),
    /// Dropped and added, since its data cannot be kept.
    RecreateColumn(String),
    /// Null is forbidden in a new column once rows are written.
    FillThenForbidNull(String),
    /// Nothing is done about the column before the user agrees to the loss.
    AskConsent(String),
    Extension,
    /// The extension is made after the columns that need it.
    ExtensionComesLate,
    BuildIndex(String),
    DropIndex(String),
    RefusedIndex(String),
    /// A text of the attachment of this name.
    Run(String, Run, String),
    WriteRows,
    DeleteRows,
    WarnOfNul,
    /// The declaration is refused.
    Refused,
}

/// The cases in which the two decide everything alike.
const ALIKE: usize = 501;

/// The single decisions that both take.
const AGREED: usize = 951;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Run {
    Teardown,
    Setup,
}

impl From<Text> for Run {
    fn from(text: Text) -> Self {
        match text {
            Text::Teardown => Self::Teardown,
            Text::Setup => Self::Setup,
            Text::Check => panic!("a check changes nothing"),
        }
    }
}

#[test]
fn the_engine_decides_as_the_reference_connector_does_but_for_what_is_meant_to_differ() {
    let (header, cases) = case::recording();
    assert_eq!(header.connector, "cocoindex 1.0.26");
    assert!(cases.len() >= 500, "{} cases", cases.len());
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    let (mut agreed, mut alike) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        let ours = ours::ours(case);
        if case.error.is_some() {
            assert_eq!(ours, BTreeSet::from([Fact::Refused]), "case {number}: {case:?}");
            agreed += 1;
            alike += 1;
            continue;
        }
        let theirs = case.theirs();
        agreed += ours.intersection(&theirs).count();
        alike += usize::from(ours == theirs);
        let only_theirs = theirs.difference(&ours).map(|fact| (Side::Theirs, fact));
        let only_ours = ours.difference(&theirs).map(|fact| (Side::Ours, fact));
        for (side, fact) in only_theirs.chain(only_ours) {
            let difference = Difference { case, ours: &ours, theirs: &theirs, side, fact };
            match RULES.iter().find(|rule| (rule.explains)(&difference)) {
                Some(rule) => *explained.entry(rule.name).or_default() += 1,
                None => unexplained.push(format!(
                    "case {number}: {side:?} {fact:?}\n  {case:?}\n  ours {ours:?}\n  theirs {theirs:?}"
                )),
            }
        }
    }
    assert!(
        unexplained.is_empty(),
        "{} differences without a rule, such as\n{}",
        unexplained.len(),
        unexplained[..unexplained.len().min(5)].join("\n")
    );
    assert_eq!((alike, agreed), (ALIKE, AGREED), "cases in which all is alike, and decisions that are");
    let wanted: BTreeMap<&str, usize> = RULES.iter().map(|rule| (rule.name, rule.count)).collect();
    assert!(wanted.values().all(|count| *count > 0), "each rule is used");
    assert_eq!(explained, wanted, "rule -> differences that it explains");
}
