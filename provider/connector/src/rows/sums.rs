//! Sums over the hashes of rows, as the server makes them: what is added to and taken from a table adds up.

use std::fmt::Write as _;
use std::ops::{Add, Sub};

use super::row_hash::sha256;
use super::value::hex;

/// The number of rows and two sums over their hashes. Two sums, unlike one xor, do not cancel each other out; neither
/// depends on the order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) rows: i128,
    pub(super) first: i128,
    pub(super) second: i128,
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
        format!("2:{columns}:{}:{}:{}", self.rows, self.first, self.second)
    }
}

impl Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, first: self.first + other.first, second: self.second + other.second }
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { rows: self.rows - other.rows, first: self.first - other.first, second: self.second - other.second }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_depends_on_the_columns_but_not_on_their_order() {
        let sums = Sums { rows: 2, first: -3, second: 4 };
        let text = |names: &[&str]| sums.text(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(text(&["id", "a"]), text(&["a", "id"]));
        assert_ne!(text(&["id", "a"]), text(&["ida"]));
        assert!(text(&["id"]).ends_with(":2:-3:4"));
        assert_eq!(sums + sums - sums, sums);
    }
}
