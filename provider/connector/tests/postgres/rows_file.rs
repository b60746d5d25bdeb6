//! Rows of files on real servers: what is written, what is ours, what is refused.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use pg_connector::catalog::ObservedTable;
use pg_connector::error::RowLabel;
use pg_connector::rows::{self, Declared, FileRows, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Applied, Look, Seen, TableChange, TableDrop, Warning};
use pg_connector::{Blame, Database, Error, Hazard, Scope, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

/// One declaration of rows after the other for one table, as a user of the library would make them.
pub(crate) struct Target {
    pub(crate) server: TestDatabase,
    pub(crate) database: Database,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) table: TableSpec,
    pub(crate) prior: Option<TableSpec>,
    pub(crate) observed: Option<ObservedTable>,
    pub(crate) owned: Option<Owned>,
    pub(crate) server_digest: Option<String>,
    pub(crate) drifted: bool,
    pub(crate) force: bool,
}

fn scope() -> Scope {
    Scope::new(CancellationToken::new(), Some(Duration::from_mins(1)))
}

pub(crate) fn spec(columns: &[(&str, &str)], primary_key: &[&str]) -> TableSpec {
    let column = |(name, type_name): &(&str, &str)| ColumnSpec {
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        nullable: !primary_key.contains(name),
        default: None,
        comment: None,
    };
    TableSpec {
        name: TableName::new("public", "t"),
        managed_by: ManagedBy::System,
        comment: None,
        columns: columns.iter().map(column).collect(),
        primary_key: primary_key.iter().map(|&name| name.to_owned()).collect(),
    }
}

impl Target {
    pub(crate) async fn new(major: u32, columns: &[(&str, &str)]) -> Self {
        Self::on(TestDatabase::new(major).await, spec(columns, &["id"]))
    }

    pub(crate) fn on(server: TestDatabase, table: TableSpec) -> Self {
        let database = Database::new(Settings::parse(&server.url()).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (prior, observed, owned, server_digest) = (None, None, None, None);
        Self { server, database, folder, table, prior, observed, owned, server_digest, drifted: false, force: false }
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> Declared {
        FileRows::declare(&self.table, &self.write(name, content), None).unwrap().into()
    }

    /// What is wrong with inline rows, seen when they are declared or when they are applied.
    pub(crate) async fn try_inline(&mut self, rows: &Value) -> Error {
        let rows = rows.as_array().unwrap().iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, row)| (RowLabel::Index(i), row.as_object().unwrap().clone())).collect();
        match rows::declare(&self.table, &rows) {
            Ok(rows) => self.apply(Some(rows.into())).await.unwrap_err(),
            Err(mut errors) => errors.remove(0),
        }
    }

    /// The same for a file.
    pub(crate) async fn try_file(&mut self, name: &str, content: &str) -> Error {
        match FileRows::declare(&self.table, &self.write(name, content), None) {
            Ok(rows) => self.apply(Some(rows.into())).await.unwrap_err(),
            Err(mut errors) => errors.remove(0),
        }
    }

    pub(crate) fn inline(&self, rows: &Value) -> Declared {
        let rows = rows.as_array().unwrap().iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, row)| (RowLabel::Index(i), row.as_object().unwrap().clone())).collect();
        rows::declare(&self.table, &rows).unwrap().into()
    }

    fn change(&self, rows: Option<Declared>) -> TableChange {
        TableChange {
            desired: self.table.clone(),
            prior: self.prior.clone(),
            observed: self.observed.clone(),
            rows,
            owned: self.owned.clone(),
            server_digest: self.server_digest.clone(),
            rows_drifted: self.drifted,
            force_destroy: self.force,
            create_vector_extension: true,
        }
    }

    pub(crate) fn steps(&self, rows: Option<Declared>) -> Vec<String> {
        table::plan(&self.change(rows)).steps.into_iter().map(|step| step.sql).collect()
    }

    pub(crate) async fn warnings(&self, rows: Option<Declared>) -> Vec<Warning> {
        table::veto(&self.database, &scope(), &self.change(rows)).await.unwrap()
    }

    /// Applies, and shows that nothing is left to do and nothing drifted.
    pub(crate) async fn apply(&mut self, rows: Option<Declared>) -> Result<Applied, Error> {
        let applied = table::apply(&self.database, &scope(), &self.change(rows.clone()), true).await?;
        self.prior = Some(self.table.clone());
        self.observed = Some(applied.observed.clone());
        self.owned = match &rows {
            Some(Declared::Inline(rows)) => Some(rows.clone().into()),
            _ => applied.ledger.clone().map(Owned::from),
        };
        self.server_digest.clone_from(&applied.rows_digest);
        self.drifted = false;
        assert_eq!(self.steps(rows), [""; 0], "the second plan is empty");
        self.refresh().await;
        assert!(!self.drifted, "nothing drifts by itself");
        Ok(applied)
    }

    pub(crate) async fn jsonl(&mut self, content: &str) -> Result<Applied, Error> {
        let rows = self.file("r.jsonl", content);
        self.apply(Some(rows)).await
    }

    pub(crate) async fn csv(&mut self, content: &str) -> Result<Applied, Error> {
        let rows = self.file("r.csv", content);
        self.apply(Some(rows)).await
    }

    async fn look(&self, look: Look<'_>) -> Seen {
        table::read(&self.database, &scope(), &self.table.name, look).await.unwrap().unwrap()
    }

    /// Does what a refresh does.
    pub(crate) async fn refresh(&mut self) {
        let Some(owned) = self.owned.clone() else { return };
        let seen = self.look(Look::Rows { table: &self.table, owned: &owned, digest: true }).await;
        let lost = owned.ledger().is_some() && seen.ledger.is_none();
        self.drifted = lost || seen.rows_digest != self.server_digest;
        if lost {
            self.owned = None;
        }
        self.observed = Some(seen.observed);
    }

    async fn drop(&self) -> Result<Vec<Warning>, Error> {
        let drop = TableDrop {
            declared: self.prior.clone().unwrap(),
            observed: self.observed.clone(),
            owned: self.owned.clone(),
            force_destroy: self.force,
        };
        table::drop(&self.database, &scope(), &drop).await
    }

    pub(crate) async fn query(&self, sql: &str) -> String {
        self.server.query(sql).await
    }

    pub(crate) async fn rows(&self) -> String {
        self.query("select * from t order by id").await
    }

    pub(crate) async fn ledgers(&self) -> String {
        self.query(
            "select count(*) from pg_class where relnamespace = to_regnamespace('terraform_pg') and relkind = 'r'",
        )
        .await
    }
}

pub(crate) fn counts(applied: &Applied) -> (u64, u64, u64, u64) {
    (applied.rows.deleted, applied.rows.updated, applied.rows.inserted, applied.rows.adopted.count)
}

pub(crate) fn lines(ids: impl Iterator<Item = u32>, row: impl Fn(u32) -> Value) -> String {
    ids.fold(String::new(), |mut all, id| {
        let _ = writeln!(all, "{}", row(id));
        all
    })
}

#[tokio::test]
async fn only_what_changed_is_written() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        let plain = |id| json!({"id": id, "a": format!("row {id}")});
        let first = t.jsonl(&lines(0..1000, plain)).await.unwrap();
        assert_eq!(counts(&first), (0, 0, 1000, 0));
        t.query("insert into t values (5000, 'theirs')").await;
        t.query("create table before as select id, xmin::text as x, ctid::text as c from t").await;
        let changed = lines(10..1005, |id| if id % 100 == 0 { json!({"a": "new", "id": id}) } else { plain(id) });
        let rows = t.file("r.jsonl", &changed);
        assert_eq!(
            t.warnings(Some(rows)).await[0].detail,
            "10 rows that came from rows_file and are no longer declared are deleted from public.t. 5 rows are inserted and 9 \
             rows are updated."
        );
        assert_eq!(counts(&t.jsonl(&changed).await.unwrap()), (10, 9, 5, 0));
        assert_eq!(t.query("select count(*), min(id), max(id) from t").await, "996|10|5000");
        assert_eq!(t.query("select count(*) from t where a = 'new'").await, "10");
        let untouched =
            "select count(*) from t join before b on b.id = t.id and b.x = t.xmin::text and b.c = t.ctid::text";
        assert_eq!(t.query(untouched).await, (1000 - 10 - 9 + 1).to_string());
        // The order of the lines and of the keys in them does not matter.
        let reversed = t.file("r.jsonl", &changed.lines().rev().collect::<Vec<_>>().join("\n"));
        assert_eq!(t.steps(Some(reversed)), [""; 0]);
        assert_eq!(counts(&t.jsonl("").await.unwrap()), (995, 0, 0, 0));
        assert_eq!((t.rows().await.as_str(), t.ledgers().await.as_str()), ("5000|theirs", "0"));
    }
}

#[tokio::test]
async fn csv_tells_null_from_nothing() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "int"), ("a", "text"), ("n", "numeric")]).await;
        t.csv("id,a\n1,\"x, y\"\n2,\n3,\"li\nne\"\n4,\"\"\n").await.unwrap();
        assert_eq!(
            t.query("select id, quote_nullable(a), n from t order by id").await,
            "1|'x, y'|\n2|NULL|\n3|'li\nne'|\n4|''|"
        );
        t.query("update t set n = 5").await;
        t.refresh().await;
        assert!(!t.drifted, "a column that no row names is never looked at");
        let path = t.write("n.csv", "id,a,n\n1,-,2.50\n2,\"-\",-\n");
        let rows = FileRows::declare(&t.table, &path, Some("-")).unwrap();
        t.apply(Some(rows.into())).await.unwrap();
        assert_eq!(t.query("select id, quote_nullable(a), n from t order by id").await, "1|NULL|2.50\n2|NULL|");
        // A column that the file no longer names gets its default again.
        t.csv("id,a\n1,x\n2,y\n").await.unwrap();
        assert_eq!(t.rows().await, "1|x|\n2|y|");
    }
}

#[tokio::test]
async fn an_absent_key_is_null_when_another_row_names_it() {
    let mut t = Target::new(18, &[("id", "int"), ("a", "text"), ("b", "text")]).await;
    t.jsonl("{\"id\":1,\"a\":\"x\"}\n{\"id\":2}\n").await.unwrap();
    t.query("update t set a = 'drift' where id = 2").await;
    t.refresh().await;
    assert!(t.drifted);
    assert_eq!(counts(&t.jsonl("{\"id\":1,\"a\":\"x\"}\n{\"id\":2}\n").await.unwrap()), (0, 1, 0, 0));
    assert_eq!(t.rows().await, "1|x|\n2||");
}

#[tokio::test]
async fn drift_is_seen_and_repaired() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("n", "numeric"), ("j", "json")]).await;
        let content = lines(0..200, |id| json!({"id": id, "n": "1.0", "j": {"a": id}}));
        t.jsonl(&content).await.unwrap();
        for (tamper, repaired) in [
            ("update t set n = 1.00 where id = 7", (0, 1, 0, 0)),
            ("update t set j = '{\"a\" : 8}' where id = 8", (0, 1, 0, 0)),
            ("delete from t where id = 9", (0, 0, 1, 0)),
            ("update t set id = 900 where id = 10", (0, 0, 1, 0)),
            ("insert into t values (901, 1, '1'); delete from t where id = 11", (0, 0, 1, 0)),
        ] {
            t.query(tamper).await;
            t.refresh().await;
            assert!(t.drifted, "{tamper}");
            assert_eq!(counts(&t.jsonl(&content).await.unwrap()), repaired, "{tamper}");
        }
        t.query("insert into t values (902, 1, '1')").await;
        t.refresh().await;
        assert!(!t.drifted, "a row of somebody else is no drift");
        assert_eq!(t.query("select count(*) from t").await, "203");
    }
}

#[tokio::test]
async fn what_drifted_behind_the_plan_is_repaired_too() {
    // The digest is only believed under the lock: here the table changed after it was read.
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    let row = |id| json!({"id": id, "a": "x"});
    t.jsonl(&lines(0..200, row)).await.unwrap();
    t.query("update t set a = 'drift' where id = 5").await;
    let applied = t.jsonl(&lines(0..201, row)).await.unwrap();
    assert_eq!(counts(&applied), (0, 1, 1, 0));
}

#[tokio::test]
async fn rows_of_somebody_else_are_never_overwritten() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
        t.query("insert into t values (2, 'same'), (3, 'other')").await;
        let content = "{\"id\":1,\"a\":\"x\"}\n\n{\"id\":2,\"a\":\"same\"}\n{\"id\":3,\"a\":\"mine\"}\n";
        let error = t.jsonl(content).await.unwrap_err();
        let path = t.folder.path().join("r.jsonl");
        assert!(
            error
                .message()
                .contains(&format!("the row (id = 3), line 4 of {}, is in the table already", path.display())),
            "{error}"
        );
        assert!(error.message().ends_with("differs from the declaration in a"), "{error}");
        assert_eq!(error.blamed(), Some(&Blame::Attribute("rows_file")));
        assert!(error.advised().unwrap().contains("force_destroy"));
        assert_eq!(t.rows().await, "1|x\n2|same\n3|other");
        t.force = true;
        let applied = t.jsonl(content).await.unwrap();
        assert_eq!(counts(&applied), (0, 1, 0, 1));
        assert_eq!(applied.rows.adopted.first, ["id = 2"]);
        assert!(
            applied.warnings.iter().any(|w| w.summary == "Rows were there already" && w.detail.contains("(id = 2)"))
        );
        assert_eq!(counts(&t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap()), (2, 0, 0, 0));
    }
}

#[tokio::test]
async fn two_targets_on_one_table_do_not_touch_each_others_rows() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        server.query("create table t (id bigint primary key, a text); insert into t values (0, 'nobody')").await;
        let mut table = spec(&[("id", "bigint"), ("a", "text")], &["id"]);
        table.managed_by = ManagedBy::User;
        let mut a = Target::on(server, table.clone());
        let mut b =
            Target { folder: tempfile::tempdir().unwrap(), ..Target::on(TestDatabase::new(major).await, table) };
        b.database = a.database.clone();
        a.jsonl("{\"id\":1,\"a\":\"a\"}\n{\"id\":2,\"a\":\"a\"}\n").await.unwrap();
        b.jsonl("{\"id\":3,\"a\":\"b\"}\n{\"id\":4,\"a\":\"b\"}\n").await.unwrap();
        assert_eq!(a.ledgers().await, "2");
        a.jsonl("{\"id\":2,\"a\":\"a\"}\n").await.unwrap();
        b.refresh().await;
        assert!(!b.drifted);
        assert_eq!(a.rows().await, "0|nobody\n2|a\n3|b\n4|b");
        b.drop().await.unwrap();
        assert_eq!((a.rows().await.as_str(), a.ledgers().await.as_str()), ("0|nobody\n2|a", "1"));
        a.apply(None).await.unwrap();
        assert_eq!((a.rows().await.as_str(), a.ledgers().await.as_str()), ("0|nobody", "0"));
    }
}

#[tokio::test]
async fn rows_and_files_take_over_from_each_other() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        let inline = t.inline(&json!([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}, {"id": 3, "a": "z"}]));
        t.apply(Some(inline)).await.unwrap();
        t.query("insert into t values (9, 'theirs'); create table before as select id, xmin::text as x from t").await;
        let rows = t.file("r.jsonl", "{\"id\":2,\"a\":\"y\"}\n{\"id\":3,\"a\":\"Z\"}\n");
        assert!(t.warnings(Some(rows.clone())).await[0].detail.starts_with("1 row that came"), "{rows:?}");
        assert_eq!(counts(&t.apply(Some(rows)).await.unwrap()), (1, 1, 0, 0));
        assert_eq!((t.rows().await.as_str(), t.ledgers().await.as_str()), ("2|y\n3|Z\n9|theirs", "1"));
        let inline = t.inline(&json!([{"id": 2, "a": "y"}, {"id": 4, "a": "w"}]));
        assert!(t.warnings(Some(inline.clone())).await[0].detail.starts_with("1 row that came from rows_file"));
        assert_eq!(counts(&t.apply(Some(inline)).await.unwrap()), (1, 0, 1, 0));
        assert_eq!((t.rows().await.as_str(), t.ledgers().await.as_str()), ("2|y\n4|w\n9|theirs", "0"));
        assert_eq!(
            t.query("select id from before b natural join t where b.x = t.xmin::text order by id").await,
            "2\n9"
        );
    }
}

#[tokio::test]
async fn the_ledger_goes_with_the_table_and_its_declaration() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
        t.query("insert into t values (2, 'theirs')").await;
        let refusal = t.drop().await.unwrap_err();
        assert!(refusal.message().contains("1 row not declared here"), "{refusal}");
        assert_eq!(t.ledgers().await, "1");
        t.query("delete from t where id = 2").await;
        t.drop().await.unwrap();
        assert_eq!(t.query("select to_regclass('t') is null").await, "t");
        assert_eq!(t.ledgers().await, "0");

        // A table that is gone already leaves no ledger behind either.
        (t.prior, t.observed, t.owned, t.server_digest) = (None, None, None, None);
        t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
        t.query("drop table t").await;
        t.drop().await.unwrap();
        assert_eq!(t.ledgers().await, "0");
    }
}

#[tokio::test]
async fn a_ledger_that_is_not_for_this_table_is_not_believed() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        let content = "{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"y\"}\n";
        t.jsonl(content).await.unwrap();
        // As after dump and restore: everything is there, under other oids.
        t.query("create table u (like t including all); insert into u select * from t; drop table t; alter table u rename to t").await;
        let stale = t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap_err();
        assert!(stale.message().contains("no longer known") && stale.advised().unwrap().contains("Refresh"), "{stale}");
        assert_eq!(t.query("select count(*) from t").await, "2");
        let refusal = t.drop().await.unwrap_err();
        assert!(refusal.message().contains("2 rows not declared here"), "{refusal}");
        t.refresh().await;
        assert!(t.drifted && t.owned.is_none());
        let applied = t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
        assert_eq!(counts(&applied), (0, 0, 0, 1));
        assert_eq!(t.rows().await, "1|x\n2|y");
        assert_eq!(counts(&t.jsonl("").await.unwrap()), (1, 0, 0, 0), "what was found the same is ours again");
        assert_eq!(t.rows().await, "2|y");
    }
}

#[tokio::test]
async fn a_sole_ledger_is_found_after_an_import() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        t.jsonl("{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"y\"}\n").await.unwrap();
        t.query("insert into t values (3, 'theirs')").await;
        let known = t.owned.clone().unwrap().ledger().unwrap().clone();
        let found = t.look(Look::Ledger).await.ledger.unwrap();
        assert_eq!((&found.id, found.count, &found.columns), (&known.id, 2, &known.columns));
        // With it, rows that the file no longer has are still known to be ours.
        (t.prior, t.owned, t.server_digest) = (None, Some(found.into()), None);
        assert_eq!(counts(&t.jsonl("{\"id\":2,\"a\":\"y\"}\n").await.unwrap()), (1, 0, 0, 0));
        assert_eq!(t.rows().await, "2|y\n3|theirs");
        t.query(&format!("create table terraform_pg.ledger_x as table terraform_pg.ledger_{}", known.id)).await;
        assert!(t.look(Look::Ledger).await.ledger.is_some(), "without a header it is none");
        let oid = t.query("select 't'::regclass::oid").await;
        let header = format!("{{\"id\":\"x\",\"schema\":\"public\",\"table\":\"t\",\"oid\":{oid}}}");
        t.query(&format!("comment on table terraform_pg.ledger_x is '{header}'")).await;
        assert!(t.look(Look::Ledger).await.ledger.is_none(), "of two, none is believed");
    }
}

#[tokio::test]
async fn a_file_that_changed_since_the_plan_writes_nothing() {
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
    let planned = t.file("r.jsonl", "{\"id\":1,\"a\":\"y\"}\n");
    for (content, words) in [
        ("{\"id\":1,\"a\":\"y\"}\n{\"id\":2,\"a\":\"y\"}\n", "changed while it was used"),
        ("{\"id\":1,\"a\":\"z\"}\n", "changed while it was used"),
        ("{\"id\":1,\"a\":5}\n", "line 1, column a: 5 is no text"),
        ("{\"id\":1,\n", "does not end on this line"),
    ] {
        t.write("r.jsonl", content);
        let error = t.apply(Some(planned.clone())).await.unwrap_err();
        assert!(error.message().contains(words), "{error}");
        assert_eq!(error.blamed(), Some(&Blame::Attribute("rows_file")));
        assert_eq!(t.rows().await, "1|x");
    }
    std::fs::remove_file(t.folder.path().join("r.jsonl")).unwrap();
    let error = t.apply(Some(planned)).await.unwrap_err();
    assert!(error.message().contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn what_only_the_server_refuses_names_the_line() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        server.query("create type mood as enum ('good', 'bad'); create table other (id int primary key)").await;
        let mut table = spec(&[("id", "bigint"), ("m", "mood"), ("o", "int"), ("d", "date")], &["id"]);
        table.columns[1].nullable = true;
        let mut t = Target::on(server, table);
        t.jsonl("{\"id\":1,\"m\":\"good\",\"o\":1,\"d\":null}\n").await.unwrap();
        t.query("alter table t add check (o < 100), add unique (o)").await;
        t.refresh().await;
        for (content, place, words) in [
            ("\n{\"id\":1,\"m\":\"good\"}\n\n{\"id\":2,\"m\":\"so\"}\n", "line 4, column m: ", "enum mood"),
            (
                "{\"id\":1,\"d\":\"2024-01-01\"}\n{\"id\":2,\"d\":\"2024-02-30\"}\n",
                "line 2, column d: ",
                "out of range",
            ),
            ("{\"id\":1,\"o\":5}\n\n{\"id\":2,\"o\":100}\n", "line 3: ", "check constraint"),
        ] {
            let error = t.jsonl(content).await.unwrap_err();
            let wanted = format!("{}, {place}", t.folder.path().join("r.jsonl").display());
            assert!(error.message().starts_with(&wanted) && error.message().contains(words), "{error}");
            assert_eq!(error.blamed(), Some(&Blame::Attribute("rows_file")));
            assert_eq!(t.query("select * from t").await, "1|good|1|");
        }
        // Of two lines that clash with each other neither is blamed.
        let error = t.jsonl("{\"id\":1,\"o\":5}\n{\"id\":2,\"o\":5}\n").await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("23505"), "{error}");
        assert!(error.message().starts_with("duplicate key"), "{error}");
    }
}

#[tokio::test]
async fn one_key_in_two_spellings_is_one_key() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        let mut t = Target::on(server, spec(&[("id", "date"), ("a", "text")], &["id"]));
        let error = t.csv("id,a\n2024-01-02,x\n2024-1-2,y\n").await.unwrap_err();
        assert!(error.message().contains("the key id = 2024-01-02 is declared twice"), "{error}");
        assert_eq!(t.query("select to_regclass('t') is null").await, "t");
        t.csv("id,a\n2024-01-02,x\n2024-01-03,x\n").await.unwrap();
        // The other spelling is the row that is ours.
        assert_eq!(counts(&t.csv("id,a\n2024-1-2,x\n2024-01-03,y\n").await.unwrap()), (0, 1, 0, 0));
    }
}

#[tokio::test]
async fn a_collation_may_see_less_than_we_do() {
    // The builds of 16 and 18 may lack ICU; Debian's of 15 has it.
    let server = TestDatabase::new(15).await;
    if server.query("select count(*) > 5 from pg_collation where collprovider = 'i'").await == "f" {
        return;
    }
    server.query("create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").await;
    server.query("create table t (id text collate ci primary key, a text)").await;
    let mut table = spec(&[("id", "text"), ("a", "text")], &["id"]);
    table.managed_by = ManagedBy::User;
    let mut t = Target::on(server, table);
    let error = t.csv("id,a\nx,1\nX,2\n").await.unwrap_err();
    assert!(error.message().contains("is declared twice"), "{error}");
    let row = |id: u32| json!({"id": format!("r{id}"), "a": "x"});
    t.jsonl(&lines(0..100, row)).await.unwrap();
    let other = lines(0..100, |id| if id == 7 { json!({"id": "R7", "a": "x"}) } else { row(id) });
    assert_eq!(counts(&t.jsonl(&other).await.unwrap()), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_schema_change_and_its_rows_are_one_transaction() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        let row = |id| json!({"id": id, "a": "x"});
        t.jsonl(&lines(0..100, row)).await.unwrap();
        t.query("create table before as select id, xmin::text as x from t").await;
        t.table = spec(&[("id", "bigint"), ("a", "text"), ("b", "int")], &["id"]);
        // A column that no row names rewrites none.
        t.jsonl(&lines(0..100, row)).await.unwrap();
        assert_eq!(t.query("select count(*) from before b natural join t where b.x = t.xmin::text").await, "100");
        t.table = spec(&[("id", "bigint"), ("a", "text"), ("b", "int"), ("c", "int")], &["id"]);
        t.table.columns[3].nullable = false;
        let with = |id| json!({"id": id, "a": "x", "c": id});
        assert_eq!(counts(&t.jsonl(&lines(0..100, with)).await.unwrap()), (0, 100, 0, 0));
        assert_eq!(
            t.query("select attnotnull from pg_attribute where attrelid = 't'::regclass and attname = 'c'").await,
            "t"
        );
        t.query("insert into t values (1000, 'theirs', 1, 1)").await;
        t.table = spec(&[("id", "bigint"), ("a", "text"), ("b", "int"), ("c", "int"), ("d", "int")], &["id"]);
        (t.table.columns[3].nullable, t.table.columns[4].nullable) = (false, false);
        let error = t.jsonl(&lines(0..100, |id| json!({"id": id, "a": "x", "c": id, "d": 1}))).await.unwrap_err();
        assert!(error.message().contains("column d is declared as not nullable"), "{error}");
        assert_eq!(
            t.query("select count(*) from pg_attribute where attrelid = 't'::regclass and attname = 'd'").await,
            "0"
        );
    }
}

#[tokio::test]
async fn triggers_cannot_deceive_the_digest() {
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    let row = |id| json!({"id": id, "a": "x"});
    t.jsonl(&lines(0..200, row)).await.unwrap();
    t.query(
        "create function spread() returns trigger language plpgsql as $$ begin \
         if pg_trigger_depth() = 1 then update t set a = a || '!' where id = 150; end if; return null; end $$; \
         create trigger spread after insert on t for each row execute function spread()",
    )
    .await;
    // The helper shows that what is remembered is what is there.
    assert_eq!(counts(&t.jsonl(&lines(0..201, row)).await.unwrap()), (0, 0, 1, 0));
    assert_eq!(t.query("select a from t where id = 150").await, "x!");
}

#[tokio::test]
async fn a_publication_of_all_tables_is_no_obstacle() {
    let mut t = Target::new(16, &[("id", "bigint"), ("a", "text")]).await;
    t.query("create publication everything for all tables").await;
    t.jsonl("{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"y\"}\n").await.unwrap();
    assert_eq!(counts(&t.jsonl("{\"id\":2,\"a\":\"z\"}\n").await.unwrap()), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_an_administrator_does() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text")]).await;
        let user = format!("weak {}", t.server.name);
        t.query(&format!("create role \"{user}\" login; grant all on schema public to \"{user}\"")).await;
        let mut weak = t.server.through(&t.server.host, t.server.port);
        weak.user.clone_from(&user);
        t.database = Database::new(Settings::parse(&weak.url()).unwrap()).unwrap();
        let error = t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap_err();
        let advice = error.advised().unwrap().to_owned();
        assert!(
            error.sqlstate() == Some("42501") && advice.contains(&format!("on schema terraform_pg to \"{user}\";")),
            "{error}"
        );
        assert_eq!(t.query("select to_regclass('t') is null").await, "t");
        // The schema alone is not enough either.
        t.query("create schema terraform_pg").await;
        let error = t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap_err();
        assert_eq!(error.advised(), Some(advice.as_str()), "{error}");
        assert_eq!(t.query("select to_regclass('t') is null").await, "t");
        let statements = advice.split_once("\n\n").unwrap().1;
        t.query(statements).await;
        t.jsonl("{\"id\":1,\"a\":\"x\"}\n").await.unwrap();
        t.jsonl("{\"id\":2,\"a\":\"x\"}\n").await.unwrap();
        t.drop().await.unwrap();
        t.query(&format!("drop owned by \"{user}\" cascade; drop role \"{user}\"")).await;
    }
}

#[tokio::test]
async fn the_steps_are_what_runs_on_the_table() {
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    t.jsonl("{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"y\"}\n").await.unwrap();
    let rows = t.file("r.jsonl", "{\"id\":1,\"a\":\"z\"}\n");
    let steps = table::plan(&t.change(Some(rows.clone()))).steps;
    assert_eq!(
        steps.iter().map(|step| step.sql.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        ["lock table", "delete from", "update public.t", "insert into"]
    );
    assert_eq!(steps[1].hazards, [Hazard::DestroysData]);
    let before = t.server.log().await.len();
    t.apply(Some(rows)).await.unwrap();
    let log = t.server.log().await;
    for step in &steps {
        assert!(log[before..].contains(&step.sql), "{}", step.sql);
    }
    t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    let rows = t.file("r.jsonl", "{\"id\":1,\"a\":\"z\"}\n");
    let steps = table::plan(&t.change(Some(rows))).steps;
    assert_eq!(steps[0].sql, "create schema if not exists terraform_pg");
    assert!(steps[0].skippable);
}
