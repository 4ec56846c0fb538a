//! The handler `web`: it answers by the path.
//!
//! | path | answer |
//! |---|---|
//! | `/count` | the number of the body's bytes and their sum; with `go` it waits for this file before it reads, with `here` it makes this file when the first of the body has come, with `done` this one at its end |
//! | `/echo` | each piece of the body as it comes |
//! | `/status/N` | the status N and the text `status N` |
//! | `/pieces` | `first` and, once there is the file `go`, `second` |
//! | `/flood` | so many `bytes`; makes the file `done` when all are written |
//! | `/break` | `begin`, and breaks off; with `length` that was promised |
//! | `/short` | `begin`, of the 10 bytes that it promises |
//! | `/endless` | `more` every 10 ms; makes the file `gone` when nobody reads any more |
//! | `/upgrade` | 101; sends back what comes, and says `bye` at the end; makes the file `gone` when it is over |
//! | `/fail` | a 418 `TEAPOT`, as a failure of the handler |
//! | `/panic` | a panic; with `late` one in the middle of the body |
//! | `/host` | the name of the machine |
//! | `/never` | none; makes the file `gone` when nobody waits for it any more |
//! | any other | the request's method, target and headers |

use std::fs::File;
use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use picofaas_runtime::http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    SET_COOKIE, UPGRADE,
};
use picofaas_runtime::http::{Request, Response, StatusCode, Uri};
use picofaas_runtime::{HandlerError, RequestBody, ResponseBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PIECE_BYTES: usize = 1 << 16;

type Answer = Result<Response<ResponseBody>, HandlerError>;

pub(crate) async fn web(request: Request<RequestBody>) -> Answer {
    let path = request.uri().path().to_owned();
    match path.split('/').find(|part| !part.is_empty()) {
        Some("count") => count(request).await,
        Some("echo") => echo(request),
        Some("status") => status(path.rsplit('/').next().unwrap_or_default().parse()?),
        Some("pieces") => pieces(&request),
        Some("flood") => flood(&request),
        Some("break") => break_off(&request),
        Some("short") => short(),
        Some("endless") => endless(&request),
        Some("upgrade") if request.headers().get(UPGRADE).is_some_and(|to| to == "websocket") => {
            upgrade(request)
        }
        Some("fail") => Err(HandlerError::new(418, "TEAPOT", "no coffee here")),
        Some("panic") => fall_over(&request),
        Some("host") => with_type("text/plain", std::env::var("HOSTNAME").unwrap_or_default().into()),
        Some("never") => {
            let _gone = Gone(query(request.uri(), "gone"));
            pending().await
        }
        _ => inspect(&request),
    }
}

/// Makes a file when it is dropped.
struct Gone(Option<String>);

impl Drop for Gone {
    fn drop(&mut self) {
        make(self.0.take());
    }
}

fn make(file: Option<String>) {
    if let Some(file) = file {
        File::create_new(file).expect("a file that is not there");
    }
}

/// A value of the query, which has nothing to decode.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}

async fn wait_for(file: Option<String>) {
    while file.as_ref().is_some_and(|file| !std::path::Path::new(file).exists()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn with_type(kind: &str, body: ResponseBody) -> Answer {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(kind)?);
    Ok(response)
}

async fn count(request: Request<RequestBody>) -> Answer {
    let (head, mut body) = request.into_parts();
    wait_for(query(&head.uri, "go")).await;
    let mut here = query(&head.uri, "here");
    let (mut bytes, mut sum) = (0, 0);
    while let Some(piece) = body.chunk().await? {
        make(here.take());
        bytes += piece.len();
        sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    make(query(&head.uri, "done"));
    with_type("application/json", format!("{{\"bytes\":{bytes},\"sum\":{sum}}}").into())
}

fn echo(request: Request<RequestBody>) -> Answer {
    with_type("application/octet-stream", ResponseBody::new(request.into_body()))
}

fn status(number: u16) -> Answer {
    let status = StatusCode::from_u16(number)?;
    let body = match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => ResponseBody::empty(),
        _ => format!("status {number}").into(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/x-status"));
    headers.insert(LOCATION, HeaderValue::from_static("/elsewhere?a=b"));
    headers.insert(SET_COOKIE, HeaderValue::from_static("a=1; Path=/"));
    headers.append(SET_COOKIE, HeaderValue::from_static("b=2; HttpOnly"));
    Ok(response)
}

fn pieces(request: &Request<RequestBody>) -> Answer {
    let go = query(request.uri(), "go");
    let kind = request.headers().get(ACCEPT).map_or(Ok("text/plain"), HeaderValue::to_str)?;
    let body = ResponseBody::written(async move |mut writer| {
        writer.write("first").await?;
        wait_for(go).await;
        writer.write("second").await
    });
    with_type(kind, body)
}

fn flood(request: &Request<RequestBody>) -> Answer {
    let mut left: usize = query(request.uri(), "bytes").unwrap_or_default().parse()?;
    let done = query(request.uri(), "done");
    let body = ResponseBody::written(async move |mut writer| {
        let piece = Bytes::from(vec![0; PIECE_BYTES]);
        while left > 0 {
            let count = left.min(PIECE_BYTES);
            writer.write(piece.slice(..count)).await?;
            left -= count;
        }
        make(done);
        Ok::<_, io::Error>(())
    });
    with_type("application/octet-stream", body)
}

fn break_off(request: &Request<RequestBody>) -> Answer {
    let mut response = with_type(
        "text/plain",
        ResponseBody::written(async |mut writer| {
            writer.write("begin").await?;
            Err(HandlerError::internal("it breaks off, as told"))
        }),
    )?;
    if let Some(length) = query(request.uri(), "length") {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_str(&length)?);
    }
    Ok(response)
}

fn short() -> Answer {
    let mut response = with_type("text/plain", "begin".into())?;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("10"));
    Ok(response)
}

fn endless(request: &Request<RequestBody>) -> Answer {
    let gone = Gone(query(request.uri(), "gone"));
    let body = ResponseBody::written(async move |mut writer| -> io::Result<()> {
        let _gone = gone;
        loop {
            writer.write("more").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    with_type("text/plain", body)
}

fn upgrade(mut request: Request<RequestBody>) -> Answer {
    let upgraded = hyper::upgrade::on(&mut request);
    let gone = query(request.uri(), "gone");
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            // A peer that has gone is an end, too.
            let _ = send_back(TokioIo::new(stream)).await;
        }
        make(gone);
    });
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    Ok(response)
}

async fn send_back(mut stream: TokioIo<Upgraded>) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        stream.write_all(&piece[..count]).await?;
    }
    stream.write_all(b"bye").await?;
    stream.shutdown().await
}

fn fall_over(request: &Request<RequestBody>) -> Answer {
    assert!(query(request.uri(), "late").is_some(), "it falls over, as told");
    let body = ResponseBody::written(async |mut writer| -> io::Result<()> {
        writer.write("begin").await?;
        panic!("it falls over late, as told")
    });
    with_type("text/plain", body)
}

fn inspect(request: &Request<RequestBody>) -> Answer {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        [name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()]
    };
    let headers: &HeaderMap = request.headers();
    let told = serde_json::json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers.iter().map(pair).collect::<Vec<_>>(),
    });
    with_type("application/json", told.to_string().into())
}
