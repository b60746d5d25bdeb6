//! Keeps the committed Rust the same as what the `.proto` files say.
//!
//! **Invariant:** a stale file fails the test, and is right afterwards: run it again and commit.

use std::fs;
use std::path::Path;

const FILES: [&str; 3] = ["tfplugin6/provider.proto", "goplugin/plugin.proto", "health/health.proto"];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/generated");
    let scratch = tempfile::tempdir().unwrap();

    let descriptors = protox::compile(FILES.map(|file| root.join(file)), [root]).unwrap();
    tonic_prost_build::configure()
        .out_dir(scratch.path())
        .emit_rerun_if_changed(false)
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .generate_default_stubs(true)
        .btree_map(".")
        .compile_fds(descriptors)
        .unwrap();

    let mut stale = Vec::new();
    for file in names(scratch.path()) {
        let fresh = fs::read_to_string(scratch.path().join(&file)).unwrap();
        if fs::read_to_string(committed.join(&file)).ok().as_ref() != Some(&fresh) {
            fs::write(committed.join(&file), fresh).unwrap();
            stale.push(file);
        }
    }
    for file in names(&committed) {
        if !scratch.path().join(&file).exists() {
            fs::remove_file(committed.join(&file)).unwrap();
            stale.push(file);
        }
    }
    assert!(stale.is_empty(), "these files were stale and are written anew, commit them: {stale:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
