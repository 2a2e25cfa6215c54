//! A client that is closed from within while its other tasks are at work.

use docent_core::handle::{Share as _, act};

use super::Task;
use crate::sim::client::Kind;
use crate::sim::process::Exit;

/// Time enough for every task to be told, in microseconds.
const PATIENCE: u64 = 5_000_000;

impl<K: Kind> Task<K> {
    /// Ends the client at some time. All that waits for it must then end, and another one follows.
    pub(super) async fn quit(mut self) {
        self.pause(60_000_000).await;
        if !self.is_active() {
            return;
        }
        let (shared, closes) = (self.handle.shared().clone(), self.rng.once_in(2));
        let now = shared.now();
        act(&shared, |hub| match closes {
            true => hub.close(now),
            false => hub.detach(),
        });
        while !self.is_over() {
            self.pause(100_000).await;
        }
        self.world.sleep(PATIENCE).await;
        if self.waiting() > 0 {
            // They may have been frozen until now.
            self.world.sleep(PATIENCE).await;
        }
        let waiting = self.waiting();
        if waiting > 0 {
            self.fail(format!("{waiting} tasks wait for a client that is over"));
        }
        self.world.exit(self.client, Exit::Crash);
    }

    /// How many tasks of this client wait for it.
    fn waiting(&self) -> usize {
        let journal = self.world.journal.borrow();
        journal
            .waiting
            .get(&self.client)
            .map_or(0, |waiting| *waiting)
    }
}
