//! Which bugs of pgvector concern an index, by the version that is installed.
//!
//! **Invariant:** pure; the table holds what pgvector's own changelog says was fixed, the newest first. What only makes a
//! build slow or fail is not in it: that shows by itself.

use super::operator_class::{Method, VectorType};

/// One bug.
struct Bug {
    /// The first version that has it, where it has not always been there.
    since: [u32; 3],
    /// The first version without it.
    fixed: [u32; 3],
    method: Method,
    /// The type of what is indexed, where the bug is about one.
    only: Option<VectorType>,
    /// Whether only a build with parallel workers meets it.
    parallel: bool,
    what: &'static str,
}

const BUGS: [Bug; 6] = [
    Bug {
        since: [0, 5, 0],
        fixed: [0, 8, 4],
        method: Method::Hnsw,
        only: None,
        parallel: false,
        what: "vacuum, and inserts during it, can fail (\"hnsw graph not repaired\")",
    },
    Bug {
        since: [0, 5, 0],
        fixed: [0, 8, 3],
        method: Method::Hnsw,
        only: None,
        parallel: false,
        what: "vacuum can damage the index, so that queries miss rows",
    },
    Bug {
        since: [0, 6, 0],
        fixed: [0, 8, 2],
        method: Method::Hnsw,
        only: None,
        parallel: true,
        what: "a parallel build can leak data of other tables or crash the server (CVE-2026-3172)",
    },
    Bug {
        since: [0, 6, 0],
        fixed: [0, 7, 4],
        method: Method::Hnsw,
        only: None,
        parallel: true,
        what: "the workers of a parallel build do not always lock what they share",
    },
    Bug {
        since: [0, 7, 0],
        fixed: [0, 7, 3],
        method: Method::Hnsw,
        only: Some(VectorType::Sparsevec),
        parallel: false,
        what: "inserts of sparse vectors can fail (\"failed to add index item\")",
    },
    Bug {
        since: [0, 2, 7],
        fixed: [0, 3, 1],
        method: Method::Ivfflat,
        only: None,
        parallel: false,
        what: "inserts silently damage the index",
    },
];

/// What is known about an index, and which version is rid of all of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Each bug in a clause.
    pub bugs: Vec<&'static str>,
    /// The version.
    pub fixed: String,
    /// Whether a build without parallel workers avoids some of them.
    pub parallel: bool,
}

/// The bugs that an index of this kind has with this version of pgvector; `None` where there are none, or where the
/// version is not understood.
pub(super) fn known(version: &str, method: Method, of: Option<VectorType>, workers: Option<i64>) -> Option<Known> {
    let version = parse(version)?;
    let met: Vec<&Bug> = BUGS
        .iter()
        .filter(|bug| (bug.since..bug.fixed).contains(&version) && bug.method == method)
        .filter(|bug| bug.only.is_none() || bug.only == of)
        .filter(|bug| !(bug.parallel && workers == Some(0)))
        .collect();
    let [major, minor, patch] = met.iter().map(|bug| bug.fixed).max()?;
    Some(Known {
        bugs: met.iter().map(|bug| bug.what).collect(),
        fixed: format!("{major}.{minor}.{patch}"),
        parallel: met.iter().any(|bug| bug.parallel),
    })
}

/// The three numbers of a version such as `0.8.1`; the last one may be missing.
fn parse(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_bugs() {
        use Method::{Hnsw, Ivfflat};
        use VectorType::{Sparsevec, Vector};
        for (version, method, of, workers, count, fixed, parallel) in [
            ("0.8.6", Hnsw, Vector, None, 0, "", false),
            ("0.8.4", Hnsw, Vector, None, 0, "", false),
            ("0.8.3", Hnsw, Vector, None, 1, "0.8.4", false),
            ("0.8.2", Hnsw, Vector, None, 2, "0.8.4", false),
            ("0.8.1", Hnsw, Vector, None, 3, "0.8.4", true),
            ("0.8.1", Hnsw, Vector, Some(0), 2, "0.8.4", false),
            ("0.8.1", Hnsw, Vector, Some(2), 3, "0.8.4", true),
            ("0.7.2", Hnsw, Vector, None, 4, "0.8.4", true),
            ("0.7.2", Hnsw, Sparsevec, None, 5, "0.8.4", true),
            ("0.5.1", Hnsw, Vector, None, 2, "0.8.4", false),
            ("0.8.1", Ivfflat, Vector, None, 0, "", false),
            ("0.3.0", Ivfflat, Vector, None, 1, "0.3.1", false),
            ("0.2.6", Ivfflat, Vector, None, 0, "", false),
            ("0.10", Hnsw, Vector, None, 0, "", false),
            ("1.0.0", Hnsw, Vector, None, 0, "", false),
            ("0.8.1-rds", Hnsw, Vector, None, 0, "", false),
        ] {
            let found = known(version, method, Some(of), workers);
            let (bugs, until, avoidable) =
                found.map_or((0, String::new(), false), |k| (k.bugs.len(), k.fixed, k.parallel));
            assert_eq!((bugs, until.as_str(), avoidable), (count, fixed, parallel), "{version} {method} {workers:?}");
        }
    }
}
