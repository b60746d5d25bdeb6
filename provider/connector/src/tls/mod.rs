//! TLS to the server: which certificates each `sslmode` trusts, and the client's own.
//!
//! **Invariant:** the crypto provider is passed explicitly and never taken from the process; no error shows a key.

mod certificate;
mod verifier;

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::error::Error;
use crate::settings::{Pem, PemForm, Roots, SslMode, Tls, named_file};
use verifier::{Trust, Verifier};

const DOING: &str = "set up TLS";

/// The rustls configuration for these settings.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if tls.only_tls13 { &[&rustls::version::TLS13] } else { &[&rustls::version::TLS13, &rustls::version::TLS12] };
    let trust = trust(tls)?;
    let verifier = Verifier::new(trust, provider.signature_verification_algorithms);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| Error::new(DOING, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "sslcert")?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| {
                fault(key, "sslkey", &format!("it cannot be used with the certificate: {error}"))
                    .advice("sslkey must be the key of the first certificate in sslcert")
            })?
        }
    };
    if tls.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

/// Why the server's certificate was refused, when that is what an error of connecting is about.
pub(crate) fn refused_certificate(error: &tokio_postgres::Error) -> Option<String> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // What an I/O error holds is not among its sources.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(error) = held.and_then(|held| held.downcast_ref::<rustls::Error>()) {
            return refusal(error);
        }
        cause = error.source();
    }
    None
}

fn refusal(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(reason) = error else { return None };
    let reason = match reason {
        CertificateError::Other(ours) => ours.to_string(),
        theirs => theirs.to_string(),
    };
    Some(format!("the server's certificate is refused: {reason}"))
}

fn trust(tls: &Tls) -> Result<Trust, Error> {
    let check_name = match tls.mode {
        SslMode::Disable | SslMode::Prefer => return Ok(Trust::Anyone),
        // As in libpq: root certificates make `require` check the chain.
        SslMode::Require | SslMode::VerifyCa => false,
        SslMode::VerifyFull => true,
    };
    let found = match &tls.roots {
        None if tls.mode == SslMode::Require => return Ok(Trust::Anyone),
        None => Vec::new(),
        Some(Roots::Pem(pem)) => certificates(pem, "sslrootcert")?,
        Some(Roots::System) => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.iter().cloned());
    if added == 0 {
        return Err(match &tls.roots {
            Some(Roots::Pem(pem)) => fault(pem, "sslrootcert", "none of its certificates can be read"),
            _ => Error::new(DOING, "the operating system has no trusted certificates").advice(
                "install them (the package ca-certificates), or set sslrootcert to the authority's certificate",
            ),
        });
    }
    Ok(Trust::Roots { roots: Arc::new(roots), exactly: found, check_name })
}

fn certificates(pem: &Pem, setting: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(pem, setting)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(fault(pem, setting, "it holds no certificate")
            .advice("it must be PEM text, with -----BEGIN CERTIFICATE-----")),
        Ok(found) => Ok(found),
        Err(error) => Err(fault(pem, setting, &format!("its PEM form is broken: {error}"))),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = read(pem, "sslkey")?;
    #[cfg(unix)]
    if let PemForm::File(file) = &pem.form {
        use std::os::unix::fs::MetadataExt;
        let metadata =
            std::fs::metadata(file).map_err(|error| fault(pem, "sslkey", &format!("it cannot be read: {error}")))?;
        // libpq's rule: the group may read a key that belongs to root.
        let open = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if metadata.mode() & open != 0 {
            return Err(fault(pem, "sslkey", "group or others have access to it")
                .advice(format!("run `chmod 600 {}`", file.display())));
        }
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        // What the parser says may quote the text.
        let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        if encrypted {
            fault(pem, "sslkey", "it is encrypted, which is not supported")
                .advice("decrypt it: `openssl pkey -in client.key -out plain.key`")
        } else {
            fault(pem, "sslkey", "it holds no private key")
                .advice("it must be PEM text, with -----BEGIN PRIVATE KEY----- or the like")
        }
    })
}

/// Reads a text as each of the things that settings give in PEM form, and bytes as a certificate.
#[cfg(feature = "surfaces")]
pub(crate) fn read_all(text: &str, bytes: &[u8]) {
    use crate::settings::{Origin, Secret};
    let pem = Pem { form: PemForm::Text(Secret::new(text)), origin: Origin::Default };
    let found = certificates(&pem, "sslcert").unwrap_or_default();
    for certificate in found.iter().chain([&CertificateDer::from(bytes)]) {
        if let Some(facts) = certificate::Facts::read(certificate) {
            let _ = (facts.names(), facts.has_common_name("localhost"));
            let _ = facts.check_time(rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::ZERO));
        }
    }
    let _ = RootCertStore::empty().add_parsable_certificates(found);
    let _ = private_key(&pem);
}

fn read(pem: &Pem, setting: &str) -> Result<Vec<u8>, Error> {
    match &pem.form {
        PemForm::Text(text) => Ok(text.reveal().as_bytes().to_vec()),
        PemForm::File(file) => named_file::read(file).map_err(|error| {
            fault(pem, setting, &format!("the file cannot be read: {error}"))
                .advice("give a path (a relative one starts at the working directory) or the PEM text itself")
        }),
    }
}

fn fault(pem: &Pem, setting: &str, message: &str) -> Error {
    let what = match &pem.form {
        // A text that is no PEM is taken for a path, and may be anything.
        PemForm::File(file) if file.exists() => format!("{setting} {} (from {})", file.display(), pem.origin),
        _ => format!("{setting} (from {})", pem.origin),
    };
    Error::new(DOING, format!("{what}: {message}")).blame_if(pem.origin.blame())
}
