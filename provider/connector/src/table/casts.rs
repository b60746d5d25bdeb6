//! What changing a column's type from one type to another means.
//!
//! **Invariant:** the pair of types decides, never the data; a value that does not fit makes the server refuse, it is
//! never cut off. Which values fit and would be others all the same, [`super::kept`] says.

use super::kept::{self, Rule};
use crate::pg_type::PgType;

/// What a change of type takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Retype {
    /// The server has no cast: the data cannot be kept.
    Impossible,
    /// The server can convert each value.
    Convert {
        /// The type that each value is cast to, where `using` is needed.
        using: Option<String>,
        /// Whether the whole table is written again.
        rewrites: bool,
        /// Whether values may lose digits or parts.
        loses: bool,
    },
}

/// The pairs of built-in types that `pg_cast` has, by internal name.
const CASTS: &str = " bit>int4 bit>int8 bit>varbit bool>int4 box>circle box>lseg box>point box>polygon bytea>int2 \
    bytea>int4 bytea>int8 char>int4 cidr>inet circle>box circle>point circle>polygon date>timestamp date>timestamptz \
    daterange>datemultirange float4>float8 float4>int2 float4>int4 float4>int8 float4>numeric float8>float4 float8>int2 \
    float8>int4 float8>int8 float8>numeric inet>cidr int2>bytea int2>float4 int2>float8 int2>int4 int2>int8 int2>numeric \
    int2>oid int4>bit int4>bool int4>bytea int4>char int4>float4 int4>float8 int4>int2 int4>int8 int4>money int4>numeric \
    int4>oid int4range>int4multirange int8>bit int8>bytea int8>float4 int8>float8 int8>int2 int8>int4 int8>money \
    int8>numeric int8>oid int8range>int8multirange interval>time json>jsonb jsonb>bool jsonb>float4 jsonb>float8 \
    jsonb>int2 jsonb>int4 jsonb>int8 jsonb>json jsonb>numeric lseg>point macaddr8>macaddr macaddr>macaddr8 money>numeric \
    numeric>float4 numeric>float8 numeric>int2 numeric>int4 numeric>int8 numeric>money numrange>nummultirange oid>int4 \
    oid>int8 path>polygon point>box polygon>box polygon>circle polygon>path polygon>point time>interval time>timetz \
    timestamp>date timestamp>time timestamp>timestamptz timestamptz>date timestamptz>time timestamptz>timestamp \
    timestamptz>timetz timetz>time tsrange>tsmultirange tstzrange>tstzmultirange varbit>bit xid8>xid ";

/// The pairs whose values are stored alike, so that nothing is written again.
const STORED_ALIKE: &str = " bit>varbit cidr>inet int4>oid oid>int4 text>bpchar text>varchar varchar>bpchar \
    varchar>text xml>bpchar xml>text xml>varchar ";

/// Decides.
pub(super) fn retype(from: &PgType, to: &PgType) -> Retype {
    if dimension_changes(from, to) || !has_cast(from, to) {
        return Retype::Impossible;
    }
    let loses = matches!(kept::rule(from, to), Rule::Loses(_));
    Retype::Convert { using: using(from, to), rewrites: rewrites(from, to), loses }
}

/// Whether a vector of a known dimension becomes one of another.
fn dimension_changes(from: &PgType, to: &PgType) -> bool {
    from.is_pgvector()
        && to.is_pgvector()
        && !from.modifiers().is_empty()
        && !to.modifiers().is_empty()
        && from.modifiers() != to.modifiers()
}

fn has_cast(from: &PgType, to: &PgType) -> bool {
    let is_text = |t: &PgType| !t.is_array() && kept::is_string(t);
    if is_text(from) || is_text(to) || !kept::is_known(from) || !kept::is_known(to) {
        return true;
    }
    match (from.is_array(), to.is_array()) {
        (true, true) => has_cast(&from.element(), &to.element()),
        (false, true) => from.is_pgvector() && to.name() == "float4" && from.name() != "sparsevec",
        (true, false) => to.is_pgvector() && matches!(from.name(), "float4" | "float8" | "int4" | "numeric"),
        (false, false) => {
            from.name() == to.name()
                || (from.is_pgvector() && to.is_pgvector())
                || kept::is_listed(CASTS, from, to)
                || among_numbers_of_objects(from.name(), to.name())
        }
    }
}

/// Whether both are the numbers of objects, such as `regclass`, or numbers that these can be read from and written to.
fn among_numbers_of_objects(from: &str, to: &str) -> bool {
    let is_named = |name: &str| name.starts_with("reg");
    match (is_named(from), is_named(to)) {
        (false, true) => matches!(from, "int2" | "int4" | "int8" | "oid"),
        (true, false) => matches!(to, "int4" | "int8" | "oid"),
        (true, true) => {
            let (short, long) = if from.len() < to.len() { (from, to) } else { (to, from) };
            matches!((short, long), ("regproc", "regprocedure") | ("regoper", "regoperator"))
        }
        (false, false) => false,
    }
}

/// An explicit cast to `varchar(3)` cuts off what is too long. So `using` casts to the type without its length, and the
/// assignment to the column then refuses what does not fit. Where only the modifiers differ there is no `using` at all:
/// with it, the server would not see that nothing has to be written.
fn using(from: &PgType, to: &PgType) -> Option<String> {
    if from.unmodified().is_same(&to.unmodified()) {
        return None;
    }
    if !to.is_builtin() && !to.is_pgvector() {
        return Some(to.to_string());
    }
    Some(match to.name() {
        "bit" if to.is_array() => "bit varying[]".to_owned(),
        "bit" if matches!(from.name(), "int4" | "int8") => to.to_string(),
        "bit" => "bit varying".to_owned(),
        _ => to.unmodified().to_string(),
    })
}

fn rewrites(from: &PgType, to: &PgType) -> bool {
    if from.is_array() != to.is_array() || from.is_builtin() != to.is_builtin() {
        return true;
    }
    if from.name() != to.name() {
        let to_unlimited = to.modifiers().is_empty();
        return !(to_unlimited && !from.is_array() && kept::is_listed(STORED_ALIKE, from, to));
    }
    let same_fields = to.fields().is_none_or(|fields| from.fields() == Some(fields));
    let (old, new) = (from.numbers(), to.numbers());
    match (from.name(), old.as_slice(), new.as_slice()) {
        (_, _, []) => !same_fields,
        _ if from.is_array() => true,
        ("varchar" | "varbit" | "time" | "timetz" | "timestamp" | "timestamptz", [Some(a)], [Some(b)]) => b < a,
        ("time" | "timetz" | "timestamp" | "timestamptz", [], [Some(b)]) => *b < 6,
        ("numeric", [Some(p), Some(s)], [Some(q), Some(t)]) => q < p || s != t,
        ("interval", [Some(a)], [Some(b)]) => b < a || !same_fields,
        ("interval", [], [Some(b)]) => *b < 6 || !same_fields,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(from: &str, to: &str) -> Retype {
        retype(&PgType::parse(from).unwrap(), &PgType::parse(to).unwrap())
    }

    #[test]
    fn pairs_without_a_cast_are_impossible() {
        for (from, to) in [
            ("bigint", "uuid"),
            ("boolean", "numeric"),
            ("bigint", "boolean"),
            ("uuid", "bytea"),
            ("jsonb", "text[]"),
            ("date", "integer"),
            ("timestamptz", "bigint"),
            ("integer", "integer[]"),
            ("integer[]", "integer"),
            ("uuid[]", "int[]"),
            ("regclass", "smallint"),
            ("regclass", "regtype"),
            ("regclass", "date"),
            ("vector(3)", "vector(4)"),
            ("vector(3)", "halfvec(4)"),
            ("vector(3)", "jsonb"),
            ("vector(3)", "integer[]"),
            ("sparsevec(3)", "real[]"),
            ("text[]", "vector(3)"),
        ] {
            assert_eq!(decide(from, to), Retype::Impossible, "{from} to {to}");
        }
    }

    #[test]
    fn pairs_with_a_cast_convert() {
        for (from, to, using, rewrites, loses) in [
            ("integer", "bigint", "bigint", true, false),
            ("bigint", "integer", "integer", true, false),
            ("text", "integer", "integer", true, false),
            ("uuid", "text", "text", true, false),
            ("jsonb", "text", "text", true, false),
            ("text", "jsonb", "jsonb", true, false),
            ("text", "text[]", "text[]", true, false),
            ("text", "vector(3)", "vector", true, false),
            ("vector(3)", "text", "text", true, false),
            ("mood", "bigint", "bigint", true, true),
            ("bigint", "app.mood", "app.mood", true, true),
            ("text", "geometry(Point,4326)", "geometry(Point,4326)", true, false),
            ("varchar(3)", "varchar(5)", "", false, false),
            ("varchar(5)", "varchar(3)", "", true, false),
            ("varchar(5)", "varchar", "", false, false),
            ("varchar", "varchar(3)", "", true, false),
            ("varchar(5)", "text", "text", false, false),
            ("text", "varchar", "character varying", false, false),
            ("text", "varchar(9)", "character varying", true, false),
            ("char(3)", "char(5)", "", true, false),
            ("char(3)", "text", "text", true, false),
            ("bit(3)", "bit(5)", "", true, false),
            ("text", "bit(5)", "bit varying", true, false),
            ("integer", "bit(5)", "bit(5)", true, true),
            ("varbit(3)", "varbit(5)", "", false, false),
            ("numeric(10,2)", "numeric(12,2)", "", false, false),
            ("numeric(10,2)", "numeric", "", false, false),
            ("numeric(10,2)", "numeric(12,4)", "", true, false),
            ("numeric(10,2)", "numeric(10,1)", "", true, true),
            ("numeric", "numeric(10,2)", "", true, true),
            ("integer", "numeric(10,2)", "numeric", true, false),
            ("numeric", "integer", "integer", true, true),
            ("double precision", "numeric(10,2)", "numeric", true, true),
            ("timestamp", "timestamptz", "timestamp with time zone", true, false),
            ("timestamptz", "date", "date", true, true),
            ("timestamp(3)", "timestamp(6)", "", false, false),
            ("timestamp(3)", "timestamp", "", false, false),
            ("timestamp", "timestamp(3)", "", true, true),
            ("interval(3)", "interval", "", false, false),
            ("interval", "interval year", "", true, true),
            ("interval year", "interval", "", false, false),
            ("bigint", "regclass", "regclass", true, true),
            ("regprocedure", "regproc", "regproc", true, true),
            ("cidr", "inet", "inet", false, false),
            ("inet", "cidr", "cidr", true, true),
            ("xml", "text", "text", false, false),
            ("integer[]", "bigint[]", "bigint[]", true, false),
            ("varchar(3)[]", "varchar(5)[]", "", true, false),
            ("bit(3)[]", "bit(5)[]", "", true, false),
            ("varchar(3)[]", "varchar[]", "", false, false),
            ("geometry(Point)", "geometry", "", false, false),
            ("text[]", "bit(5)[]", "bit varying[]", true, false),
            ("vector(3)", "vector", "", false, false),
            ("vector", "vector(3)", "", true, false),
            ("vector(3)", "halfvec(3)", "halfvec", true, true),
            ("halfvec(3)", "vector(3)", "vector", true, false),
            ("public.vector(3)", "halfvec(3)", "halfvec", true, true),
            ("vector(3)", "real[]", "real[]", true, false),
            ("real[]", "vector(3)", "vector", true, false),
        ] {
            let expected = Retype::Convert { using: (!using.is_empty()).then(|| using.to_owned()), rewrites, loses };
            assert_eq!(decide(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn the_lists_name_known_types() {
        for list in [CASTS, STORED_ALIKE] {
            for pair in list.split_whitespace() {
                let (from, to) = pair.split_once('>').unwrap();
                for name in [from, to] {
                    let quoted = PgType::parse(&format!("\"{name}\"")).unwrap();
                    assert!(quoted.is_builtin() || quoted.is_pgvector(), "{name}");
                }
            }
        }
    }

    #[test]
    fn what_is_compared_there_and_back_has_both_casts() {
        let between = |pair: &&str| !pair.contains("vec");
        let lists = [kept::BOTH_WAYS, kept::BOTH_WAYS_AS_TEXT, kept::BY_ZONE];
        for pair in lists.iter().flat_map(|list| list.split_whitespace()).filter(between) {
            let (from, to) = pair.split_once('>').unwrap();
            for cast in [format!(" {from}>{to} "), format!(" {to}>{from} ")] {
                assert!(CASTS.contains(&cast), "{pair}: there is no{cast}");
            }
        }
    }
}
