//! A model of a gateway: it admits, runs, cancels and forgets executions.

use std::collections::VecDeque;

use crate::clock::Nanos;
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::message::GatewayCommand;
use crate::ticket::Ticket;

/// An execution as its gateway knows it, and what the scheduler has been seen to do to it.
pub(super) struct ModelExecution {
    pub ticket: Ticket,
    pub function: u64,
    pub deadline: Nanos,
    pub run_budget: Nanos,
    /// Nothing changes its outcome any more.
    pub terminal: bool,
    /// An attempt is open at the gateway: it owes the scheduler a `GatewayEvent::AttemptEnded`.
    pub attempt_open: bool,
    /// The instance it runs on, from the scheduler's grant until the scheduler has taken the `AttemptEnded`.
    pub flying: Option<InstanceKey>,
    /// When its attempt was granted.
    pub granted: Nanos,
    /// An attempt has reached its instance.
    pub was_begun: bool,
    /// Its answer has begun and outlives the deadline: no timer of the scheduler stops its attempt.
    pub outlives_deadline: bool,
    /// When it was admitted.
    pub admitted: Nanos,
    /// The scheduler has sent its `GatewayCommand::End`.
    pub ended: bool,
    /// The tick in which the scheduler learnt that the gateway had made it terminal.
    pub settled_in: Option<u64>,
}

impl ModelExecution {
    pub(super) fn new(
        ticket: Ticket,
        function: u64,
        admitted: Nanos,
        deadline: Nanos,
        run_budget: Nanos,
    ) -> Self {
        Self {
            ticket,
            function,
            deadline,
            run_budget,
            terminal: false,
            attempt_open: false,
            flying: None,
            granted: 0,
            was_begun: false,
            outlives_deadline: false,
            admitted,
            ended: false,
            settled_in: None,
        }
    }
}

/// One place of the slab.
#[derive(Default)]
pub(super) struct ModelSlot {
    pub generation: u32,
    pub execution: Option<ModelExecution>,
}

/// The execution that a command is about.
pub(super) fn ticket_of(command: GatewayCommand) -> Ticket {
    match command {
        GatewayCommand::Run { ticket, .. }
        | GatewayCommand::Abort { ticket }
        | GatewayCommand::End { ticket, .. } => ticket,
    }
}

/// An instance in the models' maps.
pub(super) fn id(key: InstanceKey) -> (VersionIndex, u16, u32) {
    (key.version, key.place, key.generation)
}

/// One gateway.
pub(super) struct ModelGateway {
    pub index: u8,
    pub slots: Vec<ModelSlot>,
    /// Popped from its ring of commands, not yet looked at.
    pub inbox: VecDeque<GatewayCommand>,
    /// It is to announce a queue and was preempted before it could put the version on the ready ring; it
    /// does nothing else until then.
    pub owes_announcement: Option<VersionIndex>,
}

impl ModelGateway {
    pub(super) fn new(index: u8, slots: usize) -> Self {
        let slots = (0..slots).map(|_| ModelSlot::default()).collect();
        Self { index, slots, inbox: VecDeque::new(), owes_announcement: None }
    }

    /// The execution of a ticket, unless the ticket is stale.
    pub(super) fn execution(&mut self, ticket: Ticket) -> Option<&mut ModelExecution> {
        self.slots[ticket.slot()].execution.as_mut().filter(|execution| execution.ticket == ticket)
    }

    pub(super) fn executions(&self) -> impl Iterator<Item = &ModelExecution> {
        self.slots.iter().filter_map(|slot| slot.execution.as_ref())
    }

    /// Tickets of which `wanted` holds.
    pub(super) fn tickets(&self, wanted: impl Fn(&ModelExecution) -> bool) -> Vec<Ticket> {
        self.executions().filter(|execution| wanted(execution)).map(|execution| execution.ticket).collect()
    }
}
