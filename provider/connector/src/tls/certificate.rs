//! What a certificate says of itself, for the checks and the errors that rustls has no words for.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::{Certificate, Version};

/// `commonName` of a subject.
const COMMON_NAME: &str = "2.5.4.3";

/// What a certificate says of itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// Whether it is of X.509 version 1.
    pub(super) is_version_1: bool,
    /// Whether it is marked as an authority.
    pub(super) is_authority: bool,
    common_names: Vec<String>,
    /// The subject's alternative names; `None` when it has none at all.
    alternative_names: Option<Vec<String>>,
    not_before: Duration,
    not_after: Duration,
}

impl Facts {
    /// Reads them; `None` when this is no certificate.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
        let authority: Option<(bool, BasicConstraints)> = certificate.get().ok()?;
        let alternative: Option<(bool, SubjectAltName)> = certificate.get().ok()?;
        let common_names = certificate
            .subject
            .0
            .iter()
            .flat_map(|part| part.0.iter())
            .filter(|attribute| attribute.oid.to_string() == COMMON_NAME)
            .filter_map(|attribute| text(&attribute.value))
            .collect();
        Some(Self {
            is_version_1: certificate.version == Version::V1,
            is_authority: authority.is_some_and(|(_, constraints)| constraints.ca),
            common_names,
            alternative_names: alternative.map(|(_, names)| names.0.iter().map(shown).collect()),
            not_before: certificate.validity.not_before.to_unix_duration(),
            not_after: certificate.validity.not_after.to_unix_duration(),
        })
    }

    /// Whether the certificate is valid at that time.
    pub(super) fn check_time(&self, now: UnixTime) -> Result<(), Error> {
        let now_since = Duration::from_secs(now.as_secs());
        let reason = if now_since < self.not_before {
            CertificateError::NotValidYetContext { time: now, not_before: UnixTime::since_unix_epoch(self.not_before) }
        } else if now_since > self.not_after {
            CertificateError::ExpiredContext { time: now, not_after: UnixTime::since_unix_epoch(self.not_after) }
        } else {
            return Ok(());
        };
        Err(Error::InvalidCertificate(reason))
    }

    /// Whether the host is the common name, which counts only, as in libpq, where there are no alternative names.
    pub(super) fn has_common_name(&self, host: &str) -> bool {
        self.alternative_names.is_none() && self.common_names.iter().any(|name| matches(name, host))
    }

    /// The names that it is made for, for a message.
    pub(super) fn names(&self) -> String {
        let names = self.alternative_names.as_ref().unwrap_or(&self.common_names);
        if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
    }
}

/// Whether the name is the host's, or its `*` stands for the host's first label.
fn matches(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(rest), Some((first, domain))) => {
            !first.is_empty() && rest.contains('.') && rest.eq_ignore_ascii_case(domain)
        }
        _ => false,
    }
}

fn text(value: &x509_cert::attr::AttributeValue) -> Option<String> {
    match value.tag() {
        x509_cert::der::Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok().map(|s| s.as_str().to_owned()),
        x509_cert::der::Tag::PrintableString => {
            value.decode_as::<PrintableStringRef<'_>>().ok().map(|s| s.as_str().to_owned())
        }
        x509_cert::der::Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok().map(|s| s.as_str().to_owned()),
        _ => None,
    }
}

fn shown(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => name.as_str().to_owned(),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            &[a, b, c, d] => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
            other => <[u8; 16]>::try_from(other)
                .map_or_else(|_| "an address".to_owned(), |bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => "a name of another kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (name, host, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("d*.example.com", "db.example.com", false),
            ("*", "db", false),
            ("db", "db2", false),
        ] {
            assert_eq!(matches(name, host), expected, "{name} {host}");
        }
    }
}
