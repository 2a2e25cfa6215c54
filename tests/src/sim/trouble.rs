//! How faults begin and end.

use std::time::Duration;

use super::faults::Fault;
use super::link::{LinkId, Piece, To};
use super::world::{Event, Relief, World};
use crate::server::Lag;

impl World {
    /// Something goes wrong, and the next time is set.
    pub(super) fn trouble(&self) {
        if self.healed.get() || self.plan.faults.is_empty() {
            return;
        }
        let next = self.draw(|rng| rng.range(1, 2 * self.plan.pace));
        self.schedule(self.now() + next, Event::Fault);
        let fault = self.draw(|rng| self.plan.faults[rng.index(self.plan.faults.len())]);
        if self.inject(fault) {
            self.count(fault);
            self.note(&[0xfa, fault as u64], || format!("fault: {fault}"));
        }
    }

    /// Whether the fault can happen now.
    fn inject(&self, fault: Fault) -> bool {
        match fault {
            Fault::Cancel => false,
            Fault::Partition => self.partition(),
            Fault::PauseClient => self.pause_client(),
            Fault::Expire => self.expire(),
            Fault::ExpireHolder => self.expire_holder(),
            Fault::Lag | Fault::Hold | Fault::PauseMember | Fault::Isolate => self.hurt(fault),
            Fault::Kill => {
                self.kill(self.draw(|rng| rng.index(self.plan.members)));
                true
            }
            Fault::KillAll => {
                (0..self.plan.members).for_each(|member| self.kill(member));
                true
            }
            _ => self.disturb(fault),
        }
    }

    /// How long a fault lasts: mostly less than a session, sometimes more.
    fn duration(&self) -> u64 {
        let timeout = self.plan.timeout_ms * 1000;
        self.draw(|rng| {
            let most = [timeout / 10, timeout, 3 * timeout][rng.index(3)];
            rng.range(1, most)
        })
    }

    fn later(&self, relief: Relief) {
        let duration = self.duration();
        self.schedule(self.now() + duration, Event::Relief(relief));
    }

    /// Something happens to a connection.
    fn disturb(&self, fault: Fault) -> bool {
        let open: Vec<LinkId> = {
            let links = self.links.borrow();
            let open = links.iter().filter(|(_, link)| !link.cut);
            open.map(|(id, _)| *id).collect()
        };
        if open.is_empty() {
            return false;
        }
        let id = open[self.draw(|rng| rng.index(open.len()))];
        let fuse = self.draw(|rng| rng.index(400));
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id) else {
            return false;
        };
        let conn = link.conn;
        match fault {
            Fault::CutToServer => link.to_server.fuse = Some(fuse),
            Fault::CutToClient => link.to_client.fuse = Some(fuse),
            Fault::Stall => {
                link.stalled = true;
                self.later(Relief::Stall(id));
            }
            Fault::Mute => {
                link.muted = true;
                self.ensemble.borrow_mut().drop_replies(conn, true);
            }
            Fault::ServerCut => self.ensemble.borrow_mut().cut(conn),
            Fault::Garbage => {
                drop(links);
                self.send(id, To::Client, &self.garbage());
            }
            _ => {
                drop(links);
                self.cut(id);
            }
        }
        true
    }

    /// What no server sends, at the end of a frame.
    fn garbage(&self) -> Vec<u8> {
        self.draw(|rng| match rng.below(4) {
            0 => rng.next().to_be_bytes().to_vec(),
            1 => b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
            // An answer to nothing that was asked.
            2 => reply(1_000_000, &[]),
            // An event that is none.
            _ => reply(-1, &[0; 3]),
        })
    }

    fn partition(&self) -> bool {
        let (client, member) =
            self.draw(|rng| (rng.index(self.plan.clients), rng.index(self.plan.members)));
        self.blocked.borrow_mut().push((client, member));
        self.later(Relief::Partition(client, member));
        true
    }

    fn pause_client(&self) -> bool {
        let client = self.draw(|rng| rng.index(self.plan.clients));
        self.asleep.borrow_mut()[client] = true;
        self.later(Relief::Client(client));
        true
    }

    fn expire(&self) -> bool {
        let sessions: Vec<_> = self.ensemble.borrow().sessions().collect();
        if sessions.is_empty() {
            return false;
        }
        let session = sessions[self.draw(|rng| rng.index(sessions.len()))];
        self.ensemble.borrow_mut().expire(session)
    }

    /// The server ends the session of whoever is first in the queue for the lock.
    fn expire_holder(&self) -> bool {
        let first = super::check::first(&self.ensemble.borrow());
        first.is_some_and(|(_, owner, _)| self.ensemble.borrow_mut().expire(owner))
    }

    /// Something happens to a member.
    fn hurt(&self, fault: Fault) -> bool {
        let member = self.draw(|rng| rng.index(self.plan.members));
        let lag = Duration::from_micros(self.draw(|rng| rng.range(1, 2_000_000)));
        let mut ensemble = self.ensemble.borrow_mut();
        let relief = match fault {
            Fault::Lag => {
                ensemble.lag(member, Lag::By(lag));
                Relief::Lag(member)
            }
            Fault::Hold => {
                ensemble.lag(member, Lag::Held);
                Relief::Lag(member)
            }
            Fault::PauseMember => {
                ensemble.pause(member);
                Relief::Pause(member)
            }
            _ => {
                ensemble.isolate(member, true);
                Relief::Isolate(member)
            }
        };
        drop(ensemble);
        self.later(relief);
        true
    }

    fn kill(&self, member: usize) {
        self.ensemble.borrow_mut().kill(member);
        self.later(Relief::Kill(member));
    }

    /// A fault ends.
    pub(super) fn relieve(&self, relief: Relief) {
        let mut ensemble = self.ensemble.borrow_mut();
        match relief {
            Relief::Lag(member) => ensemble.lag(member, Lag::None),
            Relief::Pause(member) => ensemble.resume(member),
            Relief::Kill(member) => ensemble.restart(member),
            Relief::Isolate(member) => ensemble.isolate(member, false),
            Relief::Client(client) => self.asleep.borrow_mut()[client] = false,
            Relief::Partition(client, member) => {
                let mut blocked = self.blocked.borrow_mut();
                if let Some(at) = blocked.iter().position(|&pair| pair == (client, member)) {
                    blocked.swap_remove(at);
                }
            }
            Relief::Stall(id) => {
                if let Some(link) = self.links.borrow_mut().get_mut(&id) {
                    link.stalled = false;
                }
            }
        }
        drop(ensemble);
        self.release();
    }

    /// Pieces that were held back go on to the clients.
    fn release(&self) {
        let mut links = self.links.borrow_mut();
        for (&id, link) in links.iter_mut() {
            if link.stalled || self.is_blocked(link.client, link.member) {
                continue;
            }
            let held: Vec<_> = link.to_client.held.drain(..).collect();
            for piece in held {
                self.schedule(self.now(), Event::Arrive(id, To::Client, piece));
            }
        }
    }

    /// All faults end.
    pub(super) fn heal(&self) {
        self.healed.set(true);
        self.note(&[0x4ea1], || "all faults end".to_owned());
        let muted: Vec<_> = {
            let mut links = self.links.borrow_mut();
            links.values_mut().for_each(|link| {
                link.stalled = false;
                link.to_server.fuse = None;
                link.to_client.fuse = None;
            });
            let muted = links.iter().filter(|(_, link)| link.muted);
            muted.map(|(id, _)| *id).collect()
        };
        muted.into_iter().for_each(|id| self.cut(id));
        self.blocked.borrow_mut().clear();
        self.asleep.borrow_mut().fill(false);
        for member in 0..self.plan.members {
            self.relieve(Relief::Lag(member));
            self.relieve(Relief::Pause(member));
            self.relieve(Relief::Kill(member));
            self.relieve(Relief::Isolate(member));
        }
        self.run_ensemble();
    }

    /// A piece has come to the client's end; returns whom to give it to.
    pub(super) fn at_client(&self, id: LinkId, piece: Piece) -> Option<(usize, Piece)> {
        let mut links = self.links.borrow_mut();
        let link = links.get_mut(&id)?;
        let client = link.client;
        let shut = link.stalled || self.is_blocked(client, link.member);
        let queued = !link.to_client.held.is_empty();
        match piece {
            _ if link.to_client.closed => None,
            Piece::Bytes(_) if link.cut => None,
            piece if !link.cut && (shut || queued) => {
                link.to_client.held.push_back(piece);
                None
            }
            Piece::Bytes(mut bytes) => {
                let burnt = link.to_client.burn(&mut bytes);
                drop(links);
                if burnt {
                    self.cut(id);
                }
                Some((client, Piece::Bytes(bytes)))
            }
            Piece::End => Some((client, Piece::End)),
        }
    }
}

fn reply(xid: i32, body: &[u8]) -> Vec<u8> {
    let len = 16 + i32::try_from(body.len()).unwrap_or(0);
    let mut frame = len.to_be_bytes().to_vec();
    frame.extend(xid.to_be_bytes());
    frame.extend([0; 12]);
    frame.extend(body);
    frame
}
