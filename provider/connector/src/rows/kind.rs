//! What a column's type asks of its cells, told from the type's spelling alone.
//!
//! **Invariant:** a type that is not recognised is never refused: its cells travel as text and the server judges them.

/// What the cells of a column must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnKind {
    /// The type, or the type of the array's elements.
    pub(crate) base: Base,
    /// Whether the column holds arrays.
    pub(crate) array: bool,
}

/// A scalar type, as far as cells are checked before they travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// `boolean`.
    Bool,
    /// `smallint`, `integer`, `bigint`, `oid`.
    Integer {
        /// The smallest value.
        min: i128,
        /// The greatest value.
        max: i128,
    },
    /// `numeric`.
    Numeric {
        /// The number of digits, and of those the number after the point.
        precision: Option<(i64, i64)>,
    },
    /// `real` and `double precision`.
    Float {
        /// Whether it is `real`.
        single: bool,
    },
    /// `text`, `varchar`, `char`, `citext` and `name`.
    Text {
        /// The greatest number of characters.
        limit: Option<usize>,
        /// When two texts are the same key.
        equality: TextEquality,
    },
    /// `bytea`.
    Bytea,
    /// `uuid`.
    Uuid,
    /// Dates, times and intervals.
    Time,
    /// `json` and `jsonb`.
    Json,
    /// `vector` and `halfvec`.
    Vector {
        /// The number of dimensions.
        dimension: Option<usize>,
        /// Whether it is `halfvec`.
        half: bool,
    },
    /// `bit` and `bit varying`.
    Bits {
        /// The length.
        length: Option<usize>,
        /// Whether a shorter text fits too.
        varying: bool,
    },
    /// A known type whose cells are text that only the server reads, such as `inet` and the ranges.
    Literal {
        /// What stands between the elements of an array of it: a comma, but for `box`.
        delimiter: char,
    },
    /// A type of the user's own or one that is not known here.
    Unknown,
}

/// When two texts are the same to a primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextEquality {
    /// When they are the same characters.
    Exact,
    /// When they are the same without the spaces at the end.
    Padded,
    /// When they are the same without regard to case.
    IgnoreCase,
}

impl ColumnKind {
    /// Reads the spelling of a type.
    pub(crate) fn of(type_name: &str) -> Self {
        if type_name.contains('"') {
            return Self { base: Base::Unknown, array: type_name.trim_end().ends_with(']') };
        }
        let mut name = type_name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let mut array = false;
        while name.ends_with(']') {
            array = true;
            name.truncate(name.rfind('[').unwrap_or(0));
            name.truncate(name.trim_end().len());
        }
        if let Some(element) = name.strip_suffix(" array") {
            array = true;
            name = element.to_owned();
        }
        let mut modifiers = Vec::new();
        if let Some((head, rest)) = name.split_once('(')
            && let Some((inside, tail)) = rest.split_once(')')
        {
            modifiers = inside.split(',').map_while(|m| m.trim().parse::<i64>().ok()).collect();
            // `timestamp(3) with time zone` is `timestamp with time zone`.
            name = [head.trim_end(), tail.trim_start()].join(" ");
        }
        Self { base: base(name.trim_end(), &modifiers), array }
    }
}

fn base(name: &str, modifiers: &[i64]) -> Base {
    let length = modifiers.first().and_then(|&n| usize::try_from(n).ok());
    let integer = |min: i128, max: i128| Base::Integer { min, max };
    let text = |limit, equality| Base::Text { limit, equality };
    match name.strip_prefix("pg_catalog.").unwrap_or(name) {
        "boolean" | "bool" => Base::Bool,
        "smallint" | "int2" | "smallserial" | "serial2" => integer(i16::MIN.into(), i16::MAX.into()),
        "integer" | "int" | "int4" | "serial" | "serial4" => integer(i32::MIN.into(), i32::MAX.into()),
        "bigint" | "int8" | "bigserial" | "serial8" => integer(i64::MIN.into(), i64::MAX.into()),
        "oid" => integer(0, u32::MAX.into()),
        "numeric" | "decimal" | "dec" => Base::Numeric {
            precision: modifiers.first().map(|&digits| (digits, modifiers.get(1).copied().unwrap_or(0))),
        },
        "real" | "float4" => Base::Float { single: true },
        "double precision" | "float8" => Base::Float { single: false },
        "float" => Base::Float { single: modifiers.first().is_some_and(|&bits| bits <= 24) },
        "text" | "name" => text(None, TextEquality::Exact),
        "varchar" | "character varying" | "char varying" | "nchar varying" => text(length, TextEquality::Exact),
        "char" | "character" | "nchar" => text(Some(length.unwrap_or(1)), TextEquality::Padded),
        "bpchar" => text(length, TextEquality::Padded),
        "bytea" => Base::Bytea,
        "uuid" => Base::Uuid,
        "date" | "time" | "timetz" | "timestamp" | "timestamptz" | "interval" => Base::Time,
        "json" | "jsonb" => Base::Json,
        "bit" => Base::Bits { length: Some(length.unwrap_or(1)), varying: false },
        "varbit" | "bit varying" => Base::Bits { length, varying: true },
        "inet" | "cidr" | "macaddr" | "macaddr8" | "xml" | "tsvector" | "tsquery" | "point" | "line" | "lseg"
        | "path" | "polygon" | "circle" | "pg_lsn" | "int4range" | "int8range" | "numrange" | "tsrange"
        | "tstzrange" | "daterange" | "int4multirange" | "int8multirange" | "nummultirange" | "tsmultirange"
        | "tstzmultirange" | "datemultirange" => Base::Literal { delimiter: ',' },
        "box" => Base::Literal { delimiter: ';' },
        other if ["time ", "timestamp ", "interval "].iter().any(|word| other.starts_with(word)) => Base::Time,
        // The types of extensions may stand in any schema.
        other => match other.rsplit('.').next().unwrap_or(other) {
            "vector" => Base::Vector { dimension: length, half: false },
            "halfvec" => Base::Vector { dimension: length, half: true },
            "sparsevec" => Base::Literal { delimiter: ',' },
            "citext" => text(None, TextEquality::IgnoreCase),
            _ => Base::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_type_are_one_kind() {
        for spellings in [
            &["bigint", "int8", "BIGINT", " pg_catalog.int8 ", "bigserial"][..],
            &["varchar(3)", "character varying(3)", "CHARACTER  VARYING ( 3 )"],
            &["timestamptz", "timestamp with time zone", "timestamp(3) with time zone", "interval day to second"],
            &["numeric(10,2)", "decimal(10, 2)", "pg_catalog.numeric(10,2)"],
            &["vector(3)", "public.vector(3)", "extensions.VECTOR(3)"],
            &["bigint[]", "int8[3][3]", "bigint array", "bigint ARRAY[4]"],
            &["char", "character(1)", "bpchar(1)"],
            &["real", "float4", "float(24)"],
            &["double precision", "float", "float(25)", "float8"],
        ] {
            for spelling in spellings {
                assert_eq!(ColumnKind::of(spelling), ColumnKind::of(spellings[0]), "{spelling}");
                assert_ne!(ColumnKind::of(spelling).base, Base::Unknown, "{spelling}");
            }
        }
    }

    #[test]
    fn arrays_and_unknown_types_are_told_apart() {
        assert!(ColumnKind::of("vector(3)[]").array);
        assert!(!ColumnKind::of("vector(3)").array);
        assert_eq!(ColumnKind::of("mood").base, Base::Unknown);
        assert_eq!(ColumnKind::of("\"char\"").base, Base::Unknown);
        assert_eq!(ColumnKind::of("timescale.thing").base, Base::Unknown);
    }
}
