//! The surroundings of a gateway.

use std::sync::Arc;

use crate::channel::MessageSender;
use crate::clock::Clock;
use crate::config::Settings;
use crate::messages::control_message::ControlMessage;
use crate::messages::gateway_senders::GatewaySenders;
use crate::scheduler::rings::Rings;

/// The parts of the process that a gateway uses, and its place among the gateways.
#[derive(Debug)]
pub struct GatewayContext {
    /// Its place among the gateways, from 0.
    pub index: usize,
    /// The rings between all threads.
    pub rings: Arc<Rings>,
    /// Time.
    pub clock: Clock,
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// The incarnation of this process, part of every id.
    pub incarnation: u32,
    /// The ways to all gateways, its own among them, for requests that another one must answer.
    pub gateways: GatewaySenders,
    /// The way to control, for requests that are control's to answer.
    pub control: MessageSender<ControlMessage>,
}
