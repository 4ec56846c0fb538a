//! An API server for tests of parts: notes each call and says that it succeeded.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use hyper::{Request, Response};
use kube::client::Body;
use kube::{Api, Client};
use tower::Service;

use crate::channel::{MessageReceiver, MessageSender, mpsc};

/// More calls than a test makes.
const CALLS_MAX: usize = 64;

/// The server: `METHOD NAME` of each call goes to `calls`.
#[derive(Clone)]
struct FakeApi {
    calls: MessageSender<String>,
}

/// Objects of one kind at such a server, and the calls that are made for them.
pub(super) fn objects<K>() -> (Api<K>, MessageReceiver<String>)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    let (calls, made) = mpsc::channel(CALLS_MAX);
    (Api::namespaced(Client::new(FakeApi { calls }, "test"), "test"), made)
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        self.calls.try_send(format!("{} {name}", request.method())).expect("there is room for each call");
        let done = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":200}"#;
        ready(Ok(Response::new(Body::from(done.to_vec()))))
    }
}
