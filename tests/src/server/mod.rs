//! A model of a ZooKeeper ensemble: bytes in, bytes out, and time handed in.
//!
//! An [`Ensemble`] is one linear log of transactions and any number of members that apply it, each
//! at its own pace. Clients connect to a member and speak the protocol; tests expire sessions,
//! freeze and kill members, let them lag behind, or wipe everything. There is no clock, no thread
//! and no socket: whoever drives the model moves the bytes and says what time it is. The same calls
//! always have the same effects. All is kept in memory and ends with the value.
//!
//! ```
//! use docent_core::time::Instant;
//! use docent_testing::server::Ensemble;
//!
//! let mut ensemble = Ensemble::builder().members(3).build();
//! let conn = ensemble.connect(0).unwrap();
//! // A handshake: 45 bytes, of which all but the timeout, 6 s, are zero or lengths.
//! let mut hello = vec![0, 0, 0, 45];
//! hello.extend([0; 12]);
//! hello.extend(6000_i32.to_be_bytes());
//! hello.extend([0; 8]);
//! hello.extend([0, 0, 0, 16]);
//! hello.extend([0; 17]);
//! ensemble.receive(conn, Instant::ZERO, &hello);
//! let output = ensemble.transmit(conn, usize::MAX);
//! assert_eq!(output.bytes.len(), 4 + 37);
//! assert!(!output.closed);
//! ```
//!
//! What differs from real servers: a write is agreed on as soon as a member gets it, a member that
//! does not [lag](Ensemble::lag) applies it at once, and a sign of life reaches the leader at once.
//! There is no SASL, there are no local sessions, and there is no limit of connections. Strings that are
//! null or no UTF-8 where Java would go on make a request malformed.

mod acl;
mod builder;
mod conn;
mod handshake;
mod log;
mod member;
mod membership;
mod ops;
mod quorum;
mod quota;
mod reads;
mod reply;
mod requests;
mod session;
mod trace;
mod tree;
mod watches;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use docent_core::time::Instant;

pub use self::acl::{Identity, Rule, digest};
use self::builder::Config;
pub use self::builder::{Builder, Release};
use self::conn::Conn;
use self::log::Log;
pub use self::log::{Entry, Life, Txn};
use self::member::Member;
pub use self::member::{Lag, Mode};
use self::session::Sessions;
use self::trace::Trace;
pub use self::trace::{Act, Record};
pub use self::tree::Node;
use self::tree::Tree;

/// A connection of a client to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

/// What a member sends on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The next bytes.
    pub bytes: Vec<u8>,
    /// Whether the server closes the connection after them. The connection is then forgotten.
    pub closed: bool,
}

/// A number of servers with one state; see the [module](self).
///
/// Members are counted from 0. Methods that take a member panic if there is none of that number.
#[derive(Clone, Debug)]
pub struct Ensemble {
    config: Config,
    secret: u64,
    now: Instant,
    log: Log,
    /// The state after the whole log.
    truth: Tree,
    sessions: Sessions,
    members: Vec<Member>,
    leader: Option<usize>,
    epoch: i64,
    /// When the election that is going on will be over.
    election: Option<Instant>,
    next_reap: Instant,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u64,
    trace: Trace,
}

impl Default for Ensemble {
    fn default() -> Self {
        Builder::default().build()
    }
}

impl Ensemble {
    /// Sets up an ensemble.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(config: Config) -> Self {
        let truth = config.tree();
        let member = Member::new(truth.clone(), config.release);
        let mut ensemble = Self {
            secret: session::mix(config.seed),
            now: Instant::ZERO,
            log: Log::default(),
            truth,
            sessions: Sessions::default(),
            members: vec![member; config.members],
            leader: None,
            epoch: 0,
            election: None,
            next_reap: Instant::ZERO,
            conns: BTreeMap::new(),
            next_conn: 0,
            trace: Trace::new(config.trace),
            config,
        };
        ensemble.elect();
        ensemble
    }

    /// A client connects to a member; `None` if it is not running, and refuses.
    pub fn connect(&mut self, member: usize) -> Option<ConnId> {
        let address = self.config.peer.clone();
        self.connect_from(member, &address)
    }

    /// As [`connect`](Self::connect), from an address of the client's own.
    pub fn connect_from(&mut self, member: usize, address: &str) -> Option<ConnId> {
        if self.members[member].mode == Mode::Down {
            return None;
        }
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(id, Conn::new(member, address));
        Some(id)
    }

    /// Bytes arrive from a client; they may end anywhere. What is not [taken](Self::takes) is kept
    /// up to a limit, beyond which the server closes the connection.
    pub fn receive(&mut self, conn: ConnId, now: Instant, bytes: &[u8]) {
        self.run_until(now);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.receive(bytes);
        }
        self.pump(conn);
        let limit = 4 * (self.config.max_frame + 4);
        if self
            .conns
            .get(&conn)
            .is_some_and(|conn| conn.received() > limit)
        {
            self.hang_up(conn, true);
        }
    }

    /// Whether the server reads what arrives on the connection. If not, let the bytes wait in the
    /// network.
    pub fn takes(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| {
            conn.is_open() && self.members[conn.member].paused.is_none() && !self.is_stalled(conn)
        })
    }

    /// Takes up to `room` bytes that the server sends on the connection.
    pub fn transmit(&mut self, conn: ConnId, room: usize) -> Output {
        let Some(state) = self.conns.get_mut(&conn) else {
            return Output {
                bytes: Vec::new(),
                closed: true,
            };
        };
        if self.members[state.member].paused.is_some() {
            return Output::default();
        }
        let bytes = state.transmit(room);
        let closed = state.is_over();
        if closed {
            self.disconnect(conn);
        } else {
            // There may be room for more replies now.
            self.pump(conn);
        }
        Output { bytes, closed }
    }

    /// The connections on which there is something to [transmit](Self::transmit) that was not there
    /// at the last call.
    pub fn outputs(&mut self) -> Vec<ConnId> {
        let conns = self.conns.iter_mut();
        conns
            .filter(|(_, conn)| self.members[conn.member].paused.is_none())
            .filter_map(|(id, conn)| conn.take_news().then_some(*id))
            .collect()
    }

    /// A connection was closed by the client or lost; the session goes on.
    pub fn disconnect(&mut self, conn: ConnId) {
        let open = self.conns.get(&conn).is_some_and(|conn| !conn.is_closing());
        if open {
            self.note(conn, Act::Closed, || "by the client".to_owned());
        }
        if let Some(state) = self.conns.remove(&conn) {
            self.members[state.member].watches.forget(conn);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_due().map(|(at, _)| at.max(self.now))
    }

    /// Time has passed: sessions end, members catch up, leaders are elected, all at their times.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run_until(now);
    }

    /// The transactions that were agreed on, the oldest first; all of them unless the builder was
    /// told [otherwise](Builder::history).
    pub fn history(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.log.iter()
    }

    /// The last transaction that was agreed on.
    pub fn zxid(&self) -> i64 {
        self.truth.zxid
    }

    /// The last transaction that a member has applied.
    pub fn applied(&self, member: usize) -> i64 {
        self.members[member].tree.zxid
    }

    /// What a member does at present.
    pub fn mode(&self, member: usize) -> Mode {
        self.members[member].mode
    }

    /// The member that leads.
    pub fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// A node, by the state that was agreed on.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.truth.get(path)
    }

    /// A node as a member sees it.
    pub fn node_at(&self, member: usize, path: &str) -> Option<&Node> {
        self.members[member].tree.get(path)
    }

    /// All nodes but the root, by the state that was agreed on and in the order of their paths.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.truth.iter()
    }

    /// Sets how many children of a node seem to have been created: the next sequential one gets
    /// this number. It is not a transaction; `false` if there is no such node.
    pub fn set_counter(&mut self, path: &str, counter: i32) -> bool {
        for member in &mut self.members {
            member.tree.set_counter(path, counter);
        }
        self.truth.set_counter(path, counter)
    }

    /// The sessions that are alive.
    pub fn sessions(&self) -> impl Iterator<Item = i64> {
        self.sessions.ids()
    }

    /// The session of a connection; `None` before the handshake.
    pub fn session(&self, conn: ConnId) -> Option<i64> {
        let session = self.conns.get(&conn)?.session;
        (session != 0).then_some(session)
    }

    /// The connections that are open, with the members and sessions that they belong to; the
    /// session is 0 before the handshake.
    pub fn connections(&self) -> impl Iterator<Item = (ConnId, usize, i64)> {
        let conns = self.conns.iter();
        conns.map(|(id, conn)| (*id, conn.member, conn.session))
    }

    /// Number of watches that a member keeps for a connection.
    pub fn watches(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, |state| {
            self.members[state.member].watches.count(Some(conn))
        })
    }

    /// Milliseconds since 1970.
    fn wall(&self) -> i64 {
        let millis = i64::try_from(self.now.as_micros() / 1000).unwrap_or(i64::MAX);
        self.config.epoch_ms.saturating_add(millis)
    }

    /// Closes a connection from the server's side, at once or after what has been sent.
    fn hang_up(&mut self, id: ConnId, at_once: bool) {
        let open = self.conns.get(&id).is_some_and(|conn| !conn.is_closing());
        if open {
            self.note(id, Act::Closed, || "by the member".to_owned());
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        match at_once {
            true => conn.cut(),
            false => conn.close(),
        }
        self.members[conn.member].watches.forget(id);
    }

    fn conns_on(&self, member: usize) -> Vec<ConnId> {
        let conns = self.conns.iter();
        conns
            .filter(|(_, conn)| conn.member == member)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Agrees on a transaction and applies it where nothing holds it up.
    fn commit(&mut self, session: i64, xid: i32, txn: Txn) {
        let entry = Arc::new(Entry {
            zxid: self.truth.zxid + 1,
            time: self.wall(),
            session,
            xid,
            txn,
            at: self.now,
        });
        self.skip_reaps();
        self.truth.apply(&entry, &mut Vec::new());
        if matches!(entry.txn, Txn::CloseSession { .. }) {
            self.sessions.remove(session);
        }
        self.log.push(entry);
        for member in 0..self.members.len() {
            self.advance(member);
        }
        self.trim();
    }

    fn trim(&mut self) {
        let serving = self
            .members
            .iter()
            .filter(|member| member.mode.is_writable());
        if let Some(applied) = serving.map(|member| member.applied).min() {
            self.log.trim(applied, self.config.history);
        }
    }
}
