//! Plays the CLIs over the real protocol, with random valid configurations against real servers: every answer of the
//! provider is checked by the numbered rules, and after every apply nothing is left to do.
//!
//! [`stage`] says how many cases there are and how to run more of them. Run these beside the servers of `testbed run`.

#![expect(clippy::print_stdout, reason = "the test runner shows it when a case fails")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a step that fails here is a failed test")]

mod attachment;
mod attachments;
mod cells;
mod generated;
mod index;
mod indexes;
mod reading;
mod refusals;
mod stacks;
mod stage;
mod surface;
mod table;
mod tables;
mod unknowns;
