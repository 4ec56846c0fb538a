//! Refusals by an API server that has just come back, which are none: a layer around the client.
//!
//! An API server answers before it has read the roles that it grants rights by. Where it has not read a
//! RoleBinding yet, its refusal is the same as one for a right that nobody gave (`RBACAuthorizer` of Kubernetes reads
//! roles, bindings and those of the whole cluster each by themselves). So what it refuses shortly after it could not be
//! reached counts as no answer, and is asked again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Request, Response, StatusCode};
use tower::{BoxError, Layer, Service};

use crate::clock::{Clock, Nanos};

/// Time after the last call without an answer within which a refusal is doubted. Roles are read within a second,
/// on a busy machine within some more.
const DOUBT: Duration = Duration::from_secs(10);

/// The memory of when the API server was last away, shared by all clients of it.
#[derive(Clone, Debug)]
pub(super) struct ApiServerReturn {
    clock: Clock,
    /// End of the time of doubt, in nanoseconds of the clock. Written and read by the tasks of calls, each for
    /// itself: nothing else is published by it.
    doubted_until: Arc<AtomicU64>,
}

impl ApiServerReturn {
    /// It was not away yet.
    #[must_use]
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, doubted_until: Arc::default() }
    }

    fn is_away(&self) {
        let doubt = Nanos::try_from(DOUBT.as_nanos()).unwrap_or(Nanos::MAX);
        self.doubted_until.store(self.clock.now().saturating_add(doubt), Ordering::Relaxed);
    }

    fn doubts(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && self.clock.now() < self.doubted_until.load(Ordering::Relaxed)
    }
}

impl<S> Layer<S> for ApiServerReturn {
    type Service = Doubting<S>;

    fn layer(&self, inner: S) -> Doubting<S> {
        Doubting { server: self.clone(), inner }
    }
}

/// A client that believes no refusal of an API server that has just come back.
#[derive(Clone, Debug)]
pub(super) struct Doubting<S> {
    server: ApiServerReturn,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Doubting<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + 'static,
    A: 'static,
{
    type Response = Response<A>;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<A>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(answer) if server.doubts(answer.status()) => Err(Doubted(answer.status()).into()),
                Ok(answer) => Ok(answer),
                Err(error) => {
                    server.is_away();
                    Err(error.into())
                }
            }
        })
    }
}

/// A refusal that is doubted.
#[derive(Debug)]
struct Doubted(StatusCode);

impl fmt::Display for Doubted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        write!(
            f,
            "the API server could not be reached a moment ago and may not have read its roles yet: it answered {status}"
        )
    }
}

impl std::error::Error for Doubted {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// An answer of the API server, or none.
    #[derive(Clone, Copy)]
    enum Answer {
        Status(u16),
        None,
    }

    /// The results of calls that are answered so, one after the other.
    fn told(server: &ApiServerReturn, answers: &[Answer]) -> Vec<Result<u16, String>> {
        let next = Cell::new(0);
        let inner = tower::service_fn(|_: Request<()>| {
            let answer = answers[next.replace(next.get() + 1)];
            std::future::ready(match answer {
                Answer::Status(status) => Ok(Response::builder().status(status).body(()).unwrap()),
                Answer::None => Err(BoxError::from("connection refused")),
            })
        });
        let mut client = server.layer(inner);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let call = |_| {
            let answered = runtime.block_on(client.call(Request::new(())));
            answered.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
        };
        answers.iter().map(call).collect()
    }

    #[test]
    fn a_refusal_is_believed_but_not_of_an_api_server_that_was_away_a_moment_ago() {
        let server = ApiServerReturn::new(Clock::start());
        assert_eq!(told(&server, &[Answer::Status(403)]), [Ok(403)]);
        let told_now =
            told(&server, &[Answer::None, Answer::Status(403), Answer::Status(200), Answer::Status(409)]);
        assert_eq!(told_now[0], Err("connection refused".to_owned()));
        let doubted = told_now[1].as_ref().unwrap_err();
        assert!(doubted.contains("may not have read its roles yet: it answered 403"), "{doubted}");
        assert_eq!(told_now[2..], [Ok(200), Ok(409)]);
        // The time of doubt is over.
        server.doubted_until.store(0, Ordering::Relaxed);
        assert_eq!(told(&server, &[Answer::Status(401), Answer::Status(403)]), [Ok(401), Ok(403)]);
    }
}
