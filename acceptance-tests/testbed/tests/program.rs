//! Does the `testbed` program stop what it started, in whatever way it ends, and fetch a CLI only when it is the right one?

#![expect(clippy::unwrap_used, reason = "a step that fails here is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use testbed::opentofu::{RELEASES_VARIABLE, VERSION};

const TESTBED: &str = env!("CARGO_BIN_EXE_testbed");

/// A `testbed` that shares the downloads of this checkout and sees a stub as the only CLI.
fn testbed(folder: &Path) -> Command {
    let stub = folder.join("tofu");
    write_program(&stub, "#!/bin/sh\necho OpenTofu v1.99.0\n");
    let mut command = Command::new(TESTBED);
    command.env("TF_CLI", stub).env("TMPDIR", folder).env_remove("PG_TEST_URL").stdin(Stdio::null());
    command
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder that the unprivileged user of the servers can pass through.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answers(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(2)).is_ok()
}

#[track_caller]
fn within(seconds: u64, what: &str, mut come_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !come_true() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a `testbed run` whose command says where the server is and then waits; returns the server's address.
fn running(command: &mut Command) -> (Child, String, PathBuf) {
    let script = "echo $TESTBED_PG18 $TESTBED_TMP; exec sleep 60";
    let mut child =
        command.args(["run", "--pg", "18", "--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (address, run) = line.trim().split_once(' ').unwrap();
    assert!(answers(address), "{address}");
    (child, address.to_owned(), PathBuf::from(run))
}

#[test]
fn the_command_sees_the_servers_and_its_exit_code_is_ours() {
    let folder = folder();
    let script = "echo $TESTBED_PG16 $TESTBED_PG18 $TESTBED_CLIS; exit 7";
    let output = testbed(folder.path()).args(["run", "--pg", "16,18", "--", "sh", "-c", script]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(7), "{said}");
    let words: Vec<&str> = said.split_whitespace().collect();
    let [old, new, cli] = words[..] else { panic!("{said}") };
    assert_ne!(old, new);
    assert!(cli.ends_with("/tofu"), "{cli}");
    assert!(!answers(old) && !answers(new), "a server outlived the run");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["tofu"], "the run left something behind");
}

#[test]
fn a_signal_stops_the_command_and_the_servers() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = folder();
        let (mut child, address, run) = running(&mut testbed(folder.path()));
        let sent = Command::new("sh").args(["-c", &format!("kill -s {signal} {}", child.id())]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(!answers(&address), "the server outlived {signal}");
        assert!(!run.exists(), "{} outlived {signal}", run.display());
    }
}

#[test]
fn a_killed_testbed_takes_its_servers_with_it() {
    let folder = folder();
    let (mut child, address, run) = running(&mut testbed(folder.path()));
    child.kill().unwrap();
    child.wait().unwrap();
    within(30, "the server outlived its testbed", || !answers(&address));
    within(30, "the data outlived its testbed", || !run.exists());
}

#[test]
fn a_given_server_is_used_as_it_is() {
    let folder = folder();
    let (mut child, address, _) = running(&mut testbed(folder.path()));
    let url = format!("postgresql://postgres@{address}/postgres");
    let output = testbed(folder.path())
        .env("PG_TEST_URL", &url)
        .args(["run", "--pg", "16,18", "--", "sh", "-c", "echo $TESTBED_PG16 $TESTBED_PG18"])
        .output()
        .unwrap();
    assert_eq!(text(&output).trim(), format!("{address} {address}"));
    assert!(answers(&address), "a server that is not ours was stopped");

    let wrong = testbed(folder.path())
        .env("PG_TEST_URL", "postgresql://postgres@127.0.0.1:1/postgres")
        .args(["run", "--pg", "18", "--", "true"])
        .output()
        .unwrap();
    assert!(!wrong.status.success() && text(&wrong).contains("PG_TEST_URL: cannot connect"), "{}", text(&wrong));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_container_is_used_where_an_engine_runs() {
    let folder = folder();
    let (mut child, address, _) = running(&mut testbed(folder.path()));
    let calls = folder.path().join("calls");
    // No engine runs where these tests do, so a stand-in "publishes" a server that is there already.
    let docker = format!("#!/bin/sh\necho \"$@\" >> '{}'\ncase $1 in port) echo {address};; esac\n", calls.display());
    write_program(&folder.path().join("docker"), &docker);
    let path = std::env::join_paths(
        std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = testbed(folder.path())
        .env("PATH", path.unwrap())
        .args(["run", "--pg", "18", "--", "sh", "-c", "echo $TESTBED_PG18"])
        .output()
        .unwrap();
    assert_eq!(text(&output).trim(), address);
    let calls = std::fs::read_to_string(calls).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let [info, run, port, remove] = calls[..] else { panic!("{calls:#?}") };
    assert_eq!(info, "info");
    assert!(run.starts_with("run --detach --name testbed-"), "{run}");
    assert!(run.contains(" --publish 127.0.0.1::5432 ") && run.contains(" pgvector/pgvector:pg18 -c "), "{run}");
    let name = run.split(' ').nth(3).unwrap();
    assert_eq!(port, format!("port {name} 5432/tcp"));
    assert_eq!(remove, format!("rm --force --volumes {name}"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_cli_that_is_not_there_is_named_with_the_lines_that_install_one() {
    let folder = folder();
    let output = testbed(folder.path())
        .env("TF_CLI", "/nowhere/tofu")
        .args(["run", "--pg", "18", "--", "true"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    for part in ["/nowhere/tofu", "install-opentofu.sh"] {
        assert!(text(&output).contains(part), "{}", text(&output));
    }
}

/// A release host on the loopback: it serves the files that it is given, each cut to the length it is given.
struct Releases {
    address: String,
}

impl Releases {
    fn new(files: Vec<(String, Vec<u8>, usize)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                // The rest of the request does not matter, but closing with unread bytes would reset the connection.
                stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let answer = match files.iter().find(|(name, _, _)| path == format!("/v{VERSION}/{name}")) {
                    Some((_, bytes, length)) => {
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
                        [head.as_bytes(), &bytes[..*length]].concat()
                    }
                    None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                };
                // A client that has gone away is that client's test's business.
                let _ = stream.write_all(&answer);
            }
        });
        Self { address }
    }
}

fn archive_name() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    format!("tofu_{VERSION}_{os}_{arch}.zip")
}

fn archive(folder: &Path) -> Vec<u8> {
    write_program(&folder.join("tofu"), &format!("#!/bin/sh\necho OpenTofu v{VERSION}\n"));
    let zipped = Command::new("python3").args(["-m", "zipfile", "-c", "a.zip", "tofu"]).current_dir(folder).status();
    assert!(zipped.unwrap().success());
    std::fs::read(folder.join("a.zip")).unwrap()
}

fn sums(bytes: &[u8]) -> Vec<u8> {
    let hex: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}  other.zip\n{}  {}\n", "0".repeat(64), hex.concat(), archive_name()).into_bytes()
}

/// Runs `testbed` with no CLI on the PATH against that release host.
fn fetch(releases: &str, target: &Path) -> Output {
    let tools = target.join("bin");
    std::fs::create_dir_all(&tools).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let hides = |folder: &PathBuf| ["tofu", "terraform", "docker"].iter().any(|name| folder.join(name).exists());
    let (hidden, seen): (Vec<_>, Vec<_>) = std::env::split_paths(&path).partition(hides);
    for tool in ["sh", "curl", "python3", "rm", "setpriv", "env", "sleep", "chmod", "cp"] {
        let found = hidden.iter().map(|folder| folder.join(tool)).find(|file| file.exists());
        if let (Some(found), false) = (found, tools.join(tool).exists()) {
            std::os::unix::fs::symlink(found, tools.join(tool)).unwrap();
        }
    }
    Command::new(TESTBED)
        .args(["run", "--pg", "15", "--", "sh", "-c", "\"$TESTBED_CLIS\" version"])
        .env("PATH", std::env::join_paths(std::iter::once(tools).chain(seen)).unwrap())
        .env("CARGO_TARGET_DIR", target)
        .env(RELEASES_VARIABLE, releases)
        .env_remove("TF_CLI")
        .env_remove("TESTBED_CLIS")
        .output()
        .unwrap()
}

#[test]
fn a_release_that_matches_its_checksum_is_used_and_kept() {
    let folder = folder();
    let bytes = archive(folder.path());
    let (length, sums) = (bytes.len(), sums(&bytes));
    let releases = Releases::new(vec![
        (archive_name(), bytes, length),
        (format!("tofu_{VERSION}_SHA256SUMS"), sums.clone(), sums.len()),
    ]);
    let target = folder.path().join("target");
    for address in [releases.address.as_str(), "http://127.0.0.1:1"] {
        let output = fetch(address, &target);
        assert!(
            output.status.success() && text(&output).contains(&format!("OpenTofu v{VERSION}")),
            "{}",
            text(&output)
        );
    }
}

#[test]
fn anything_else_is_refused_with_the_lines_that_install_one() {
    let folder = folder();
    let bytes = archive(folder.path());
    let (length, good) = (bytes.len(), sums(&bytes));
    let list = format!("tofu_{VERSION}_SHA256SUMS");
    let wrong = sums(b"something else");
    let cases = [
        (
            "wrong",
            vec![(archive_name(), bytes.clone(), length), (list.clone(), wrong.clone(), wrong.len())],
            "checksum",
        ),
        (
            "cut",
            vec![(archive_name(), bytes.clone(), length / 2), (list.clone(), good.clone(), good.len())],
            "cannot fetch",
        ),
        ("unlisted", vec![(archive_name(), bytes.clone(), length), (list.clone(), b"".to_vec(), 0)], "does not name"),
        ("no-archive", vec![(list.clone(), good.clone(), good.len())], "404"),
        ("no-list", vec![(archive_name(), bytes, length)], "404"),
    ];
    for (name, files, reason) in cases {
        let target = folder.path().join(name);
        let output = fetch(&Releases::new(files).address, &target);
        let said = text(&output);
        assert!(!output.status.success(), "{name}: {said}");
        for part in [reason, "install-opentofu.sh", "TF_CLI"] {
            assert!(said.contains(part), "{name} does not say {part}: {said}");
        }
        assert!(!target.join(format!("testbed/opentofu-{VERSION}")).exists(), "{name} left something to run");
    }
}
