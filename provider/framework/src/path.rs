//! Where in a resource a value stands; diagnostics and replace lists use it.

use std::fmt;

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// An attribute of an object.
    Attribute(String),
    /// An element of a map.
    Key(String),
    /// An element of a list or tuple.
    Index(i64),
}

/// The way from the resource's root to a value. The root itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of a root attribute.
    pub fn root(attribute: &str) -> Self {
        Self::default().attribute(attribute)
    }

    /// This path and one attribute more.
    #[must_use]
    pub fn attribute(mut self, name: &str) -> Self {
        self.0.push(Step::Attribute(name.to_owned()));
        self
    }

    /// This path and one map key more.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// This path and one list index more.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)));
        self
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if i == 0 => write!(f, "{name}")?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_expression_in_the_configuration() {
        assert_eq!(Path::default().to_string(), "");
        assert_eq!(Path::root("columns").key("a \"b\"").attribute("type").to_string(), r#"columns["a \"b\""].type"#);
        assert_eq!(Path::root("rows").index(3).attribute("id").to_string(), "rows[3].id");
    }
}
