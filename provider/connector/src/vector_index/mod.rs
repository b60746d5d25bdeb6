//! pgvector indexes: what they should be, what is there, and how one becomes the other without queries missing an index.

mod build;
mod catalog;
mod decide;
mod declaration;
mod drop;
mod faults;
mod key;
mod known_bugs;
mod observe;
mod operator_class;
mod plan;
mod progress;
mod remarks;
mod spec;

pub use build::{Applied, Build, apply};
pub use declaration::{Declaration, Given};
pub use drop::drop;
pub use key::{ColumnType, Key};
pub use observe::{read, same_condition, table_of};
pub use operator_class::{Method, Metric, Quantize, VectorType, operator_class};
pub use plan::{Action, IndexPlan, ObservedIndex, Prior, Seen, plan, plan_new, reserved_name};
pub use spec::{BuildSettings, DEFAULT_EF_CONSTRUCTION, DEFAULT_LISTS, DEFAULT_M, VectorIndexSpec, index_name};
