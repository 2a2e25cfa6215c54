//! Several operations in one request.

use core::fmt;

use thiserror::Error;

use crate::error::Code;
use crate::path::Path;
use crate::wire::decode::{Decoder, Items, Malformed};
use crate::wire::encode::Encoder;
use crate::wire::nodes::{Create, Delete, SetData, below, version};
use crate::wire::types::{OpCode, Stat};
use crate::wire::{Idempotent, Request};

/// Writes that happen all together or not at all.
///
/// Each sees the effects of those before it. Servers answer an empty one with success.
#[derive(Clone, Copy, Debug)]
pub struct Multi<'a> {
    /// The writes, in order.
    pub ops: &'a [Op<'a>],
}

/// One write of a [`Multi`].
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Creates a node.
    Create(Create<'a>),
    /// Deletes a node.
    Delete(Delete<'a>),
    /// Replaces data.
    SetData(SetData<'a>),
    /// Fails the whole unless the node exists and has this version.
    Check {
        /// The node.
        path: Path<'a>,
        /// What [`Stat::version`] must be; `None` for any.
        version: Option<i32>,
    },
}

impl Op<'_> {
    fn op(&self) -> OpCode {
        match self {
            Self::Create(create) => create.op(),
            Self::Delete(delete) => delete.op(),
            Self::SetData(set) => set.op(),
            Self::Check { .. } => OpCode::CHECK,
        }
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        match *self {
            Self::Create(create) => create.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::SetData(set) => set.encode(out),
            Self::Check {
                path,
                version: expected,
            } => {
                out.path(path);
                out.int(version(expected));
            }
        }
    }
}

impl Request for Multi<'_> {
    type Response<B: AsRef<[u8]>> = MultiReply<B>;

    fn op(&self) -> OpCode {
        OpCode::MULTI
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        for op in self.ops {
            Header {
                kind: op.op(),
                done: false,
            }
            .encode(out);
            op.encode(out);
        }
        Header::END.encode(out);
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<MultiReply<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        let mut len = 0_usize;
        let mut blame = Blame::default();
        while let Some(result) = op_result(&mut input, |input| input.path(chroot))? {
            if let Err(code) = result {
                blame.add(len, code);
            }
            len = len.saturating_add(1);
        }
        Ok(MultiReply {
            body,
            chroot: chroot.len(),
            len,
            failure: blame.verdict()?,
        })
    }
}

/// Stands before each operation and each result, and at the end. A third field is always -1 in
/// requests and repeats the error in results.
struct Header {
    kind: OpCode,
    done: bool,
}

impl Header {
    const END: Self = Self {
        kind: OpCode::ERROR,
        done: true,
    };

    fn encode(&self, out: &mut Encoder<'_>) {
        out.int(self.kind.0);
        out.boolean(self.done);
        out.int(-1);
    }

    /// The type of the next result; `None` at the end.
    fn decode(input: &mut Decoder<'_>) -> Result<Option<OpCode>, Malformed> {
        let (kind, done, _err) = (OpCode(input.int()?), input.boolean()?, input.int()?);
        Ok((!done).then_some(kind))
    }
}

/// Finds the operation that a multi failed for.
///
/// Those before it have the error 0, as they were rolled back, and those after it -2.
#[derive(Default)]
struct Blame {
    failed: bool,
    cause: Option<MultiFailure>,
}

impl Blame {
    fn add(&mut self, index: usize, code: i32) {
        self.failed = true;
        let known = self
            .cause
            .is_some_and(|cause| cause.code != Code::RuntimeInconsistency);
        if !known && code != 0 && (self.cause.is_none() || code != -2) {
            self.cause = Some(MultiFailure {
                index,
                code: Code::from(code),
            });
        }
    }

    fn verdict(self) -> Result<Option<MultiFailure>, Malformed> {
        if self.failed && self.cause.is_none() {
            Err(Malformed::NoCause)
        } else {
            Ok(self.cause)
        }
    }
}

/// Why a [`Multi`] did nothing. Only the first failure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("operation {index} of the multi failed: {code}")]
pub struct MultiFailure {
    /// The operation that failed, counted from 0.
    pub index: usize,
    /// The reason.
    pub code: Code,
}

/// The reply to [`Multi`].
#[derive(Clone, Copy)]
pub struct MultiReply<B> {
    body: B,
    chroot: usize,
    len: usize,
    failure: Option<MultiFailure>,
}

impl<B: AsRef<[u8]>> MultiReply<B> {
    /// The results, one per operation and in order, if all were applied.
    ///
    /// # Errors
    /// [`MultiFailure`] if none was.
    pub fn outcome(&self) -> Result<OpResults<'_>, MultiFailure> {
        let input = Decoder::new(self.body.as_ref());
        self.failure.map_or(
            Ok(OpResults {
                input,
                chroot: self.chroot,
                left: self.len,
            }),
            Err,
        )
    }

    /// Number of results, failed ones included; an honest server sends one per operation.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no results.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for MultiReply<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome() {
            Ok(results) => f.debug_list().entries(results).finish(),
            Err(failure) => fmt::Debug::fmt(&failure, f),
        }
    }
}

/// What one operation of a [`Multi`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpResult<'a> {
    /// A node was created.
    Created {
        /// Its path, with the server's number if the mode is sequential.
        path: Path<'a>,
        /// The node; servers before 3.7.2 and 3.8.2 do not send it for plain modes.
        stat: Option<Stat>,
    },
    /// A node was deleted.
    Deleted,
    /// Data was replaced; this is the node now.
    Set(Stat),
    /// The version was as expected.
    Checked,
}

/// The results of a [`Multi`] that was applied.
#[derive(Clone, Debug)]
pub struct OpResults<'a> {
    input: Decoder<'a>,
    chroot: usize,
    left: usize,
}

impl<'a> Iterator for OpResults<'a> {
    type Item = OpResult<'a>;

    fn next(&mut self) -> Option<OpResult<'a>> {
        self.left = self.left.checked_sub(1)?;
        let chroot = self.chroot;
        op_result(&mut self.input, |input| Ok(below(input.string()?, chroot)))
            .ok()??
            .ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for OpResults<'_> {}

/// Reads one result by the type that it has, which need not be that of the request: servers may
/// answer a create2 as a create. `None` at the end, an inner error for a failed one.
fn op_result<'a>(
    input: &mut Decoder<'a>,
    path: impl FnOnce(&mut Decoder<'a>) -> Result<Path<'a>, Malformed>,
) -> Result<Option<Result<OpResult<'a>, i32>>, Malformed> {
    let Some(kind) = Header::decode(input)? else {
        return Ok(None);
    };
    Ok(Some(Ok(match kind {
        OpCode::ERROR => return Ok(Some(Err(input.int()?))),
        OpCode::CREATE => OpResult::Created {
            path: path(input)?,
            stat: None,
        },
        OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => OpResult::Created {
            path: path(input)?,
            stat: Some(input.stat()?),
        },
        OpCode::DELETE => OpResult::Deleted,
        OpCode::SET_DATA => OpResult::Set(input.stat()?),
        OpCode::CHECK => OpResult::Checked,
        OpCode(other) => return Err(Malformed::ResultType(other)),
    })))
}

/// Reads in one request, each of which succeeds or fails by itself (3.6). They leave no watches.
#[derive(Clone, Copy, Debug)]
pub struct MultiRead<'a> {
    /// The reads, in order.
    pub ops: &'a [ReadOp<'a>],
}

/// One read of a [`MultiRead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOp<'a> {
    /// Reads the data of a node.
    GetData(Path<'a>),
    /// Lists the children of a node.
    GetChildren(Path<'a>),
}

impl ReadOp<'_> {
    fn encode(&self, out: &mut Encoder<'_>) {
        let (kind, path) = match *self {
            Self::GetData(path) => (OpCode::GET_DATA, path),
            Self::GetChildren(path) => (OpCode::GET_CHILDREN, path),
        };
        Header { kind, done: false }.encode(out);
        out.path(path);
        out.boolean(false);
    }
}

impl Request for MultiRead<'_> {
    type Response<B: AsRef<[u8]>> = MultiReadReply<B>;

    fn op(&self) -> OpCode {
        OpCode::MULTI_READ
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        self.ops.iter().for_each(|op| op.encode(out));
        Header::END.encode(out);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<MultiReadReply<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        let mut len = 0_usize;
        while read_result(&mut input)?.is_some() {
            len = len.saturating_add(1);
        }
        Ok(MultiReadReply { body, len })
    }
}

impl Idempotent for MultiRead<'_> {}

/// The reply to [`MultiRead`].
#[derive(Clone, Copy)]
pub struct MultiReadReply<B> {
    body: B,
    len: usize,
}

impl<B: AsRef<[u8]>> MultiReadReply<B> {
    /// The results, in the order of the reads; each may have failed.
    pub fn iter(&self) -> ReadResults<'_> {
        ReadResults {
            input: Decoder::new(self.body.as_ref()),
            left: self.len,
        }
    }

    /// Number of results; an honest server sends one per read.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no results.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<B> fmt::Debug for MultiReadReply<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiReadReply")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// What one read of a [`MultiRead`] found.
#[derive(Clone, Debug)]
pub enum ReadResult<'a> {
    /// Data.
    Data {
        /// The bytes; none if the data is null.
        data: &'a [u8],
        /// The node.
        stat: Stat,
    },
    /// The names of the children, in no order.
    Children(Items<'a, &'a str>),
}

/// The results of a [`MultiRead`].
#[derive(Clone, Debug)]
pub struct ReadResults<'a> {
    input: Decoder<'a>,
    left: usize,
}

impl<'a> Iterator for ReadResults<'a> {
    type Item = Result<ReadResult<'a>, Code>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        read_result(&mut self.input).ok()?
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ReadResults<'_> {}

/// As [`op_result`].
fn read_result<'a>(
    input: &mut Decoder<'a>,
) -> Result<Option<Result<ReadResult<'a>, Code>>, Malformed> {
    let Some(kind) = Header::decode(input)? else {
        return Ok(None);
    };
    Ok(Some(match kind {
        OpCode::ERROR => Err(Code::from(input.int()?)),
        OpCode::GET_DATA => {
            let data = input.buffer()?.unwrap_or_default();
            Ok(ReadResult::Data {
                data,
                stat: input.stat()?,
            })
        }
        OpCode::GET_CHILDREN => Ok(ReadResult::Children(input.items()?)),
        OpCode(other) => return Err(Malformed::ResultType(other)),
    }))
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    fn reply(results: &[(i32, &[u8])]) -> Vec<u8> {
        let header = |kind: i32, done| [&kind.to_be_bytes()[..], &[done], &[0; 4]].concat();
        let results = results
            .iter()
            .map(|(kind, body)| [&header(*kind, 0), *body].concat());
        [results.collect::<Vec<_>>().concat(), header(-1, 1)].concat()
    }

    fn failure(codes: &[i32]) -> Result<Option<MultiFailure>, Malformed> {
        let codes: Vec<_> = codes.iter().map(|code| code.to_be_bytes()).collect();
        let results: Vec<_> = codes.iter().map(|code| (-1, &code[..])).collect();
        Multi::decode(reply(&results), "").map(|reply| reply.outcome().err())
    }

    #[test]
    fn the_culprit_is_found() {
        let culprit = |index, code| Ok(Some(MultiFailure { index, code }));
        assert_eq!(failure(&[0, -110, -2]), culprit(1, Code::NodeExists));
        assert_eq!(failure(&[-101]), culprit(0, Code::NoNode));
        assert_eq!(failure(&[-2, -103]), culprit(1, Code::BadVersion));
        assert_eq!(
            failure(&[0, -2, -2]),
            culprit(1, Code::RuntimeInconsistency)
        );
        assert_eq!(failure(&[0, 0]), Err(Malformed::NoCause));
        assert_eq!(failure(&[]), Ok(None));
    }

    #[test]
    fn reads_leave_no_watches() {
        let mut out = Vec::new();
        let read = MultiRead {
            ops: &[ReadOp::GetChildren(Path::ROOT)],
        };
        crate::wire::frame(&mut out, 99, "", true, |out| read.encode(out)).unwrap();
        let op = b"\0\0\0\x08\0\xff\xff\xff\xff\0\0\0\x01/\0";
        assert_eq!(out[4..19], op[..]);
    }

    #[test]
    fn a_failure_among_successes_is_a_failure() {
        let code = (-4_i32).to_be_bytes();
        let reply = Multi::decode(reply(&[(2, b""), (-1, &code), (13, b"")]), "").unwrap();
        let failure = MultiFailure {
            index: 1,
            code: Code::ConnectionLoss,
        };
        assert_eq!(reply.outcome().unwrap_err(), failure);
        assert_eq!(reply.len(), 3);
    }

    #[test]
    fn results_are_read_by_their_own_type() {
        let body = reply(&[(1, b"\0\0\0\x04/c/a"), (2, b""), (1, b"\0\0\0\x02/c")]);
        let view = Multi::decode(&body, "/c").unwrap();
        let path = |path| OpResult::Created {
            path: Path::trusted(path),
            stat: None,
        };
        let results = view.outcome().unwrap();
        assert_eq!(results.len(), 3);
        assert!(results.eq([path("/a"), OpResult::Deleted, path("/")]));
        assert_eq!(Multi::decode(&body, "/d").unwrap_err(), Malformed::Chroot);
        let unknown = reply(&[(99, b"")]);
        assert_eq!(
            Multi::decode(unknown, "").unwrap_err(),
            Malformed::ResultType(99)
        );
        let endless = &body[..body.len() - 1];
        assert_eq!(
            Multi::decode(endless, "/c").unwrap_err(),
            Malformed::Truncated
        );
    }
}
