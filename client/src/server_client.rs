//! Calls of the HTTP API: requests out, answers in, and errors told from them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;

use crate::client_error::ClientError;
#[cfg(feature = "cluster")]
use crate::cluster_functions::ClusterFunctions;
#[cfg(feature = "cluster")]
use crate::cluster_target::ClusterTarget;
use crate::connection::{self, Sender};
#[cfg(feature = "cluster")]
use crate::port_forward;
use crate::printable::excerpt;
use crate::refusal::{Refusal, RefusalError};
use crate::target::{HttpTarget, Target};

/// How long a call that waits for nothing may take.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Largest answer that is read, in bytes: several times what a server can be told to let pass.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Characters of a foreign answer that are shown.
const EXCERPT_CHARS: usize = 80;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("picofaas/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A client of one server.
pub(crate) struct ServerClient {
    target: Target,
    sender: Option<Sender>,
    /// A client of the cluster's API server, once one was needed.
    #[cfg(feature = "cluster")]
    kube: Option<kube::Client>,
}

/// A request to be.
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    limit: Option<Duration>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// A call of the path, which has at most [`CALL_TIME_MAX`].
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let (path, headers, body) = (path.into(), Vec::new(), Bytes::new());
        Self { method, path, headers, body, limit: Some(CALL_TIME_MAX) }
    }

    /// `GET`.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// With a body of JSON.
    pub(crate) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE, JSON)
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With another limit of time, or none.
    pub(crate) fn within(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }
}

impl ServerClient {
    /// A client that connects with its first call.
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            sender: None,
            #[cfg(feature = "cluster")]
            kube: None,
        }
    }

    /// The functions of a cluster, where the target is one.
    ///
    /// # Errors
    /// The kubeconfig does not fit.
    #[cfg(feature = "cluster")]
    pub(crate) async fn cluster_functions(&mut self) -> Result<Option<ClusterFunctions>, ClientError> {
        let cluster = self.cluster().await?;
        Ok(cluster.map(|(cluster, kube)| ClusterFunctions::new(cluster, kube)))
    }

    #[cfg(feature = "cluster")]
    async fn kube(&mut self, cluster: &ClusterTarget) -> Result<kube::Client, ClientError> {
        if self.kube.is_none() {
            self.kube = Some(cluster.client().await?);
        }
        // It was just made.
        self.kube.clone().ok_or_else(|| ClientError::Usage("no client of the cluster".to_owned()))
    }

    async fn connect(&mut self) -> Result<Sender, ClientError> {
        match self.target.clone() {
            Target::Http(http) => connection::open(&http).await,
            #[cfg(feature = "cluster")]
            Target::Cluster(cluster) => {
                let kube = self.kube(&cluster).await?;
                let stream = port_forward::open(&cluster, kube).await?;
                connection::speak_http(&cluster.name(), stream).await
            }
        }
    }

    /// The cluster and a client of its API server, where the target is one.
    ///
    /// # Errors
    /// The kubeconfig does not fit.
    #[cfg(feature = "cluster")]
    pub(crate) async fn cluster(&mut self) -> Result<Option<(ClusterTarget, kube::Client)>, ClientError> {
        match self.target.clone() {
            Target::Http(_) => Ok(None),
            Target::Cluster(cluster) => {
                let kube = self.kube(&cluster).await?;
                Ok(Some((cluster, kube)))
            }
        }
    }

    /// Where it goes.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The server's URL, for messages.
    pub(crate) fn server(&self) -> String {
        self.target.name()
    }

    /// Calls and reads the answer whole, whatever its status.
    ///
    /// # Errors
    /// The server is not there, does not answer in time, or breaks off.
    pub(crate) async fn call(&mut self, call: Call) -> Result<Answer, ClientError> {
        let (server, limit) = (self.server(), call.limit);
        let whole = async {
            let (head, body) = self.send(call).await?.into_parts();
            let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = collected
                .map_err(|error| ClientError::BrokenOff {
                    server: server.clone(),
                    reason: reason_of(&*error),
                })?
                .to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let Some(limit) = limit else { return whole.await };
        match timeout(limit, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::TimedOut { what: format!("no answer from {server}"), limit }),
        }
    }

    /// The same where only a 2xx is an answer.
    ///
    /// # Errors
    /// Also what the server refused.
    pub(crate) async fn ask(&mut self, call: Call) -> Result<Answer, ClientError> {
        let answer = self.call(call).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    /// Calls, and leaves the body to be read; anything but a 2xx is an error.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn stream(&mut self, call: Call) -> Result<Response<Incoming>, ClientError> {
        let response = self.send(call).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| ClientError::BrokenOff { server: self.server(), reason: reason_of(&*error) })?;
        Err(self.refused(&Answer { status: head.status, headers: head.headers, body: body.to_bytes() }))
    }

    async fn send(&mut self, call: Call) -> Result<Response<Incoming>, ClientError> {
        let (base_path, authority, of_target) = match &self.target {
            Target::Http(HttpTarget { url, headers, .. }) => {
                (url.base_path.as_str(), url.authority.as_str(), headers.as_slice())
            }
            // The name that a listener takes wherever it is bound.
            #[cfg(feature = "cluster")]
            Target::Cluster(_) => ("", "localhost", &[] as &[_]),
        };
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{base_path}{}", call.path))
            .body(Full::new(call.body))
            .map_err(|error| ClientError::Usage(format!("{}: {error}", call.path)))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, JSON);
        // The authority was parsed out of a URL.
        if let Ok(host) = HeaderValue::try_from(authority) {
            headers.insert(HOST, host);
        }
        for (name, value) in of_target.iter().cloned().chain(call.headers) {
            headers.insert(name, value);
        }
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        self.sender = Some(sender);
        Ok(response)
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        let server = self.server();
        if error.is_parse() {
            let is_plain = server.starts_with("http://");
            let tls = if is_plain { " (https:// is for servers that speak TLS)" } else { "" };
            return ClientError::NotPicofaas { server, what: format!("the answer is not HTTP/1.1{tls}") };
        }
        ClientError::BrokenOff { server, reason: reason_of(error) }
    }

    /// The error that an answer tells of.
    pub(crate) fn refused(&self, answer: &Answer) -> ClientError {
        #[derive(Deserialize)]
        struct Body {
            error: RefusalError,
        }
        let Ok(Body { error }) = serde_json::from_slice(&answer.body) else { return self.foreign(answer) };
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        ClientError::Refused(Refusal {
            status: answer.status.as_u16(),
            error,
            retry_after_s: retry_after.and_then(|value| value.parse().ok()),
            field_prefix: "",
        })
    }

    /// The error of an answer that picofaas does not give.
    pub(crate) fn foreign(&self, answer: &Answer) -> ClientError {
        let kind = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let text = String::from_utf8_lossy(&answer.body);
        let what = format!(
            "status {}, {}: {}",
            answer.status.as_u16(),
            kind.unwrap_or("no Content-Type"),
            if text.trim().is_empty() { "nothing".to_owned() } else { excerpt(&text, EXCERPT_CHARS) }
        );
        ClientError::NotPicofaas { server: self.server(), what }
    }

    /// The body of an answer, understood.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&self, answer: &'a Answer) -> Result<T, ClientError> {
        serde_json::from_slice(&answer.body).map_err(|_| self.foreign(answer))
    }
}

impl Answer {
    /// A header, where it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The innermost reason, which says most.
pub(crate) fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
