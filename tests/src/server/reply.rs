//! What the server sends.

use std::sync::Arc;

use docent_core::error::Code;
use docent_core::wire::{
    Connected, Encoder, EventKind, OpCode, ReplyHeader, Stat, WatchEvent, frame, xid,
};

use crate::decode::opt_buffer;
use crate::server::acl::{Identity, Rule};
use crate::server::tree::Outcome;

/// The body of a successful reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Empty,
    Path(Option<String>),
    Created(String, Stat),
    Stat(Stat),
    Data(Option<Arc<[u8]>>, Stat),
    Acl(Vec<Rule>, Stat),
    /// Names or paths.
    Strings(Vec<String>),
    Children(Vec<String>, Stat),
    Number(i32),
    Identities(Vec<Identity>),
    /// The null token.
    Token,
    Multi(Vec<Item>),
}

/// One result of a multi. The code of an operation that was rolled back is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) op: OpCode,
    pub(super) result: Result<Reply, i32>,
}

impl Reply {
    /// About how many bytes it takes, for those that may be long.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Data(data, _) => data.as_ref().map_or(0, |data| data.len()),
            Self::Strings(names) | Self::Children(names, _) => names.iter().map(String::len).sum(),
            _ => 0,
        }
    }

    pub(super) fn encode(&self, out: &mut Encoder<'_>) {
        match self {
            Self::Empty => {}
            Self::Path(path) => out.opt_string(path.as_deref()),
            Self::Created(path, stat) => {
                out.string(path);
                stat.encode(out);
            }
            Self::Stat(stat) => stat.encode(out),
            Self::Data(data, stat) => {
                opt_buffer(out, data.as_deref());
                stat.encode(out);
            }
            Self::Acl(rules, stat) => {
                out.count(rules.len());
                rules.iter().for_each(|rule| encode_rule(rule, out));
                stat.encode(out);
            }
            Self::Strings(strings) => encode_strings(strings, out),
            Self::Children(names, stat) => {
                encode_strings(names, out);
                stat.encode(out);
            }
            Self::Number(number) => out.int(*number),
            Self::Identities(identities) => encode_identities(identities, out),
            Self::Token => out.null_buffer(),
            Self::Multi(items) => {
                items.iter().for_each(|item| item.encode(out));
                encode_multi_header(OpCode::ERROR, true, -1, out);
            }
        }
    }
}

impl Item {
    fn encode(&self, out: &mut Encoder<'_>) {
        match &self.result {
            Ok(reply) => {
                encode_multi_header(self.op, false, 0, out);
                reply.encode(out);
            }
            Err(code) => {
                encode_multi_header(OpCode::ERROR, false, *code, out);
                out.int(*code);
            }
        }
    }
}

fn encode_multi_header(op: OpCode, done: bool, err: i32, out: &mut Encoder<'_>) {
    out.int(op.0);
    out.boolean(done);
    out.int(err);
}

fn encode_rule(rule: &Rule, out: &mut Encoder<'_>) {
    out.int(rule.perms.bits());
    out.string(&rule.who.scheme);
    out.string(&rule.who.id);
}

fn encode_strings(strings: &[String], out: &mut Encoder<'_>) {
    out.count(strings.len());
    strings.iter().for_each(|string| out.string(string));
}

fn encode_identities(identities: &[Identity], out: &mut Encoder<'_>) {
    out.count(identities.len());
    for identity in identities {
        out.string(&identity.scheme);
        out.string(identity.user());
    }
}

/// What a committed write is answered with.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// By the operation that was asked for.
    Plain(OpCode),
    /// By the operations that the multi turned out to consist of.
    Multi(Vec<OpCode>),
}

impl Answer {
    pub(super) fn fill(&self, outcome: &Outcome) -> Result<Reply, Code> {
        match (self, outcome) {
            (_, Outcome::Failed(code)) => Err(*code),
            (Self::Plain(op), outcome) => Ok(plain(*op, outcome)),
            (Self::Multi(ops), Outcome::Multi(outcomes)) => {
                let items = ops.iter().zip(outcomes);
                Ok(Reply::Multi(
                    items.map(|(op, outcome)| item(*op, outcome)).collect(),
                ))
            }
            (Self::Multi(_), Outcome::FailedMulti { at, len, code }) => {
                Ok(Reply::Multi(failed_multi(*at, *len, *code)))
            }
            (Self::Multi(_), _) => Ok(Reply::Multi(Vec::new())),
        }
    }
}

fn plain(op: OpCode, outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Created(path, _) if op == OpCode::CREATE => Reply::Path(Some(path.clone())),
        Outcome::Created(path, stat) => Reply::Created(path.clone(), *stat),
        Outcome::Changed(stat) => Reply::Stat(*stat),
        _ => Reply::Empty,
    }
}

fn item(op: OpCode, outcome: &Outcome) -> Item {
    let result = match outcome {
        Outcome::Failed(code) => Err(code.number()),
        outcome => Ok(plain(op, outcome)),
    };
    let op = match op {
        OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => OpCode::CREATE2,
        op => op,
    };
    Item { op, result }
}

/// What was rolled back has the code 0, and what was not tried -2.
fn failed_multi(at: usize, len: usize, code: Code) -> Vec<Item> {
    let code = |index: usize| match index.cmp(&at) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => code.number(),
        std::cmp::Ordering::Greater => Code::RuntimeInconsistency.number(),
    };
    (0..len)
        .map(|index| Item {
            op: OpCode::ERROR,
            result: Err(code(index)),
        })
        .collect()
}

/// Appends a frame. Servers do not limit what they send.
fn send(out: &mut Vec<u8>, body: impl FnOnce(&mut Encoder<'_>)) {
    // This fails for more than 2 GiB only, and then nothing is sent.
    let _ = frame(out, usize::MAX, "", false, body);
}

pub(super) fn reply(out: &mut Vec<u8>, xid: i32, zxid: i64, result: &Result<Reply, Code>) {
    let err = result.as_ref().map_or_else(|code| code.number(), |_| 0);
    send(out, |out| {
        ReplyHeader { xid, zxid, err }.encode(out);
        if let Ok(body) = result {
            body.encode(out);
        }
    });
}

pub(super) fn event(out: &mut Vec<u8>, zxid: i64, kind: EventKind, path: &str) {
    send(out, |out| {
        let header = ReplyHeader {
            xid: xid::NOTIFICATION,
            zxid,
            err: 0,
        };
        header.encode(out);
        let event = WatchEvent {
            kind: Some(kind),
            state: 3,
            path,
        };
        event.encode(out);
    });
}

pub(super) fn connected(out: &mut Vec<u8>, connected: &Connected) {
    send(out, |out| connected.encode(out));
}

/// The answer that says that a session is gone; `read_only` is left out for old clients.
pub(super) fn expired(out: &mut Vec<u8>, read_only: Option<bool>) {
    let nobody = Connected {
        timeout_ms: 0,
        session: 0,
        password: [0; 16],
        read_only,
    };
    send(out, |out| nobody.encode(out));
}
