//! The last lines of a process, to tell why it ended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::id::{ExecutionId, ID_LEN};
use crate::instance::InstanceProblem;

/// Lines kept to explain why a process ended.
const TAIL_LINES_MAX: usize = 20;
/// Most output of a process that is told as the reason of its end, in bytes.
const REASON_BYTES_MAX: usize = 2000;

/// The last lines of one process, to tell why it ended: the one place that decides which of them a caller
/// may be told. Those of a process that has one execution are that execution's; those of one that takes many
/// only until it takes any, for a line that it writes later may be of any caller. One with the id of another
/// execution is told to nobody.
#[derive(Debug, Default, Clone)]
pub struct Tail(Rc<RefCell<TailBuffer>>);

#[derive(Debug, Default)]
struct TailBuffer {
    lines: VecDeque<String>,
    /// There were others.
    withheld: bool,
    /// Output from now on may be of any execution.
    shared: bool,
}

impl Tail {
    /// Whether the line may be told; the rest of one that may not is no better.
    pub(super) fn push(&self, line: &str, execution: Option<ExecutionId>) -> bool {
        let mut buffer = self.0.borrow_mut();
        if buffer.shared || names_another(line, execution) {
            buffer.withheld = true;
            return false;
        }
        if buffer.lines.len() == TAIL_LINES_MAX {
            buffer.lines.pop_front();
        }
        buffer.lines.push_back(line.to_owned());
        true
    }

    /// The process takes executions from now on, of many callers.
    pub fn become_shared(&self) {
        let mut buffer = self.0.borrow_mut();
        buffer.lines.clear();
        (buffer.shared, buffer.withheld) = (true, true);
    }

    /// The lines, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.borrow().lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// A reason, and the last of what the process wrote; or the path where that is read, where it is not to
    /// be told.
    #[must_use]
    pub fn explain(&self, reason: &str, log: &str) -> InstanceProblem {
        let tail = self.text();
        if tail.is_empty() && self.0.borrow().withheld {
            return InstanceProblem::new(format!("{reason}; what it wrote is read with GET {log}"));
        }
        let start = tail.len().saturating_sub(REASON_BYTES_MAX);
        let start = (start..tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(0);
        InstanceProblem { reason: reason.to_owned(), last_lines: Some(tail[start..].to_owned()) }
    }
}

/// Whether a line has what has the form of an id, and is not that of this execution.
fn names_another(text: &str, execution: Option<ExecutionId>) -> bool {
    let words = text.split(|character: char| !character.is_ascii_hexdigit());
    words.filter(|word| word.len() == ID_LEN).any(|word| ExecutionId::parse(word) != execution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_wrote_before_it_took_executions_is_not_told_afterwards() {
        let tail = Tail::default();
        assert!(tail.push("loading", None));
        tail.become_shared();
        assert!(!tail.push("charging card 4111", None));
        assert_eq!(tail.text(), "");
    }
}
