//! Operations on access control lists.

use core::fmt;

use crate::path::Path;
use crate::wire::decode::{Decoder, Items, Malformed};
use crate::wire::encode::Encoder;
use crate::wire::nodes::{stat_at, version};
use crate::wire::types::{Acl, OpCode, Stat};
use crate::wire::{Idempotent, Request};

/// Reads the access control list of a node.
#[derive(Clone, Copy, Debug)]
pub struct GetAcl<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetAcl<'_> {
    type Response<B: AsRef<[u8]>> = Acls<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_ACL
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Acls<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.items::<Acl<'_>>()?;
        let end = input.position();
        input.stat()?;
        Ok(Acls { body, end })
    }
}

impl Idempotent for GetAcl<'_> {}

/// The access control list of a node.
#[derive(Clone, Copy)]
pub struct Acls<B> {
    body: B,
    end: usize,
}

impl<B: AsRef<[u8]>> Acls<B> {
    /// The entries. Without the right to administer the node, hashes of passwords show as `x`.
    pub fn iter(&self) -> Items<'_, Acl<'_>> {
        Items::new(self.body.as_ref())
    }

    /// The node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Acls<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Replaces the access control list of a node.
#[derive(Clone, Copy, Debug)]
pub struct SetAcl<'a> {
    /// The node.
    pub path: Path<'a>,
    /// The new list; at least one entry.
    pub acl: &'a [Acl<'a>],
    /// What [`Stat::aversion`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for SetAcl<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::SET_ACL
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.acl(self.acl);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}
