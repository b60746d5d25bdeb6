//! A server of our own that crashes or is shut down while an apply runs: one message that says so, and nothing half done.

use std::time::{Duration, Instant};

use testbed::{Output, Servers, TestDatabase, Workspace};

use crate::support::{clis, provider, shape, table};

/// The major version of the server that has to die.
const MAJOR: u32 = 18;

const WAITING: &str = "select count(*) > 0 from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

/// Runs a case beside a server that nobody else uses.
#[expect(clippy::unwrap_used, reason = "a step that fails here is a failed test")]
fn beside_a_server(case: impl Fn(&mut Workspace)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let servers = runtime.block_on(Servers::start_own(&[MAJOR])).unwrap();
    let database = runtime.block_on(TestDatabase::on_server(servers.address(MAJOR).unwrap(), MAJOR));
    case(&mut Workspace::with(&clis()[0], database, provider()));
}

fn before() -> String {
    table("a text", "rows = [{ id = 1, a = \"x\" }]")
}

fn after() -> String {
    table("a text; b text", "rows = [{ id = 1, a = \"y\", b = \"z\" }]")
}

/// Starts an apply that waits for a lock, does this to the server, and gives what the apply printed.
fn struck_down(w: &Workspace, strike: &str) -> Output {
    w.apply(&before());
    let lock = w.hold("begin; lock table t in access share mode");
    w.configure(&after());
    let running = w.start(&["apply", "-auto-approve"]);
    w.wait_until(WAITING);
    // The statement takes its own session with it, so it does not say that it worked.
    drop(w.try_sql(strike));
    let output = w.wait(running);
    drop(lock);
    output
}

#[track_caller]
fn is_one_error(output: &Output) {
    assert_eq!(output.text.matches("Error: ").count(), 1, "{}", output.text);
}

#[test]
fn a_server_that_crashes_in_the_middle_is_one_message() {
    beside_a_server(|w| {
        // One session killed the hard way makes the server end all others and start again from its log.
        let output = struck_down(w, "copy (select 1) to program 'kill -9 $PPID'");
        is_one_error(&output.failed_with(&["alter table public.t", "not committed is undone", "plan again"]));
        let start = Instant::now();
        while w.try_sql("select 1").is_err() {
            assert!(start.elapsed() < Duration::from_mins(1), "the server never came back");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(shape(w, "t"), "id bigint!, a text");
        assert_eq!(w.sql("select id, a from t"), "1|x");
        w.apply(&after());
        assert_eq!(w.sql("select id, a, b from t"), "1|y|z");
    });
}

#[test]
fn a_server_that_is_shut_down_in_the_middle_is_one_message_and_so_is_that_it_stays_away() {
    beside_a_server(|w| {
        let output = struck_down(w, "copy (select 1) to program 'kill -INT $(head -n 1 postmaster.pid)'");
        is_one_error(&output.failed_with(&["alter table public.t", "57P01", "plan again"]));
        let (host, port) = (w.database().host.clone(), w.database().port.to_string());
        let start = Instant::now();
        while std::net::TcpStream::connect((host.as_str(), w.database().port)).is_ok() {
            assert!(start.elapsed() < Duration::from_mins(1), "the server never went away");
            std::thread::sleep(Duration::from_millis(50));
        }
        is_one_error(&w.plan_fails(&after(), &["connect", &host, &port, "refused"]));
    });
}
