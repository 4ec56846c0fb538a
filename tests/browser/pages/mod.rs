//! Web pages in a browser, for tests of what they can do.
//!
//! | file | has |
//! |---|---|
//! | `chromium` | the browser |
//! | `site` | whose page it is: serves it, and takes what it tells; `page.html` is the page |
//! | `recorder` | what the browser asked of a listener, and was answered |
//! | `attempts` | what a page tries at a control plane, and what must come of it |
//! | `visit` | a page of somebody else, from start to end |
//! | `own` | the page of the management listener |

pub(crate) mod attempts;
pub(crate) mod chromium;
pub(crate) mod own;
#[expect(clippy::disallowed_types, reason = "a test has threads of its own")]
pub(crate) mod recorder;
#[expect(clippy::disallowed_types, reason = "a test has threads of its own")]
pub(crate) mod site;
pub(crate) mod visit;
