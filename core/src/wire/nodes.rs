//! Operations on nodes and their data: one struct per request, one view per kind of reply.

use core::fmt;
use core::ops::Range;

use crate::path::Path;
use crate::wire::decode::{Decoder, Malformed};
use crate::wire::encode::Encoder;
use crate::wire::types::{Acl, CreateMode, OpCode, Stat, WatchKind};
use crate::wire::{Idempotent, Request, Watchable};

/// The number that stands for any version.
pub(super) const fn version(version: Option<i32>) -> i32 {
    match version {
        Some(version) => version,
        None => -1,
    }
}

/// Creates a node; the parent must exist and allow it.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// The node, or for sequential modes what comes before the number.
    pub path: Path<'a>,
    /// Its data.
    pub data: &'a [u8],
    /// How long it lives.
    pub mode: CreateMode,
    /// Who may do what with it; at least one entry.
    pub acl: &'a [Acl<'a>],
}

impl Request for Create<'_> {
    type Response<B: AsRef<[u8]>> = Created<B>;

    fn op(&self) -> OpCode {
        self.mode.op()
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        if self.mode.is_sequential() {
            out.prefix(self.path);
        } else {
            out.path(self.path);
        }
        out.buffer(self.data);
        out.acl(self.acl);
        out.int(self.mode.flags());
        if let Some(ttl) = self.mode.ttl() {
            out.long(ttl.millis());
        }
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Created<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.path(chroot)?;
        let end = input.position();
        input.stat()?;
        Ok(Created {
            body,
            chroot: chroot.len(),
            end,
        })
    }
}

/// The reply to [`Create`].
#[derive(Clone, Copy)]
pub struct Created<B> {
    body: B,
    chroot: usize,
    end: usize,
}

impl<B: AsRef<[u8]>> Created<B> {
    /// The path of the new node, with the server's number if the mode is sequential.
    pub fn path(&self) -> Path<'_> {
        below(
            Decoder::new(self.body.as_ref())
                .string()
                .unwrap_or_default(),
            self.chroot,
        )
    }

    /// The new node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }
}

/// The record at `at`, which is known to be there.
#[inline]
pub(super) fn stat_at(body: &impl AsRef<[u8]>, at: usize) -> Stat {
    let record = body.as_ref().get(at..).unwrap_or_default();
    Decoder::new(record).stat().unwrap_or_default()
}

/// A server path that is known to be valid and inside a chroot of `chroot` bytes, without that.
pub(super) fn below(path: &str, chroot: usize) -> Path<'_> {
    match path.get(chroot..) {
        None | Some("") => Path::ROOT,
        Some(path) => Path::trusted(path),
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Created<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created")
            .field("path", &self.path())
            .field("stat", &self.stat())
            .finish()
    }
}

/// Deletes a node that has no children.
#[derive(Clone, Copy, Debug)]
pub struct Delete<'a> {
    /// The node.
    pub path: Path<'a>,
    /// What [`Stat::version`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for Delete<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::DELETE
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Asks whether a node exists. Without it the reply is [`Code::NoNode`](crate::error::Code::NoNode).
#[derive(Clone, Copy, Debug)]
pub struct Exists<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for Exists<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::EXISTS
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}

impl Idempotent for Exists<'_> {}

impl Watchable for Exists<'_> {
    const WATCH: WatchKind = WatchKind::Data;
    const WATCH_ABSENT: Option<WatchKind> = Some(WatchKind::Exist);

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// Reads the data of a node.
#[derive(Clone, Copy, Debug)]
pub struct GetData<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetData<'_> {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_DATA
    }

    #[inline]
    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    #[inline]
    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}

impl Idempotent for GetData<'_> {}

impl Watchable for GetData<'_> {
    const WATCH: WatchKind = WatchKind::Data;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The data of a node.
#[derive(Clone, Copy)]
pub struct Data<B> {
    body: B,
    end: usize,
}

impl<B: AsRef<[u8]>> Data<B> {
    /// Bytes of the length in front of the data.
    const START: usize = 4;

    #[inline]
    pub(super) fn decode(body: B) -> Result<Self, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.buffer()?;
        let end = input.position();
        // Only looked at when asked for: replies are moved more often than that.
        input.stat()?;
        Ok(Self { body, end })
    }

    /// The bytes; none if the data is null.
    #[inline]
    pub fn data(&self) -> &[u8] {
        self.body.as_ref().get(self.range()).unwrap_or_default()
    }

    /// Whether the node was written with null, which is not the same as no bytes.
    pub fn is_null(&self) -> bool {
        self.body.as_ref().first_chunk() == Some(&[0xff; 4])
    }

    /// The node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }

    /// Where in the reply's body the bytes lie.
    pub const fn range(&self) -> Range<usize> {
        Self::START..self.end
    }

    /// The reply's body, of which [`range`](Self::range) is the data.
    pub fn into_inner(self) -> B {
        self.body
    }
}

/// Leaves out the data, which may be secret.
impl<B: AsRef<[u8]>> fmt::Debug for Data<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("null", &self.is_null())
            .field("stat", &self.stat())
            .finish_non_exhaustive()
    }
}

/// Replaces the data of a node.
#[derive(Clone, Copy, Debug)]
pub struct SetData<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Its new data.
    pub data: &'a [u8],
    /// What [`Stat::version`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for SetData<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::SET_DATA
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.buffer(self.data);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}

/// Makes the server catch up with the leader before it runs what is sent after this.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    /// Any path; the server only sends it back.
    pub path: Path<'a>,
}

impl Request for Sync<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::SYNC
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<(), Malformed> {
        Decoder::new(body.as_ref()).buffer().map(|_| ())
    }
}

impl Idempotent for Sync<'_> {}
