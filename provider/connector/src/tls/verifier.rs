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
        let parsed = ParsedCertificate::try_from(end_entity).map_err(|error| explain(error, facts.as_ref(), server_name))?;
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
