//! What the index holds of the column: the expression, its type, the operator class; there and back.
//!
//! **Invariant:** pure. [`Key::of_expression`] reads exactly the forms that [`resolve`] writes, whatever brackets and
//! schemas the server puts around their parts.

use serde::{Deserialize, Serialize};

use super::operator_class::{
    Metric, Quantize, VectorType, list, max_dimensions, metrics, needs_two_dimensions, operator_class,
};
use super::spec::VectorIndexSpec;
use crate::error::{Blame, Error};
use crate::name::quote_ident;
use crate::pg_type::PgType;
use crate::sql_text::{Kind, significant};

/// The type of a column that pgvector can index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnType {
    /// The type.
    pub ty: VectorType,
    /// Its dimensions, where it names them.
    pub dimensions: Option<u32>,
}

impl ColumnType {
    /// The type that a declaration spells; `None` for one that pgvector cannot index.
    pub fn parse(type_name: &str) -> Option<Self> {
        let parsed = PgType::parse(type_name).ok()?;
        if parsed.is_array() {
            return None;
        }
        let ty = VectorType::ALL.iter().copied().find(|ty| ty.to_string() == parsed.name())?;
        Some(Self { ty, dimensions: parsed.numbers().first().copied().flatten().and_then(|n| n.try_into().ok()) })
    }
}

impl std::fmt::Display for ColumnType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.dimensions {
            Some(dimensions) => write!(f, "{}({dimensions})", self.ty),
            None => write!(f, "{}", self.ty),
        }
    }
}

/// What the index is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The column.
    pub column: String,
    /// What the index keeps of each vector.
    pub quantize: Option<Quantize>,
    /// How many leading dimensions.
    pub subvector: Option<u32>,
}

/// The parts of a `create index` that depend on the column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The column or expression, as it stands between the brackets.
    pub sql: String,
    /// The operator class.
    pub operator_class: &'static str,
}

/// Chooses expression and operator class, or says everything that is wrong now that the column's type is known.
pub(super) fn resolve(spec: &VectorIndexSpec, column: ColumnType) -> Result<Resolved, Vec<Error>> {
    let doing = format!("index column {:?} ({column}) of table {}", spec.column, spec.table);
    let fault = |attribute, message: String| Error::new(&doing, message).blame(Blame::Attribute(attribute));
    let mut faults = Vec::new();
    let indexed = match (spec.quantize, column.ty) {
        (None, ty) => ty,
        (Some(Quantize::Half), VectorType::Vector) => VectorType::Halfvec,
        (Some(Quantize::Binary), VectorType::Vector | VectorType::Halfvec) => VectorType::Bit,
        (Some(Quantize::Half), VectorType::Halfvec) => {
            faults.push(fault("quantize", "a halfvec is half size already; leave `quantize` out".to_owned()));
            VectorType::Halfvec
        }
        (Some(way), ty) => {
            let valid = match way {
                Quantize::Half => "vector",
                Quantize::Binary => "vector and halfvec",
            };
            faults.push(fault(
                "quantize",
                format!("quantize = \"{way}\" works on columns of type {valid}, not on {ty}; leave it out"),
            ));
            ty
        }
    };
    if spec.subvector.is_some() && !matches!(column.ty, VectorType::Vector | VectorType::Halfvec) {
        faults.push(fault(
            "subvector",
            format!("`subvector` works on columns of type vector and halfvec, not on {}", column.ty),
        ));
    }
    let class = operator_class(indexed, spec.metric, spec.method);
    if class.is_none() && faults.is_empty() {
        faults.push(no_class(spec, column.ty, indexed, &fault));
    }
    if let (Some(k), Some(dimensions)) = (spec.subvector, column.dimensions)
        && k > dimensions
    {
        faults.push(fault("subvector", format!("`subvector` is {k}, but the column has only {dimensions} dimensions")));
    }
    let dimensions = spec.subvector.or(column.dimensions);
    match dimensions {
        None => {
            faults.push(
                fault("column", format!("the type {} does not say how many dimensions it has", column.ty))
                    .advice("give the column's type its dimensions, such as vector(1536), or set `subvector`"),
            );
        }
        Some(dimensions) => {
            if let Some(most) = max_dimensions(indexed)
                && dimensions > most
            {
                faults.push(
                    fault(
                        "column",
                        format!(
                            "pgvector indexes at most {most} dimensions of type {indexed}, and there are {dimensions}"
                        ),
                    )
                    .advice(ways_out(column.ty, dimensions)),
                );
            }
            if dimensions < 2 && needs_two_dimensions(indexed, spec.metric, spec.method) {
                faults.push(fault(
                    "metric",
                    format!("ivfflat needs at least two dimensions for the metric {}; use l2 or hnsw", spec.metric),
                ));
            }
        }
    }
    match class {
        Some(operator_class) if faults.is_empty() => {
            Ok(Resolved { sql: expression(spec, column.ty, dimensions), operator_class })
        }
        _ => Err(faults),
    }
}

fn no_class(
    spec: &VectorIndexSpec,
    column: VectorType,
    indexed: VectorType,
    fault: &dyn Fn(&'static str, String) -> Error,
) -> Error {
    let valid = metrics(&[indexed], spec.method);
    if valid.is_empty() {
        return fault("method", format!("{} cannot index {indexed}; valid: hnsw", spec.method));
    }
    let bits = matches!(spec.metric, Metric::Hamming | Metric::Jaccard);
    let quantizable = matches!(column, VectorType::Vector | VectorType::Halfvec);
    let also = if bits && quantizable {
        format!("; {} compares bits, so it needs quantize = \"binary\" here", spec.metric)
    } else if operator_class(indexed, spec.metric, super::Method::Hnsw).is_some() {
        format!("; {} needs method = \"hnsw\"", spec.metric)
    } else {
        String::new()
    };
    fault(
        "metric",
        format!("{} cannot use the metric {} on {indexed}; valid: {}{also}", spec.method, spec.metric, list(valid)),
    )
}

fn ways_out(column: VectorType, dimensions: u32) -> String {
    let mut ways = Vec::new();
    if column == VectorType::Vector && dimensions <= 4_000 {
        ways.push("quantize = \"half\" (up to 4,000 dimensions)");
    }
    if matches!(column, VectorType::Vector | VectorType::Halfvec) && dimensions <= 64_000 {
        ways.push("quantize = \"binary\" with the metric hamming or jaccard (up to 64,000)");
    }
    if matches!(column, VectorType::Vector | VectorType::Halfvec) {
        ways.push("`subvector` to index only the first dimensions");
    }
    if ways.is_empty() { "use fewer dimensions".to_owned() } else { format!("set {}", ways.join(", or ")) }
}

fn expression(spec: &VectorIndexSpec, column: VectorType, dimensions: Option<u32>) -> String {
    let name = quote_ident(&spec.column);
    let dimensions = dimensions.unwrap_or_default();
    let part = spec.subvector.map(|k| format!("subvector({name}, 1, {k})"));
    match (spec.quantize, part) {
        (None, None) => name,
        (None, Some(part)) => format!("({part}::{column}({dimensions}))"),
        (Some(Quantize::Half), part) => format!("({}::halfvec({dimensions}))", part.unwrap_or(name)),
        (Some(Quantize::Binary), part) => {
            format!("(binary_quantize({})::bit({dimensions}))", part.unwrap_or(name))
        }
    }
}

impl Key {
    /// What this index is to be over.
    pub(super) fn wanted(spec: &VectorIndexSpec) -> Self {
        Self { column: spec.column.clone(), quantize: spec.quantize, subvector: spec.subvector }
    }

    /// Reads an index expression as the server prints it; `None` when it is not one of ours.
    pub(super) fn of_expression(expression: &str) -> Option<Self> {
        let parts = without_schemas(expression);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let number = |text: &str| text.parse::<u32>().ok();
        let key = |column: &str, quantize, subvector| Some(Self { column: unquote(column), quantize, subvector });
        match parts.as_slice() {
            [column, "::", "halfvec", _] => key(column, Some(Quantize::Half), None),
            ["binary_quantize", column, "::", "bit", _] => key(column, Some(Quantize::Binary), None),
            ["subvector", column, "1", k, "::", "vector", n] if k == n => key(column, None, number(k)),
            ["subvector", column, "1", k, "::", "halfvec", n] if k == n => {
                // A halfvec's own part and a vector's part made smaller look the same; the caller knows the column.
                key(column, Some(Quantize::Half), number(k))
            }
            ["binary_quantize", "subvector", column, "1", k, "::", "bit", n] if k == n => {
                key(column, Some(Quantize::Binary), number(k))
            }
            _ => None,
        }
    }
}

/// The names, numbers and casts of an expression, without brackets, commas and schemas.
fn without_schemas(expression: &str) -> Vec<String> {
    let lexemes = significant(expression);
    let mut parts: Vec<String> = Vec::new();
    let mut i = 0;
    while let Some(lexeme) = lexemes.get(i) {
        match (lexeme.kind, lexeme.text) {
            (Kind::Open | Kind::Close, _) | (_, ",") => {}
            (_, ".") => {
                parts.pop();
            }
            (_, ":") if lexemes.get(i + 1).is_some_and(|l| l.text == ":") => {
                parts.push("::".to_owned());
                i += 1;
            }
            _ => parts.push(lexeme.text.to_owned()),
        }
        i += 1;
    }
    parts
}

fn unquote(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::operator_class::Method;
    use super::*;
    use crate::name::TableName;

    fn spec(metric: Metric, method: Method) -> VectorIndexSpec {
        VectorIndexSpec {
            table: TableName::new("public", "t"),
            column: "e".to_owned(),
            name: "e".to_owned(),
            metric,
            method,
            lists: None,
            m: None,
            ef_construction: None,
            quantize: None,
            subvector: None,
            predicate: None,
        }
    }

    fn of(ty: VectorType, dimensions: u32) -> ColumnType {
        ColumnType { ty, dimensions: Some(dimensions) }
    }

    #[test]
    fn expressions_are_written() {
        use Quantize::{Binary, Half};
        use VectorType::{Halfvec, Vector};
        for (ty, quantize, subvector, sql, class) in [
            (Vector, None, None, "e", "vector_l2_ops"),
            (Vector, Some(Half), None, "(e::halfvec(8))", "halfvec_l2_ops"),
            (Vector, Some(Binary), None, "(binary_quantize(e)::bit(8))", "bit_hamming_ops"),
            (Vector, None, Some(4), "(subvector(e, 1, 4)::vector(4))", "vector_l2_ops"),
            (Halfvec, None, Some(4), "(subvector(e, 1, 4)::halfvec(4))", "halfvec_l2_ops"),
            (Vector, Some(Half), Some(4), "(subvector(e, 1, 4)::halfvec(4))", "halfvec_l2_ops"),
            (Halfvec, Some(Binary), Some(4), "(binary_quantize(subvector(e, 1, 4))::bit(4))", "bit_hamming_ops"),
        ] {
            let metric = if quantize == Some(Binary) { Metric::Hamming } else { Metric::L2 };
            let spec = VectorIndexSpec { quantize, subvector, ..spec(metric, Method::Hnsw) };
            let resolved = resolve(&spec, of(ty, 8)).unwrap();
            assert_eq!((resolved.sql.as_str(), resolved.operator_class), (sql, class));
        }
    }

    #[test]
    fn expressions_are_read_back() {
        use Quantize::{Binary, Half};
        for (expression, column, quantize, subvector) in [
            ("(e)::public.halfvec(3)", "e", Some(Half), None),
            ("((e)::halfvec(3))", "e", Some(Half), None),
            ("(public.binary_quantize(\"H \"\"x\"))::bit(3)", "H \"x", Some(Binary), None),
            ("(\"My ext\".subvector(e, 1, 2))::\"My ext\".vector(2)", "e", None, Some(2)),
            ("(public.subvector(e, 1, 2))::public.halfvec(2)", "e", Some(Half), Some(2)),
            ("(public.binary_quantize(public.subvector(e, 1, 2)))::bit(2)", "e", Some(Binary), Some(2)),
        ] {
            let key = Key { column: column.to_owned(), quantize, subvector };
            assert_eq!(Key::of_expression(expression), Some(key), "{expression}");
        }
        for foreign in
            ["lower(e)", "(e)::public.vector(3)", "(public.subvector(e, 2, 2))::public.vector(2)", "l2_normalize(e)"]
        {
            assert_eq!(Key::of_expression(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_the_type_shows_to_be_wrong_is_said_before_anything_is_built() {
        use Method::{Hnsw, Ivfflat};
        use Metric::{Cosine, Hamming, L1, L2};
        use VectorType::{Bit, Halfvec, Sparsevec, Vector};
        let plain = |metric, method| spec(metric, method);
        let none = ColumnType { ty: Vector, dimensions: None };
        for (spec, column, attribute, why) in [
            (plain(Hamming, Hnsw), of(Vector, 3), "metric", "needs quantize = \"binary\""),
            (plain(Cosine, Hnsw), of(Bit, 8), "metric", "valid: hamming, jaccard"),
            (plain(L2, Ivfflat), of(Sparsevec, 5), "method", "valid: hnsw"),
            (plain(L1, Ivfflat), of(Vector, 5), "metric", "l1 needs method = \"hnsw\""),
            (
                plain(L2, Hnsw),
                of(Vector, 2_001),
                "column",
                "at most 2000 dimensions of type vector, and there are 2001",
            ),
            (plain(L2, Hnsw), of(Halfvec, 4_001), "column", "at most 4000"),
            (plain(Hamming, Hnsw), of(Bit, 64_001), "column", "at most 64000"),
            (plain(L2, Hnsw), none, "column", "does not say how many dimensions"),
            (plain(Cosine, Ivfflat), of(Vector, 1), "metric", "at least two dimensions"),
            (
                VectorIndexSpec { subvector: Some(9), ..plain(L2, Hnsw) },
                of(Vector, 8),
                "subvector",
                "only 8 dimensions",
            ),
            (
                VectorIndexSpec { subvector: Some(2), ..plain(L2, Hnsw) },
                of(Sparsevec, 8),
                "subvector",
                "not on sparsevec",
            ),
            (
                VectorIndexSpec { quantize: Some(Quantize::Half), ..plain(L2, Hnsw) },
                of(Halfvec, 8),
                "quantize",
                "already",
            ),
            (
                VectorIndexSpec { quantize: Some(Quantize::Binary), ..plain(Hamming, Hnsw) },
                of(Bit, 8),
                "quantize",
                "vector and halfvec, not on bit",
            ),
        ] {
            let faults = resolve(&spec, column).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].blamed(), Some(&Blame::Attribute(attribute)), "{faults:?}");
            assert!(faults[0].message().contains(why), "{}", faults[0]);
        }
        let advice = resolve(&plain(L2, Hnsw), of(Vector, 3_072)).unwrap_err()[0].advised().unwrap().to_owned();
        assert!(advice.contains("quantize = \"half\""), "{advice}");
    }

    #[test]
    fn large_embeddings_fit_when_quantized_or_cut() {
        let column = of(VectorType::Vector, 3_072);
        for spec in [
            VectorIndexSpec { quantize: Some(Quantize::Half), ..spec(Metric::Cosine, Method::Hnsw) },
            VectorIndexSpec { quantize: Some(Quantize::Binary), ..spec(Metric::Hamming, Method::Hnsw) },
            VectorIndexSpec { subvector: Some(512), ..spec(Metric::Cosine, Method::Hnsw) },
        ] {
            assert!(resolve(&spec, column).is_ok());
        }
    }
}
