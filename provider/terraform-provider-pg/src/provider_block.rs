//! The provider block: its schema, its checks, and the database it describes.
//!
//! **Invariant:** nothing here connects, and no message repeats a configured value.

use std::sync::Arc;
use std::time::Duration;

use pg_connector::Database;
use pg_connector::rows::Files;
use pg_connector::settings::duration::parse_duration;
use pg_connector::settings::{Explicit, Secret, Settings};
use tfplugin::{Attribute, Configured, Context, Diagnostic, Diagnostics, Mode, Path, Schema, Type, Value};

use crate::diagnostics;

/// What the server shows as the client's name unless something else gives one.
const APPLICATION_NAME: &str = "terraform-provider-pg";

/// The values of `sslmode`.
const SSL_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// What configuring makes of the provider block.
#[derive(Debug)]
pub struct Data {
    /// The database.
    pub database: Database,
    /// Whether the vector extension may be created.
    pub create_vector_extension: bool,
    /// The files of rows that were read already.
    pub files: Arc<Files>,
}

/// The provider's data where it is known; `None` in a plan whose provider configuration is still unknown.
pub fn known(context: &Context<Data>) -> Option<&Data> {
    match &context.provider {
        Configured::Known(data) => Some(data),
        Configured::Unknown(_) | Configured::Not => None,
    }
}

/// The provider's data for what the framework only asks for once it is known: anything but a plan.
pub fn data(context: &Context<Data>) -> Result<&Data, Diagnostics> {
    known(context).ok_or_else(|| {
        let detail =
            "The database was needed before the provider was configured. This is a bug in the provider; please report it.";
        Diagnostic::error("The provider is not configured", detail).into()
    })
}

/// The schema of the provider block.
pub fn schema() -> Schema {
    let text = |name, description| Attribute::new(name, Type::String, Mode::Optional, description);
    let number = |name, description| Attribute::new(name, Type::Number, Mode::Optional, description);
    Schema {
        version: 0,
        description: "The `pg` provider declares Postgres tables, their rows, their pgvector indexes and the SQL that \
            belongs to them.\n\n\
            Every attribute is optional. What is left out comes from `connection_string`, else from a service file, else \
            from libpq's environment variables (`PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`, `PGPASSWORD`, `PGPASSFILE`, \
            `PGSERVICE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGCONNECT_TIMEOUT`, `PGAPPNAME`, \
            `PGOPTIONS`, `PGTARGETSESSIONATTRS`), else from libpq's defaults; a password that is still missing from the \
            pgpass file.\n\n\
            Connections are made when they are first needed, so values may come from resources of the same apply.",
        attributes: vec![
            text(
                "connection_string",
                "A URI (`postgresql://user@host:5432/database?sslmode=require`) or keywords with values (`host=db \
                 dbname=app`), as libpq reads them. Special characters in a URI's user name and password are \
                 percent-encoded. The other attributes win over what it says.",
            )
            .sensitive()
            .validate(connection_string),
            text(
                "host",
                "Host name, IP address, or folder of a unix socket. Several, with commas between them, are tried in order.",
            )
            .validate(not_empty),
            number("port", "The port. Defaults to 5432.").validate(port),
            text("database", "The database. Defaults to the user's name.").validate(not_empty),
            text("username", "The user. Defaults to the operating system's user.").validate(not_empty),
            text("password", "The password. Conflicts with `password_command`.").sensitive(),
            Attribute::new(
                "password_command",
                Type::List(Box::new(Type::String)),
                Mode::Optional,
                "A program and its arguments that prints a password or token, and nothing else. It is run for every new \
                 connection (not by a shell), so short-lived tokens stay fresh in a long apply: \
                 `[\"aws\", \"rds\", \"generate-db-auth-token\", …]`, `[\"gcloud\", \"sql\", \"generate-login-token\"]`, \
                 `[\"az\", \"account\", \"get-access-token\", …]`. What it prints is never shown.",
            )
            .validate(command),
            text(
                "sslmode",
                "How connections are encrypted: `disable` (not), `prefer` (where the server can; the default), `require` \
                 (always; the certificate is checked only if `sslrootcert` is set), `verify-ca` (always, with a \
                 certificate of a trusted authority), `verify-full` (the same, and made for this host). Unix sockets are \
                 never encrypted.",
            )
            .validate(sslmode),
            text(
                "sslrootcert",
                "The certificates to trust: a path, PEM text, or `system` for the operating system's (which needs \
                 `verify-full`). Defaults to `~/.postgresql/root.crt` if it is there.",
            )
            .validate(not_empty),
            text(
                "sslcert",
                "The client's certificate: a path or PEM text. Defaults to `~/.postgresql/postgresql.crt` if it is there.",
            )
            .validate(not_empty),
            text(
                "sslkey",
                "The key of `sslcert`: a path or PEM text, not encrypted. Defaults to `~/.postgresql/postgresql.key`.",
            )
            .sensitive()
            .validate(not_empty),
            text("application_name", "What the server shows as the client's name. Defaults to `terraform-provider-pg`."),
            text(
                "connect_timeout",
                "How long one attempt to connect to one host may take, such as `\"10s\"`. Defaults to `\"30s\"`; `\"0s\"` \
                 means as long as the operation may take.",
            )
            .validate(duration),
            number(
                "max_connections",
                "How many connections may be open at a time. Defaults to 10, which fits the command line's default of ten \
                 operations at once; operations wait for a free one. An index that is built concurrently uses two, if there \
                 are two.",
            )
            .validate(max_connections),
            text(
                "lock_timeout",
                "How long a statement may wait for a lock, such as `\"5s\"`, before it gives way to the statements that wait \
                 behind it. Defaults to the server's setting. It does not hold for concurrent index builds.",
            )
            .validate(duration),
            text(
                "statement_timeout",
                "How long a statement may run, such as `\"10m\"`. Defaults to the server's setting. It does not hold for \
                 concurrent index builds; `timeouts` of the resource do.",
            )
            .validate(duration),
            Attribute::new(
                "create_vector_extension",
                Type::Bool,
                Mode::Optional,
                "Whether the extension `vector` is created when a column or an index needs it and it is not there. Defaults \
                 to `true`.",
            ),
        ],
    }
}

/// Checks across attributes.
pub fn validate(config: &Value, diagnostics: &mut Diagnostics) {
    let given = |name| config.get(name).is_given();
    if given("password") && given("password_command") {
        diagnostics.push(
            Diagnostic::error(
                "Conflicting attributes",
                "password and password_command are both set. Set only one of them.",
            )
            .at(Path::root("password_command")),
        );
    }
}

/// Resolves the connection settings. Takes a wholly known configuration.
pub fn configure(config: &Value) -> Result<Data, Diagnostics> {
    configure_with(config, &|name| std::env::var(name).ok())
}

fn configure_with(config: &Value, environment: &dyn Fn(&str) -> Option<String>) -> Result<Data, Diagnostics> {
    let explicit = explicit(config)?;
    let settings = Settings::resolve(&explicit, environment)
        .map_err(|errors| diagnostics::errors(&errors, &diagnostics::attribute))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let database = Database::new(settings).map_err(|error| diagnostics::errors([&error], &diagnostics::attribute))?;
    let create_vector_extension = config.get("create_vector_extension").as_bool().unwrap_or(true);
    Ok(Data { database, create_vector_extension, files: Arc::default() })
}

fn explicit(config: &Value) -> Result<Explicit, Diagnostics> {
    // Validation has been over all of this, but for values that were unknown then.
    let mut faults = Diagnostics::default();
    for attribute in schema().attributes {
        let value = config.get(attribute.name);
        if !value.is_null() {
            for validator in &attribute.validators {
                validator(value, &Path::root(attribute.name), &mut faults);
            }
        }
    }
    validate(config, &mut faults);
    if faults.has_error() {
        return Err(faults);
    }
    let text = |name| config.get(name).as_str().map(str::to_owned);
    let secret = |name| text(name).map(Secret::new);
    let whole = |name| config.get(name).as_i64();
    let span = |name| config.get(name).as_str().and_then(|text| parse_duration(text).ok());
    let command = config.get("password_command").as_list();
    Ok(Explicit {
        connection_string: secret("connection_string"),
        host: text("host"),
        port: whole("port").and_then(|port| u16::try_from(port).ok()),
        database: text("database"),
        username: text("username"),
        password: secret("password"),
        password_command: command.map(|words| words.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect()),
        sslmode: text("sslmode"),
        sslrootcert: text("sslrootcert"),
        sslcert: text("sslcert"),
        sslkey: secret("sslkey"),
        application_name: text("application_name"),
        fallback_application_name: Some(APPLICATION_NAME.to_owned()),
        connect_timeout: span("connect_timeout"),
        max_connections: whole("max_connections").map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        lock_timeout: span("lock_timeout"),
        statement_timeout: span("statement_timeout"),
    })
}

fn wrong(path: &Path, diagnostics: &mut Diagnostics, detail: impl Into<String>) {
    diagnostics.push(Diagnostic::error(format!("Invalid {path}"), detail).at(path.clone()));
}

fn connection_string(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(Err(error)) = value.as_str().map(Settings::check_connection_string) {
        diagnostics.push(self::diagnostics::error(&error, &|_| path.clone()));
    }
}

fn not_empty(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if value.as_str() == Some("") {
        wrong(
            path,
            diagnostics,
            "It is empty. Leave it out, or set it to null, to use the environment or the default.",
        );
    }
}

fn port(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if !value.as_i64().is_some_and(|port| (1..=65_535).contains(&port)) {
        wrong(path, diagnostics, "A port is a whole number from 1 to 65535.");
    }
}

fn max_connections(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if value.as_i64().is_none_or(|number| number < 1) {
        wrong(path, diagnostics, "It is a whole number, at least 1.");
    }
}

fn sslmode(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if !value.as_str().is_some_and(|mode| SSL_MODES.contains(&mode)) {
        wrong(path, diagnostics, format!("It is one of {}.", SSL_MODES.join(", ")));
    }
}

fn duration(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    match value.as_str().map(parse_duration) {
        // The longest that Postgres's own settings take.
        Some(Ok(duration)) if duration > Duration::from_millis(i32::MAX.unsigned_abs().into()) => {
            wrong(path, diagnostics, "It is longer than Postgres can count, which is 24 days.");
        }
        Some(Err(why)) => wrong(path, diagnostics, format!("It cannot be read: {why}.")),
        _ => {}
    }
}

fn command(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    let words = value.as_list().unwrap_or_default();
    if words.is_empty() {
        wrong(path, diagnostics, "It is empty. The first element is the program, the others are its arguments.");
    }
    for (at, word) in words.iter().enumerate() {
        if word.is_null() || (at == 0 && word.as_str() == Some("")) {
            wrong(&path.clone().index(at), diagnostics, "An element cannot be null, and the program's name not empty.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Configures as the framework does: nulls for what is left out.
    fn configured(pairs: Vec<(&str, Value)>) -> Result<Data, Vec<(String, String)>> {
        configure_with(&Value::object(pairs), &|_| None).map_err(|diagnostics| {
            diagnostics.0.into_iter().map(|d| (d.path.to_string(), format!("{}: {}", d.summary, d.detail))).collect()
        })
    }

    #[test]
    fn an_empty_block_is_fine_and_attributes_win() {
        assert!(configured(vec![]).unwrap().create_vector_extension);
        let data = configured(vec![
            ("connection_string", "postgresql://a:b@other:1/d".into()),
            ("host", "db".into()),
            ("port", 5433.into()),
            ("connect_timeout", "1m30s".into()),
            ("lock_timeout", "500ms".into()),
            ("max_connections", 3.into()),
            ("create_vector_extension", false.into()),
        ])
        .unwrap();
        let settings = data.database.settings();
        assert_eq!(settings.target_text(), "database \"d\" on db:5433 as \"a\"");
        assert_eq!(settings.connect_timeout, Some(Duration::from_secs(90)));
        assert_eq!(settings.lock_timeout, Some(Duration::from_millis(500)));
        assert_eq!((settings.max_connections, settings.application_name.as_str()), (3, "terraform-provider-pg"));
        assert!(!data.create_vector_extension);
    }

    #[test]
    fn bad_values_point_at_their_attribute() {
        for (name, value) in [
            ("connection_string", Value::from("hunter2")),
            ("connection_string", "postgres://u:hunter2/x@h/d".into()),
            ("host", "".into()),
            ("port", 0.into()),
            ("port", 65_536.into()),
            ("sslmode", "allow".into()),
            ("sslmode", "hunter2".into()),
            ("sslmode", "verify-full".into()),
            ("sslrootcert", "".into()),
            ("connect_timeout", "5".into()),
            ("lock_timeout", "soon".into()),
            ("statement_timeout", "99d".into()),
            ("max_connections", 0.into()),
            ("password_command", Value::List(vec![])),
            ("password_command", vec![""].into()),
        ] {
            let errors = configured(vec![(name, value.clone())]).unwrap_err();
            assert_eq!(errors.len(), 1, "{name} {value:?}: {errors:?}");
            assert!(errors[0].0.starts_with(name), "{name} {value:?}: {errors:?}");
            assert!(!errors[0].1.contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn a_password_and_a_command_conflict() {
        let errors = configured(vec![("password", "x".into()), ("password_command", vec!["y"].into())]).unwrap_err();
        assert_eq!(errors[0].0, "password_command");
        let mut diagnostics = Diagnostics::default();
        let config = Value::object([("password", Value::unknown()), ("password_command", vec!["y"].into())]);
        validate(&config, &mut diagnostics);
        assert!(diagnostics.is_empty(), "an unknown value may still be null");
    }

    #[test]
    fn every_attribute_is_described_and_what_may_be_secret_is_hidden() {
        let hidden: Vec<_> = schema().attributes.into_iter().filter(|a| a.sensitive).map(|a| a.name).collect();
        assert_eq!(hidden, ["connection_string", "password", "sslkey"]);
        for attribute in schema().attributes {
            assert!(attribute.description.len() > 10 && attribute.description.ends_with('.'), "{}", attribute.name);
            assert_eq!(attribute.mode, Mode::Optional);
        }
    }
}
