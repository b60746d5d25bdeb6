//! Sessions that take no writes: what is read is read, and what would be written says why not.

use pg_connector::attachment::{self, Attachment, OnTeardownError};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Look, TableChange};
use pg_connector::vector_index::{self, Build, BuildSettings, Method, Metric, VectorIndexSpec};
use pg_connector::{Database, Error, Scope, TableName};
use testbed::TestDatabase;

fn change(observed: Option<pg_connector::catalog::ObservedTable>) -> TableChange {
    let column = |name: &str, type_name: &str, nullable| ColumnSpec {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        nullable,
        default: None,
        comment: None,
    };
    let desired = TableSpec {
        name: TableName::new("public", if observed.is_some() { "t" } else { "new" }),
        managed_by: ManagedBy::System,
        comment: None,
        columns: vec![column("id", "bigint", false), column("more", "text", true)],
        primary_key: vec!["id".to_owned()],
    };
    TableChange { observed, ..TableChange::create(desired) }
}

fn attachment(transactional: bool) -> Attachment {
    Attachment {
        table: TableName::new("public", "t"),
        name: "att".to_owned(),
        setup_sql: "create index extra on t (id)".to_owned(),
        teardown_sql: Some("drop index extra".to_owned()),
        check_sql: Some("select 1".to_owned()),
        transactional,
        on_teardown_error: OnTeardownError::Fail,
        in_part: false,
    }
}

fn index() -> VectorIndexSpec {
    VectorIndexSpec {
        table: TableName::new("public", "t"),
        column: "e".to_owned(),
        name: "e".to_owned(),
        metric: Metric::L2,
        method: Method::Hnsw,
        lists: None,
        m: None,
        ef_construction: None,
        quantize: None,
        subvector: None,
        predicate: None,
    }
}

/// What each kind of write says.
async fn refusals(database: &Database) -> Vec<Error> {
    let (scope, table) = (Scope::default(), TableName::new("public", "t"));
    let seen = table::read(database, &scope, &table, Look::Table).await.unwrap().unwrap();
    assert_eq!(table::veto(database, &scope, &change(Some(seen.observed.clone()))).await.unwrap(), []);
    assert!(attachment::read(database, &scope, &attachment(true)).await.unwrap());
    let mut refusals = Vec::new();
    for change in [change(None), change(Some(seen.observed))] {
        refusals.push(table::apply(database, &scope, &change, true).await.unwrap_err());
    }
    for transactional in [true, false] {
        refusals.push(attachment::create(database, &scope, &attachment(transactional)).await.unwrap_err().error);
        refusals.push(attachment::destroy(database, &scope, &attachment(transactional)).await.unwrap_err().error);
    }
    for concurrently in [true, false] {
        let (spec, settings) = (index(), BuildSettings::default());
        let build = Build { spec: &spec, concurrently, settings: &settings, create_extension: true, prior: None };
        refusals.extend(vector_index::apply(database, &scope, &build).await.unwrap_err());
        let dropped = vector_index::drop(database, &scope, &table, &spec.qualified(), concurrently).await;
        refusals.push(dropped.unwrap_err());
    }
    refusals
}

#[tokio::test]
async fn a_read_only_session_says_which_setting_it_is_and_what_to_do() {
    for major in TestDatabase::VERSIONS {
        let test = TestDatabase::new(major).await;
        test.query("create extension vector; create table t (id bigint primary key, e vector(3))").await;
        let role = format!("{}_reader", test.name);
        let setting = "set default_transaction_read_only = on";
        let (settings, name) = (Settings::parse(&test.url()).unwrap(), &test.name);
        let options = Settings { options: Some("-c default_transaction_read_only=on".to_owned()), ..settings.clone() };
        let as_role = Settings { user: role.clone(), ..settings.clone() };
        test.query(&format!("create role {role} login superuser; alter role {role} {setting}")).await;
        for (settings, before, words) in [
            (options, "select 1".to_owned(), "in the options of the connection".to_owned()),
            (as_role, "select 1".to_owned(), format!("for the role {role}")),
            (settings, format!("alter database {name} {setting}"), format!("for the database {name}")),
        ] {
            test.query(&before).await;
            for error in refusals(&Database::new(settings.clone()).unwrap()).await {
                assert!(error.doing().starts_with(&format!("write to database {name} for table public.")), "{error}");
                assert!(error.message().contains("default_transaction_read_only is on"), "{error}");
                assert!(error.message().ends_with(&words), "{error}");
                assert!(error.advised().unwrap().contains("Nothing was written"), "{error:?}");
            }
        }
        assert_eq!(test.query("select count(*) from pg_index where indrelid = 't'::regclass").await, "1");
        test.query(&format!("set transaction read write; drop role {role}")).await;
    }
}
