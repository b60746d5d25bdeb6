//! Where the examples that tests start are: built beside the tests, and never older than their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The example of that name.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    let built = fs::metadata(&binary).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = [root.join("examples").join(name), root.join("examples").join(name).with_extension("rs")];
    let sources = own.into_iter().filter(|path| path.exists()).chain([root.join("src")]);
    let newest = sources.map(|path| newest(&path)).max().unwrap();
    assert!(
        built >= newest,
        "{} is missing or old: cargo build -p {} --examples",
        binary.display(),
        env!("CARGO_PKG_NAME")
    );
    binary
}

/// When the sources were changed last; those of tests are no part of the binary.
fn newest(path: &Path) -> SystemTime {
    let is_test = |path: &Path| path.file_stem().is_some_and(|name| name == "tests");
    match fs::read_dir(path) {
        Ok(files) => {
            let files = files.map(|file| file.unwrap().path()).filter(|path| !is_test(path));
            files.map(|file| newest(&file)).max().unwrap_or(SystemTime::UNIX_EPOCH)
        }
        Err(_) => fs::metadata(path).unwrap().modified().unwrap(),
    }
}
