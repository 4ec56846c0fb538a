//! `Idempotency-Key`: which execution a function's key stands for. `gateway::admit` looks it up.
//!
//! A key is taken when an execution is made, and not by a request that is refused. It stands for
//! the execution until that leaves the store, or ends in a way that is not replayed.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::rc::Rc;

use crate::ticket::Ticket;

/// A key of a function, with bytes of its own: those of the header hold on to the whole head.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The function's name: a key means the same to all its versions.
    pub function: Box<str>,
    /// The key as the client sent it.
    pub key: Box<[u8]>,
}

/// The result of a look-up of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyLookup {
    /// The key stands for no execution.
    Free,
    /// It stands for this execution, which had the same body.
    Same(Ticket),
    /// It stands for an execution that had another body.
    Other,
}

/// The keys of one gateway.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys {
    known: HashMap<Rc<IdempotencyKey>, (Ticket, u64)>,
    /// Its keys are random, so that nobody can make two bodies look the same.
    bodies: RandomState,
}

impl IdempotencyKeys {
    /// Looks up the key of a request with this body.
    #[must_use]
    pub(crate) fn look_up(&self, key: &IdempotencyKey, body: &[u8]) -> KeyLookup {
        match self.known.get(key) {
            None => KeyLookup::Free,
            Some((ticket, fingerprint)) if *fingerprint == self.fingerprint(body) => KeyLookup::Same(*ticket),
            Some(_) => KeyLookup::Other,
        }
    }

    /// Lets the key stand for the execution of `ticket`, which had this body.
    pub(crate) fn insert(&mut self, key: Rc<IdempotencyKey>, ticket: Ticket, body: &[u8]) {
        let fingerprint = self.fingerprint(body);
        self.known.insert(key, (ticket, fingerprint));
    }

    /// Frees the key, where it still stands for `ticket`.
    pub(crate) fn release(&mut self, key: &IdempotencyKey, ticket: Ticket) {
        if self.known.get(key).is_some_and(|(known, _)| *known == ticket) {
            self.known.remove(key);
        }
    }

    /// Frees the keys of a function that is gone: a later one of its name is another one.
    pub(crate) fn forget(&mut self, function: &str) {
        self.known.retain(|key, _| *key.function != *function);
    }

    fn fingerprint(&self, body: &[u8]) -> u64 {
        self.bodies.hash_one(body)
    }
}

/// Index of the gateway that owns a key, the same on each of the `gateways`.
#[must_use]
pub(crate) fn owner_of(function: &str, key: &[u8], gateways: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    function.hash(&mut hasher);
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % gateways.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(function: &str, key: &str) -> IdempotencyKey {
        IdempotencyKey { function: function.into(), key: key.as_bytes().into() }
    }

    #[test]
    fn a_key_is_a_functions_own_and_stands_for_one_body() {
        let (mut keys, ticket) = (IdempotencyKeys::default(), Ticket::new(0, 1, 1));
        assert_eq!(keys.look_up(&key("f", "k"), b"1"), KeyLookup::Free);
        keys.insert(Rc::new(key("f", "k")), ticket, b"1");
        assert_eq!(keys.look_up(&key("f", "k"), b"1"), KeyLookup::Same(ticket));
        assert_eq!(keys.look_up(&key("f", "k"), b"2"), KeyLookup::Other);
        assert_eq!(keys.look_up(&key("g", "k"), b"1"), KeyLookup::Free);
        assert_eq!(keys.look_up(&key("f", "l"), b"1"), KeyLookup::Free);
    }

    #[test]
    fn a_release_by_an_execution_that_lost_the_key_changes_nothing() {
        let (mut keys, old, new) = (IdempotencyKeys::default(), Ticket::new(0, 1, 1), Ticket::new(0, 1, 2));
        keys.insert(Rc::new(key("f", "k")), old, b"1");
        keys.release(&key("f", "k"), old);
        keys.insert(Rc::new(key("f", "k")), new, b"2");
        keys.release(&key("f", "k"), old);
        assert_eq!(keys.look_up(&key("f", "k"), b"2"), KeyLookup::Same(new));
        keys.insert(Rc::new(key("g", "k")), old, b"1");
        keys.forget("f");
        assert_eq!(keys.look_up(&key("f", "k"), b"2"), KeyLookup::Free);
        assert_eq!(keys.look_up(&key("g", "k"), b"1"), KeyLookup::Same(old));
    }

    #[test]
    fn every_gateway_finds_a_key_at_the_same_one_and_all_have_some() {
        let owners: Vec<usize> = (0..100).map(|n| owner_of("f", format!("key-{n}").as_bytes(), 3)).collect();
        for gateway in 0..3 {
            assert!(owners.contains(&gateway), "gateway {gateway} has no key of {owners:?}");
        }
        assert_eq!(owners[7], owner_of("f", b"key-7", 3));
    }
}
