//! Returns the body of a web request as it came: the raw handler of the benchmarks.

use std::convert::Infallible;
use std::process::ExitCode;

use http_body_util::{BodyExt as _, Full};
use picofaas_runtime::http::{Request, Response};
use picofaas_runtime::{RequestBody, ResponseBody};

async fn raw(request: Request<RequestBody>) -> Result<Response<ResponseBody>, Infallible> {
    // One that breaks off has no answer that anybody reads.
    let whole = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(ResponseBody::new(Full::new(whole))))
}

fn main() -> ExitCode {
    picofaas_runtime::serve_web(raw)
}
