//! Runs the program that prints the password.
//!
//! **Invariant:** nothing that the program prints, and none of its arguments, appears in an error or a log.

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
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            fault(
                format!("it cannot be started: {error}"),
                "the first element must be a program on the PATH, or its full path; it is not run by a shell",
            )
        })?;
    let limit = limit.unwrap_or(LIMIT);
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
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
}
