//! The one word that stands for an execution on its way through the rings.

/// Which execution an entry of a ring stands for: gateway, slab slot and generation in one `u64`.
///
/// The generation changes each time a slot is used again, so a ticket that was left in a
/// ring, or an answer that comes late, is recognised as stale.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// Slots a gateway can have: 24 bits of the ticket.
pub(crate) const SLOTS_MAX: usize = 1 << 24;

impl Ticket {
    /// A ticket of `gateway` for the execution in `slot` (below [`SLOTS_MAX`]).
    #[must_use]
    pub fn new(gateway: u8, slot: u32, generation: u32) -> Self {
        debug_assert!((slot as usize) < SLOTS_MAX, "slot {slot} does not fit a ticket");
        Self(u64::from(gateway) << 56 | u64::from(slot) << 32 | u64::from(generation))
    }

    /// The ticket as it travels in an execution id.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The ticket that an execution id carries; it may stand for nothing.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The gateway that admitted the execution and owns it.
    #[must_use]
    pub fn gateway(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// The slot of the execution in its gateway's slab.
    #[must_use]
    pub fn slot(self) -> usize {
        (self.0 >> 32 & 0xff_ffff) as usize
    }

    /// How often the slot had been used when the ticket was made.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    pub fn generation(self) -> u32 {
        self.0 as u32
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}#{}", self.gateway(), self.slot(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_parts_of_a_ticket_do_not_overlap() {
        let ticket = Ticket::new(u8::MAX, 0xff_ffff, u32::MAX);
        assert_eq!((ticket.gateway(), ticket.slot(), ticket.generation()), (255, 0xff_ffff, u32::MAX));
        let ticket = Ticket::new(1, 2, 3);
        assert_eq!((ticket.gateway(), ticket.slot(), ticket.generation()), (1, 2, 3));
        assert_eq!(Ticket::from_bits(ticket.to_bits()), ticket);
    }
}
