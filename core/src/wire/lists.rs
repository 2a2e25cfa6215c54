//! Operations that list nodes.

use core::fmt;
use core::ops::Range;

use crate::path::{Path, strip_chroot};
use crate::wire::decode::{Decoder, Items, Malformed, Record as _};
use crate::wire::encode::Encoder;
use crate::wire::nodes::stat_at;
use crate::wire::types::{OpCode, Stat, WatchKind};
use crate::wire::{Idempotent, Request, Watchable};

/// Lists the children of a node, together with its [`Stat`].
#[derive(Clone, Copy, Debug)]
pub struct GetChildren<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetChildren<'_> {
    type Response<B: AsRef<[u8]>> = Children<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_CHILDREN2
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Children<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.items::<&str>()?;
        let end = input.position();
        input.stat()?;
        Ok(Children {
            names: Names { body },
            end,
        })
    }
}

impl Idempotent for GetChildren<'_> {}

impl Watchable for GetChildren<'_> {
    const WATCH: WatchKind = WatchKind::Child;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The children of a node, and the node.
#[derive(Clone, Copy)]
pub struct Children<B> {
    names: Names<B>,
    end: usize,
}

impl<B: AsRef<[u8]>> Children<B> {
    /// The names, in no order. A hostile server may send any text.
    pub fn iter(&self) -> Items<'_, &str> {
        self.names.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The node whose children these are.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.names.body, self.end)
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Children<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("names", &self.names)
            .field("stat", &self.stat())
            .finish()
    }
}

/// Lists the children of a node; its reply is the shortest that has them.
#[derive(Clone, Copy, Debug)]
pub struct GetChildNames<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetChildNames<'_> {
    type Response<B: AsRef<[u8]>> = Names<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_CHILDREN
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Names<B>, Malformed> {
        Decoder::new(body.as_ref()).items::<&str>()?;
        Ok(Names { body })
    }
}

impl Idempotent for GetChildNames<'_> {}

impl Watchable for GetChildNames<'_> {
    const WATCH: WatchKind = WatchKind::Child;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The names of a node's children.
#[derive(Clone, Copy)]
pub struct Names<B> {
    body: B,
}

impl<B: AsRef<[u8]>> Names<B> {
    /// The names, in no order. A hostile server may send any text.
    pub fn iter(&self) -> Items<'_, &str> {
        Items::new(self.body.as_ref())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Names<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Lists the ephemeral nodes of this session (3.6).
#[derive(Clone, Copy, Debug)]
pub struct GetEphemerals<'a> {
    /// What their paths start with, as text: `/a` finds `/ab`, too. The root finds all below the
    /// chroot.
    pub prefix: Path<'a>,
}

impl Request for GetEphemerals<'_> {
    type Response<B: AsRef<[u8]>> = Paths<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_EPHEMERALS
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.prefix);
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Paths<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        let (mut at, mut len) = (0, 0_usize);
        for _ in 0..input.count(<&str>::MIN_SIZE)? {
            let path = input.string()?;
            let Some(below) = strip_chroot(path, chroot) else {
                continue;
            };
            Path::new(below).map_err(Malformed::Path)?;
            at = input.position().saturating_sub(path.len());
            len = len.saturating_add(1);
        }
        Ok(Paths {
            body,
            chroot: at..at.saturating_add(chroot.len()),
            len,
        })
    }
}

impl Idempotent for GetEphemerals<'_> {}

/// Some paths, as seen from below the chroot.
#[derive(Clone)]
pub struct Paths<B> {
    body: B,
    /// Where the body has the text of the chroot, if `len` is not 0.
    chroot: Range<usize>,
    len: usize,
}

impl<B: AsRef<[u8]>> Paths<B> {
    /// The paths, in no order; those outside the chroot are left out.
    pub fn iter(&self) -> impl Iterator<Item = Path<'_>> {
        let chroot = self
            .body
            .as_ref()
            .get(self.chroot.clone())
            .unwrap_or_default();
        let chroot = core::str::from_utf8(chroot).unwrap_or_default();
        let paths = Items::<&str>::new(self.body.as_ref());
        paths
            .filter_map(move |path| strip_chroot(path, chroot).map(Path::trusted))
            .take(self.len)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Paths<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Counts all nodes below a node, itself left out (3.6).
#[derive(Clone, Copy, Debug)]
pub struct CountDescendants<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for CountDescendants<'_> {
    type Response<B: AsRef<[u8]>> = i32;

    fn op(&self) -> OpCode {
        OpCode::GET_ALL_CHILDREN_NUMBER
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<i32, Malformed> {
        Decoder::new(body.as_ref()).int()
    }
}

impl Idempotent for CountDescendants<'_> {}
