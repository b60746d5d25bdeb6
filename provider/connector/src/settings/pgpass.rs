//! Finds a password in libpq's password file.
//!
//! **Invariant:** a file that others may read is not used, as in libpq.

use std::path::Path;

use super::named_file;
use super::secret::Secret;

/// What the password file says, if it may be used.
#[derive(Debug)]
pub(super) struct Pgpass {
    text: Option<Secret>,
    /// Why the file is there but not used.
    pub(super) warning: Option<String>,
}

impl Pgpass {
    /// Reads the file. One that is not there is as good as empty.
    pub(super) fn read(file: &Path) -> Self {
        let ignored = |why: String| Self {
            text: None,
            warning: Some(format!("the password file {} is ignored: {why}", file.display())),
        };
        let Ok(metadata) = std::fs::metadata(file) else { return Self { text: None, warning: None } };
        if !metadata.is_file() {
            return ignored("it is not a plain file".to_owned());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if metadata.permissions().mode() & 0o077 != 0 {
                return ignored(format!("group or others have access to it; run `chmod 600 {}`", file.display()));
            }
        }
        match named_file::read_text(file) {
            Ok(text) => Self { text: Some(Secret::new(text)), warning: None },
            Err(error) => ignored(format!("it cannot be read: {error}")),
        }
    }

    /// The password of the first line that fits.
    pub(super) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
        find(self.text.as_ref()?.reveal(), host, port, database, user)
    }
}

/// The password of the first line of a file's text that fits.
pub(crate) fn find(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let port = port.to_string();
    let wanted = [host, &port, database, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, tail) = field(rest)?;
            if field != wanted && &rest[..rest.len() - tail.len() - 1] != "*" {
                return None;
            }
            rest = tail;
        }
        let password = unescape(rest.trim_end_matches('\r'));
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// The text before the next colon that is not escaped, and what follows the colon.
fn field(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => return Some((unescape(&text[..at]), &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
        let file = Pgpass { text: Some(Secret::new(text)), warning: None };
        file.find(host, port, database, user).map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# db:5432:app:alice:no\n\
            db:5433:app:alice:other port\n\
            db:5432:app:alice:right: with \\: and \\\\\r\n\
            db:*:*:alice:any\n\
            *:*:*:*:last\n";
        assert_eq!(found(text, "db", 5432, "app", "alice").as_deref(), Some("right: with : and \\"));
        assert_eq!(found(text, "db", 1, "x", "alice").as_deref(), Some("any"));
        assert_eq!(found(text, "x", 1, "x", "bob").as_deref(), Some("last"));
    }

    #[test]
    fn escapes_and_odd_lines() {
        let text = "::1:5432:a:b:not this\n\\:\\:1:5432:a\\\\b:u:v6\n\\*:5432:a:u:star\ntoo:few\n\nh:5432:a:u:\n";
        assert_eq!(found(text, "::1", 5432, "a\\b", "u").as_deref(), Some("v6"));
        assert_eq!(found(text, "h", 5432, "a", "u"), None, "an escaped star is no wildcard, an empty password none");
        assert_eq!(found(text, "*", 5432, "a", "u").as_deref(), Some("star"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_ignored_with_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:secret\n").unwrap();
        for (mode, used) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let file = Pgpass::read(&path);
            assert_eq!(file.find("h", 1, "d", "u").is_some(), used, "{mode:o}");
            assert_eq!(file.warning.is_some_and(|w| w.contains("chmod 600")), !used, "{mode:o}");
        }
        assert!(Pgpass::read(&folder.path().join("none")).warning.is_none());
        assert!(Pgpass::read(folder.path()).warning.is_some_and(|w| w.contains("plain file")));
    }
}
