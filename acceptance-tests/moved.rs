//! `moved` blocks across types: what is no object of ours is refused, with what to write instead.

use crate::support::{alternating, exists, table};

/// The other type, its state made by the CLI itself.
const BEFORE: &str = "resource \"terraform_data\" \"x\" {\n  input = \"create index\"\n}\n";

fn moved(to: &str) -> String {
    format!("moved {{\n  from = terraform_data.x\n  to = {to}\n}}\n")
}

#[test]
fn a_table_is_not_made_of_something_else() {
    alternating(|w| {
        w.sql("create table t (id bigint primary key)");
        w.apply(BEFORE);
        let tf = table("", "");
        w.plan_fails(&format!("{tf}{}", moved("pg_table_target.t")), &["pg_table_target", "terraform_data", "removed"]);

        // What the message says works.
        w.apply(&format!(
            "{tf}removed {{\n  from = terraform_data.x\n  lifecycle {{\n    destroy = false\n  }}\n}}\n\
             import {{\n  to = pg_table_target.t\n  id = \"public.t\"\n}}\n"
        ));
        assert_eq!(w.addresses(), ["pg_table_target.t"]);
        assert!(exists(w, "t"));
    });
}

#[test]
fn an_attachment_is_not_made_of_something_else() {
    alternating(|w| {
        w.sql("create table t (id bigint primary key, a text); create index t_a on t (a)");
        w.apply(BEFORE);
        let tf = "resource \"pg_sql_attachment\" \"a\" {\n  table = \"public.t\"\n  name = \"a\"\n  \
                  setup_sql = \"create index if not exists t_a on t (a)\"\n}\n";
        let words = ["pg_sql_attachment", "terraform_data", "if not exists"];
        w.plan_fails(&format!("{tf}{}", moved("pg_sql_attachment.a")), &words);

        w.apply(&format!("{tf}removed {{\n  from = terraform_data.x\n  lifecycle {{\n    destroy = false\n  }}\n}}\n"));
        assert_eq!(w.addresses(), ["pg_sql_attachment.a"]);
    });
}
