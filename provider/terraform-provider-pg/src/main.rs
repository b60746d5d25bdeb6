//! The provider's process: hands the provider to the plugin framework.

mod diagnostics;
mod provider_block;

fn main() {}
