//! Reads the files that settings name.
//!
//! **Invariant:** reading ends: a device or pipe that is named by mistake is refused, and so is a file that is far too
//! large for what it should hold.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// More than any bundle of certificates has.
const MAX_BYTES: u64 = 16 << 20;

/// The bytes of a file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    if !std::fs::metadata(file)?.is_file() {
        return Err(Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// The text of a file.
pub(crate) fn read_text(file: &Path) -> Result<String> {
    String::from_utf8(read(file)?).map_err(|_| Error::other("it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (small, large) = (folder.path().join("small"), folder.path().join("large"));
        std::fs::write(&small, "text").unwrap();
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();

        assert_eq!(read_text(&small).unwrap(), "text");
        for (file, why) in [(large.as_path(), "larger than 16 MiB"), (folder.path(), "not a plain file")] {
            assert!(read(file).unwrap_err().to_string().contains(why), "{}", file.display());
        }
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("not a plain file"));
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
