//! Messages: each error once, at the line in the user's file, with what to do; a warning under a constant title.

use testbed::Output;

use crate::support::{alternating, attachment, exists, index, table};

/// How many errors the CLI printed.
fn errors(output: &Output) -> usize {
    output.text.matches("Error: ").count()
}

#[test]
fn every_error_arrives_and_points_at_its_line() {
    alternating(|w| {
        w.configure(
            "resource \"pg_table_target\" \"t\" {
  table_name  = \"t\"
  managed_by  = \"nobody\"
  primary_key = [\"id\", \"key\"]
  row_drift   = \"often\"
  columns = {
    id = { type = \"bigint\" }
    a  = { type = \"varchar(\" }
  }
  timeouts = { create = \"soon\" }
}
resource \"pg_vector_index\" \"i\" {
  table   = \"t\"
  column  = \"e\"
  method  = \"btree\"
  metric  = \"near\"
  m       = 4.5
  build = { maintenance_work_mem = \"much\" }
}
",
        );
        let head = 5;
        let output = w.tf(&["validate"]);
        println!("{}", output.text);
        let flat = output.clone().failed_with(&[]).flat();
        for (line, words) in [
            (3, "managed_by"),
            (4, "the columns are"),
            (5, "row_drift"),
            (8, "varchar("),
            (10, "soon"),
            (13, "schema.name"),
            (15, "btree"),
            (16, "near"),
            (17, "whole number"),
            (18, "much"),
        ] {
            let line = format!("on main.tf line {}", head + line);
            let at = flat.find(&line).unwrap_or_else(|| panic!("no error is {line}\n{}", output.text));
            let message: String = flat[at..].chars().take(400).collect();
            assert!(message.contains(words), "the error {line} does not say {words}\n{}", output.text);
        }
        assert_eq!(errors(&output), 10, "{}", output.text);
    });
}

#[test]
fn every_bad_row_is_an_error_of_its_own() {
    alternating(|w| {
        let rows = "rows = [
    { id = 1, n = 1 },
    { id = 2, n = \"two\" },
    { id = 3, m = 3 },
  ]";
        let tf = table("n integer", rows);
        let output = w.plan_fails(&tf, &["rows[1].n", "two", "rows[2].m"]);
        assert_eq!(errors(&output), 2, "{}", output.text);
        // Five lines say which provider it is.
        for row in ["{ id = 2", "{ id = 3"] {
            let line = 6 + tf.lines().position(|line| line.contains(row)).unwrap();
            output.clone().says(&[&format!("on main.tf line {line},")]);
        }
    });
}

#[test]
fn a_provider_that_is_not_known_yet_keeps_what_is_known_and_says_so() {
    alternating(|w| {
        let name = w.database().name.clone();
        let tf = |turn: u32, more: &str| {
            format!(
                "resource \"terraform_data\" \"db\" {{\n  input = \"{turn}\"\n}}\n\
                 provider \"pg\" {{\n  database = terraform_data.db.output == \"\" ? \"x\" : \"{name}\"\n}}\n\
                 {}{}{}{more}",
                table("a text; e vector(3)", "rows = [{ id = 1, a = \"x\" }]"),
                index("column = \"e\"\n  method = \"hnsw\""),
                attachment("create index t_a on t (a)", "drop index t_a", "")
            )
        };
        w.apply(&tf(1, ""));
        // The refresh has nowhere to look, so what was known last holds; nothing but the source of the name changes.
        let plan = w.plan(&tf(2, ""));
        assert_eq!(plan.actions().keys().collect::<Vec<_>>(), ["terraform_data.db"], "{}", plan.text.text);
        plan.text.says(&["Not refreshed", "database of the provider block is only known after apply"]);
        w.apply_plan();

        let data = "data \"pg_table_rows\" \"r\" {\n  table_name = \"t\"\n}\noutput \"o\" {\n  value = length(data.pg_table_rows.r.rows)\n}\n";
        let failed = w.plan_fails(&tf(3, data), &["pg_table_rows", "database", "only known after apply", "-target"]);
        assert_eq!(errors(&failed), 1, "{}", failed.text);
        // What the message says works.
        w.tf(&["apply", "-auto-approve", "-target=terraform_data.db"]).succeeded();
        w.apply(&tf(3, data));
        assert_eq!(w.output("o"), 1);
    });
}

#[test]
fn a_lock_that_outlasts_the_timeout_of_a_create_is_one_message() {
    alternating(|w| {
        w.apply(&table("a text; e vector(3)", "rows = [{ id = 1, a = \"x\" }]"));
        let lock = w.hold("begin; lock table t in access exclusive mode");
        let limit = "timeouts = { create = \"1s\" }";
        let tf = format!(
            "{}{}",
            table("a text; e vector(3)", "rows = [{ id = 1, a = \"x\" }]"),
            index(&format!("column = \"e\"\n  concurrently = false\n  {limit}"))
        );
        w.configure(&tf);
        // The refresh would wait for the lock as well.
        let args = ["apply", "-auto-approve", "-refresh=false"];
        let output = w.tf(&args).failed_with(&["t__vector__e", "create timeout of 1s had passed", "create = \"2s\""]);
        assert_eq!(errors(&output), 1, "{}", output.text);
        drop(lock);
        assert!(!exists(w, "t__vector__e"));
        w.apply(&tf);
    });
}
