//! Runs the program that prints the password.
//!
//! **Invariant:** nothing that the program prints, and none of its arguments, appears in an error or a log. When it is not
//! waited for any more, neither it nor anything that it started goes on.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::error::{Blame, Error};
use crate::settings::Secret;
use crate::settings::duration::Spelled;

/// How long the program may take when `connect_timeout` does not say.
const LIMIT: Duration = Duration::from_secs(30);

/// The password: what the program prints, without the line end.
pub(super) async fn run(command: &[String], limit: Option<Duration>) -> Result<Secret, Error> {
    let fault = |message: String, advice: &str| {
        let program = command.first().map_or("", String::as_str);
        Error::new(format!("get a password from `{program}`"), message)
            .advice(advice)
            .blame(Blame::Attribute("password_command"))
    };
    let by_hand =
        "run the command by hand to see what it says; its output is not shown here, since it may hold a secret";
    let Some((program, arguments)) = command.split_first() else {
        return Err(fault("the command is empty".to_owned(), "give the program and its arguments as a list"));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    // A group of its own, so that what it starts can be ended with it.
    #[cfg(unix)]
    command.process_group(0);
    let child = command.spawn().map_err(|error| {
        fault(
            format!("it cannot be started: {error}"),
            "the first element must be a program on the PATH, or its full path; it is not run by a shell",
        )
    })?;
    let mut group = Group(child.id());
    let limit = limit.unwrap_or(LIMIT);
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await;
    if ended.is_ok() {
        // It has ended, and with it all that could still print.
        group.0 = None;
    }
    let output = match ended {
        Ok(output) => output.map_err(|error| fault(format!("its output cannot be read: {error}"), by_hand))?,
        Err(_) => return Err(fault(format!("it did not end within {} and was killed", Spelled(limit)), by_hand)),
    };
    if !output.status.success() {
        return Err(fault(format!("it failed ({})", output.status), by_hand));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| fault("its output is not UTF-8".to_owned(), by_hand))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(fault("it printed nothing".to_owned(), by_hand));
    }
    if password.contains(['\n', '\0']) {
        return Err(fault("it printed more than one line".to_owned(), "it must print the password and nothing else"));
    }
    Ok(Secret::new(password))
}

/// The processes that the program started, by the id of their group, which is that of the program; killed when this is
/// dropped. Where there are no groups, the program alone is killed, when its handle is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.take();
        #[cfg(not(unix))]
        let _ = id;
        #[cfg(unix)]
        if let Some(group) = id.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // An error only says that there is nothing left of it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
    }

    #[tokio::test]
    async fn the_output_without_its_line_end_is_the_password() {
        for script in ["echo 'a b '", "printf 'a b \\r\\n'", "printf 'a b '; echo noise >&2"] {
            assert_eq!(run(&sh(script), None).await.unwrap().reveal(), "a b ");
        }
    }

    #[tokio::test]
    async fn failures_say_why_and_never_what_was_printed() {
        let limit = Some(Duration::from_millis(300));
        for (command, why) in [
            (vec![], "empty"),
            (vec!["/no/such/program".to_owned()], "cannot be started"),
            (sh("echo hunter2; echo hunter2 >&2; exit 3"), "exit status: 3"),
            (sh("true"), "printed nothing"),
            (sh("echo hunter2; echo hunter2"), "more than one line"),
            (sh("echo hunter2; sleep 60"), "did not end within 300ms"),
            (sh("printf 'hunter2\\377'"), "not UTF-8"),
        ] {
            let error = run(&command, limit).await.unwrap_err();
            assert!(error.message().contains(why), "{error}");
            assert_eq!(error.blamed(), Some(&Blame::Attribute("password_command")));
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    /// A script that starts a program of its own, writes its id to a file, and waits for it.
    fn with_child(file: &std::path::Path) -> Vec<String> {
        sh(&format!("sleep 60 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", file.display()))
    }

    async fn eventually(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what} never came");
    }

    /// Whether a process is there that has not ended; one that nobody has waited for yet counts as ended.
    fn runs(file: &std::path::Path) -> bool {
        let id = std::fs::read_to_string(file).unwrap_or_default();
        let output = std::process::Command::new("ps").args(["-o", "stat=", "-p", id.trim()]).output();
        let state = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        !state.trim().is_empty() && !state.starts_with('Z')
    }

    #[tokio::test]
    async fn what_the_program_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (late, given_up) = (folder.path().join("late"), folder.path().join("given_up"));
        run(&with_child(&late), Some(Duration::from_secs(1))).await.unwrap_err();
        eventually("the end of the child after the timeout", || !runs(&late)).await;

        let command = with_child(&given_up);
        let running = tokio::spawn(async move { run(&command, None).await.map(drop) });
        eventually("the child", || given_up.exists()).await;
        assert!(runs(&given_up));
        running.abort();
        eventually("the end of the child after the operation was stopped", || !runs(&given_up)).await;
    }

    #[tokio::test]
    async fn what_goes_on_without_its_output_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent");
        let script = format!("sleep 3 >/dev/null 2>&1 & echo $! > '{}'; echo word", file.display());
        assert_eq!(run(&sh(&script), None).await.unwrap().reveal(), "word");
        assert!(runs(&file));
    }
}
