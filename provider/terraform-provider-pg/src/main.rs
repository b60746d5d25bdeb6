//! The provider's process: hands the provider to the plugin framework.

#![expect(unreachable_pub, reason = "in a binary pub only says that other modules use the item")]

mod diagnostics;
mod provider_block;
mod attributes;
mod steps;
mod functions;
mod data_sources;
mod resources;
mod provider;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod layers;

use std::process::ExitCode;

fn main() -> ExitCode {
    tfplugin::serve(provider::PgProvider)
}
