//! Rows of tables that have a will of their own: triggers, rules, references that cascade, unique values that are taken.

use pg_connector::error::{Blame, RowLabel};
use serde_json::json;
use testbed::TestDatabase;

use crate::rows::{self, Bench};
use crate::rows_file::{Target, counts, lines};

#[tokio::test]
async fn a_row_that_is_kept_away_is_an_error() {
    for major in TestDatabase::VERSIONS {
        for hindrance in [
            "create rule nothing as on insert to t where new.id = 2 do instead nothing",
            "create function nothing() returns trigger language plpgsql as \
             $$ begin if new.id = 2 then return null; end if; return new; end $$; \
             create trigger nothing before insert on t for each row execute function nothing()",
        ] {
            let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text")], &["id"]).await;
            t.client.batch_execute(hindrance).await.unwrap();
            let error = t.apply(&json!([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}])).await.unwrap_err();
            assert!(error.message().contains("(id = 2) is not in the table after the write"), "{error}");
            assert_eq!(error.blamed(), Some(&Blame::Row(RowLabel::Index(1), None)));
            assert_eq!(t.query("select count(*) from t").await, "0");
            t.apply(&json!([{"id": 1, "a": "x"}])).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_row_of_a_file_that_is_kept_away_names_its_line() {
    let mut t = Target::new(18, &[("id", "bigint"), ("a", "text")]).await;
    let row = |id| json!({"id": id, "a": "x"});
    t.jsonl(&lines(0..100, row)).await.unwrap();
    t.query("create rule nothing as on insert to t where new.id = 100 do instead nothing").await;
    let error = t.jsonl(&lines(0..101, row)).await.unwrap_err();
    assert!(error.message().contains(", line 101: the row (id = 100) is not in the table"), "{error}");
    assert_eq!(t.query("select count(*) from t").await, "100");
    t.query("drop rule nothing on t").await;
    t.jsonl(&lines(0..101, row)).await.unwrap();
}

#[tokio::test]
async fn what_a_trigger_makes_of_rows_is_said() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major, &[("id", "bigint"), ("a", "text"), ("at", "timestamptz")]).await;
        let row = |id| json!({"id": id, "a": format!("Row {id}")});
        t.jsonl(&lines(0..100, row)).await.unwrap();
        t.query(
            "create function lower_it() returns trigger language plpgsql as \
             $$ begin new.a = lower(new.a); new.at = now(); return new; end $$; \
             create trigger lower_it before insert or update on t for each row execute function lower_it(); \
             create function keep() returns trigger language plpgsql as $$ begin return null; end $$; \
             create trigger keep before delete on t for each row execute function keep()",
        )
        .await;
        let before = t.query("select xmin from t where id = 50").await;
        // The target shows that the next plan is empty and nothing drifts.
        let applied = t.jsonl(&lines(2..101, row)).await.unwrap();
        assert_eq!(counts(&applied), (0, 0, 1, 0));
        let said = |summary: &str| {
            applied.warnings.iter().find(|w| w.summary == summary).map(|w| w.detail.clone()).unwrap_or_default()
        };
        assert!(said("Rows are not as they are declared").ends_with(": (id = 100)."), "{:?}", applied.warnings);
        assert!(said("Rows were not deleted").ends_with(": (id = 0), (id = 1)."), "{:?}", applied.warnings);
        assert_eq!(t.query("select xmin from t where id = 50").await, before, "only what changed was written");
        assert_eq!(t.query("select a from t where id in (1, 99, 100) order by id").await, "Row 1\nRow 99\nrow 100");
    }
}

#[tokio::test]
async fn a_reference_that_cascades_takes_no_declared_row_along() {
    for major in TestDatabase::VERSIONS {
        let columns = [("id", "bigint"), ("parent", "bigint"), ("a", "text")];
        let mut t = Target::new(major, &columns).await;
        let row = |id: u32| json!({"id": id, "parent": if id == 7 || id == 8 { Some(5) } else { None }, "a": "x"});
        t.jsonl(&lines(0..100, row)).await.unwrap();
        t.query("alter table t add foreign key (parent) references t on delete cascade").await;
        // Row 5 goes, and would take 7 and 8 along; 7 names no parent any more, 8 still does.
        let moved = |id: u32| json!({"id": id, "parent": if id == 8 { Some(6) } else { None }, "a": "x"});
        let applied = t.jsonl(&lines((0..100).filter(|id| *id != 5), moved)).await.unwrap();
        assert_eq!(t.query("select count(*) from t").await, "99");
        assert_eq!(t.query("select id, parent from t where id in (7, 8) order by id").await, "7|\n8|6");
        assert!(applied.rows.deleted == 1, "{:?}", applied.rows);
        // A parent that is deleted while a declared row needs it is the server's to refuse.
        let error = t.jsonl(&lines((0..100).filter(|id| *id != 5 && *id != 6), moved)).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("23503"), "{error}");
        assert!(error.message().contains("line 7, column parent: "), "{error}");
        assert_eq!(t.query("select count(*) from t").await, "99");
    }
}

#[tokio::test]
async fn a_cascade_by_way_of_another_table_is_noticed() {
    let mut t = Target::new(16, &[("id", "bigint"), ("other", "bigint"), ("a", "text")]).await;
    let row = |id: u32| json!({"id": id, "other": if id == 7 { Some(1) } else { None }, "a": "x"});
    t.jsonl(&lines(0..100, row)).await.unwrap();
    t.query(
        "create table other (id bigint primary key, t bigint references t on delete cascade); \
         insert into other values (1, 5); alter table t add foreign key (other) references other on delete cascade",
    )
    .await;
    // Only row 5 differs by its hash; the cascade reaches row 7, which is still declared.
    let error = t.jsonl(&lines((0..100).filter(|id| *id != 5), row)).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23503"), "{error}");
    assert!(error.message().contains("line 7, column other: "), "{error}");
    assert_eq!(t.query("select count(*) from t").await, "100");
}

#[tokio::test]
async fn unique_values_pass_between_rows_where_the_constraint_lets_them() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("u", "text unique")], &["id"]).await;
        t.table = rows::table(&[("id", "bigint"), ("u", "text")], &["id"]);
        t.apply(&json!([{"id": 1, "u": "a"}, {"id": 2, "u": "b"}, {"id": 3, "u": "c"}])).await.unwrap();
        // A value that a deleted row leaves, and one that an updated row leaves to a new one.
        let next = json!([{"id": 2, "u": "a"}, {"id": 3, "u": "d"}, {"id": 4, "u": "c"}]);
        assert_eq!(rows::counts(&t.apply(&next).await.unwrap()), (1, 2, 1, 0));
        let swapped = json!([{"id": 2, "u": "d"}, {"id": 3, "u": "a"}, {"id": 4, "u": "c"}]);
        let error = t.apply(&swapped).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("23505"), "{error}");
        assert!(matches!(error.blamed(), Some(Blame::Row(_, Some(column))) if column == "u"), "{error:?}");
        assert!(error.advised().unwrap().contains("when the constraint is deferrable"), "{error}");
        t.client.batch_execute("alter table t drop constraint t_u_key, add unique (u) deferrable").await.unwrap();
        assert_eq!(rows::counts(&t.apply(&swapped).await.unwrap()), (0, 2, 0, 0));
        assert_eq!(t.query("select id, u from t order by id").await, "2|d\n3|a\n4|c");
    }
}
