//! Connecting: what psql does with the same settings, and what is said when it fails.

use std::time::{Duration, Instant};

use pg_connector::settings::{Explicit, Secret, Settings};
use pg_connector::{Database, Error};
use testbed::TestDatabase;

use crate::private_server::psql;
use crate::sessions::{database, one, within};

/// Connects with a connection string and an environment, and asks.
async fn ask(text: &str, environment: &[(&str, &str)], sql: &str) -> Result<String, Error> {
    let explicit = Explicit { connection_string: Some(Secret::new(text)), ..Explicit::default() };
    let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::resolve(&explicit, &lookup).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let session = Database::new(settings)?.connect(&within(Duration::from_secs(20))).await?;
    Ok(one(&session, sql).await)
}

#[tokio::test]
async fn settings_lead_where_psql_goes() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let role = format!("it's \\ {}", test.name);
        test.query(&format!("create role {} login", pg_connector::quote_ident(&role))).await;
        let (host, port, name) = (&test.host, test.port, &test.name);
        let folder = tempfile::tempdir().unwrap();
        let services = folder.path().join("services");
        std::fs::write(
            &services,
            format!("[s]\nhost={host}\nport={port}\ndbname={name}\nuser=postgres\napplication_name=from service\n"),
        )
        .unwrap();
        let port_text = port.to_string();
        let environment = [
            ("HOME", folder.path().to_str().unwrap()),
            ("PGHOST", host.as_str()),
            ("PGPORT", &port_text),
            ("PGUSER", "postgres"),
            ("PGDATABASE", name),
            ("PGAPPNAME", "from environment"),
            ("PGOPTIONS", "-c work_mem=123MB -c search_path=a,\\ b"),
            ("PGSERVICEFILE", services.to_str().unwrap()),
        ];
        let encoded = "it%27s%20%5C%20";
        for text in [
            String::new(),
            "application_name=mine".to_owned(),
            "service=s".to_owned(),
            "service=s application_name=mine".to_owned(),
            "postgresql://?service=s&application_name=a%20b".to_owned(),
            format!("postgresql://{encoded}{name}@{host}:{port}/{name}?application_name=%C3%BC"),
            format!("host={host} port={port} user='it\\'s \\\\ {name}' dbname = {name} options='-c work_mem=77MB'"),
            format!("postgresql://127.0.0.1:1,{host}:{port}/{name}"),
            format!("host=nowhere.invalid,{host} port=1,{port}"),
            format!("host=nowhere.invalid hostaddr={host}"),
            format!("postgresql:///{name}?host={host}&port={port}"),
            "target_session_attrs=read-write".to_owned(),
            "target_session_attrs=primary".to_owned(),
            "target_session_attrs=prefer-standby".to_owned(),
            "target_session_attrs=read-only options='-c default_transaction_read_only=on'".to_owned(),
            "load_balance_hosts=disable".to_owned(),
            "sslmode=allow".to_owned(),
        ] {
            let sql = "select concat_ws('|', current_user, current_database(), inet_server_port(), \
                current_setting('application_name'), current_setting('work_mem'), current_setting('search_path'), \
                current_setting('default_transaction_read_only'))";
            let theirs = psql(&text, &environment, sql);
            let ours = ask(&text, &environment, sql).await;
            match theirs {
                Ok(theirs) => assert_eq!(ours.unwrap(), theirs, "{text}"),
                // An older psql does not know every keyword.
                Err(error) if error.contains("invalid connection option") => assert!(ours.is_ok(), "{text}: {error}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
        test.query(&format!("drop role {}", pg_connector::quote_ident(&role))).await;
    }
}

#[tokio::test]
async fn failures_say_what_was_tried_and_what_to_do() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let (host, port) = (&test.host, test.port);
        let name = &test.name;
        for sql in [
            format!(
                "create role {name}_nologin; create role {name}_stranger login; revoke connect on database {name} from public"
            ),
            format!("create database {name}_closed"),
            format!("alter database {name}_closed allow_connections false"),
        ] {
            test.query(&sql).await;
        }
        let silent = silent().await;
        for (text, doing, message, advice) in [
            (
                format!("postgresql://postgres:hunter2@{host}:{port}/none"),
                format!("connect to database \"none\" on {host}:{port} as \"postgres\""),
                "database \"none\" does not exist",
                "create the database",
            ),
            (
                "postgresql://u:hunter2@127.0.0.1:1/d".to_owned(),
                "connect to database \"d\" on 127.0.0.1:1 as \"u\"".to_owned(),
                "refused",
                "nothing listens there",
            ),
            (
                "postgresql://u:hunter2@nowhere.invalid/d".to_owned(),
                "connect to database \"d\" on nowhere.invalid:5432 as \"u\"".to_owned(),
                "lookup",
                "cannot be resolved",
            ),
            (
                "postgresql://u@127.0.0.1:1,127.0.0.1:2/d".to_owned(),
                "connect to database \"d\" on 127.0.0.1:1, 127.0.0.1:2 as \"u\"".to_owned(),
                "no host could be used",
                "nothing listens there",
            ),
            (
                "host=/nonexistent user=u".to_owned(),
                "connect to database \"u\" on /nonexistent/.s.PGSQL.5432 as \"u\"".to_owned(),
                "No such file",
                "unix socket",
            ),
            (
                format!("host={host} port={port} user=postgres password=hunter2 sslmode=require"),
                format!("connect to database \"postgres\" on {host}:{port} as \"postgres\""),
                "does not support TLS",
                "sslmode = \"disable\"",
            ),
            (
                format!("host={host} port={port} user=nobody_{} password=hunter2", test.name),
                format!("connect to database \"nobody_{0}\" on {host}:{port} as \"nobody_{0}\"", test.name),
                "does not exist",
                "the role must exist",
            ),
            (
                format!("host={host} port={port} user={0}_nologin dbname={0}", test.name),
                format!("connect to database {0:?} on {host}:{port} as \"{0}_nologin\"", test.name),
                "not permitted to log in",
                "may log in",
            ),
            (
                format!("host={host} port={port} user={0}_stranger dbname={0}", test.name),
                format!("connect to database {0:?} on {host}:{port} as \"{0}_stranger\"", test.name),
                "permission denied for database",
                "grant connect on database test_",
            ),
            (
                format!("host={host} port={port} user=postgres dbname={0}_closed", test.name),
                format!("connect to database \"{0}_closed\" on {host}:{port} as \"postgres\"", test.name),
                "not currently accepting connections",
                "is closed for connections",
            ),
            (
                format!("host={host} port={port} user=postgres dbname={} options='-c no_such=1'", test.name),
                format!("connect to database {:?} on {host}:{port} as \"postgres\"", test.name),
                "no_such",
                "options of the connection",
            ),
            (
                format!("host=127.0.0.1 port={silent} user=u dbname=d"),
                format!("connect to database \"d\" on 127.0.0.1:{silent} as \"u\""),
                "communicating with the server",
                "before it could be used",
            ),
            (
                format!("host={host} port={port} user=postgres target_session_attrs=standby"),
                format!("connect to database \"postgres\" on {host}:{port} as \"postgres\""),
                "it is no standby",
                "target_session_attrs",
            ),
        ] {
            let error = ask(&text, &[], "select ''").await.unwrap_err();
            assert_eq!(error.doing(), doing);
            assert!(error.message().contains(message), "{text}: {error}");
            assert!(error.advised().is_some_and(|a| a.contains(advice)), "{text}: {error}: {:?}", error.advised());
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        test.query(&format!("drop database {name}_closed")).await;
        test.query(&format!("drop role {name}_nologin; drop role {name}_stranger")).await;
    }
}

/// The port of something that ends each connection as soon as it has heard something.
async fn silent() -> u16 {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 8]).await;
        }
    });
    port
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() {
    // Nobody accepts here, so the connection is made but never answered.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let start = Instant::now();
    let error =
        ask(&format!("host=127.0.0.1 port={port} user=u connect_timeout=1"), &[], "select ''").await.unwrap_err();
    assert_eq!(error.message(), "no answer within 1s");
    assert!(error.advised().unwrap().contains("firewall"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_without_free_connections_is_asked_again() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        let role = format!("limited_{}", test.name);
        test.query(&format!("create role {role} login connection limit 1")).await;
        let limited = || {
            let mut settings = Settings::parse(&test.url()).unwrap();
            settings.user.clone_from(&role);
            Database::new(settings).unwrap()
        };
        let (first, second) = (limited(), limited());
        let held = first.connect(&within(Duration::from_secs(20))).await.unwrap();
        let error = second.connect(&within(Duration::from_millis(500))).await.unwrap_err();
        assert_eq!(error.message(), "timed out after 500ms");
        let waiting = tokio::spawn(async move { second.connect(&within(Duration::from_secs(20))).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop((held, first));
        waiting.await.unwrap().unwrap();
        let pids = format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{role}'");
        test.query(&pids).await;
        test.query(&format!("drop role {role}")).await;
    }
}

#[tokio::test]
async fn nothing_connects_before_it_is_needed() {
    let settings = Settings::parse("postgresql://u@127.0.0.1:1/d").unwrap();
    Database::new(settings).unwrap();
    let test = TestDatabase::new(18).await;
    let database = database(&test, 1);
    let count =
        format!("select count(*) from pg_stat_activity where datname = '{}' and pid <> pg_backend_pid()", test.name);
    assert_eq!(test.query(&count).await, "0");
    let _session = database.connect(&within(Duration::from_secs(20))).await.unwrap();
    assert_eq!(test.query(&count).await, "1");
}
