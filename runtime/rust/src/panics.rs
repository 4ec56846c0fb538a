//! Catching a handler's panic together with where it happened.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// A panic that was caught.
#[derive(Debug)]
pub(crate) struct Panic {
    /// The message of the `panic!`.
    pub(crate) message: String,
    /// File, line and backtrace, for the log.
    pub(crate) stack: String,
}

thread_local! {
    /// Whether this thread is inside [`caught`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// The stack, from the hook, of the panic that is being caught.
    static STACK: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics inside [`caught`] keep their stack for the log line that has the
/// execution's id; panics elsewhere go to the hook that was there before.
pub(crate) fn install_hook() {
    let other = take_hook();
    set_hook(Box::new(move |panic| {
        if CATCHING.get() {
            let location = panic.location().map_or_else(String::new, |at| format!("panicked at {at}\n"));
            STACK.set(format!("{location}{}", Backtrace::force_capture()));
        } else {
            other(panic);
        }
    }));
}

/// Runs `step`, which is not used again if it panics.
pub(crate) fn caught<T>(step: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(step));
    CATCHING.set(outer);
    result.map_err(|payload| Panic { message: message(&*payload), stack: STACK.take() })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the handler panicked with a value that is not text".to_owned()
    }
}
