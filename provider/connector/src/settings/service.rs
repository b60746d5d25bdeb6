//! Finds a service in libpq's service files.

use std::path::{Path, PathBuf};

use super::keyword;
use super::named_file;
use super::origin::Origin;

/// A keyword, its value and where it stands.
pub(crate) type Setting = (&'static str, String, Origin);

/// The settings of a service, or why they cannot be had.
pub(super) fn read(service: &str, files: &[PathBuf]) -> Result<Vec<Setting>, String> {
    for file in files {
        let text = match named_file::read_text(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("the service file {} cannot be read: {error}", file.display())),
        };
        if let Some(found) = find(service, &text, file)? {
            return Ok(found);
        }
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Err(format!("no file defines the service {service:?}; looked in {}", looked.join(", ")))
}

/// The settings of a service in the text of one file.
pub(crate) fn find(service: &str, text: &str, file: &Path) -> Result<Option<Vec<Setting>>, String> {
    let mut found: Option<Vec<Setting>> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| Err(format!("line {} of {} {what}", number + 1, file.display()));
        if line.starts_with('[') {
            if found.is_some() {
                break;
            }
            if line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) == Some(service) {
                found = Some(Vec::new());
            }
        } else if let Some(found) = &mut found {
            if line.starts_with("ldap") {
                return fault("looks the service up in LDAP, which is not supported");
            }
            let Some((name, value)) = line.split_once('=') else {
                return fault("is no keyword=value");
            };
            if name == "service" {
                return fault("refers to another service, which libpq does not allow");
            }
            let Some(keyword) = keyword::find(name) else {
                return fault("sets a keyword that libpq does not have");
            };
            if !found.iter().any(|(other, ..)| *other == keyword.name) {
                let origin = Origin::Service { service: service.to_owned(), file: file.to_owned() };
                found.push((keyword.name, value.to_owned(), origin));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# comment\n[other]\nhost=wrong\n\n[app]\n  host=db\nport=5433\npassword=a b=c\nhost=again\n[app2]\nhost=x\n";

    fn found(service: &str, text: &str) -> Result<Option<Vec<(&'static str, String)>>, String> {
        let found = find(service, text, Path::new("svc"))?;
        Ok(found.map(|all| all.into_iter().map(|(name, value, _)| (name, value)).collect()))
    }

    #[test]
    fn a_section_ends_at_the_next_and_the_first_value_wins() {
        let expected = [("host", "db"), ("port", "5433"), ("password", "a b=c")];
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(found("app", FILE), Ok(Some(expected)));
        assert_eq!(found("ap", FILE), Ok(None));
    }

    #[test]
    fn faults_name_the_line() {
        for (line, why) in [
            ("nonsense", "line 2 of svc is no keyword=value"),
            ("colour=blue", "sets a keyword"),
            ("service=x", "another service"),
            ("ldap://x", "LDAP"),
        ] {
            let error = found("app", &format!("[app]\n{line}\n")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
