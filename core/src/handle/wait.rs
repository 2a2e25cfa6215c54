//! To wait for what a hub does.

use core::task::Poll;

use crate::handle::share::{Share, act};
use crate::hub::Hub;

/// A place among those who wait for a change of state.
pub(super) struct Wait<'a, H: Share> {
    shared: &'a H,
    ticket: Option<usize>,
}

impl<'a, H: Share> Wait<'a, H> {
    pub(super) const fn new(shared: &'a H) -> Self {
        Self {
            shared,
            ticket: None,
        }
    }

    /// As a method it has all of the place go where a closure goes. What a closure takes of its fields
    /// would be copies, and nobody would give the ticket up.
    pub(super) fn poll<T>(
        &mut self,
        poll: impl FnOnce(&mut Hub<H::Storage>, &mut Option<usize>) -> Poll<T>,
    ) -> Poll<T> {
        act(self.shared, |hub| poll(hub, &mut self.ticket))
    }
}

impl<H: Share> Drop for Wait<'_, H> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.with(|hub| hub.forget_state(ticket));
        }
    }
}
