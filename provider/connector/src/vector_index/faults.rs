//! Everything that is wrong with a vector index before the column's type is known.
//!
//! **Invariant:** pure. A value that is only known later is never held against the user.

use super::declaration::{Declaration, Given};
use super::operator_class::{Method, Metric, Quantize, VectorType, list, metrics, needs_two_dimensions};
use super::spec::{BuildSettings, DEFAULT_EF_CONSTRUCTION, DEFAULT_M, index_name};
use crate::error::{Blame, Error};
use crate::name::{MAX_NAME_BYTES, TableName, name_fault};
use crate::sql_text::{Kind, lex, split};

const DOING: &str = "declare the vector index";

impl Declaration {
    /// Everything that is wrong whatever the column's type is.
    pub fn faults(&self) -> Vec<Error> {
        let mut faults = Faults::default();
        self.check_names(&mut faults);
        let metric = faults.word(&self.metric, "metric");
        let method = faults.word(&self.method, "method");
        let quantize = self.quantize.now().and_then(|word| faults.parse::<Quantize>(word, "quantize"));
        self.check_options(method, &mut faults);
        self.check_combination(metric, method, quantize, &mut faults);
        if let Some(predicate) = self.predicate.now() {
            check_predicate(predicate, &mut faults);
        }
        faults.0
    }

    fn check_names(&self, faults: &mut Faults) {
        let table = match self.table.now().map(|text| text.parse::<TableName>()) {
            Some(Ok(table)) => Some(table),
            Some(Err(error)) => {
                faults.add("table", format!("{error}; use the id of a pg_table_target"));
                None
            }
            None => None,
        };
        for (attribute, name) in [("column", &self.column), ("name", &self.name)] {
            if let Some(fault) = name.now().and_then(|name| name_fault(name)) {
                faults.add(attribute, fault);
                return;
            }
        }
        let named = if self.name == Given::Unset { &self.column } else { &self.name };
        if let (Some(table), Some(name)) = (table, named.now()) {
            let full = index_name(&table.name, name);
            if full.len() > MAX_NAME_BYTES {
                let spare = MAX_NAME_BYTES.saturating_sub(full.len() - name.len());
                faults.0.push(
                    fault(
                        "name",
                        format!(
                            "the index would be named {full:?}, which has {} bytes, and Postgres keeps only {MAX_NAME_BYTES}",
                            full.len()
                        ),
                    )
                    .advice(format!("set `name` to one of at most {spare} bytes")),
                );
            }
        }
    }

    fn check_options(&self, method: Option<Method>, faults: &mut Faults) {
        let options = [
            ("lists", &self.lists, Method::Ivfflat, 1, 32_768),
            ("m", &self.m, Method::Hnsw, 2, 100),
            ("ef_construction", &self.ef_construction, Method::Hnsw, 4, 1_000),
        ];
        for (option, value, of, least, most) in options {
            if let Some(method) = method
                && method != of
                && value.now().is_some()
            {
                let default = if self.method == Given::Unset { ", the default" } else { "" };
                let own = list(options.iter().filter(|o| o.2 == method).map(|o| o.0));
                faults.add(
                    option,
                    format!(
                        "`{option}` is an option of {of}, and the method is {method}{default}; its options are: {own}"
                    ),
                );
            } else if let Some(value) = value.now()
                && !(least..=most).contains(value)
            {
                faults.add(option, format!("`{option}` must be between {least} and {most}, not {value}"));
            }
        }
        if method == Some(Method::Hnsw)
            && let (Some(m), Some(ef)) =
                (self.m.or(DEFAULT_M.into()), self.ef_construction.or(DEFAULT_EF_CONSTRUCTION.into()))
            && (2..=100).contains(&m)
            && (4..=1_000).contains(&ef)
            && ef < 2 * m
        {
            let by_default = |given: &Given<i64>| if *given == Given::Unset { " by default" } else { "" };
            faults.add(
                if self.ef_construction == Given::Unset { "m" } else { "ef_construction" },
                format!(
                    "`ef_construction` must be at least twice `m`: it is {ef}{}, and `m` is {m}{}",
                    by_default(&self.ef_construction),
                    by_default(&self.m)
                ),
            );
        }
    }

    fn check_combination(
        &self,
        metric: Option<Metric>,
        method: Option<Method>,
        quantize: Option<Quantize>,
        faults: &mut Faults,
    ) {
        // The types that the index can hold, as far as the configuration tells.
        let types: &[VectorType] = match (&self.quantize, quantize) {
            (_, Some(Quantize::Half)) => &[VectorType::Halfvec],
            (_, Some(Quantize::Binary)) => &[VectorType::Bit],
            (Given::Unset, None) if self.subvector.now().is_some() => &[VectorType::Vector, VectorType::Halfvec],
            _ => VectorType::ALL,
        };
        if let (Some(metric), Some(method)) = (metric, method) {
            let valid = metrics(types, method);
            if !valid.contains(&metric) {
                let of = match quantize {
                    Some(way) => format!(" with quantize = \"{way}\""),
                    None if types.len() == 2 => " with `subvector`".to_owned(),
                    None => String::new(),
                };
                let default = if self.metric == Given::Unset { "default " } else { "" };
                let others: Vec<Method> = Method::ALL
                    .iter()
                    .copied()
                    .filter(|m| *m != method && metrics(types, *m).contains(&metric))
                    .collect();
                let hint = if others.is_empty() {
                    String::new()
                } else {
                    format!("; {metric} needs method = \"{}\"", list(others))
                };
                faults.add(
                    "metric",
                    format!("{method}{of} cannot use the {default}metric {metric}; valid: {}{hint}", list(valid)),
                );
            }
        }
        if let Some(&k) = self.subvector.now() {
            let (most, why) = match (&self.quantize, quantize) {
                (_, Some(Quantize::Half)) => (4_000, " with quantize = \"half\""),
                (Given::Unset, None) => (4_000, ""),
                _ => (64_000, " with quantize = \"binary\""),
            };
            let least = match (metric, method) {
                (Some(metric), Some(method)) if types.iter().all(|t| needs_two_dimensions(*t, metric, method)) => 2,
                _ => 1,
            };
            if !(least..=most).contains(&k) {
                faults.add("subvector", format!("`subvector` must be between {least} and {most}{why}, not {k}"));
            }
        }
    }
}

impl BuildSettings {
    /// Everything that is wrong with these settings, as far as it shows without the server.
    pub fn faults(&self) -> Vec<Error> {
        let mut faults = Faults::default();
        if let Some(memory) = &self.maintenance_work_mem {
            let digits = memory.trim_start_matches(|c: char| c.is_ascii_digit());
            let right = digits.len() < memory.len() && matches!(digits.trim_start(), "kB" | "MB" | "GB" | "TB");
            if !right {
                faults.add(
                    "build.maintenance_work_mem",
                    format!("{memory:?} is no amount of memory; write a whole number with a unit (kB, MB, GB, TB), such as \"1GB\""),
                );
            }
        }
        if let Some(workers) = self.max_parallel_maintenance_workers
            && !(0..=1_024).contains(&workers)
        {
            faults.add(
                "build.max_parallel_maintenance_workers",
                format!("the number of workers must be between 0 and 1024, not {workers}"),
            );
        }
        faults.0
    }
}

#[derive(Default)]
struct Faults(Vec<Error>);

impl Faults {
    fn add(&mut self, attribute: &'static str, message: impl Into<String>) {
        self.0.push(fault(attribute, message));
    }

    fn parse<T: std::str::FromStr<Err = String>>(&mut self, word: &str, attribute: &'static str) -> Option<T> {
        word.parse().map_err(|why| self.add(attribute, why)).ok()
    }

    fn word<T: std::str::FromStr<Err = String> + Default>(
        &mut self,
        given: &Given<String>,
        attribute: &'static str,
    ) -> Option<T> {
        match given {
            Given::Unset => Some(T::default()),
            Given::Later => None,
            Given::Now(word) => self.parse(word, attribute),
        }
    }
}

fn fault(attribute: &'static str, message: impl Into<String>) -> Error {
    Error::new(DOING, message).blame(Blame::Attribute(attribute))
}

/// The condition goes between brackets into a statement of ours, so it must be one whole expression.
fn check_predicate(predicate: &str, faults: &mut Faults) {
    match split(DOING, predicate) {
        Err(error) => return faults.0.push(error.blame(Blame::Attribute("where"))),
        Ok(statements) if statements.is_empty() => {
            return faults.add("where", "the condition is empty; leave `where` out to index every row");
        }
        Ok(_) => {}
    }
    let mut depth = 0_i32;
    for lexeme in lex(predicate) {
        match lexeme.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Semicolon => return faults.add("where", "the condition must be one expression, without a semicolon"),
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    if depth != 0 {
        faults.add("where", "a bracket in the condition has no partner");
    } else if lex(predicate).iter().find(|l| !l.is_blank()).is_some_and(|l| l.is("where")) {
        faults.add("where", "write only the condition, without the word where");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declaration {
        Declaration {
            table: Given::Now("public.t".to_owned()),
            column: Given::Now("e".to_owned()),
            ..Declaration::default()
        }
    }

    fn text(word: &str) -> Given<String> {
        Given::Now(word.to_owned())
    }

    fn with(change: impl FnOnce(&mut Declaration)) -> Declaration {
        let mut declaration = declared();
        change(&mut declaration);
        declaration
    }

    #[test]
    fn defaults_are_the_connectors() {
        let spec = declared().spec().unwrap();
        assert_eq!(
            (spec.metric, spec.method, spec.index_name().as_str()),
            (Metric::Cosine, Method::Ivfflat, "t__vector__e")
        );
        assert!(declared().faults().is_empty());
    }

    #[test]
    fn what_is_valid_has_no_fault() {
        type Change = fn(&mut Declaration);
        let cases: [Change; 10] = [
            |d| d.lists = Given::Now(32_768),
            |d| {
                d.method = text("hnsw");
                d.m = Given::Now(2);
                d.ef_construction = Given::Now(4);
            },
            |d| (d.method, d.m) = (text("hnsw"), Given::Now(32)),
            |d| (d.method, d.metric) = (text("hnsw"), text("jaccard")),
            |d| (d.quantize, d.metric) = (text("binary"), text("hamming")),
            |d| (d.quantize, d.subvector) = (text("half"), Given::Now(4_000)),
            |d| (d.method, d.subvector) = (text("hnsw"), Given::Now(1)),
            |d| d.predicate = text("kind = ';' and (a or b) -- why"),
            |d| (d.method, d.lists, d.metric) = (Given::Later, Given::Now(5), Given::Later),
            // It may yet turn out to be left out.
            |d| (d.ef_construction, d.subvector) = (Given::Later, Given::Later),
        ];
        for change in cases {
            let declaration = with(change);
            let faults = declaration.faults();
            assert!(faults.is_empty(), "{declaration:?}: {faults:?}");
        }
    }

    #[test]
    fn each_fault_is_named_with_what_is_valid() {
        type Change = fn(&mut Declaration);
        let cases: [(Change, &str, &str); 27] = [
            (|d| d.metric = text("manhattan"), "metric", "valid: cosine, l2, ip, l1, hamming, jaccard"),
            (|d| d.method = text("btree"), "method", "valid: ivfflat, hnsw"),
            (|d| d.quantize = text("int8"), "quantize", "valid: half, binary"),
            (|d| d.lists = Given::Now(0), "lists", "between 1 and 32768, not 0"),
            (|d| d.m = Given::Now(16), "m", "`m` is an option of hnsw, and the method is ivfflat, the default"),
            (|d| d.ef_construction = Given::Now(64), "ef_construction", "its options are: lists"),
            (|d| (d.method, d.lists) = (text("hnsw"), Given::Now(5)), "lists", "its options are: m, ef_construction"),
            (|d| (d.method, d.m) = (text("hnsw"), Given::Now(101)), "m", "between 2 and 100"),
            (
                |d| (d.method, d.ef_construction) = (text("hnsw"), Given::Now(3)),
                "ef_construction",
                "between 4 and 1000",
            ),
            (|d| (d.method, d.m) = (text("hnsw"), Given::Now(33)), "m", "it is 64 by default, and `m` is 33"),
            (
                |d| (d.method, d.ef_construction) = (text("hnsw"), Given::Now(31)),
                "ef_construction",
                "it is 31, and `m` is 16 by default",
            ),
            (|d| d.metric = text("l1"), "metric", "l1 needs method = \"hnsw\""),
            (
                |d| d.metric = text("jaccard"),
                "metric",
                "valid: cosine, l2, ip, hamming; jaccard needs method = \"hnsw\"",
            ),
            (|d| d.quantize = text("binary"), "metric", "cannot use the default metric cosine; valid: hamming"),
            (|d| (d.quantize, d.metric) = (text("half"), text("hamming")), "metric", "valid: cosine, l2, ip"),
            (|d| (d.subvector, d.metric) = (Given::Now(8), text("hamming")), "metric", "with `subvector` cannot"),
            (|d| d.subvector = Given::Now(1), "subvector", "between 2 and 4000, not 1"),
            (|d| (d.subvector, d.quantize) = (Given::Now(4_001), text("half")), "subvector", "4000 with quantize"),
            (|d| d.table = text("t"), "table", "exactly two parts"),
            (|d| d.column = text(""), "column", "cannot be empty"),
            (|d| d.name = Given::Now("x".repeat(53)), "name", "has 64 bytes"),
            (|d| d.predicate = text("  -- nothing"), "where", "empty"),
            (|d| d.predicate = text("true); drop table t; --"), "where", "no partner"),
            (|d| d.predicate = text("a; b"), "where", "semicolon"),
            (|d| d.predicate = text("true) with (m = 3"), "where", "no partner"),
            (|d| d.predicate = text("a = 'x"), "where", "no end"),
            (|d| d.predicate = text("WHERE a"), "where", "without the word where"),
        ];
        for (change, attribute, why) in cases {
            let faults = with(change).faults();
            assert_eq!(faults.len(), 1, "{attribute}: {faults:?}");
            assert_eq!(faults[0].blamed(), Some(&Blame::Attribute(attribute)), "{faults:?}");
            assert!(faults[0].message().contains(why), "{attribute}: {}", faults[0]);
        }
    }

    #[test]
    fn several_faults_are_reported_together() {
        let faults = with(|d| {
            d.metric = text("manhattan");
            d.lists = Given::Now(0);
            d.table = text("t");
        })
        .faults();
        assert_eq!(faults.len(), 3);
    }

    #[test]
    fn nothing_known_later_is_held_against_the_user() {
        let declaration = Declaration {
            table: Given::Later,
            column: Given::Later,
            name: Given::Later,
            metric: Given::Later,
            method: Given::Later,
            lists: Given::Later,
            m: Given::Later,
            ef_construction: Given::Later,
            quantize: Given::Later,
            subvector: Given::Later,
            predicate: Given::Later,
        };
        assert!(declaration.faults().is_empty());
        assert_eq!(declaration.spec(), None);
    }

    #[test]
    fn build_settings_are_checked() {
        let settings = |memory: &str, workers| BuildSettings {
            maintenance_work_mem: Some(memory.to_owned()),
            max_parallel_maintenance_workers: Some(workers),
        };
        assert!(settings("64MB", 0).faults().is_empty());
        assert!(settings("1 GB", 1_024).faults().is_empty());
        for memory in ["", "GB", "1.5GB", "1gb", "lots", "1GB'; drop"] {
            assert_eq!(settings(memory, 2).faults().len(), 1, "{memory}");
        }
        assert_eq!(settings("1GB", 2_000).faults().len(), 1);
    }
}
