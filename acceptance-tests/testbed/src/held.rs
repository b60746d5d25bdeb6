//! A session that stays open beside a test, to stand in the way of what the test runs.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio_postgres::NoTls;

use crate::{Result, TestDatabase};

/// An open session; it ends, and its transaction with it, when dropped.
#[derive(Debug)]
pub struct Held {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// Opens a session and runs statements in it.
    pub fn new(database: &TestDatabase, sql: &str) -> Result<Self> {
        let (config, sql) = (database.address().config(&database.name), sql.to_owned());
        let (ready, is_ready) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let opened = async {
                    let (client, connection) = config.connect(NoTls).await?;
                    let running = tokio::spawn(connection);
                    client.batch_execute(&sql).await?;
                    Ok::<_, tokio_postgres::Error>((client, running))
                };
                match opened.await {
                    Ok((client, running)) => {
                        // Nobody listens when the test has ended meanwhile, and then the session ends as well.
                        let _ = ready.send(Ok(()));
                        let _ = ended.await;
                        drop(client);
                        let _ = running.await;
                    }
                    Err(e) => {
                        let _ = ready.send(Err(e.to_string()));
                    }
                }
            });
        });
        is_ready.recv().map_err(|e| e.to_string())??;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}
