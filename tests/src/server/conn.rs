//! One connection: bytes in, bytes out, and the requests that wait in between.

use std::collections::VecDeque;

use docent_core::error::Code;

use crate::server::acl::Identity;
use crate::server::reply::{self, Answer, Reply};

/// More unread output than this, or more bytes of waiting requests, and no more requests are taken.
const HIGH_WATER: usize = 1 << 20;
/// More than this, and the connection is closed: its client does not read.
pub(super) const MAX_OUTPUT: usize = 1 << 26;
/// More requests in flight than this, and no more are taken.
const MAX_WAITING: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has been received.
    Greeting,
    /// The session begins with that transaction.
    Opening(i64),
    /// Requests are taken.
    Serving,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// For a transaction to be applied.
    Commit { zxid: i64, xid: i32, answer: Answer },
    /// For the member to catch up.
    Sync {
        zxid: i64,
        xid: i32,
        reply: Result<Reply, Code>,
    },
    /// For those before it.
    Read(Vec<u8>),
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Self::Read(payload) => payload.len(),
            Self::Commit { .. } | Self::Sync { .. } => 0,
        }
    }
}

/// What the front of the received bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Incomplete,
    /// A frame with a payload of this length, which may still be on its way.
    Frame(usize),
    Bad,
    /// A four-letter command.
    Word([u8; 4]),
}

#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) member: usize,
    pub(super) phase: Phase,
    /// 0 before the handshake.
    pub(super) session: i64,
    pub(super) timeout_ms: i32,
    /// Whether the client sent, and is sent, the flag for read-only servers.
    pub(super) knows_read_only: bool,
    pub(super) identities: Vec<Identity>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Whether to drop what is sent instead of sending it.
    pub(super) muted: bool,
    closing: bool,
    /// Whether there is something to send that nobody was told of.
    fresh: bool,
    inbox: Vec<u8>,
    taken: usize,
    outbox: Vec<u8>,
}

impl Conn {
    pub(super) fn new(member: usize, address: &str) -> Self {
        Self {
            member,
            phase: Phase::Greeting,
            session: 0,
            timeout_ms: 0,
            knows_read_only: false,
            identities: vec![Identity::new("ip", address)],
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            muted: false,
            closing: false,
            fresh: false,
            inbox: Vec::new(),
            taken: 0,
            outbox: Vec::new(),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Closes after what has been sent so far.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.fresh = true;
        self.inbox = Vec::new();
        self.taken = 0;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Closes at once.
    pub(super) fn cut(&mut self) {
        self.close();
        self.outbox = Vec::new();
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if !self.closing {
            self.inbox.extend_from_slice(bytes);
        }
    }

    pub(super) fn received(&self) -> usize {
        self.inbox.len() - self.taken
    }

    /// Whether it makes sense to take another request.
    pub(super) fn is_open(&self) -> bool {
        !self.closing
            && self.outbox.len() < HIGH_WATER
            && self.waiting.len() < MAX_WAITING
            && self.waiting_bytes < HIGH_WATER
            && !matches!(self.phase, Phase::Opening(_))
    }

    pub(super) fn wait(&mut self, request: Waiting) {
        self.waiting_bytes += request.bytes();
        self.waiting.push_back(request);
    }

    /// The request that has waited longest.
    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub(super) fn take_waiting(&mut self) -> Option<Waiting> {
        let request = self.waiting.pop_front()?;
        self.waiting_bytes -= request.bytes();
        Some(request)
    }

    fn rest(&self) -> &[u8] {
        self.inbox.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn front(&self, max: usize) -> Front {
        let Some(prefix) = self.rest().first_chunk() else {
            return Front::Incomplete;
        };
        if self.phase == Phase::Greeting && super::words::is_known(*prefix) {
            return Front::Word(*prefix);
        }
        match usize::try_from(i32::from_be_bytes(*prefix)) {
            Ok(len) if len <= max => Front::Frame(len),
            _ => Front::Bad,
        }
    }

    /// The payload at the front, if it is there.
    pub(super) fn peek(&self, len: usize) -> Option<&[u8]> {
        self.rest().get(4..4 + len)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let payload = self.peek(len)?.to_vec();
        self.taken += 4 + len;
        Some(payload)
    }

    /// Gives the room of taken frames back.
    pub(super) fn tidy(&mut self) {
        self.inbox.drain(..self.taken);
        self.taken = 0;
    }

    /// Appends to what is sent.
    pub(super) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.closing {
            return;
        }
        let before = self.outbox.len();
        write(&mut self.outbox);
        if self.muted {
            self.outbox.truncate(before);
        }
        self.fresh = true;
        if self.outbox.len() > MAX_OUTPUT {
            self.cut();
        }
    }

    pub(super) fn reply(&mut self, xid: i32, zxid: i64, result: &Result<Reply, Code>) {
        self.send(|out| reply::reply(out, xid, zxid, result));
    }

    /// Whether there is something to send that was not there at the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Takes at most `room` bytes of what is to be sent.
    pub(super) fn transmit(&mut self, room: usize) -> Vec<u8> {
        let rest = self.outbox.split_off(room.min(self.outbox.len()));
        std::mem::replace(&mut self.outbox, rest)
    }

    /// Whether all has been sent and the connection is to be closed.
    pub(super) fn is_over(&self) -> bool {
        self.closing && self.outbox.is_empty()
    }
}
