//! Type names: spellings of built-in types, equality, casts between pairs.
