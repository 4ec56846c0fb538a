//! Metrics of the calls to the API server, by number and duration: a layer around the client.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::http::Method;
use kube::core::Status;
use prometheus::{HistogramOpts, HistogramVec};
use tower::{Layer, Service};

/// Upper bounds (s) of the buckets: a call within the cluster takes some milliseconds, and one that waits
/// for its turn at an API server that is busy some seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// The calls that were made, by verb and resource, as Kubernetes' own rules name them. A watch counts when
/// it is accepted, not when it ends.
#[derive(Clone, Debug)]
pub struct Calls {
    /// `picofaas_kube_request_seconds{verb,resource}`.
    pub seconds: HistogramVec,
}

impl Calls {
    /// None yet.
    ///
    /// # Errors
    /// Never with the names that stand here.
    pub fn new() -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "picofaas_kube_request_seconds",
            "Calls to the Kubernetes API server, until their answer began",
        );
        let seconds = HistogramVec::new(options.buckets(BUCKETS_S.to_vec()), &["verb", "resource"])?;
        Ok(Self { seconds })
    }
}

impl<S> Layer<S> for Calls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { calls: self.clone(), inner }
    }
}

/// A client whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    calls: Calls,
    inner: S,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = rule(request.method(), request.uri().path(), request.uri().query());
        let seconds = self.calls.seconds.with_label_values(&[verb, &resource]);
        let answer = self.inner.call(request);
        let began = now();
        Box::pin(async move {
            let answered = answer.await;
            seconds.observe(began.elapsed().as_secs_f64());
            answered
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a duration for people, on a thread that decides nothing by it"
)]
fn now() -> Instant {
    Instant::now()
}

/// The verb and the resource that a rule of a Role would have to name for a call.
#[must_use]
pub(super) fn rule(method: &Method, path: &str, query: Option<&str>) -> (&'static str, String) {
    let mut parts = path.trim_matches('/').split('/').skip_while(|part| !matches!(*part, "api" | "apis"));
    // A version, or a group and a version.
    let skipped = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return ("get", "nonresource".to_owned()),
    };
    let mut parts = parts.skip(skipped);
    let first = parts.next();
    // After this word comes a namespace's name, and then what is asked for in it.
    let resource = if first == Some("namespaces") { parts.nth(1) } else { first };
    let (resource, name, sub) = (resource.unwrap_or("namespaces"), parts.next(), parts.next());
    let watches =
        query.is_some_and(|query| query.split('&').any(|one| matches!(one, "watch=true" | "watch=1")));
    let verb = match (method, name) {
        (&Method::GET, None) if watches => "watch",
        (&Method::GET, None) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, None) => "deletecollection",
        (&Method::DELETE, Some(_)) => "delete",
        _ => "get",
    };
    (verb, sub.map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}")))
}

/// Longest time of a call; the API server queues by itself for up to a minute, and nobody here is
/// helped by an answer that late.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The error of a call.
#[derive(Debug)]
pub(super) enum KubeError {
    /// The API server answered with this status.
    Answered(Box<Status>),
    /// There was no answer, and it is not known what became of the call; with the reason.
    Away(String),
}

/// The text for an answer that says that the control plane lacks a permission, and not that the object is wrong.
/// The message names the verb and the resource.
#[must_use]
pub(super) fn permission(message: &str) -> Option<String> {
    let is_one =
        message.contains(" cannot ") && message.contains("in API group") || message == "Unauthorized";
    is_one.then(|| format!("the control plane lacks a permission (k8s/20-rbac.yaml): {message}"))
}

/// Whether a 403 comes from an API server that has not read its own objects yet. It answers calls before that:
/// roles that every cluster has are then not found, and admission plugins say that they are not ready.
fn is_starting(message: &str) -> bool {
    message.contains("clusterrole.rbac.authorization.k8s.io \"system:") && message.contains("not found")
        || message.contains("not yet ready to handle request")
}

/// Makes a call, within [`CALL_TIMEOUT`].
///
/// # Errors
/// See [`KubeError`].
pub(super) async fn in_time<T>(called: impl Future<Output = kube::Result<T>>) -> Result<T, KubeError> {
    match tokio::time::timeout(CALL_TIMEOUT, called).await {
        Ok(answered) => answered.map_err(KubeError::from),
        Err(_) => Err(KubeError::Away(format!("no answer within {} s", CALL_TIMEOUT.as_secs()))),
    }
}

impl From<kube::Error> for KubeError {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            if status.code == 403 && is_starting(&status.message) {
                return Self::Away(format!("the API server has only just started: {}", status.message));
            }
            return Self::Answered(status);
        }
        // The innermost reason: what is around it repeats it.
        let mut innermost: &dyn std::error::Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Self::Away(innermost.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_the_rule_that_allows_it() {
        let of = |method: Method, path: &str, query: Option<&str>| {
            let (verb, resource) = rule(&method, path, query);
            format!("{verb} {resource}")
        };
        let jobs = "/apis/batch/v1/namespaces/picofaas/jobs";
        assert_eq!(of(Method::POST, jobs, Some("")), "create jobs");
        assert_eq!(of(Method::DELETE, jobs, Some("labelSelector=a%3Db")), "deletecollection jobs");
        assert_eq!(of(Method::DELETE, &format!("{jobs}/one"), None), "delete jobs");
        let pods = "/api/v1/namespaces/picofaas/pods";
        assert_eq!(of(Method::GET, pods, Some("&watch=true&timeoutSeconds=60")), "watch pods");
        assert_eq!(of(Method::GET, pods, Some("limit=500")), "list pods");
        assert_eq!(of(Method::GET, &format!("{pods}/one"), None), "get pods");
        assert_eq!(of(Method::GET, &format!("{pods}/one/log"), Some("follow=true")), "get pods/log");
        let function = "/apis/picofaas.dev/v1/namespaces/picofaas/functions/one";
        assert_eq!(of(Method::PUT, function, None), "update functions");
        assert_eq!(of(Method::PATCH, &format!("{function}/status"), None), "patch functions/status");
        assert_eq!(of(Method::GET, "/version", None), "get nonresource");
        // A path in front, as proxies and some providers have one.
        assert_eq!(of(Method::GET, &format!("/k8s/clusters/c1{pods}/one"), None), "get pods");
    }
}
