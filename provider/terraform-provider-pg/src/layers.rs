//! The one direction of the crates, read off their manifests and sources.

use std::path::{Path, PathBuf};

/// A crate, the crates that it must not use, and the words that its sources must not hold.
const LAYERS: [(&str, &[&str], &[&str]); 3] = [
    ("proto", &["tfplugin", "pg-connector", "tokio-postgres", "testbed"], &["postgres", "Postgres"]),
    ("provider/framework", &["pg-connector", "tokio-postgres", "testbed"], &["postgres", "Postgres"]),
    ("provider/connector", &["tfplugin", "tfplugin-proto", "tonic", "prost"], &["tfplugin", "Terraform", "OpenTofu"]),
];

#[test]
fn no_crate_knows_what_it_must_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (folder, crates, words) in LAYERS {
        let manifest = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        let (dependencies, _) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
        for name in crates {
            let used = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
            assert!(!used, "{folder} must not depend on {name}");
        }
        let files = sources(&root.join(folder).join("src"));
        assert!(!files.is_empty(), "{folder} has no sources");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for line in text.lines().filter(|line| !line.contains("**Invariant:** this crate does not know the word")) {
                let found = words.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{} knows a word of another layer: {line}", file.display());
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
