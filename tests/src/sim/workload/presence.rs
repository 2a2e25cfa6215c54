//! Ephemerals, which say that somebody is there.

use docent_core::client::{Claim as _, Client as _};
use docent_core::error::{Code, Error};
use docent_core::session::Status;
use docent_core::wire::{Acl, Create, CreateMode, Stat};

use super::{Task, path};
use crate::sim::client::Kind;

/// Where those who are there have their nodes.
const MEMBERS: &str = "/members";

const fn ephemeral<'a>(at: docent_core::path::Path<'a>, mark: &'a str) -> Create<'a> {
    Create {
        path: at,
        data: mark.as_bytes(),
        mode: CreateMode::EphemeralSequential,
        acl: Acl::OPEN,
    }
}

impl<K: Kind> Task<K> {
    pub(super) async fn appear(mut self) {
        while self.is_active() {
            let handle = self.handle.clone();
            if let Some(Ok((session, id, status))) = self.perhaps(handle.session()).await {
                self.handle = session;
                if self.rng.once_in(2) {
                    self.claim(id, status).await;
                } else {
                    self.join(id, status).await;
                }
                self.handle = handle;
            }
            self.pause(1_000_000).await;
        }
    }

    /// Has a node under a claim, which is dropped at any moment.
    async fn claim(&mut self, id: i64, status: Status) {
        let (parent, handle) = (self.at(MEMBERS), self.handle.clone());
        let claim = handle.claim(path(&parent), "member-");
        let Some(Ok(mut claim)) = self.perhaps(claim).await else {
            return;
        };
        let (at, mark) = (claim.path().as_str().to_owned(), self.mark());
        match self.create_as(ephemeral(path(&at), &mark), &mark).await {
            Some(Ok((at, stat))) => {
                let named = claim.created(path(&at));
                named.expect("room for a path");
                self.stay(&at, stat, id, status).await;
                if self.rng.once_in(2) && self.remove(&at).await == Some(Ok(())) {
                    claim.settle();
                }
            }
            Some(Err(error)) if !error.may_have_run() => {
                claim.settle();
                self.found_members(error).await;
            }
            _ => {}
        }
    }

    async fn found_members(&mut self, error: Error) {
        if error == Error::Server(Code::NoNode) {
            let parent = self.at(MEMBERS);
            self.create(&parent).await;
        }
    }

    /// Has a node without a claim, and so sees to its end itself.
    async fn join(&mut self, id: i64, status: Status) {
        let mark = self.mark();
        let at = self.at(&format!("{MEMBERS}/{mark}"));
        let create = Create {
            mode: CreateMode::Ephemeral,
            ..ephemeral(path(&at), &mark)
        };
        match self.create_as(create, &mark).await {
            Some(Ok((_, stat))) => self.stay(&at, stat, id, status).await,
            Some(Err(error)) if !error.may_have_run() => return self.found_members(error).await,
            _ => {}
        }
        // Behind a create that nobody waited for. With the session the node goes anyway.
        while let None | Some(Err(Error::ConnectionLost | Error::Server(Code::NotReadOnly))) =
            self.remove(&at).await
        {
            self.pause(100_000).await;
        }
    }

    /// Looks whether a node is there while its session is.
    async fn stay(&mut self, at: &str, stat: Stat, id: i64, status: Status) {
        if stat.ephemeral_owner != id {
            self.fail(format!("{at} belongs to {:#x}", stat.ephemeral_owner));
        }
        self.pause(2_000_000).await;
        let now = self.handle.status();
        let alive = now.epoch == status.epoch && now.lapses == status.lapses;
        let ensemble = self.world.ensemble.borrow();
        let there = ensemble.node(&self.full(at)).is_some();
        drop(ensemble);
        if alive && !there && !self.is_over() && self.world.plan.leases_hold() {
            self.fail(format!("{at} is gone before its session"));
        }
    }
}
