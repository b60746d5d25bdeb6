//! The certificate that a host shows its plugins: as strange as go-plugin makes it.
//!
//! **Invariant:** on P-521, signed with SHA-512, and a certificate authority, so that whoever verifies it the usual way
//! fails here and not before users.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P521_SHA512, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use super::HostError;

/// A host's certificate and key.
#[derive(Debug)]
pub struct HostCertificate {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl HostCertificate {
    /// A fresh one.
    pub fn generate() -> Result<Self, HostError> {
        Self::try_generate().map_err(HostError::at("cannot make the host's certificate"))
    }

    fn try_generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512)?;
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.distinguished_name.push(DnType::OrganizationName, "HashiCorp");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2050, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyAgreement,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?.into();
        Ok(Self { certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }

    /// The same certificate in the hands of someone who has another key.
    pub fn without_its_key(&self) -> Result<Self, HostError> {
        Ok(Self { certificate: self.certificate.clone(), key: Self::generate()?.key })
    }

    /// As PEM, the way it is handed to a plugin.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for (index, letter) in text.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        pem
    }
}

/// A TLS client that trusts the one certificate `server`, and shows `host`'s if there is one.
pub(super) fn client(server: &[u8], host: Option<&HostCertificate>) -> Result<Arc<ClientConfig>, HostError> {
    let build = || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(server.to_vec()))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match host {
            Some(host) => {
                // Not checked to belong together, as rustls otherwise would: see `without_its_key`.
                let key = aws_lc_rs::sign::any_supported_type(&host.key.clone_key().into())?;
                let shown = CertifiedKey::new(vec![host.certificate.clone()], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok::<_, rustls::Error>(Arc::new(config))
    };
    build().map_err(HostError::at("cannot set up the host's TLS with the plugin's certificate"))
}
