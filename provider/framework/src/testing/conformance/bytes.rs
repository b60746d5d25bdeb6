//! The form of a value on the wire, seen on its bytes before anything decodes them.
//!
//! Rules: W1 an object has every attribute, each once, and no other; W2 each value has its type; W5 an extension is one
//! byte long or holds refinements; W6 a set holds each known element once.
//!
//! **Invariant:** reads MessagePack with code of its own; the codec of the framework gets to see only what passed here.

use std::collections::BTreeSet;

use crate::number::Number;
use crate::path::Path;
use crate::types::Type;

use super::trouble::Findings;

/// The longest refinement that the CLIs read.
const MAX_EXTENSION: usize = 1024;

/// The extension of refined unknowns.
const REFINED: i8 = 12;

/// Checks the bytes of a value of the type.
pub(super) fn check(bytes: &[u8], ty: &Type, findings: &mut Findings) {
    let mut bytes = Bytes { rest: bytes };
    let mut walk = Walk { findings, unreadable: false };
    walk.value(&mut bytes, ty, &Path::default());
    if !walk.unreadable && !bytes.rest.is_empty() {
        findings.whole("W2", format!("{} bytes come after the value", bytes.rest.len()));
    }
}

struct Walk<'a> {
    findings: &'a mut Findings,
    /// Once a value could not be read, what comes after it cannot be either.
    unreadable: bool,
}

/// One item; of a sequence only its length, since its elements follow.
#[derive(Debug)]
enum Item<'a> {
    Nil,
    Bool,
    Integer,
    Float,
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Array(usize),
    Map(usize),
    Extension(i8, &'a [u8]),
}

impl Walk<'_> {
    fn wrong(&mut self, path: &Path, text: String) {
        self.findings.add("W2", path, text);
        self.unreadable = true;
    }

    /// Gives whether the value is wholly known.
    fn value(&mut self, bytes: &mut Bytes<'_>, ty: &Type, path: &Path) -> bool {
        if self.unreadable {
            return true;
        }
        let Some(item) = bytes.next() else {
            self.wrong(path, "the bytes end early, or are no MessagePack".to_owned());
            return true;
        };
        match (ty, item) {
            (_, Item::Nil) | (Type::Bool, Item::Bool) | (Type::Number, Item::Integer | Item::Float) => true,
            (_, Item::Extension(code, body)) => {
                if body.len() > 1 && code != REFINED {
                    self.findings.add("W5", path, format!("an extension of kind {code} with {} bytes", body.len()));
                } else if body.len() > MAX_EXTENSION {
                    self.findings.add("W5", path, format!("a refinement of {} bytes", body.len()));
                }
                false
            }
            (Type::String, Item::Text(text)) => {
                if std::str::from_utf8(text).is_err() {
                    self.findings.add("W2", path, "text that is not UTF-8");
                }
                true
            }
            (Type::Number, Item::Text(text)) => {
                if std::str::from_utf8(text).ok().and_then(|text| text.parse::<Number>().ok()).is_none() {
                    self.findings.add("W2", path, "text that is no number");
                }
                true
            }
            (Type::List(element), Item::Array(length)) => {
                let mut known = true;
                for i in 0..length {
                    known &= self.value(bytes, element, &path.clone().index(i));
                }
                known
            }
            (Type::Set(element), Item::Array(length)) => self.set(bytes, element, length, path),
            (Type::Tuple(types), Item::Array(length)) if types.len() == length => {
                let mut known = true;
                for (i, ty) in types.iter().enumerate() {
                    known &= self.value(bytes, ty, &path.clone().index(i));
                }
                known
            }
            (Type::Map(element), Item::Map(length)) => {
                self.entries(bytes, length, path, &|key| Some((element.as_ref().clone(), path.clone().key(key))))
            }
            (Type::Object(types), Item::Map(length)) => {
                if length != types.len() {
                    let text = format!("an object with {} attributes is required ({length} given)", types.len());
                    self.findings.add("W1", path, text);
                }
                self.entries(bytes, length, path, &|name| {
                    Some((types.get(name)?.clone(), path.clone().attribute(name)))
                })
            }
            (Type::Dynamic, Item::Array(2)) => self.dynamic(bytes, path),
            (ty, item) => {
                self.wrong(path, format!("a value of type {ty} is required, not {item:?}"));
                true
            }
        }
    }

    fn set(&mut self, bytes: &mut Bytes<'_>, element: &Type, length: usize, path: &Path) -> bool {
        let (mut seen, mut all_known) = (BTreeSet::new(), true);
        for _ in 0..length {
            let start = bytes.rest;
            let known = self.value(bytes, element, path);
            all_known &= known;
            let one = &start[..start.len() - bytes.rest.len()];
            if !self.unreadable && known && !seen.insert(one) {
                self.findings.add("W6", path, "a set holds the same element twice");
            }
        }
        all_known
    }

    fn entries(
        &mut self,
        bytes: &mut Bytes<'_>,
        length: usize,
        path: &Path,
        of: &dyn Fn(&str) -> Option<(Type, Path)>,
    ) -> bool {
        let (mut seen, mut known) = (BTreeSet::new(), true);
        for _ in 0..length {
            if self.unreadable {
                break;
            }
            let name = match bytes.next() {
                Some(Item::Text(name)) => std::str::from_utf8(name).ok(),
                _ => None,
            };
            let Some(name) = name else {
                self.wrong(path, "a name that is no text".to_owned());
                return known;
            };
            let Some((ty, at)) = of(name) else {
                self.findings.add("W1", path, format!("the object has no attribute {name}"));
                self.unreadable = true;
                return known;
            };
            if !seen.insert(name) {
                self.findings.add("W1", path, format!("{name} is given twice"));
            }
            known &= self.value(bytes, &ty, &at);
        }
        known
    }

    fn dynamic(&mut self, bytes: &mut Bytes<'_>, path: &Path) -> bool {
        let ty = match bytes.next() {
            Some(Item::Binary(json) | Item::Text(json)) => Type::from_json(json).ok(),
            _ => None,
        };
        match ty {
            Some(ty) => self.value(bytes, &ty, path),
            None => {
                self.wrong(path, "a value that should bring its type does not".to_owned());
                true
            }
        }
    }
}

/// What is left to read.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A big-endian unsigned number of so many bytes.
    fn size(&mut self, width: usize) -> Option<usize> {
        let wide = self.take(width)?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(wide).ok()
    }

    fn extension(&mut self, length: usize) -> Option<Item<'a>> {
        let code = self.take(1)?[0].cast_signed();
        Some(Item::Extension(code, self.take(length)?))
    }

    fn next(&mut self) -> Option<Item<'a>> {
        let first = self.take(1)?[0];
        let low = |bits: u8| usize::from(first & bits);
        Some(match first {
            0x00..=0x7f | 0xe0..=0xff => Item::Integer,
            0x80..=0x8f => Item::Map(low(0x0f)),
            0x90..=0x9f => Item::Array(low(0x0f)),
            0xa0..=0xbf => Item::Text(self.take(low(0x1f))?),
            0xc0 => Item::Nil,
            0xc1 => return None,
            0xc2 | 0xc3 => Item::Bool,
            0xc4..=0xc6 => {
                let length = self.size(1 << low(0x03))?;
                Item::Binary(self.take(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.size(1 << (first - 0xc7))?;
                self.extension(length)?
            }
            0xca => self.take(4).map(|_| Item::Float)?,
            0xcb => self.take(8).map(|_| Item::Float)?,
            0xcc..=0xcf => self.take(1 << (first - 0xcc)).map(|_| Item::Integer)?,
            0xd0..=0xd3 => self.take(1 << (first - 0xd0)).map(|_| Item::Integer)?,
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.size(1 << (first - 0xd9))?;
                Item::Text(self.take(length)?)
            }
            0xdc => Item::Array(self.size(2)?),
            0xdd => Item::Array(self.size(4)?),
            0xde => Item::Map(self.size(2)?),
            0xdf => Item::Map(self.size(4)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(bytes: &[u8], ty: &Type) -> Vec<&'static str> {
        let mut findings = Findings::of("test");
        check(bytes, ty, &mut findings);
        findings.found.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_rule_is_seen_on_the_bytes() {
        let text = || Box::new(Type::String);
        let object = Type::Object([("a".to_owned(), Type::String), ("b".to_owned(), Type::Number)].into());
        for (bytes, ty, expected) in [
            (&b"\x82\xa1a\xa1x\xa1b\x01"[..], &object, &[][..]),
            (b"\x80", &object, &["W1"]),
            (b"\x81\xa1a\xc0", &object, &["W1"]),
            (b"\x82\xa1a\xc0\xa1a\xc0", &object, &["W1"]),
            (b"\x82\xa1a\xc0\xa1c\xc0", &object, &["W1"]),
            (b"\x82\xa1a\x01\xa1b\x01", &object, &["W2"]),
            (b"\x82\xa1a\xc0\xa1b\xa3abc", &object, &["W2"]),
            (b"\x82\xa1a\xc0\xa1b\xa30.8", &object, &[]),
            (b"\xc0\xc0", &object, &["W2"]),
            (b"\x82\xa1a", &object, &["W2"]),
            (b"\xc1", &Type::String, &["W2"]),
            (b"\xd4\x00\x00", &Type::String, &[]),
            (b"\xd5\x05\x00\x00", &Type::String, &["W5"]),
            (b"\xc7\x03\x0c\x81\x01\xc2", &Type::String, &[]),
            (b"\x92\xa1a\xa1a", &Type::Set(text()), &["W6"]),
            (b"\x92\xa1a\xa1a", &Type::List(text()), &[]),
            (b"\x92\xd4\x00\x00\xd4\x00\x00", &Type::Set(text()), &[]),
            (b"\x92\xc4\x08\"string\"\xa1x", &Type::Dynamic, &[]),
            (b"\x92\xc4\x08\"string\"\x01", &Type::Dynamic, &["W2"]),
            (b"\xa1x", &Type::Dynamic, &["W2"]),
        ] {
            assert_eq!(rules(bytes, ty), expected, "{bytes:x?} as {ty}");
        }
        let long = [&[0xc8, 0x04, 0x01, 0x0c][..], &[0; 1025]].concat();
        assert_eq!(rules(&long, &Type::String), ["W5"]);
    }
}
