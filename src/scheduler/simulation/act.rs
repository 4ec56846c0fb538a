//! Steps of the gateways and of control.

use super::Simulation;
use super::control::{ModelVersion, PlacePhase};
use super::gateway::{ModelExecution, id, ticket_of};
use crate::attempt_end::AttemptEnd;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent, SchedulerCommand, SchedulerEvent};
use crate::scheduler::scheduled_version::ScheduledVersion;
use crate::ticket::Ticket;

impl Simulation {
    /// One thing happens.
    pub(super) fn act(&mut self) {
        let gateway = self.dice.index(self.gateways.len());
        if let Some(version) = self.gateways[gateway].owes_announcement.take() {
            return self.announce(version);
        }
        let is_change = |step| matches!(step, 41..45 | 54..60);
        match self.dice.below(64) {
            step if self.scale.is_calm && is_change(step) && !self.dice.one_in(64) => self.admit(gateway),
            29..41 if self.scale.is_calm && !self.dice.one_in(3) => self.pass_time(),
            0..14 => self.admit(gateway),
            14 => {
                let burst = self.dice.below(self.scale.burst);
                (0..burst).for_each(|_| self.admit(gateway));
            }
            15..28 => self.take_command(gateway),
            28 => while self.take_command_if_any(gateway) {},
            29..40 => self.finish_one(gateway),
            40 => self.gateways[gateway].tickets(|r| r.attempt_open).into_iter().for_each(|t| self.finish(t)),
            41..44 => self.cancel_one(gateway),
            44 if self.dice.one_in(8) => {
                self.gateways[gateway].tickets(|r| !r.terminal).into_iter().for_each(|t| self.cancel(t));
            }
            45..48 => self.reclaim(gateway),
            48..51 => self.read_scheduler_event(),
            51..54 => self.start_one(),
            54..57 => self.change_instance(),
            57 => self.change_functions(gateway),
            58 => self.gateway_learns(gateway),
            59 => self.close_one(),
            60 => self.free_place(),
            _ => self.pass_time(),
        }
    }

    // ---- gateways ----

    fn announce(&mut self, version: VersionIndex) {
        self.rings.ready.push(version).expect("the ready ring is full");
        self.published = true;
    }

    fn admit(&mut self, gateway: usize) {
        if self.gateways[gateway].owes_announcement.is_some() {
            return;
        }
        let versions: Vec<_> = self
            .control
            .versions
            .iter()
            .filter(|(_, model)| model.pushed_by[gateway])
            .map(|(index, _)| *index)
            .collect();
        let Some(slot) = self.gateways[gateway].slots.iter().position(|slot| slot.execution.is_none()) else {
            return;
        };
        if versions.is_empty() {
            return;
        }
        // The first function is the busiest.
        let version = if self.dice.one_in(2) { versions[0] } else { self.dice.of(&versions) };
        let (queue, function) = {
            let model = &self.control.versions[&version];
            (model.queue.clone(), model.function)
        };
        if !queue.take_credit() {
            assert_eq!(queue.credits(), 0, "refused with credits left");
            self.saw("queue full");
            return;
        }
        let place = &mut self.gateways[gateway].slots[slot];
        place.generation += 1;
        let generation = place.generation;
        let index = self.gateways[gateway].index;
        let ticket = Ticket::new(index, u32::try_from(slot).unwrap(), generation);
        let patience: &[u64] =
            if self.scale.is_calm { &[20, 50, 50, 300] } else { &[2, 20, 20, 300, 300, 3000, 100_000] };
        let patience = self.dice.of(patience) * NANOS_PER_MS;
        let deadline = self.now + self.dice.below(patience);
        let run_budget = if self.dice.one_in(3) { 1 + self.dice.below(patience) } else { 0 };
        let signals = self.rings.signals(ticket);
        assert!(generation == 1 || signals.is_released(generation - 1), "{ticket:?} is used too early");
        signals.write(deadline, run_budget);
        self.gateways[gateway].slots[slot].execution =
            Some(ModelExecution::new(ticket, function, self.now, deadline, run_budget));
        if generation > 1 {
            self.saw("slot reused");
        }
        let must_announce = queue.push(ticket).expect("no room on the ring for one who holds a credit");
        if must_announce && self.dice.one_in(8) {
            self.gateways[gateway].owes_announcement = Some(version);
        } else if must_announce {
            self.announce(version);
        }
    }

    fn take_command(&mut self, gateway: usize) {
        self.take_command_if_any(gateway);
    }

    fn take_command_if_any(&mut self, gateway: usize) -> bool {
        let Some(command) = self.gateways[gateway].inbox.pop_front() else { return false };
        let ticket = ticket_of(command);
        let in_time = self.dice.one_in(2);
        let Some(execution) = self.gateways[gateway].execution(ticket) else {
            assert!(!matches!(command, GatewayCommand::Run { .. }), "{command:?} is stale");
            return true;
        };
        match command {
            GatewayCommand::Abort { .. } | GatewayCommand::End { why: EndReason::Timeout, .. }
                if execution.attempt_open && execution.outlives_deadline && !execution.terminal =>
            {
                self.saw("left undone");
            }
            GatewayCommand::Run { instance, .. } => {
                execution.attempt_open = true;
                // A function whose answers may go on has no gate.
                let may_stream = !self.control.versions[&instance.version].limits.drop_unreachable;
                execution.outlives_deadline = may_stream && self.dice.one_in(6);
                if execution.terminal {
                    self.saw("cancel raced a run");
                    self.finish(ticket);
                }
            }
            GatewayCommand::Abort { .. } | GatewayCommand::End { .. } => {
                execution.terminal |= matches!(command, GatewayCommand::End { .. });
                if execution.attempt_open && in_time {
                    let instance = execution.flying;
                    if let Some(instance) = instance.filter(|_| self.dice.one_in(4)) {
                        self.send(GatewayEvent::PlaceKept { instance });
                        self.kept.will_be_freed(instance);
                        self.saw("place kept");
                    }
                    self.finish_as(ticket, AttemptEnd::Failed);
                } else if execution.attempt_open {
                    self.saw("late end");
                }
            }
        }
        true
    }

    fn free_place(&mut self) {
        if let Some(instance) = self.kept.free_one(&mut self.dice) {
            self.send(GatewayEvent::PlaceFreed { instance });
        }
    }

    fn finish_one(&mut self, gateway: usize) {
        let open = self.gateways[gateway].tickets(|execution| execution.attempt_open);
        if !open.is_empty() {
            let ticket = self.dice.of(&open);
            self.finish(ticket);
        }
    }

    fn finish(&mut self, ticket: Ticket) {
        let how = self.dice.of(&[
            AttemptEnd::Answered,
            AttemptEnd::Late,
            AttemptEnd::Done,
            AttemptEnd::TimedOut,
            AttemptEnd::Failed,
            AttemptEnd::Unsent,
        ]);
        self.finish_as(ticket, how);
    }

    fn finish_as(&mut self, ticket: Ticket, how: AttemptEnd) {
        let execution = self.gateways[ticket.gateway()].execution(ticket).unwrap();
        assert!(std::mem::take(&mut execution.attempt_open));
        // An answer that has begun is not repeated, however it ends.
        let how = if execution.outlives_deadline { AttemptEnd::Done } else { how };
        let silent = execution.flying.filter(|_| how == AttemptEnd::Failed);
        execution.terminal |= !matches!(how, AttemptEnd::TimedOut | AttemptEnd::Failed | AttemptEnd::Unsent);
        if let Some(instance) = silent.filter(|_| self.dice.one_in(8)) {
            self.send(GatewayEvent::InstanceSilent { instance });
            self.saw("silent");
        }
        self.send(GatewayEvent::AttemptEnded { ticket, how });
    }

    fn cancel_one(&mut self, gateway: usize) {
        let live = self.gateways[gateway].tickets(|execution| !execution.terminal);
        if !live.is_empty() {
            let ticket = self.dice.of(&live);
            self.cancel(ticket);
        }
    }

    fn cancel(&mut self, ticket: Ticket) {
        let accepted = self.scheduler.terms_of(ticket).is_some();
        let execution = self.gateways[ticket.gateway()].execution(ticket).unwrap();
        execution.terminal = true;
        let what = match (accepted, execution.flying) {
            (false, _) if execution.ended => "cancelled after the end",
            (false, _) => "cancelled on the ring",
            (true, None) => "cancelled in line",
            (true, Some(_)) => "cancelled in flight",
        };
        self.saw(what);
        self.rings.signals(ticket).cancel(ticket.generation());
        self.send(GatewayEvent::Cancelled { ticket });
    }

    /// Forgets what is over.
    fn reclaim(&mut self, gateway: usize) {
        for slot in &mut self.gateways[gateway].slots {
            let over = slot.execution.as_ref().is_some_and(|execution| {
                execution.terminal
                    && !execution.attempt_open
                    && self.rings.signals(execution.ticket).is_released(execution.ticket.generation())
            });
            if over {
                slot.execution = None;
            }
        }
    }

    /// The gateway takes the latest snapshot of functions.
    fn gateway_learns(&mut self, gateway: usize) {
        if self.gateways[gateway].owes_announcement.is_none() {
            self.control.versions.values_mut().for_each(|model| model.pushed_by[gateway] = !model.withdrawn);
        }
    }

    // ---- control ----

    fn read_scheduler_event(&mut self) {
        let Some(event) = self.control.inbox.pop_front() else { return };
        match event {
            SchedulerEvent::InstanceWanted { version } => {
                if let Some(model) = self.control.versions.get_mut(&version) {
                    model.starting += 1;
                }
            }
            SchedulerEvent::InstanceSuspect { instance } => {
                self.move_on(instance, PlacePhase::Up, PlacePhase::Suspect)
            }
            SchedulerEvent::InstanceIdle { instance } => {
                self.move_on(instance, PlacePhase::Up, PlacePhase::Retired);
                self.move_on(instance, PlacePhase::Suspect, PlacePhase::Retired);
            }
            SchedulerEvent::VersionClosed { version } => {
                self.control.versions.remove(&version.index).expect("a version was given back twice");
                self.control.free.push(version.index);
            }
        }
    }

    fn move_on(&mut self, key: InstanceKey, from: PlacePhase, to: PlacePhase) {
        if let Some(place) = self.control.versions.get_mut(&key.version).and_then(|model| model.place(key))
            && place.phase == from
        {
            place.phase = to;
        }
    }

    /// A single-use instance was granted: another grant would find it not to be grantable.
    pub(super) fn use_up(&mut self, instance: InstanceKey) {
        if self.control.versions[&instance.version].is_single_use(instance.place) {
            self.grantable.remove(&id(instance));
            self.gone.insert(id(instance));
            self.saw("single use");
        }
    }

    fn any_version(&mut self) -> Option<VersionIndex> {
        let versions: Vec<_> = self.control.versions.keys().copied().collect();
        (!versions.is_empty()).then(|| self.dice.of(&versions))
    }

    /// An instance that is being started is there, or is not to be had.
    fn start_one(&mut self) {
        let Some(version) = self.any_version() else { return };
        let fails = self.dice.one_in(4);
        let Some(model) = self.control.versions.get_mut(&version).filter(|model| model.starting > 0) else {
            return;
        };
        model.starting -= 1;
        match (!fails).then(|| model.occupy(version)).flatten() {
            Some(instance) => self.send_command(SchedulerCommand::Ready { instance, started: true }),
            None => self.send_command(SchedulerCommand::StartFailed { version }),
        }
    }

    fn change_instance(&mut self) {
        let Some(version) = self.any_version() else { return };
        let kind = self.dice.below(16);
        let phase = match kind {
            0..5 => PlacePhase::Suspect,
            5..9 => PlacePhase::Retired,
            _ => PlacePhase::Up,
        };
        let keys = self.control.versions[&version].keys(version, phase);
        let instance = (!keys.is_empty()).then(|| self.dice.of(&keys));
        let now = self.now;
        match (kind, instance) {
            (0..4, Some(instance)) => {
                self.move_on(instance, PlacePhase::Suspect, PlacePhase::Up);
                self.send_command(SchedulerCommand::Ready { instance, started: false });
            }
            (4..10, Some(instance)) => {
                self.move_on(instance, phase, PlacePhase::Free);
                self.send_command(SchedulerCommand::Down { instance });
            }
            (10, Some(instance)) => self.send_command(SchedulerCommand::Ready { instance, started: false }),
            (11 | 12, _) => {
                let (keep, idle) =
                    (u16::try_from(self.dice.below(2)).unwrap(), self.dice.below(50) * NANOS_PER_MS);
                self.send_command(SchedulerCommand::ReapIdle {
                    version,
                    keep,
                    idle_before: now.saturating_sub(idle),
                });
            }
            (13, _) => {
                let model = self.control.versions.get_mut(&version).unwrap();
                model.starting += 1;
                self.send_command(SchedulerCommand::Starting { version, count: 1 });
            }
            (14.., _) => {
                let model = self.control.versions.get_mut(&version).unwrap();
                if let Some(instance) = model.occupy(version) {
                    self.send_command(SchedulerCommand::Ready { instance, started: false });
                }
            }
            _ => {}
        }
    }

    fn change_functions(&mut self, gateway: usize) {
        if self.dice.one_in(8) {
            // A long queue of commands, the next ones at its end.
            let version = self.any_version().unwrap_or(0);
            (0..self.dice.below(self.scale.burst))
                .for_each(|_| self.send_command(SchedulerCommand::Starting { version, count: 0 }));
        }
        let current = self.control.current();
        let replaced = (!current.is_empty()).then(|| self.dice.of(&current));
        match (self.dice.below(4), replaced) {
            (0, Some(version)) => {
                let model = self.control.versions.get_mut(&version).unwrap();
                model.withdrawn = true;
                self.removed.insert(model.function);
            }
            (1..3, Some(version)) => self.open(Some(version)),
            _ => self.open(None),
        }
        match self.dice.below(8) {
            0..4 => self.gateway_learns(gateway),
            // All gateways learn of it and use it before the scheduler comes to look.
            4 => {
                self.stalled = 1 + self.dice.below(8);
                (0..self.dice.below(self.scale.burst)).for_each(|_| self.admit(gateway));
                (0..self.gateways.len()).for_each(|gateway| self.gateway_learns(gateway));
                (0..self.dice.below(8)).for_each(|_| self.close_one());
                (0..self.dice.below(8)).for_each(|_| self.admit(gateway));
            }
            _ => {}
        }
    }

    fn open(&mut self, replaces: Option<VersionIndex>) {
        let Some(index) = self.control.free.pop() else { return };
        let function = match replaces.and_then(|old| self.control.versions.get_mut(&old)) {
            Some(old) => {
                old.withdrawn = true;
                old.function
            }
            None => {
                self.control.functions_made += 1;
                self.control.functions_made
            }
        };
        let model = ModelVersion::random(&mut self.dice, function, self.gateways.len(), self.scale.size_max);
        let version = Box::new(ScheduledVersion::new(index, model.queue.clone(), model.limits));
        self.control.versions.insert(index, model);
        self.send_command(SchedulerCommand::Open { version });
        if let Some(old) = replaces {
            self.send_command(SchedulerCommand::Succeed { old, new: index });
        }
        self.saw(if replaces.is_some() { "replaced" } else { "opened" });
        if self.control.functions_made > self.scale.versions as u64 {
            self.saw("version reused");
        }
    }

    /// Closes a version that no gateway pushes to any more.
    fn close_one(&mut self) {
        let quiet: Vec<_> = self
            .control
            .versions
            .iter()
            .filter(|(_, model)| model.withdrawn && !model.close_sent && !model.pushed_by.contains(&true))
            .map(|(index, _)| *index)
            .collect();
        if !quiet.is_empty() {
            let version = self.dice.of(&quiet);
            self.control.versions.get_mut(&version).unwrap().close_sent = true;
            self.send_command(SchedulerCommand::Close { version });
        }
    }

    /// Every place of the table has a function with its instances, and each gateway knows them.
    pub(super) fn open_all(&mut self) {
        while !self.control.free.is_empty() {
            self.open(None);
        }
        let versions: Vec<VersionIndex> = self.control.versions.keys().copied().collect();
        for version in versions {
            while let Some(instance) =
                self.control.versions.get_mut(&version).and_then(|model| model.occupy(version))
            {
                self.send_command(SchedulerCommand::Ready { instance, started: false });
            }
        }
        (0..self.gateways.len()).for_each(|gateway| self.gateway_learns(gateway));
    }

    // ---- time ----

    fn pass_time(&mut self) {
        // A gateway is between its push and its announcement for nanoseconds.
        if self.gateways.iter().any(|gateway| gateway.owes_announcement.is_some()) {
            return;
        }
        let wake = self.summary.next_wake;
        let kind = if self.scale.is_calm { 20 } else { self.dice.below(40) };
        let leap: Nanos = match kind {
            0 => self.dice.below(200_000) * NANOS_PER_MS,
            1..4 => self.dice.below(300 * NANOS_PER_MS),
            4..10 if wake != u64::MAX => wake.saturating_sub(self.now),
            10..14 if wake != u64::MAX => wake.saturating_sub(self.now + 1),
            14..20 => 0,
            _ => self.dice.below(3 * NANOS_PER_MS),
        };
        self.now += leap;
    }

    // ---- the end ----

    /// Every function is removed and every gateway knows it.
    pub(super) fn remove_everything(&mut self) {
        for model in self.control.versions.values_mut() {
            model.withdrawn = true;
            self.removed.insert(model.function);
        }
        for gateway in 0..self.gateways.len() {
            if let Some(version) = self.gateways[gateway].owes_announcement.take() {
                self.announce(version);
            }
            self.gateway_learns(gateway);
        }
    }

    /// Everybody does all there is to do.
    pub(super) fn settle_everything(&mut self) {
        for gateway in 0..self.gateways.len() {
            while self.take_command_if_any(gateway) {}
            self.gateways[gateway].tickets(|r| r.attempt_open).into_iter().for_each(|t| self.finish(t));
            self.reclaim(gateway);
        }
        while !self.control.inbox.is_empty() {
            self.read_scheduler_event();
        }
        self.close_one();
        self.start_one();
    }
}
