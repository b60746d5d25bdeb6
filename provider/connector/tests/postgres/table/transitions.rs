//! Carries out every transition of the table that the pure tests read too, and compares what the server then holds, what it
//! was told to do, and what it was not.

#[path = "../../../src/table/tests/transitions.rs"]
mod cases;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio_postgres::SimpleQueryMessage;

use pg_connector::Step;

use self::cases::{Case, Planned, Sketch};
use super::*;

/// What is in the table before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    Empty,
    Theirs,
    Forced,
    Ours,
}

/// Drops whatever a case has made.
const RESET: &str = "drop foreign data wrapper if exists w cascade; do $$ declare r text; begin for r in \
    select format('drop %s if exists public.%I cascade', case relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, relname) \
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S') order by relkind <> 'v' \
    loop execute r; end loop; end $$";

/// One case in one situation.
struct Run<'a> {
    target: &'a mut Target,
    /// Somebody else.
    other: &'a tokio_postgres::Client,
    case: &'a Case,
    situation: Situation,
    /// What was carried out, with its steps.
    done: &'a mut Vec<(String, Vec<Step>)>,
}

fn sketched(t: &Target, sketch: &Sketch) -> TableSpec {
    let mut spec = t.spec(&sketch.columns);
    if sketch.columns.iter().any(|(name, _)| *name == "id") {
        spec.columns.remove(0);
    }
    spec.primary_key = sketch.key.iter().map(|&name| name.to_owned()).collect();
    spec.managed_by = if sketch.user { ManagedBy::User } else { ManagedBy::System };
    spec
}

impl Run<'_> {
    /// Whether the case says anything about the situation.
    fn is_said(&self) -> bool {
        let case = self.case;
        match self.situation {
            Situation::Empty => true,
            Situation::Theirs => case.get("theirs").is_some(),
            Situation::Forced => case.get("forced").is_some(),
            Situation::Ours => case.get("ours").is_some(),
        }
    }

    fn rows(&self) -> (Value, Value) {
        let parse =
            |text: &str| serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {text}: {e}", self.case.name));
        match self.case.get("ours").filter(|_| self.situation == Situation::Ours) {
            Some(rows) => rows.split_once(" => ").map(|(before, after)| (parse(before), parse(after))).unwrap(),
            None => (json!([]), json!([])),
        }
    }

    async fn run(&mut self) {
        let what = format!("{} ({:?})", self.case.name, self.situation);
        self.prepare().await;
        let (_, rows) = self.rows();
        let t = &mut *self.target;
        t.force = self.situation == Situation::Forced;
        if let Some(values) =
            self.case.get("theirs").filter(|_| matches!(self.situation, Situation::Theirs | Situation::Forced))
        {
            self.other.batch_execute(&format!("insert into t values {values}")).await.unwrap();
        }
        let before = self.dump().await;
        let refused = match self.situation {
            Situation::Forced => self.case.get("forced").and_then(|text| text.strip_prefix("fails: ")),
            Situation::Ours => None,
            Situation::Theirs => self.case.get("refused"),
            // What does not need their rows to be refused.
            Situation::Empty => self.case.get("refused").filter(|_| self.case.get("theirs").is_none()),
        };
        let Some(to) = self.case.to() else {
            let result = self.target.drop().await;
            self.judge(&what, refused, result.map(drop), &before).await;
            return;
        };
        let desired = sketched(self.target, &to);
        let change = self.target.change(&desired, &rows);
        let decided = table::plan(&change);
        let refused_by_plan = self.compare_plan(&what, &decided);
        let vetoed = table::veto(&self.target.database, &scope(), &change).await;
        match (refused.or(refused_by_plan), &vetoed) {
            (Some(words), vetoed) if words.starts_with("at apply: ") || self.situation == Situation::Forced => {
                // That it cannot be done may be known already, and said in other words.
                let late = words.starts_with("at apply: ") && refused_by_plan.is_none();
                assert!(!late || vetoed.is_ok() || self.situation == Situation::Forced, "{what}: {vetoed:?}");
            }
            (Some(words), Err(errors)) => assert!(says(errors, words), "{what}: {errors:?}"),
            (Some(words), Ok(warnings)) => panic!("{what}: planned without {words}: {warnings:?}"),
            (None, vetoed) => assert!(vetoed.is_ok(), "{what}: {vetoed:?}"),
        }
        self.mark("begin", &what).await;
        let result = if decided.replace.is_empty() {
            self.target.apply_rows(&desired, &rows).await.map(drop)
        } else {
            self.replace(&desired, &rows).await
        };
        self.mark("end", &what).await;
        if result.is_ok() && decided.replace.is_empty() {
            self.done.push((what.replace('\'', ""), decided.steps));
        }
        self.judge(&what, refused.or(refused_by_plan), result, &before).await;
    }

    /// Makes the table as it is before.
    async fn prepare(&mut self) {
        let (rows, _) = self.rows();
        let t = &mut *self.target;
        self.other.batch_execute(RESET).await.unwrap();
        (t.prior, t.observed, t.owned, t.force) = (None, None, None, false);
        if let Some(from) = self.case.from() {
            let declared = sketched(t, &from);
            if from.user {
                let made = TableSpec { managed_by: ManagedBy::System, ..declared.clone() };
                t.apply_rows(&made, &json!([])).await.unwrap();
            }
            t.apply_rows(&declared, &rows).await.unwrap();
        }
        if let Some(setup) = self.case.get("setup") {
            self.other.batch_execute(setup).await.unwrap();
            if self.case.from().is_some() {
                t.refresh().await;
            }
        }
    }

    /// Returns the words of a plan that refuses.
    fn compare_plan(&self, what: &str, decided: &table::TablePlan) -> Option<&'static str> {
        let force = self.situation == Situation::Forced;
        match self.case.planned(force)? {
            Planned::Refused(words) => {
                assert!(says(&decided.refusals, words), "{what}: {decided:?}");
                return Some(words);
            }
            Planned::Replace(attribute) => assert_eq!(decided.replace, [attribute], "{what}"),
            // With rows there are more.
            Planned::Steps(_) if self.situation == Situation::Ours => {}
            Planned::Steps(steps) => {
                let planned: Vec<&str> = decided.steps.iter().map(|step| step.sql.as_str()).collect();
                assert_eq!(planned, steps, "{what}");
            }
        }
        assert!(decided.refusals.is_empty(), "{what}: {decided:?}");
        None
    }

    /// The two halves of a replacement.
    async fn replace(&mut self, desired: &TableSpec, rows: &Value) -> Result<(), Error> {
        self.target.drop().await?;
        (self.target.prior, self.target.observed, self.target.owned) = (None, None, None);
        self.target.apply_rows(desired, rows).await.map(drop)
    }

    /// Puts a line into the server's log.
    async fn mark(&self, kind: &str, what: &str) {
        self.other.batch_execute(&format!("select '{kind}: {}'", what.replace('\'', ""))).await.unwrap();
    }

    /// Every row, or that there is no table.
    async fn dump(&self) -> String {
        let kind = self.other.query_opt("select relkind::text from pg_class where oid = to_regclass('t')", &[]).await;
        match kind.unwrap().map(|row| row.get::<_, String>(0)).as_deref() {
            None => return "gone".to_owned(),
            Some("f") => return "foreign".to_owned(),
            Some(_) => {}
        }
        let found = self.other.simple_query("select * from t order by t::text").await.unwrap();
        let rows = found.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).unwrap_or("")).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect::<Vec<_>>().join("; ")
    }

    async fn judge(&self, what: &str, refused: Option<&str>, result: Result<(), Error>, before: &str) {
        let after = self.dump().await;
        let Some(words) = refused else {
            assert!(result.is_ok(), "{what}: {:?}", result.unwrap_err());
            let expected = match self.situation {
                Situation::Empty => return,
                Situation::Theirs => "becomes",
                Situation::Forced => "forced",
                Situation::Ours => "written",
            };
            let expected = self.case.get(expected).unwrap_or_else(|| panic!("{what}: no {expected}"));
            assert_eq!(after, expected, "{what}");
            return;
        };
        let words = words.strip_prefix("at apply: ").unwrap_or(words);
        let Err(error) = result else { panic!("{what}: it was not refused") };
        assert!(says(std::slice::from_ref(&error), words), "{what}: {error}");
        assert!(error.advised().is_some(), "{what}: {error} says not what to do");
        assert_eq!(after, before, "{what}: nothing was changed");
    }
}

/// Whether the errors say all of it.
fn says(errors: &[Error], words: &str) -> bool {
    !errors.is_empty()
        && words
            .split("; ")
            .all(|part| part.starts_with("in the row") || errors.iter().any(|e| e.message().contains(part)))
        && errors.iter().any(|e| words.split("; ").last().is_some_and(|part| e.message().contains(part)))
}

/// The statements of one case in the server's log that change something; what belongs to the session alone is left out.
fn statements(log: &str, what: &str) -> Vec<String> {
    let marked = |kind: &str| format!("select '{kind}: {what}'");
    let begin = log.find(&marked("begin")).unwrap_or_else(|| panic!("{what} is not in the log"));
    let end = log[begin..].find(&marked("end")).map_or(log.len(), |at| begin + at);
    let mut entries: Vec<String> = Vec::new();
    for line in log[begin..end].lines().skip(1) {
        match (line.strip_prefix('\t'), line.split_once(" LOG:  ").map(|(_, entry)| entry)) {
            (Some(more), _) => {
                if let Some(last) = entries.last_mut() {
                    *last = format!("{last}\n{more}");
                }
            }
            (None, entry) => entries.push(entry.unwrap_or_default().to_owned()),
        }
    }
    let sql = |entry: &String| entry.split_once(": ").map(|(_, sql)| sql.to_owned());
    let changes = |sql: &String| {
        let words = [
            "alter ",
            "create ",
            "drop ",
            "comment ",
            "lock ",
            "insert ",
            "update ",
            "delete ",
            "set constraints ",
            "truncate ",
        ];
        let own = [
            "create temp",
            "insert into pg_temp",
            "alter table pg_temp",
            "drop table pg_temp",
            "drop function pg_temp",
        ];
        words.iter().any(|word| sql.starts_with(word))
            && !own.iter().any(|word| sql.starts_with(word))
            && !sql.starts_with("create function pg_temp")
    };
    entries
        .iter()
        .filter(|entry| entry.starts_with("statement: ") || entry.starts_with("execute "))
        .filter_map(sql)
        .filter(changes)
        .collect()
}

/// Whether it is every planned statement in its order, but perhaps without the skippable ones, and nothing else.
fn is_as_planned(ran: &[String], steps: &[Step]) -> bool {
    let mut ran = ran.iter().peekable();
    for step in steps {
        if ran.next_if(|sql| **sql == step.sql).is_none() && !step.skippable {
            return false;
        }
    }
    ran.next().is_none()
}

#[tokio::test]
async fn every_transition_comes_out_as_it_is_listed_on_the_older_server() {
    carry_out(TestDatabase::VERSIONS[0]).await;
}

#[tokio::test]
async fn every_transition_comes_out_as_it_is_listed_on_the_newer_server() {
    carry_out(TestDatabase::VERSIONS[1]).await;
}

async fn carry_out(major: u32) {
    let mut target = Target::new(major).await;
    target.query(&format!("alter database {} set timezone = 'UTC'", target.server.name)).await;
    let other = crate::rows::connect(&target.server).await;
    let (mut wrong, mut done) = (Vec::new(), Vec::new());
    for case in &cases::cases() {
        for situation in [Situation::Empty, Situation::Theirs, Situation::Forced, Situation::Ours] {
            let mut run = Run { target: &mut target, other: &other, case, situation, done: &mut done };
            if run.is_said() && AssertUnwindSafe(run.run()).catch_unwind().await.is_err() {
                wrong.push(format!("{} ({situation:?})", case.name));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(done.len() > 120, "{}", done.len());
    let log = target.server.log().await;
    for (what, steps) in &done {
        let ran = statements(&log, what);
        assert!(is_as_planned(&ran, steps), "{what}: planned {steps:#?}, and the server saw {ran:#?}");
    }
}
