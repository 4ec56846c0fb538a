//! Execution ids: found without a map, and not to be guessed.

use std::fmt;

use crate::hot::ticket::Ticket;

/// Names one execution to clients: the boot of the process, the ticket of its record and 64
/// random bits, written as 40 lower-case hexadecimal digits.
///
/// The boot tells the id of an earlier process (lost on restart) from one that never was; the
/// ticket finds the record without a map; the random bits keep others from guessing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecutionId {
    /// Seconds since the Unix epoch at which the process started, modulo 2³².
    pub boot: u32,
    /// Which record.
    pub ticket: Ticket,
    /// Random.
    pub nonce: u64,
}

/// Hexadecimal digits of an id.
pub const ID_LEN: usize = 40;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl ExecutionId {
    /// The id as text, on the stack.
    #[must_use]
    pub fn text(&self) -> [u8; ID_LEN] {
        let mut out = [0; ID_LEN];
        write_hex(&mut out[..8], u64::from(self.boot));
        write_hex(&mut out[8..24], self.ticket.to_bits());
        write_hex(&mut out[24..], self.nonce);
        out
    }

    /// Reads an id; `None` where the text is not of its form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        if text.len() != ID_LEN || !text.as_bytes().iter().all(lower) {
            return None;
        }
        Some(Self {
            boot: u32::from_str_radix(&text[..8], 16).ok()?,
            ticket: Ticket::from_bits(u64::from_str_radix(&text[8..24], 16).ok()?),
            nonce: u64::from_str_radix(&text[24..], 16).ok()?,
        })
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:016x}{:016x}", self.boot, self.ticket.to_bits(), self.nonce)
    }
}

/// Writes the low digits of `value`, as many as `out` holds.
pub fn write_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value & 0xf) as usize];
        value >>= 4;
    }
}

/// Unpredictable bits from the kernel, fetched a buffer at a time.
#[derive(Debug)]
pub struct Entropy {
    buffer: [u8; 4096],
    used: usize,
}

impl Entropy {
    /// An empty buffer; the first call fills it.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: [0; 4096], used: 4096 }
    }

    /// 64 random bits.
    #[must_use]
    pub fn u64(&mut self) -> u64 {
        if self.used + 8 > self.buffer.len() {
            self.refill();
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.buffer[self.used..self.used + 8]);
        self.used += 8;
        u64::from_ne_bytes(word)
    }

    fn refill(&mut self) {
        let mut filled = 0;
        while filled < self.buffer.len() {
            // It fails only when interrupted by a signal; then it is asked again.
            filled +=
                rustix::rand::getrandom(&mut self.buffer[filled..], rustix::rand::GetRandomFlags::empty())
                    .unwrap_or(0);
        }
        self.used = 0;
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form_and_nothing_else_is_one() {
        let id = ExecutionId { boot: 7, ticket: Ticket::new(3, 99, 12), nonce: u64::MAX - 1 };
        let text = id.to_string();
        assert_eq!(text.as_bytes(), id.text());
        assert_eq!(ExecutionId::parse(&text), Some(id));
        assert_eq!(ExecutionId::parse(&text.to_uppercase()), None);
        assert_eq!(ExecutionId::parse(&text[1..]), None);
        assert_eq!(ExecutionId::parse(&format!("+{}", &text[1..])), None);
    }
}
