//! Operations on watches.

use crate::path::Path;
use crate::wire::Idempotent;
use crate::wire::Request;
use crate::wire::decode::Malformed;
use crate::wire::encode::Encoder;
use crate::wire::types::{AddWatchMode, OpCode, WatcherType};

/// Places a watch that goes on after it has fired (3.6). The node need not exist.
#[derive(Clone, Copy, Debug)]
pub struct AddWatch<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Whether it covers the nodes below.
    pub mode: AddWatchMode,
}

impl Request for AddWatch<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::ADD_WATCH
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.mode.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Removes watches of this connection from the server (3.5). Without any the reply is
/// [`Code::NoWatcher`](crate::error::Code::NoWatcher).
#[derive(Clone, Copy, Debug)]
pub struct RemoveWatches<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Which of its watches.
    pub kind: WatcherType,
}

impl Request for RemoveWatches<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::REMOVE_WATCHES
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.kind.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Asks whether this connection has such a watch (3.5). Without any the reply is
/// [`Code::NoWatcher`](crate::error::Code::NoWatcher).
#[derive(Clone, Copy, Debug)]
pub struct CheckWatches<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Which of its watches.
    pub kind: WatcherType,
}

impl Request for CheckWatches<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::CHECK_WATCHES
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.kind.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Idempotent for CheckWatches<'_> {}
