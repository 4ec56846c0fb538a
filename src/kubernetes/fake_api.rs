//! An API server for tests of parts: notes each call and says that it succeeded; and pods as a watch shows them.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response};
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use tower::Service;

use super::finished_jobs::FinishedJobs;
use crate::channel::{MessageReceiver, MessageSender, mpsc};
use crate::clock::Clock;

/// More calls than a test makes.
const CALLS_MAX: usize = 64;

/// The server: `METHOD NAME` of each call goes to `calls`. The log of a pod with `goes-on` in its name has no end.
#[derive(Clone)]
struct FakeApi {
    calls: MessageSender<String>,
    /// The right that it does not grant, as it is asked for.
    refused: Option<Value>,
}

/// A client of such a server, and the calls that it makes.
pub(super) fn client() -> (Client, MessageReceiver<String>) {
    let (calls, made) = mpsc::channel(CALLS_MAX);
    (Client::new(FakeApi { calls, refused: None }, "test"), made)
}

/// A client of a server that grants every right but one, and the calls that it makes.
pub(super) fn client_without(
    verb: &str,
    resource: &str,
    subresource: Option<&str>,
) -> (Client, MessageReceiver<String>) {
    let (calls, made) = mpsc::channel(CALLS_MAX);
    let refused = Some(json!([verb, resource, subresource]));
    (Client::new(FakeApi { calls, refused }, "test"), made)
}

/// The pod that the Job with this uid has made.
pub(super) fn pod_of_job(job: &str, uid: &str, status: &Value) -> Pod {
    let labels = json!({ "batch.kubernetes.io/job-name": job, "batch.kubernetes.io/controller-uid": uid });
    let name = format!("{job}-{uid}");
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels }, "status": status }))
        .expect("a pod")
}

/// Objects of one kind at such a server, and the calls that are made for them.
pub(super) fn objects<K>() -> (Api<K>, MessageReceiver<String>)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    let (client, made) = client();
    (Api::namespaced(client, "test"), made)
}

/// Finished Jobs at such a server, of which at most so many are kept, for 600 s, and the calls that are made for them.
pub(super) fn finished_jobs(kept_max: usize) -> (Rc<FinishedJobs>, MessageReceiver<String>) {
    let (jobs, made) = objects();
    (FinishedJobs::new(jobs, Clock::start(), kept_max, Duration::from_secs(600)), made)
}

/// Runs a test to its end on one thread, with timers and local tasks.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let options = tokio::runtime::LocalOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build_local(options);
    runtime.expect("a runtime").block_on(test)
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        self.calls.try_send(format!("{} {name}", request.method())).expect("there is room for each call");
        let query = request.uri().query().unwrap_or_default();
        let goes_on = query.contains("follow=true") && request.uri().path().contains("goes-on");
        if name == "selfsubjectaccessreviews" {
            return Box::pin(review(request, self.refused.clone()));
        }
        let done = match (request.method(), name) {
            (&Method::POST, "jobs") => {
                json!({ "kind": "Job", "apiVersion": "batch/v1", "metadata": { "uid": "made" } })
            }
            (&Method::GET, "log") if goes_on => return Box::pin(pending()),
            // Metadata is all that is asked for one.
            (&Method::GET, _) => {
                json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {} })
            }
            _ => {
                json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200 })
            }
        };
        Box::pin(ready(Ok(Response::new(Body::from(done.to_string().into_bytes())))))
    }
}

/// Answers whether a right is granted.
async fn review(request: Request<Body>, refused: Option<Value>) -> Result<Response<Body>, Infallible> {
    let body = request.into_body().collect().await.expect("the body of a request").to_bytes();
    let mut review: Value = serde_json::from_slice(&body).expect("a review");
    let asked = &review["spec"]["resourceAttributes"];
    let right = json!([asked["verb"], asked["resource"], asked["subresource"]]);
    review["status"] = json!({ "allowed": refused != Some(right) });
    Ok(Response::new(Body::from(review.to_string().into_bytes())))
}
