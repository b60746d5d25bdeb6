//! Seeds that are changed at random: a little, so that most of what they mean is left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::{alone, seeds, surfaces};

/// How many inputs each way in is given, unless the time is given instead.
const INPUTS: u32 = 2_000;

/// The longest input.
const LONGEST: usize = 4_096;

/// What formats make much of.
const WORDS: [&[u8]; 48] = [
    b"\"",
    b"'",
    b"''",
    b"$$",
    b"$a$",
    b"\\",
    b"/*",
    b"*/",
    b"--",
    b";",
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"=",
    b"%00",
    b"%",
    b"@",
    b"\0",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    "é".as_bytes(),
    "\u{301}".as_bytes(),
    b"null",
    b"true",
    b"1e999999999",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"NaN",
    b"0.1e-20000",
    b"[[[[",
    b"\xc0",
    b"\xc1",
    b"\xd4\0\0",
    b"\xc7\x03\x0c\x81\x01\xc2",
    b"\x92\xc4\x09\"dynamic\"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x0c",
    b"\x30\x80",
    b"E'\\'",
    b"$ref",
];

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    /// A number below the limit, or 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0).checked_rem(limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A piece of what is there.
    fn piece(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..from + self.below((length - from).min(longest) + 1)
    }
}

/// A seed with a few changes.
fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len() + 1);
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] = random.byte(),
            1 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes.insert(at, random.byte()),
            3 => drop(bytes.drain(random.piece(bytes.len(), 16))),
            4 => bytes.truncate(at),
            5 => drop(bytes.splice(at..at, random.pick(&WORDS).iter().copied())),
            6 => {
                // Once more, or many times more.
                let piece = bytes[random.piece(bytes.len(), 64)].repeat(1 + random.below(3) * 20);
                bytes.splice(at..at, piece);
            }
            7 => {
                let other = random.pick(seeds);
                let piece = other[random.piece(other.len(), 64)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = random.pick(seeds);
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

#[test]
fn changed_seeds_end_in_a_value_or_an_error() {
    let _alone = alone();
    let seconds: Option<u64> = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let limit = seconds.map(Duration::from_secs);
    let mut faults = Vec::new();
    for (name, surface) in surfaces() {
        let mut seeds = seeds(name);
        seeds.push(Vec::new());
        // A longer run is to find what the short one does not.
        let mut random =
            Random(if limit.is_some() { u64::from(std::process::id()) << 32 | 1 } else { 0x2545_f491_4f6c_dd1d });
        let started = Instant::now();
        let mut count = 0;
        while limit.map_or(count < INPUTS, |limit| started.elapsed() < limit) {
            let input = if count < 64 { random.pick(&seeds).clone() } else { mutated(&mut random, &seeds) };
            if catch_unwind(AssertUnwindSafe(|| surface(&input))).is_err() {
                faults.push(format!("{name} panics; make this a seed: {}", input.escape_ascii()));
                break;
            }
            count += 1;
        }
        if limit.is_some() {
            eprintln!("{name}: {count} inputs");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
