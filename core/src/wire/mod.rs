//! The ZooKeeper client protocol: frames, records and operations, encoded and decoded in place.
//!
//! Nothing here allocates. Requests are structs of borrowed data that [encode](Request::encode)
//! themselves into any [`Sink`]; responses are views over whatever buffer the reply lies in. The
//! field order is that of ZooKeeper's `zookeeper.jute`.

mod acls;
mod decode;
mod encode;
mod ensemble;
mod frame;
mod lists;
mod multi;
mod nodes;
mod pick;
#[cfg(all(test, feature = "std"))]
mod tests;
mod types;
mod watching;

pub use acls::*;
pub use decode::{Decoder, Items, Malformed, Record};
pub use encode::{Encoder, Full, Refused, Sink, SliceSink};
pub use ensemble::*;
pub use frame::{
    Connect, ConnectReply, Connected, Credential, FrameReader, ReplyHeader, RequestHeader, Step,
    WatchEvent, frame, frame_len, set_watches, xid,
};
pub use lists::*;
pub use multi::*;
pub use nodes::*;
pub use pick::*;
pub use types::*;
pub use watching::*;

use crate::path::Path;

/// An operation: how to encode it, and how to view its reply in any buffer.
pub trait Request {
    /// A view of the reply's body.
    type Response<B: AsRef<[u8]>>;

    /// The operation code of the request header.
    fn op(&self) -> OpCode;

    /// Appends the body that follows the request header.
    fn encode(&self, out: &mut Encoder<'_>);

    /// Views the body of a successful reply. Paths in it lose the leading `chroot`.
    ///
    /// # Errors
    /// [`Malformed`] names the rule that the bytes break. Bytes left over are ignored, as servers
    /// may append fields.
    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Self::Response<B>, Malformed>;

    /// What to pick out of a list of names that is longer than the room for it.
    fn pick(&self) -> Option<Pick<'_>> {
        None
    }
}

/// How a [`Request`] is encoded, whatever becomes of its reply. Unlike that it can be a `dyn`, so that
/// one function does for all.
pub(crate) trait Encode {
    fn opcode(&self) -> OpCode;
    fn encode_body(&self, out: &mut Encoder<'_>);
    fn picks(&self) -> Option<Pick<'_>>;
}

impl<R: Request> Encode for R {
    #[inline]
    fn opcode(&self) -> OpCode {
        self.op()
    }

    #[inline]
    fn encode_body(&self, out: &mut Encoder<'_>) {
        self.encode(out);
    }

    #[inline]
    fn picks(&self) -> Option<Pick<'_>> {
        self.pick()
    }
}

/// A request that changes nothing, so that it may be sent again after a lost connection.
pub trait Idempotent: Request {}

/// A read that can leave a one-shot watch on its path.
pub trait Watchable: Request {
    /// The path that is read.
    fn path(&self) -> Path<'_>;

    /// The kind of watch that a successful reply leaves.
    const WATCH: WatchKind;

    /// The kind that a reply of "no node" leaves, if it leaves one.
    const WATCH_ABSENT: Option<WatchKind> = None;
}
