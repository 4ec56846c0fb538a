//! `Idempotency-Key`: which execution a function's key stands for.
//!
//! A key is claimed when an execution is made, and not by a request that is refused. It stands for
//! the execution until that leaves the store, or ends in a way that is not replayed.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::rc::Rc;

use crate::hot::ticket::Ticket;

/// A key of a function. The bytes are copies: those that came hold on to the whole head.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The function's name: a key means the same to all its versions.
    pub function: Box<str>,
    /// The key as the client sent it.
    pub key: Box<[u8]>,
}

/// What a request with a key meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has the key.
    Free,
    /// It stands for this execution, which had the same body.
    Same(Ticket),
    /// It stands for an execution that had another body.
    Other,
}

/// The keys of one gateway.
#[derive(Debug, Default)]
pub struct Keys {
    known: HashMap<Rc<Claim>, (Ticket, u64)>,
    /// Its keys are random, so that nobody can make two bodies look the same.
    bodies: RandomState,
}

impl Keys {
    /// What a request with this key and body meets.
    #[must_use]
    pub fn look_up(&self, claim: &Claim, body: &[u8]) -> Standing {
        match self.known.get(claim) {
            None => Standing::Free,
            Some((ticket, fingerprint)) if *fingerprint == self.fingerprint(body) => Standing::Same(*ticket),
            Some(_) => Standing::Other,
        }
    }

    /// From now on the key stands for the execution of `ticket`.
    pub fn claim(&mut self, claim: Rc<Claim>, ticket: Ticket, body: &[u8]) {
        let fingerprint = self.fingerprint(body);
        self.known.insert(claim, (ticket, fingerprint));
    }

    /// The key is free again, where it still stands for `ticket`.
    pub fn release(&mut self, claim: &Claim, ticket: Ticket) {
        if self.known.get(claim).is_some_and(|(known, _)| *known == ticket) {
            self.known.remove(claim);
        }
    }

    /// The function is gone, and a later one of its name is another one.
    pub fn forget(&mut self, function: &str) {
        self.known.retain(|claim, _| *claim.function != *function);
    }

    fn fingerprint(&self, body: &[u8]) -> u64 {
        self.bodies.hash_one(body)
    }
}

/// Which of `gateways` has the keys that look like this one: the same on every gateway.
#[must_use]
pub fn home(function: &str, key: &[u8], gateways: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    function.hash(&mut hasher);
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % gateways.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(function: &str, key: &str) -> Claim {
        Claim { function: function.into(), key: key.as_bytes().into() }
    }

    #[test]
    fn a_key_is_a_functions_own_and_stands_for_one_body() {
        let (mut keys, ticket) = (Keys::default(), Ticket::new(0, 1, 1));
        assert_eq!(keys.look_up(&claim("f", "k"), b"1"), Standing::Free);
        keys.claim(Rc::new(claim("f", "k")), ticket, b"1");
        assert_eq!(keys.look_up(&claim("f", "k"), b"1"), Standing::Same(ticket));
        assert_eq!(keys.look_up(&claim("f", "k"), b"2"), Standing::Other);
        assert_eq!(keys.look_up(&claim("g", "k"), b"1"), Standing::Free);
        assert_eq!(keys.look_up(&claim("f", "l"), b"1"), Standing::Free);
    }

    #[test]
    fn a_release_by_an_execution_that_lost_the_key_changes_nothing() {
        let (mut keys, old, new) = (Keys::default(), Ticket::new(0, 1, 1), Ticket::new(0, 1, 2));
        keys.claim(Rc::new(claim("f", "k")), old, b"1");
        keys.release(&claim("f", "k"), old);
        keys.claim(Rc::new(claim("f", "k")), new, b"2");
        keys.release(&claim("f", "k"), old);
        assert_eq!(keys.look_up(&claim("f", "k"), b"2"), Standing::Same(new));
        keys.claim(Rc::new(claim("g", "k")), old, b"1");
        keys.forget("f");
        assert_eq!(keys.look_up(&claim("f", "k"), b"2"), Standing::Free);
        assert_eq!(keys.look_up(&claim("g", "k"), b"1"), Standing::Same(old));
    }

    #[test]
    fn every_gateway_finds_a_key_at_the_same_one_and_all_have_some() {
        let homes: Vec<usize> = (0..100).map(|n| home("f", format!("key-{n}").as_bytes(), 3)).collect();
        for gateway in 0..3 {
            assert!(homes.contains(&gateway), "gateway {gateway} has no key of {homes:?}");
        }
        assert_eq!(homes[7], home("f", b"key-7", 3));
    }
}
