//! The provider block: where it connects to, what it takes from the environment, and what it never gives away.

use testbed::postgres::PASSWORD_GROUP;

use crate::support::{alternating, everywhere, exists, once, table};

#[test]
fn attributes_come_before_the_environment() {
    alternating(|w| {
        let (host, port) = (w.database().host.clone(), w.database().port);
        let (user, name, url) = (w.database().user.clone(), w.database().name.clone(), w.database().url());
        for unset in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE"] {
            w.folder().unset(unset);
        }
        w.folder().set("PGPORT", "1");
        let block = format!(
            "provider \"pg\" {{\n  host = \"{host}\"\n  port = {port}\n  username = \"{user}\"\n  database = \"{name}\"\n}}\n"
        );
        w.apply(&format!("{block}{}", table("", "")));
        assert!(exists(w, "t"));
        w.destroy();

        w.apply(&format!("provider \"pg\" {{\n  connection_string = \"{url}\"\n}}\n{}", table("", "")));
        assert!(exists(w, "t"));
        w.destroy();

        let words = format!("host={host} port={port} user={user} dbname={name}");
        w.apply(&format!("provider \"pg\" {{\n  connection_string = \"{words}\"\n}}\n{}", table("", "")));
        assert!(exists(w, "t"));
    });
}

#[test]
fn a_configuration_that_is_not_known_yet_does_not_stop_a_plan() {
    everywhere(|w| {
        let name = w.database().name.clone();
        // An unknown database must not be read as one that is not set.
        w.folder().set("PGDATABASE", "no_such_database");
        let tf = format!(
            "resource \"terraform_data\" \"db\" {{\n  input = \"late\"\n}}\n\
             provider \"pg\" {{\n  database = terraform_data.db.output == \"late\" ? \"{name}\" : \"x\"\n}}\n{}",
            table("", "rows = [{ id = 1 }]")
        );
        assert_eq!(w.plan(&tf).action("pg_table_target.t"), "create");
        w.apply_plan();
        assert_eq!(w.sql("select count(*) from t"), "1");
    });
}

#[test]
fn validate_needs_no_server() {
    once(18, |w| {
        w.folder().set("PGPORT", "1");
        w.configure(&format!(
            "provider \"pg\" {{\n  port = 1\n}}\n{}",
            table("a text", "rows = [{ id = 1, a = \"x\" }]")
        ));
        w.tf(&["validate"]).succeeded();
    });
}

#[test]
fn what_is_wrong_is_said() {
    once(18, |w| {
        for (block, words) in [
            ("port = 0", vec!["port"]),
            ("port = 65536", vec!["port"]),
            ("sslmode = \"sometimes\"", vec!["sslmode", "verify-full"]),
            ("lock_timeout = \"soon\"", vec!["lock_timeout", "soon"]),
            ("max_connections = 0", vec!["max_connections"]),
            ("connection_string = \"postgresql://h:notaport/x\"", vec!["connection_string"]),
        ] {
            println!("{block}");
            w.configure(&format!("provider \"pg\" {{\n  {block}\n}}\n{}", table("", "")));
            w.tf(&["plan"]).failed_with(&words);
        }
    });
}

#[test]
fn the_password_goes_nowhere_but_to_the_server() {
    alternating(|w| {
        let secret = "s3cret-%2F-word";
        let role = format!("{}_user", w.database().name);
        w.sql(&format!("create role {role} login superuser password '{secret}'; grant {PASSWORD_GROUP} to {role}"));
        w.folder().set("TF_LOG", "trace");
        let tf = format!(
            "variable \"secret\" {{\n  sensitive = true\n  default = \"{secret}\"\n}}\n\
             provider \"pg\" {{\n  username = \"{role}\"\n  password = var.secret\n}}\n{}",
            table("a text", "")
        );
        let applied = w.apply(&tf);
        let failed =
            w.apply_fails(&tf.replace("a = { type = \"text\" }", "a = { type = \"no_such_type\" }"), &["no_such_type"]);
        // An argument would be in the CLI's own log.
        w.folder().set("TF_VAR_secret", "s3cret-but-wrong");
        let wrong = w.tf(&["plan"]).failed_with(&["28P01"]);
        w.folder().unset("TF_VAR_secret");
        let log = format!("{}{}{}", applied.text, failed.text, wrong.text);
        // The CLI itself logs nothing of a provider's configuration, so whatever is found was written by us.
        let shown: Vec<_> = log.lines().filter(|line| line.contains("s3cret")).collect();
        assert!(shown.is_empty(), "the password was written: {shown:#?}");
        let state = std::fs::read_to_string(w.folder().path().join("terraform.tfstate")).unwrap();
        assert!(!state.contains("s3cret"), "{state}");
        w.folder().unset("TF_LOG");
        w.destroy();
        w.sql(&format!("drop role {role}"));
    });
}

#[test]
fn a_password_file_is_read() {
    once(18, |w| {
        use std::os::unix::fs::PermissionsExt;
        let role = format!("{}_user", w.database().name);
        w.sql(&format!("create role {role} login superuser password 'from:file'; grant {PASSWORD_GROUP} to {role}"));
        let file = w.folder().path().join("pgpass");
        std::fs::write(&file, format!("# a comment\n*:*:*:{role}:from\\:file\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        w.folder().set("PGUSER", &role);
        w.folder().set("PGPASSFILE", &file.to_string_lossy());
        w.apply(&table("", ""));
        w.destroy();
        w.sql(&format!("drop role {role}"));
    });
}

#[test]
fn no_more_connections_than_allowed() {
    alternating(|w| {
        let tf = "provider \"pg\" {\n  max_connections = 1\n}\n\
                  resource \"pg_table_target\" \"t\" {\n  count = 5\n  table_name = \"t${count.index}\"\n  primary_key = [\"id\"]\n  \
                  columns = { id = { type = \"bigint\" }, e = { type = \"vector(3)\" } }\n  rows = [{ id = 1, e = [1, 2, 3] }]\n}\n\
                  resource \"pg_vector_index\" \"i\" {\n  count = 5\n  table = pg_table_target.t[count.index].id\n  \
                  column = \"e\"\n  method = \"hnsw\"\n}\n";
        w.apply(tf);
        let (mut now, mut most) = (0, 0);
        for line in w.log().lines() {
            // Our own looks at the database have one more connection at a time.
            now += i32::from(line.contains("connection authorized")) - i32::from(line.contains("disconnection:"));
            most = most.max(now);
        }
        assert!((1..=2).contains(&most), "{most} connections at once");
    });
}
