//! Telling control whose an execution is, and when it has ended: the gateway has the execution, and
//! control has the lines that it wrote.

use std::rc::Rc;

use super::Gateway;
use super::execution_calls::expired;
use super::waiting::Waiting;
use crate::channel;
use crate::channel::AnswerSender;
use crate::error::ApiError;
use crate::messages::gateway_message::FoundExecution;

impl Gateway {
    /// Answers both questions, the second when it is time.
    pub(super) fn watch(
        self: &Rc<Self>,
        id: &str,
        found: AnswerSender<Result<FoundExecution, ApiError>>,
        ended: Option<AnswerSender<()>>,
    ) {
        let kept = self.find(id).and_then(|id| {
            let function = self.executions.with(id.ticket, |_, execution| execution.entry.function.clone());
            function.map(|function| FoundExecution { id, function }).ok_or_else(expired)
        });
        if let (Ok(FoundExecution { id, .. }), Some(mut ended)) = (&kept, ended) {
            let waiting = Waiting::new(self.clone(), id.ticket);
            tokio::task::spawn_local(async move {
                tokio::select! {
                    () = waiting => channel::answer(ended, ()),
                    () = ended.closed() => {}
                }
            });
        }
        channel::answer(found, kept);
    }
}
