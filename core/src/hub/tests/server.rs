//! A server in miniature: nodes, sessions and one-shot watches, as far as locks need them.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::ToString;

use super::*;
use crate::wire::{Decoder, RequestHeader};

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) owner: i64,
    czxid: i64,
    pzxid: i64,
    /// How many children it has ever had.
    made: i32,
}

#[derive(Debug)]
pub(super) struct Server {
    nodes: BTreeMap<String, Node>,
    zxid: i64,
    sessions: BTreeSet<i64>,
    last_session: i64,
    /// Of the present connection.
    session: i64,
    watches: BTreeSet<(Table, String)>,
    events: Vec<(EventKind, String)>,
    /// How many requests were run.
    pub(super) requests: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Data,
    Child,
}

const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;
const NOT_EMPTY: i32 = -111;
const NO_WATCHER: i32 = -121;

fn parent(path: &str) -> &str {
    match path.rsplit_once('/').unwrap() {
        ("", _) => "/",
        (parent, _) => parent,
    }
}

impl Server {
    /// A server whose only node is `root`, which clients may take for their chroot.
    pub(super) fn new(root: &str) -> Self {
        Self {
            nodes: BTreeMap::from([(root.to_string(), Node::default())]),
            zxid: 100,
            sessions: BTreeSet::new(),
            last_session: 0x500,
            session: 0,
            watches: BTreeSet::new(),
            events: Vec::new(),
            requests: 0,
        }
    }

    pub(super) const fn session(&self) -> i64 {
        self.session
    }

    /// The nodes of session `owner`, or with 0 of nobody in particular.
    pub(super) fn owned_by(&self, owner: i64) -> Vec<String> {
        let nodes = self.nodes.iter();
        let owned = nodes.filter(|(_, node)| node.owner == owner);
        owned.map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Answers the first message of a connection.
    pub(super) fn connect(&mut self, request: &[u8]) -> Vec<u8> {
        let mut input = Decoder::new(request);
        input.int().unwrap();
        assert!(input.long().unwrap() <= self.zxid);
        input.int().unwrap();
        let asked = input.long().unwrap();
        self.watches.clear();
        let session = match asked {
            0 => {
                self.last_session += 1;
                self.sessions.insert(self.last_session);
                self.last_session
            }
            asked if self.sessions.contains(&asked) => asked,
            _ => 0,
        };
        self.session = session;
        let timeout_ms = if session == 0 { 0 } else { T };
        payload(|out| {
            Connected {
                timeout_ms,
                ..accepted(session)
            }
            .encode(out)
        })
    }

    /// All nodes of the session become those of another one.
    pub(super) fn give_away(&mut self, owner: i64) {
        let own = self.session;
        let nodes = self.nodes.values_mut();
        nodes
            .filter(|node| node.owner == own)
            .for_each(|node| node.owner = owner);
    }

    pub(super) fn expire(&mut self, session: i64) {
        self.sessions.remove(&session);
        for path in self.owned_by(session) {
            self.delete(&path).unwrap();
        }
    }

    /// The events that are due on the connection.
    pub(super) fn take_events(&mut self) -> Vec<Vec<u8>> {
        let events = mem::take(&mut self.events);
        let frames = events.iter().map(|(kind, path)| event(*kind, path));
        frames.collect()
    }

    /// Runs a request; returns events and the reply.
    pub(super) fn run(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let (header, body) = RequestHeader::decode(frame).unwrap();
        if header.op == OpCode::PING {
            return std::vec![reply(xid::PING, self.zxid, 0, b"")];
        }
        self.requests += 1;
        let result = self.operate(header.op, &mut Decoder::new(body));
        let mut frames = self.take_events();
        frames.push(match result {
            Ok(body) => reply(header.xid, self.zxid, 0, &body),
            Err(err) => reply(header.xid, self.zxid, err, b""),
        });
        frames
    }

    fn operate(&mut self, op: OpCode, body: &mut Decoder<'_>) -> Result<Vec<u8>, i32> {
        match op {
            OpCode::SET_WATCHES => {
                self.restore(body);
                return Ok(Vec::new());
            }
            OpCode::CLOSE_SESSION => {
                self.expire(self.session);
                return Ok(Vec::new());
            }
            _ => {}
        }
        let path = body.string().unwrap();
        match op {
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
                body.buffer().unwrap();
                for _ in 0..body.count(12).unwrap() {
                    body.int().unwrap();
                    body.string().unwrap();
                    body.string().unwrap();
                }
                let flags = body.int().unwrap();
                let owner = [0, self.session][usize::from(flags == 1 || flags == 3)];
                let path = self.create(path, owner, flags == 2 || flags == 3)?;
                let stat = self.stat(&path)?;
                Ok(payload(|out| {
                    out.string(&path);
                    stat.encode(out);
                }))
            }
            OpCode::DELETE => self.delete(path).map(|()| Vec::new()),
            OpCode::EXISTS => {
                self.watch(Table::Data, path, body);
                let stat = self.stat(path)?;
                Ok(payload(|out| stat.encode(out)))
            }
            OpCode::GET_CHILDREN => {
                self.stat(path)?;
                self.watch(Table::Child, path, body);
                Ok(names(&self.children(path)))
            }
            OpCode::GET_EPHEMERALS => {
                let own = self.owned_by(self.session).into_iter();
                let own: Vec<_> = own.filter(|node| node.starts_with(path)).collect();
                Ok(names(&own.iter().map(String::as_str).collect::<Vec<_>>()))
            }
            OpCode::SYNC => Ok(payload(|out| out.string(path))),
            OpCode::REMOVE_WATCHES => {
                let had = [Table::Data, Table::Child]
                    .map(|table| self.watches.remove(&(table, path.to_string())));
                had.contains(&true).then(Vec::new).ok_or(NO_WATCHER)
            }
            op => panic!("unknown operation {op:?}"),
        }
    }

    fn watch(&mut self, table: Table, path: &str, body: &mut Decoder<'_>) {
        if body.boolean().unwrap() {
            self.watches.insert((table, path.to_string()));
        }
    }

    /// Only the lists of data and child watches are looked at.
    fn restore(&mut self, body: &mut Decoder<'_>) {
        let since = body.long().unwrap();
        for table in [Some(Table::Data), None, Some(Table::Child)] {
            for _ in 0..body.count(4).unwrap() {
                let (path, Some(table)) = (body.string().unwrap(), table) else {
                    continue;
                };
                let kind = match self.nodes.get(path) {
                    None => EventKind::Deleted,
                    Some(node) if table == Table::Child && node.pzxid > since => {
                        EventKind::ChildrenChanged
                    }
                    Some(_) => {
                        self.watches.insert((table, path.to_string()));
                        continue;
                    }
                };
                self.events.push((kind, path.to_string()));
            }
        }
    }

    fn fire(&mut self, kind: EventKind, path: &str, tables: &[Table]) {
        let mut fired = false;
        for table in tables {
            fired |= self.watches.remove(&(*table, path.to_string()));
        }
        if fired {
            self.events.push((kind, path.to_string()));
        }
    }

    pub(super) fn create(
        &mut self,
        path: &str,
        owner: i64,
        sequential: bool,
    ) -> Result<String, i32> {
        let above = parent(path);
        let node = self.nodes.get_mut(above).ok_or(NO_NODE)?;
        let number = node.made;
        let path = match sequential {
            true => format!("{path}{number:010}"),
            false => path.to_string(),
        };
        if self.nodes.contains_key(&path) {
            return Err(NODE_EXISTS);
        }
        self.zxid += 1;
        let czxid = self.zxid;
        let node = self.nodes.get_mut(above).unwrap();
        node.made += 1;
        node.pzxid = czxid;
        let new = Node {
            owner,
            czxid,
            ..Node::default()
        };
        self.nodes.insert(path.clone(), new);
        self.fire(EventKind::Created, &path, &[Table::Data]);
        self.fire(EventKind::ChildrenChanged, above, &[Table::Child]);
        Ok(path)
    }

    pub(super) fn delete(&mut self, path: &str) -> Result<(), i32> {
        self.stat(path)?;
        if !self.children(path).is_empty() {
            return Err(NOT_EMPTY);
        }
        self.nodes.remove(path);
        self.zxid += 1;
        let zxid = self.zxid;
        if let Some(above) = self.nodes.get_mut(parent(path)) {
            above.pzxid = zxid;
        }
        self.fire(EventKind::Deleted, path, &[Table::Data, Table::Child]);
        self.fire(EventKind::ChildrenChanged, parent(path), &[Table::Child]);
        Ok(())
    }

    fn stat(&self, path: &str) -> Result<Stat, i32> {
        let node = self.nodes.get(path).ok_or(NO_NODE)?;
        Ok(Stat {
            czxid: node.czxid,
            ephemeral_owner: node.owner,
            ..Stat::default()
        })
    }

    fn children(&self, path: &str) -> Vec<&str> {
        let names = self.nodes.keys().filter_map(|node| {
            let (above, name) = node.rsplit_once('/')?;
            let above = if above.is_empty() { "/" } else { above };
            (above == path && !name.is_empty()).then_some(name)
        });
        names.collect()
    }
}
