//! So many at once, and the others in line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::mailbox::{Answer, question};

/// InstanceIndex that are taken and given back, first come, first served.
#[derive(Debug)]
pub struct Turns {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Answer<Turn>>>,
}

/// A place that is taken; it goes to the next in line when this is dropped.
#[derive(Debug)]
pub struct Turn(Rc<Turns>);

impl Turns {
    /// With so many places, all free.
    #[must_use]
    pub fn of(places: usize) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(places), waiting: RefCell::default() })
    }

    /// A place, when there is one.
    pub async fn take(self: &Rc<Self>) -> Turn {
        loop {
            if let Some(turn) = self.try_take() {
                return turn;
            }
            let (answer, awaited) = question();
            self.waiting.borrow_mut().push_back(answer);
            // What is in line is answered: we hold the line.
            if let Some(turn) = awaited.get().await {
                return turn;
            }
        }
    }

    /// A place, if there is one now.
    #[must_use]
    pub fn try_take(self: &Rc<Self>) -> Option<Turn> {
        let left = self.free.get().checked_sub(1)?;
        self.free.set(left);
        Some(Turn(self.clone()))
    }

    /// Whether somebody is in line.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_front();
        match next {
            // One who has left the line drops it at once, and so gives it to the one behind.
            Some(next) => next.send(Turn(self.0.clone())),
            None => self.0.free.set(self.0.free.get() + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_place_goes_to_the_first_in_line_who_is_still_there() {
        let turns = Turns::of(1);
        let first = turns.try_take().expect("a place");
        let mut cx = Context::from_waker(Waker::noop());
        let mut third = pin!(turns.take());
        {
            let mut second = pin!(turns.take());
            assert!(second.as_mut().poll(&mut cx).is_pending());
            assert!(third.as_mut().poll(&mut cx).is_pending());
        }
        assert!(turns.is_wanted() && turns.try_take().is_none());
        drop(first);
        let Poll::Ready(third) = third.as_mut().poll(&mut cx) else { panic!("the second has left") };
        assert!(!turns.is_wanted() && turns.try_take().is_none());
        drop(third);
        assert!(turns.try_take().is_some());
    }
}
