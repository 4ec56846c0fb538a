//! An observer of the pipe of one direction, which knows `docs/frames.md` and not the code.

use std::collections::BTreeMap;

use super::wire;

/// Bytes that may be sent for each attempt before the other end allows more.
const WINDOW_BYTES: u64 = 65_536;

#[derive(Default)]
pub(super) struct Observer {
    /// Bytes that are not yet a frame.
    rest: Vec<u8>,
    /// Bytes of `DATA` for each attempt, and bytes that were allowed the other end.
    sent: BTreeMap<u32, u64>,
    allowed: BTreeMap<u32, u64>,
    /// Attempts after which no body may follow: by its end, a `CANCEL` or a `DONE`.
    ended: BTreeMap<u32, u8>,
}

impl Observer {
    /// Looks at bytes that go one way, by what went the other way until now.
    pub(super) fn see(&mut self, bytes: &[u8], other_way: &Self) {
        self.rest.extend_from_slice(bytes);
        while self.rest.len() >= 12 {
            let length = u32::from_le_bytes(self.rest[..4].try_into().unwrap()) as usize;
            assert!(length <= 20_480, "a payload of {length} bytes");
            if self.rest.len() < 12 + length {
                break;
            }
            let frame: Vec<u8> = self.rest.drain(..12 + length).collect();
            let sequence = u32::from_le_bytes(frame[4..8].try_into().unwrap());
            self.see_frame(frame[8], sequence, frame[9], &frame[12..], other_way);
        }
    }

    fn see_frame(&mut self, kind: u8, sequence: u32, flags: u8, payload: &[u8], other_way: &Self) {
        if [wire::HEAD, wire::DATA].contains(&kind) {
            assert!(!self.ended.contains_key(&sequence), "{kind} after the end of {sequence}");
        }
        if kind == wire::DATA {
            let least = usize::from(flags & wire::END == 0);
            assert!((least..=16_384).contains(&payload.len()), "a piece of {} bytes", payload.len());
            let sent = self.sent.entry(sequence).or_default();
            *sent += payload.len() as u64;
            let allowed = WINDOW_BYTES + other_way.allowed.get(&sequence).copied().unwrap_or(0);
            assert!(*sent <= allowed, "{sent} bytes for {sequence}, where {allowed} are allowed");
        }
        if kind == wire::CANCEL {
            self.ended.insert(sequence, kind);
        }
        if kind == wire::WINDOW {
            let bytes = u32::from_le_bytes(payload.try_into().unwrap());
            *self.allowed.entry(sequence).or_default() += u64::from(bytes);
        }
        let ends = [wire::HEAD, wire::DATA].contains(&kind) && flags & wire::END != 0;
        if ends || kind == wire::DONE {
            let before = self.ended.insert(sequence, kind);
            assert!(before.is_none(), "{sequence} ended by {before:?} and {kind}");
        }
    }
}
