//! The provider's process: hands the provider to the plugin framework.

mod data_sources;
mod diagnostics;
mod functions;
mod provider_block;

fn main() {}
