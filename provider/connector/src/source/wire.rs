//! Cells as they come over the wire: in the binary form where that is smaller and told apart at a glance, otherwise as the
//! server prints them.
//!
//! **Invariant:** a cell means what [`convert`] makes of the same cell's printed form.

use serde_json::Value;
use tokio_postgres::types::{FromSql, Type};

use super::convert::{self, Scalar};
use super::relation::LiveColumn;
use crate::name::quote_ident;

/// How the cells of a column come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One element.
    One(Element),
    /// An array of them.
    Array(Element),
    /// The printed form.
    Printed(Scalar, Option<char>),
}

/// A value in the binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Text,
    Bytes,
    Uuid,
    Json,
    Jsonb,
    /// What `vector_send` makes.
    Vector,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'r> {
    Null,
    Bool(bool),
    Int(i64),
    Float4(f32),
    Float8(f64),
    Text(&'r str),
    Bytes(&'r [u8]),
    Uuid([u8; 16]),
    Json(&'r str),
    Vector(&'r [u8]),
    List(List<'r>),
    /// What the printed form says: a value, and the text itself where it is more than a number is.
    Printed(Value),
}

/// The cells of an array, or of one of its slices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List<'r> {
    element: Element,
    /// The lengths of the dimensions that are left.
    lengths: Vec<usize>,
    /// How many cells of the first dimension are left.
    left: usize,
    bytes: &'r [u8],
}

/// What was sent is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// A cell as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'r>(pub(super) Option<&'r [u8]>);

impl<'r> FromSql<'r> for Sent<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Form {
    /// All forms of single values, or of arrays.
    #[cfg(feature = "surfaces")]
    pub(super) fn all(is_array: bool) -> impl Iterator<Item = Self> {
        use Element::{Bool, Bytes, Float4, Float8, Int2, Int4, Int8, Json, Jsonb, Oid, Text, Uuid, Vector};
        let all = [Bool, Int2, Int4, Int8, Oid, Float4, Float8, Text, Bytes, Uuid, Json, Jsonb, Vector];
        all.into_iter().map(move |element| if is_array { Self::Array(element) } else { Self::One(element) })
    }

    /// How a column's cells are asked for, and the expression that does.
    pub(super) fn of(column: &LiveColumn) -> (Self, String) {
        let name = quote_ident(&column.name);
        let (schema, base) = (column.base.0.as_str(), column.base.1.as_str());
        match (Element::of(schema, base), column.delimiter) {
            (Some(element), None) => (Self::One(element), name),
            (Some(element), Some(',')) => (Self::Array(element), name),
            _ if column.scalar == Scalar::Vector && column.delimiter.is_none() => {
                // A type of an extension would have to be looked up by its number, so its bytes are asked for.
                let schema = quote_ident(schema);
                let sent = match base {
                    "vector" => format!("{schema}.vector_send({name}::{schema}.vector)"),
                    _ => format!("{schema}.vector_send({name}::{schema}.halfvec::{schema}.vector)"),
                };
                (Self::One(Element::Vector), sent)
            }
            // A cast to text may print another text than the type's own output: that of `inet` adds the length of the mask.
            _ => {
                let printed =
                    format!("case when {name} is distinct from null then pg_catalog.format('%s', {name}) end");
                (Self::Printed(column.scalar, column.delimiter), printed)
            }
        }
    }

    /// Reads a cell; `None` when it is not what the form says.
    pub(super) fn read<'r>(&self, sent: Sent<'r>) -> Option<Cell<'r>> {
        let Some(bytes) = sent.0 else { return Some(Cell::Null) };
        match self {
            Self::One(element) => element.read(bytes),
            Self::Array(element) => List::read(*element, bytes).map(Cell::List),
            Self::Printed(scalar, delimiter) => {
                let text = std::str::from_utf8(bytes).ok()?;
                Some(match (scalar, delimiter) {
                    (Scalar::Text, None) => Cell::Text(text),
                    _ => Cell::Printed(convert::value(*scalar, *delimiter, text)),
                })
            }
        }
    }
}

impl Element {
    fn of(schema: &str, base: &str) -> Option<Self> {
        Some(match (schema, base) {
            ("pg_catalog", "bool") => Self::Bool,
            ("pg_catalog", "int2") => Self::Int2,
            ("pg_catalog", "int4") => Self::Int4,
            ("pg_catalog", "int8") => Self::Int8,
            ("pg_catalog", "oid") => Self::Oid,
            ("pg_catalog", "float4") => Self::Float4,
            ("pg_catalog", "float8") => Self::Float8,
            ("pg_catalog", "text" | "varchar" | "bpchar" | "name") => Self::Text,
            ("pg_catalog", "bytea") => Self::Bytes,
            ("pg_catalog", "uuid") => Self::Uuid,
            ("pg_catalog", "json") => Self::Json,
            ("pg_catalog", "jsonb") => Self::Jsonb,
            _ => return None,
        })
    }

    fn read(self, bytes: &[u8]) -> Option<Cell<'_>> {
        Some(match self {
            Self::Bool => Cell::Bool(*bytes.first()? != 0),
            Self::Int2 => Cell::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Int4 => Cell::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Int8 => Cell::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Oid => Cell::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
            Self::Float4 => Cell::Float4(f32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Float8 => Cell::Float8(f64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Text => Cell::Text(std::str::from_utf8(bytes).ok()?),
            Self::Bytes => Cell::Bytes(bytes),
            Self::Uuid => Cell::Uuid(bytes.try_into().ok()?),
            Self::Json => Cell::Json(std::str::from_utf8(bytes).ok()?),
            Self::Jsonb => Cell::Json(std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?),
            Self::Vector => {
                let (head, numbers) = bytes.split_at_checked(4)?;
                let dimensions = u16::from_be_bytes([head[0], head[1]]);
                (numbers.len() == 4 * usize::from(dimensions)).then_some(Cell::Vector(numbers))?
            }
        })
    }
}

/// The numbers of a vector.
pub(super) fn numbers(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|four| f32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

impl<'r> List<'r> {
    fn read(element: Element, mut bytes: &'r [u8]) -> Option<Self> {
        let dimensions = take_i32(&mut bytes)?;
        let (_has_nulls, _element_type) = (take_i32(&mut bytes)?, take_i32(&mut bytes)?);
        let mut lengths = Vec::with_capacity(1);
        for _ in 0..dimensions {
            lengths.push(usize::try_from(take_i32(&mut bytes)?).ok()?);
            let _lower_bound = take_i32(&mut bytes)?;
        }
        let left = lengths.first().copied().unwrap_or_default();
        // Each element takes at least the bytes that say its length, so no array is larger than what was sent of it.
        let cells = lengths.iter().try_fold(4_usize, |bytes, length| bytes.checked_mul(*length))?;
        (dimensions == 0 || (1..=bytes.len()).contains(&cells)).then_some(Self { element, lengths, left, bytes })
    }

    /// How many cells are left.
    pub(super) fn len(&self) -> usize {
        self.left
    }

    /// The next cell; a slice where there is more than one dimension.
    pub(super) fn next(&mut self) -> Option<Result<Cell<'r>, Garbled>> {
        self.left = self.left.checked_sub(1)?;
        Some(if self.lengths.len() > 1 { self.slice() } else { self.cell() })
    }

    fn cell(&mut self) -> Result<Cell<'r>, Garbled> {
        match self.take()?.0 {
            None => Ok(Cell::Null),
            Some(bytes) => self.element.read(bytes).ok_or(Garbled),
        }
    }

    fn slice(&mut self) -> Result<Cell<'r>, Garbled> {
        let lengths = self.lengths[1..].to_vec();
        let cells: usize = lengths.iter().product();
        let slice = Self { element: self.element, left: lengths[0], lengths, bytes: self.bytes };
        for _ in 0..cells {
            self.take()?;
        }
        Ok(Cell::List(slice))
    }

    /// The bytes of the next element.
    fn take(&mut self) -> Result<Sent<'r>, Garbled> {
        let length = take_i32(&mut self.bytes).ok_or(Garbled)?;
        let Ok(length) = usize::try_from(length) else { return Ok(Sent(None)) };
        let (cell, rest) = self.bytes.split_at_checked(length).ok_or(Garbled)?;
        self.bytes = rest;
        Ok(Sent(Some(cell)))
    }
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let (four, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server sends of an array: its dimensions, and its elements.
    fn array(lengths: &[i32], elements: &[Option<&[u8]>]) -> Vec<u8> {
        let int = |number: i32| number.to_be_bytes();
        let mut bytes = [int(lengths.len().try_into().unwrap()), int(1), int(23)].concat();
        bytes.extend(lengths.iter().flat_map(|length| [int(*length), int(1)]).flatten());
        for element in elements {
            bytes.extend(int(element.map_or(-1, |bytes| bytes.len().try_into().unwrap())));
            bytes.extend(element.unwrap_or_default());
        }
        bytes
    }

    fn read(element: Element, bytes: &[u8]) -> Option<Vec<Result<Cell<'_>, Garbled>>> {
        let mut list = List::read(element, bytes)?;
        Some(std::iter::from_fn(|| list.next()).take(10).collect())
    }

    #[test]
    fn arrays_are_lists_of_lists() {
        let [one, two] = [1_i32, 2].map(i32::to_be_bytes);
        let flat = array(&[3], &[Some(&one), None, Some(&two)]);
        assert_eq!(read(Element::Int4, &flat), Some(vec![Ok(Cell::Int(1)), Ok(Cell::Null), Ok(Cell::Int(2))]));
        assert_eq!(read(Element::Int4, &array(&[], &[])), Some(vec![]));
        let grid = array(&[2, 1], &[Some(&one), Some(&two)]);
        let rows: Vec<_> = read(Element::Int4, &grid)
            .unwrap()
            .into_iter()
            .map(|row| match row {
                Ok(Cell::List(mut row)) => (row.len(), row.next(), row.next()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(rows, [(1, Some(Ok(Cell::Int(1))), None), (1, Some(Ok(Cell::Int(2))), None)]);
    }

    #[test]
    fn what_is_no_array_is_said_to_be_none() {
        let one = 1_i32.to_be_bytes();
        assert_eq!(read(Element::Int4, &[0, 0]), None);
        assert_eq!(read(Element::Int4, &array(&[-1], &[])), None);
        let short = array(&[2], &[Some(&one)]);
        assert_eq!(read(Element::Int4, &short), Some(vec![Ok(Cell::Int(1)), Err(Garbled)]));
        assert_eq!(read(Element::Int8, &array(&[1], &[Some(&one)])), Some(vec![Err(Garbled)]));
        // More elements than there can be in so many bytes, and more than none of which each is empty.
        for lengths in [&[i32::MAX, i32::MAX, i32::MAX, i32::MAX][..], &[i32::MAX, 0], &[0, i32::MAX], &[1000]] {
            assert_eq!(read(Element::Int4, &array(lengths, &[Some(&one)])), None, "{lengths:?}");
        }
    }

    #[test]
    fn elements_of_another_length_are_garbled() {
        for (element, bytes) in [
            (Element::Bool, &[][..]),
            (Element::Int2, &[1]),
            (Element::Float8, &[0; 4]),
            (Element::Text, &[0xff]),
            (Element::Uuid, &[0; 15]),
            (Element::Jsonb, b"\x02{}"),
            (Element::Vector, &[0, 2, 0, 0, 0, 0, 0, 0]),
            (Element::Vector, &[0]),
        ] {
            assert_eq!(element.read(bytes), None, "{element:?}");
        }
    }
}
