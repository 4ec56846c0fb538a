//! Calls of the processes of `JOB` functions on the runtime listener: their input and their result.
//!
//! A process has a token, which is good for one attempt. It fetches its input, which makes the
//! attempt's request written, and posts its result, which completes the attempt: a client that waits is
//! answered at the post and not at the process's end. [`dispatch::job`](crate::dispatch::job) says what each means.

use std::rc::Rc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;

use super::Gateway;
use super::body::{BodySource, BodyWasTooLarge};
use super::calls::RequestHead;
use crate::api::response;
use crate::api::response::Body;
use crate::dispatch::job::job_input::input;
use crate::dispatch::job::job_token::{TokenError, check_token, read_token, unauthorized};
use crate::dispatch::job::posted_result::{no_result, outcome_of_post, posted_result, result_bytes_max};
use crate::error::{ApiError, ErrorCode};
use crate::id::{ExecutionId, Token};

impl Gateway {
    /// `GET /v1/internal/executions/{id}/input`.
    pub fn job_input(self: &Rc<Self>, id: &str, headers: &HeaderMap) -> Response<Body> {
        let id = match self.authorize(id, headers) {
            Ok((id, _)) => id,
            Err(error) => return response::error(&error),
        };
        let now = self.clock.now();
        self.executions.borrow_mut().written(id.ticket, 0, now);
        let input = self.executions.with(id.ticket, |id, execution| input(id, execution, now));
        // The execution stays in the store until its attempt has ended.
        input.unwrap_or_else(|| {
            response::error(&ApiError::new(ErrorCode::Internal, "the record of the execution was lost"))
        })
    }

    /// `POST /v1/internal/executions/{id}:complete`.
    pub async fn complete_job(
        self: &Rc<Self>,
        id: &str,
        headers: &HeaderMap,
        body: BodySource,
    ) -> Response<Body> {
        match self.take_result(id, headers, body).await {
            Ok(()) => response::no_content(),
            Err(error) => response::error(&error),
        }
    }

    async fn take_result(
        self: &Rc<Self>,
        id: &str,
        headers: &HeaderMap,
        body: BodySource,
    ) -> Result<(), ApiError> {
        // Before its body is read, lest anybody who knows no token sends a large one.
        let (id, token) = self.authorize(id, headers).map_err(ApiError::closing)?;
        let read = self.read_body_of(body, result_bytes_max(self.output_max())).await;
        let read = outcome_of_post(read, self.output_max());
        // The attempt may have ended while the body came.
        self.check_attempt(id, token)?;
        if let Err(error) = &read
            && error.code == ErrorCode::InvalidCompletion
        {
            self.executions.borrow_mut().posted_none(id.ticket, no_result(error));
        }
        let (outcome, refused) = read?;
        let result = posted_result(outcome, headers, self.clock.now());
        if let Some((running, how)) = self.complete(id.ticket, result) {
            running.posted(how);
        }
        refused.map_or(Ok(()), Err)
    }

    /// `POST /v1/internal/executions/{id}:complete` of an execution that another gateway owns. Only
    /// the owner knows its tokens, so the body is read first, within the same limits, where there is one at all.
    pub(super) async fn pass_result(
        &self,
        owner: usize,
        head: RequestHead<'_>,
        body: BodySource,
    ) -> Response<Body> {
        if read_token(&head.parts.headers).is_none() {
            return response::error(&unauthorized().closing());
        }
        match self.read_body_of(body, result_bytes_max(self.output_max())).await {
            Ok(body) => self.ask_gateway(owner, head, body).await,
            // Only the owner can settle the attempt, so it is told.
            Err(error) if error.code == ErrorCode::BodyTooLarge => {
                let mut parts = head.parts.clone();
                parts.extensions.insert(BodyWasTooLarge);
                self.ask_gateway(owner, RequestHead { parts: &parts, ..head }, Bytes::new()).await
            }
            Err(error) => response::error(&error),
        }
    }

    /// The execution whose attempt is running and has the token that was sent, with that token.
    fn authorize(&self, id: &str, headers: &HeaderMap) -> Result<(ExecutionId, Token), ApiError> {
        let token = read_token(headers).ok_or_else(unauthorized)?;
        let id = self.find(id)?;
        self.check_attempt(id, token)?;
        Ok((id, token))
    }

    /// Checks that the running attempt of an execution has a token.
    fn check_attempt(&self, id: ExecutionId, token: Token) -> Result<(), ApiError> {
        let checked = self.executions.with(id.ticket, |_, execution| {
            let checked = check_token(execution, token);
            if matches!(checked, Err(TokenError::Late(_))) {
                execution.entry.metrics().late_results.add_one();
            }
            checked
        });
        match checked {
            Some(Ok(())) => Ok(()),
            Some(Err(TokenError::Late(error))) => Err(error),
            Some(Err(TokenError::Unknown)) => Err(unauthorized()),
            // It has left the store since it was found, which its id tells.
            None => Err(self.find(&id.to_string()).err().unwrap_or_else(unauthorized)),
        }
    }
}
