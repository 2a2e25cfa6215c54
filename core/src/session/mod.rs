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
mod output;
mod status;
#[cfg(test)]
mod tests;
mod transitions;

use core::fmt;
use core::time::Duration;

use config::Settings;
pub use config::{BadConfig, Config};
use hosts::Hosts;
pub use hosts::{Backoff, HostIndex};
use link::{Link, Restore};
pub use status::{Credentials, End, Epoch, Lost, State, Status};

use crate::error::{Code, ProtocolError};
use crate::rng::Rng;
use crate::time::{Instant, Millis};
use crate::wire::{ConnectReply, Connected, ReplyHeader, WatchEvent, xid};

/// The xid of the request that ends a session, out of the way of all others.
pub(crate) const CLOSE_XID: i32 = i32::MAX;

/// The shortest time an attempt to connect is given.
const MIN_ATTEMPT: Millis = Millis(100);
/// How often a client of a read-only server looks for a better one: at first, and at the slowest.
const PROBE: (Millis, Millis) = (Millis(100), Millis(60_000));

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
    pause: Millis,
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
    config: Settings,
    rng: Rng,
    hosts: Hosts,
    phase: Phase,
    closing: Closing,
    status: Status,
    identity: Identity,
    /// The negotiated timeout, or the wanted one before there is any.
    timeout: Millis,
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
        let settings = Settings::new(&config)?;
        let mut rng = Rng::new(seed);
        let hosts = Hosts::new(hosts, config.shuffle, &mut rng)?;
        Ok(Self {
            hosts,
            rng,
            phase: Phase::Waiting { until: now },
            closing: Closing::No,
            status: Status::NEW,
            identity: Identity::NONE,
            timeout: settings.session_timeout,
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
            config: settings,
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

    /// The largest request to send, in bytes.
    pub const fn max_request(&self) -> usize {
        self.config.max_request
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
        self.timeout.duration()
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

    /// Until when no server can have ended the session. It moves on with every answered request, and
    /// ends when the session is given up by a close.
    #[inline]
    pub fn lease(&self) -> Option<Instant> {
        let given_up = matches!(self.closing, Closing::Sent { .. });
        let held = self.identity.id != 0 && self.status.connections > 0;
        (held && !given_up)
            .then(|| self.acknowledged + self.timeout - self.config.margin(self.timeout))
    }

    /// The last transaction that a reply has told of, and when the newest request that was answered
    /// had been sent; before that, when the client began.
    pub const fn contact(&self) -> (i64, Instant) {
        (self.identity.zxid, self.acknowledged)
    }

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
            probing.pause = probing.pause.times(2).min(PROBE.1);
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
        self.timeout = Millis(u32::try_from(reply.timeout_ms).unwrap_or(0));
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
}
