//! Candidates of an election, and those who follow who leads.

use std::ops::ControlFlow;

use docent_core::handle::Handle;
use docent_core::recipes::{Candidate, Election, StepDown};

use super::holders::Grip;
use super::{Task, path};
use crate::sim::check::ELECTION;
use crate::sim::client::{Hold, Kind};
use crate::sim::roles::Role;

type Elected<K> = Election<Handle<Hold<K>>, String>;

impl<K: Kind> Task<K> {
    pub(super) async fn stand(mut self) {
        while self.is_active() {
            let election = self.election();
            match self.rng.index(4) {
                0 => self.campaign(&election).await,
                1 => self.lead(&election).await,
                _ => self.stay_candidate(&election).await,
            }
            self.pause(1_000_000).await;
        }
    }

    fn election(&mut self) -> Elected<K> {
        let rules = [StepDown::AtLeaseEnd, StepDown::AtDisconnect];
        let rule = rules[self.rng.index(2)];
        let election = Election::new(self.handle.clone(), path(&self.at(ELECTION)));
        let election = election.expect("room for a path").with_step_down(rule);
        election.with_id(format!("c{}", self.client))
    }

    async fn campaign(&mut self, election: &Elected<K>) {
        let outcome = self.perhaps(election.campaign()).await;
        if let Some(guard) = self.acquired(Role::Leader, outcome) {
            self.hold(Role::Leader, guard).await;
        }
    }

    /// Leads some times.
    async fn lead(&mut self, election: &Elected<K>) {
        let (mut own, mut left) = (self.fork(), 1 + self.rng.below(3));
        let lead = election.lead(async |guard: &Grip<K>| {
            drop(own.keep(Role::Leader, guard).await);
            left -= 1;
            match left > 0 && own.is_active() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        let outcome = self.perhaps(lead).await;
        let _: Option<()> = self.acquired(Role::Leader, outcome);
    }

    /// Keeps a place through leaderships and losses.
    async fn stay_candidate(&mut self, election: &Elected<K>) {
        let mut candidate = election.candidate();
        for _ in 0..=self.rng.below(6) {
            if self.is_active() {
                self.turn_of(&mut candidate).await;
            }
        }
        if self.rng.once_in(2) {
            let outcome = self.perhaps(candidate.resign()).await;
            let _: Option<Result<(), _>> = outcome;
        }
    }

    /// What a candidate does next: leads, or waits to, or ceases to.
    async fn turn_of(&mut self, candidate: &mut Candidate<'_, Handle<Hold<K>>, String>) {
        let patience = self.rng.below(10_000_000);
        let outcome = match candidate.leadership() {
            Some(_) => self.within(patience, candidate.changed()).await,
            None => self.perhaps(candidate.changed()).await,
        };
        let leads = self.acquired(Role::Leader, outcome);
        if let Some(guard) = candidate.leadership().filter(|guard| !guard.is_held()) {
            self.fail(format!("leads no more: {guard:?}"));
        }
        match (leads, candidate.leadership()) {
            (Some(true), Some(guard)) => drop(self.keep(Role::Leader, guard).await),
            (Some(false), Some(guard)) => self.fail(format!("still leads: {guard:?}")),
            _ => {}
        }
    }
}
