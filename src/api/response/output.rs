//! The answer to `GET /v1/executions/{id}/output`: the output of an execution and nothing around it.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};

use super::body::Body;
use super::{X_ERROR_SOURCE, json, push_error, push_output, retry_after, status_code};
use crate::error::{ApiError, ErrorCode, ErrorSource};
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::web_exchange::WebExchange;

/// The type of bytes of which nothing is said.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The output of an execution, or the error that it ended with.
///
/// # Errors
/// `NOT_ENDED`; `NO_OUTPUT`, where its client had the answer and it is not kept.
pub(crate) fn output(id: ExecutionId, execution: &Execution) -> Result<Response<Body>, ApiError> {
    if !execution.has_ended() {
        let text = format!(
            "the execution is {} and has no output yet; ask for it with ?wait=SECONDS, or look at the status of /v1/executions/{id}",
            execution.stage().as_str()
        );
        return Err(ApiError::new(ErrorCode::NotEnded, text));
    }
    match (execution.web.as_deref(), &execution.error) {
        (Some(WebExchange { kept: Some(headers), status, .. }), _) => {
            Ok(kept(headers, *status, execution.output.clone()))
        }
        (_, Some(error)) => {
            let mut body = b"{\"error\":".to_vec();
            push_error(&mut body, Some(error));
            body.push(b'}');
            let mut response = json(error.http, body);
            let headers = response.headers_mut();
            headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(error.source.as_str()));
            if let Some(seconds) = retry_after(execution, error) {
                headers.insert(RETRY_AFTER, seconds.into());
            }
            not_a_page(headers);
            Ok(response)
        }
        (Some(_), None) => {
            let text = "the answer went to its client and is not kept; a request with `Prefer: respond-async` has it kept";
            Err(ApiError::new(ErrorCode::NoOutput, text))
        }
        (None, None) => {
            let mut body = Vec::with_capacity(execution.output.len().max(4));
            push_output(&mut body, &execution.output);
            let mut response = json(200, body);
            not_a_page(response.headers_mut());
            Ok(response)
        }
    }
}

/// An answer that was kept: its bytes with its type. An error of the function keeps its status; any other is a 200,
/// as it is the kept answer that was asked for.
fn kept(headers: &HeaderMap, status: u16, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = headers.clone();
    response.headers_mut().entry(CONTENT_TYPE).or_insert(BYTES);
    not_a_page(response.headers_mut());
    if status >= 400 {
        *response.status_mut() = status_code(status);
        let source = HeaderValue::from_static(ErrorSource::Function.as_str());
        response.headers_mut().insert(X_ERROR_SOURCE, source);
    }
    response
}

/// Has a browser take the bytes of a function for a file, and not for a page beside the API, which could call it.
fn not_a_page(headers: &mut HeaderMap) {
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}
