//! Values as bytes: MessagePack between the CLI and us, JSON in the state.
//!
//! Both are directed by the type, which the schema gives.

pub mod json;
pub mod msgpack;
