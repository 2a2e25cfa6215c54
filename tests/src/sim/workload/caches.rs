//! Caches, and those who follow them, sometimes slowly.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::recipes::cache::{Bounds, Cache, Event, Held, Store};
use docent_core::session::End;

use super::{Job, Task, path};
use crate::sim::check::{Followed, LOCK, Look, Seen};
use crate::sim::client::{Hold, Kind};
use crate::sim::faults::Fault;
use crate::sim::roles::Role;

/// Few enough to be too few.
const FEW: Bounds = Bounds {
    nodes: 5,
    bytes: 150,
};

/// A cache of the simulation.
type Simulated<K> = Cache<Handle<Hold<K>>, <K as Kind>::Shelf>;

/// What comes of the next event of a cache.
enum Next {
    Event(Event<(String, Seen)>),
    Failed(Error),
    Cancelled,
}

impl<K: Kind> Task<K> {
    pub(super) async fn cache(mut self) {
        while self.is_active() {
            self.follow_nodes().await;
            self.pause(300_000).await;
        }
    }

    /// Follows a cache until it is dropped.
    async fn follow_nodes(&mut self) {
        let root = match self.rng.index(4) {
            0 => self.at(LOCK),
            1 => self.register(),
            _ => match self.at("") {
                root if root.is_empty() => "/".to_owned(),
                root => root,
            },
        };
        let bounds = if self.rng.once_in(3) {
            FEW
        } else {
            Bounds::DEFAULT
        };
        let depth = [0, 1, 1, 2, usize::MAX][self.rng.index(5)];
        let data = !self.rng.once_in(4);
        let shelf = K::shelf(bounds);
        let cache = Cache::tree(self.handle.clone(), path(&root), shelf);
        let mut cache = match cache {
            Ok(cache) => cache.depth(depth),
            Err(error) => return self.fail(format!("no cache: {error}")),
        };
        if !data {
            cache = cache.without_data();
        }
        let root = self.full(&root);
        let (client, status) = (self.client, self.handle.status());
        let room = K::room(bounds, self.world.plan.max_reply);
        let followed = Followed::new(client, root, depth, data, room);
        let index = {
            let mut journal = self.world.journal.borrow_mut();
            journal.ops += 1;
            journal.caches.push(followed);
            journal.caches.len() - 1
        };
        self.world.note(&[0xcac, index as u64], || {
            let journal = self.world.journal.borrow();
            format!(
                "client {client}: cache {index} in {status:?}: {:?}",
                journal.caches[index]
            )
        });
        self.follow_cache(&mut cache, index).await;
        self.world.journal.borrow_mut().caches[index].dropped = true;
    }

    async fn follow_cache(&mut self, cache: &mut Simulated<K>, index: usize) {
        let mut patience = 20;
        while patience > 0 {
            patience -= usize::from(!self.is_active() && self.is_failing(index));
            if self.rng.once_in(8) {
                self.pause(3_000_000).await;
            }
            if self.is_active() && self.rng.once_in(40) {
                return;
            }
            match self.next_of(cache, index).await {
                Next::Cancelled => {}
                Next::Event(event) => self.saw(cache, index, event),
                Next::Failed(Error::NotSent(end)) if end != End::Expired => return,
                Next::Failed(error) => {
                    self.failed(error);
                    self.world.journal.borrow_mut().caches[index].failing = true;
                    self.pause(500_000).await;
                }
            }
        }
    }

    fn is_failing(&self, index: usize) -> bool {
        self.world.journal.borrow().caches[index].failing
    }

    async fn next_of(&mut self, cache: &mut Simulated<K>, index: usize) -> Next {
        let polls = Rc::new(Cell::new(0));
        let next = {
            let (world, polls) = (Rc::clone(&self.world), Rc::clone(&polls));
            let calm = world.plan.heal_at + 2000 * world.plan.timeout_ms;
            async move {
                let mut next = pin!(cache.next());
                let next = poll_fn(move |cx| {
                    polls.set(polls.get() + u64::from(world.now() > calm));
                    next.as_mut().poll(cx)
                });
                match next.await {
                    Ok(event) => Next::Event(event.map(|node| {
                        let seen = Seen {
                            czxid: node.stat().czxid,
                            mzxid: node.stat().mzxid,
                            data: node.data().map(<[u8]>::to_vec),
                        };
                        (node.path().as_str().to_owned(), seen)
                    })),
                    Err(error) => Next::Failed(error),
                }
            }
        };
        // The polls of one that never ends count, too.
        self.world.journal.borrow_mut().caches[index].polls = Rc::clone(&polls);
        let next = self.perhaps(next).await;
        self.world.journal.borrow_mut().caches[index].earlier_polls += polls.get();
        next.unwrap_or(Next::Cancelled)
    }

    /// Takes an event for what it says, and checks that it can be.
    fn saw(&self, cache: &Simulated<K>, index: usize, event: Event<(String, Seen)>) {
        let client = self.client;
        self.world.note(&[0xcad, index as u64], || {
            format!("client {client}: cache {index}: {event:x?}")
        });
        let wrong = {
            let mut journal = self.world.journal.borrow_mut();
            let followed = &mut journal.caches[index];
            followed.failing = false;
            followed.events += 1;
            let wrong = followed.apply(event, |path| self.full(path));
            if cache.is_fresh() && wrong.is_none() && followed.told_fresh {
                let tally = cache.store().tally();
                followed.denied = tally.denied;
                followed.looks.push(Look {
                    zxid: cache.as_of_zxid(),
                    view: followed.view.clone(),
                    complete: tally.cut == 0,
                });
                followed.told_fresh = false;
            }
            wrong
        };
        if let Some(wrong) = wrong {
            self.fail(format!("cache {index} {wrong}"));
        }
    }

    /// Whether it is what bounded memory may say, or a server that breaks the protocol.
    pub(super) fn failed(&self, error: Error) {
        if error == Error::Full {
            self.world.count(Fault::Full);
        }
        let expected = match error {
            Error::Full | Error::Malformed(_) | Error::NotSent(_) => true,
            Error::TooLarge { .. } | Error::ReplyTooLarge { .. } => {
                !self.world.plan.sizes[self.client].has_room_for(Role::Mutex)
            }
            Error::Server(Code::SessionExpired | Code::SessionMoved) => true,
            _ => self.is_over() || self.world.plan.work.has(Job::Quit),
        };
        if !expected {
            self.fail(format!("what it follows says {error:?}"));
        }
    }
}
