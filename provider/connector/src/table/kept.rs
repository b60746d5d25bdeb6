//! Whether a value can still be read once its column has another type.
//!
//! A cast can succeed and change what is stored: 1.5 becomes 2, a timestamp becomes its date, `'007'` becomes 7. Each pair
//! of types has one rule that tells, as SQL, which values those are. The pair says only how it is looked at; what is done
//! to the column never depends on it.
//!
//! **Invariant:** a pair that no rule knows keeps a value only if its text stays the same.

use super::loss::rows_shown;
use crate::pg_type::PgType;
use crate::rows::value::shortened;
use crate::rows::{Others, key};

/// How a changed value is told from one that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unkept {
    /// The column.
    pub(super) column: String,
    /// The type that it had when this was decided.
    pub(super) from: String,
    /// The type that it gets.
    pub(super) to: String,
    /// The condition on the row, as alias `t`, that the value would be another.
    pub(super) condition: String,
    /// What it would become, as text.
    pub(super) becomes: String,
}

impl Unkept {
    /// Whether that is the type, as the server spells it, that this was decided for.
    pub(super) fn is_from(&self, type_name: &str) -> bool {
        PgType::parse(type_name).map_or_else(|_| type_name == self.from, |parsed| parsed.to_string() == self.from)
    }

    /// What is found, in words.
    pub(super) fn said(&self, primary_key: &[String], found: &Others) -> String {
        let (key, values) = found.first.split_at(primary_key.len().min(found.first.len()));
        let example = match values {
            [was, becomes] => format!(
                "; in the row {}, {:?} would become {:?}",
                key::shown(primary_key, key.iter().map(String::as_str)),
                shortened(was),
                shortened(becomes),
            ),
            _ => String::new(),
        };
        format!(
            "column {} holds values in {} that are not declared here and that {} does not keep{example}",
            self.column,
            rows_shown(found.count),
            self.to
        )
    }
}

/// A rule for a pair of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Every value is kept, or refused by the server.
    Keeps,
    /// Digits or parts may go: a condition on `{v}`, its new form `{new}` and its type `{from}`.
    Loses(&'static str),
    /// What is written may read the same and be written otherwise, except as the condition says.
    Respells(&'static str),
}

/// Cast back, it must be the same.
const BACK: &str = "({new})::{from} is distinct from {v}";
/// The same for types without `=`, or with one that compares something else.
const BACK_AS_TEXT: &str = "({new})::{from}::text is distinct from {v}::text";
/// Through the only type that pgvector casts its own to.
const BACK_FROM_VECTOR: &str = "({new})::real[]::{from} is distinct from {v}";
const BACK_FROM_SPARSEVEC: &str = "({new})::vector::real[]::{from} is distinct from {v}";
/// Where there is no way back, the text must be the same.
const AS_TEXT: &str = "({new})::text is distinct from {v}::text";
/// On assignment, spaces that are too many are cut off without a word.
const SPACES: &str = "length({v}) > {length} and length(rtrim({v}, ' ')) <= {length}";
/// A padded type does not know spaces at the end.
const PADDED: &str = "{v} <> rtrim({v}, ' ')";
/// A number in a text must be the same number, and a zero before it means that it is none: a postal code, an article.
const NUMBER: &str = "({new})::text::numeric is distinct from {v}::numeric or {v} ~ '^\\s*[-+]?0\\d'";
/// A time in a text keeps its zone and its time of day; the server knows nothing below the microsecond.
const MOMENT: &str = "({new})::text::timestamptz is distinct from {v}::timestamptz or {v} ~ '\\.\\d{6}\\d*[1-9]'";
/// An interval in a text keeps all its fields.
const INTERVAL: &str = "({new})::text::interval is distinct from {v}::interval";
/// The numbers of a vector in a text are the same.
const VECTOR: &str =
    "translate(({new})::text, '[]', '{}')::numeric[] is distinct from translate({v}, '[]', '{}')::numeric[]";
/// Of a key that is there twice, jsonb keeps one: then it has fewer values in all.
const JSON: &str = "(with recursive j (v) as (select ({v})::json union all select e.value from j, lateral ( \
    select o.value from json_each(case json_typeof(j.v) when 'object' then j.v end) as o union all \
    select a.value from json_array_elements(case json_typeof(j.v) when 'array' then j.v end) as a (value)) as e) \
    select count(*) from j) <> (with recursive j (v) as (select ({new})::jsonb union all select e.value from j, lateral ( \
    select o.value from jsonb_each(case jsonb_typeof(j.v) when 'object' then j.v end) as o union all \
    select a.value from jsonb_array_elements(case jsonb_typeof(j.v) when 'array' then j.v end) as a (value)) as e) \
    select count(*) from j)";

/// The pairs between which no value changes: it is kept, or does not fit and is refused.
const KEEPS: &str = " bit>varbit bool>int4 cidr>inet date>timestamp date>timestamptz daterange>datemultirange \
    float4>float8 halfvec>sparsevec halfvec>vector int2>float4 int2>float8 int2>int4 int2>int8 int2>numeric int2>oid \
    int4>float8 int4>int2 int4>int8 int4>money int4>numeric int4>oid int4range>int4multirange int8>int2 int8>int4 int8>money int8>numeric \
    int8>oid int8range>int8multirange jsonb>json macaddr>macaddr8 numrange>nummultirange oid>int4 oid>int8 sparsevec>vector \
    time>interval time>timetz tsrange>tsmultirange tstzrange>tstzmultirange varbit>bit vector>sparsevec ";

/// The types that read a text wholly or refuse it.
const READ_WHOLLY: &str = " bit bool bytea cidr datemultirange daterange inet int4multirange int4range int8multirange \
    int8range json macaddr macaddr8 nummultirange numrange pg_lsn tsmultirange tsrange tstzmultirange tstzrange uuid varbit \
    xml ";

/// The pairs that have a way there and back.
pub(super) const BOTH_WAYS: &str = " bit>int4 bit>int8 bytea>int2 bytea>int4 bytea>int8 char>int4 float4>int2 float4>int4 float4>int8 \
    float4>numeric float8>float4 float8>int2 float8>int4 float8>int8 float8>numeric inet>cidr int2>bytea int4>bit int4>bool \
    int4>bytea int4>char int4>float4 int8>bit int8>bytea int8>float4 int8>float8 interval>time \
    macaddr8>macaddr money>numeric numeric>float4 numeric>float8 numeric>int2 numeric>int4 numeric>int8 numeric>money \
    sparsevec>halfvec timestamp>date timestamptz>date timetz>time vector>halfvec ";

/// The pairs that have a way there and back, and whose `=` compares something else than the whole value.
pub(super) const BOTH_WAYS_AS_TEXT: &str = " box>circle box>point box>polygon circle>box circle>polygon path>polygon \
    point>box polygon>box polygon>circle polygon>path ";

/// The pairs that only a clock that is put forward or back can hurt.
pub(super) const BY_ZONE: &str = " timestamp>timestamptz timestamptz>timestamp ";

/// The rule of a pair. Of arrays, the rule of their elements.
pub(super) fn rule(from: &PgType, to: &PgType) -> Rule {
    match (from.is_array(), to.is_array()) {
        (true, true) => return rule(&from.element(), &to.element()),
        (true, false) if to.is_pgvector() && from.name() == "float4" => return Rule::Keeps,
        (true, false) if to.is_pgvector() && to.name() == "sparsevec" => return Rule::Loses(BACK_FROM_SPARSEVEC),
        (true, false) if to.is_pgvector() => return Rule::Loses(BACK_FROM_VECTOR),
        (false, true) if from.is_pgvector() => return Rule::Keeps,
        (true, false) if is_string(to) && to.name() != "name" => return Rule::Keeps,
        (false, true) if is_string(from) => return Rule::Respells(AS_TEXT),
        (false, false) => {}
        _ => return Rule::Loses(AS_TEXT),
    }
    if from.is_same(to) {
        return Rule::Keeps;
    }
    match (is_string(from), is_string(to)) {
        (true, true) => between_strings(from, to),
        (false, true) if to.name() == "name" => Rule::Loses(AS_TEXT),
        (false, true) => Rule::Keeps,
        (true, false) => from_string(to),
        (false, false) => between_values(from, to),
    }
}

/// Whether it is a type that texts are read from and written to.
pub(super) fn is_string(t: &PgType) -> bool {
    t.is_builtin() && matches!(t.name(), "text" | "varchar" | "bpchar" | "name")
}

fn between_strings(from: &PgType, to: &PgType) -> Rule {
    let (old, new) = (length(from), length(to));
    match (from.name(), to.name()) {
        (_, "name") => Rule::Loses(AS_TEXT),
        ("bpchar", _) | (_, "text") => Rule::Keeps,
        (_, "bpchar") => Rule::Respells(PADDED),
        _ if new.is_none() || old.is_some_and(|old| new.is_some_and(|new| old <= new)) => Rule::Keeps,
        _ => Rule::Respells(SPACES),
    }
}

fn from_string(to: &PgType) -> Rule {
    if to.is_pgvector() && to.name() != "sparsevec" {
        return Rule::Respells(VECTOR);
    }
    if !to.is_builtin() {
        return Rule::Respells(AS_TEXT);
    }
    match to.name() {
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid" => Rule::Respells(NUMBER),
        "date" | "timestamp" | "timestamptz" => Rule::Respells(MOMENT),
        "interval" if to.modifiers().is_empty() && to.fields().is_none() => Rule::Keeps,
        "interval" => Rule::Respells(INTERVAL),
        "jsonb" => Rule::Respells(JSON),
        name if contains(READ_WHOLLY, name) => Rule::Keeps,
        _ => Rule::Respells(AS_TEXT),
    }
}

fn between_values(from: &PgType, to: &PgType) -> Rule {
    if from.name() == to.name() && from.is_builtin() == to.is_builtin() {
        return within_type(from, to);
    }
    if !is_known(from) || !is_known(to) {
        return Rule::Loses(AS_TEXT);
    }
    let whole = matches!(from.name(), "int2" | "int4" | "int8");
    let rounds = whole && to.numbers().get(1).is_some_and(|scale| scale.is_none_or(|scale| scale < 0));
    match (from.name(), to.name()) {
        _ if rounds => Rule::Loses(BACK),
        ("json", "jsonb") => Rule::Loses(JSON),
        _ if is_listed(KEEPS, from, to) => Rule::Keeps,
        _ if is_listed(BOTH_WAYS, from, to) => Rule::Loses(BACK),
        _ if is_listed(BOTH_WAYS_AS_TEXT, from, to) => Rule::Loses(BACK_AS_TEXT),
        _ if is_listed(BY_ZONE, from, to) => Rule::Respells(BACK),
        _ => Rule::Loses(AS_TEXT),
    }
}

/// Between two widths of one type.
fn within_type(from: &PgType, to: &PgType) -> Rule {
    let (old, new) = (from.numbers(), to.numbers());
    match (from.name(), old.as_slice(), new.as_slice()) {
        ("numeric" | "time" | "timetz" | "timestamp" | "timestamptz", _, [])
        | ("time" | "timetz" | "timestamp" | "timestamptz", [], [Some(6)]) => Rule::Keeps,
        ("numeric", [_, Some(old)], [_, Some(new)])
        | ("time" | "timetz" | "timestamp" | "timestamptz", [Some(old)], [Some(new)])
            if old <= new =>
        {
            Rule::Keeps
        }
        ("interval", ..) => {
            let fields = to.fields().is_none_or(|fields| from.fields() == Some(fields));
            let digits = match (old.as_slice(), new.as_slice()) {
                (_, []) | ([], [Some(6)]) => true,
                ([Some(old)], [Some(new)]) => old <= new,
                _ => false,
            };
            if fields && digits { Rule::Keeps } else { Rule::Loses(BACK) }
        }
        ("numeric" | "time" | "timetz" | "timestamp" | "timestamptz", ..) => Rule::Loses(BACK),
        _ if from.is_builtin() || from.is_pgvector() || to.modifiers().is_empty() => Rule::Keeps,
        _ => Rule::Loses(AS_TEXT),
    }
}

fn contains(list: &str, word: &str) -> bool {
    list.contains(&format!(" {word} "))
}

/// Whether the pair of types is in a list.
pub(super) fn is_listed(list: &str, from: &PgType, to: &PgType) -> bool {
    contains(list, &format!("{}>{}", from.name(), to.name()))
}

/// Whether the lists of pairs say all that there is of the type.
pub(super) fn is_known(t: &PgType) -> bool {
    t.is_builtin() || t.is_pgvector()
}

/// The limit of a string; `None` without one.
fn length(t: &PgType) -> Option<i64> {
    match (t.name(), t.numbers().as_slice()) {
        (_, [Some(length)]) => Some(*length),
        ("name", _) => Some(63),
        _ => None,
    }
}

/// The rule for a column whose type cannot be read here.
pub(super) fn of_unknown(column: &str, value: &str, from: &str, to: &PgType) -> Unkept {
    Unkept {
        column: column.to_owned(),
        from: from.to_owned(),
        to: to.to_string(),
        condition: format!("({})", AS_TEXT.replace("{new}", &format!("{value}::{to}")).replace("{v}", value)),
        becomes: format!("({value}::{to})::text"),
    }
}

/// Which values of a column a change of its type would not keep; `None` where it keeps all. `value` is the column as SQL
/// in a query on `t`, `using` the type that values are cast to on their way.
pub(super) fn unkept(column: &str, value: &str, from: &PgType, to: &PgType, using: Option<&str>) -> Option<Unkept> {
    let (Rule::Loses(condition) | Rule::Respells(condition)) = rule(from, to) else { return None };
    let fill = |value: &str, from: &PgType, to: &PgType, using: Option<&str>| {
        let via = using.filter(|using| *using != to.to_string()).map(|using| format!("::{using}")).unwrap_or_default();
        let length = length(to).unwrap_or_default().to_string();
        condition
            .replace("{new}", &format!("{value}{via}::{to}"))
            .replace("{from}", &from.to_string())
            .replace("{length}", &length)
            .replace("{v}", value)
    };
    let condition = if from.is_array() && to.is_array() {
        let using = using.map(|using| using.trim_end_matches("[]"));
        let of_element = fill("e.v", &from.element(), &to.element(), using);
        format!("exists (select from unnest({value}) as e (v) where {of_element})")
    } else {
        format!("({})", fill(value, from, to, using))
    };
    let via = using.map(|using| format!("::{using}")).unwrap_or_default();
    Some(Unkept {
        column: column.to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        condition,
        becomes: format!("({value}{via}::{to})::text"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PgType {
        PgType::parse(text).unwrap()
    }

    #[test]
    fn each_pair_has_the_rule_of_what_it_can_do_to_a_value() {
        use Rule::{Keeps, Loses, Respells};
        for (from, to, expected) in [
            ("integer", "bigint", Keeps),
            ("bigint", "integer", Keeps),
            ("integer", "numeric(10,2)", Keeps),
            ("integer", "numeric(10,-2)", Loses(BACK)),
            ("numeric", "integer", Loses(BACK)),
            ("numeric(10,2)", "numeric(12,2)", Keeps),
            ("numeric(10,2)", "numeric(8,2)", Keeps),
            ("numeric(10,2)", "numeric", Keeps),
            ("numeric(10,2)", "numeric(10,1)", Loses(BACK)),
            ("numeric", "numeric(10,2)", Loses(BACK)),
            ("double precision", "real", Loses(BACK)),
            ("real", "double precision", Keeps),
            ("bigint", "double precision", Loses(BACK)),
            ("timestamp", "date", Loses(BACK)),
            ("timestamp", "time", Loses(AS_TEXT)),
            ("timestamptz", "timetz", Loses(AS_TEXT)),
            ("timestamp", "timestamptz", Respells(BACK)),
            ("timestamp", "timestamp(3)", Loses(BACK)),
            ("timestamp", "timestamp(6)", Keeps),
            ("timestamp(3)", "timestamp", Keeps),
            ("interval", "interval day to second", Loses(BACK)),
            ("interval year", "interval", Keeps),
            ("varchar(3)", "varchar(5)", Keeps),
            ("varchar(5)", "varchar(3)", Respells(SPACES)),
            ("text", "varchar(3)", Respells(SPACES)),
            ("text", "char(3)", Respells(PADDED)),
            ("char(5)", "varchar(3)", Keeps),
            ("varchar", "text", Keeps),
            ("text", "name", Loses(AS_TEXT)),
            ("uuid", "text", Keeps),
            ("text", "uuid", Keeps),
            ("text", "integer", Respells(NUMBER)),
            ("text", "timestamptz", Respells(MOMENT)),
            ("text", "jsonb", Respells(JSON)),
            ("json", "jsonb", Loses(JSON)),
            ("jsonb", "json", Keeps),
            ("jsonb", "integer", Loses(AS_TEXT)),
            ("inet", "cidr", Loses(BACK)),
            ("integer[]", "bigint[]", Keeps),
            ("numeric[]", "integer[]", Loses(BACK)),
            ("text[]", "integer[]", Respells(NUMBER)),
            ("integer[]", "text", Keeps),
            ("vector(3)", "halfvec(3)", Loses(BACK)),
            ("halfvec(3)", "vector(3)", Keeps),
            ("vector(3)", "real[]", Keeps),
            ("real[]", "vector(3)", Keeps),
            ("double precision[]", "vector(3)", Loses(BACK_FROM_VECTOR)),
            ("text", "vector(3)", Respells(VECTOR)),
            ("polygon", "point", Loses(AS_TEXT)),
            ("polygon", "box", Loses(BACK_AS_TEXT)),
            ("mood", "text", Keeps),
            ("text", "mood", Respells(AS_TEXT)),
            ("mood", "app.mood", Keeps),
            ("mood", "state", Loses(AS_TEXT)),
            ("geometry(Point,4326)", "geometry", Keeps),
        ] {
            assert_eq!(rule(&parse(from), &parse(to)), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_condition_speaks_of_the_value_or_of_each_element() {
        let of = |from: &str, to: &str, using: Option<&str>| unkept("a", "t.a", &parse(from), &parse(to), using);
        let rounded = of("numeric", "integer", Some("integer")).unwrap();
        assert_eq!(rounded.condition, "((t.a::integer)::numeric is distinct from t.a)");
        assert_eq!(rounded.becomes, "(t.a::integer::integer)::text");
        let via = of("double precision", "numeric(10,2)", Some("numeric")).unwrap();
        assert_eq!(via.condition, "((t.a::numeric::numeric(10,2))::double precision is distinct from t.a)");
        let elements = of("numeric[]", "integer[]", Some("integer[]")).unwrap();
        assert_eq!(
            elements.condition,
            "exists (select from unnest(t.a) as e (v) where (e.v::integer)::numeric is distinct from e.v)"
        );
        assert_eq!(of("integer", "bigint", Some("bigint")), None);
    }

    #[test]
    fn the_lists_name_known_types() {
        for word in [KEEPS, READ_WHOLLY, BOTH_WAYS, BOTH_WAYS_AS_TEXT, BY_ZONE].join(" ").split_whitespace() {
            for name in word.split('>') {
                let quoted = PgType::parse(&format!("\"{name}\"")).unwrap();
                assert!(quoted.is_builtin() || quoted.is_pgvector(), "{name}");
            }
        }
    }
}
