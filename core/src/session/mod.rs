//! The session: a protocol machine without I/O, storage or clock.
//!
//! A transport tells it what happened with the `handle_*` methods and asks what to do with the
//! `poll_*` methods. It owns everything that fits a few hundred bytes: identity, phase, deadlines,
//! servers and backoff. Requests, watches and buffers belong to the [hub](crate::hub), which drives
//! it and encodes the messages that it asks for.
//!
//! Deadlines, with the negotiated timeout T:
//!
//! | what | when |
//! |---|---|
//! | ping | nothing sent for T/3 |
//! | connection given up | nothing answered for 2T/3, or requests in flight and none answered for the operation timeout |
//! | attempt given up | the connection timeout, at most T/3 |
//! | lease over | T less a margin after the last acknowledged request was *sent* |
//! | session presumed lost | 4T/3 after it, without a connection |

mod config;
mod hosts;
mod link;
mod status;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;

pub use config::{BadConfig, Config};
use hosts::Hosts;
pub use hosts::{Backoff, HostIndex};
use link::{Link, Restore};
pub use status::{Credentials, End, Epoch, Lost, State, Status};

use crate::error::{Code, ProtocolError};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::{Connect, ConnectReply, Connected, ReplyHeader, WatchEvent, xid};

/// The xid of the request that ends a session, out of the way of all others.
pub(crate) const CLOSE_XID: i32 = i32::MAX;

/// The shortest time an attempt to connect is given.
const MIN_ATTEMPT: Duration = Duration::from_millis(100);
/// How often a client of a read-only server looks for a better one: at first, and at the slowest.
const PROBE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// What the transport must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Close the connection, or abandon the attempt to open one. Nothing more is to be reported of it.
    HangUp,
    /// Open a connection to this server, and report [opened](Session::handle_opened) or
    /// [lost](Session::handle_lost).
    Dial(HostIndex),
    /// Ask this server, on a connection of its own, with the four-letter word `isro` whether it
    /// serves writes, and report the [answer](Session::handle_probed).
    Probe(HostIndex),
}

/// A message of the session itself that goes out ahead of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The [handshake](Session::connect_request).
    Connect,
    /// The credential at this place.
    Auth(u16),
    /// The watches from this place on, to be replayed since this transaction.
    Restore {
        from: usize,
        zxid: i64,
    },
    Ping,
    Close,
}

/// What a frame means to the hub.
#[derive(Debug)]
pub(crate) enum Inbound<'f> {
    Reply(ReplyHeader),
    Event(WatchEvent<'f>),
    Quiet,
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting {
        until: Instant,
    },
    Dialing {
        deadline: Instant,
    },
    Handshaking {
        deadline: Instant,
        sent: Option<Instant>,
    },
    Up(Link),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    Asked { deadline: Instant },
    Sent { deadline: Instant },
}

#[derive(Clone, Copy, Debug)]
struct Probing {
    at: Instant,
    pause: Duration,
}

struct Identity {
    id: i64,
    password: [u8; 16],
    /// The highest transaction of any reply.
    zxid: i64,
    /// A read-only server invents sessions that no other server knows.
    known_to_all: bool,
}

impl Identity {
    const NONE: Self = Self {
        id: 0,
        password: [0; 16],
        zxid: 0,
        known_to_all: false,
    };

    fn saw(&mut self, zxid: i64) {
        // Some refusals carry 0 or -1.
        self.zxid = self.zxid.max(zxid);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} at {:#x}", self.id, self.zxid)
    }
}

/// A client's side of a ZooKeeper session, over all its connections and successors.
#[derive(Debug)]
pub struct Session {
    config: Config,
    rng: Rng,
    hosts: Hosts,
    phase: Phase,
    closing: Closing,
    status: Status,
    identity: Identity,
    /// The negotiated timeout, or the wanted one before there is any.
    timeout: Duration,
    /// When the newest request was sent that a server is known to have received.
    acknowledged: Instant,
    lapsed: bool,
    /// Attempts to connect since the last connection that lasted.
    fruitless: u32,
    last_xid: i32,
    auths: u16,
    probing: Option<Probing>,
    hang_up: bool,
    dial: Option<HostIndex>,
    probe: Option<HostIndex>,
    changed: bool,
}

impl Session {
    /// A session with one of `hosts` servers. It wants to dial at once.
    ///
    /// `seed` makes the order of servers and the pauses unlike those of other clients.
    ///
    /// # Errors
    /// [`BadConfig`] for settings out of range or a count of servers that is not 1 to [`MAX_HOSTS`](crate::connect_string::MAX_HOSTS).
    pub fn new(config: Config, hosts: usize, seed: u64, now: Instant) -> Result<Self, BadConfig> {
        config.check()?;
        let mut rng = Rng::new(seed);
        Ok(Self {
            hosts: Hosts::new(hosts, config.shuffle, &mut rng)?,
            rng,
            phase: Phase::Waiting { until: now },
            closing: Closing::No,
            status: Status::NEW,
            identity: Identity::NONE,
            timeout: config.session_timeout,
            acknowledged: now,
            lapsed: false,
            fruitless: 0,
            last_xid: 0,
            auths: 0,
            probing: None,
            hang_up: false,
            dial: None,
            probe: None,
            changed: false,
            config,
        })
    }

    /// Takes up the session of `credentials` instead of asking for a new one.
    pub fn resume(&mut self, credentials: Credentials) {
        let Credentials { id, password, zxid } = credentials;
        self.identity = Identity {
            id,
            password,
            zxid,
            known_to_all: true,
        };
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the session is now. It is up to date after every `handle_*` call.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The session's id, or 0 while there is none.
    pub const fn id(&self) -> i64 {
        self.identity.id
    }

    /// The negotiated timeout, or the wanted one before there is any.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What it takes to resume this session elsewhere; nothing while there is no session.
    pub fn credentials(&self) -> Option<Credentials> {
        let Identity {
            id,
            password,
            zxid,
            known_to_all,
        } = self.identity;
        (id != 0 && known_to_all).then_some(Credentials { id, password, zxid })
    }

    /// Until when no server can have ended the session. It moves on with every answered request.
    #[inline]
    pub fn lease(&self) -> Option<Instant> {
        let held = self.identity.id != 0 && self.status.connections > 0;
        held.then(|| self.acknowledged + self.timeout - self.config.margin(self.timeout))
    }

    // ---- what happened ----

    /// The connection last asked for is open.
    pub fn handle_opened(&mut self, _now: Instant) {
        if let Phase::Dialing { deadline } = self.phase {
            self.phase = Phase::Handshaking {
                deadline,
                sent: None,
            };
        }
    }

    /// The connection, or the attempt to open it, failed; whether by FIN, RST, timeout, TLS alert or
    /// bad bytes makes no difference.
    pub fn handle_lost(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Ended) {
            self.retry(now);
        }
    }

    /// The answer to a [probe](Action::Probe) of `host`; no answer is `writable: false`.
    pub fn handle_probed(&mut self, now: Instant, host: HostIndex, writable: bool) {
        let Some(probing) = &mut self.probing else {
            return;
        };
        if !writable {
            probing.pause = probing.pause.saturating_mul(2).min(PROBE.1);
            probing.at = now + probing.pause;
            return;
        }
        self.hosts.prefer(host);
        self.hang_up_and_retry(now);
        self.fruitless = 0;
        self.wait_until(now);
    }

    /// Ends the session: what was submitted before is still sent, then the server is told.
    ///
    /// It takes at most the close timeout; without a connection it is done at once.
    pub fn close(&mut self, now: Instant) {
        if self.closing != Closing::No {
            return;
        }
        match self.phase {
            Phase::Up(_) | Phase::Handshaking { .. } => {
                self.closing = Closing::Asked {
                    deadline: now + self.config.close_timeout,
                };
            }
            Phase::Waiting { .. } | Phase::Dialing { .. } => self.end(State::Closed),
            Phase::Ended => {}
        }
    }

    /// Ends the client but not the session, which the servers keep for its timeout.
    pub fn detach(&mut self) {
        if !matches!(self.phase, Phase::Ended) {
            self.end(State::Closed);
        }
    }

    /// One more credential is there to be sent on every connection.
    pub(crate) fn add_auth(&mut self) {
        self.auths = self.auths.saturating_add(1);
    }

    /// Whether the server of this connection has accepted the credential at `place`.
    pub(crate) fn auth_accepted(&self, place: u16) -> bool {
        matches!(&self.phase, Phase::Up(link) if link.auths_answered > place)
    }

    /// Looks at the clock: acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(deadline) = self.close_deadline()
            && deadline <= now
        {
            return self.end(State::Closed);
        }
        self.check_phase(now);
        self.check_lease(now);
    }

    fn check_phase(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => {
                self.phase = Phase::Dialing {
                    deadline: now + self.attempt(),
                };
                self.dial = Some(self.hosts.next());
            }
            Phase::Dialing { deadline } | Phase::Handshaking { deadline, .. }
                if *deadline <= now =>
            {
                self.hang_up_and_retry(now);
            }
            Phase::Up(link) => {
                if link.give_up_at(self.timeout, self.config.operation_timeout) <= now {
                    return self.hang_up_and_retry(now);
                }
                link.make_ping_due(now, self.timeout);
                self.check_probe(now);
            }
            _ => {}
        }
    }

    fn check_probe(&mut self, now: Instant) {
        if let Some(probing) = &mut self.probing
            && probing.at <= now
        {
            // The answer sets the next time; this one only holds if there never is an answer.
            probing.at = now + PROBE.1;
            self.probe = Some(self.hosts.next());
        }
    }

    fn check_lease(&mut self, now: Instant) {
        if self.lapse_at().is_some_and(|at| at <= now) {
            self.lapsed = true;
            self.status.lapses = self.status.lapses.wrapping_add(1);
            self.changed = true;
            if self.status.state == State::Suspended {
                self.status.state = State::Lapsed;
            }
        }
        if self.presume_at().is_some_and(|at| at <= now) {
            self.lose(Lost::Presumed);
            // An attempt under way would ask for the session that was just given up.
            if matches!(
                self.phase,
                Phase::Dialing { .. } | Phase::Handshaking { .. }
            ) {
                self.hang_up_and_retry(now);
            }
        }
    }

    /// A complete frame has arrived.
    #[inline]
    pub(crate) fn handle_frame<'f>(
        &mut self,
        now: Instant,
        frame: &'f [u8],
    ) -> Result<Inbound<'f>, ProtocolError> {
        match self.phase {
            Phase::Up(_) => {
                let (header, body) = ReplyHeader::decode(frame)?;
                match header.xid {
                    xid @ 1.. if xid != CLOSE_XID => Ok(Inbound::Reply(header)),
                    xid::NOTIFICATION => Ok(Inbound::Event(WatchEvent::decode(body)?)),
                    _ => self.handle_header(now, header),
                }
            }
            Phase::Handshaking {
                sent: Some(sent), ..
            } => {
                self.handle_connect_reply(now, sent, frame)?;
                Ok(Inbound::Quiet)
            }
            _ => Err(ProtocolError::Early),
        }
    }

    /// A frame has arrived whose header is `header` and whose body was too large to keep.
    pub(crate) fn handle_header(
        &mut self,
        now: Instant,
        header: ReplyHeader,
    ) -> Result<Inbound<'static>, ProtocolError> {
        let Phase::Up(link) = &mut self.phase else {
            return Err(ProtocolError::Early);
        };
        match header.xid {
            xid::NOTIFICATION => return Err(ProtocolError::LargeEvent),
            xid::PING => {
                let at = link.ping_answered(now);
                self.acknowledge(now, at);
            }
            xid::AUTH => self.handle_auth_reply(now, header.err)?,
            xid::SET_WATCHES => match (link.restore_answered(now), header.err) {
                (true, 0) => {}
                (true, err) => return Err(ProtocolError::RestoreRefused(Code::from(err))),
                (false, _) => return Err(ProtocolError::UnexpectedXid(header.xid)),
            },
            CLOSE_XID if matches!(self.closing, Closing::Sent { .. }) => self.end(State::Closed),
            _ => return Ok(Inbound::Reply(header)),
        }
        Ok(Inbound::Quiet)
    }

    /// The oldest request in flight was answered. A reply that is not due proves nothing, so that
    /// the hub says so only when it has found the request.
    #[inline]
    pub(crate) fn handle_reply(&mut self, now: Instant, header: &ReplyHeader) {
        if let Phase::Up(link) = &mut self.phase {
            let at = link.request_answered(now);
            self.acknowledge(now, at);
            self.identity.saw(header.zxid);
        }
    }

    #[inline]

    /// The server refused a request for a reason that concerns the whole session. The request's own
    /// reply has been delivered.
    pub(crate) fn handle_refusal(&mut self, now: Instant, code: Code) {
        match code {
            Code::SessionExpired => {
                self.lose(Lost::Expired);
                self.hang_up_and_retry(now);
            }
            Code::SessionMoved => self.hang_up_and_retry(now),
            Code::AuthFailed | Code::SessionClosedRequireSaslAuth => self.end(State::AuthFailed),
            _ => {}
        }
    }

    /// The server broke the protocol: its connection cannot be trusted any more.
    pub(crate) fn handle_broken(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Ended) {
            self.hang_up_and_retry(now);
        }
    }

    fn handle_auth_reply(&mut self, now: Instant, err: i32) -> Result<(), ProtocolError> {
        let Phase::Up(link) = &mut self.phase else {
            return Err(ProtocolError::Early);
        };
        if !link.auth_answered(now) {
            return Err(ProtocolError::UnexpectedXid(xid::AUTH));
        }
        self.changed = true;
        if err != 0 {
            self.end(State::AuthFailed);
        }
        Ok(())
    }

    fn handle_connect_reply(
        &mut self,
        now: Instant,
        sent: Instant,
        frame: &[u8],
    ) -> Result<(), ProtocolError> {
        match ConnectReply::decode(frame)? {
            ConnectReply::Accepted(reply) => {
                self.accept(now, sent, &reply);
                Ok(())
            }
            ConnectReply::Expired if self.asks_for_known_session() => {
                self.lose(Lost::Expired);
                self.hang_up_and_retry(now);
                Ok(())
            }
            ConnectReply::Expired => Err(ProtocolError::NoSession),
            ConnectReply::Refused(Code::SessionClosedRequireSaslAuth) => {
                self.end(State::AuthFailed);
                Ok(())
            }
            ConnectReply::Refused(code) => Err(ProtocolError::HandshakeRefused(code)),
        }
    }

    fn accept(&mut self, now: Instant, sent: Instant, reply: &Connected) {
        let attached = self.identity.id == reply.session;
        if self.identity.id != 0 && !attached {
            self.lose(Lost::Replaced);
            if matches!(self.phase, Phase::Ended) {
                return;
            }
        }
        let read_only = reply.read_only.unwrap_or(false);
        self.identity.id = reply.session;
        self.identity.password = reply.password;
        self.identity.known_to_all |= !read_only;
        self.timeout = Duration::from_millis(u64::try_from(reply.timeout_ms).unwrap_or(0));
        self.acknowledged = sent;
        self.lapsed = false;
        let restore = if attached {
            Restore::From(0)
        } else {
            Restore::Done
        };
        self.phase = Phase::Up(Link::new(now, self.identity.zxid, restore));
        self.probing = read_only.then(|| Probing {
            at: now + PROBE.0,
            pause: PROBE.0,
        });
        self.status.state = State::Connected { read_only };
        self.status.connections = self.status.connections.wrapping_add(1);
        self.changed = true;
    }

    // ---- what to do ----

    /// What the transport must do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.hang_up) {
            return Some(Action::HangUp);
        }
        let dial = self.dial.take().map(Action::Dial);
        dial.or_else(|| self.probe.take().map(Action::Probe))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Dialing { deadline } | Phase::Handshaking { deadline, .. } => Some(*deadline),
            Phase::Up(link) => Some(self.link_deadline(link)),
            Phase::Ended => return None,
        };
        [
            phase,
            self.close_deadline(),
            self.lapse_at(),
            self.presume_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn link_deadline(&self, link: &Link) -> Instant {
        let give_up = link.give_up_at(self.timeout, self.config.operation_timeout);
        let ping = link.ping_at(self.timeout);
        let probe = self.probing.map(|probing| probing.at);
        [ping, probe]
            .into_iter()
            .flatten()
            .fold(give_up, Instant::min)
    }

    /// The message of the session that must go out before any request. `drained` says that all
    /// requests have gone out.
    pub(crate) fn next_control(&self, drained: bool) -> Option<Control> {
        let link = match &self.phase {
            Phase::Handshaking { sent: None, .. } => return Some(Control::Connect),
            Phase::Up(link) => link,
            _ => return None,
        };
        if link.auths_sent < self.auths {
            return Some(Control::Auth(link.auths_sent));
        }
        if let Restore::From(from) = link.restore {
            return Some(Control::Restore {
                from,
                zxid: link.zxid,
            });
        }
        if link.ping_is_due() {
            return Some(Control::Ping);
        }
        let close = drained && matches!(self.closing, Closing::Asked { .. });
        close.then_some(Control::Close)
    }

    /// The transport's buffer has taken `control`.
    pub(crate) fn control_sent(&mut self, now: Instant, control: Control) {
        match (&mut self.phase, control) {
            (Phase::Handshaking { sent, .. }, Control::Connect) => *sent = Some(now),
            (Phase::Up(link), Control::Auth(_)) => link.auth_sent(now),
            (Phase::Up(link), Control::Ping) => link.ping_sent(now),
            (Phase::Up(_), Control::Close) => {
                if let Closing::Asked { deadline } = self.closing {
                    self.closing = Closing::Sent { deadline };
                }
            }
            _ => {}
        }
    }

    /// The transport's buffer has taken a message that restores watches; `rest` is where the next
    /// one starts. Without a message there was nothing left to restore.
    pub(crate) fn restore_sent(&mut self, now: Instant, rest: Option<usize>, message: bool) {
        let Phase::Up(link) = &mut self.phase else {
            return;
        };
        let rest = rest.map_or(Restore::Done, Restore::From);
        if message {
            link.restore_sent(now, rest);
        } else {
            link.restore = rest;
        }
    }

    /// Whether requests may go out now.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        let open = !matches!(self.closing, Closing::Sent { .. });
        open && matches!(&self.phase, Phase::Up(link) if link.is_prepared(self.auths))
    }

    /// The transport's buffer has taken `count` requests.
    pub(crate) fn requests_sent(&mut self, now: Instant, count: u32) {
        if let Phase::Up(link) = &mut self.phase {
            link.requests_sent(now, count);
        }
    }

    /// The first message on a connection.
    pub(crate) fn connect_request(&self) -> Connect<'_> {
        let known = self.asks_for_known_session();
        Connect {
            last_zxid: self.identity.zxid,
            timeout_ms: self.config.wanted_ms(),
            session: if known { self.identity.id } else { 0 },
            password: if known {
                &self.identity.password
            } else {
                &[0; 16]
            },
            read_only: self.config.read_only,
        }
    }

    /// Numbers one request: from 1 up, and from 1 again, clear of every xid with a meaning.
    #[inline]
    pub(crate) fn next_xid(&mut self) -> i32 {
        self.last_xid = if self.last_xid >= CLOSE_XID - 1 {
            1
        } else {
            self.last_xid + 1
        };
        self.last_xid
    }

    /// Whether requests can be answered on the connection there is now.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    /// Whether the user has asked to close, or nothing can be sent for good.
    #[inline]
    pub(crate) fn end_for_new_requests(&self) -> Option<End> {
        match self.closing {
            Closing::No => self.status.state.end(),
            _ => Some(self.status.state.end().unwrap_or(End::Closed)),
        }
    }

    /// Whether anything changed that the hub must follow, since last asked.
    #[inline]
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    // ---- transitions ----

    fn hang_up_and_retry(&mut self, now: Instant) {
        self.hang_up |= !matches!(self.phase, Phase::Waiting { .. } | Phase::Ended);
        self.retry(now);
    }

    /// Leaves the connection, if there is one, and waits for the next attempt.
    fn retry(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if self.closing != Closing::No {
            return self.end(State::Closed);
        }
        if matches!(&self.phase, Phase::Up(link) if now.since(link.since) >= self.config.backoff.stable)
        {
            self.fruitless = 0;
        }
        let saving = (self.identity.id != 0).then_some(self.timeout);
        let rounds = self.fruitless / self.hosts.count();
        let pause = self.config.backoff.pause(rounds, saving, &mut self.rng);
        self.fruitless = self.fruitless.saturating_add(1);
        self.wait_until(now + pause);
    }

    fn wait_until(&mut self, until: Instant) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if self.status.state.is_connected() {
            self.status.state = if self.lapsed {
                State::Lapsed
            } else {
                State::Suspended
            };
        }
        self.phase = Phase::Waiting { until };
        self.probing = None;
        self.dial = None;
        self.probe = None;
        self.changed = true;
    }

    /// The session is over; the next one starts from nothing, so that it can live on an ensemble
    /// that was wiped or restored.
    fn lose(&mut self, cause: Lost) {
        self.identity = Identity::NONE;
        self.timeout = self.config.session_timeout;
        self.lapsed = false;
        self.status.epoch.0 = self.status.epoch.0.wrapping_add(1);
        self.status.lapses = self.status.lapses.wrapping_add(1);
        self.status.lost = Some(cause);
        self.changed = true;
        if self.config.renew {
            self.status.state = State::Connecting;
        } else {
            self.end(State::Expired);
        }
    }

    fn end(&mut self, state: State) {
        let open = matches!(
            self.phase,
            Phase::Dialing { .. } | Phase::Handshaking { .. } | Phase::Up(_)
        );
        self.hang_up |= open;
        self.dial = None;
        self.probe = None;
        self.phase = Phase::Ended;
        self.status.state = state;
        // Whatever the session protected may be given away from now on.
        self.status.lapses = self.status.lapses.wrapping_add(1);
        self.changed = true;
    }

    #[inline]

    fn acknowledge(&mut self, now: Instant, sent: Option<Instant>) {
        if let Some(sent) = sent {
            self.acknowledged = self.acknowledged.max(sent);
            // What was sent long ago may only prove a lease that has run out as well.
            self.lapsed &= self.lease().is_some_and(|end| end <= now);
        }
    }

    // ---- deadlines ----

    fn attempt(&self) -> Duration {
        self.config
            .connection_timeout
            .min((self.timeout / 3).max(MIN_ATTEMPT))
    }

    const fn close_deadline(&self) -> Option<Instant> {
        match (&self.phase, self.closing) {
            (Phase::Ended, _) | (_, Closing::No) => None,
            (_, Closing::Asked { deadline } | Closing::Sent { deadline }) => Some(deadline),
        }
    }

    fn lapse_at(&self) -> Option<Instant> {
        let pending = !self.lapsed && !matches!(self.phase, Phase::Ended);
        self.lease()
            .filter(|_| pending && self.status.state != State::Connecting)
    }

    fn presume_at(&self) -> Option<Instant> {
        let adrift = self.identity.id != 0 && !matches!(self.phase, Phase::Up(_) | Phase::Ended);
        adrift.then(|| self.acknowledged + self.timeout + self.timeout / 3)
    }

    const fn asks_for_known_session(&self) -> bool {
        self.identity.id != 0 && self.identity.known_to_all
    }
}
