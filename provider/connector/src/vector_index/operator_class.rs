//! Which operator class serves a vector type, a metric and a method, and up to how many dimensions.
//!
//! **Invariant:** the table below is the complete set that pgvector has; whatever is not in it is refused with what is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How near two vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Cosine distance, `<=>`.
    #[default]
    Cosine,
    /// Euclidean distance, `<->`.
    L2,
    /// Negative inner product, `<#>`.
    Ip,
    /// Taxicab distance, `<+>`.
    L1,
    /// The number of differing bits, `<~>`.
    Hamming,
    /// One minus shared bits over all bits, `<%>`.
    Jaccard,
}

/// How the index is organised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Lists around centres; small and quick to build.
    #[default]
    Ivfflat,
    /// A layered graph; faster and more exact to search.
    Hnsw,
}

/// What the index keeps of each vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quantize {
    /// Two bytes for each dimension.
    Half,
    /// One bit for each dimension.
    Binary,
}

/// The types that pgvector indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VectorType {
    /// Four bytes for each dimension.
    Vector,
    /// Two bytes for each dimension.
    Halfvec,
    /// One bit for each dimension; a type of Postgres itself.
    Bit,
    /// Only what is not zero.
    Sparsevec,
}

/// Gives an enumeration the words that users write for its values.
macro_rules! words {
    ($type:ty, $what:literal, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// All values, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.word() == word).ok_or_else(|| {
                    format!("{word:?} is not a {}; valid: {}", $what, list(Self::ALL.iter().copied()))
                })
            }
        }
    };
}

words!(Metric, "metric", Cosine = "cosine", L2 = "l2", Ip = "ip", L1 = "l1", Hamming = "hamming", Jaccard = "jaccard");
words!(Method, "method", Ivfflat = "ivfflat", Hnsw = "hnsw");
words!(Quantize, "way to quantize", Half = "half", Binary = "binary");
words!(VectorType, "pgvector type", Vector = "vector", Halfvec = "halfvec", Bit = "bit", Sparsevec = "sparsevec");

/// A comma-separated list of words.
pub(super) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

/// Every operator class: type, metric, name, and whether ivfflat has it too (hnsw has them all).
const CLASSES: [(VectorType, Metric, &str, bool); 14] = [
    (VectorType::Vector, Metric::L2, "vector_l2_ops", true),
    (VectorType::Vector, Metric::Ip, "vector_ip_ops", true),
    (VectorType::Vector, Metric::Cosine, "vector_cosine_ops", true),
    (VectorType::Vector, Metric::L1, "vector_l1_ops", false),
    (VectorType::Halfvec, Metric::L2, "halfvec_l2_ops", true),
    (VectorType::Halfvec, Metric::Ip, "halfvec_ip_ops", true),
    (VectorType::Halfvec, Metric::Cosine, "halfvec_cosine_ops", true),
    (VectorType::Halfvec, Metric::L1, "halfvec_l1_ops", false),
    (VectorType::Bit, Metric::Hamming, "bit_hamming_ops", true),
    (VectorType::Bit, Metric::Jaccard, "bit_jaccard_ops", false),
    (VectorType::Sparsevec, Metric::L2, "sparsevec_l2_ops", false),
    (VectorType::Sparsevec, Metric::Ip, "sparsevec_ip_ops", false),
    (VectorType::Sparsevec, Metric::Cosine, "sparsevec_cosine_ops", false),
    (VectorType::Sparsevec, Metric::L1, "sparsevec_l1_ops", false),
];

/// The operator class, or `None` where pgvector has none.
pub fn operator_class(ty: VectorType, metric: Metric, method: Method) -> Option<&'static str> {
    CLASSES
        .iter()
        .find(|(t, m, _, ivfflat)| *t == ty && *m == metric && (*ivfflat || method == Method::Hnsw))
        .map(|(_, _, class, _)| *class)
}

/// What an operator class of pgvector is for.
pub(super) fn of_operator_class(class: &str) -> Option<(VectorType, Metric)> {
    CLASSES.iter().find(|(_, _, c, _)| *c == class).map(|(ty, metric, _, _)| (*ty, *metric))
}

/// The metrics that a method can use for some of these types.
pub(super) fn metrics(types: &[VectorType], method: Method) -> Vec<Metric> {
    let served = |metric: &Metric| types.iter().any(|ty| operator_class(*ty, *metric, method).is_some());
    Metric::ALL.iter().copied().filter(served).collect()
}

/// The greatest number of dimensions that an index can hold; `None` where only the type itself sets a limit.
pub(super) fn max_dimensions(ty: VectorType) -> Option<u32> {
    match ty {
        VectorType::Vector => Some(2_000),
        VectorType::Halfvec => Some(4_000),
        VectorType::Bit => Some(64_000),
        VectorType::Sparsevec => None,
    }
}

/// Whether the operator class needs at least two dimensions: ivfflat's centres are unit vectors there.
pub(super) fn needs_two_dimensions(ty: VectorType, metric: Metric, method: Method) -> bool {
    method == Method::Ivfflat
        && matches!(ty, VectorType::Vector | VectorType::Halfvec)
        && matches!(metric, Metric::Cosine | Metric::Ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_pgvectors() {
        use Method::{Hnsw, Ivfflat};
        use Metric::{Cosine, Hamming, Ip, Jaccard, L1, L2};
        use VectorType::{Bit, Halfvec, Sparsevec, Vector};
        let mut valid = 0;
        for ty in VectorType::ALL {
            for metric in Metric::ALL {
                for method in Method::ALL {
                    let expected = match (ty, metric, method) {
                        (Vector | Halfvec, L2 | Ip | Cosine, _)
                        | (Vector | Halfvec | Sparsevec, L1, Hnsw)
                        | (Sparsevec, L2 | Ip | Cosine, Hnsw)
                        | (Bit, Hamming, _)
                        | (Bit, Jaccard, Hnsw) => Some(format!("{ty}_{metric}_ops")),
                        (_, _, Hnsw | Ivfflat) => None,
                    };
                    valid += usize::from(expected.is_some());
                    assert_eq!(operator_class(*ty, *metric, *method).map(str::to_owned), expected);
                    if let Some(class) = expected {
                        assert_eq!(of_operator_class(&class), Some((*ty, *metric)));
                    }
                }
            }
        }
        assert_eq!(valid, 21);
    }

    #[test]
    fn an_unknown_word_names_the_valid_ones() {
        assert_eq!(
            "manhattan".parse::<Metric>().unwrap_err(),
            "\"manhattan\" is not a metric; valid: cosine, l2, ip, l1, hamming, jaccard"
        );
        assert_eq!("HNSW".parse::<Method>().unwrap_err(), "\"HNSW\" is not a method; valid: ivfflat, hnsw");
        assert!("int8".parse::<Quantize>().unwrap_err().contains("half, binary"));
    }
}
