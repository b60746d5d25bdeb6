//! Random valid configurations of `pg_vector_index`, and the table that they are on.
//!
//! **Invariant:** whatever comes out of here is something that pgvector 0.8 can build on that table.

use proptest::prelude::*;
use proptest::sample::select;
use tfplugin::Value;

use crate::cells::Cell;

/// The dimensions of every column of the table.
const DIMENSIONS: i64 = 8;

/// The columns that can be indexed, with the type of each.
const COLUMNS: [(&str, &str); 5] =
    [("v", "vector(8)"), ("My Vector", "vector(8)"), ("h", "halfvec(8)"), ("b", "bit(8)"), ("s", "sparsevec(8)")];

/// A table's columns and rows with something of every type that pgvector indexes.
pub(crate) fn table(name: &str) -> Value {
    let column = |ty: &str| {
        Value::object([
            ("type", ty.into()),
            ("nullable", Value::Null),
            ("default", Value::Null),
            ("comment", Value::Null),
        ])
    };
    let columns = COLUMNS.iter().copied().chain([("id", "bigint")]).map(|(name, ty)| (name, column(ty)));
    let row = |id: i64| {
        let vector = || Cell::List((0..DIMENSIONS).map(|i| Cell::Number((i * id % 5 + 1).to_string())).collect());
        let cells = [
            ("id", Cell::Number(id.to_string())),
            ("v", vector()),
            ("My Vector", if id % 3 == 0 { Cell::Null } else { vector() }),
            ("h", vector()),
            ("b", Cell::Text(format!("{:08b}", id % 256))),
            ("s", Cell::Text(format!("{{1:{id},3:2}}/8"))),
        ];
        Cell::Object(cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect())
    };
    Value::object([
        ("table_name", Value::from(name)),
        ("primary_key", vec!["id"].into()),
        ("columns", Value::object(columns)),
        ("rows", Cell::List((1..12).map(row).collect()).dynamic()),
        ("force_destroy", true.into()),
    ])
}

/// A vector index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    column: &'static str,
    name: Option<&'static str>,
    metric: Option<&'static str>,
    method: Option<&'static str>,
    options: [Option<i64>; 3],
    quantize: Option<&'static str>,
    subvector: Option<i64>,
    condition: Option<&'static str>,
    concurrently: Option<bool>,
    memory: Option<&'static str>,
    workers: Option<i64>,
    timeout: Option<&'static str>,
}

impl Index {
    /// The configuration, on the table with this id.
    pub(crate) fn config(&self, table: Value) -> Value {
        let text = |text: Option<&str>| Value::from(text.map(Value::from));
        let mut config = Value::object([
            ("table", table),
            ("column", self.column.into()),
            ("name", text(self.name)),
            ("metric", text(self.metric)),
            ("method", text(self.method)),
            ("lists", self.options[0].into()),
            ("m", self.options[1].into()),
            ("ef_construction", self.options[2].into()),
            ("quantize", text(self.quantize)),
            ("subvector", self.subvector.into()),
            ("where", text(self.condition)),
            ("concurrently", self.concurrently.into()),
        ]);
        if self.memory.is_some() || self.workers.is_some() {
            let workers = self.workers.into();
            let build = [("maintenance_work_mem", text(self.memory)), ("max_parallel_maintenance_workers", workers)];
            config.set("build", Value::object(build));
        }
        if self.timeout.is_some() {
            config.set("timeouts", Value::object([("create", text(self.timeout))]));
        }
        config
    }

    /// The index's name in the database.
    pub(crate) fn index_name(&self, table: &str) -> String {
        format!("{table}__vector__{}", self.name.unwrap_or(self.column))
    }
}

/// The metrics that a type can be indexed by, with the method.
fn metrics(ty: &str, method: &str) -> Vec<&'static str> {
    match (ty, method) {
        ("bit", "ivfflat") => vec!["hamming"],
        ("bit", _) => vec!["hamming", "jaccard"],
        ("sparsevec", "ivfflat") => vec![],
        (_, "ivfflat") => vec!["cosine", "l2", "ip"],
        _ => vec!["cosine", "l2", "ip", "l1"],
    }
}

/// Any index.
pub(crate) fn index() -> impl Strategy<Value = Index> {
    let key =
        (select(COLUMNS.to_vec()), select(vec!["ivfflat", "hnsw"]), select(vec![None, Some("half"), Some("binary")]))
            .prop_map(|((column, ty), method, quantize)| {
                let ty = ty.split('(').next().unwrap_or_default();
                // What a type cannot be quantized to is left as it is.
                let quantize = match (ty, quantize) {
                    ("vector", quantize) => quantize,
                    ("halfvec", Some("binary")) => Some("binary"),
                    _ => None,
                };
                let held = match quantize {
                    Some("half") => "halfvec",
                    Some(_) => "bit",
                    None => ty,
                };
                let method = if metrics(held, method).is_empty() { "hnsw" } else { method };
                (column, ty, method, quantize, metrics(held, method))
            })
            .prop_flat_map(|(column, ty, method, quantize, metrics)| {
                let subvector = if matches!(ty, "vector" | "halfvec") {
                    select(vec![None, Some(2), Some(5), Some(DIMENSIONS)]).boxed()
                } else {
                    Just(None).boxed()
                };
                let options = if method == "ivfflat" {
                    select(vec![[None; 3], [Some(1), None, None], [Some(4), None, None]])
                } else {
                    let hnsw = |m, ef| [None, m, ef];
                    select(vec![[None; 3], hnsw(Some(4), Some(8)), hnsw(Some(16), None), hnsw(None, Some(40))])
                };
                (Just(column), Just(method), Just(quantize), select(metrics), subvector, options, any::<bool>())
            });
    let rest = (
        select(vec![None, Some("short"), Some("a Name")]),
        select(vec![
            None,
            Some("id > 3"),
            Some("\"My Vector\" is not null and (id <> 5 or true)"),
            Some("id in (1, 2)"),
        ]),
        select(vec![None, Some(true), Some(false)]),
        select(vec![None, Some("32MB"), Some("65536kB")]),
        select(vec![None, Some(0), Some(2)]),
        select(vec![None, Some("1m")]),
    );
    (key, rest).prop_map(|(key, (name, condition, concurrently, memory, workers, timeout))| {
        let (column, method, quantize, metric, subvector, options, explicit) = key;
        Index {
            column,
            name,
            // What is the default may be written down or left out.
            metric: (explicit || metric != "cosine").then_some(metric),
            method: (explicit || method != "ivfflat").then_some(method),
            options,
            quantize,
            subvector,
            condition,
            concurrently,
            memory,
            workers,
            timeout,
        }
    })
}
