//! What comes of a step besides success: the provider refused, a rule is broken, or the host could not play.
//!
//! **Invariant:** a broken rule wins over a refusal: an error message that is itself malformed is not a good refusal.

use std::fmt;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;

use super::super::HostError;

/// A rule that the provider broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's number, as in [`super::RULES`].
    pub rule: &'static str,
    /// The request whose answer broke it.
    pub request: &'static str,
    /// The attribute.
    pub path: Path,
    /// What was seen there.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} in {}", self.rule, self.request)?;
        if !self.path.0.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Why a step did not succeed.
#[derive(Debug)]
pub enum Trouble {
    /// The provider said no, as is its right; its errors and warnings.
    Refused(Diagnostics),
    /// The provider broke rules.
    Broken(Vec<Finding>),
    /// The provider could not be started or reached, or the step makes no sense.
    Host(HostError),
}

impl Trouble {
    /// The host cannot play this.
    pub(super) fn host(text: impl Into<String>) -> Self {
        Self::Host(HostError::new(text))
    }

    /// The numbers of the rules that were broken, each once.
    pub fn rules(&self) -> Vec<&'static str> {
        let Self::Broken(findings) = self else { return Vec::new() };
        let mut rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// The provider's errors and warnings, when that is what happened.
    pub fn refusal(&self) -> Option<&Diagnostics> {
        match self {
            Self::Refused(diagnostics) => Some(diagnostics),
            _ => None,
        }
    }
}

impl From<HostError> for Trouble {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(diagnostics) => {
                f.write_str("the provider refused")?;
                diagnostics.0.iter().try_for_each(|told| write_diagnostic(f, told))
            }
            Self::Broken(findings) => {
                f.write_str("the provider broke the protocol")?;
                findings.iter().try_for_each(|finding| write!(f, "\n- {finding}"))
            }
            Self::Host(error) => error.fmt(f),
        }
    }
}

fn write_diagnostic(f: &mut fmt::Formatter<'_>, told: &Diagnostic) -> fmt::Result {
    write!(f, "\n- {:?} {}: {}: {}", told.severity, told.path, told.summary, told.detail)
}

impl std::error::Error for Trouble {}

/// The findings of one answer.
#[derive(Debug)]
pub(super) struct Findings {
    request: &'static str,
    pub(super) found: Vec<Finding>,
}

impl Findings {
    pub(super) fn of(request: &'static str) -> Self {
        Self { request, found: Vec::new() }
    }

    pub(super) fn add(&mut self, rule: &'static str, path: &Path, text: impl Into<String>) {
        self.found.push(Finding { rule, request: self.request, path: path.clone(), text: text.into() });
    }

    pub(super) fn whole(&mut self, rule: &'static str, text: impl Into<String>) {
        self.add(rule, &Path::default(), text);
    }
}
