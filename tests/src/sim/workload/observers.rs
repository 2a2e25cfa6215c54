//! Those who follow who leads, without standing.

use docent_core::error::Error;
use docent_core::handle::Handle;
use docent_core::recipes::{Election, Observer};
use docent_core::session::End;

use super::{Task, path};
use crate::sim::check::{ELECTION, Observed};
use crate::sim::client::{Hold, Kind};

impl<K: Kind> Task<K> {
    pub(super) async fn observe(mut self) {
        while self.is_active() {
            let index = {
                let mut journal = self.world.journal.borrow_mut();
                journal.ops += 1;
                journal.observers.push(Observed {
                    client: self.client,
                    ..Observed::default()
                });
                journal.observers.len() - 1
            };
            self.follow_leaders(index).await;
            self.world.journal.borrow_mut().observers[index].dropped = true;
            self.pause(300_000).await;
        }
    }

    async fn follow_leaders(&mut self, index: usize) {
        let election = Election::new(self.handle.clone(), path(&self.at(ELECTION)));
        let mut observer = election.expect("room for a path").observe();
        let mut patience = 20;
        while patience > 0 && !(self.is_active() && self.rng.once_in(20)) {
            let error = self.see_leader(&mut observer, index).await;
            let failing = error.is_some();
            match error {
                Some(Error::NotSent(end)) if end != End::Expired => return,
                Some(error) => {
                    patience -= usize::from(!self.is_active());
                    self.failed(error);
                    self.pause(500_000).await;
                }
                None => {}
            }
            self.world.journal.borrow_mut().observers[index].failing = failing;
        }
    }

    /// Waits for the next leader; what is wrong, if anything is.
    async fn see_leader(
        &mut self,
        observer: &mut Observer<Handle<Hold<K>>>,
        index: usize,
    ) -> Option<Error> {
        let next = async {
            let leader = observer.next().await?;
            Ok(leader.map(|leader| leader.fencing_token()))
        };
        match self.perhaps(next).await? {
            Ok(token) => {
                let client = self.client;
                self.world.note(&[0x0b5, index as u64], || {
                    format!("client {client}: observer {index}: {token:x?} leads")
                });
                self.world.journal.borrow_mut().observers[index]
                    .told
                    .push(token);
                None
            }
            Err(error) => Some(error),
        }
    }
}
