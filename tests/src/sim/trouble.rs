//! How faults begin and end.

use std::rc::Rc;
use std::time::Duration;

use super::check::{Contender, empty_queues, fronts};
use super::faults::Fault;
use super::lies;
use super::link::{Link, LinkId, Piece, To};
use super::process::Exit;
use super::rng::Rng;
use super::schedule::Injection;
use super::world::{Event, Relief, World};
use crate::server::Lag;

/// A fault that had an effect.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    pub(super) number: u32,
    /// When, and what happened to whom.
    pub(super) told: String,
}

/// What a fault did, in words; `None` if there was nothing that it could do.
type Done = Option<String>;

impl World {
    /// Something goes wrong.
    pub(super) fn trouble(self: &Rc<Self>, injection: Injection) {
        let Injection {
            number,
            fault,
            mut rng,
            ..
        } = injection;
        if self.healed.get() {
            return;
        }
        let Some(done) = self.inject(fault, &mut rng) else {
            return;
        };
        if !fault.is_condition() {
            self.count(fault);
        }
        self.note(&[0xfa, fault as u64], || format!("fault {number}: {done}"));
        let told = format!("{:12.6}  {number}: {done}", self.now() as f64 / 1e6);
        let mut injected = self.injected.borrow_mut();
        injected.push(Injected { number, told });
    }

    fn inject(self: &Rc<Self>, fault: Fault, rng: &mut Rng) -> Done {
        let clients = self.processes.borrow().len();
        let client = rng.index(clients.max(1));
        let member = rng.index(self.plan.members);
        match fault {
            Fault::Cancel | Fault::Skew | Fault::Fragments | Fault::Full => self.condition(fault),
            Fault::Wipe | Fault::Rewind | Fault::Wrap => self.undo(fault, rng),
            Fault::KillAll => {
                for member in 0..self.plan.members {
                    self.kill(member, rng);
                }
                Some("all members are killed".to_owned())
            }
            Fault::Lag
            | Fault::Hold
            | Fault::Step
            | Fault::PauseMember
            | Fault::Kill
            | Fault::Isolate
            | Fault::ReadOnly => self.hurt(fault, member, rng),
            Fault::ExpireHolder => self.expire_holder(rng),
            Fault::Blackout => {
                let timeout = self.plan.timeout_ms * 1000;
                let duration = rng.range(timeout, 3 * timeout);
                self.blackout.set(Some(duration));
                let seconds = duration as f64 / 1e6;
                Some(format!(
                    "all members are killed when somebody joins a queue, for {seconds:.3} s"
                ))
            }
            _ if clients == 0 => None,
            Fault::Partition => {
                self.blocked.borrow_mut().push((client, member));
                let time = self.later(Relief::Partition(client, member), rng);
                Some(format!(
                    "client {client} and member {member} are apart{time}"
                ))
            }
            Fault::Lie => {
                self.lied_to.borrow_mut().insert(client, rng.fork());
                let time = self.later(Relief::Lie(client), rng);
                Some(format!("client {client} gets wrong answers{time}"))
            }
            Fault::Duplicate => self.duplicate(client, member, rng),
            Fault::PauseClient | Fault::StarveTasks | Fault::StarveDriver => {
                Some(self.starve(fault, client, rng))
            }
            Fault::Crash | Fault::Close | Fault::Detach => self.end(fault, client, rng),
            Fault::Expire => self.expire(client),
            _ => self.disturb(fault, client, rng),
        }
    }

    /// Ends a fault after a while: mostly less than a session, sometimes more.
    fn later(&self, relief: Relief, rng: &mut Rng) -> String {
        let timeout = self.plan.timeout_ms * 1000;
        let most = [timeout / 10, timeout, 3 * timeout][rng.index(3)];
        let duration = rng.range(1, most);
        self.schedule(self.now() + duration, Event::Relief(relief));
        format!(", for {:.3} s", duration as f64 / 1e6)
    }

    /// What holds from the start is told of, so that it can be left out.
    fn condition(&self, fault: Fault) -> Done {
        let plan = &self.plan;
        Some(match fault {
            Fault::Cancel => format!("one in {} futures is dropped", plan.cancel),
            Fault::Skew => format!("clocks are up to {} in 1000 wrong", plan.skew),
            Fault::Fragments => {
                self.count(fault);
                format!("pieces have up to {} bytes", plan.weather.piece)
            }
            _ => format!("clients have room for {} requests", plan.room),
        })
    }

    /// Something happens to the connection of a client.
    fn disturb(&self, fault: Fault, client: usize, rng: &mut Rng) -> Done {
        let id = self.driver(client).borrow().link()?;
        let fuse = rng.index(400);
        let stalled = matches!(fault, Fault::Stall | Fault::Deaf);
        let relief = match fault {
            Fault::Stall => Relief::Stall(id),
            _ => Relief::Deaf(id),
        };
        let time = if stalled {
            self.later(relief, rng)
        } else {
            String::new()
        };
        let mut links = self.links.borrow_mut();
        let link = links.get_mut(&id).filter(|link| !link.cut)?;
        let (member, conn) = (link.member, link.conn);
        let what = match fault {
            Fault::CutToServer => set_fuse(link, To::Server, fuse),
            Fault::CutToClient => set_fuse(link, To::Client, fuse),
            Fault::Stall => {
                link.stalled = true;
                "stalls".to_owned()
            }
            Fault::Deaf => {
                link.deaf = true;
                "is not read by the member".to_owned()
            }
            Fault::Mute => {
                link.muted = true;
                self.ensemble.borrow_mut().drop_replies(conn, true);
                "gets no more answers".to_owned()
            }
            Fault::ServerCut => {
                self.ensemble.borrow_mut().cut(conn);
                "is closed by the member".to_owned()
            }
            Fault::Garbage => {
                drop(links);
                self.send(id, To::Client, &lies::garbage(rng));
                "gets garbage".to_owned()
            }
            _ => {
                drop(links);
                self.cut(id);
                "is cut".to_owned()
            }
        };
        Some(format!(
            "client {client}'s connection to member {member} {what}{time}"
        ))
    }

    /// A handshake that was sent long ago reaches a member only now.
    fn duplicate(&self, client: usize, member: usize, rng: &mut Rng) -> Done {
        let credentials = self.driver(client).borrow().credentials()?;
        let conn = self.ensemble.borrow_mut().connect(member)?;
        let mut hello = [&45_i32.to_be_bytes()[..], &[0; 4]].concat();
        hello.extend(credentials.zxid.to_be_bytes());
        hello.extend((self.plan.timeout_ms as i32).to_be_bytes());
        hello.extend(credentials.id.to_be_bytes());
        hello.extend(16_i32.to_be_bytes());
        hello.extend(credentials.password);
        hello.push(0);
        let now = self.instant();
        self.ensemble.borrow_mut().receive(conn, now, &hello);
        let time = self.later(Relief::Stray(conn), rng);
        Some(format!(
            "client {client}'s session moves to another connection to member {member}{time}"
        ))
    }

    /// A process, or a part of it, does not run.
    fn starve(&self, fault: Fault, client: usize, rng: &mut Rng) -> String {
        let (relief, tasks, driver, who) = match fault {
            Fault::StarveTasks => (Relief::Tasks(client), Some(true), None, "'s tasks"),
            Fault::StarveDriver => (Relief::Driver(client), None, Some(true), "'s driver"),
            _ => (Relief::Client(client), Some(true), Some(true), ""),
        };
        self.freeze(client, tasks, driver);
        let time = self.later(relief, rng);
        format!("client {client}{who} does not run{time}")
    }

    /// A process ends, and another takes its place.
    fn end(self: &Rc<Self>, fault: Fault, client: usize, rng: &mut Rng) -> Done {
        self.processes.borrow()[client].main.as_ref()?;
        let (exit, what) = match fault {
            Fault::Close => (Exit::Close, "is closed"),
            Fault::Detach => (Exit::Detach, "leaves its session behind"),
            _ if rng.once_in(2) => (Exit::Crash, "dies"),
            _ => (Exit::PowerCut, "dies with its machine"),
        };
        self.exit(client, exit);
        Some(format!(
            "client {client} {what}, and another takes its place"
        ))
    }

    fn expire(&self, client: usize) -> Done {
        let session = self.driver(client).borrow().credentials()?.id;
        let expired = self.ensemble.borrow_mut().expire(session);
        expired.then(|| format!("session {session:#x} of client {client} is ended"))
    }

    /// The server ends the session of whoever is first in a queue.
    fn expire_holder(&self, rng: &mut Rng) -> Done {
        let fronts = fronts(&self.ensemble.borrow());
        let Contender { path, owner, .. } = fronts.get(rng.index(fronts.len().max(1)))?;
        let expired = self.ensemble.borrow_mut().expire(*owner);
        expired.then(|| format!("session {owner:#x}, which owns {path}, is ended"))
    }

    /// The ensemble is not what it was.
    fn undo(&self, fault: Fault, rng: &mut Rng) -> Done {
        match fault {
            Fault::Wipe => {
                self.ensemble.borrow_mut().wipe();
                Some("the ensemble loses everything".to_owned())
            }
            Fault::Rewind => self.restore(rng),
            _ => self.wrap(),
        }
    }

    /// Whoever restores a backup does so on all members, and sees to it that nobody goes on with an
    /// old session.
    fn restore(&self, rng: &mut Rng) -> Done {
        self.repair();
        let mut ensemble = self.ensemble.borrow_mut();
        let zxids: Vec<_> = ensemble.history().map(|entry| entry.zxid).collect();
        let back = rng.index(zxids.len().clamp(1, 200));
        let zxid = *zxids.get(zxids.len().checked_sub(back + 1)?)?;
        ensemble.rewind(zxid);
        let sessions: Vec<_> = ensemble.sessions().collect();
        sessions.into_iter().for_each(|session| {
            ensemble.expire(session);
        });
        Some(format!("the ensemble is restored as of {zxid:#x}"))
    }

    /// The numbers of contenders wrap around. They never have numbers that are far apart: that takes
    /// years.
    fn wrap(&self) -> Done {
        let mut ensemble = self.ensemble.borrow_mut();
        let queues = empty_queues(&ensemble, self.plan.work.base);
        let mut set = |queue: &String| ensemble.set_counter(queue, i32::MAX - 1);
        let set = queues.iter().filter(|queue| set(queue)).count();
        (set > 0).then(|| format!("the numbers of {set} queues run out"))
    }

    /// Something happens to a member.
    fn hurt(&self, fault: Fault, member: usize, rng: &mut Rng) -> Done {
        let lag = Duration::from_micros(rng.range(1, 2_000_000));
        let mut ensemble = self.ensemble.borrow_mut();
        let (relief, what) = match fault {
            Fault::Lag => {
                ensemble.lag(member, Lag::By(lag));
                (Relief::Lag(member), format!("is {lag:?} behind"))
            }
            Fault::Hold => {
                ensemble.lag(member, Lag::Held);
                (Relief::Lag(member), "applies nothing".to_owned())
            }
            Fault::Step => {
                let stepped = ensemble.step(member);
                return stepped.then(|| format!("member {member} applies a transaction"));
            }
            Fault::PauseMember => {
                ensemble.pause(member);
                (Relief::Pause(member), "is frozen".to_owned())
            }
            Fault::ReadOnly => {
                ensemble.read_only(member, true);
                let what = "is cut off from the others, and serves readers";
                (Relief::ReadOnly(member), what.to_owned())
            }
            Fault::Isolate => {
                ensemble.isolate(member, true);
                (
                    Relief::Isolate(member),
                    "is cut off from the others".to_owned(),
                )
            }
            _ => {
                drop(ensemble);
                let time = self.kill(member, rng);
                return Some(format!("member {member} is killed{time}"));
            }
        };
        drop(ensemble);
        let time = self.later(relief, rng);
        Some(format!("member {member} {what}{time}"))
    }

    fn kill(&self, member: usize, rng: &mut Rng) -> String {
        self.ensemble.borrow_mut().kill(member);
        self.later(Relief::Kill(member), rng)
    }

    /// If there is to be a blackout this is the time: a node stands in a queue, and its owner has not
    /// heard of it. As all members come back at once they count every session as just heard of.
    pub(super) fn black_out(&self) {
        let Some(duration) = self.blackout.take() else {
            return;
        };
        for member in 0..self.plan.members {
            self.ensemble.borrow_mut().kill(member);
            let relief = Event::Relief(Relief::Kill(member));
            self.schedule(self.now() + duration, relief);
        }
    }

    /// A fault ends.
    pub(super) fn relieve(&self, relief: Relief) {
        let mut ensemble = self.ensemble.borrow_mut();
        match relief {
            Relief::Lag(member) => ensemble.lag(member, Lag::None),
            Relief::Pause(member) => ensemble.resume(member),
            Relief::Kill(member) => ensemble.restart(member),
            Relief::Isolate(member) => ensemble.isolate(member, false),
            Relief::ReadOnly(member) => ensemble.read_only(member, false),
            Relief::Stray(conn) => ensemble.disconnect(conn),
            Relief::Client(client) => self.freeze(client, Some(false), Some(false)),
            Relief::Tasks(client) => self.freeze(client, Some(false), None),
            Relief::Driver(client) => self.freeze(client, None, Some(false)),
            Relief::Partition(client, member) => {
                let mut blocked = self.blocked.borrow_mut();
                if let Some(at) = blocked.iter().position(|&pair| pair == (client, member)) {
                    blocked.swap_remove(at);
                }
            }
            Relief::Lie(client) => {
                self.lied_to.borrow_mut().remove(&client);
            }
            Relief::Stall(id) => {
                if let Some(link) = self.links.borrow_mut().get_mut(&id) {
                    link.stalled = false;
                }
            }
            Relief::Deaf(id) => {
                if let Some(link) = self.links.borrow_mut().get_mut(&id) {
                    link.deaf = false;
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
        let spoilt: Vec<_> = {
            let mut links = self.links.borrow_mut();
            links.values_mut().for_each(|link| {
                link.stalled = false;
                link.deaf = false;
                link.to_server.fuse = None;
                link.to_client.fuse = None;
            });
            let spoilt = links.iter().filter(|(_, link)| link.muted || link.lied);
            spoilt.map(|(id, _)| *id).collect()
        };
        spoilt.into_iter().for_each(|id| self.cut(id));
        self.lied_to.borrow_mut().clear();
        self.blackout.set(None);
        self.blocked.borrow_mut().clear();
        let clients = self.processes.borrow().len();
        for client in 0..clients {
            self.freeze(client, Some(false), Some(false));
        }
        self.repair();
        self.run_ensemble();
    }

    /// All members are there again, and in touch with each other.
    fn repair(&self) {
        for member in 0..self.plan.members {
            self.relieve(Relief::Lag(member));
            self.relieve(Relief::Pause(member));
            self.relieve(Relief::Kill(member));
            self.relieve(Relief::ReadOnly(member));
        }
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

fn set_fuse(link: &mut Link, to: To, fuse: usize) -> String {
    link.lane(to).fuse = Some(fuse);
    match to {
        To::Server => format!("is cut after {fuse} more bytes of requests"),
        To::Client => format!("is cut after {fuse} more bytes of replies"),
    }
}
