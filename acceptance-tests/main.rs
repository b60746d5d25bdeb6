//! Drives the real CLIs against real Postgres servers: what a user types, and what they find in the database afterwards.
//!
//! After every successful apply the next plan must be empty, with and without a refresh; [`testbed::Workspace`] sees to
//! that. [`support`] says which case runs where. Run these with `make acceptance` or `make test`.

#![expect(clippy::print_stdout, reason = "the test runner shows it when a case fails")]

mod aliases;
mod concurrency;
mod crash;
mod data;
mod demo;
mod drift;
mod ephemeral;
mod faults;
mod functions;
mod import;
mod messages;
mod moved;
mod pooler;
mod provider_config;
mod quickstart;
mod replace;
mod rows;
mod rows_file;
mod sql_attachment;
mod support;
mod table;
mod types;
mod vector_index;

#[test]
fn every_file_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../acceptance-tests");
    let listed = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(listed.contains(&format!("\nmod {module};\n")), "main.rs does not list {name}");
        }
    }
}
