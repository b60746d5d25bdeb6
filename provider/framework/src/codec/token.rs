//! MessagePack as a sequence of tokens, read from a slice without copying.
//!
//! **Invariant:** a token never claims more bytes, or more elements, than the input still has.

use rmp::Marker;

use super::CodecError;

/// One step of MessagePack. Arrays and maps only announce how many values follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Array(usize),
    Map(usize),
    Extension(i8, &'a [u8]),
}

impl Token<'_> {
    /// What the token is, for an error text.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Nil => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "a sequence",
            Self::Map(_) => "a map",
            Self::Extension(..) => "an unknown value",
        }
    }
}

/// The part of the input that is not read yet.
pub(crate) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>, CodecError> {
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::FixPos(value) => Token::Uint(value.into()),
            Marker::FixNeg(value) => Token::Int(value.into()),
            Marker::U8 => Token::Uint(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Token::Uint(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Token::Uint(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Token::Uint(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Token::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Token::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Token::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Token::Text(self.take(length.into())?),
            Marker::Str8 => Token::Text(self.sized::<1>()?),
            Marker::Str16 => Token::Text(self.sized::<2>()?),
            Marker::Str32 => Token::Text(self.sized::<4>()?),
            Marker::Bin8 => Token::Bytes(self.sized::<1>()?),
            Marker::Bin16 => Token::Bytes(self.sized::<2>()?),
            Marker::Bin32 => Token::Bytes(self.sized::<4>()?),
            Marker::FixArray(length) => Token::Array(self.count(length.into(), 1)?),
            Marker::Array16 => Token::Array(self.counted::<2>(1)?),
            Marker::Array32 => Token::Array(self.counted::<4>(1)?),
            Marker::FixMap(length) => Token::Map(self.count(length.into(), 2)?),
            Marker::Map16 => Token::Map(self.counted::<2>(2)?),
            Marker::Map32 => Token::Map(self.counted::<4>(2)?),
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => {
                let length = self.length::<1>()?;
                self.extension(length)?
            }
            Marker::Ext16 => {
                let length = self.length::<2>()?;
                self.extension(length)?
            }
            Marker::Ext32 => {
                let length = self.length::<4>()?;
                self.extension(length)?
            }
            Marker::Reserved => return Err(CodecError::new("a byte that MessagePack does not define")),
        })
    }

    /// Reads past one value, whatever it is.
    pub(crate) fn skip(&mut self) -> Result<(), CodecError> {
        // Bounded by the input, because each value takes a byte.
        let mut pending = 1_usize;
        while pending > 0 {
            pending = pending.saturating_sub(1).saturating_add(match self.next()? {
                Token::Array(length) => length,
                Token::Map(length) => length.saturating_mul(2),
                _ => 0,
            });
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length<const N: usize>(&mut self) -> Result<usize, CodecError> {
        Ok(self.array::<N>()?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn sized<const N: usize>(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.length::<N>()?;
        self.take(length)
    }

    fn count(&self, length: usize, values_each: usize) -> Result<usize, CodecError> {
        if length.saturating_mul(values_each) > self.rest.len() { Err(truncated()) } else { Ok(length) }
    }

    fn counted<const N: usize>(&mut self, values_each: usize) -> Result<usize, CodecError> {
        let length = self.length::<N>()?;
        self.count(length, values_each)
    }

    fn extension(&mut self, length: usize) -> Result<Token<'a>, CodecError> {
        let code = i8::from_be_bytes(self.array()?);
        Ok(Token::Extension(code, self.take(length)?))
    }
}

fn truncated() -> CodecError {
    CodecError::new("the value ends too early")
}
