//! The one direction of the crates, and of the modules inside each, read off their manifests and sources.

use std::collections::HashMap;
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

/// The crates whose modules are listed in reading order, each with the file that lists them.
const ORDERED: [(&str, &str); 3] =
    [("provider/framework", "lib.rs"), ("provider/connector", "lib.rs"), ("provider/terraform-provider-pg", "main.rs")];

#[test]
fn a_module_uses_only_modules_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (folder, list) in ORDERED {
        let folder = root.join(folder).join("src");
        let list = std::fs::read_to_string(folder.join(list)).unwrap();
        let listed = list.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
        let order: HashMap<&str, usize> =
            listed.enumerate().map(|(at, name)| (name.trim_end_matches(';'), at)).collect();
        let mut looked_at = 0;
        for file in sources(&folder) {
            let path = file.strip_prefix(&folder).unwrap().with_extension("");
            let names: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
            let Some(own) = order.get(names[0]).filter(|_| !names.contains(&"tests")) else { continue };
            let text = std::fs::read_to_string(&file).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
            for used in code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(used) {
                looked_at += 1;
                let below = order.get(used).is_some_and(|at| at > own);
                assert!(!below, "{} uses {used}, which is listed below it", file.display());
            }
        }
        assert!(looked_at > 0, "no module of {} uses another", folder.display());
    }
}

/// The modules of its own crate that a line of code names.
fn used(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
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
