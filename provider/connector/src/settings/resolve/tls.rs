//! How strictly connections are encrypted, and with which certificates.

use super::{Found, Given};
use crate::settings::origin::Origin;
use crate::settings::secret::Secret;
use crate::settings::{ChannelBinding, Pem, PemForm, Roots, SslMode, Tls};

impl Found<'_> {
    pub(super) fn tls(&mut self) -> Tls {
        let roots = self.given.get("sslrootcert").cloned();
        let system = roots.as_ref().is_some_and(|given| given.value.reveal() == "system");
        let allow = self.given.get("sslmode").filter(|given| given.value.reveal() == "allow").cloned();
        if let Some(allow) = allow {
            self.warnings.push(format!("sslmode allow (from {}) is taken as prefer", allow.origin));
            self.given.insert("sslmode", Given { value: Secret::new("prefer"), ..allow });
        }
        let mode = self.choice(
            "sslmode",
            &[
                ("disable", SslMode::Disable),
                ("prefer", SslMode::Prefer),
                ("require", SslMode::Require),
                ("verify-ca", SslMode::VerifyCa),
                ("verify-full", SslMode::VerifyFull),
            ],
        );
        let mode = mode.unwrap_or(if system { SslMode::VerifyFull } else { SslMode::default() });
        if let Some(given) = roots.as_ref().filter(|_| system && mode != SslMode::VerifyFull) {
            self.fault(
                &given.origin,
                "sslrootcert = system needs sslmode verify-full",
                "any public authority would do with a weaker sslmode, for a certificate of any name; set sslmode to verify-full",
            );
        }
        let direct = self.choice("sslnegotiation", &[("postgres", false), ("direct", true)]).unwrap_or_default();
        if direct && matches!(mode, SslMode::Disable | SslMode::Prefer) {
            let origin = self.given.get("sslnegotiation").map_or(Origin::Default, |given| given.origin.clone());
            self.fault(&origin, "sslnegotiation = direct needs sslmode require or stronger", "set sslmode to require");
        }
        let channel_binding = self.choice(
            "channel_binding",
            &[
                ("disable", ChannelBinding::Disable),
                ("prefer", ChannelBinding::Prefer),
                ("require", ChannelBinding::Require),
            ],
        );
        let only_tls13 = self.choice(
            "ssl_min_protocol_version",
            &[("TLSv1", false), ("TLSv1.1", false), ("TLSv1.2", false), ("TLSv1.3", true)],
        );
        let roots = match roots {
            _ if matches!(mode, SslMode::Disable | SslMode::Prefer) => {
                if let Some(given) = roots.filter(|given| given.origin.rank() <= 1) {
                    self.warnings.push(format!(
                        "sslrootcert (from {}) has no effect with this sslmode: the certificate is only checked with \
                         require, verify-ca or verify-full",
                        given.origin
                    ));
                }
                None
            }
            Some(_) if system => Some(Roots::System),
            Some(given) => Some(Roots::Pem(pem(&given))),
            None => self.default_file("root.crt").map(Roots::Pem),
        };
        if roots.is_none() && matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
            let origin = self.given.get("sslmode").map_or(Origin::Default, |given| given.origin.clone());
            self.fault(
                &origin,
                "sslmode asks to check the server's certificate, and there are no root certificates to check it with",
                "set sslrootcert to the authority's certificate (a path or PEM text; managed services offer it for download), \
                 or to \"system\" for the operating system's authorities",
            );
        }
        let client = if mode == SslMode::Disable { None } else { self.client_certificate() };
        Tls {
            mode,
            direct,
            only_tls13: only_tls13.unwrap_or_default(),
            channel_binding: channel_binding.unwrap_or_default(),
            roots,
            client,
        }
    }

    fn client_certificate(&mut self) -> Option<(Pem, Pem)> {
        let certificate = match self.given.get("sslcert") {
            Some(given) => pem(given),
            None => self.default_file("postgresql.crt")?,
        };
        let key = match self.given.get("sslkey") {
            Some(given) => Some(pem(given)),
            None => self.default_file("postgresql.key"),
        };
        if key.is_none() {
            self.fault(&certificate.origin, "sslcert has no key to it", "set sslkey to the certificate's key");
        }
        key.map(|key| (certificate, key))
    }

    fn default_file(&self, name: &str) -> Option<Pem> {
        let file = self.own_file(name).filter(|file| file.exists())?;
        Some(Pem { form: PemForm::File(file), origin: Origin::Default })
    }
}

fn pem(given: &Given) -> Pem {
    let text = given.value.reveal();
    let form =
        if text.contains("-----BEGIN") { PemForm::Text(given.value.clone()) } else { PemForm::File(text.into()) };
    Pem { form, origin: given.origin.clone() }
}
