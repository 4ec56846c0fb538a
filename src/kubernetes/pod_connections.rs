//! Connections that belong to a client and one pod alone, as those of WebSockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::instance::ClientConnections;

/// The connections of each pod of a version, by its name. A pod that is not ready for a moment loses its place and not
/// these.
#[derive(Debug, Default)]
pub(super) struct PodConnections(RefCell<HashMap<String, Arc<ClientConnections>>>);

impl PodConnections {
    /// The connections of a pod that is given a place.
    #[must_use]
    pub(super) fn of(&self, pod: &str) -> Arc<ClientConnections> {
        let mut all = self.0.borrow_mut();
        // An open connection holds the address of its instance.
        all.retain(|_, connections| Arc::strong_count(connections) > 1);
        all.entry(pod.to_owned()).or_default().clone()
    }

    /// Has the connections of a pod close: it goes away, and would stay for them until its grace is over.
    pub(super) fn close(&self, pod: &str) {
        if let Some(connections) = self.0.borrow_mut().remove(pod) {
            connections.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_comes_back_has_the_connections_that_are_open_still_and_no_others() {
        let connections = PodConnections::default();
        let (first, other) = (connections.of("a"), connections.of("b"));
        first.enter();
        assert!(connections.of("a").are_some());
        assert!(!other.are_some());
        connections.close("a");
        assert!(first.is_closing() && !other.is_closing());
        drop(other);
        drop(connections.of("c"));
        assert_eq!(connections.0.borrow().len(), 1);
    }
}
