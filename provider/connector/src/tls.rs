//! TLS to the server: what each `sslmode` trusts.

use rustls::ClientConfig;

use crate::error::Error;
use crate::settings::Tls;

/// The rustls configuration for these settings.
pub(crate) fn client_config(_tls: &Tls) -> Result<ClientConfig, Error> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new("set up TLS", e.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
