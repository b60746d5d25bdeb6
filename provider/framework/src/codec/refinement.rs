//! What is known about an unknown value, as MessagePack extension 12.

use rmp::encode;

use super::msgpack::{Reader, write_number};
use crate::number::Number;
use crate::value::Refinement;

const NULLNESS: u64 = 1;
const PREFIX: u64 = 2;
const NUMBER_MIN: u64 = 3;
const NUMBER_MAX: u64 = 4;
const LENGTH_MIN: u64 = 5;
const LENGTH_MAX: u64 = 6;

/// The CLI refuses more than this.
const MAX_BYTES: usize = 1024;

/// Reads the body of the extension. What it does not know or cannot read it leaves out: an unknown value stays unknown.
pub(super) fn read(body: &[u8]) -> Refinement {
    let mut refinement = Refinement::default();
    if body.len() <= MAX_BYTES {
        let mut reader = Reader::new(body);
        let _ = fields(&mut reader, &mut refinement);
    }
    refinement
}

fn fields(reader: &mut Reader<'_>, refinement: &mut Refinement) -> Option<()> {
    for _ in 0..reader.map_len()? {
        match reader.unsigned()? {
            NULLNESS => refinement.not_null = Some(!reader.boolean()?),
            PREFIX => refinement.prefix = Some(reader.text()?),
            NUMBER_MIN => refinement.number_min = Some(bound(reader)?),
            NUMBER_MAX => refinement.number_max = Some(bound(reader)?),
            LENGTH_MIN => refinement.length_min = Some(reader.unsigned()?),
            LENGTH_MAX => refinement.length_max = Some(reader.unsigned()?),
            _ => reader.skip()?,
        }
    }
    Some(())
}

fn bound(reader: &mut Reader<'_>) -> Option<(Number, bool)> {
    (reader.array_len()? == 2).then_some(())?;
    Some((reader.number()?, reader.boolean()?))
}

/// Writes an unknown value: the plain one, or the extension with what is known.
pub(super) fn write(out: &mut Vec<u8>, refinement: &Refinement) {
    let mut body = Vec::new();
    let mut count = 0;
    let mut key = |body: &mut Vec<u8>, key: u64| {
        count += 1;
        let _ = encode::write_uint(body, key);
    };
    if let Some(not_null) = refinement.not_null {
        key(&mut body, NULLNESS);
        let _ = encode::write_bool(&mut body, !not_null);
    }
    if let Some(prefix) = &refinement.prefix {
        key(&mut body, PREFIX);
        let _ = encode::write_str(&mut body, prefix);
    }
    for (which, bound) in [(NUMBER_MIN, &refinement.number_min), (NUMBER_MAX, &refinement.number_max)] {
        if let Some((number, inclusive)) = bound {
            key(&mut body, which);
            let _ = encode::write_array_len(&mut body, 2);
            write_number(&mut body, number);
            let _ = encode::write_bool(&mut body, *inclusive);
        }
    }
    for (which, bound) in [(LENGTH_MIN, refinement.length_min), (LENGTH_MAX, refinement.length_max)] {
        if let Some(length) = bound {
            key(&mut body, which);
            let _ = encode::write_uint(&mut body, length);
        }
    }
    let mut map = Vec::new();
    let _ = encode::write_map_len(&mut map, count);
    map.extend(body);
    // Less knowledge is always allowed, and the CLI refuses a longer body.
    if count == 0 || map.len() > MAX_BYTES {
        out.extend([0xd4, 0, 0]);
    } else {
        let _ = encode::write_ext_meta(out, u32::try_from(map.len()).unwrap_or(u32::MAX), 12);
        out.extend(map);
    }
}
