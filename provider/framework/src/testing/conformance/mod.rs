//! A host that plays a whole CLI, and enforces every rule that a CLI enforces.
//!
//! A [`Session`] is a CLI in a folder: it starts the provider's binary for each phase of a command, with the real
//! handshake. A [`Resource`] is one resource of it; its methods are the steps of a scenario: plan, apply, refresh, taint,
//! import, move, destroy. Configurations are [`crate::Value`]s and may hold unknowns.
//!
//! ```no_run
//! # use std::path::Path;
//! # use tfplugin::Value;
//! # use tfplugin::testing::conformance::{Action, Flavour, Session, Trouble};
//! # async fn example() -> Result<(), Trouble> {
//! for flavour in Flavour::ALL {
//!     let session = Session::start(Path::new("terraform-provider-example"), &[], &flavour).await?;
//!     session.configure(Value::object([("host", Value::from("localhost"))])).await?;
//!     let mut thing = session.resource("example_thing")?;
//!     let config = Value::object([("name", Value::from("a"))]);
//!     assert_eq!(thing.converge(&config).await?, Action::Create);
//!     thing.destroy().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each step gives what was asked for, or a [`Trouble`]: the provider's refusal, or the rules that it broke, which are
//! listed in [`RULES`].
//!
//! **Invariant:** the rules are checked by code of their own, from the schemas on the wire; nothing of the framework's own
//! checks is used, so that a mistake there is not repeated here. Files may only use files above them in this list.

mod flavour;
mod rule;
mod trouble;
mod shape;
mod same;
mod bytes;
mod told;
mod values;
mod process;
mod proposed;
mod schema_rules;
mod validate_rules;
mod plan_rules;
mod compatible;
mod state_rules;
mod session;
mod resource;
mod refreshing;
mod planning;
mod applying;
mod adopting;
mod sources;
#[cfg(test)]
mod agreement;

pub use self::adopting::Source;
pub use self::flavour::{Family, Flavour};
pub use self::planning::PlanOptions;
pub use self::resource::{Action, Kept, Planned, Resource};
pub use self::rule::{Consequence, RULES, Rule, rule};
pub use self::session::{Options, Session};
pub use self::sources::Open;
pub use self::trouble::{Finding, Trouble};
