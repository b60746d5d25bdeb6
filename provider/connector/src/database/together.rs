//! Answers what several operations ask at the same time in one look at the database.
//!
//! While a look is on its way further questions wait, and the next look answers all of them, on the same connection.
//!
//! **Invariant:** a question is answered only by a look that began after it was asked, and no answer is kept. What becomes
//! of one question is nothing to the others: when it is given up, the look goes on for the rest, and a look that fails is
//! made again for each question alone, under that operation's own limits and with its own error.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt, join, join_all};
use tokio::sync::oneshot;
use tokio_postgres::Client;

use super::Database;
use super::scope::Scope;
use super::session::{Limits, Session};
use crate::error::Error;

/// The limits of a look for several operations: one object that somebody holds a lock on, or that takes long, must not keep
/// all others waiting.
const LIMITS: Limits = Limits { lock: Duration::from_millis(200), statement: Duration::from_secs(2) };

/// Something that can be found out for many objects at once.
pub(crate) trait Question: Clone + Send + Sync + 'static {
    /// What is found out.
    type Answer: Send + 'static;

    /// Completes "Cannot …".
    fn doing(&self) -> String;

    /// Answers the questions in their order. Runs in a read-only transaction of one snapshot that is rolled back, and
    /// should send all that it can before it waits. An error need only name its object where there is one question.
    fn answer(client: &Client, questions: &[Self]) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send;

    /// Says what failed when these questions were to be answered.
    fn failed(questions: &[Self], error: &tokio_postgres::Error) -> Error {
        Error::postgres(questions.first().map_or_else(|| "look".to_owned(), Self::doing), error)
    }
}

/// The desks of one database, one for each kind of question.
#[derive(Debug, Default)]
pub(super) struct Desks(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

/// Where questions of one kind wait.
struct Desk<Q: Question>(Mutex<Queue<Q>>);

struct Queue<Q: Question> {
    waiting: Vec<Asked<Q>>,
    /// Whether somebody answers.
    staffed: bool,
    /// Whether whoever answers has a connection.
    connected: bool,
}

struct Asked<Q: Question> {
    question: Q,
    reply: oneshot::Sender<Reply<Q::Answer>>,
}

enum Reply<A> {
    Answer(A),
    /// The look for all failed.
    Alone,
    /// There is no connection, for nobody.
    Unreachable(Error),
}

/// Answers one question, together with those that others ask at the same time.
pub(super) async fn ask<Q: Question>(database: &Database, scope: &Scope, question: Q) -> Result<Q::Answer, Error> {
    let desk = database.0.desks().desk::<Q>();
    let (reply, answer) = oneshot::channel();
    if desk.put(Asked { question: question.clone(), reply }) {
        tokio::spawn(staff(database.clone(), OnDuty { desk: Arc::clone(&desk), left: false }));
    }
    let answer = scope.run(&question.doing(), answer).await.map_err(|stopped| {
        if desk.queue().connected {
            return stopped;
        }
        let target = database.settings().target_text();
        let message = format!("{} before there was a free connection to {target}", stopped.message());
        stopped.because(message)
    });
    match answer? {
        Ok(Reply::Answer(answer)) => Ok(answer),
        Ok(Reply::Unreachable(error)) => Err(error),
        Ok(Reply::Alone) | Err(_) => alone(database, scope, &question).await,
    }
}

async fn alone<Q: Question>(database: &Database, scope: &Scope, question: &Q) -> Result<Q::Answer, Error> {
    let mut session = database.connect(scope).await?;
    let answers = look(&mut session, std::slice::from_ref(question), None).await;
    let mut answers = answers.map_err(|error| scope.explain(error))?;
    session.give_back();
    answers.pop().ok_or_else(|| Error::new(question.doing(), "the question was not answered"))
}

/// Looks once for all questions.
async fn look<Q: Question>(
    session: &mut Session,
    questions: &[Q],
    limits: Option<Limits>,
) -> Result<Vec<Q::Answer>, Error> {
    let begin = session.begin_look(limits);
    let client: &Client = session;
    // Polled in this order, so both travel at once and the transaction begins before the look.
    let (began, answers) = join(client.batch_execute(&begin), Q::answer(client, questions)).await;
    // Sent, and not waited for: whatever the connection is used for next comes after it.
    let _ = client.batch_execute("rollback").now_or_never();
    began.map_err(|error| Q::failed(questions, &error)).and(answers)
}

/// Answers questions until there are no more.
async fn staff<Q: Question>(database: Database, mut on_duty: OnDuty<Q>) {
    let desk = Arc::clone(&on_duty.desk);
    let mut session: Option<Session> = None;
    loop {
        let Some(mut asked) = desk.next_or_leave() else {
            on_duty.left = true;
            return;
        };
        desk.queue().connected = session.is_some();
        let mut ready = match session.take() {
            Some(ready) => ready,
            None => match connect(&database, &mut asked).await {
                Some(Ok(ready)) => ready,
                Some(Err(error)) => {
                    for Asked { reply, .. } in asked.into_iter().chain(desk.more()) {
                        let _ = reply.send(Reply::Unreachable(error.clone()));
                    }
                    continue;
                }
                None => continue,
            },
        };
        // Only now the look begins, so it may answer these too.
        asked.extend(desk.more());
        desk.queue().connected = true;
        let (questions, mut replies): (Vec<Q>, Vec<_>) =
            asked.into_iter().map(|asked| (asked.question, asked.reply)).unzip();
        let scope = Scope::default();
        ready.watch(&scope);
        let answers = {
            let mut looking = std::pin::pin!(look(&mut ready, &questions, Some(LIMITS)));
            tokio::select! {
                answers = &mut looking => answers,
                () = given_up(&mut replies) => {
                    scope.cancel.cancel();
                    let _ = looking.await;
                    // A cancel request may still be on its way to this connection.
                    continue;
                }
            }
        };
        match answers {
            Ok(answers) => {
                if desk.is_empty() {
                    // Before anybody is answered: who asks next must find the connection in the pool.
                    ready.give_back();
                } else {
                    session = Some(ready);
                }
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Reply::Answer(answer));
                }
            }
            Err(error) => {
                tracing::debug!(%error, questions = questions.len(), "a look for several failed; each looks alone");
                for reply in replies {
                    let _ = reply.send(Reply::Alone);
                }
            }
        }
    }
}

/// Connects, unless everybody who asked gives up before.
async fn connect<Q: Question>(database: &Database, asked: &mut [Asked<Q>]) -> Option<Result<Session, Error>> {
    let scope = Scope::default();
    tokio::select! {
        connected = database.connect(&scope) => Some(connected),
        () = given_up(asked.iter_mut().map(|asked| &mut asked.reply)) => None,
    }
}

/// Waits until nobody waits for these replies any more.
async fn given_up<'a, A: 'a>(replies: impl IntoIterator<Item = &'a mut oneshot::Sender<Reply<A>>>) {
    join_all(replies.into_iter().map(oneshot::Sender::closed)).await;
}

impl Desks {
    fn desk<Q: Question>(&self) -> Arc<Desk<Q>> {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = desks.entry(TypeId::of::<Q>()).or_insert_with(|| Arc::new(Desk::<Q>::default()));
        // Each is kept under its own type.
        Arc::clone(desk).downcast().unwrap_or_default()
    }
}

impl<Q: Question> Default for Desk<Q> {
    fn default() -> Self {
        Self(Mutex::new(Queue { waiting: Vec::new(), staffed: false, connected: false }))
    }
}

impl<Q: Question> Desk<Q> {
    /// Puts a question on the desk, and says whether somebody has to come and answer.
    fn put(&self, asked: Asked<Q>) -> bool {
        let mut queue = self.queue();
        queue.waiting.push(asked);
        !std::mem::replace(&mut queue.staffed, true)
    }

    fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    /// Takes what was asked so far.
    fn more(&self) -> Vec<Asked<Q>> {
        std::mem::take(&mut self.queue().waiting)
    }

    /// Takes what was asked so far; where that is nothing, whoever answers leaves.
    fn next_or_leave(&self) -> Option<Vec<Asked<Q>>> {
        let mut queue = self.queue();
        queue.staffed = !queue.waiting.is_empty();
        queue.staffed.then(|| std::mem::take(&mut queue.waiting))
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Q>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever answers at a desk. However that ends, nobody waits there for ever.
struct OnDuty<Q: Question> {
    desk: Arc<Desk<Q>>,
    left: bool,
}

impl<Q: Question> Drop for OnDuty<Q> {
    fn drop(&mut self) {
        if !self.left {
            let mut queue = self.desk.queue();
            // Without a reply each of them looks alone.
            queue.waiting.clear();
            queue.staffed = false;
        }
    }
}
