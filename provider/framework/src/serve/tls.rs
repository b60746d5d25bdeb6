//! Mutual TLS with the one host that started this process.
//!
//! The host's certificate cannot be checked the usual way: it is a certificate authority used as a leaf. But it need not
//! be, since the host hands it to us when it starts us: the peer must present exactly these bytes and prove that it holds
//! their key. The key is on the curve P-521, which aws-lc verifies and ring does not.
//!
//! **Invariant:** with a certificate to pin, a connection that does not prove it gets not one byte of HTTP/2.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme, version,
};
use tokio_rustls::TlsAcceptor;

use super::StartError;

/// Our side of mutual TLS.
pub(crate) struct Identity {
    /// Accepts the pinned host.
    pub(crate) acceptor: TlsAcceptor,
    /// What the host pins in turn.
    pub(crate) certificate: CertificateDer<'static>,
}

impl Identity {
    /// A fresh key and certificate, for the host whose certificate is given as PEM.
    pub(crate) fn generate(host: &str) -> Result<Self, StartError> {
        let expected = pinned(host)?;
        let (certificate, key) =
            self_signed().map_err(|error| StartError::new("cannot make a TLS certificate", error))?;
        let config =
            config(expected, certificate.clone(), key).map_err(|error| StartError::new("cannot set up TLS", error))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }
}

/// The one certificate in the host's PEM text.
pub(crate) fn pinned(host: &str) -> Result<CertificateDer<'static>, StartError> {
    let what = "cannot read the host's certificate from PLUGIN_CLIENT_CERT";
    let mut found = CertificateDer::pem_slice_iter(host.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StartError::new(what, error))?;
    match (found.pop(), found.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (None, _) => Err(StartError::new(what, "there is no CERTIFICATE section in it")),
        (Some(_), others) => Err(StartError::new(what, format!("it holds {} certificates, not one", others + 1))),
    }
}

fn self_signed() -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}

fn config(
    expected: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = PinnedClient { expected, algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key)?;
    // Go's gRPC hangs up on servers that do not agree on a protocol.
    config.alpn_protocols = vec![b"h2".to_vec()];
    // The host connects once: every handshake proves the key, none is resumed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Accepts one certificate, whatever it says of itself, from who holds its key.
#[derive(Debug)]
struct PinnedClient {
    expected: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.as_ref() == self.expected.as_ref() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_host_certificate_is_named() {
        let header = "-----BEGIN CERTIFICATE-----\n";
        let footer = "-----END CERTIFICATE-----\n";
        let one = format!("{header}AAAA\n{footer}");
        for (pem, expected) in [
            ("", "no CERTIFICATE section"),
            ("garbage", "no CERTIFICATE section"),
            (header, "PLUGIN_CLIENT_CERT"),
            (&format!("{header}@@@@\n{footer}"), "PLUGIN_CLIENT_CERT"),
            (&format!("{one}{one}"), "2 certificates"),
        ] {
            let error = pinned(pem).unwrap_err().to_string();
            assert!(error.contains(expected), "{pem:?}: {error}");
        }
        assert_eq!(pinned(&one).unwrap().as_ref(), [0, 0, 0]);
    }

    #[test]
    fn signatures_on_p521_are_offered_and_only_tls_1_3() {
        let (certificate, key) = self_signed().unwrap();
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let verifier = PinnedClient { expected: certificate.clone(), algorithms };

        assert!(verifier.supported_verify_schemes().contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
        assert!(verifier.client_auth_mandatory());

        let config = config(certificate.clone(), certificate, key).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2"]);
        assert!(!config.session_storage.can_cache());
    }
}
