//! Tables: diff, plan, apply.
