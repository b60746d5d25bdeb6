//! Random valid configurations of `pg_sql_attachment`, on a table with the columns `id` and `a`.
//!
//! **Invariant:** a setup can run when its objects are there already, and its check holds exactly while they are.

use proptest::prelude::*;
use proptest::sample::select;
use tfplugin::Value;

/// What an attachment sets up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Index,
    View,
    Function,
    Comment,
    Several,
}

/// An attachment.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    name: &'static str,
    what: What,
    variant: u8,
    teardown: bool,
    check: bool,
    transactional: Option<bool>,
    on_teardown_error: Option<&'static str>,
    timeout: Option<&'static str>,
}

impl Attachment {
    /// The configuration, on the table with this id.
    pub(crate) fn config(&self, table: Value) -> Value {
        let text = |text: Option<&str>| Value::from(text.map(Value::from));
        let [setup, teardown, check] = self.texts();
        let mut config = Value::object([
            ("table", table),
            ("name", self.name.into()),
            ("setup_sql", setup.into()),
            ("teardown_sql", self.teardown.then_some(teardown).into()),
            ("check_sql", self.check.then_some(check).into()),
            ("transactional", self.transactional.into()),
            ("on_teardown_error", text(self.on_teardown_error)),
        ]);
        if self.timeout.is_some() {
            config.set("timeouts", Value::object([("create", text(self.timeout)), ("delete", text(self.timeout))]));
        }
        config
    }

    /// Whether its texts are about the table `t` and no other.
    pub(crate) fn names_the_table(&self) -> bool {
        self.what != What::Function
    }

    /// The same, taken away again when its time is over.
    pub(crate) fn torn_down(self) -> Self {
        Self { teardown: true, ..self }
    }

    /// A query that says whether what it sets up is there; nothing where that cannot be told from the name.
    pub(crate) fn check(&self) -> String {
        let [_, _, check] = self.texts();
        check
    }

    fn texts(&self) -> [String; 3] {
        let n = self.variant;
        let there = |name: String| format!("select 1 where to_regclass('{name}') is not null");
        match self.what {
            What::Index => [
                format!("create index if not exists att_i{n} on t (a) where id > {n}"),
                format!("drop index if exists att_i{n};"),
                there(format!("att_i{n}")),
            ],
            What::View => [
                format!("-- a view\ncreate or replace view att_v{n} as select id, 'it''s {n}' as x from t;"),
                format!("drop view if exists att_v{n}"),
                there(format!("att_v{n}")),
            ],
            What::Function => [
                format!(
                    "create or replace function att_f{n}() returns integer language sql as $body$ select {n}; $body$"
                ),
                format!("drop function if exists att_f{n}()"),
                format!("select 1 from pg_proc where proname = 'att_f{n}'"),
            ],
            What::Comment => [
                format!("comment on column t.a is 'attached {n}'"),
                "comment on column t.a is null".to_owned(),
                format!(
                    "select 1 from pg_attribute where attrelid = to_regclass('t') and attname = 'a'
                       and col_description(attrelid, attnum) = 'attached {n}'"
                ),
            ],
            What::Several => [
                format!(
                    "create index if not exists att_s{n} on t (a);\n\ncreate or replace view att_w{n} as /* ; */ select id from t;\n"
                ),
                format!("drop view if exists att_w{n}; drop index if exists att_s{n}"),
                there(format!("att_w{n}")),
            ],
        }
    }
}

/// Any attachment.
pub(crate) fn attachment() -> impl Strategy<Value = Attachment> {
    (
        select(vec!["att", "other", "With Space/and slash"]),
        select(vec![What::Index, What::View, What::Function, What::Comment, What::Several]),
        0..3_u8,
        any::<bool>(),
        any::<bool>(),
        select(vec![None, Some(true), Some(false)]),
        select(vec![None, Some("fail"), Some("warn")]),
        select(vec![None, Some("1m")]),
    )
        .prop_map(|(name, what, variant, teardown, check, transactional, on_teardown_error, timeout)| Attachment {
            name,
            what,
            variant,
            teardown,
            check,
            transactional,
            on_teardown_error,
            timeout,
        })
}
