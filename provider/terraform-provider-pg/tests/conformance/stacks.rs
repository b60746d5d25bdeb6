//! A table with an index and an attachment that hang on its id: what happens to the table happens to them, in the order in
//! which the CLIs do it.

use proptest::prelude::*;
use proptest::sample::select;
use tfplugin::Value;
use tfplugin::testing::conformance::{Action, PlanOptions, Resource, Trouble};

use crate::attachment::{Attachment, attachment};
use crate::cells::Cell;
use crate::index::{self, Index, index};
use crate::stage::{Stage, each_phase_alone, play};

/// What makes the table another one.
#[derive(Clone, Copy, Debug)]
enum Upheaval {
    Tainted,
    Asked,
    Key,
    Renamed,
    /// Somebody drops it, with all that hangs on it.
    Lost,
}

/// A table with what hangs on it.
struct Stack {
    table: Resource,
    index: Resource,
    attachment: Resource,
}

impl Stack {
    fn new(stage: &Stage<'_>) -> Result<Self, Trouble> {
        Ok(Self {
            table: stage.session.resource("pg_table_target")?,
            index: stage.session.resource("pg_vector_index")?,
            attachment: stage.session.resource("pg_sql_attachment")?,
        })
    }

    /// Plans everything, then applies everything, as one run of a CLI does.
    async fn run(
        &mut self,
        config: &Value,
        index: &Index,
        attachment: &Attachment,
        replace: bool,
    ) -> Result<(), String> {
        let options = PlanOptions { refresh: true, replace };
        let planned = self.table.plan_with(config, options).await.map_err(|e| format!("plan of the table: {e}"))?;
        // Of a table that is yet to be made the others see the planned id.
        let id = planned.planned.get("id").clone();
        let indexed =
            self.index.plan(&index.config(id.clone())).await.map_err(|e| format!("plan of the index: {e}"))?;
        let attached = self.attachment.plan(&attachment.config(id)).await;
        let attached = attached.map_err(|e| format!("plan of the attachment: {e}"))?;
        let wanted = planned.action;
        if matches!(wanted, Action::Replace) {
            for (what, action) in [("index", indexed.action), ("attachment", attached.action)] {
                if !matches!(action, Action::Replace | Action::Create) {
                    return Err(format!("the table is to {wanted:?}, and its {what} to {action:?}"));
                }
            }
        }

        for (resource, planned, what) in
            [(&mut self.index, &indexed, "index"), (&mut self.attachment, &attached, "attachment")]
        {
            if planned.action == Action::Replace {
                let gone = resource.apply_destroy_half(planned).await;
                gone.map_err(|e| format!("destroy of the {what} before the table's: {e}"))?;
            }
        }
        self.table.apply(planned).await.map_err(|e| format!("apply of the table ({wanted:?}): {e}"))?;
        let id = self.table.value().get("id").clone();
        let (index, attachment) = (index.config(id.clone()), attachment.config(id));
        for (resource, planned, config, what) in
            [(&mut self.index, indexed, index, "index"), (&mut self.attachment, attached, attachment, "attachment")]
        {
            let action = planned.action;
            let made = if action == Action::Replace {
                resource.apply_create_half(&planned, &config).await
            } else {
                resource.apply_with(planned, &config).await
            };
            made.map_err(|e| format!("apply of the {what} ({action:?}): {e}"))?;
        }
        Ok(())
    }

    async fn expect_no_change(&self, config: &Value, index: &Index, attachment: &Attachment) -> Result<(), String> {
        let id = self.table.value().get("id").clone();
        self.table.expect_no_change(config).await.map_err(|e| format!("the table: {e}"))?;
        self.index.expect_no_change(&index.config(id.clone())).await.map_err(|e| format!("the index: {e}"))?;
        self.attachment.expect_no_change(&attachment.config(id)).await.map_err(|e| format!("the attachment: {e}"))
    }
}

/// The index tests' table with the column that attachments use.
fn table(name: &str, key: &[&str]) -> Value {
    let mut config = index::table(name);
    let Value::Map(attributes) = &mut config else { return config };
    if let Some(Value::Map(columns)) = attributes.get_mut("columns") {
        let text = Value::object([("type", Value::from("text")), ("default", "'none'".into())]);
        columns.insert("a".to_owned(), text);
        if key.contains(&"b") {
            let b = Value::object([("type", Value::from("bit(8)")), ("nullable", false.into())]);
            columns.insert("b".to_owned(), b);
        }
    }
    config.set("primary_key", key.to_vec().into());
    config
}

#[test]
fn what_hangs_on_a_table_is_replaced_with_it() {
    use Upheaval::{Asked, Key, Lost, Renamed, Tainted};
    let upheavals = prop::collection::vec(select(vec![Tainted, Asked, Key, Renamed, Lost]), 1..3);
    // A view or the like that nobody takes away stands in the way of a drop, and rightly so.
    let attachment = attachment().prop_map(Attachment::torn_down);
    play(
        8,
        (index(), attachment, upheavals),
        async |stage: &Stage<'_>, (index, attachment, upheavals): &(Index, Attachment, Vec<Upheaval>)| {
            let mut stack = Stack::new(stage).map_err(|e| e.to_string())?;
            let (mut name, mut key) = ("t", &["id"][..]);
            stack.run(&table(name, key), index, attachment, false).await.map_err(|e| format!("at first: {e}"))?;
            stack.expect_no_change(&table(name, key), index, attachment).await?;
            // Texts that name the table do not follow it to another name.
            let follows = |upheaval: &&Upheaval| !(matches!(upheaval, Renamed) && attachment.names_the_table());
            for upheaval in upheavals.iter().filter(follows) {
                match upheaval {
                    Tainted => stack.table.taint(),
                    Asked => {}
                    Key => key = if key.len() == 1 { &["b", "id"] } else { &["id"] },
                    Renamed => name = if name == "t" { "An other" } else { "t" },
                    Lost => drop(stage.sql(&format!("drop table \"{name}\" cascade")).await),
                }
                let asked = matches!(upheaval, Asked);
                let done = stack.run(&table(name, key), index, attachment, asked).await;
                done.map_err(|e| format!("{upheaval:?}: {e}"))?;
                let rest = stack.expect_no_change(&table(name, key), index, attachment).await;
                rest.map_err(|e| format!("after {upheaval:?}: {e}"))?;
                let there = stage.sql(&format!("select count(*) from \"{name}\"")).await;
                let indexes =
                    stage.sql("select count(*) from pg_class where relname like '%\\_\\_vector\\_\\_%'").await;
                if (there.as_str(), indexes.as_str()) != ("11", "1") {
                    return Err(format!("after {upheaval:?} there are {there} rows and {indexes} vector indexes"));
                }
            }
            stack.attachment.destroy().await.map_err(|e| format!("destroy of the attachment: {e}"))?;
            stack.index.destroy().await.map_err(|e| format!("destroy of the index: {e}"))?;
            stack.table.destroy().await.map_err(|e| format!("destroy of the table: {e}"))?;
            Ok(())
        },
    );
}

#[test]
fn every_phase_has_a_process_of_its_own() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let mut table = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        let mut config = table_of_two("first");
        for (value, action) in [("first", Action::Create), ("second", Action::Update)] {
            config.set("rows", table_of_two(value).get("rows").clone());
            let done = table.converge(&config).await.map_err(|e| e.to_string())?;
            assert_eq!(done, action);
        }
        assert_eq!(stage.sql("select string_agg(a, ',') from t").await, "second,second");
        table.destroy().await.map_err(|e| e.to_string())?;
        Ok(())
    });
}

fn table_of_two(value: &str) -> Value {
    let row = |id: &str| {
        let cells = [("id", Cell::Number(id.to_owned())), ("a", Cell::Text(value.to_owned()))];
        Cell::Object(cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect())
    };
    Value::object([
        ("table_name", Value::from("t")),
        ("primary_key", vec!["id"].into()),
        (
            "columns",
            Value::object(
                [("id", "bigint"), ("a", "text")].map(|(n, t)| (n, Value::object([("type", Value::from(t))]))),
            ),
        ),
        ("rows", Cell::List(vec![row("1"), row("2")]).dynamic()),
    ])
}
