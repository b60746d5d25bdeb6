//! A sum over the hashes of rows, as the server makes it: what is added to and taken from a table adds up.

use std::fmt::Write as _;
use std::ops::{Add, Sub};

use super::row_hash::sha256;
use super::value::hex;

/// The number of rows and the sum of their hashes. A sum, unlike an xor, does not cancel out what is there twice, and does
/// not depend on the order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) rows: i128,
    pub(super) hashes: i128,
}

impl Sums {
    /// As private state keeps it. Sums over other columns never look the same.
    pub(super) fn text(&self, columns: &[String]) -> String {
        let mut names: Vec<&String> = columns.iter().collect();
        names.sort_unstable();
        let mut all = String::new();
        for name in names {
            let _ = write!(all, "{}:{name}", name.len());
        }
        let columns = hex(&sha256(all.as_bytes())[..8]);
        format!("5:{columns}:{}:{}", self.rows, self.hashes)
    }
}

impl Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, hashes: self.hashes + other.hashes }
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { rows: self.rows - other.rows, hashes: self.hashes - other.hashes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_depends_on_the_columns_but_not_on_their_order() {
        let sums = Sums { rows: 2, hashes: -3 };
        let text = |names: &[&str]| sums.text(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(text(&["id", "a"]), text(&["a", "id"]));
        assert_ne!(text(&["id", "a"]), text(&["ida"]));
        assert!(text(&["id"]).ends_with(":2:-3"));
        assert_eq!(sums + sums - sums, sums);
    }
}
