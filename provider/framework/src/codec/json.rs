//! JSON, as the state holds values.
