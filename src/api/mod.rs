//! The HTTP surface without state: requests become calls, and what is known becomes a response.
//!
//! | file | holds |
//! |---|---|
//! | `call` | the calls of the API, and who may make each |
//! | `call_headers` | the headers of a call: content type, time limit, key, trace |
//! | `route` | a method and a path become a call |
//! | `query` | parameters of a query string |
//! | `json` | the one pass over the JSON of an invocation and of an output |
//! | `response` | responses: of executions and of errors |
//! | `response/body` | a body: whole, or in pieces |
//! | `response/receipt` | the answer to `:invoke`, with `Server-Timing`, and the memory that it is made of |
//! | `response/summary` | an execution as it is read and listed |
//! | `response/web` | answers at `/fn/{name}` |
//! | `listener` | where a request came in, and what its response may show |
//! | `host` | the `Host` of a request, and its check on a listener that is bound to loopback |
//! | `web_page` | requests that a browser marks for a web page, and the pages that are answered |
//! | `web` | requests for functions that answer HTTP as it is |
//! | `cors` | the headers that let the browser of such a page hand a response on |
//! | `openapi` | the description of the API |

pub(crate) mod call;
pub(crate) mod call_headers;
pub(crate) mod cors;
pub(crate) mod host;
pub(crate) mod json;
pub(crate) mod listener;
pub(crate) mod openapi;
pub(crate) mod query;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod web;
pub(crate) mod web_page;
