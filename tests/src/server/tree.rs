//! The tree of nodes, and what transactions do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use docent_core::error::Code;
use docent_core::wire::Stat;

use crate::server::acl::{self, Rule};
use crate::server::log::{Entry, Life, Txn};
use crate::server::membership;

/// The node with the configuration of the ensemble.
pub(super) const CONFIG: &str = "/zookeeper/config";

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its data; null is not empty.
    pub data: Option<Arc<[u8]>>,
    /// Who may do what.
    pub acl: Arc<[Rule]>,
    /// How long it lives.
    pub life: Life,
    /// How many children were ever created: the next number of a sequential child.
    pub counter: i32,
    /// The names of its children.
    pub children: BTreeSet<String>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    aversion: i32,
}

impl Node {
    fn new(data: Option<Arc<[u8]>>, acl: Arc<[Rule]>, life: Life, at: Stamp) -> Self {
        Self {
            data,
            acl,
            life,
            counter: 0,
            children: BTreeSet::new(),
            czxid: at.zxid,
            mzxid: at.zxid,
            pzxid: at.zxid,
            ctime: at.time,
            mtime: at.time,
            version: 0,
            aversion: 0,
        }
    }

    fn system(acl: Arc<[Rule]>) -> Self {
        Self::new(Some([].into()), acl, Life::Persistent, Stamp::default())
    }

    /// What clients are told about the node.
    pub fn stat(&self) -> Stat {
        let children = number(self.children.len());
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            // Creations and deletions; the latter are not counted, but follow.
            cversion: self.counter.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: match self.life {
                Life::Ephemeral(session) => session,
                _ => 0,
            },
            data_length: number(self.data.as_ref().map_or(0, |data| data.len())),
            num_children: children,
            pzxid: self.pzxid,
        }
    }

    /// Whether the server itself would delete the node at the time `now`.
    fn is_spent(&self, now: i64) -> bool {
        self.children.is_empty()
            && match self.life {
                Life::Container => self.counter > 0,
                Life::Ttl(ttl) => now.saturating_sub(self.mtime) > ttl,
                _ => false,
            }
    }
}

fn number(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

/// A change of a node that watches may be set on.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) path: String,
    pub(super) acl: Arc<[Rule]>,
    /// The list of the parent.
    pub(super) parent_acl: Arc<[Rule]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Created,
    Deleted,
    Set,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Created(String, Stat),
    Changed(Stat),
    Multi(Vec<Self>),
    FailedMulti { at: usize, len: usize, code: Code },
    Failed(Code),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub(super) zxid: i64,
    pub(super) time: i64,
}

/// What takes a step of a transaction back.
#[derive(Debug)]
pub(super) enum Undo {
    Nothing,
    Create {
        path: String,
        counter: i32,
        pzxid: i64,
    },
    Delete {
        path: String,
        node: Box<Node>,
        pzxid: i64,
    },
    SetData {
        path: String,
        node: Box<Node>,
    },
}

/// All nodes by path, and the sessions. The root's path is empty.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    ephemerals: BTreeMap<i64, BTreeSet<String>>,
    /// Containers and nodes with a time to live.
    perishable: BTreeSet<String>,
    /// The sessions and their timeouts.
    pub(super) sessions: BTreeMap<i64, i32>,
    /// The last transaction.
    pub(super) zxid: i64,
    /// Whether the counters of creations stop at their maximum instead of going on below zero.
    sticky: bool,
}

impl Tree {
    pub(super) fn new(config: Option<String>, now: i64, sticky: bool) -> Self {
        let mut tree = Self {
            nodes: BTreeMap::from([(String::new(), Node::system(acl::open()))]),
            ephemerals: BTreeMap::new(),
            perishable: BTreeSet::new(),
            sessions: BTreeMap::new(),
            zxid: 0,
            sticky,
        };
        tree.insert("/zookeeper", Node::system(acl::open()));
        tree.insert("/zookeeper/quota", Node::system(acl::open()));
        let mut node = Node::system(acl::read_only());
        node.aversion = -1;
        if let Some(config) = config {
            node.data = Some(config.into_bytes().into());
            node.version = -1;
            node.mzxid = membership::FIRST;
            node.mtime = now;
        }
        tree.insert(CONFIG, node);
        tree
    }

    /// Adds a node that no transaction has created.
    pub(super) fn found(&mut self, path: &str) {
        self.insert(path, Node::system(acl::open()));
    }

    /// The node; the root has two names.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(if path == "/" { "" } else { path })
    }

    pub(super) fn find(&self, path: &str) -> Result<&Node, Code> {
        self.get(path).ok_or(Code::NoNode)
    }

    fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(if path == "/" { "" } else { path })
    }

    /// Number of nodes below. By its other name, the root counts as below itself.
    pub(super) fn count_below(&self, path: &str) -> usize {
        let prefix = if path == "/" {
            "/"
        } else {
            &format!("{path}/")
        };
        let below = self.nodes.range(prefix.to_owned()..);
        let below = below.take_while(|(path, _)| path.starts_with(prefix));
        below.count() + usize::from(path.is_empty())
    }

    /// The node at `path` and all below.
    pub(super) fn subtree(&self, path: &str) -> impl Iterator<Item = &Node> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below = self.nodes.range(prefix.clone()..);
        let below = below.take_while(move |(path, _)| path.starts_with(&prefix));
        self.get(path)
            .into_iter()
            .chain(below.map(|(_, node)| node))
    }

    /// All nodes but the root, in the order of their paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let nodes = self.nodes.iter();
        nodes
            .filter(|(path, _)| !path.is_empty())
            .map(|(path, node)| (path.as_str(), node))
    }

    pub(super) fn ephemerals(&self, session: i64) -> impl Iterator<Item = &String> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// The nodes that the server itself would delete at the time `now`.
    pub(super) fn spent(&self, now: i64) -> Vec<String> {
        let perishable = self.perishable.iter();
        perishable
            .filter(|path| self.get(path).is_some_and(|node| node.is_spent(now)))
            .cloned()
            .collect()
    }

    pub(super) fn has_perishable(&self) -> bool {
        !self.perishable.is_empty()
    }

    /// Sets the number of the next sequential child.
    pub(super) fn set_counter(&mut self, path: &str, counter: i32) -> bool {
        let node = self.get_mut(path);
        node.map(|node| node.counter = counter).is_some()
    }

    pub(super) fn apply(&mut self, entry: &Entry, changes: &mut Vec<Change>) -> Outcome {
        let at = Stamp {
            zxid: entry.zxid,
            time: entry.time,
        };
        self.zxid = entry.zxid;
        match &entry.txn {
            Txn::OpenSession { timeout_ms } => {
                self.sessions.insert(entry.session, *timeout_ms);
                Outcome::Done
            }
            Txn::CloseSession { ephemerals } => {
                self.sessions.remove(&entry.session);
                for path in ephemerals {
                    self.delete(path, at, changes);
                }
                Outcome::Done
            }
            Txn::Multi(txns) => {
                Outcome::Multi(txns.iter().map(|txn| self.step(txn, at, changes)).collect())
            }
            txn => self.step(txn, at, changes),
        }
    }

    /// Applies a transaction that can be part of a multi.
    pub(super) fn step(&mut self, txn: &Txn, at: Stamp, changes: &mut Vec<Change>) -> Outcome {
        match txn {
            Txn::Create { path, .. } => match self.create(txn, at, changes) {
                Some(stat) => Outcome::Created(path.clone(), stat),
                None => Outcome::Failed(Code::NoNode),
            },
            Txn::Delete { path } => {
                self.delete(path, at, changes);
                Outcome::Done
            }
            Txn::SetData { .. } => changed(self.set_data(txn, at, changes)),
            Txn::SetAcl { path, acl, version } => changed(self.set_acl(path, acl, *version)),
            Txn::FailedMulti { at, len, code } => Outcome::FailedMulti {
                at: *at,
                len: *len,
                code: *code,
            },
            Txn::Failed(code) => Outcome::Failed(*code),
            _ => Outcome::Done,
        }
    }

    fn create(&mut self, txn: &Txn, at: Stamp, changes: &mut Vec<Change>) -> Option<Stat> {
        let Txn::Create {
            path,
            data,
            acl,
            life,
            counter,
        } = txn
        else {
            return None;
        };
        let sticky = self.sticky;
        let parent = self.get_mut(parent(path))?;
        if !sticky || *counter > parent.counter {
            parent.counter = *counter;
            parent.pzxid = at.zxid;
        }
        changes.push(Change {
            kind: ChangeKind::Created,
            path: path.clone(),
            acl: acl.clone(),
            parent_acl: parent.acl.clone(),
        });
        let node = Node::new(data.clone(), acl.clone(), *life, at);
        let stat = node.stat();
        self.insert(path, node);
        Some(stat)
    }

    fn delete(&mut self, path: &str, at: Stamp, changes: &mut Vec<Change>) {
        let Some(node) = self.remove(path) else {
            return;
        };
        let Some(parent) = self.get_mut(parent(path)) else {
            return;
        };
        parent.pzxid = parent.pzxid.max(at.zxid);
        changes.push(Change {
            kind: ChangeKind::Deleted,
            path: path.to_owned(),
            acl: node.acl,
            parent_acl: parent.acl.clone(),
        });
    }

    fn set_data(&mut self, txn: &Txn, at: Stamp, changes: &mut Vec<Change>) -> Option<Stat> {
        let Txn::SetData {
            path,
            data,
            version,
        } = txn
        else {
            return None;
        };
        let node = self.get_mut(path)?;
        node.data.clone_from(data);
        node.version = *version;
        node.mzxid = at.zxid;
        node.mtime = at.time;
        changes.push(Change {
            kind: ChangeKind::Set,
            path: path.clone(),
            acl: node.acl.clone(),
            parent_acl: node.acl.clone(),
        });
        Some(node.stat())
    }

    fn set_acl(&mut self, path: &str, acl: &Arc<[Rule]>, version: i32) -> Option<Stat> {
        let node = self.get_mut(path)?;
        node.acl = acl.clone();
        node.aversion = version;
        Some(node.stat())
    }

    /// What would take `txn` back, if it were applied next.
    pub(super) fn undo_of(&self, txn: &Txn) -> Undo {
        let parent = |path| self.get(parent(path));
        match txn {
            Txn::Create { path, .. } => parent(path).map(|parent| Undo::Create {
                path: path.clone(),
                counter: parent.counter,
                pzxid: parent.pzxid,
            }),
            Txn::Delete { path } => {
                parent(path)
                    .zip(self.get(path))
                    .map(|(parent, node)| Undo::Delete {
                        path: path.clone(),
                        node: Box::new(node.clone()),
                        pzxid: parent.pzxid,
                    })
            }
            Txn::SetData { path, .. } => self.get(path).map(|node| Undo::SetData {
                path: path.clone(),
                node: Box::new(Node {
                    data: node.data.clone(),
                    acl: node.acl.clone(),
                    children: BTreeSet::new(),
                    ..*node
                }),
            }),
            _ => None,
        }
        .unwrap_or(Undo::Nothing)
    }

    /// Takes the last step back.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Create {
                path,
                counter,
                pzxid,
            } => {
                self.remove(&path);
                if let Some(parent) = self.get_mut(parent(&path)) {
                    parent.counter = counter;
                    parent.pzxid = pzxid;
                }
            }
            Undo::Delete { path, node, pzxid } => {
                self.insert(&path, *node);
                if let Some(parent) = self.get_mut(parent(&path)) {
                    parent.pzxid = pzxid;
                }
            }
            Undo::SetData { path, mut node } => {
                if let Some(current) = self.get_mut(&path) {
                    node.children = mem::take(&mut current.children);
                    *current = *node;
                }
            }
        }
    }

    fn insert(&mut self, path: &str, node: Node) {
        match node.life {
            Life::Persistent => {}
            Life::Ephemeral(session) => {
                let paths = self.ephemerals.entry(session).or_default();
                paths.insert(path.to_owned());
            }
            Life::Container | Life::Ttl(_) => {
                self.perishable.insert(path.to_owned());
            }
        }
        if let Some(parent) = self.get_mut(parent(path)) {
            parent.children.insert(name(path).to_owned());
        }
        self.nodes.insert(path.to_owned(), node);
    }

    fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        if let Some(parent) = self.get_mut(parent(path)) {
            parent.children.remove(name(path));
        }
        match node.life {
            Life::Persistent => {}
            Life::Ephemeral(session) => self.forget_ephemeral(session, path),
            Life::Container | Life::Ttl(_) => {
                self.perishable.remove(path);
            }
        }
        Some(node)
    }

    fn forget_ephemeral(&mut self, session: i64, path: &str) {
        if let Some(paths) = self.ephemerals.get_mut(&session) {
            paths.remove(path);
            if paths.is_empty() {
                self.ephemerals.remove(&session);
            }
        }
    }
}

fn changed(stat: Option<Stat>) -> Outcome {
    stat.map_or(Outcome::Failed(Code::NoNode), Outcome::Changed)
}

/// The path of the parent; empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(_, name)| name)
}
