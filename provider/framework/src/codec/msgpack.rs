//! MessagePack, as the CLI and the provider exchange values.
