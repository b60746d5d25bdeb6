//! Where a setting comes from, so that an error can say so.

use std::fmt;
use std::path::PathBuf;

use crate::error::Blame;

/// Where a setting comes from; a stronger origin comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It was given by itself, under this name.
    Attribute(&'static str),
    /// The connection string.
    ConnectionString,
    /// A service file.
    Service {
        /// The service.
        service: String,
        /// The file that defines it.
        file: PathBuf,
    },
    /// An environment variable.
    Environment(&'static str),
    /// libpq's default.
    Default,
}

impl Origin {
    /// The part of the declaration that is to blame for it, if it is one.
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::Attribute(name) => Some(Blame::Attribute(name)),
            Self::ConnectionString => Some(Blame::Attribute("connection_string")),
            _ => None,
        }
    }

    /// How much it counts: a smaller number beats a greater one.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Attribute(_) => 0,
            Self::ConnectionString => 1,
            Self::Service { .. } => 2,
            Self::Environment(_) => 3,
            Self::Default => 4,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "the attribute {name}"),
            Self::ConnectionString => f.write_str("the connection string"),
            Self::Service { service, file } => write!(f, "the service {service:?} in {}", file.display()),
            Self::Environment(variable) => write!(f, "the environment variable {variable}"),
            Self::Default => f.write_str("libpq's default"),
        }
    }
}
