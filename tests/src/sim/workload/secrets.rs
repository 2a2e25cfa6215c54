//! Nodes that only their creator may see and change.

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::wire::{Acl, Create, CreateMode, GetData, SetData};

use super::{Task, path};
use crate::sim::client::Kind;

impl<K: Kind> Task<K> {
    pub(super) async fn keep_secret(mut self) {
        while self.is_active() {
            if self.rng.once_in(3) {
                self.pry().await;
            } else {
                self.change_secret().await;
            }
            self.pause(500_000).await;
        }
    }

    /// The secret node of a client.
    pub(super) fn secret(&self, client: usize) -> String {
        self.at(&format!("/secret-{client}"))
    }

    async fn change_secret(&mut self) {
        let (at, mark) = (self.secret(self.client), self.mark());
        let set = SetData {
            path: path(&at),
            data: mark.as_bytes(),
            version: None,
        };
        match self.set_data(set, &mark).await {
            Some(Err(Error::Server(Code::NoNode))) => self.hide().await,
            Some(Err(error)) => self.must_be_known(error),
            _ => {}
        }
    }

    async fn hide(&mut self) {
        let (at, mark) = (self.secret(self.client), self.mark());
        let create = Create {
            path: path(&at),
            data: mark.as_bytes(),
            mode: CreateMode::Persistent,
            acl: Acl::CREATOR_ALL,
        };
        if let Some(Err(error)) = self.create_as(create, &mark).await {
            self.must_be_known(error);
        }
    }

    /// A server that answers at all has heard the client's credentials before.
    pub(super) fn must_be_known(&self, error: Error) {
        if let Error::Server(Code::NoAuth | Code::InvalidAcl) = error {
            self.fail(format!("is not known: {error:?}"));
        }
    }

    /// Tries to read the secret of another client.
    async fn pry(&mut self) {
        let clients = self.world.plan.clients;
        let other = (self.client + 1) % clients;
        if other == self.client {
            return;
        }
        let (at, handle) = (self.secret(other), self.handle.clone());
        let get = GetData { path: path(&at) };
        if let Some(Ok(_)) = self.perhaps(handle.retry(get)).await {
            self.fail(format!("could read {at}"));
        }
    }
}
