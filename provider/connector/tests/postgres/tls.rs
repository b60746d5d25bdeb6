//! TLS and authentication against a server of our own, side by side with psql.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use pg_connector::settings::{Explicit, Secret, Settings};
use pg_connector::{Blame, Database, Error};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::private_server::{PrivateServer, psql};
use crate::sessions::{one, within};

const IS_ENCRYPTED: &str = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    fn issue(&self, common_name: &str, names: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params(common_name, names).signed_by(&key, &self.0).unwrap();
        Pair { certificate: pem("CERTIFICATE", certificate.der()), key: pem("PRIVATE KEY", key.serialized_der()) }
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// What `openssl req -new -x509` makes: it signs itself and is marked as an authority.
fn self_signed(common_name: &str) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = params(common_name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Pair { certificate: pem("CERTIFICATE", certificate.der()), key: pem("PRIVATE KEY", key.serialized_der()) }
}

async fn ask(explicit: &Explicit, environment: &[(&str, &str)], sql: &str) -> Result<String, Error> {
    let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::resolve(explicit, &lookup).map_err(|mut errors| errors.remove(0))?;
    let session = Database::new(settings)?.connect(&within(Duration::from_secs(20))).await?;
    Ok(one(&session, sql).await)
}

fn string(text: &str) -> Explicit {
    Explicit { connection_string: Some(Secret::new(text)), ..Explicit::default() }
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_sslmode_trusts_what_psql_trusts() {
    let server = PrivateServer::start();
    let authority = Authority::new("Test Authority");
    let other = Authority::new("Another Authority");
    let own = self_signed("localhost");
    let folder = server.folder();
    let none = "/nonexistent/home".to_owned();
    let roots = [
        ("no roots", None),
        ("its authority", Some(write(folder, "root.crt", &authority.certificate(), 0o644))),
        ("another authority", Some(write(folder, "other.crt", &other.certificate(), 0o644))),
        ("both", Some(write(folder, "both.crt", &(other.certificate() + &authority.certificate()), 0o644))),
        ("itself", Some(write(folder, "own.crt", &own.certificate, 0o644))),
    ];
    let (mut accepted, mut refused) = (0, 0);
    for (kind, pair) in [
        ("alternative name", &authority.issue("ignored", &["localhost"])),
        ("common name", &authority.issue("localhost", &[])),
        ("wrong name", &authority.issue("localhost", &["db.example"])),
        ("self-signed", &own),
    ] {
        server.certify(&pair.certificate, &pair.key, &authority.certificate());
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            for (which, root) in &roots {
                if mode == "prefer" && root.is_some() {
                    // psql goes on without TLS when a certificate is bad; here `prefer` does not look at it.
                    continue;
                }
                let root = root.as_ref().map(|root| format!(" sslrootcert={root}")).unwrap_or_default();
                let text = format!(
                    "host=localhost hostaddr=127.0.0.1 port={} user=postgres dbname=postgres sslmode={mode}{root}",
                    server.port
                );
                let environment = [("HOME", none.as_str())];
                let theirs = psql(&text, &environment, IS_ENCRYPTED);
                let ours = ask(&string(&text), &environment, IS_ENCRYPTED).await;
                let same = theirs.as_ref().ok() == ours.as_ref().ok();
                assert!(same, "{kind}, {mode}, {which}:\npsql {theirs:?}\nours {ours:?}");
                match ours {
                    Ok(_) => accepted += 1,
                    Err(error) => {
                        refused += 1;
                        let told = error.message().contains("certificate") && error.to_string().contains("sslrootcert")
                            || error.message().contains("is not made for the host \"localhost\"")
                            || error.advised().is_some_and(|advice| advice.contains("sslrootcert"));
                        assert!(told, "{kind}, {mode}, {which}: {error} {:?}", error.advised());
                    }
                }
            }
        }
    }
    assert!(accepted > 20 && refused > 20, "{accepted} {refused}");
}

#[tokio::test]
async fn certificates_passwords_and_tokens_log_in() {
    let server = PrivateServer::start();
    let authority = Authority::new("Test Authority");
    let pair = authority.issue("localhost", &["localhost"]);
    server.certify(&pair.certificate, &pair.key, &authority.certificate());
    for role in ["certified", "encrypted", "guarded password 'hunter2'"] {
        server.psql(&format!("create role {role} login"));
    }
    let folder = server.folder();
    let user = authority.issue("certified", &[]);
    let stranger = Authority::new("Another Authority").issue("certified", &[]);
    let root = write(folder, "root.crt", &authority.certificate(), 0o644);
    let base = |user: &str| Explicit {
        sslrootcert: Some(root.clone()),
        connect_timeout: Some(Duration::from_secs(10)),
        ..string(&format!(
            "host=localhost hostaddr=127.0.0.1 port={} user={user} dbname=postgres sslmode=verify-full",
            server.port
        ))
    };
    let who = "select current_user || ' ' || ssl from pg_stat_ssl where pid = pg_backend_pid()";

    // Client certificates, from files and as text.
    let certified = |certificate: &str, key: &str| Explicit {
        sslcert: Some(certificate.to_owned()),
        sslkey: Some(Secret::new(key)),
        ..base("certified")
    };
    let certificate = write(folder, "user.crt", &user.certificate, 0o644);
    let key = write(folder, "user.key", &user.key, 0o600);
    for explicit in [certified(&certificate, &key), certified(&user.certificate, &user.key)] {
        assert_eq!(ask(&explicit, &[], who).await.unwrap(), "certified true");
    }
    let another = Explicit { connection_string: base("encrypted").connection_string, ..certified(&certificate, &key) };
    assert_eq!(ask(&another, &[], who).await.unwrap(), "encrypted true", "a certificate does not change the user");
    let open = write(folder, "open.key", &user.key, 0o644);
    let encrypted = user.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    for (explicit, blamed, expected) in [
        (base("certified"), None, "valid client certificate"),
        (certified(&stranger.certificate, &stranger.key), None, "fatal alert"),
        (certified(&user.certificate, &stranger.key), Some("sslkey"), "cannot be used with the certificate"),
        (certified(&certificate, &open), Some("sslkey"), "group or others"),
        (certified(&certificate, "/nonexistent"), Some("sslkey"), "cannot be read"),
        (certified("/nonexistent", &key), Some("sslcert"), "cannot be read"),
        (certified(&user.key, &user.key), Some("sslcert"), "holds no certificate"),
        (certified(&user.certificate, &user.certificate), Some("sslkey"), "holds no private key"),
        (certified(&user.certificate, &encrypted), Some("sslkey"), "is encrypted"),
    ] {
        let error = ask(&explicit, &[], who).await.unwrap_err();
        assert!(error.message().contains(expected), "{expected}: {error}");
        assert_eq!(error.blamed(), blamed.map(Blame::Attribute).as_ref(), "{error}");
        assert!(!format!("{error:?}").contains(&user.key[40..60]), "{error:?}");
    }

    // Passwords: given, bound to the channel, from a program, from pgpass.
    let home = folder.join("home");
    std::fs::create_dir(&home).unwrap();
    write(&home, ".pgpass", "localhost:*:*:guarded:hunter2\n", 0o600);
    let home = home.to_str().unwrap();
    let with = |password: &str| Explicit { password: Some(Secret::new(password)), ..base("guarded") };
    let bound = Explicit {
        connection_string: Some(Secret::new(format!(
            "{} channel_binding=require",
            base("guarded").connection_string.unwrap().reveal()
        ))),
        ..with("hunter2")
    };
    let command = |script: &str| Explicit {
        password_command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        ..base("guarded")
    };
    for (explicit, environment) in [
        (with("hunter2"), &[][..]),
        (bound, &[]),
        (command("echo hunter2"), &[]),
        (base("guarded"), &[("PGPASSWORD", "hunter2")]),
        (base("guarded"), &[("HOME", home)]),
    ] {
        assert_eq!(ask(&explicit, environment, who).await.unwrap(), "guarded true");
    }
    for (explicit, expected, advice) in [
        (with("hunter3"), "password authentication failed", "check username and password"),
        (base("guarded"), "password missing", "set password, password_command, PGPASSWORD"),
        (command("echo hunter3"), "password authentication failed", "password_command prints the password"),
        (command("echo hunter3; exit 1"), "exit status: 1", "run the command by hand"),
    ] {
        let error = ask(&explicit, &[], who).await.unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert!(error.advised().unwrap().contains(advice), "{:?}", error.advised());
        assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    }
    write(Path::new(home), ".pgpass", "localhost:*:*:guarded:hunter2\n", 0o644);
    let error = ask(&base("guarded"), &[("HOME", home)], who).await.unwrap_err();
    assert!(error.advised().unwrap().contains("run `chmod 600"), "{:?}", error.advised());

    // A user who must use TLS, and one statement cancelled over it.
    let plain = Explicit { sslmode: Some("disable".to_owned()), ..base("encrypted") };
    let error = ask(&plain, &[], who).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("28000"));
    assert!(error.advised().unwrap().contains("sslmode = \"require\""), "{:?}", error.advised());
    let settings = Settings::resolve(&base("encrypted"), &|_| None).unwrap();
    let database = Database::new(settings).unwrap();
    let scope = within(Duration::from_millis(700));
    let session = database.connect(&scope).await.unwrap();
    let start = Instant::now();
    let error = session.batch_execute("select pg_sleep(60)").await.unwrap_err();
    assert_eq!(scope.explain(Error::postgres("sleep", &error)).message(), "timed out after 700ms");
    assert!(start.elapsed() < Duration::from_secs(10));

    // A unix socket is never encrypted, whatever sslmode says.
    let socket =
        string(&format!("host={} port={} user=postgres sslmode=require", server.socket().display(), server.port));
    assert_eq!(ask(&socket, &[], IS_ENCRYPTED).await.unwrap(), "false");
}
