//! A vector index in the words of the user, some of which may be known only later.
//!
//! **Invariant:** pure. It is a [`VectorIndexSpec`] only when everything is known and right.

use super::operator_class::{Method, Metric};
use super::spec::VectorIndexSpec;

/// A value that may not be there, or not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// It was left out.
    #[default]
    Unset,
    /// It will be known later.
    Later,
    /// It is this.
    Now(T),
}

impl<T> Given<T> {
    /// The value, where it is there.
    pub fn now(&self) -> Option<&T> {
        match self {
            Self::Now(value) => Some(value),
            _ => None,
        }
    }

    /// The value, or this one where it was left out; `None` where it will be known later.
    pub(super) fn or(&self, default: T) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Unset => Some(default),
            Self::Later => None,
            Self::Now(value) => Some(value.clone()),
        }
    }

    /// The value or its absence; `None` where it will be known later.
    #[expect(clippy::option_option, reason = "known later, absent and present are three different things")]
    pub(super) fn settled(&self) -> Option<Option<T>>
    where
        T: Clone,
    {
        match self {
            Self::Unset => Some(None),
            Self::Later => None,
            Self::Now(value) => Some(Some(value.clone())),
        }
    }
}

/// A vector index in the words of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// The table, as `schema.table`.
    pub table: Given<String>,
    /// The column.
    pub column: Given<String>,
    /// The index's short name; the column's where it was left out.
    pub name: Given<String>,
    /// The metric's word.
    pub metric: Given<String>,
    /// The method's word.
    pub method: Given<String>,
    /// An option of ivfflat.
    pub lists: Given<i64>,
    /// An option of hnsw.
    pub m: Given<i64>,
    /// An option of hnsw.
    pub ef_construction: Given<i64>,
    /// The word for what the index keeps of each vector.
    pub quantize: Given<String>,
    /// How many leading dimensions are indexed.
    pub subvector: Given<i64>,
    /// Which rows are indexed: an SQL condition.
    pub predicate: Given<String>,
}

impl Declaration {
    /// The index that is meant, where everything is known and right.
    pub fn spec(&self) -> Option<VectorIndexSpec> {
        let whole = |value: Option<i64>| value.and_then(|v| u32::try_from(v).ok());
        let column = self.column.now()?.clone();
        Some(VectorIndexSpec {
            table: self.table.now()?.parse().ok()?,
            name: self.name.or(column.clone())?,
            column,
            metric: self.metric.or(Metric::default().to_string())?.parse().ok()?,
            method: self.method.or(Method::default().to_string())?.parse().ok()?,
            lists: whole(self.lists.settled()?),
            m: whole(self.m.settled()?),
            ef_construction: whole(self.ef_construction.settled()?),
            quantize: self.quantize.settled()?.and_then(|word| word.parse().ok()),
            subvector: whole(self.subvector.settled()?),
            predicate: self.predicate.settled()?,
        })
    }
}
