//! The first frame of a connection.

use std::time::Duration;

use docent_core::wire::{Connect, Connected};

use crate::decode;
use crate::server::conn::Phase;
use crate::server::log::Txn;
use crate::server::member::Mode;
use crate::server::{Act, ConnId, Ensemble, reply, session, trace, words};

impl Ensemble {
    pub(super) fn greet(&mut self, id: ConnId, payload: &[u8]) {
        let Ok(connect) = decode::connect(payload) else {
            return self.hang_up(id, false);
        };
        self.note(id, Act::Asked, || trace::connect(&connect));
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let member = &self.members[conn.member];
        let refused = member.mode == Mode::ReadOnly && !connect.read_only;
        if refused || connect.last_zxid > member.tree.zxid {
            return self.hang_up(id, false);
        }
        conn.knows_read_only = payload.len() > 28 + connect.password.len();
        conn.timeout_ms = self.config.negotiate(connect.timeout_ms);
        match (self.mode_of(id), connect.session) {
            (Mode::ReadOnly, 0) => self.invent(id),
            (Mode::ReadOnly, _) => self.reopen_read_only(id, &connect),
            (_, 0) => self.open(id),
            _ => self.reopen(id, &connect),
        }
    }

    fn mode_of(&self, id: ConnId) -> Mode {
        let conn = self.conns.get(&id);
        conn.map_or(Mode::Down, |conn| self.members[conn.member].mode)
    }

    /// A new session, which all members will know.
    fn open(&mut self, id: ConnId) {
        let Some((member, timeout_ms)) = self.enter(id, None) else {
            return;
        };
        let session = self.new_session(member);
        self.enter(id, Some(session));
        let timeout = Duration::from_millis(timeout_ms.unsigned_abs().into());
        self.sessions.insert(session, timeout, Some(member));
        self.sessions.touch(session, self.now, self.config.tick);
        let zxid = self.truth.zxid + 1;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.phase = Phase::Opening(zxid);
        }
        self.members[member]
            .waiting
            .entry(zxid)
            .or_default()
            .push(id);
        self.commit(session, 0, Txn::OpenSession { timeout_ms });
    }

    /// A session of this member's own, which only lasts while it has no quorum.
    fn invent(&mut self, id: ConnId) {
        if let Some((member, _)) = self.enter(id, None) {
            let session = self.new_session(member);
            self.enter(id, Some(session));
            self.welcome(id);
        }
    }

    fn reopen_read_only(&mut self, id: ConnId, connect: &Connect<'_>) {
        let Some((member, _)) = self.enter(id, None) else {
            return;
        };
        let known = &self.members[member].tree.sessions;
        if known.contains_key(&connect.session) {
            return self.hang_up(id, false);
        }
        self.replace(id, member, connect.session);
        match self.knows_password(connect) {
            true => self.welcome(id),
            false => self.reject(id),
        }
    }

    fn reopen(&mut self, id: ConnId, connect: &Connect<'_>) {
        let Some((member, timeout_ms)) = self.enter(id, None) else {
            return;
        };
        let session = connect.session;
        // This happens before the password is looked at.
        self.replace(id, member, session);
        if !self.knows_password(connect) || !self.sessions.contains(session) {
            return self.reject(id);
        }
        let timeout = Duration::from_millis(timeout_ms.unsigned_abs().into());
        self.sessions.set_timeout(session, timeout);
        self.sessions.touch(session, self.now, self.config.tick);
        self.sessions.set_owner(session, member);
        self.welcome(id);
    }

    fn knows_password(&self, connect: &Connect<'_>) -> bool {
        session::password(connect.session, self.secret) == connect.password
    }

    /// Closes what this member has of the session, and attaches it to the new connection.
    fn replace(&mut self, id: ConnId, member: usize, session: i64) {
        for other in self.conns_on(member) {
            // One that is closing anyway still tells why.
            let same = self
                .conns
                .get(&other)
                .is_some_and(|conn| conn.session == session && !conn.is_closing());
            if same && other != id {
                self.hang_up(other, true);
            }
        }
        self.enter(id, Some(session));
    }

    /// Gives the connection its session; where it is, and the timeout.
    fn enter(&mut self, id: ConnId, session: Option<i64>) -> Option<(usize, i32)> {
        let conn = self.conns.get_mut(&id)?;
        conn.session = session.unwrap_or(conn.session);
        Some((conn.member, conn.timeout_ms))
    }

    fn new_session(&mut self, member: usize) -> i64 {
        let owner = i64::try_from(member + 1).unwrap_or(1) << 56;
        let now = self.wall().wrapping_shl(24).cast_unsigned() >> 8;
        let member = &mut self.members[member];
        member.next_session = member.next_session.max(owner | now.cast_signed()) + 1;
        member.next_session - 1
    }

    /// Tells the client that its session is open, and takes requests.
    pub(super) fn welcome(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let read_only = self.members[conn.member].mode == Mode::ReadOnly;
        let connected = Connected {
            timeout_ms: conn.timeout_ms,
            session: conn.session,
            password: session::password(conn.session, self.secret),
            read_only: conn.knows_read_only.then_some(read_only),
        };
        conn.phase = Phase::Serving;
        conn.send(|out| reply::connected(out, &connected));
        self.note_answer(id, || format!("connected for {} ms", connected.timeout_ms));
    }

    /// Tells the client that its session is gone.
    fn reject(&mut self, id: ConnId) {
        let read_only = self.mode_of(id) == Mode::ReadOnly;
        if let Some(conn) = self.conns.get_mut(&id) {
            let read_only = conn.knows_read_only.then_some(read_only);
            conn.send(|out| reply::expired(out, read_only));
        }
        self.note_answer(id, || "the session is over".to_owned());
        self.hang_up(id, false);
    }

    pub(super) fn command(&mut self, id: ConnId, word: [u8; 4]) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let member = &self.members[conn.member];
        let mode = match member.mode {
            Mode::Down | Mode::Idle => None,
            Mode::ReadOnly => Some("read-only"),
            _ if self.config.is_standalone() => Some("standalone"),
            Mode::Following => Some("follower"),
            Mode::Leading => Some("leader"),
        };
        let facts = words::Facts {
            version: self.config.release.number(),
            mode,
            zxid: member.tree.zxid,
            connections: self.conns_on(conn.member).len(),
            nodes: member.tree.iter().count() + 1,
            watches: self.watched(conn.member),
        };
        let text = words::answer(word, &facts);
        self.note(id, Act::Asked, || String::from_utf8_lossy(&word).into());
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.send(|out| out.extend_from_slice(text.as_bytes()));
        }
        self.hang_up(id, false);
    }

    fn watched(&self, member: usize) -> String {
        let mut text = String::new();
        for (path, conns) in self.members[member].watches.by_path() {
            text += &format!("{path}\n");
            for conn in conns.filter_map(|id| self.conns.get(&id)) {
                text += &format!("\t{:#x}\n", conn.session);
            }
        }
        text
    }
}
