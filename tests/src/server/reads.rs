//! Reads: answered by a member from its own copy of the tree.

use docent_core::error::Code;
use docent_core::wire::{Decoder, EventKind, OpCode, Perms, RequestHeader, Stat, xid};

use crate::decode::Body;
use crate::server::acl::{self, Identity, Rule};
use crate::server::conn::MAX_OUTPUT;
use crate::server::ops::OPEN_SESSION;
use crate::server::reply::{Item, Reply};
use crate::server::tree::{Node, Tree};
use crate::server::watches::{Modes, Selection, Watches};
use crate::server::{Config, ConnId, Ensemble, reply};

impl Ensemble {
    pub(super) fn read(&mut self, id: ConnId, payload: &[u8]) {
        let Ok((header, body)) = RequestHeader::decode(payload) else {
            return;
        };
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let (session, index) = (conn.session, conn.member);
        // The leader looks for the session's owner first; a follower would have to ask.
        if self.leader == Some(index) {
            match self.check_session(session, index) {
                Err(Code::SessionMoved) => return self.hang_up(id, false),
                Err(code) => return self.reply(id, header.xid, &Err(code)),
                Ok(()) => {}
            }
        }
        match header.op {
            OpCode::PING => return self.reply(id, xid::PING, &Ok(Reply::Empty)),
            OPEN_SESSION => return self.reopen_by_request(id, header, body),
            _ => {}
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let member = &mut self.members[index];
        let mut reader = Reader {
            id,
            session,
            identities: &conn.identities,
            tree: &member.tree,
            watches: &mut member.watches,
            config: &self.config,
            missed: Vec::new(),
            too_much: false,
        };
        let result = reader.request(header.op, body);
        if reader.too_much {
            return self.hang_up(id, false);
        }
        let missed = reader.missed;
        for (kind, path) in &missed {
            conn.send(|out| reply::event(out, -1, *kind, path));
        }
        for (kind, path) in &missed {
            self.note_event(id, *kind, path);
        }
        self.reply(id, header.xid, &result);
    }

    /// What servers ask themselves when a session begins; they do not mind a client that does.
    fn reopen_by_request(&mut self, id: ConnId, header: RequestHeader, body: &[u8]) {
        match body.len() {
            0..4 => self.reply(id, header.xid, &Err(Code::MarshallingError)),
            _ => self.welcome(id),
        }
    }
}

struct Reader<'a> {
    id: ConnId,
    session: i64,
    identities: &'a [Identity],
    tree: &'a Tree,
    watches: &'a mut Watches,
    config: &'a Config,
    /// Events that come before the reply.
    missed: Vec<(EventKind, String)>,
    /// Whether the reply would be larger than any client could take. Real servers try.
    too_much: bool,
}

impl Reader<'_> {
    fn request(&mut self, op: OpCode, body: &[u8]) -> Result<Reply, Code> {
        let request = Body::decode(op, &mut Decoder::new(body));
        match request.map_err(|_| Code::MarshallingError)? {
            Body::Read { path, watch } => match op {
                OpCode::EXISTS => self.exists(path, watch),
                OpCode::GET_DATA => self.data(path, watch),
                OpCode::GET_CHILDREN => {
                    let (names, _) = self.children(path, watch)?;
                    Ok(Reply::Strings(names))
                }
                _ => {
                    let (names, stat) = self.children(path, watch)?;
                    Ok(Reply::Children(names, stat))
                }
            },
            Body::Path { path } if op == OpCode::GET_ACL => self.acl(path),
            Body::Path { path } => self.count(path),
            Body::GetEphemerals { prefix } => Ok(self.ephemerals(prefix.unwrap_or_default())),
            Body::Watch { path, number } => self.watch(op, path, number),
            Body::Multi(ops) => self.multi(&ops),
            Body::SetWatches { zxid, lists } => {
                // Java trips over a null list where an empty one is meant, and not before.
                let null = null_list(body);
                self.set_watches(zxid, lists.get(..null).unwrap_or(&lists));
                match null < lists.len() {
                    true => Err(Code::MarshallingError),
                    false => Ok(Reply::Empty),
                }
            }
            Body::Empty if op == OpCode::WHO_AM_I => {
                Ok(Reply::Identities(self.identities.to_vec()))
            }
            _ => Err(Code::MarshallingError),
        }
    }

    /// The node, if this connection may read it.
    fn readable(&self, path: &str) -> Result<&Node, Code> {
        let node = self.tree.find(path)?;
        acl::check(&node.acl, self.identities, Perms::READ)?;
        Ok(node)
    }

    fn exists(&mut self, path: &str, watch: bool) -> Result<Reply, Code> {
        if path.contains('\0') {
            return Err(Code::BadArguments);
        }
        let node = self.tree.get(path);
        if let Some(node) = node.filter(|_| self.config.release.guards_existence()) {
            acl::check(&node.acl, self.identities, Perms::READ)?;
        }
        if watch {
            self.watches.add_data(path, self.id);
        }
        Ok(Reply::Stat(node.ok_or(Code::NoNode)?.stat()))
    }

    fn data(&mut self, path: &str, watch: bool) -> Result<Reply, Code> {
        let node = self.readable(path)?;
        let reply = Reply::Data(node.data.clone(), node.stat());
        if watch {
            self.watches.add_data(path, self.id);
        }
        Ok(reply)
    }

    fn children(&mut self, path: &str, watch: bool) -> Result<(Vec<String>, Stat), Code> {
        let node = self.readable(path)?;
        let found = (names(node), node.stat());
        if watch {
            self.watches.add_child(path, self.id);
        }
        Ok(found)
    }

    fn acl(&self, path: &str) -> Result<Reply, Code> {
        let node = self.tree.find(path)?;
        acl::check(&node.acl, self.identities, Perms::READ | Perms::ADMIN)?;
        let administers = acl::allows(&node.acl, self.identities, Perms::ADMIN);
        let rules = node.acl.iter().cloned();
        let rules = match administers {
            true => rules.collect(),
            false => rules.map(Rule::masked).collect(),
        };
        Ok(Reply::Acl(rules, node.stat()))
    }

    fn count(&self, path: &str) -> Result<Reply, Code> {
        self.readable(path)?;
        let below = self.tree.count_below(path);
        Ok(Reply::Number(i32::try_from(below).unwrap_or(i32::MAX)))
    }

    fn ephemerals(&self, prefix: &str) -> Reply {
        let prefix = match prefix.trim() {
            "" | "/" => "",
            _ => prefix,
        };
        let paths = self.tree.ephemerals(self.session);
        let found = paths.filter(|path| path.starts_with(prefix));
        Reply::Strings(found.cloned().collect())
    }

    fn watch(&mut self, op: OpCode, path: &str, number: i32) -> Result<Reply, Code> {
        if op == OpCode::ADD_WATCH {
            let modes = match number {
                0 => Modes::PERSISTENT,
                1 => Modes::RECURSIVE,
                _ => return Err(Code::MarshallingError),
            };
            self.watches.add_lasting(path, self.id, modes);
            return Ok(Reply::Number(0));
        }
        let which =
            Selection::from_number(number, self.config.release).ok_or(Code::MarshallingError)?;
        let found = match op {
            OpCode::CHECK_WATCHES if self.watches.trips_over(path, which) => {
                return Err(Code::MarshallingError);
            }
            OpCode::CHECK_WATCHES => self.watches.contains(path, self.id, which),
            _ => self.watches.remove(path, self.id, which),
        };
        match found {
            true => Ok(Reply::Empty),
            false => Err(Code::NoWatcher),
        }
    }

    /// The reads stand for themselves, and leave no watches.
    fn multi(&mut self, ops: &[(OpCode, Body<'_>)]) -> Result<Reply, Code> {
        let mut size = 0;
        let items = ops.iter().map(|(op, body)| {
            let (OpCode::GET_DATA | OpCode::GET_CHILDREN, Body::Read { path, .. }) = (*op, body)
            else {
                return Err(Code::MarshallingError);
            };
            let result = match *op {
                OpCode::GET_DATA => self.data(path, false),
                _ => self.readable(path).map(|node| Reply::Strings(names(node))),
            };
            size += result.as_ref().map_or(0, Reply::size);
            self.too_much = size > MAX_OUTPUT;
            if self.too_much {
                return Err(Code::MarshallingError);
            }
            let result = result.map_err(Code::number);
            Ok(Item { op: *op, result })
        });
        Ok(Reply::Multi(items.collect::<Result<_, _>>()?))
    }

    fn set_watches(&mut self, seen: i64, lists: &[Vec<&str>]) {
        let list = |index| lists.get(index).map_or(&[][..], Vec::as_slice);
        for path in list(0) {
            match self.tree.get(path).map(|node| node.stat().mzxid) {
                None => self.miss(EventKind::Deleted, path),
                Some(zxid) if zxid > seen => self.miss(EventKind::DataChanged, path),
                Some(_) => self.watches.add_data(path, self.id),
            }
        }
        for path in list(1) {
            match self.tree.get(path) {
                Some(_) => self.miss(EventKind::Created, path),
                None => self.watches.add_data(path, self.id),
            }
        }
        for path in list(2) {
            match self.tree.get(path).map(|node| node.stat().pzxid) {
                None => self.miss(EventKind::Deleted, path),
                Some(zxid) if zxid > seen => self.miss(EventKind::ChildrenChanged, path),
                Some(_) => self.watches.add_child(path, self.id),
            }
        }
        for (index, modes) in [(3, Modes::PERSISTENT), (4, Modes::RECURSIVE)] {
            for path in list(index) {
                self.watches.add_lasting(path, self.id, modes);
            }
        }
    }

    fn miss(&mut self, kind: EventKind, path: &str) {
        self.missed.push((kind, path.to_owned()));
    }
}

/// The names of the children, in an order that means nothing and so cannot be relied on.
fn names(node: &Node) -> Vec<String> {
    let mut names: Vec<_> = node.children.iter().cloned().collect();
    names.sort_by_cached_key(|name| {
        let hash = |hash: u32, byte: u8| hash.wrapping_mul(31).wrapping_add(byte.into());
        name.bytes().fold(0, hash).wrapping_mul(0x9e37_79b9)
    });
    names
}

/// The index of the first list of a setWatches that is null; beyond the last if none is.
fn null_list(body: &[u8]) -> usize {
    let mut input = Decoder::new(body);
    let _ = input.long();
    let sound = |_: &usize| input.clone().int() != Ok(-1) && input.items::<&str>().is_ok();
    (0..5).take_while(sound).count()
}
