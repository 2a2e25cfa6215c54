//! What clients asked and were answered, in words.
//!
//! Only paths and names are told. Data, passwords, credentials and access control lists never are.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use docent_core::error::Code;
use docent_core::time::Instant;
use docent_core::wire::{Connect, EventKind, OpCode};

use crate::decode::Body;
use crate::server::reply::Reply;
use crate::server::{ConnId, Ensemble};

/// How many characters a record has at most.
const LONGEST: usize = 240;

/// One thing that happened between a client and a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, counted from the start of the ensemble.
    pub at: Duration,
    /// The member.
    pub member: usize,
    /// The session; 0 while there is none.
    pub session: i64,
    /// What was done.
    pub act: Act,
    /// The rest of the story, such as `#3 create /a, ephemeral, 5 bytes`. `#3` is the xid, by which
    /// an answer finds its request. Long texts are cut off after 240 characters.
    pub words: String,
}

/// What was done, as a [`Record`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// The client asked for something.
    Asked,
    /// The member answered.
    Answered,
    /// The member would have answered or told, but that was [dropped](Ensemble::drop_replies).
    Dropped,
    /// The member told of a change that is watched.
    Told,
    /// The session came to its end because nobody had heard of its client, or seemed to.
    Expired,
    /// The connection was closed.
    Closed,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Dropped => "dropped",
            Self::Told => "told",
            Self::Expired => "expired",
            Self::Closed => "closed",
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            member,
            session,
            act,
            words,
        } = self;
        let seconds = at.as_secs_f64();
        write!(
            f,
            "{seconds:9.3} s  member {member}  {session:#018x}  {act:8}  {words}"
        )
    }
}

/// The newest records.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    records: VecDeque<Record>,
    keep: usize,
}

impl Trace {
    pub(super) const fn new(keep: usize) -> Self {
        Self {
            records: VecDeque::new(),
            keep,
        }
    }

    fn push(&mut self, record: Record) {
        if self.records.len() >= self.keep {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }
}

impl Ensemble {
    /// What happened between clients and members, the oldest first. It is empty unless the builder
    /// was told to [keep it](super::Builder::trace).
    pub fn trace(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.trace.records.iter()
    }

    /// As [`trace`](Self::trace), and forgets what it returns.
    pub fn take_trace(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.trace.records).into()
    }

    /// Keeps a record of what happens on a connection.
    pub(super) fn note(&mut self, id: ConnId, act: Act, words: impl FnOnce() -> String) {
        if let Some(conn) = self.conns.get(&id) {
            self.record(conn.member, conn.session, act, words);
        }
    }

    pub(super) fn note_answer(&mut self, id: ConnId, words: impl FnOnce() -> String) {
        self.note_sent(id, Act::Answered, words);
    }

    pub(super) fn note_event(&mut self, id: ConnId, kind: EventKind, path: &str) {
        self.note_sent(id, Act::Told, || format!("{kind:?} {path}"));
    }

    fn note_sent(&mut self, id: ConnId, act: Act, words: impl FnOnce() -> String) {
        let muted = self.conns.get(&id).is_some_and(|conn| conn.muted);
        self.note(id, if muted { Act::Dropped } else { act }, words);
    }

    pub(super) fn record(
        &mut self,
        member: usize,
        session: i64,
        act: Act,
        words: impl FnOnce() -> String,
    ) {
        if self.trace.keep == 0 {
            return;
        }
        let at = self.now.since(Instant::ZERO);
        // A path may hold anything, also what would take over a terminal.
        let words = words().escape_debug().take(LONGEST).collect();
        self.trace.push(Record {
            at,
            member,
            session,
            act,
            words,
        });
    }
}

pub(super) fn connect(connect: &Connect<'_>) -> String {
    let timeout = connect.timeout_ms;
    match connect.session {
        0 => format!("connect: a new session of {timeout} ms"),
        session => format!("connect: session {session:#x} again, for {timeout} ms"),
    }
}

pub(super) fn request(xid: i32, op: OpCode, body: &Result<Body<'_>, impl Sized>) -> String {
    match body {
        Ok(body) => format!("#{xid} {}", operation(op, body)),
        Err(_) => format!("#{xid} {}, which cannot be read", name(op)),
    }
}

pub(super) fn reply(xid: i32, zxid: i64, result: &Result<Reply, Code>) -> String {
    match result {
        Ok(reply) => format!("#{xid} {}at zxid {zxid:#x}", outcome(reply)),
        Err(code) => format!("#{xid} {code:?} at zxid {zxid:#x}"),
    }
}

fn operation(op: OpCode, body: &Body<'_>) -> String {
    let name = name(op);
    match body {
        Body::Create {
            path, data, flags, ..
        } => format!("{name} {path}, {}, {}", mode(*flags), size(*data)),
        Body::Expect { path, version } => format!("{name} {path}, {}", expected(*version)),
        Body::Read { path, watch: true } => format!("{name} {path}, with a watch"),
        Body::SetData {
            path,
            data,
            version,
        } => format!("{name} {path}, {}, {}", expected(*version), size(*data)),
        Body::SetAcl { path, version, .. } => format!("{name} {path}, {}", expected(*version)),
        Body::Read { path, .. } | Body::Path { path } | Body::Watch { path, .. } => {
            format!("{name} {path}")
        }
        Body::GetEphemerals { prefix } => format!("{name} {}", prefix.unwrap_or_default()),
        Body::Multi(ops) => format!("{name} of {}: {}", ops.len(), operations(ops)),
        Body::Auth { scheme, .. } => format!("{name} by {scheme}"),
        Body::SetWatches { zxid, lists } => {
            let count: usize = lists.iter().map(Vec::len).sum();
            format!("{name}, {count} since zxid {zxid:#x}")
        }
        Body::Reconfig { .. } | Body::Sasl { .. } | Body::Empty => name.to_owned(),
        Body::Unknown(bytes) => format!("{name} {}, {} bytes", op.0, bytes.len()),
    }
}

fn operations(ops: &[(OpCode, Body<'_>)]) -> String {
    // More would be cut off anyway.
    let some = ops.iter().take(LONGEST / 4);
    let words: Vec<_> = some.map(|(op, body)| operation(*op, body)).collect();
    words.join("; ")
}

fn outcome(reply: &Reply) -> String {
    match reply {
        Reply::Path(Some(path)) | Reply::Created(path, _) => format!("{path} "),
        Reply::Stat(stat) => format!("version {} ", stat.version),
        Reply::Data(data, stat) => {
            format!("version {}, {} ", stat.version, size(data.as_deref()))
        }
        Reply::Strings(names) | Reply::Children(names, _) => format!("{} names ", names.len()),
        Reply::Number(number) => format!("{number} "),
        Reply::Multi(items) => match items.iter().position(|item| item.result.is_err()) {
            Some(_) => "refused ".to_owned(),
            None => "done ".to_owned(),
        },
        _ => "done ".to_owned(),
    }
}

fn size(data: Option<&[u8]>) -> String {
    data.map_or_else(|| "null".to_owned(), |data| format!("{} bytes", data.len()))
}

fn expected(version: i32) -> String {
    match version {
        -1 => "any version".to_owned(),
        version => format!("version {version}"),
    }
}

const fn mode(flags: i32) -> &'static str {
    match flags {
        0 => "persistent",
        1 => "ephemeral",
        2 => "persistent sequential",
        3 => "ephemeral sequential",
        4 => "container",
        5 => "with a time to live",
        6 => "sequential with a time to live",
        _ => "of no known mode",
    }
}

const fn name(op: OpCode) -> &'static str {
    match op {
        OpCode::CREATE => "create",
        OpCode::CREATE2 => "create2",
        OpCode::CREATE_CONTAINER => "createContainer",
        OpCode::CREATE_TTL => "createTTL",
        OpCode::DELETE => "delete",
        OpCode::EXISTS => "exists",
        OpCode::GET_DATA => "getData",
        OpCode::SET_DATA => "setData",
        OpCode::GET_ACL => "getACL",
        OpCode::SET_ACL => "setACL",
        OpCode::GET_CHILDREN => "getChildren",
        OpCode::GET_CHILDREN2 => "getChildren2",
        OpCode::GET_ALL_CHILDREN_NUMBER => "getAllChildrenNumber",
        OpCode::GET_EPHEMERALS => "getEphemerals",
        OpCode::SYNC => "sync",
        OpCode::PING => "ping",
        OpCode::CHECK => "check",
        OpCode::MULTI => "multi",
        OpCode::MULTI_READ => "multiRead",
        OpCode::RECONFIG => "reconfig",
        OpCode::CHECK_WATCHES => "checkWatches",
        OpCode::REMOVE_WATCHES => "removeWatches",
        OpCode::ADD_WATCH => "addWatch",
        OpCode::SET_WATCHES => "setWatches",
        OpCode::SET_WATCHES2 => "setWatches2",
        OpCode::AUTH => "auth",
        OpCode::SASL => "sasl",
        OpCode::WHO_AM_I => "whoAmI",
        OpCode::CLOSE_SESSION => "closeSession",
        _ => "unknown operation",
    }
}
