//! An operator, who deletes the nodes of locks and elections by hand.

use docent_core::client::Client as _;
use docent_core::wire::GetChildNames;

use super::{Task, path};
use crate::sim::check::{LOCK, QUEUES};
use crate::sim::client::Kind;

impl<K: Kind> Task<K> {
    pub(super) async fn operate(mut self) {
        while self.is_active() {
            self.pause(6_000_000).await;
            let queue = self.queue();
            let places = self.places(&queue).await;
            if self.rng.once_in(3) {
                for place in &places {
                    self.remove(place).await;
                }
                self.remove(&queue).await;
            } else if !places.is_empty() {
                let place = self.rng.index(places.len());
                self.remove(&places[place]).await;
            }
        }
    }

    /// One of those there are.
    fn queue(&mut self) -> String {
        let ensemble = self.world.ensemble.borrow();
        let base = self.world.plan.work.base;
        let queues = QUEUES.iter().copied();
        let queues = queues.filter(|queue| ensemble.node(&format!("{base}{queue}")).is_some());
        let queues: Vec<_> = queues.collect();
        drop(ensemble);
        match &queues[..] {
            [] => self.at(LOCK),
            [queue] => self.at(queue),
            queues => {
                let queue = self.rng.index(queues.len());
                self.at(queues[queue])
            }
        }
    }

    /// The nodes of all contenders.
    async fn places(&mut self, queue: &str) -> Vec<String> {
        let handle = self.handle.clone();
        let list = handle.retry(GetChildNames { path: path(queue) });
        match self.perhaps(list).await {
            Some(Ok(names)) => names.iter().map(|name| format!("{queue}/{name}")).collect(),
            _ => Vec::new(),
        }
    }
}
