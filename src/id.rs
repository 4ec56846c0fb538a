//! Execution ids: found without a map, and not to be guessed.

use std::fmt;
use std::time::Duration;

use crate::ticket::Ticket;

/// Names one execution to clients: the incarnation of the process, the ticket and 64
/// random bits, written as 40 lower-case hexadecimal digits.
///
/// The incarnation tells the id of an earlier process (lost on restart) from one that never was; the
/// ticket finds the execution without a map; the random bits keep others from guessing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecutionId {
    /// The incarnation of the process, see [`incarnation_at`].
    pub incarnation: u32,
    /// Which execution.
    pub ticket: Ticket,
    /// Random.
    pub nonce: u64,
}

/// The milliseconds from one incarnation to the next: shorter than any restart takes.
const INCARNATION_STEP_MS: u128 = 128;
/// 2024-01-01T00:00:00Z in milliseconds since the Unix epoch, where incarnations begin.
const INCARNATION_EPOCH_MS: u128 = 1_704_067_200_000;

/// The incarnation of a process that started at this time since the Unix epoch: a later one is greater,
/// for 17 years.
#[must_use]
pub(crate) fn incarnation_at(started: Duration) -> u32 {
    let steps = started.as_millis().saturating_sub(INCARNATION_EPOCH_MS) / INCARNATION_STEP_MS;
    u32::try_from(steps & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Hexadecimal digits of an id.
pub(crate) const ID_LEN: usize = 40;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The worth of each byte as a digit; 0xf0 where it is none.
const WORTHS: [u8; 256] = {
    let mut worths = [0xf0; 256];
    let mut worth = 0;
    while worth < 16 {
        worths[DIGITS[worth as usize] as usize] = worth;
        worth += 1;
    }
    worths
};

impl ExecutionId {
    /// The id as text, on the stack.
    #[must_use]
    pub fn text(&self) -> [u8; ID_LEN] {
        let mut out = [0; ID_LEN];
        write_hex(&mut out[..8], u64::from(self.incarnation));
        write_hex(&mut out[8..24], self.ticket.to_bits());
        write_hex(&mut out[24..], self.nonce);
        out
    }

    /// The bytes that the text has two digits for each of.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ID_LEN / 2] {
        let mut out = [0; ID_LEN / 2];
        out[..4].copy_from_slice(&self.incarnation.to_be_bytes());
        out[4..12].copy_from_slice(&self.ticket.to_bits().to_be_bytes());
        out[12..].copy_from_slice(&self.nonce.to_be_bytes());
        out
    }

    /// Reads an id; `None` where the text is not of its form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: &[u8; ID_LEN] = text.as_bytes().try_into().ok()?;
        let incarnation = read_hex(&text[..8])?;
        let ticket = read_hex(&text[8..24])?;
        let nonce = read_hex(&text[24..])?;
        Some(Self { incarnation: u32::try_from(incarnation).ok()?, ticket: Ticket::from_bits(ticket), nonce })
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

/// Writes the low digits of `value`, as many as `out` holds, eight at a time.
pub(crate) fn write_hex(out: &mut [u8], mut value: u64) {
    for digits in out.rchunks_mut(8) {
        let eight = eight_digits(value);
        digits.copy_from_slice(&eight[8 - digits.len()..]);
        value >>= 32;
    }
}

/// The low eight digits of a number: its parts of four bits are spread over the bytes of a word, and made letters there
/// at once.
fn eight_digits(value: u64) -> [u8; 8] {
    let mut spread = value & 0xffff_ffff;
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in the bytes of those above 9, which are letters: `a` is 39 behind what would follow `9`.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

/// The number that at most 16 lower-case digits stand for; `None` where one is none. How long that takes
/// depends on how many there are, and not on what they are.
pub(crate) fn read_hex(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut wrong = 0;
    for digit in digits {
        let worth = WORTHS[usize::from(*digit)];
        wrong |= worth;
        value = value << 4 | u64::from(worth & 0xf);
    }
    (wrong < 16).then_some(value)
}

/// The secret that a runtime proves itself with: 128 random bits. That of the process of a `JOB` is good for
/// one attempt, that of a `WARM` instance for as long as the instance lives.
///
/// Two are compared in a time that does not tell where they differ.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// The first half.
    pub high: u64,
    /// The second half.
    pub low: u64,
}

impl Token {
    /// The token that a text stands for: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: &[u8; 32] = text.as_bytes().try_into().ok()?;
        Some(Self { high: read_hex(&text[..16])?, low: read_hex(&text[16..])? })
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        (self.high ^ other.high) | (self.low ^ other.low) == 0
    }
}

impl Eq for Token {}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        write_hex(&mut text[..16], self.high);
        write_hex(&mut text[16..], self.low);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Unpredictable bits from the kernel, fetched a buffer at a time.
#[derive(Debug)]
pub(crate) struct Entropy {
    buffer: [u8; 4096],
    used: usize,
}

impl Entropy {
    /// An empty buffer; the first call fills it.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { buffer: [0; 4096], used: 4096 }
    }

    /// 64 random bits.
    #[must_use]
    pub(crate) fn u64(&mut self) -> u64 {
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

/// Random bits, for what is made once in a while.
#[must_use]
pub(crate) fn random_bits() -> u64 {
    Entropy::new().u64()
}

impl Token {
    /// A token that nobody can guess.
    #[must_use]
    pub(crate) fn random() -> Self {
        let mut entropy = Entropy::new();
        Self { high: entropy.u64(), low: entropy.u64() }
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
    fn a_boot_a_moment_later_has_a_greater_number() {
        let first = Duration::from_secs(1_795_000_000);
        assert!(incarnation_at(first) < incarnation_at(first + Duration::from_millis(128)));
        assert_eq!(incarnation_at(Duration::ZERO), 0);
    }

    #[test]
    fn a_token_survives_its_text_form_and_nothing_else_is_one() {
        let token = Token { high: 1, low: u64::MAX };
        let text = token.to_string();
        assert_eq!(Token::parse(&text), Some(token));
        assert_ne!(Token::parse(&text), Some(Token { high: 1, low: u64::MAX - 1 }));
        assert_ne!(Token::parse(&text), Some(Token { high: 0, low: u64::MAX }));
        for wrong in [&text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), ""] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_low_digits_of_a_number_are_written_however_many_there_is_room_for() {
        for value in [0, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x9a9a_a9a9_0f0f_f0f0, u64::MAX] {
            let whole = format!("{value:016x}");
            for room in 0..=16 {
                let mut out = vec![0; room];
                write_hex(&mut out, value);
                assert_eq!(out, whole.as_bytes()[16 - room..], "{room} of {whole}");
            }
        }
    }

    #[test]
    fn every_byte_is_read_as_the_digit_that_it_is_or_as_none() {
        for byte in 0..=u8::MAX {
            let worth = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase()).map(u64::from);
            assert_eq!(read_hex(&[b'0', byte, b'1']), worth.map(|worth| worth << 4 | 1), "{byte}");
        }
        assert_eq!(read_hex(b"ffffffffffffffff"), Some(u64::MAX));
    }

    #[test]
    fn a_boot_after_the_clock_was_set_back_is_still_another_one() {
        // Its ids differ; those of before look as if they were yet to come, and are unknown.
        let before = Duration::from_secs(1_795_000_000);
        assert!(incarnation_at(before - Duration::from_secs(3600)) < incarnation_at(before));
    }

    #[test]
    fn an_id_survives_its_text_form_and_nothing_else_is_one() {
        let id = ExecutionId { incarnation: 7, ticket: Ticket::new(3, 99, 12), nonce: u64::MAX - 1 };
        let text = id.to_string();
        assert_eq!(text.as_bytes(), id.text());
        assert_eq!(ExecutionId::parse(&text), Some(id));
        assert_eq!(ExecutionId::parse(&text.to_uppercase()), None);
        assert_eq!(ExecutionId::parse(&text[1..]), None);
        assert_eq!(ExecutionId::parse(&format!("+{}", &text[1..])), None);
    }
}
