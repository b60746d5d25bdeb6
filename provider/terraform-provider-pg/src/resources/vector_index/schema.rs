//! The attributes of `pg_vector_index`, as data.

use tfplugin::{Attribute, Default, Mode, Nesting, Schema, Type};

use crate::attributes::{same_table, timeouts};
use crate::steps;

/// The schema of `pg_vector_index`.
pub fn schema() -> Schema {
    Schema {
        version: 0,
        description: "A pgvector index on a column of a table, for nearest-neighbour queries.\n\n\
            It is built concurrently unless told otherwise, so reading and writing go on. A changed index is built \
            beside the old one, under a reserved name that begins with `terraform_pg_build_`, and takes its place in one \
            short transaction: queries are never without an index. What an interrupted build left behind is recognised \
            by the next apply, and finished or removed.\n\n\
            When the type of its column changes, the table's change builds the index again if it cannot follow. To \
            change the type and the index in one apply (`m`, or `ivfflat` to `hnsw` with a column that becomes \
            `sparsevec`), add `lifecycle { replace_triggered_by = [pg_table_target.products.columns[\"embedding\"]] }` to \
            the index: it then goes before its column is changed, and is built after it.",
        attributes: vec![
            Attribute::new(
                "table",
                Type::String,
                Mode::Required,
                "The table: the `id` of a `pg_table_target`, or `schema.table`, quoted as in SQL where needed.",
            )
            .replace()
            .same(same_table),
            Attribute::new(
                "column",
                Type::String,
                Mode::Required,
                "The column, of type `vector`, `halfvec`, `bit` or `sparsevec`.",
            ),
            Attribute::new(
                "name",
                Type::String,
                Mode::OptionalComputed,
                "The short name, when a column has more than one index. Defaults to the name of the column. In the \
                 database the index is named `{table}__vector__{name}`.",
            )
            .keep_prior(),
            Attribute::new(
                "metric",
                Type::String,
                Mode::Optional,
                "How near two vectors are: `cosine` (the default), `l2`, `ip`, `l1`, and for bits `hamming`, `jaccard`. \
                 `l1` and `jaccard` need `method = \"hnsw\"`.",
            )
            .default(Default::String("cosine")),
            Attribute::new(
                "method",
                Type::String,
                Mode::Optional,
                "How the index is organised: `ivfflat` (the default) or `hnsw`. Build `ivfflat` when the rows are there \
                 already; it does not serve `sparsevec`.",
            )
            .default(Default::String("ivfflat")),
            Attribute::new(
                "lists",
                Type::Number,
                Mode::Optional,
                "An option of `ivfflat`, 1 to 32768: into how many lists the vectors are sorted. pgvector's default is 100.",
            ),
            Attribute::new(
                "m",
                Type::Number,
                Mode::Optional,
                "An option of `hnsw`, 2 to 100: how many neighbours each vector keeps. pgvector's default is 16.",
            ),
            Attribute::new(
                "ef_construction",
                Type::Number,
                Mode::Optional,
                "An option of `hnsw`, 4 to 1000 and at least twice `m`: how many candidates the build looks at. \
                 pgvector's default is 64.",
            ),
            Attribute::new(
                "quantize",
                Type::String,
                Mode::Optional,
                "What the index keeps of each vector: `half` (two bytes for each dimension, up to 4,000 dimensions) or \
                 `binary` (one bit for each, up to 64,000, with the metric `hamming` or `jaccard`). Queries must use the \
                 same expression: `embedding::halfvec(3072) <=> $1`, or `binary_quantize(embedding)::bit(3072) <~> \
                 binary_quantize($1)`.",
            ),
            Attribute::new(
                "subvector",
                Type::Number,
                Mode::Optional,
                "How many leading dimensions are indexed; for embeddings that stay useful when they are cut. Queries must \
                 use the same expression: `subvector(embedding, 1, 512)::vector(512) <=> $1`.",
            ),
            Attribute::new(
                "where",
                Type::String,
                Mode::Optional,
                "Which rows are indexed: an SQL condition, without the word `where`.",
            ),
            Attribute::new(
                "concurrently",
                Type::Bool,
                Mode::Optional,
                "Whether writing goes on during the build. Defaults to `true`; set it to `false` for a partitioned table \
                 or to build faster.",
            )
            .default(Default::Bool(true)),
            build(),
            timeouts(),
            Attribute::new(
                "id",
                Type::String,
                Mode::Computed,
                "`schema.index`, quoted as in SQL where needed; what `import` takes.",
            ),
            Attribute::new(
                "index_name",
                Type::String,
                Mode::Computed,
                "The name of the index in the database: `{table}__vector__{name}`.",
            ),
            Attribute::new(
                "operator_class",
                Type::String,
                Mode::Computed,
                "The operator class that follows from the column's type and the metric, such as `vector_cosine_ops`.",
            ),
            Attribute::new(
                "valid",
                Type::Bool,
                Mode::Computed,
                "Whether the server uses the index, and the index does what its options say. One that is not valid is \
                 built again.",
            ),
            steps::attribute(),
        ],
    }
}

/// The attributes of the identity.
pub fn identity() -> Vec<Attribute> {
    vec![
        Attribute::new("schema_name", Type::String, Mode::Required, "The schema of the index, which is the table's."),
        Attribute::new("index_name", Type::String, Mode::Required, "The name of the index in the database."),
    ]
}

fn build() -> Attribute {
    Attribute::nested(
        "build",
        Nesting::Single,
        vec![
            Attribute::new(
                "maintenance_work_mem",
                Type::String,
                Mode::Optional,
                "Memory for the build, such as `\"2GB\"`. An `hnsw` build is much faster while its graph fits.",
            ),
            Attribute::new(
                "max_parallel_maintenance_workers",
                Type::Number,
                Mode::Optional,
                "How many workers help with the build, 0 to 1024.",
            ),
        ],
        Mode::Optional,
        "Settings of the session that builds the index, and of no other. A change of them alone builds nothing.",
    )
}
