//! Brings the origins of settings together: pure, but for reading the service and password files and looking for
//! libpq's default files.
//!
//! **Invariant:** no error repeats a value, since a value that is wrong may be a secret that stands in the wrong place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::conninfo;
use super::explicit::Explicit;
use super::keyword::{self, KEYWORDS};
use super::origin::Origin;
use super::secret::Secret;
use super::service;
use super::{Keepalives, Password, Settings, TargetSessionAttrs};
use crate::error::{Blame, Error};

mod hosts;
mod tls;

const DOING: &str = "read the connection settings";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_CONNECTIONS: u32 = 10;
const DEFAULT_APPLICATION_NAME: &str = "pg-connector";

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
        self.errors.push(error.blame_if(origin.blame()));
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

#[cfg(test)]
mod tests;
