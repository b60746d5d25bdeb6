//! Faults: a server that is away, says no, dies or waits. The user learns which, and nothing is left half done.

use std::time::{Duration, Instant};

use testbed::postgres::PASSWORD_GROUP;

use crate::support::{alternating, describe, everywhere, exists, index, index_count, once, shape, table};

#[test]
fn a_server_that_does_not_answer_is_named() {
    once(18, |w| {
        w.folder().set("PGPORT", "1");
        w.apply_fails(&table("", ""), &["127.0.0.1", "connect", "refused"]);
        w.folder().set("PGHOST", "no-such-host.invalid");
        w.apply_fails(&table("", ""), &["no-such-host.invalid"]);
    });
}

#[test]
fn a_server_that_says_no_is_quoted() {
    once(18, |w| {
        let role = format!("{}_user", w.database().name);
        w.sql(&format!("create role {role} login password 'right-one' in role {PASSWORD_GROUP}"));
        w.folder().set("PGUSER", &role);
        w.apply_fails(&table("", ""), &["password"]);
        w.folder().set("PGPASSWORD", "wrong-one");
        let output = w.apply_fails(&table("", ""), &[&role, "28P01"]);
        assert!(!output.text.contains("wrong-one"), "the password was shown\n{}", output.text);
        w.folder().set("PGPASSWORD", "right-one");
        // Now the server knows who we are, and that this role may not create a table here.
        w.apply_fails(&table("", ""), &["42501", "public"]);
        w.sql(&format!("grant all on schema public to {role}"));
        w.apply(&table("", ""));
        w.destroy();
        w.sql(&format!("drop owned by {role}; drop role {role}"));
        w.folder().set("PGUSER", "postgres");
        w.folder().set("PGDATABASE", "nowhere_to_be_found");
        w.apply_fails(&table("", ""), &["nowhere_to_be_found", "3D000"]);
    });
}

#[test]
fn a_server_without_tls_is_refused_when_tls_is_required() {
    once(18, |w| {
        w.folder().set("PGSSLMODE", "require");
        w.apply_fails(&table("", ""), &["no TLS", "sslmode"]);
        w.folder().set("PGSSLMODE", "prefer");
        w.apply(&table("", ""));
    });
}

#[test]
fn a_server_without_pgvector_is_an_error_that_says_what_to_install() {
    once(15, |w| {
        w.apply_fails(&table("e vector(3)", ""), &["vector", "extension"]);
        assert!(!exists(w, "t"));
        w.apply(&table("a text", "rows = [{ id = 1, a = \"x\" }]"));
        w.destroy();
    });
}

const WAITING: &str = "select count(*) > 0 from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

#[test]
fn a_killed_connection_leaves_nothing_half_done() {
    everywhere(|w| {
        let before = table("a text", "rows = [{ id = 1, a = \"x\" }]");
        let after = table("a text; b text", "rows = [{ id = 1, a = \"y\", b = \"z\" }]");
        w.apply(&before);
        let lock = w.hold("begin; lock table t in access share mode");
        w.configure(&after);
        let running = w.start(&["apply", "-auto-approve"]);
        w.wait_until(WAITING);
        w.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock'",
        );
        w.wait(running).failed_with(&["t"]);
        drop(lock);
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        assert_eq!(w.sql("select id, a from t"), "1|x");
        w.apply(&after);
        assert_eq!(w.sql("select id, a, b from t"), "1|y|z");
    });
}

#[test]
fn ctrl_c_ends_a_waiting_apply_soon_and_cleanly() {
    everywhere(|w| {
        let before = table("a text", "rows = [{ id = 1, a = \"x\" }]");
        let after = table("a text; b text", "rows = [{ id = 1, a = \"y\", b = \"z\" }]");
        w.apply(&before);
        let lock = w.hold("begin; lock table t in access share mode");
        w.configure(&after);
        let running = w.start(&["apply", "-auto-approve"]);
        w.wait_until(WAITING);
        let start = Instant::now();
        running.interrupt();
        let output = w.wait(running);
        let output = output.failed_with(&["alter table public.t", "stopped"]);
        assert_eq!(output.text.matches("Cannot ").count(), 1, "one message of ours\n{}", output.text);
        assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
        // The server must not go on with what nobody waits for.
        w.wait_until(&format!("select not ({WAITING})"));
        drop(lock);
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        assert_eq!(w.addresses(), ["pg_table_target.t"]);
        w.apply(&after);
        assert_eq!(w.sql("select id, a, b from t"), "1|y|z");
    });
}

#[test]
fn an_interrupted_index_build_is_finished_by_the_next_apply() {
    alternating(|w| {
        let before = table("e vector(3)", "rows = [{ id = 1, e = [1, 2, 3] }]");
        let after = format!("{before}{}", index("column = \"e\"\n  method = \"hnsw\""));
        w.apply(&before);
        // A concurrent build waits for every transaction that has written to the table.
        let writer = w.hold("begin; insert into t values (2, '[3,2,1]')");
        w.configure(&after);
        let running = w.start(&["apply", "-auto-approve"]);
        w.wait_until(WAITING);
        running.interrupt();
        assert!(w.wait(running).code != 0);
        drop(writer);
        assert_eq!(describe(w, "t__vector__e"), "");
        w.apply(&after);
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
        assert_eq!(index_count(w, "t"), "2");
    });
}

#[test]
fn what_a_killed_run_was_building_is_finished_or_cleared_away() {
    alternating(|w| {
        let before = table("e vector(3)", "rows = [{ id = 1, e = [1, 2, 3] }]");
        let after = format!("{before}{}", index("column = \"e\"\n  method = \"hnsw\""));
        let building = "select pid from pg_stat_progress_create_index where datname = current_database()";
        for (the_server_goes_on, builds) in [(true, 1), (false, 3)] {
            w.apply(&before);
            // A concurrent build waits for every transaction that has written to the table.
            let writer = w.hold("begin; insert into t values (2, '[3,2,1]')");
            w.configure(&after);
            let running = w.start(&["apply", "-auto-approve"]);
            w.wait_until(WAITING);
            running.kill();
            assert!(w.wait(running).code != 0);
            assert_ne!(w.sql(building), "", "the server does not know that nobody waits any more");
            let next = if the_server_goes_on {
                // The next run waits for the build that goes on.
                let next = w.start(&["apply", "-auto-approve"]);
                w.wait_until("select count(*) > 0 from pg_locks where locktype = 'advisory'");
                drop(writer);
                next
            } else {
                w.sql(&format!("select pg_terminate_backend(pid) from ({building}) b"));
                w.wait_until(&format!("select not exists ({building})"));
                let left =
                    w.sql("select indisvalid from pg_index where indexrelid::regclass::text ~ 'terraform_pg_build'");
                assert_eq!(left, "f", "the build was to leave an invalid index behind");
                drop(writer);
                w.start(&["apply", "-auto-approve"])
            };
            w.wait(next).succeeded();
            w.assert_empty_plan();
            assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
            assert_eq!(index_count(w, "t"), "2");
            let log = w.log();
            assert_eq!(
                log.matches("statement: create index concurrently terraform_pg_build_").count(),
                builds,
                "{log}"
            );
            w.apply(&before);
        }
    });
}

#[test]
fn a_lock_that_comes_late_is_waited_for_and_others_go_first() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        let lock = w.hold("begin; lock table t in access share mode");
        let tf = format!("provider \"pg\" {{\n  lock_timeout = \"100ms\"\n}}\n{}", table("a text; b text", ""));
        w.configure(&tf);
        let running = w.start(&["apply", "-auto-approve"]);
        let start = Instant::now();
        while w.log().matches("canceling statement due to lock timeout").count() < 3 {
            assert!(start.elapsed() < Duration::from_mins(1), "the statement never gave way\n{}", w.log());
        }
        drop(lock);
        w.wait(running).succeeded();
        w.assert_empty_plan();
        assert_eq!(shape(w, "t"), "id bigint!, a text, b text");
    });
}

#[test]
fn a_timeout_of_the_resource_ends_the_wait() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        let lock = w.hold("begin; lock table t in access share mode");
        let tf = table("a text; b text", "timeouts = { update = \"2s\" }");
        let start = Instant::now();
        w.apply_fails(&tf, &["alter table public.t", "2s"]);
        assert!(start.elapsed() < Duration::from_secs(30), "it took {:?}", start.elapsed());
        drop(lock);
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        w.apply(&tf);
    });
}

#[test]
fn a_server_that_restarts_is_found_again() {
    alternating(|w| {
        w.apply(&table("a text", ""));
        // Every session of this database ends, as in a failover.
        w.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
        w.apply(&table("a text; b text", ""));
    });
}
