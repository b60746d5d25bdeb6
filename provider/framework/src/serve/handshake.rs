//! The first words between host and plugin: what the environment says, and the one line that answers.
//!
//! **Invariant:** pure; the line is the only thing that a plugin ever prints on standard output.

use std::env;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::StartError;
use super::endpoint::Address;

const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// The version of go-plugin's own handshake.
const CORE_VERSION: u8 = 1;

/// The protocol that is served.
pub(crate) const PROTOCOL: u8 = 6;

/// What a host says when it starts a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// The major versions that the host speaks, such as `5,6`, in no order. Hosts of old said nothing.
    versions: Option<String>,
    /// The host's certificate as PEM. Without it the connection is not encrypted.
    pub(crate) certificate: Option<String>,
}

impl Invitation {
    /// Reads the environment. None when no host started this process.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        (text(COOKIE.0).as_deref() == Some(COOKIE.1))
            .then(|| Self { versions: text("PLUGIN_PROTOCOL_VERSIONS"), certificate: text("PLUGIN_CLIENT_CERT") })
    }

    /// Checks that the host speaks the protocol that is served.
    pub(crate) fn negotiate(&self) -> Result<(), StartError> {
        let spoken = |versions: &str| versions.split(',').any(|version| version.trim().parse() == Ok(PROTOCOL));
        match &self.versions {
            Some(versions) if !spoken(versions) => Err(StartError::new(
                "cannot serve this host",
                format!(
                    "it speaks plugin protocol {versions}, this provider only {PROTOCOL}; \
                     use OpenTofu 1.8 or newer, or Terraform 1.8 or newer"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The line that tells the host where to connect, and what certificate to expect there.
pub(crate) fn line(address: &Address, certificate: Option<&[u8]>) -> String {
    // Go reads this without padding, and stops at a padded text.
    let certificate = certificate.map(|der| STANDARD_NO_PAD.encode(der)).unwrap_or_default();
    format!("{CORE_VERSION}|{PROTOCOL}|{address}|grpc|{certificate}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_6_is_found_in_any_order_and_nothing_else_will_do() {
        for (versions, spoken) in [
            (None, true),
            (Some("6"), true),
            (Some("5,6"), true),
            (Some("6,5"), true),
            (Some("5, 6"), true),
            (Some("5"), false),
            (Some("16,60,7"), false),
            (Some("six"), false),
        ] {
            let invitation = Invitation { versions: versions.map(ToOwned::to_owned), certificate: None };
            assert_eq!(invitation.negotiate().is_ok(), spoken, "{versions:?}");
        }
        let invitation = Invitation { versions: Some("4,5".to_owned()), certificate: None };
        let error = invitation.negotiate().unwrap_err().to_string();
        assert!(error.contains("4,5") && error.contains("only 6"), "{error}");
    }

    #[test]
    fn the_line_has_six_fields_and_no_padding() {
        let address = Address { network: "unix", address: "/tmp/plugin/socket".to_owned() };
        assert_eq!(line(&address, None), "1|6|unix|/tmp/plugin/socket|grpc|\n");
        for length in 1..4 {
            let line = line(&address, Some(&vec![0xff; length]));
            assert!(!line.contains('='), "{line}");
        }
        assert_eq!(line(&address, Some(&[0])), "1|6|unix|/tmp/plugin/socket|grpc|AA\n");
    }
}
