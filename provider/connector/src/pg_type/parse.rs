//! Reads the spelling of a type.

use super::builtin::{self, INTERVAL_FIELDS};
use super::{PgType, TypeFault};
use crate::name::name_fault;
use crate::sql_text::{Kind, Lexeme, lex};

/// The built-in types that take modifiers, and how many at most.
const MODIFIERS: [(&str, usize); 10] = [
    ("bit", 1),
    ("bpchar", 1),
    ("interval", 1),
    ("numeric", 2),
    ("time", 1),
    ("timestamp", 1),
    ("timestamptz", 1),
    ("timetz", 1),
    ("varbit", 1),
    ("varchar", 1),
];

/// The built-in types whose spelling may have several words.
const WORDS: [&str; 8] = [
    "bit varying",
    "char varying",
    "character varying",
    "double precision",
    "national char",
    "national char varying",
    "national character",
    "national character varying",
];

pub(super) fn parse(text: &str) -> Result<PgType, TypeFault> {
    let lexemes = lex(text);
    let mut reader = Reader { text, rest: &[] };
    if lexemes.iter().any(|l| l.kind == Kind::Comment || !l.closed) || text.contains('\0') {
        return Err(reader.shape());
    }
    let lexemes: Vec<Lexeme<'_>> = lexemes.into_iter().filter(|l| l.kind != Kind::Space).collect();
    reader.rest = &lexemes;
    let mut parsed = reader.scalar()?;
    if reader.word("array") {
        parsed.array = true;
        if reader.symbol("[") {
            reader.expect_number()?;
            reader.expect("]")?;
        }
    } else {
        while reader.symbol("[") {
            parsed.array = true;
            if !reader.symbol("]") {
                reader.expect_number()?;
                reader.expect("]")?;
            }
        }
    }
    if reader.rest.is_empty() { Ok(parsed) } else { Err(reader.shape()) }
}

struct Reader<'t, 'l> {
    text: &'t str,
    rest: &'l [Lexeme<'t>],
}

impl Reader<'_, '_> {
    fn scalar(&mut self) -> Result<PgType, TypeFault> {
        let quoted = self.rest.first().is_some_and(|l| l.kind == Kind::QuotedName);
        let mut names = vec![self.name()?];
        while self.symbol(".") {
            names.push(self.name()?);
        }
        if let [schema, name] = names.as_slice() {
            return if schema == "pg_catalog" {
                self.internal(&name.clone())
            } else {
                self.other(Some(schema.clone()), name.clone())
            };
        }
        let Ok([name]) = <[String; 1]>::try_from(names) else { return Err(self.shape()) };
        if quoted || name.starts_with('_') {
            return self.internal(&name);
        }
        self.spelled(name)
    }

    /// A name as the catalogue has it: quoted, in `pg_catalog`, or an array type's own.
    fn internal(&mut self, name: &str) -> Result<PgType, TypeFault> {
        let element = name.strip_prefix('_').and_then(builtin::internal);
        match element.or_else(|| builtin::internal(name)) {
            Some(internal) => {
                let array = element.is_some();
                let parsed = self.builtin(internal, internal == "bit")?;
                Ok(PgType { array, ..parsed })
            }
            None => self.other(None, name.to_owned()),
        }
    }

    /// A name as users write it, perhaps the first of several words.
    fn spelled(&mut self, first: String) -> Result<PgType, TypeFault> {
        if let Some(of) = builtin::serial(&first) {
            return Err(TypeFault {
                message: format!("{first} is no type, but short for {of} with a sequence as its default"),
                advice: Some(format!(
                    "Write {of}; a default such as nextval('my_sequence') takes its values from a sequence of your own."
                )),
            });
        }
        let mut spelling = first;
        while let Some(next) = self.rest.first().filter(|l| l.kind == Kind::Word) {
            let longer = format!("{spelling} {}", next.text.to_lowercase());
            if !WORDS.iter().any(|words| {
                words.starts_with(&longer) && matches!(words.as_bytes().get(longer.len()), None | Some(b' '))
            }) {
                break;
            }
            self.rest = &self.rest[1..];
            spelling = longer;
        }
        match spelling.as_str() {
            "float" => self.float(),
            "time" | "timestamp" => self.time(spelling == "time"),
            "interval" => self.interval(),
            "nchar" if self.word("varying") => self.builtin("varchar", false),
            _ => match builtin::internal_name(&spelling) {
                Some(internal) => {
                    // One character, or bit, where the SQL name says no length.
                    let short = matches!(
                        spelling.as_str(),
                        "char" | "character" | "nchar" | "national char" | "national character" | "bit"
                    );
                    let mut parsed = self.builtin(internal, false)?;
                    if short && parsed.modifiers.is_empty() {
                        parsed.modifiers.push("1".to_owned());
                    }
                    Ok(parsed)
                }
                None if spelling.contains(' ')
                    || matches!(spelling.as_str(), "double" | "national" | "setof" | "array") =>
                {
                    Err(self.shape())
                }
                None => self.other(None, spelling),
            },
        }
    }

    fn builtin(&mut self, internal: &'static str, bare: bool) -> Result<PgType, TypeFault> {
        let modifiers = if bare && !self.next_is("(") { Vec::new() } else { self.modifiers()? };
        let most = MODIFIERS.iter().find(|(name, _)| *name == internal).map_or(0, |(_, most)| *most);
        if modifiers.len() > most || modifiers.iter().any(|m| m.parse::<i64>().is_err()) {
            return Err(fault(format!("{:?} does not take such modifiers", self.text)));
        }
        let mut parsed =
            PgType { schema: None, name: internal.to_owned(), builtin: true, fields: None, modifiers, array: false };
        match (internal, parsed.modifiers.as_mut_slice()) {
            // A scale that is left out is zero.
            ("numeric", [_]) => parsed.modifiers.push("0".to_owned()),
            // The server keeps six digits of a second, with only a notice.
            ("time" | "timetz" | "timestamp" | "timestamptz" | "interval", [digits])
                if digits.parse::<i64>().is_ok_and(|digits| digits > 6) =>
            {
                "6".clone_into(digits);
            }
            _ => {}
        }
        Ok(parsed)
    }

    fn float(&mut self) -> Result<PgType, TypeFault> {
        let modifiers = self.modifiers()?;
        let bits = match modifiers.as_slice() {
            [] => 53,
            [bits] => bits.parse().unwrap_or(0),
            _ => 0,
        };
        let internal = match bits {
            1..=24 => "float4",
            25..=53 => "float8",
            _ => return Err(fault("the precision of float must be from 1 to 53 bits".to_owned())),
        };
        self.builtin(internal, true)
    }

    fn time(&mut self, of_day: bool) -> Result<PgType, TypeFault> {
        let parsed = self.builtin(if of_day { "time" } else { "timestamp" }, false)?;
        let with = self.word("with");
        if !with && !self.word("without") {
            return Ok(parsed);
        }
        if !(self.word("time") && self.word("zone")) {
            return Err(self.shape());
        }
        let name = match (of_day, with) {
            (true, true) => "timetz",
            (true, false) => "time",
            (false, true) => "timestamptz",
            (false, false) => "timestamp",
        };
        Ok(PgType { name: name.to_owned(), ..parsed })
    }

    fn interval(&mut self) -> Result<PgType, TypeFault> {
        let fields = INTERVAL_FIELDS.into_iter().find(|fields| {
            let words: Vec<&str> = fields.split(' ').collect();
            words.len() <= self.rest.len() && words.iter().zip(self.rest).all(|(word, lexeme)| lexeme.is(word))
        });
        if let Some(fields) = fields {
            self.rest = &self.rest[fields.split(' ').count()..];
        }
        if fields.is_some_and(|fields| !fields.ends_with("second")) && self.next_is("(") {
            return Err(self.shape());
        }
        let parsed = self.builtin("interval", false)?;
        Ok(PgType { fields, ..parsed })
    }

    fn other(&mut self, schema: Option<String>, name: String) -> Result<PgType, TypeFault> {
        let modifiers = self.modifiers()?;
        Ok(PgType { schema, name, builtin: false, fields: None, modifiers, array: false })
    }

    /// The list in parentheses, if there is one: numbers, words and literals.
    fn modifiers(&mut self) -> Result<Vec<String>, TypeFault> {
        let mut modifiers = Vec::new();
        if !self.symbol("(") {
            return Ok(modifiers);
        }
        loop {
            let sign = if self.symbol("-") { "-" } else { "" };
            let Some((lexeme, rest)) = self.rest.split_first() else { return Err(self.shape()) };
            self.rest = rest;
            let plain_number = lexeme.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            match lexeme.kind {
                Kind::Number if plain_number => modifiers.push(format!("{sign}{}", lexeme.text)),
                Kind::Word | Kind::QuotedName if sign.is_empty() => modifiers.push(lexeme.text.to_owned()),
                Kind::Text if sign.is_empty() && lexeme.text.starts_with('\'') => {
                    modifiers.push(lexeme.text.to_owned());
                }
                _ => return Err(self.shape()),
            }
            if self.symbol(")") {
                return Ok(modifiers);
            }
            self.expect(",")?;
        }
    }

    fn name(&mut self) -> Result<String, TypeFault> {
        let Some((lexeme, rest)) = self.rest.split_first() else { return Err(self.shape()) };
        let Some(name) = lexeme.name() else { return Err(self.shape()) };
        if let Some(message) = name_fault(&name) {
            return Err(fault(message));
        }
        self.rest = rest;
        Ok(name)
    }

    fn next_is(&self, symbol: &str) -> bool {
        self.rest.first().is_some_and(|l| l.text == symbol && matches!(l.kind, Kind::Open | Kind::Close | Kind::Other))
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.next_is(symbol);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest.first().is_some_and(|l| l.is(word));
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), TypeFault> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.shape()) }
    }

    fn expect_number(&mut self) -> Result<(), TypeFault> {
        match self.rest.split_first() {
            Some((lexeme, rest)) if lexeme.kind == Kind::Number && lexeme.text.bytes().all(|b| b.is_ascii_digit()) => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(self.shape()),
        }
    }

    fn shape(&self) -> TypeFault {
        if self.text.trim().is_empty() {
            return fault("a type cannot be empty".to_owned());
        }
        TypeFault {
            message: format!("{:?} is not the name of one type", self.text),
            advice: Some(
                "Write a type as in a create table statement, such as bigint, numeric(10,2), text[], vector(384), or \
                 my_schema.my_type; constraints, defaults and collations do not belong to it."
                    .to_owned(),
            ),
        }
    }
}

fn fault(message: String) -> TypeFault {
    TypeFault { message, advice: None }
}
