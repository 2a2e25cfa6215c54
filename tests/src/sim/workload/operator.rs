//! An operator, who deletes the nodes of the lock by hand.

use docent_core::client::Client as _;
use docent_core::wire::GetChildNames;

use super::{Task, path};
use crate::sim::check::LOCK;
use crate::sim::client::Kind;

impl<K: Kind> Task<K> {
    pub(super) async fn operate(mut self) {
        while self.is_active() {
            self.pause(6_000_000).await;
            let places = self.places().await;
            if self.rng.once_in(3) {
                for place in &places {
                    self.remove(place).await;
                }
                let lock = self.at(LOCK);
                self.remove(&lock).await;
            } else if !places.is_empty() {
                let place = self.rng.index(places.len());
                self.remove(&places[place]).await;
            }
        }
    }

    /// The nodes of all contenders.
    async fn places(&mut self) -> Vec<String> {
        let (lock, handle) = (self.at(LOCK), self.handle.clone());
        let list = handle.retry(GetChildNames { path: path(&lock) });
        match self.perhaps(list).await {
            Some(Ok(names)) => names.iter().map(|name| format!("{lock}/{name}")).collect(),
            _ => Vec::new(),
        }
    }
}
