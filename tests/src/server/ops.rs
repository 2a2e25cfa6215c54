//! Writes: from a request to a transaction, by the state that the leader has agreed on.

use std::sync::Arc;

use docent_core::error::Code;
use docent_core::path::Path;
use docent_core::wire::{OpCode, Perms, Ttl};

use crate::decode::{Body, Entry};
use crate::server::acl::{self, Identity, Rule};
use crate::server::log::{Life, Txn};
use crate::server::reply::Answer;
use crate::server::tree::{self, CONFIG, Stamp, Tree};
use crate::server::{Config, membership, quota};

/// Servers use this one among themselves, but clients can send it.
pub(super) const DELETE_CONTAINER: OpCode = OpCode(20);
/// As above.
pub(super) const OPEN_SESSION: OpCode = OpCode(-10);

/// Whether the operation goes through the log.
pub(super) const fn is_write(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CREATE
            | OpCode::CREATE2
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::DELETE
            | DELETE_CONTAINER
            | OpCode::SET_DATA
            | OpCode::SET_ACL
            | OpCode::MULTI
            | OpCode::RECONFIG
            | OpCode::CLOSE_SESSION
    )
}

/// Whether servers know the operation. A check for itself, not in a multi, is unknown since 3.9.3.
pub(super) const fn is_known(op: OpCode) -> bool {
    is_write(op)
        || matches!(
            op,
            OPEN_SESSION
                | OpCode::EXISTS
                | OpCode::GET_DATA
                | OpCode::GET_ACL
                | OpCode::GET_CHILDREN
                | OpCode::GET_CHILDREN2
                | OpCode::GET_ALL_CHILDREN_NUMBER
                | OpCode::GET_EPHEMERALS
                | OpCode::MULTI_READ
                | OpCode::PING
                | OpCode::SET_WATCHES
                | OpCode::SET_WATCHES2
                | OpCode::SYNC
                | OpCode::CHECK_WATCHES
                | OpCode::REMOVE_WATCHES
                | OpCode::ADD_WATCH
                | OpCode::WHO_AM_I
        )
}

/// Who asks for a write.
pub(super) struct Asker<'a> {
    pub(super) session: i64,
    pub(super) identities: &'a [Identity],
    pub(super) config: &'a Config,
}

impl Asker<'_> {
    /// The transaction that a request leads to, and the form of its answer.
    pub(super) fn prepare(
        &self,
        op: OpCode,
        body: &Body<'_>,
        tree: &mut Tree,
        at: Stamp,
    ) -> (Txn, Answer) {
        if let (OpCode::MULTI, Body::Multi(ops)) = (op, body) {
            let kinds: Result<Vec<_>, _> = ops
                .iter()
                .map(|(op, body)| self.multi_kind(*op, body))
                .collect();
            return match kinds {
                Ok(kinds) => (self.multi(&kinds, ops, tree, at), Answer::Multi(kinds)),
                Err(code) => (Txn::Failed(code), Answer::Plain(op)),
            };
        }
        let txn = self.single(op, body, tree, at.zxid);
        (txn.unwrap_or_else(Txn::Failed), Answer::Plain(op))
    }

    /// Which operation one of a multi stands for: servers judge by the mode.
    fn multi_kind(&self, op: OpCode, body: &Body<'_>) -> Result<OpCode, Code> {
        match (op, body) {
            (OpCode::DELETE | OpCode::SET_DATA | OpCode::CHECK, _) => Ok(op),
            (_, Body::Create { flags: 5 | 6, .. }) if op != OpCode::CREATE_TTL => {
                Err(Code::MarshallingError)
            }
            (_, Body::Create { flags: 5 | 6, .. }) => Ok(op),
            (_, Body::Create { flags: 4, .. }) => Ok(OpCode::CREATE_CONTAINER),
            (_, Body::Create { flags: 0..=3, .. }) => Ok(match op {
                OpCode::CREATE_TTL => OpCode::CREATE,
                op if self.config.release.mixes_modes() => op,
                _ => OpCode::CREATE,
            }),
            (_, Body::Create { .. }) if !self.config.release.mixes_modes() => Ok(OpCode::CREATE),
            _ => Err(Code::MarshallingError),
        }
    }

    fn multi(
        &self,
        kinds: &[OpCode],
        ops: &[(OpCode, Body<'_>)],
        tree: &mut Tree,
        at: Stamp,
    ) -> Txn {
        let (mut txns, mut undos) = (Vec::new(), Vec::new());
        let mut failure = None;
        for (index, (kind, (_, body))) in kinds.iter().zip(ops).enumerate() {
            match self.single(*kind, body, tree, at.zxid) {
                Ok(txn) => {
                    undos.push(tree.undo_of(&txn));
                    tree.step(&txn, at, &mut Vec::new());
                    txns.push(txn);
                }
                Err(code) => {
                    failure = Some((index, code));
                    break;
                }
            }
        }
        // What is agreed on is applied later, like everything else.
        undos.into_iter().rev().for_each(|undo| tree.undo(undo));
        match failure {
            None => Txn::Multi(txns),
            Some((at, code)) => Txn::FailedMulti {
                at,
                len: ops.len(),
                code,
            },
        }
    }

    fn single(&self, op: OpCode, body: &Body<'_>, tree: &Tree, zxid: i64) -> Result<Txn, Code> {
        match (op, body) {
            (_, Body::Create { .. }) => self.create(op, body, tree),
            (OpCode::DELETE, Body::Expect { path, version }) => self.delete(path, *version, tree),
            (OpCode::CHECK, Body::Expect { path, version }) => self.check(path, *version, tree),
            (
                _,
                Body::SetData {
                    path,
                    data,
                    version,
                },
            ) => self.set_data(path, *data, *version, tree),
            (_, Body::SetAcl { path, acl, version }) => self.set_acl(path, acl, *version, tree),
            (_, Body::Reconfig { .. }) => self.reconfig(body, tree, zxid),
            (OpCode::CLOSE_SESSION, _) => Ok(close(self.session, tree)),
            _ => Err(Code::MarshallingError),
        }
    }

    fn create(&self, op: OpCode, body: &Body<'_>, tree: &Tree) -> Result<Txn, Code> {
        let Body::Create {
            path,
            data,
            acl,
            flags,
            ttl,
        } = body
        else {
            return Err(Code::MarshallingError);
        };
        check_mode(*flags, *ttl, self.config)?;
        let above = parent_of(path)?;
        let acl = acl::resolve(acl, self.identities)?;
        let parent = tree.find(above)?;
        acl::check(&parent.acl, self.identities, Perms::CREATE)?;
        let path = match flags {
            2 | 3 | 6 => format!("{path}{:010}", parent.counter),
            _ => (*path).to_owned(),
        };
        check_path(&path)?;
        if tree.get(&path).is_some() {
            return Err(Code::NodeExists);
        }
        if matches!(parent.life, Life::Ephemeral(_)) {
            return Err(Code::NoChildrenForEphemerals);
        }
        self.check_quota(tree, &path, 1, size(*data))?;
        Ok(Txn::Create {
            path,
            data: data.map(Arc::from),
            acl,
            life: self.life(op, *flags, *ttl),
            counter: parent.counter.wrapping_add(1),
        })
    }

    fn check_quota(&self, tree: &Tree, path: &str, nodes: i64, bytes: i64) -> Result<(), Code> {
        match self.config.quotas {
            true => quota::check(tree, path, nodes, bytes),
            false => Ok(()),
        }
    }

    /// It is the operation that makes a container or a time to live, not the mode.
    fn life(&self, op: OpCode, flags: i32, ttl: Option<i64>) -> Life {
        match (op, ttl, flags) {
            (OpCode::CREATE_CONTAINER, ..) => Life::Container,
            (OpCode::CREATE_TTL, Some(ttl), _) => Life::Ttl(ttl),
            (_, _, 1 | 3) => Life::Ephemeral(self.session),
            _ => Life::Persistent,
        }
    }

    fn delete(&self, path: &str, version: i32, tree: &Tree) -> Result<Txn, Code> {
        let parent = tree.find(deletable(path)?)?;
        acl::check(&parent.acl, self.identities, Perms::DELETE)?;
        let node = tree.find(path)?;
        check_version(node.stat().version, version)?;
        if !node.children.is_empty() {
            return Err(Code::NotEmpty);
        }
        let path = path.to_owned();
        Ok(Txn::Delete { path })
    }

    fn set_data(
        &self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        tree: &Tree,
    ) -> Result<Txn, Code> {
        check_path(path)?;
        let node = tree.find(path)?;
        acl::check(&node.acl, self.identities, Perms::WRITE)?;
        self.check_quota(tree, path, 0, size(data) - size(node.data.as_deref()))?;
        Ok(Txn::SetData {
            path: path.to_owned(),
            data: data.map(Arc::from),
            version: check_version(node.stat().version, version)?,
        })
    }

    fn set_acl(
        &self,
        path: &str,
        acl: &[Entry<'_>],
        version: i32,
        tree: &Tree,
    ) -> Result<Txn, Code> {
        check_path(path)?;
        let acl: Arc<[Rule]> = acl::resolve(acl, self.identities)?;
        let node = tree.find(path)?;
        acl::check(&node.acl, self.identities, Perms::ADMIN)?;
        Ok(Txn::SetAcl {
            path: path.to_owned(),
            acl,
            version: check_version(node.stat().aversion, version)?,
        })
    }

    fn check(&self, path: &str, version: i32, tree: &Tree) -> Result<Txn, Code> {
        check_path(path)?;
        let node = tree.find(path)?;
        acl::check(&node.acl, self.identities, Perms::READ)?;
        check_version(node.stat().version, version)?;
        let path = path.to_owned();
        Ok(Txn::Check { path })
    }

    fn reconfig(&self, body: &Body<'_>, tree: &Tree, zxid: i64) -> Result<Txn, Code> {
        if !self.config.reconfig {
            return Err(Code::ReconfigDisabled);
        }
        if self.config.members < 2 {
            return Err(Code::Unimplemented);
        }
        let node = tree.find(CONFIG)?;
        let text = membership::change(node.data.as_deref().unwrap_or_default(), body, zxid)?;
        acl::check(&node.acl, self.identities, Perms::WRITE)?;
        Ok(Txn::SetData {
            path: CONFIG.to_owned(),
            data: Some(text.into_bytes().into()),
            version: -1,
        })
    }
}

/// The end of a session.
pub(super) fn close(session: i64, tree: &Tree) -> Txn {
    Txn::CloseSession {
        ephemerals: tree.ephemerals(session).cloned().collect(),
    }
}

/// A deletion by the server itself, which clients can ask for, too; 3.8 misreads their requests.
pub(super) fn delete_container(path: &str, tree: &Tree) -> Result<Txn, Code> {
    let parent = deletable(path)?;
    let node = tree.find(path)?;
    if !node.children.is_empty() {
        return Err(Code::NotEmpty);
    }
    if matches!(node.life, Life::Ephemeral(_)) {
        return Err(Code::BadVersion);
    }
    tree.find(parent)?;
    let path = path.to_owned();
    Ok(Txn::Delete { path })
}

fn check_mode(flags: i32, ttl: Option<i64>, config: &Config) -> Result<(), Code> {
    let longest = i64::try_from(Ttl::MAX.duration().as_millis()).unwrap_or(i64::MAX);
    match (flags, ttl) {
        (5 | 6, _) if !config.ttl => Err(Code::Unimplemented),
        (5 | 6, Some(ttl)) if (1..=longest).contains(&ttl) => Ok(()),
        (0..=4, None) => Ok(()),
        _ => Err(Code::BadArguments),
    }
}

fn size(data: Option<&[u8]>) -> i64 {
    data.map_or(0, |data| data.len() as i64)
}

fn check_path(path: &str) -> Result<(), Code> {
    Path::new(path).map_or(Err(Code::BadArguments), |_| Ok(()))
}

fn parent_of(path: &str) -> Result<&str, Code> {
    if path.contains('/') && !path.contains('\0') {
        Ok(tree::parent(path))
    } else {
        Err(Code::BadArguments)
    }
}

/// The parent of a path that is not one of the server's own nodes.
fn deletable(path: &str) -> Result<&str, Code> {
    match path {
        "/" | "/zookeeper" | "/zookeeper/quota" | CONFIG => Err(Code::BadArguments),
        path => parent_of(path),
    }
}

/// The next version, if the current one is as expected.
fn check_version(current: i32, expected: i32) -> Result<i32, Code> {
    if expected == -1 || expected == current {
        Ok(current.wrapping_add(1))
    } else {
        Err(Code::BadVersion)
    }
}
