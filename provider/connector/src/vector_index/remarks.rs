//! What the user should know about an index that was built: what the server remarked, how few rows there were, and which
//! bugs the installed pgvector has.
//!
//! **Invariant:** pure.

use super::known_bugs;
use super::operator_class::{Method, of_operator_class};
use super::plan::Seen;
use super::spec::{BuildSettings, DEFAULT_LISTS, VectorIndexSpec};
use crate::database::{Notice, remarks};
use crate::warning::Warning;

/// A build, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built<'a> {
    /// What was wanted.
    pub spec: &'a VectorIndexSpec,
    /// With which settings.
    pub settings: &'a BuildSettings,
    /// The index that came of it.
    pub seen: &'a Seen,
    /// How many vectors it holds; `None` where the server does not say.
    pub vectors: Option<u64>,
    /// The version of pgvector.
    pub version: Option<&'a str>,
}

/// Warnings about an index that was built, and about what the server remarked meanwhile.
pub(super) fn warnings(built: Option<Built<'_>>, spec: &VectorIndexSpec, noticed: &[Notice]) -> Vec<Warning> {
    let few = built.and_then(few_rows);
    // Its own advice is to drop the index, which is no advice here.
    let said: Vec<Notice> =
        noticed.iter().filter(|n| few.is_none() || !n.message.contains("with little data")).cloned().collect();
    let bugs = built.and_then(bugs);
    notices(spec, &said).into_iter().chain(few).chain(bugs).collect()
}

/// What the server remarked, as one warning.
fn notices(spec: &VectorIndexSpec, notices: &[Notice]) -> Option<Warning> {
    if notices.is_empty() {
        return None;
    }
    let mut lines = vec![format!("Index {}:", spec.qualified())];
    lines.extend(remarks(notices, str::to_owned));
    if notices.iter().any(|notice| notice.message.contains("no longer fits into maintenance_work_mem")) {
        lines.push("Here that is `build = { maintenance_work_mem = \"…\" }`, for the next build.".to_owned());
    }
    Some(Warning { summary: "Postgres remarked on a vector index", detail: lines.join("\n") })
}

/// A warning for an ivfflat index with more lists than there were vectors: its centres are chosen once, when it is built.
fn few_rows(built: Built<'_>) -> Option<Warning> {
    let Built { spec, seen, vectors, .. } = built;
    let vectors = vectors?;
    let lists = seen.index.option("lists").unwrap_or(DEFAULT_LISTS);
    if seen.index.method != Method::Ivfflat || vectors >= u64::from(lists) {
        return None;
    }
    let index = spec.qualified();
    Some(Warning {
        summary: "An ivfflat index was built on few rows",
        detail: format!(
            "Index {index} has {lists} lists{}, and {vectors} vectors were there when it was built. The centres of the \
             lists are chosen at the build and stay, so queries miss many of the nearest rows, also when there are more \
             rows later. Build it again when they are there: `reindex index concurrently {index}`, or change `lists` \
             (about a thousandth of the rows). Or set method = \"hnsw\", which needs no rows to begin with.",
            if seen.index.option("lists").is_none() { " (the default)" } else { "" }
        ),
    })
}

/// A warning when the installed pgvector is known to damage indexes of this kind.
fn bugs(built: Built<'_>) -> Option<Warning> {
    let Built { spec, settings, seen, version, .. } = built;
    let version = version?;
    let of = of_operator_class(&seen.index.operator_class).map(|(ty, _)| ty);
    let workers = settings.max_parallel_maintenance_workers;
    let known = known_bugs::known(version, seen.index.method, of, workers)?;
    let avoid = if known.parallel {
        " Until then, `build = { max_parallel_maintenance_workers = 0 }` keeps builds from being parallel."
    } else {
        ""
    };
    Some(Warning {
        summary: "This version of pgvector has known bugs in such indexes",
        detail: format!(
            "Index {index}, {method} with pgvector {version}: {}. Version {} has them fixed: install it on the server, \
             `alter extension vector update`, then `reindex index concurrently {index}`.{avoid}",
            known.bugs.join("; "),
            known.fixed,
            index = spec.qualified(),
            method = seen.index.method,
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::key::{ColumnType, Key};
    use super::super::operator_class::{Metric, VectorType};
    use super::super::plan::ObservedIndex;
    use super::*;
    use crate::name::TableName;

    fn notice(message: &str) -> Notice {
        Notice {
            severity: "NOTICE".to_owned(),
            sqlstate: "00000".to_owned(),
            message: message.to_owned(),
            detail: None,
            hint: None,
        }
    }

    /// The warnings after a build with that method, so many lists given and so many vectors.
    fn after(method: Method, lists: Option<u32>, vectors: Option<u64>, version: &str, said: &[Notice]) -> Vec<Warning> {
        let spec = VectorIndexSpec {
            table: TableName::new("public", "t"),
            column: "e".to_owned(),
            name: "e".to_owned(),
            metric: Metric::L2,
            method,
            lists,
            m: None,
            ef_construction: None,
            quantize: None,
            subvector: None,
            predicate: None,
        };
        let options: BTreeMap<_, _> = lists.map(|lists| ("lists".to_owned(), lists.to_string())).into_iter().collect();
        let seen = Seen {
            columns: BTreeMap::from([("e".to_owned(), ColumnType { ty: VectorType::Vector, dimensions: Some(3) })]),
            types: BTreeMap::new(),
            partitioned: false,
            leftover: false,
            index: ObservedIndex {
                method,
                metric: Metric::L2,
                operator_class: "vector_l2_ops".to_owned(),
                key: Ok(Key { column: "e".to_owned(), quantize: None, subvector: None }),
                options: options.clone(),
                predicate: None,
                valid: true,
                file: 1,
            },
            built_with: options,
        };
        let settings = BuildSettings::default();
        let built = Built { spec: &spec, settings: &settings, seen: &seen, vectors, version: Some(version) };
        warnings(Some(built), &spec, said)
    }

    #[test]
    fn too_few_rows_for_the_lists_are_said_once() {
        use Method::{Hnsw, Ivfflat};
        let little = [notice("ivfflat index created with little data")];
        let said = after(Ivfflat, None, Some(7), "0.8.6", &little);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].detail.contains("has 100 lists (the default), and 7 vectors were there"), "{said:?}");
        assert_eq!(after(Ivfflat, Some(8), Some(7), "0.8.6", &[]).len(), 1);
        for (method, lists, vectors) in [(Ivfflat, Some(7), Some(7)), (Ivfflat, None, None), (Hnsw, None, Some(0))] {
            assert_eq!(after(method, lists, vectors, "0.8.6", &[]).len(), 0, "{method} {lists:?} {vectors:?}");
        }
        let unsure = after(Ivfflat, None, None, "0.8.6", &little);
        assert!(unsure[0].detail.contains("little data"), "what is not said by us is said by the server: {unsure:?}");
    }

    #[test]
    fn memory_and_bugs_come_with_what_to_do() {
        let said = after(
            Method::Hnsw,
            None,
            Some(9),
            "0.8.1",
            &[notice("hnsw graph no longer fits into maintenance_work_mem after 5 tuples")],
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].detail.contains("after 5 tuples") && said[0].detail.contains("build = {"), "{said:?}");
        for part in ["Version 0.8.4", "reindex index concurrently public.t__vector__e", "workers = 0"] {
            assert!(said[1].detail.contains(part), "{said:?}");
        }
    }
}
