//! Executions by their deadline: a leftist heap through the scheduler's table.
//!
//! After Crane, "Linear Lists and Priority Queues as Balanced Binary Trees" (1972): the shortest way down from a node
//! leads along its right children, and is never longer than log₂(n + 1). Inserting, taking the first and taking out any
//! other walk such ways, and so each takes at most 5 log₂(n + 1) steps, whatever came before: 80 where 65,535 are in it.

use super::scheduled_execution::{HeapLinks, NONE, ScheduledExecution};

/// The root: the one whose deadline is the earliest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadlineHeap {
    root: u32,
    len: u32,
}

impl DeadlineHeap {
    /// A heap of nobody.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { root: NONE, len: 0 }
    }

    /// How many are in it.
    #[must_use]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The one whose deadline is the earliest.
    #[must_use]
    pub(crate) fn first(&self) -> Option<u32> {
        (self.root != NONE).then_some(self.root)
    }

    /// Puts one in.
    pub(crate) fn insert(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        executions[index as usize].set_heap_links(HeapLinks { rank: 1, ..HeapLinks::none() });
        self.root = merge(executions, self.root, index);
        self.len += 1;
    }

    /// Takes one out, wherever it is.
    pub(crate) fn remove(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        let HeapLinks { left, right, parent, .. } = executions[index as usize].heap_links();
        executions[index as usize].set_heap_links(HeapLinks::none());
        let below = merge(executions, left, right);
        self.len -= 1;
        if below != NONE {
            change(executions, below, |links| links.parent = parent);
        }
        if parent == NONE {
            self.root = below;
            return;
        }
        change(executions, parent, |links| {
            let side = if links.left == index { &mut links.left } else { &mut links.right };
            *side = below;
        });
        // Ranks that change become greater by one with each step up, so there are no more than log₂(n + 1).
        let mut at = parent;
        while at != NONE && balance(executions, at) {
            at = executions[at as usize].heap_links().parent;
        }
    }

    /// The one after `index` in an order in which each is there once; the first where it is `None`.
    #[must_use]
    pub(crate) fn after(&self, executions: &[ScheduledExecution], index: Option<u32>) -> Option<u32> {
        let Some(mut index) = index else { return self.first() };
        let links = executions[index as usize].heap_links();
        if let Some(below) = [links.left, links.right].into_iter().find(|below| *below != NONE) {
            return Some(below);
        }
        loop {
            let parent = executions[index as usize].heap_links().parent;
            if parent == NONE {
                return None;
            }
            let above = executions[parent as usize].heap_links();
            if above.left == index && above.right != NONE {
                return Some(above.right);
            }
            index = parent;
        }
    }

    /// Panics where it is no leftist heap.
    #[cfg(test)]
    pub(super) fn audit(&self, executions: &[ScheduledExecution]) {
        let (mut seen, mut at) = (0, self.first());
        while let Some(index) = at {
            let links = executions[index as usize].heap_links();
            let rank =
                |index: u32| if index == NONE { 0 } else { executions[index as usize].heap_links().rank };
            assert!(rank(links.left) >= rank(links.right), "the right way down from {index} is longer");
            assert_eq!(links.rank, rank(links.right) + 1, "the rank of {index}");
            for below in [links.left, links.right].into_iter().filter(|below| *below != NONE) {
                assert_eq!(executions[below as usize].heap_links().parent, index);
                assert!(
                    executions[below as usize].due() >= executions[index as usize].due(),
                    "{below} before {index}"
                );
            }
            seen += 1;
            assert!(seen <= self.len, "more than {} in the heap", self.len);
            at = self.after(executions, at);
        }
        assert_eq!(seen, self.len, "in the heap");
    }
}

impl Default for DeadlineHeap {
    fn default() -> Self {
        Self::new()
    }
}

/// Merges two heaps along their right ways, and answers the root.
fn merge(executions: &mut [ScheduledExecution], one: u32, other: u32) -> u32 {
    if one == NONE || other == NONE {
        return if one == NONE { other } else { one };
    }
    let due = |executions: &[ScheduledExecution], index: u32| executions[index as usize].due();
    let other_is_first = due(executions, other) < due(executions, one);
    let (root, mut rest) = if other_is_first { (other, one) } else { (one, other) };
    let mut at = root;
    while rest != NONE {
        let right = executions[at as usize].heap_links().right;
        let (next, after) = if right == NONE || due(executions, rest) < due(executions, right) {
            (rest, right)
        } else {
            (right, rest)
        };
        change(executions, at, |links| links.right = next);
        change(executions, next, |links| links.parent = at);
        (at, rest) = (next, after);
    }
    loop {
        balance(executions, at);
        if at == root {
            return root;
        }
        at = executions[at as usize].heap_links().parent;
    }
}

/// Has the shorter way down on the right. Answers whether the rank has changed.
fn balance(executions: &mut [ScheduledExecution], index: u32) -> bool {
    let HeapLinks { left, right, rank, .. } = executions[index as usize].heap_links();
    let rank_of = |index: u32| if index == NONE { 0 } else { executions[index as usize].heap_links().rank };
    let (of_left, of_right) = (rank_of(left), rank_of(right));
    let now = of_left.min(of_right) + 1;
    change(executions, index, |links| {
        links.rank = now;
        if of_left < of_right {
            (links.left, links.right) = (right, left);
        }
    });
    now != rank
}

fn change(executions: &mut [ScheduledExecution], index: u32, change: impl FnOnce(&mut HeapLinks)) {
    let execution = &mut executions[index as usize];
    let mut links = execution.heap_links();
    change(&mut links);
    execution.set_heap_links(links);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Ticket;

    fn due_at(deadline: u64) -> ScheduledExecution {
        ScheduledExecution::accepted(Ticket::new(0, 0, 1), 0, deadline, 0, 0)
    }

    fn random(seed: &mut u64, below: u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed % below
    }

    #[test]
    fn it_agrees_with_a_sorted_set_over_random_steps() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        let mut executions = vec![ScheduledExecution::free(); 200];
        let (mut heap, mut model) = (DeadlineHeap::new(), std::collections::BTreeSet::new());
        for step in 0..20_000 {
            let index = random(&mut seed, 200) as u32;
            if model.contains(&(executions[index as usize].deadline, index)) {
                // One that is due first is often the next that goes.
                let gone = if step % 2 == 0 { heap.first().unwrap() } else { index };
                heap.remove(&mut executions, gone);
                assert!(model.remove(&(executions[gone as usize].deadline, gone)));
                assert!(!executions[gone as usize].is_in_heap());
            } else {
                executions[index as usize] = due_at(random(&mut seed, 50));
                heap.insert(&mut executions, index);
                model.insert((executions[index as usize].deadline, index));
            }
            heap.audit(&executions);
            assert_eq!(heap.len() as usize, model.len());
            let first = heap.first().map(|first| executions[first as usize].deadline);
            assert_eq!(first, model.first().map(|(deadline, _)| *deadline));
        }
    }

    #[test]
    fn no_way_that_is_walked_is_longer_than_the_logarithm_whatever_came_before() {
        const MANY: u32 = 65_535;
        let mut seed = 7;
        type Deadline = fn(u64, &mut u64) -> u64;
        let orders: [Deadline; 3] =
            [|nth, _| nth, |nth, _| u64::from(MANY) - nth, |_, seed| random(seed, 1 << 40)];
        for deadline in orders {
            let mut executions: Vec<_> =
                (0..MANY).map(|nth| due_at(deadline(u64::from(nth), &mut seed))).collect();
            let mut heap = DeadlineHeap::new();
            (0..MANY).for_each(|index| heap.insert(&mut executions, index));
            heap.audit(&executions);
            // The way along the right is as long as the rank, and that is no longer than the logarithm.
            let rank = |heap: &DeadlineHeap, executions: &[ScheduledExecution]| {
                executions[heap.first().unwrap() as usize].heap_links().rank
            };
            assert!(rank(&heap, &executions) <= 16);
            let mut before = 0;
            while let Some(first) = heap.first() {
                assert!(1 << rank(&heap, &executions) <= heap.len() + 1);
                assert!(executions[first as usize].deadline >= before);
                before = executions[first as usize].deadline;
                heap.remove(&mut executions, first);
            }
        }
    }
}
