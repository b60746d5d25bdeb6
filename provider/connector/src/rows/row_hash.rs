//! Rows told apart by short hashes: which rows of a file are new, changed or gone.
//!
//! A row's hash is half a hash of its key and half one of its cells that are not null. **Invariant:** equal rows have
//! equal hashes, whatever the order of their cells, the spelling of their keys or the version of this program.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use sha2::{Digest, Sha256};
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

use super::key;
use super::kind::ColumnKind;
use super::value::hex;

/// More rows than this are not told apart in memory: 24 bytes each are kept, and 16 for each row of the ledger.
pub(crate) const MOST_HASHES: usize = 1_500_000;

/// The hash of one row; sorted, rows with the same key stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowHash {
    key: u64,
    cells: u64,
}

impl RowHash {
    /// Puts a hash together from a digest of the key and one of the cells.
    pub(crate) fn new(key: &[u8; 32], cells: &[u8; 32]) -> Self {
        let half = |digest: &[u8; 32]| u64::from_be_bytes(first(digest));
        Self { key: half(key), cells: half(cells) }
    }

    /// As the server's type `uuid` sends it.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let half = |from: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[from..from + 8]);
            u64::from_be_bytes(half)
        };
        Self { key: half(0), cells: half(8) }
    }

    /// The half that stands for the key.
    pub(crate) fn key(self) -> u64 {
        self.key
    }

    /// As the server's type `uuid` reads it.
    pub(crate) fn to_hex(self) -> String {
        hex(&(u128::from(self.key) << 64 | u128::from(self.cells)).to_be_bytes())
    }
}

impl ToSql for RowHash {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u64(self.key);
        out.put_u64(self.cells);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

/// A row of a file: what it is, and where it begins. Sorted, it is by the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub(crate) hash: RowHash,
    /// The number of bytes before it, after decompression.
    pub(crate) at: u64,
}

/// Bytes on their way into a digest: gathered, since many short ones cost more than one long one, and bounded.
#[derive(Clone, Debug, Default)]
struct Gathered {
    hasher: Sha256,
    bytes: Vec<u8>,
}

/// More bytes than this are not gathered.
const GATHERED: usize = 1 << 10;

impl Gathered {
    /// Adds a text and where it ends.
    fn add(&mut self, text: &str) {
        // Most texts are short, and every byte costs.
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => self.bytes.push(length),
            _ => {
                self.bytes.push(u8::MAX);
                self.bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            }
        }
        if self.bytes.len() + text.len() > GATHERED {
            self.hasher.update(&self.bytes);
            self.bytes.clear();
            self.hasher.update(text);
        } else {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    fn finish(&mut self) -> [u8; 32] {
        self.hasher.update(&self.bytes);
        self.bytes.clear();
        let mut digest = [0; 32];
        digest.copy_from_slice(&self.hasher.finalize_reset());
        digest
    }
}

/// The digest of a key: of the normal form of each of its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyDigest(Gathered);

impl KeyDigest {
    /// Adds the next part.
    pub(crate) fn add(&mut self, kind: &ColumnKind, text: &str) {
        self.0.add(&key::normal_text(kind, text));
    }

    /// The digest, after which another begins.
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.0.finish()
    }
}

/// The digest of a row's cells that are not null, to be added in the order of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct CellDigest(Gathered);

impl CellDigest {
    /// Adds a cell.
    pub(crate) fn add(&mut self, name: &str, text: &str) {
        self.0.add(name);
        self.0.add(text);
    }

    /// The digest, after which another begins.
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.0.finish()
    }
}

fn first(digest: &[u8; 32]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

/// The digest of a text that stands for a row or a key.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(&Sha256::digest(bytes));
    digest
}

/// Digests added up, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    /// Adds a digest.
    pub(crate) fn add(&mut self, digest: &[u8; 32]) {
        let mut carry = false;
        for (limb, bytes) in self.0.iter_mut().zip(digest.chunks_exact(8)) {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            let (sum, over) = limb.overflowing_add(u64::from_le_bytes(number));
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || again);
        }
    }

    /// The sum as bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|limb| limb.to_le_bytes()).collect()
    }
}

/// How rows that are declared differ from those that were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Rows with a new key.
    pub(crate) inserted: u64,
    /// Rows with a known key and other cells.
    pub(crate) updated: u64,
    /// Rows whose key is no longer declared.
    pub(crate) deleted: u64,
    /// The former hashes of rows that are updated or deleted, sorted.
    pub(crate) gone: Vec<RowHash>,
    /// The rows that are updated or inserted, sorted.
    pub(crate) come: Vec<Placed>,
}

impl Difference {
    /// How many rows differ.
    pub(crate) fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

/// Compares. Both must be sorted. The hashes themselves are kept while at most so many rows differ.
pub(crate) fn difference(former: &[RowHash], now: &[Placed], most: u64) -> Difference {
    let mut difference = Difference::default();
    let (mut former, mut now) = (former.iter().copied().peekable(), now.iter().copied().peekable());
    loop {
        let (gone, come) = match (former.peek(), now.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.key() == b.hash.key() => {
                let differs = *a != b.hash;
                difference.updated += u64::from(differs);
                (former.next().filter(|_| differs), now.next().filter(|_| differs))
            }
            (Some(a), b) if b.is_none_or(|b| a.key() < b.hash.key()) => {
                difference.deleted += 1;
                (former.next(), None)
            }
            _ => {
                difference.inserted += 1;
                (None, now.next())
            }
        };
        if difference.rows() <= most {
            difference.gone.extend(gone);
            difference.come.extend(come);
        }
    }
    if difference.rows() > most {
        (difference.gone, difference.come) = (Vec::new(), Vec::new());
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(rows: &[(u64, u64)]) -> Vec<RowHash> {
        rows.iter().map(|&(key, cells)| RowHash { key, cells }).collect()
    }

    fn placed(rows: &[(u64, u64)]) -> Vec<Placed> {
        hashes(rows).into_iter().map(|hash| Placed { hash, at: 7 * hash.key }).collect()
    }

    #[test]
    fn rows_are_told_apart() {
        let former = hashes(&[(1, 1), (2, 1), (3, 1), (5, 1)]);
        let now = placed(&[(0, 1), (1, 1), (2, 2), (4, 1), (5, 1), (9, 9)]);
        let found = difference(&former, &now, 5);
        assert_eq!((found.inserted, found.updated, found.deleted), (3, 1, 1));
        assert_eq!(found.gone, hashes(&[(2, 1), (3, 1)]));
        assert_eq!(found.come, placed(&[(0, 1), (2, 2), (4, 1), (9, 9)]));
        assert_eq!(difference(&former, &placed(&[(1, 1), (2, 1), (3, 1), (5, 1)]), 0), Difference::default());
        assert_eq!(difference(&[], &now, 6).inserted, 6);
        let too_many = difference(&former, &[], 3);
        assert_eq!((too_many.deleted, too_many.gone), (4, Vec::new()));
    }

    #[test]
    fn a_sum_has_no_order_and_carries() {
        let (ones, one) = ([0xff; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        });
        let (mut a, mut b) = (Sum::default(), Sum::default());
        for digest in [&ones, &one, &sha256(b"x")] {
            a.add(digest);
        }
        for digest in [&sha256(b"x"), &one, &ones] {
            b.add(digest);
        }
        assert_eq!(a, b);
        let mut x = Sum::default();
        x.add(&sha256(b"x"));
        assert_eq!(a, x, "all ones and one are zero");
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let long = |n: usize| "x".repeat(n);
        let digest = |cells: &[(&str, &str)]| {
            let mut digest = CellDigest::default();
            for (name, text) in cells {
                digest.add(name, text);
            }
            digest.finish()
        };
        let all = [
            digest(&[]),
            digest(&[("a", "")]),
            digest(&[("a", "b")]),
            digest(&[("ab", "")]),
            digest(&[("a", "b"), ("c", "")]),
            digest(&[("a", &long(254))]),
            digest(&[("a", &long(255))]),
            digest(&[("a", &long(256))]),
            digest(&[("a", &long(5000))]),
            digest(&[("a", &long(5001))]),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        let mut again = CellDigest::default();
        again.add("a", &long(5000));
        assert_eq!(again.finish(), all[8]);
        assert_eq!(again.finish(), all[0], "it begins anew");
    }

    #[test]
    fn a_hash_is_a_uuid_to_the_server() {
        let hash = RowHash::new(&sha256(b"key"), &sha256(b"cells"));
        assert_eq!(hash.to_hex().len(), 32);
        assert_eq!(hash.to_hex()[..16], hex(&sha256(b"key")[..8]));
        assert_eq!(format!("{:016x}", hash.key()), hash.to_hex()[..16]);
        let bytes = u128::from_str_radix(&hash.to_hex(), 16).unwrap().to_be_bytes();
        assert_eq!(RowHash::from_bytes(bytes), hash);
    }
}
