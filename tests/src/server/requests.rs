//! Requests: taken from the connections, agreed on or answered.

use docent_core::error::Code;
use docent_core::wire::{Decoder, OpCode, RequestHeader};

use crate::decode::Body;
use crate::server::acl::{Identity, digest};
use crate::server::conn::{Conn, Front, Phase, Waiting};
use crate::server::log::Txn;
use crate::server::member::Mode;
use crate::server::ops::{self, Asker};
use crate::server::reply::{Answer, Reply};
use crate::server::tree::{CONFIG, Outcome, Stamp};
use crate::server::{Act, ConnId, Ensemble, Release, trace};

/// More identities than this on one connection are refused.
const MAX_IDENTITIES: usize = 1000;

/// A request that cannot be read.
struct Malformed;

const MALFORMED: Result<Reply, Code> = Err(Code::MarshallingError);

impl Ensemble {
    pub(super) fn pump_all(&mut self) {
        let ids: Vec<_> = self.conns.keys().copied().collect();
        for id in ids {
            self.pump(id);
        }
    }

    /// Takes the requests that have arrived on a connection, as long as nothing stops it.
    pub(super) fn pump(&mut self, id: ConnId) {
        while let Some(front) = self.next_front(id) {
            match front {
                Front::Incomplete => break,
                Front::Bad => self.hang_up(id, false),
                Front::Word(word) => self.command(id, word),
                Front::Frame(len) => {
                    let conn = self.conns.get_mut(&id);
                    let Some(payload) = conn.and_then(|conn| conn.take(len)) else {
                        break;
                    };
                    self.handle(id, &payload);
                }
            }
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.tidy();
        }
    }

    fn next_front(&self, id: ConnId) -> Option<Front> {
        let conn = self.conns.get(&id)?;
        let member = &self.members[conn.member];
        if !conn.is_open() || member.paused.is_some() || self.is_stalled(conn) {
            return None;
        }
        match (conn.front(self.config.max_frame), member.mode) {
            // Servers look at the length before they see that they do not serve.
            (Front::Frame(_), Mode::Idle | Mode::Down) => Some(Front::Bad),
            (front, _) => Some(front),
        }
    }

    /// Whether the next request has to wait for a leader that does not respond.
    pub(super) fn is_stalled(&self, conn: &Conn) -> bool {
        let frozen = |leader: usize| self.members[leader].paused.is_some();
        self.members[conn.member].mode.is_writable()
            && self.leader.is_some_and(frozen)
            && match conn.front(self.config.max_frame) {
                Front::Frame(len) => conn
                    .peek(len)
                    .is_some_and(|payload| needs_leader(conn.phase, payload)),
                _ => false,
            }
    }

    fn handle(&mut self, id: ConnId, payload: &[u8]) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        if conn.phase == Phase::Greeting {
            return self.greet(id, payload);
        }
        match RequestHeader::decode(payload) {
            Ok((header, body)) => self.request(id, header, body, payload),
            Err(_) => self.hang_up(id, false),
        }
    }

    fn request(&mut self, id: ConnId, header: RequestHeader, body: &[u8], payload: &[u8]) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let (session, mode) = (conn.session, self.members[conn.member].mode);
        self.note(id, Act::Asked, || {
            let body = Body::decode(header.op, &mut Decoder::new(body));
            trace::request(header.xid, header.op, &body)
        });
        match header.op {
            OpCode::AUTH => return self.authenticate(id, header, body),
            OpCode::SASL => return self.sasl(id, header, body),
            _ => {}
        }
        self.sessions.touch(session, self.now, self.config.tick);
        match header.op {
            op if !self.config.release.knows(op) => {
                self.reply_at(id, header.xid, -1, &Err(Code::Unimplemented));
                self.hang_up(id, false);
            }
            op if mode == Mode::ReadOnly && (ops::is_write(op) || op == OpCode::SYNC) => {
                self.refuse(id, header, session);
            }
            op if ops::is_write(op) => self.write(id, header, body),
            OpCode::SYNC => self.sync(id, header, body),
            _ => self.read_in_turn(id, payload),
        }
    }

    /// A write on a server without a quorum. Only the sessions that it invented can be closed.
    fn refuse(&mut self, id: ConnId, header: RequestHeader, session: i64) {
        let known = self.conns.get(&id).is_some_and(|conn| {
            let tree = &self.members[conn.member].tree;
            tree.sessions.contains_key(&session)
        });
        if header.op == OpCode::CLOSE_SESSION && !known {
            self.reply(id, header.xid, &Ok(Reply::Empty));
            self.hang_up(id, false);
        } else {
            self.reply(id, header.xid, &Err(Code::NotReadOnly));
        }
    }

    fn read_in_turn(&mut self, id: ConnId, payload: &[u8]) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.waiting().is_none() {
            self.read(id, payload);
        } else {
            conn.wait(Waiting::Read(payload.to_vec()));
        }
    }

    fn write(&mut self, id: ConnId, header: RequestHeader, body: &[u8]) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let (session, member) = (conn.session, conn.member);
        let checked = match header.op {
            OpCode::CLOSE_SESSION => Ok(()),
            _ => self.check_session(session, member),
        };
        let prepared = match checked {
            Ok(()) => self.prepare(id, header.op, body),
            Err(code) => Ok((Txn::Failed(code), Answer::Plain(header.op))),
        };
        let (txn, answer) = match prepared {
            Ok(prepared) => prepared,
            Err(Malformed) if self.config.release.logs_malformed(header.op) => {
                let failed = Txn::Failed(Code::MarshallingError);
                (failed, Answer::Plain(header.op))
            }
            Err(Malformed) => return self.reply_in_turn(id, header.xid, MALFORMED),
        };
        let zxid = self.truth.zxid + 1;
        if let Some(conn) = self.conns.get_mut(&id) {
            let xid = header.xid;
            conn.wait(Waiting::Commit { zxid, xid, answer });
        }
        self.members[member]
            .waiting
            .entry(zxid)
            .or_default()
            .push(id);
        self.commit(session, header.xid, txn);
    }

    fn prepare(&mut self, id: ConnId, op: OpCode, body: &[u8]) -> Result<(Txn, Answer), Malformed> {
        let at = Stamp {
            zxid: self.truth.zxid + 1,
            time: self.wall(),
        };
        if op == ops::DELETE_CONTAINER {
            return Ok((self.delete_container(body)?, Answer::Plain(op)));
        }
        let body = Body::decode(op, &mut Decoder::new(body)).map_err(|_| Malformed)?;
        let conn = self.conns.get(&id).ok_or(Malformed)?;
        let asker = Asker {
            session: conn.session,
            identities: &conn.identities,
            config: &self.config,
        };
        Ok(asker.prepare(op, &body, &mut self.truth, at))
    }

    fn delete_container(&self, body: &[u8]) -> Result<Txn, Malformed> {
        let txn = match self.config.release {
            // It takes the whole frame for the path.
            Release::V3_5 | Release::V3_8 => Err(Code::BadArguments),
            Release::V3_9 => {
                let path = Decoder::new(body).string().map_err(|_| Malformed)?;
                ops::delete_container(path, &self.truth)
            }
        };
        Ok(txn.unwrap_or_else(Txn::Failed))
    }

    /// Whether the session is alive and attached to this member.
    pub(super) fn check_session(&mut self, session: i64, member: usize) -> Result<(), Code> {
        let known = self.sessions.get(session);
        match known.ok_or(Code::SessionExpired)?.owner {
            Some(owner) if owner != member => Err(Code::SessionMoved),
            Some(_) => Ok(()),
            None => {
                self.sessions.set_owner(session, member);
                Ok(())
            }
        }
    }

    fn sync(&mut self, id: ConnId, header: RequestHeader, body: &[u8]) {
        let path = Decoder::new(body).opt_string();
        let reply = path
            .map(|path| Reply::Path(path.map(str::to_owned)))
            .map_err(|_| Code::MarshallingError);
        self.reply_in_turn(id, header.xid, reply);
    }

    /// Replies when the member has applied all that was agreed on up to now.
    fn reply_in_turn(&mut self, id: ConnId, xid: i32, reply: Result<Reply, Code>) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let zxid = self.truth.zxid;
        conn.wait(Waiting::Sync { zxid, xid, reply });
        let member = &mut self.members[conn.member];
        if member.tree.zxid < zxid {
            member.waiting.entry(zxid).or_default().push(id);
        } else {
            self.settle(id, zxid, None);
        }
    }

    fn authenticate(&mut self, id: ConnId, header: RequestHeader, body: &[u8]) {
        let auth = Body::decode(OpCode::AUTH, &mut Decoder::new(body));
        let Ok(Body::Auth { scheme, data, .. }) = auth else {
            return self.hang_up(id, false);
        };
        let accepted = match (scheme, data) {
            ("digest", Some(data)) => self.add_digest(id, &String::from_utf8_lossy(data)),
            ("ip", _) => true,
            _ => false,
        };
        if accepted {
            self.reply_at(id, header.xid, 0, &Ok(Reply::Empty));
        } else {
            self.reply_at(id, header.xid, 0, &Err(Code::AuthFailed));
            self.hang_up(id, false);
        }
    }

    /// There are no wrong passwords: each makes another identity.
    fn add_digest(&mut self, id: ConnId, credentials: &str) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else {
            return false;
        };
        let digest = digest(credentials);
        let mut proven = vec![Identity::new("digest", digest.as_str())];
        if self.config.super_digest.as_ref() == Some(&digest) {
            proven.push(Identity::new("super", ""));
        }
        proven.retain(|identity| !conn.identities.contains(identity));
        conn.identities.splice(0..0, proven);
        conn.identities.len() <= MAX_IDENTITIES
    }

    /// A server without SASL answers with the null token.
    fn sasl(&mut self, id: ConnId, header: RequestHeader, body: &[u8]) {
        match Body::decode(OpCode::SASL, &mut Decoder::new(body)) {
            Ok(Body::Sasl { token: Some(_) }) => {
                self.reply_at(id, header.xid, 0, &Ok(Reply::Token));
            }
            _ => self.hang_up(id, false),
        }
    }

    /// Answers a write that has been applied.
    pub(super) fn answer(&mut self, id: ConnId, xid: i32, answer: &Answer, outcome: &Outcome) {
        if matches!(outcome, Outcome::Failed(Code::SessionMoved)) {
            return self.hang_up(id, false);
        }
        let reply = match (answer, outcome) {
            (Answer::Plain(OpCode::RECONFIG), Outcome::Changed(stat)) => {
                let config = self.truth.get(CONFIG);
                let data = config.and_then(|node| node.data.clone());
                Ok(Reply::Data(data, *stat))
            }
            _ => answer.fill(outcome),
        };
        self.reply(id, xid, &reply);
        if matches!(answer, Answer::Plain(OpCode::CLOSE_SESSION)) {
            self.hang_up(id, false);
        }
    }

    /// Replies with the last transaction that the member has applied.
    pub(super) fn reply(&mut self, id: ConnId, xid: i32, reply: &Result<Reply, Code>) {
        if let Some(conn) = self.conns.get(&id) {
            let zxid = self.members[conn.member].tree.zxid;
            self.reply_at(id, xid, zxid, reply);
        }
    }

    fn reply_at(&mut self, id: ConnId, xid: i32, zxid: i64, reply: &Result<Reply, Code>) {
        self.note_answer(id, || trace::reply(xid, zxid, reply));
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.reply(xid, zxid, reply);
        }
    }
}

fn needs_leader(phase: Phase, payload: &[u8]) -> bool {
    phase == Phase::Greeting
        || RequestHeader::decode(payload)
            .is_ok_and(|(header, _)| ops::is_write(header.op) || header.op == OpCode::SYNC)
}
