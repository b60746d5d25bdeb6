//! Brings the origins of settings together: pure, but for reading the service and password files and looking for
//! libpq's default files.
//!
//! **Invariant:** no error repeats a value, since a value that is wrong may be a secret that stands in the wrong place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::conninfo;
use super::explicit::Explicit;
use super::keyword::{self, KEYWORDS};
use super::origin::Origin;
use super::pgpass::Pgpass;
use super::secret::Secret;
use super::service;
use super::{
    Address, ChannelBinding, Host, Keepalives, Password, Pem, PemForm, Roots, Settings, SslMode, TargetSessionAttrs,
    Tls,
};
use crate::error::{Blame, Error};

const DOING: &str = "read the connection settings";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_CONNECTIONS: u32 = 10;
const DEFAULT_APPLICATION_NAME: &str = "terraform-provider-pg";
/// Where packagers and Postgres itself put the unix socket.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value and where it comes from.
#[derive(Clone, Debug)]
struct Given {
    value: Secret,
    origin: Origin,
}

/// What was found so far, and what was wrong.
struct Found<'a> {
    given: HashMap<&'static str, Given>,
    environment: Environment<'a>,
    errors: Vec<Error>,
    warnings: Vec<String>,
}

/// The keywords and values of a connection string.
pub(super) fn read_connection_string(text: &str) -> Result<Vec<(&'static str, String)>, Error> {
    conninfo::parse(text).map_err(|fault| {
        Error::new("read the connection string", fault.message)
            .advice(fault.advice)
            .blame(Blame::Attribute("connection_string"))
    })
}

/// See [`Settings::resolve`].
pub(super) fn resolve(explicit: &Explicit, environment: Environment<'_>) -> Result<Settings, Vec<Error>> {
    let mut found = Found { given: HashMap::new(), environment, errors: Vec::new(), warnings: Vec::new() };
    found.collect(explicit);

    let password = found.password(explicit);
    let user = found.user();
    let database = found.text("dbname").unwrap_or_else(|| user.clone());
    let hosts = found.hosts(&database, &user, password == Password::None);
    let tls = found.tls();
    let connect_timeout = match explicit.connect_timeout {
        Some(limit) => (!limit.is_zero()).then_some(limit),
        None => match found.whole("connect_timeout") {
            Some(seconds) => u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs),
            None => Some(DEFAULT_CONNECT_TIMEOUT),
        },
    };
    let max_connections = explicit.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS);
    if max_connections == 0 {
        found
            .errors
            .push(Error::new(DOING, "max_connections must be at least 1").blame(Blame::Attribute("max_connections")));
    }
    let application_name = found
        .text("application_name")
        .or_else(|| found.text("fallback_application_name"))
        .or_else(|| explicit.fallback_application_name.clone())
        .unwrap_or_else(|| DEFAULT_APPLICATION_NAME.to_owned());
    let target = found.choice(
        "target_session_attrs",
        &[
            ("any", TargetSessionAttrs::Any),
            ("read-write", TargetSessionAttrs::ReadWrite),
            ("read-only", TargetSessionAttrs::ReadOnly),
            ("primary", TargetSessionAttrs::Primary),
            ("standby", TargetSessionAttrs::Standby),
            ("prefer-standby", TargetSessionAttrs::PreferStandby),
        ],
    );
    let load_balance = found.choice("load_balance_hosts", &[("disable", false), ("random", true)]);
    let keepalives = found.keepalives();
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    Ok(Settings {
        hosts,
        user,
        database,
        password,
        tls,
        application_name,
        options: found.text("options"),
        connect_timeout,
        max_connections,
        lock_timeout: explicit.lock_timeout,
        statement_timeout: explicit.statement_timeout,
        target: target.unwrap_or_default(),
        load_balance: load_balance.unwrap_or_default(),
        keepalives,
        warnings: found.warnings,
    })
}

impl Found<'_> {
    /// Fills in what each origin gives, the strongest first.
    fn collect(&mut self, explicit: &Explicit) {
        let secret = |text: &Option<Secret>| text.as_ref().map(|secret| secret.reveal().to_owned());
        for (name, attribute, value) in [
            ("host", "host", explicit.host.clone()),
            ("port", "port", explicit.port.map(|port| port.to_string())),
            ("dbname", "database", explicit.database.clone()),
            ("user", "username", explicit.username.clone()),
            ("password", "password", secret(&explicit.password)),
            ("sslmode", "sslmode", explicit.sslmode.clone()),
            ("sslrootcert", "sslrootcert", explicit.sslrootcert.clone()),
            ("sslcert", "sslcert", explicit.sslcert.clone()),
            ("sslkey", "sslkey", secret(&explicit.sslkey)),
            ("application_name", "application_name", explicit.application_name.clone()),
        ] {
            self.give(name, value, Origin::Attribute(attribute));
        }
        if let Some(text) = &explicit.connection_string {
            match read_connection_string(text.reveal()) {
                // The last of several wins, and what is given first stays.
                Ok(pairs) => {
                    for (name, value) in pairs.into_iter().rev() {
                        self.give(name, Some(value), Origin::ConnectionString);
                    }
                }
                Err(error) => self.errors.push(error),
            }
        }
        self.collect_service();
        for keyword in KEYWORDS {
            if let Some(variable) = keyword.variable {
                self.give(keyword.name, (self.environment)(variable), Origin::Environment(variable));
            }
        }
    }

    fn collect_service(&mut self) {
        let lookup = |name| {
            self.given.get(name).cloned().or_else(|| {
                let variable = keyword::find(name)?.variable?;
                let value = (self.environment)(variable).filter(|value| !value.is_empty())?;
                Some(Given { value: Secret::new(value), origin: Origin::Environment(variable) })
            })
        };
        let Some(wanted) = lookup("service") else { return };
        let mut files: Vec<PathBuf> = match lookup("servicefile") {
            Some(file) => vec![file.value.reveal().into()],
            None => self.home().map(|home| home.join(".pg_service.conf")).into_iter().collect(),
        };
        match (self.environment)("PGSYSCONFDIR") {
            Some(folder) => files.push(Path::new(&folder).join("pg_service.conf")),
            None => files.push("/etc/postgresql-common/pg_service.conf".into()),
        }
        match service::read(wanted.value.reveal(), &files) {
            Ok(pairs) => {
                for (name, value, origin) in pairs {
                    self.give(name, Some(value), origin);
                }
            }
            Err(message) => self.fault(&wanted.origin, message, "PGSERVICEFILE names another service file"),
        }
    }

    /// Takes a value unless it is empty or a stronger origin gave one.
    fn give(&mut self, name: &'static str, value: Option<String>, origin: Origin) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        if self.given.contains_key(name) {
            return;
        }
        if let Some(advice) = keyword::find(name).and_then(|keyword| keyword.refusal(&value)) {
            self.fault(&origin, format!("{name} cannot be set to that"), advice);
        }
        self.given.insert(name, Given { value: Secret::new(value), origin });
    }

    fn fault(&mut self, origin: &Origin, message: impl Into<String>, advice: &str) {
        let error = Error::new(DOING, format!("{} (from {origin})", message.into())).advice(advice);
        self.errors.push(match origin.blame() {
            Some(blame) => error.blame(blame),
            None => error,
        });
    }

    fn text(&self, name: &str) -> Option<String> {
        self.given.get(name).map(|given| given.value.reveal().to_owned())
    }

    fn home(&self) -> Option<PathBuf> {
        ["HOME", "USERPROFILE"]
            .iter()
            .find_map(|name| (self.environment)(name))
            .filter(|h| !h.is_empty())
            .map(PathBuf::from)
    }

    /// libpq's folder for certificates.
    fn own_file(&self, name: &str) -> Option<PathBuf> {
        if cfg!(windows) {
            (self.environment)("APPDATA").map(|folder| Path::new(&folder).join("postgresql").join(name))
        } else {
            self.home().map(|home| home.join(".postgresql").join(name))
        }
    }

    fn whole(&mut self, name: &'static str) -> Option<i64> {
        let given = self.given.get(name)?.clone();
        let number = given.value.reveal().trim().parse().ok();
        if number.is_none() {
            self.fault(&given.origin, format!("{name} is not a whole number"), "give it as digits, such as 10");
        }
        number
    }

    fn choice<T: Clone>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let given = self.given.get(name)?.clone();
        let chosen = choices.iter().find(|(choice, _)| *choice == given.value.reveal());
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            self.fault(
                &given.origin,
                format!("{name} has an unknown value"),
                &format!("it is one of {}", names.join(", ")),
            );
        }
        chosen.map(|(_, value)| value.clone())
    }

    fn user(&mut self) -> String {
        self.text("user").or_else(|| whoami::username().ok()).unwrap_or_else(|| {
            self.errors.push(
                Error::new(DOING, "there is no user name, and the operating system's cannot be found out")
                    .advice("set username or PGUSER")
                    .blame(Blame::Attribute("username")),
            );
            String::new()
        })
    }

    fn password(&mut self, explicit: &Explicit) -> Password {
        match &explicit.password_command {
            Some(_) if explicit.password.is_some() => {
                self.errors.push(
                    Error::new(DOING, "password and password_command are both set")
                        .advice("set only one of them")
                        .blame(Blame::Attribute("password_command")),
                );
                Password::None
            }
            Some(command) if command.first().is_none_or(String::is_empty) => {
                self.errors.push(
                    Error::new(DOING, "password_command is empty")
                        .advice("give the program and its arguments as a list, such as [\"aws\", \"rds\", …]")
                        .blame(Blame::Attribute("password_command")),
                );
                Password::None
            }
            Some(command) => Password::Command(command.clone()),
            None => self.given.get("password").map_or(Password::None, |given| Password::Text(given.value.clone())),
        }
    }

    fn hosts(&mut self, database: &str, user: &str, wants_password: bool) -> Vec<Host> {
        let Some(addresses) = self.addresses() else { return Vec::new() };
        let ports = self.ports(addresses.len());
        let pgpass = if wants_password {
            let file = self.text("passfile").map(PathBuf::from).or_else(|| {
                if cfg!(windows) { self.own_file("pgpass.conf") } else { self.home().map(|home| home.join(".pgpass")) }
            });
            file.map(|file| Pgpass::read(&file))
        } else {
            None
        };
        let hosts = addresses
            .into_iter()
            .zip(ports)
            .map(|(address, port)| {
                let address = address.unwrap_or_else(|| default_address(port));
                let name = match &address {
                    Address::Tcp(name, _) => name.clone(),
                    Address::Unix(folder) if SOCKET_FOLDERS.iter().any(|f| folder.as_path() == Path::new(f)) => {
                        "localhost".to_owned()
                    }
                    Address::Unix(folder) => folder.to_string_lossy().into_owned(),
                };
                let password = pgpass.as_ref().and_then(|file| file.find(&name, port, database, user));
                Host { address, port, password }
            })
            .collect();
        self.warnings.extend(pgpass.and_then(|file| file.warning));
        hosts
    }

    /// One address for each host; `None` stands for the default. Nothing when there is a fault.
    fn addresses(&mut self) -> Option<Vec<Option<Address>>> {
        let host = self.given.get("host").cloned();
        // An address from a weaker origin belongs to another host.
        let rank = |given: &Option<Given>| given.as_ref().map_or(u8::MAX, |given| given.origin.rank());
        let hostaddr = self.given.get("hostaddr").cloned();
        let hostaddr = hostaddr.filter(|given| given.origin.rank() <= rank(&host));
        let parts = |given: &Option<Given>| -> Vec<String> {
            given
                .as_ref()
                .map(|g| g.value.reveal().split(',').map(|p| p.trim().to_owned()).collect())
                .unwrap_or_default()
        };
        let (names, numbers) = (parts(&host), parts(&hostaddr));
        let Some(origin) = hostaddr.as_ref().map(|given| given.origin.clone()) else {
            return Some(match names.is_empty() {
                true => vec![None],
                false => names.iter().map(|name| address(name, None)).collect(),
            });
        };
        if !names.is_empty() && names.len() != numbers.len() {
            let message = format!("hostaddr lists {} addresses for {} hosts", numbers.len(), names.len());
            self.fault(&origin, message, "list one address for each host, with commas between them, or none at all");
            return None;
        }
        let mut addresses = Vec::new();
        for (at, number) in numbers.iter().enumerate() {
            let name = names.get(at).filter(|name| !name.is_empty()).unwrap_or(number);
            if number.is_empty() {
                addresses.push(address(name, None));
            } else if let Ok(number) = number.parse::<IpAddr>() {
                addresses.push(address(name, Some(number)));
            } else {
                self.fault(&origin, "hostaddr is not an IP address", "give a host name as host");
                return None;
            }
        }
        Some(addresses)
    }

    fn ports(&mut self, hosts: usize) -> Vec<u16> {
        let defaults = vec![DEFAULT_PORT; hosts];
        let Some(given) = self.given.get("port").cloned() else { return defaults };
        let parts: Vec<&str> = given.value.reveal().split(',').map(str::trim).collect();
        if parts.len() != 1 && parts.len() != hosts {
            let message = format!("port lists {} ports for {hosts} hosts", parts.len());
            self.fault(&given.origin, message, "give one port for all hosts, or one for each");
            return defaults;
        }
        let ports: Option<Vec<u16>> = parts
            .iter()
            .map(|part| if part.is_empty() { Some(DEFAULT_PORT) } else { part.parse().ok().filter(|port| *port > 0) })
            .collect();
        match ports {
            Some(ports) if ports.len() == 1 => vec![ports[0]; hosts],
            Some(ports) => ports,
            None => {
                self.fault(
                    &given.origin,
                    "port is not a number from 1 to 65535",
                    "Postgres listens on 5432 by default",
                );
                defaults
            }
        }
    }

    fn tls(&mut self) -> Tls {
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

    fn keepalives(&mut self) -> Keepalives {
        let mut keepalives = Keepalives::default();
        // As in libpq, zero or less means the default.
        let mut positive = |name| self.whole(name).and_then(|number| u32::try_from(number).ok()).filter(|n| *n > 0);
        if let Some(seconds) = positive("keepalives_idle") {
            keepalives.idle = Duration::from_secs(seconds.into());
        }
        if let Some(seconds) = positive("keepalives_interval") {
            keepalives.interval = Duration::from_secs(seconds.into());
        }
        if let Some(count) = positive("keepalives_count") {
            keepalives.count = count;
        }
        keepalives.user_timeout = positive("tcp_user_timeout").map(|millis| Duration::from_millis(millis.into()));
        if let Some(on) = self.whole("keepalives") {
            keepalives.enabled = on != 0;
        }
        keepalives
    }
}

fn pem(given: &Given) -> Pem {
    let text = given.value.reveal();
    let form =
        if text.contains("-----BEGIN") { PemForm::Text(given.value.clone()) } else { PemForm::File(text.into()) };
    Pem { form, origin: given.origin.clone() }
}

/// `None` for the empty name, which stands for the default.
fn address(name: &str, number: Option<IpAddr>) -> Option<Address> {
    if name.is_empty() {
        None
    } else if name.starts_with('/') && number.is_none() {
        Some(Address::Unix(name.into()))
    } else {
        Some(Address::Tcp(name.to_owned(), number))
    }
}

/// The unix socket where there is one, else the local host.
fn default_address(port: u16) -> Address {
    let socket = SOCKET_FOLDERS.iter().map(Path::new).find(|folder| folder.join(format!(".s.PGSQL.{port}")).exists());
    match socket {
        Some(folder) if cfg!(unix) => Address::Unix(folder.to_owned()),
        _ => Address::Tcp("localhost".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves and prints what matters, or the errors with what they blame.
    fn resolved(explicit: &Explicit, environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Settings::resolve(explicit, &lookup).map_err(|errors| {
            errors
                .iter()
                .map(|e| format!("{} | {} | {:?}", e.message(), e.advised().unwrap_or(""), e.blamed()))
                .collect()
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
        let command =
            Explicit { password_command: Some(vec!["token".to_owned(), "-v".to_owned()]), ..Explicit::default() };
        for (explicit, environment, expected) in [
            (Explicit::default(), &environment[..], "from-env:1 env-user env-user env-password env-app"),
            (Explicit::default(), &with_service, "from-service:2 service-user service-user env-password env-app"),
            (string("service=s"), &environment, "from-service:2 service-user service-user env-password env-app"),
            (string("postgres://string:3/d"), &with_service, "string:3 d service-user env-password env-app"),
            (string("host=a host=b"), &environment, "b:1 env-user env-user env-password env-app"),
            (string("host='' dbname=''"), &environment, "from-env:1 env-user env-user env-password env-app"),
            (everything, &with_service, "attribute:4 d attribute-user attribute-password attribute-app"),
            (command, &environment, "from-env:1 env-user env-user token -v env-app"),
            (string("host=h user=u"), &[], "h:5432 u u - terraform-provider-pg"),
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
        assert_eq!(
            passwords("host=a dbname=d user=u password=x"),
            [None],
            "it is not looked at when there is a password"
        );
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let settings = resolved(&string("host=a dbname=d user=u"), &[("HOME", home)]).unwrap();
        assert_eq!(settings.hosts[0].password, None);
        assert!(settings.warnings[0].contains("chmod 600"));
    }
}
