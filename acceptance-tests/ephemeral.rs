//! The ephemeral twin of the data source: its rows are used and never kept.

use crate::support::{alternating, everywhere, exists, once, table};

/// What only the database knows.
const SECRET: &str = "hush-4711";

#[test]
fn rows_are_used_and_leave_nothing_behind() {
    everywhere(|w| {
        w.sql(&format!(
            "create table p (id bigint primary key, secret text); insert into p values (1, 'other'), (2, '{SECRET}')"
        ));
        // The rows configure another provider, whose connections then carry the secret to the server's log.
        let tf = format!(
            "ephemeral \"pg_table_rows\" \"r\" {{\n  table_name = \"p\"\n  where = \"id = $1\"\n  params = [\"2\"]\n}}\n\
             provider \"pg\" {{\n  alias = \"other\"\n  application_name = ephemeral.pg_table_rows.r.rows[0].secret\n}}\n{}",
            table("", "provider = pg.other")
        );
        let log = w.plan(&tf).text.text;
        let shown = w.tf(&["show", "-json", "plan"]).succeeded().stdout;
        let applied = w.apply_plan().text;
        assert!(exists(w, "t"));
        assert!(w.log().contains(&format!("application_name={SECRET}")), "nobody used the secret");
        let state = std::fs::read_to_string(w.folder().path().join("terraform.tfstate")).unwrap();
        for text in [log, shown, applied, state] {
            assert!(!text.contains(SECRET), "the secret was kept: {text}");
        }
    });
}

#[test]
fn what_cannot_be_read_is_said() {
    once(18, |w| {
        let tf = |more: &str| {
            format!(
                "ephemeral \"pg_table_rows\" \"r\" {{\n  table_name = \"nowhere\"\n  {more}\n}}\n\
                 provider \"pg\" {{\n  alias = \"other\"\n  application_name = ephemeral.pg_table_rows.r.rows[0].a\n}}\n{}",
                table("", "provider = pg.other")
            )
        };
        w.plan_fails(&tf(""), &["nowhere", "ephemeral"]);
        w.plan_fails(&tf("limit = -1"), &["limit", "main.tf line"]);
    });
}

#[test]
fn an_argument_that_is_not_known_yet_puts_the_read_off() {
    alternating(|w| {
        w.sql(&format!(
            "create table p (id bigint primary key, secret text); insert into p values (1, 'other'), (2, '{SECRET}')"
        ));
        let tf = format!(
            "resource \"terraform_data\" \"x\" {{\n  input = \"2\"\n}}\n\
             ephemeral \"pg_table_rows\" \"r\" {{\n  table_name = \"p\"\n  where = \"id = $1\"\n  \
             params = [terraform_data.x.output]\n}}\n\
             provider \"pg\" {{\n  alias = \"other\"\n  application_name = ephemeral.pg_table_rows.r.rows[0].secret\n}}\n{}",
            table("", "provider = pg.other")
        );
        w.plan(&tf);
        let used = format!("application_name={SECRET}");
        assert!(!w.log().contains(&used), "the plan read what it could not know");
        w.apply_plan();
        assert!(exists(w, "t"));
        assert!(w.log().contains(&used), "nobody used the secret");
    });
}
