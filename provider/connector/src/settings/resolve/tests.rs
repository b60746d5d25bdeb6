//! Which origin wins, what is said of bad values, where files are looked for.

use std::net::IpAddr;

use super::*;
use crate::settings::{Address, Pem, PemForm, Roots, SslMode};

/// Resolves and prints what matters, or the errors with what they blame.
fn resolved(explicit: &Explicit, environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Settings::resolve(explicit, &lookup).map_err(|errors| {
        errors.iter().map(|e| format!("{} | {} | {:?}", e.message(), e.advised().unwrap_or(""), e.blamed())).collect()
    })
}

fn string(text: &str) -> Explicit {
    Explicit { connection_string: Some(Secret::new(text)), ..Explicit::default() }
}

fn target(settings: &Settings) -> String {
    let password = match &settings.password {
        Password::None => "-".to_owned(),
        Password::Text(secret) => secret.reveal().to_owned(),
        Password::Command(command) => command.join(" "),
    };
    let hosts: Vec<String> = settings.hosts.iter().map(ToString::to_string).collect();
    format!("{} {} {} {password} {}", hosts.join(","), settings.database, settings.user, settings.application_name)
}

#[test]
fn a_stronger_origin_wins() {
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("services");
    std::fs::write(&service, "[s]\nhost=from-service\nport=2\nuser=service-user\n").unwrap();
    let service = service.to_str().unwrap();
    let environment = [
        ("PGHOST", "from-env"),
        ("PGPORT", "1"),
        ("PGUSER", "env-user"),
        ("PGPASSWORD", "env-password"),
        ("PGAPPNAME", "env-app"),
        ("PGSERVICEFILE", service),
    ];
    let with_service = [&environment[..], &[("PGSERVICE", "s")]].concat();
    let everything = Explicit {
        host: Some("attribute".to_owned()),
        port: Some(4),
        database: Some("d".to_owned()),
        username: Some("attribute-user".to_owned()),
        password: Some(Secret::new("attribute-password")),
        application_name: Some("attribute-app".to_owned()),
        ..string("host=string port=3 user=string-user password=string-password dbname=string-db application_name=x")
    };
    let command = Explicit { password_command: Some(vec!["token".to_owned(), "-v".to_owned()]), ..Explicit::default() };
    for (explicit, environment, expected) in [
        (Explicit::default(), &environment[..], "from-env:1 env-user env-user env-password env-app"),
        (Explicit::default(), &with_service, "from-service:2 service-user service-user env-password env-app"),
        (string("service=s"), &environment, "from-service:2 service-user service-user env-password env-app"),
        (string("postgres://string:3/d"), &with_service, "string:3 d service-user env-password env-app"),
        (string("host=a host=b"), &environment, "b:1 env-user env-user env-password env-app"),
        (string("host='' dbname=''"), &environment, "from-env:1 env-user env-user env-password env-app"),
        (everything, &with_service, "attribute:4 d attribute-user attribute-password attribute-app"),
        (command, &environment, "from-env:1 env-user env-user token -v env-app"),
        (string("host=h user=u"), &[], "h:5432 u u - pg-connector"),
        (string("host=h user=u fallback_application_name=f"), &[], "h:5432 u u - f"),
    ] {
        assert_eq!(target(&resolved(&explicit, environment).unwrap()), expected);
    }
}

#[test]
fn hosts_ports_and_addresses_go_together() {
    for (text, environment, expected) in [
        ("postgresql://a,b:2/d", &[][..], "a:5432,b:2"),
        ("host=a,b port=7", &[], "a:7,b:7"),
        ("host=/tmp/x,[::1] port=7", &[], "/tmp/x/.s.PGSQL.7,[[::1]]:7"),
        ("postgresql://[::1]:7/d", &[], "[::1]:7"),
        ("hostaddr=10.0.0.1", &[], "10.0.0.1:5432"),
        ("host=db hostaddr=10.0.0.1", &[], "db:5432"),
        ("host=db", &[("PGHOSTADDR", "10.0.0.1")], "db:5432"),
        ("", &[("PGHOST", "db"), ("PGHOSTADDR", "10.0.0.1")], "db:5432"),
    ] {
        let settings = resolved(&string(text), environment).unwrap();
        let hosts: Vec<String> = settings.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts.join(","), expected, "{text}");
    }
    let address = |text: &str, environment: &[(&str, &str)]| {
        resolved(&string(text), environment).unwrap().hosts[0].address.clone()
    };
    let number: IpAddr = "10.0.0.1".parse().unwrap();
    assert_eq!(address("host=db hostaddr=10.0.0.1", &[]), Address::Tcp("db".to_owned(), Some(number)));
    let weaker = address("host=db", &[("PGHOSTADDR", "10.0.0.1")]);
    assert_eq!(weaker, Address::Tcp("db".to_owned(), None), "the variable's address belongs to another host");
}

#[test]
fn faults_say_what_where_and_what_to_do() {
    for (text, environment, expected) in [
        ("port=x", &[][..], "port is not a number from 1 to 65535 (from the connection string)"),
        ("port=0", &[], "port is not a number"),
        ("port=65536", &[], "port is not a number"),
        ("", &[("PGPORT", "x")], "(from the environment variable PGPORT)"),
        ("host=a,b port=1,2,3", &[], "port lists 3 ports for 2 hosts"),
        ("host=a,b hostaddr=10.0.0.1", &[], "hostaddr lists 1 addresses for 2 hosts"),
        ("hostaddr=db", &[], "hostaddr is not an IP address"),
        ("sslmode=full", &[], "it is one of disable, prefer, require, verify-ca, verify-full"),
        ("sslmode=verify-full", &[], "set sslrootcert"),
        ("sslmode=require sslrootcert=system", &[], "needs sslmode verify-full"),
        ("sslnegotiation=direct", &[], "needs sslmode require"),
        ("sslmode=require sslcert=c.pem", &[], "set sslkey"),
        ("connect_timeout=5s", &[], "connect_timeout is not a whole number"),
        ("target_session_attrs=master", &[], "prefer-standby"),
        ("sslcrl=x", &[], "revocation lists are not supported"),
        ("gssencmode=require", &[], "Kerberos"),
        ("", &[("PGREQUIREAUTH", "scram-sha-256")], "from the environment variable PGREQUIREAUTH"),
        ("service=none", &[("PGSERVICEFILE", "/nonexistent")], "no file defines the service \"none\""),
        ("colour=blue", &[], "the keyword \"colour\" is unknown"),
    ] {
        let errors = resolved(&string(text), environment).unwrap_err();
        assert!(errors[0].contains(expected), "{text}: {errors:?}");
        let blamed = errors[0].contains("connection_string");
        assert_eq!(blamed, environment.is_empty() || text.starts_with("service"), "{text}: {errors:?}");
    }
}

#[test]
fn attributes_are_blamed_by_name_and_all_faults_are_reported() {
    let explicit = Explicit {
        password: Some(Secret::new("hunter2")),
        password_command: Some(vec!["x".to_owned()]),
        sslmode: Some("hunter2".to_owned()),
        max_connections: Some(0),
        ..string("host=h port=hunter2")
    };
    let errors = resolved(&explicit, &[]).unwrap_err();
    for name in ["password_command", "sslmode", "max_connections", "connection_string"] {
        assert!(errors.iter().any(|e| e.contains(&format!("Attribute({name:?})"))), "{name}: {errors:?}");
    }
    assert_eq!(errors.len(), 4);
    assert!(!format!("{errors:?}").contains("hunter2"));
}

#[test]
fn passwords_are_hidden_in_debug_forms() {
    let settings = resolved(&string("host=h password=hunter2 sslmode=disable"), &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let explicit = Explicit { sslkey: Some(Secret::new("hunter2")), ..string("password=hunter2") };
    assert!(!format!("{explicit:?}").contains("hunter2"));
}

#[test]
fn timeouts_and_limits() {
    let seconds = |n| Some(Duration::from_secs(n));
    for (text, attribute, expected) in [
        ("", None, seconds(30)),
        ("connect_timeout=7", None, seconds(7)),
        ("connect_timeout=0", None, None),
        ("connect_timeout=-1", None, None),
        ("connect_timeout=7", seconds(2), seconds(2)),
        ("connect_timeout=7", seconds(0), None),
    ] {
        let settings = resolved(&Explicit { connect_timeout: attribute, ..string(text) }, &[]).unwrap();
        assert_eq!(settings.connect_timeout, expected, "{text}");
        assert_eq!(settings.max_connections, 10);
    }
    let keepalives = |text: &str| resolved(&string(text), &[]).unwrap().keepalives;
    assert_eq!(keepalives("keepalives_idle=0"), Keepalives::default());
    assert_eq!(keepalives("keepalives_idle=5 keepalives_count=2").idle, Duration::from_secs(5));
    assert!(!keepalives("keepalives=0").enabled);
}

#[test]
fn tls_files_come_from_where_libpq_looks() {
    let home = tempfile::tempdir().unwrap();
    let environment = [("HOME", home.path().to_str().unwrap())];
    let tls = |text: &str| resolved(&string(text), &environment).unwrap().tls;
    assert_eq!(tls("sslmode=require").roots, None);
    assert_eq!(tls("").mode, SslMode::Prefer);
    assert_eq!(tls("sslrootcert=system").mode, SslMode::VerifyFull);

    let folder = home.path().join(".postgresql");
    std::fs::create_dir(&folder).unwrap();
    for name in ["root.crt", "postgresql.crt", "postgresql.key"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    let file = |name: &str| Pem { form: PemForm::File(folder.join(name)), origin: Origin::Default };
    assert_eq!(tls("sslmode=require").roots, Some(Roots::Pem(file("root.crt"))));
    assert_eq!(tls("sslmode=verify-ca").client, Some((file("postgresql.crt"), file("postgresql.key"))));
    assert_eq!(tls("sslmode=prefer").roots, None);
    assert_eq!(tls("sslmode=disable").client, None);

    let inline = "-----BEGIN CERTIFICATE-----\nx";
    let explicit = Explicit { sslrootcert: Some(inline.to_owned()), ..string("sslmode=verify-ca") };
    let Some(Roots::Pem(pem)) = resolved(&explicit, &environment).unwrap().tls.roots else { panic!() };
    assert_eq!(pem.form, PemForm::Text(Secret::new(inline)));
    assert_eq!(pem.origin, Origin::Attribute("sslrootcert"));
}

#[test]
fn odd_settings_are_warned_about() {
    let warnings = |text: &str| resolved(&string(text), &[]).unwrap().warnings;
    assert!(warnings("sslmode=allow")[0].contains("taken as prefer"));
    assert!(warnings("sslrootcert=/x")[0].contains("no effect"));
    assert!(warnings("host=h").is_empty());
}

#[cfg(unix)]
#[test]
fn pgpass_gives_each_host_its_password() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    std::fs::write(&file, "a:5432:d:u:for a\nb:*:*:*:for b\nlocalhost:*:*:*:for local\n").unwrap();
    let home = home.path().to_str().unwrap();
    let passwords = |text: &str| -> Vec<Option<String>> {
        let settings = resolved(&string(text), &[("HOME", home)]).unwrap();
        settings.hosts.iter().map(|h| h.password.as_ref().map(|p| p.reveal().to_owned())).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(passwords("host=a,b,c dbname=d user=u"), [some("for a"), some("for b"), None]);
    assert_eq!(passwords("host=/tmp dbname=d user=u"), [some("for local")]);
    assert_eq!(passwords("host=a dbname=d user=u password=x"), [None], "it is not looked at when there is a password");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = resolved(&string("host=a dbname=d user=u"), &[("HOME", home)]).unwrap();
    assert_eq!(settings.hosts[0].password, None);
    assert!(settings.warnings[0].contains("chmod 600"));
}
