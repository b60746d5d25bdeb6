//! Checks the server's certificate as libpq does, where rustls alone would be stricter.
//!
//! Two kinds of certificate that Postgres's own documentation makes are refused by rustls: one that signs itself, is
//! marked as an authority and has only a common name; and one of X.509 version 1. The first is accepted when it is one
//! of the trusted ones, byte for byte. The second cannot be checked, and the error says how to make a better one.
//!
//! **Invariant:** a chain is only trusted through rustls, or because the certificate itself was configured.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::certificate::Facts;

/// Whom to trust.
#[derive(Debug)]
pub(super) enum Trust {
    /// Any server; the connection is encrypted, no more.
    Anyone,
    /// A server whose certificate leads to one of these.
    Roots {
        /// The authorities.
        roots: Arc<RootCertStore>,
        /// The same, as they were configured.
        exactly: Vec<CertificateDer<'static>>,
        /// Whether the certificate must be made for the host.
        check_name: bool,
    },
}

/// The check that rustls calls.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { trust, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Roots { roots, exactly, check_name } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let facts = Facts::read(end_entity);
        let parsed =
            ParsedCertificate::try_from(end_entity).map_err(|error| explain(error, facts.as_ref(), server_name))?;
        if exactly.iter().any(|root| root.as_ref() == end_entity.as_ref()) {
            let facts = facts.as_ref().ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
            facts.check_time(now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all)
                .map_err(|error| explain(error, facts.as_ref(), server_name))?;
        }
        if *check_name
            && let Err(error) = verify_server_name(&parsed, server_name)
            && !facts.as_ref().is_some_and(|facts| facts.has_common_name(&server_name.to_str()))
        {
            return Err(explain(error, facts.as_ref(), server_name));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            // It would prove that the server has the key of a certificate that nobody vouches for.
            Trust::Anyone => Ok(HandshakeSignatureValid::assertion()),
            Trust::Roots { .. } => verify_tls12_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            Trust::Anyone => Ok(HandshakeSignatureValid::assertion()),
            Trust::Roots { .. } => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Says what is wrong with the certificate and how to mend it, where rustls's words do not.
fn explain(error: Error, facts: Option<&Facts>, name: &ServerName<'_>) -> Error {
    let Error::InvalidCertificate(reason) = &error else { return error };
    let text = match reason {
        CertificateError::UnknownIssuer => {
            "no certificate in sslrootcert has issued it; set sslrootcert to the certificate of the authority that did"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "it is not made for the host {:?}, but for {}; set host to a name that it is made for (hostaddr can give the \
             address), or sslmode to verify-ca",
            name.to_str(),
            facts.map_or_else(|| "another".to_owned(), Facts::names),
        ),
        _ if facts.is_some_and(|facts| facts.is_version_1) => {
            "it is of X.509 version 1, which has no place for host names and cannot be checked; issue it again with \
             extensions (`openssl x509 -req … -extfile` with subjectAltName=DNS:the.host), or set sslmode to require \
             without sslrootcert"
                .to_owned()
        }
        _ if facts.is_some_and(|facts| facts.is_authority) && format!("{reason:?}").contains("CaUsedAsEndEntity") => {
            "it is the certificate of an authority (CA:TRUE) and not one of those in sslrootcert; put exactly this \
             certificate into sslrootcert, or issue one for the server with basicConstraints=CA:FALSE"
                .to_owned()
        }
        _ => return error,
    };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Reason(text)))))
}

/// Our own words inside rustls's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Of X.509 version 1, as `openssl x509 -req` of OpenSSL 3.0 makes it without extensions.
    const VERSION_1: &[u8] = b"-----BEGIN CERTIFICATE-----
MIIBHDCBxAIUczhGm0HZ4wSplGpxS4lW/WHqKsEwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCY2EwIBcNMjYxMTIzMjAwODUyWhgPMjEyNjEwMzAyMDA4NTJaMBQxEjAQ
BgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFXHmdPQ
RzIGMDlC95XIMLvE57KeiYsL9B6v105se044QgB5btknIyTxIFO3zhej3Kh7WJe9
j7dZGoVAgHGGzfIwCgYIKoZIzj0EAwIDRwAwRAIgNJhZGnDfVhUdm0jD9KcVkXcR
6llobm2rel9izQtkcDcCIHwcNmctZ8GC1RPT6BITpbGwFj5KiYAhRMZzVTOh8aq5
-----END CERTIFICATE-----";

    fn params(common_name: &str, names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    fn authority(mut params: CertificateParams) -> CertificateParams {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// Checks a certificate for a host: "ok", or what is wrong with it.
    fn check(
        certificate: &CertificateDer<'_>,
        trusted: &CertificateDer<'static>,
        host: Option<&str>,
        now: Duration,
    ) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let trust = Trust::Roots { roots: Arc::new(roots), exactly: vec![trusted.clone()], check_name: host.is_some() };
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let name = ServerName::try_from(host.unwrap_or("any.host")).unwrap();
        Verifier::new(trust, algorithms)
            .verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(now))
            .map_or_else(|error| super::super::refusal(&error).unwrap(), |_| "ok".to_owned())
    }

    fn now() -> Duration {
        Duration::from_secs(UnixTime::now().as_secs())
    }

    #[test]
    fn certificates_of_an_authority_are_checked_for_chain_and_name() {
        let issuer =
            CertifiedIssuer::self_signed(authority(params("Authority", &[])), KeyPair::generate().unwrap()).unwrap();
        let root = issuer.der().clone();
        let other = self_signed(&authority(params("Other", &[])));
        let issue = |params: &CertificateParams| {
            params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
        };
        let named = issue(&params("ignored.example", &["db.example", "10.0.0.1"]));
        let common = issue(&params("db.example", &[]));
        let nested = issue(&authority(params("db.example", &["db.example"])));
        for (certificate, trusted, host, expected) in [
            (&named, &root, None, "ok"),
            (&named, &root, Some("db.example"), "ok"),
            (&named, &root, Some("10.0.0.1"), "ok"),
            (&named, &root, Some("ignored.example"), "for the host \"ignored.example\", but for db.example, 10.0.0.1;"),
            (&named, &root, Some("10.0.0.2"), "for the host \"10.0.0.2\", but for db.example"),
            (&named, &other, None, "no certificate in sslrootcert has issued it"),
            (&common, &root, Some("db.example"), "ok"),
            (&common, &root, Some("other.example"), "but for db.example;"),
            (&nested, &root, None, "(CA:TRUE)"),
        ] {
            let got = check(certificate, trusted, host, now());
            assert!(got.contains(expected) && (expected != "ok" || got == "ok"), "{host:?}: {got}");
        }
    }

    #[test]
    fn a_certificate_that_signs_itself_is_trusted_only_where_it_was_configured() {
        // What `openssl req -new -x509 -subj /CN=db.example` makes: an authority without alternative names.
        let certificate = self_signed(&authority(params("db.example", &[])));
        let twin = self_signed(&authority(params("db.example", &[])));
        let year = Duration::from_hours(365 * 24);
        for (trusted, host, at, expected) in [
            (&certificate, None, now(), "ok"),
            (&certificate, Some("db.example"), now(), "ok"),
            (&certificate, Some("other.example"), now(), "but for db.example;"),
            (&certificate, None, Duration::ZERO, "not valid yet"),
            (&certificate, None, year * 5000, "expired"),
            (&twin, None, now(), "(CA:TRUE)"),
        ] {
            let got = check(&certificate, trusted, host, at);
            assert!(got.contains(expected), "{host:?}: {got}");
        }
    }

    #[test]
    fn version_1_is_explained() {
        let certificate = CertificateDer::from_pem_slice(VERSION_1).unwrap();
        let root = self_signed(&authority(params("ca", &[])));
        let got = check(&certificate, &root, Some("localhost"), now());
        assert!(got.contains("X.509 version 1") && got.contains("subjectAltName"), "{got}");
        assert!(Facts::read(&certificate).unwrap().has_common_name("localhost"));
    }

    #[test]
    fn without_verification_any_certificate_does() {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let certificate = CertificateDer::from_pem_slice(VERSION_1).unwrap();
        let name = ServerName::try_from("x").unwrap();
        let verifier = Verifier::new(Trust::Anyone, algorithms);
        assert!(verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_ok());
    }
}
