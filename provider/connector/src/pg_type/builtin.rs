//! The types that every server has: their many spellings, and the one that the server prints.
//!
//! **Invariant:** a spelling that is not listed here is never taken for a built-in type.

/// Single words (and names in `pg_catalog`) that stand for a type under its internal name.
const ALIASES: [(&str, &str); 20] = [
    ("bigint", "int8"),
    ("boolean", "bool"),
    ("char", "bpchar"),
    ("character", "bpchar"),
    ("dec", "numeric"),
    ("decimal", "numeric"),
    ("int", "int4"),
    ("integer", "int4"),
    ("nchar", "bpchar"),
    ("real", "float4"),
    ("smallint", "int2"),
    ("bit varying", "varbit"),
    ("char varying", "varchar"),
    ("character varying", "varchar"),
    ("double precision", "float8"),
    ("national char", "bpchar"),
    ("national char varying", "varchar"),
    ("national character", "bpchar"),
    ("national character varying", "varchar"),
    ("nchar varying", "varchar"),
];

/// The internal names of the types.
const INTERNAL: &str = " aclitem bit bool box bpchar bytea char cid cidr circle date datemultirange daterange float4 \
    float8 gtsvector inet int2 int2vector int4 int4multirange int4range int8 int8multirange int8range interval json jsonb jsonpath \
    line lseg macaddr macaddr8 money name numeric nummultirange numrange oid oidvector path pg_lsn pg_snapshot point \
    polygon refcursor regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc \
    regprocedure regrole regtype text tid time timestamp timestamptz timetz tsmultirange tsquery tsrange tstzmultirange \
    tstzrange tsvector txid_snapshot uuid varbit varchar xid xid8 xml ";

/// Pseudo-types that stand for a number, a sequence and a default.
const SERIALS: [(&str, &str); 6] = [
    ("bigserial", "bigint"),
    ("serial", "integer"),
    ("serial2", "smallint"),
    ("serial4", "integer"),
    ("serial8", "bigint"),
    ("smallserial", "smallint"),
];

/// The fields that an interval can be limited to, in the server's spelling.
pub(super) const INTERVAL_FIELDS: [&str; 13] = [
    "year to month",
    "day to hour",
    "day to minute",
    "day to second",
    "hour to minute",
    "hour to second",
    "minute to second",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
];

/// The internal name behind a spelling in lower case, in which several words are parted by one space. The name `char`
/// means `character(1)` here and not the internal type of that name.
pub(super) fn internal_name(spelling: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == spelling).map(|(_, name)| *name);
    alias.or_else(|| internal(spelling))
}

/// The internal name, if the text is one.
pub(super) fn internal(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.contains(' ') {
        return None;
    }
    let at = INTERNAL.find(&format!(" {name} "))? + 1;
    INTERNAL.get(at..at + name.len())
}

/// The type that a serial pseudo-type is.
pub(super) fn serial(name: &str) -> Option<&'static str> {
    SERIALS.iter().find(|(serial, _)| *serial == name).map(|(_, of)| *of)
}

/// How the server prints the type: what stands before its modifiers and what after.
pub(super) fn printed(internal: &str, has_modifiers: bool) -> (&str, &'static str) {
    match internal {
        "bool" => ("boolean", ""),
        "int2" => ("smallint", ""),
        "int4" => ("integer", ""),
        "int8" => ("bigint", ""),
        "float4" => ("real", ""),
        "float8" => ("double precision", ""),
        "varchar" => ("character varying", ""),
        "bpchar" if has_modifiers => ("character", ""),
        "bit" if !has_modifiers => ("\"bit\"", ""),
        "varbit" => ("bit varying", ""),
        "char" => ("\"char\"", ""),
        "time" => ("time", " without time zone"),
        "timetz" => ("time", " with time zone"),
        "timestamp" => ("timestamp", " without time zone"),
        "timestamptz" => ("timestamp", " with time zone"),
        other => (other, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_stands_for_an_internal_name() {
        for (alias, name) in ALIASES {
            assert_eq!(internal(name), Some(name), "{alias}");
        }
        assert_eq!(internal("int"), None);
        assert_eq!(internal_name("int"), Some("int4"));
        assert_eq!(internal_name("vector"), None);
        assert_eq!(internal_name("tex"), None);
        assert_eq!(internal_name("text uuid"), None);
    }
}
