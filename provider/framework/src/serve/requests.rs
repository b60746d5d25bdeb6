//! Requests in tasks of their own.
//!
//! The HTTP/2 server drops a request's work halfway, at whatever it waits for, when its connection is lost. Here the work
//! goes on instead: it hears through [`Connection::ended`](crate::connection::Connection) that nobody waits for it any more, and can
//! roll back.
//!
//! **Invariant:** the process does not end before every request has, or has had its time.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};

/// A service that answers each request in a task.
#[derive(Clone)]
pub(crate) struct InTasks<S> {
    service: S,
    tasks: TaskTracker,
}

impl<S> InTasks<S> {
    /// Lets `service` answer, in tasks that can be waited for.
    pub(crate) fn new(service: S, tasks: TaskTracker) -> Self {
        Self { service, tasks }
    }
}

impl<S> Service<Request<Body>> for InTasks<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let task = self.tasks.spawn(self.service.call(request));
        Box::pin(async move {
            task.await.unwrap_or_else(|_| Ok(Status::internal("the provider failed in this request").into_http()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Waits to be released, then says that it has ended; or panics.
    #[derive(Clone, Default)]
    struct Slow {
        release: Arc<Notify>,
        ended: Arc<AtomicBool>,
        panics: bool,
    }

    impl Service<Request<Body>> for Slow {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Response<Body>, Infallible>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request<Body>) -> Self::Future {
            let this = self.clone();
            Box::pin(async move {
                assert!(!this.panics, "as asked");
                this.release.notified().await;
                this.ended.store(true, Ordering::SeqCst);
                Ok(Response::default())
            })
        }
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_the_answer() {
        let (slow, tasks) = (Slow::default(), TaskTracker::new());

        drop(InTasks::new(slow.clone(), tasks.clone()).call(Request::default()));
        assert_eq!(tasks.len(), 1);
        slow.release.notify_one();
        tasks.close();
        tasks.wait().await;

        assert!(slow.ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let slow = Slow { panics: true, ..Slow::default() };
        let response = InTasks::new(slow, TaskTracker::new()).call(Request::default()).await.unwrap();
        assert_eq!(Status::from_header_map(response.headers()).unwrap().code(), tonic::Code::Internal);
    }
}
