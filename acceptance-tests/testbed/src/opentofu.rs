//! Fetches a pinned release of OpenTofu when no CLI is on the PATH.
//!
//! **Invariant:** nothing is unpacked, let alone run, before it matches the release's own list of checksums.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::download::{fetch, once_in, unzip};
use crate::{Result, tools_dir};

/// The release that is fetched.
pub const VERSION: &str = "1.12.6";

/// The variable that names another place than the project's own for its releases.
pub const RELEASES_VARIABLE: &str = "TESTBED_OPENTOFU_RELEASES";

const RELEASES: &str = "https://github.com/opentofu/opentofu/releases/download";

/// How a person installs it.
pub const INSTALL: &str = "  curl -fsSL https://get.opentofu.org/install-opentofu.sh -o install-opentofu.sh\n  \
                           sh install-opentofu.sh --install-method standalone";

/// The program, downloaded once for this checkout.
pub fn program() -> Result<PathBuf> {
    let releases = std::env::var(RELEASES_VARIABLE).unwrap_or_else(|_| RELEASES.to_owned());
    install(&releases, &tools_dir()).map_err(|e| {
        format!(
            "neither tofu nor terraform is on the PATH, and fetching OpenTofu {VERSION} failed:\n{e}\n\
             Install it with these two lines, or name a CLI in TF_CLI:\n{INSTALL}"
        )
    })
}

fn install(releases: &str, tools: &Path) -> Result<PathBuf> {
    let archive = format!("tofu_{VERSION}_{}_{}.zip", os()?, arch()?);
    let folder = once_in(tools, &format!("opentofu-{VERSION}"), |folder| {
        let (zip, sums) = (folder.join(&archive), folder.join("SHA256SUMS"));
        fetch(&format!("{releases}/v{VERSION}/tofu_{VERSION}_SHA256SUMS"), &sums)?;
        fetch(&format!("{releases}/v{VERSION}/{archive}"), &zip)?;
        let sums = std::fs::read_to_string(&sums).map_err(|e| format!("the list of checksums: {e}"))?;
        let bytes = std::fs::read(&zip).map_err(|e| format!("{archive}: {e}"))?;
        check(&archive, &bytes, &sums)?;
        unzip(&zip, folder)?;
        std::fs::remove_file(&zip)
            .and_then(|()| std::fs::set_permissions(folder.join("tofu"), std::fs::Permissions::from_mode(0o755)))
            .map_err(|e| format!("{archive} holds no program tofu: {e}"))
    })?;
    Ok(folder.join("tofu"))
}

/// Compares a file with its line in the list of checksums (`<sha256>  <name>`).
fn check(name: &str, bytes: &[u8], sums: &str) -> Result<()> {
    let mut lines = sums.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let listed = lines.find(|(_, file)| file.trim_start_matches([' ', '*']) == name);
    let (want, _) = listed.ok_or_else(|| format!("the list of checksums does not name {name}"))?;
    let mut got = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(got, "{byte:02x}");
    }
    if got.eq_ignore_ascii_case(want) {
        return Ok(());
    }
    Err(format!("the checksum of {name} is wrong: the release says {want}, what arrived has {got}"))
}

fn os() -> Result<&'static str> {
    match std::env::consts::OS {
        "linux" => Ok("linux"),
        "macos" => Ok("darwin"),
        other => Err(format!("there is no pinned download for {other}")),
    }
}

fn arch() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(format!("there is no pinned download for {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compared_with_its_own_line() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sums = format!("{:064}  b.zip\n{empty}  a.zip\n{}  c.zip\n", 0, empty.to_uppercase());
        assert_eq!(check("a.zip", b"", &sums), Ok(()));
        assert_eq!(check("c.zip", b"", &sums), Ok(()));
        assert!(check("b.zip", b"", &sums).unwrap_err().contains("wrong"));
        assert!(check("a.zip", b"x", &sums).unwrap_err().contains("wrong"));
        assert!(check("zip", b"", &sums).unwrap_err().contains("does not name"));
        assert!(check("a.zip", b"", "").is_err());
    }
}
