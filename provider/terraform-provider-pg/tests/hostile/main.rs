//! Does every way in stand whatever bytes come? It is given seeds that are changed at random, and inputs that are made to
//! be expensive.
//!
//! The same functions are fuzz targets in `fuzz/`. `FUZZ_SECONDS` spends that long on each way in, `FUZZ_SURFACE` is a part
//! of the names of those that are wanted.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod expensive;
mod mutated;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;

/// Counts what this process allocates.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// A way in: its name, and what happens to bytes there.
type Surface = (&'static str, fn(&[u8]));

/// All ways into the provider.
fn surfaces() -> Vec<Surface> {
    let wanted = std::env::var("FUZZ_SURFACE").unwrap_or_default();
    let all = tfplugin::testing::surfaces::SURFACES.into_iter().chain(pg_connector::surfaces::SURFACES);
    all.filter(|(name, _)| name.contains(&wanted)).collect()
}

/// The files of the fuzz targets.
fn fuzz(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(path)
}

/// Inputs that mean something to a way in, to begin with.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(fuzz("seeds").join(name)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Only one test at a time: what one allocates must not be counted as another's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn every_way_in_has_a_fuzz_target_and_seeds() {
    let mut names: Vec<_> = tfplugin::testing::surfaces::SURFACES.map(|(name, _)| name).to_vec();
    names.extend(pg_connector::surfaces::SURFACES.map(|(name, _)| name));
    names.sort_unstable();
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in &names {
        let target = fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(target.contains(&format!("surfaces::{name}(data)")), "{name}: {target}");
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "the manifest does not list {name}");
        assert!(!seeds(name).is_empty(), "{name} has no seeds");
    }
    for folder in ["fuzz_targets", "seeds"] {
        let mut found: Vec<_> = fs::read_dir(fuzz(folder))
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort_unstable();
        assert_eq!(found, names, "{folder}");
    }
}
