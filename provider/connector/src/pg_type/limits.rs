//! Which lengths, precisions and dimensions a type can have.
//!
//! **Invariant:** what is refused here, every server refuses; what only some refuse, or only warn of, is left to them.

use super::{PgType, TypeFault};

/// What a number is called, and the least and the greatest that it can be.
type Limit = (&'static str, i64, i64);

/// The numbers in the parentheses of types.
const LIMITS: [(&[&str], &[Limit]); 7] = [
    (&["bit", "varbit"], &[("length", 1, 83_886_080)]),
    (&["bpchar", "varchar"], &[("length", 1, 10_485_760)]),
    (&["numeric"], &[("precision", 1, 1000), ("scale", -1000, 1000)]),
    // The server takes more than six digits of a second for six.
    (&["time", "timetz", "timestamp", "timestamptz", "interval"], &[("precision", 0, 2_147_483_647)]),
    (&["vector"], &[("number of dimensions", 1, 16_000)]),
    (&["halfvec"], &[("number of dimensions", 1, 16_000)]),
    (&["sparsevec"], &[("number of dimensions", 1, 1_000_000_000)]),
];

/// What is wrong with what stands in the parentheses of a type.
pub(super) fn fault(parsed: &PgType) -> Option<TypeFault> {
    if !parsed.builtin && !parsed.is_pgvector() {
        return None;
    }
    let (_, limits) = LIMITS.iter().find(|(names, _)| names.contains(&parsed.name.as_str()))?;
    let shown = parsed.element();
    let fault = |message: String| Some(TypeFault { message, advice: None });
    if parsed.modifiers.len() > limits.len() {
        let count = parsed.modifiers.len();
        return fault(format!("{shown} has {count} numbers in parentheses, and the type takes {}", limits.len()));
    }
    for (modifier, (what, least, most)) in parsed.modifiers.iter().zip(*limits) {
        // The types of an extension take a number also between quotes.
        let Ok(number) = modifier.trim_matches('\'').trim().parse::<i64>() else {
            return fault(format!("{modifier} in {shown} is not a whole number"));
        };
        if !(*least..=*most).contains(&number) {
            return fault(format!("the {what} in {shown} must be from {least} to {most}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of these types gets to hear, and nothing where the server takes it.
    #[test]
    fn what_every_server_refuses_is_refused() {
        for (text, words) in [
            ("numeric(1000,1000)", None),
            ("numeric(5,-1000)", None),
            ("numeric(0)", Some("the precision in numeric(0,0) must be from 1 to 1000")),
            ("numeric(2000,3)", Some("precision")),
            ("numeric(5,1001)", Some("the scale in numeric(5,1001) must be from -1000 to 1000")),
            ("numeric(5,-1001)", Some("scale")),
            ("varchar(10485760)", None),
            ("varchar(10485761)", Some("the length in character varying(10485761) must be from 1 to 10485760")),
            ("varchar(0)", Some("length")),
            ("varchar(-1)", Some("length")),
            ("varchar(0)[]", Some("length")),
            ("char(0)", Some("length")),
            ("char", None),
            ("bit(0)", Some("length")),
            ("bit(83886080)", None),
            ("bit(83886081)", Some("length")),
            ("varbit(0)", Some("length")),
            ("timestamp(9)", None),
            ("timestamptz(0)", None),
            ("timestamp(-1)", Some("precision")),
            ("interval second(9)", None),
            ("vector", None),
            ("vector(16000)", None),
            ("vector('3')", None),
            ("vector(16001)", Some("the number of dimensions in vector(16001) must be from 1 to 16000")),
            ("vector(0)", Some("dimensions")),
            ("vector(-1)", Some("dimensions")),
            ("extensions.vector(0)", Some("dimensions")),
            ("vector(1,2)", Some("has 2 numbers in parentheses, and the type takes 1")),
            ("vector(abc)", Some("abc in vector(abc) is not a whole number")),
            ("halfvec(16001)", Some("dimensions")),
            ("sparsevec(1000000000)", None),
            ("sparsevec(1000000001)", Some("dimensions")),
            ("geometry(Point,4326)", None),
            ("mine(0)", None),
        ] {
            let found = PgType::parse(text).unwrap().fault().map(|fault| fault.message);
            match (words, found) {
                (None, None) => {}
                (Some(words), Some(found)) => assert!(found.contains(words), "{text}: {found}"),
                (words, found) => panic!("{text}: {words:?} and {found:?}"),
            }
        }
    }
}
