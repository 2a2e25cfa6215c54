//! How time passes: whoever is ready runs, and if nobody is, the next thing happens.

use std::rc::Rc;

use super::catch::catch;
use super::executor::Turn;
use super::link::{Piece, To};
use super::world::{Event, World};

/// Nothing goes on for so many turns without time passing, unless something spins.
const MOST_TURNS: u64 = 200_000;

/// For how many microseconds those who are ready may have to wait at a time.
const SOON: u64 = 5_000;

impl World {
    /// Lets everything happen until a time, or until it is over.
    pub(super) fn run(self: &Rc<Self>, until: u64, is_over: impl Fn() -> bool) {
        let (mut turns, mut at) = (0, self.now());
        while !self.has_failed() && !is_over() {
            let next = self.next_at().filter(|&next| next <= until);
            let Some(turn) = self.pick(next) else {
                let Some(next) = next else {
                    return self.advance(until);
                };
                self.advance(next);
                self.happen();
                (turns, at) = if self.now() > at {
                    (0, self.now())
                } else {
                    (turns + 1, at)
                };
                continue;
            };
            turns += 1;
            if turns + 12 > MOST_TURNS {
                self.note(&[], || format!("{turn:?} of {}", self.executor.name(turn)));
            }
            if let Err(said) = catch(|| self.take(turn)) {
                self.fail(format!("{}: {said}", self.executor.name(turn)));
            }
            if turns > MOST_TURNS {
                self.fail(format!("{} spins", self.executor.name(turn)));
            }
        }
    }

    fn take(self: &Rc<Self>, turn: Turn) {
        match turn {
            Turn::Driver(client) => self.drive(client),
            Turn::Task(place) => {
                if self.executor.poll(place) {
                    self.progress();
                }
            }
        }
    }

    /// Who runs next; nobody if something is to happen first.
    fn pick(&self, next: Option<u64>) -> Option<Turn> {
        let soon = next.is_some_and(|next| next <= self.now() + SOON);
        let idle = soon && self.draw(|rng| rng.once_in(self.plan.sloth));
        let mut rng = self.rng.borrow_mut();
        let asleep = |client, role| self.is_asleep(client, role);
        (!idle).then(|| self.executor.pick(&mut rng, asleep))?
    }

    /// What is due happens.
    fn happen(self: &Rc<Self>) {
        if let Some(event) = self.next_event() {
            self.handle(event);
        }
        self.run_ensemble();
        self.check_leases();
    }

    fn handle(self: &Rc<Self>, event: Event) {
        match event {
            Event::Arrive(link, To::Server, piece) => self.at_server(link, piece),
            Event::Arrive(link, To::Client, piece) => {
                let Some((client, piece)) = self.at_client(link, piece) else {
                    return;
                };
                let bytes = match &piece {
                    Piece::Bytes(bytes) => Some(&bytes[..]),
                    Piece::End => None,
                };
                self.driver(client).borrow_mut().arrive(link, bytes);
            }
            Event::Dialed {
                client,
                attempt,
                member,
            } => {
                // An answer that does not get through is none.
                if !self.is_blocked(client, member) {
                    let link = self.open(client, member);
                    self.driver(client).borrow_mut().dialed(attempt, link);
                }
            }
            Event::Probed { client, host } => {
                let writable = !self.is_blocked(client, host.get()) && self.serves_writes(host);
                self.driver(client).borrow_mut().probed(host, writable);
            }
            Event::Timer(client) => self.driver(client).borrow_mut().awaken(),
            Event::Wake(waker) => waker.wake(),
            Event::Fault(injection) => self.trouble(injection),
            Event::Relief(relief) => self.relieve(relief),
            Event::Heal => self.heal(),
        }
    }
}
