//! Requests as a server reads them: field by field, good or bad.

use docent_core::wire::{
    Acl, Connect, Decoder, Encoder, Malformed, OpCode, Perms, Record, RequestHeader,
};

/// The body of a request. Paths are as sent: absolute, and not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the protocol")]
pub enum Body<'a> {
    /// A create of any operation code; only that with a time to live has `ttl`.
    Create {
        path: &'a str,
        data: Option<&'a [u8]>,
        acl: Vec<Entry<'a>>,
        flags: i32,
        ttl: Option<i64>,
    },
    /// A delete or a check.
    Expect {
        path: &'a str,
        version: i32,
    },
    /// An exists, getData, getChildren or getChildren2.
    Read {
        path: &'a str,
        watch: bool,
    },
    SetData {
        path: &'a str,
        data: Option<&'a [u8]>,
        version: i32,
    },
    SetAcl {
        path: &'a str,
        acl: Vec<Entry<'a>>,
        version: i32,
    },
    /// A getACL, sync or getAllChildrenNumber.
    Path {
        path: &'a str,
    },
    GetEphemerals {
        prefix: Option<&'a str>,
    },
    /// A checkWatches, removeWatches or addWatch.
    Watch {
        path: &'a str,
        number: i32,
    },
    /// A multi or multiRead.
    Multi(Vec<(OpCode, Self)>),
    Reconfig {
        joining: Option<&'a str>,
        leaving: Option<&'a str>,
        members: Option<&'a str>,
        from: i64,
    },
    Auth {
        kind: i32,
        scheme: &'a str,
        data: Option<&'a [u8]>,
    },
    /// Three lists for setWatches, five for setWatches2.
    SetWatches {
        zxid: i64,
        lists: Vec<Vec<&'a str>>,
    },
    Sasl {
        token: Option<&'a [u8]>,
    },
    /// A ping, whoAmI or closeSession.
    Empty,
    /// Of an operation that servers do not know.
    Unknown(&'a [u8]),
}

/// An entry of an access control list; unlike in an [`Acl`], null is not the same as empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the protocol")]
pub struct Entry<'a> {
    pub perms: Perms,
    pub scheme: Option<&'a str>,
    pub id: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// The entry as a client has it; `None` if something is null.
    pub fn to_acl(&self) -> Option<Acl<'a>> {
        Some(Acl {
            perms: self.perms,
            scheme: self.scheme?,
            id: self.id?,
        })
    }
}

impl<'a> Record<'a> for Entry<'a> {
    const MIN_SIZE: usize = 12;

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            perms: Perms::from_bits(input.int()?),
            scheme: input.opt_string()?,
            id: input.opt_string()?,
        })
    }
}

/// Reads the first frame of a connection. Its last byte may be missing, which stands for false.
///
/// # Errors
/// [`Malformed`] names the broken rule.
pub fn connect(payload: &[u8]) -> Result<Connect<'_>, Malformed> {
    let mut input = Decoder::new(payload);
    input.int()?;
    Ok(Connect {
        last_zxid: input.long()?,
        timeout_ms: input.int()?,
        session: input.long()?,
        password: input.buffer()?.unwrap_or_default(),
        read_only: input.boolean().unwrap_or(false),
    })
}

/// Reads any later frame.
///
/// # Errors
/// [`Malformed`] names the broken rule; servers answer with a marshalling error.
pub fn request(payload: &[u8]) -> Result<(RequestHeader, Body<'_>), Malformed> {
    let (header, body) = RequestHeader::decode(payload)?;
    Ok((header, Body::decode(header.op, &mut Decoder::new(body))?))
}

impl<'a> Body<'a> {
    /// Reads the body of a request of the operation `op`.
    ///
    /// # Errors
    /// [`Malformed`] names the broken rule.
    pub fn decode(op: OpCode, input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                Self::Create {
                    path: input.string()?,
                    data: input.buffer()?,
                    acl: input.items()?.collect(),
                    flags: input.int()?,
                    ttl: (op == OpCode::CREATE_TTL)
                        .then(|| input.long())
                        .transpose()?,
                }
            }
            OpCode::DELETE | OpCode::CHECK => Self::Expect {
                path: input.string()?,
                version: input.int()?,
            },
            OpCode::EXISTS | OpCode::GET_DATA | OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => {
                Self::Read {
                    path: input.string()?,
                    watch: input.boolean()?,
                }
            }
            OpCode::SET_DATA => Self::SetData {
                path: input.string()?,
                data: input.buffer()?,
                version: input.int()?,
            },
            OpCode::SET_ACL => Self::SetAcl {
                path: input.string()?,
                acl: input.items()?.collect(),
                version: input.int()?,
            },
            OpCode::GET_ACL | OpCode::SYNC | OpCode::GET_ALL_CHILDREN_NUMBER => Self::Path {
                path: input.string()?,
            },
            OpCode::GET_EPHEMERALS => Self::GetEphemerals {
                prefix: input.opt_string()?,
            },
            OpCode::CHECK_WATCHES | OpCode::REMOVE_WATCHES | OpCode::ADD_WATCH => Self::Watch {
                path: input.string()?,
                number: input.int()?,
            },
            OpCode::MULTI | OpCode::MULTI_READ => Self::Multi(operations(input)?),
            OpCode::RECONFIG => Self::Reconfig {
                joining: input.opt_string()?,
                leaving: input.opt_string()?,
                members: input.opt_string()?,
                from: input.long()?,
            },
            OpCode::AUTH => Self::Auth {
                kind: input.int()?,
                scheme: input.string()?,
                data: input.buffer()?,
            },
            OpCode::SET_WATCHES => Self::SetWatches {
                zxid: input.long()?,
                lists: lists(input, 3)?,
            },
            OpCode::SET_WATCHES2 => Self::SetWatches {
                zxid: input.long()?,
                lists: lists(input, 5)?,
            },
            OpCode::SASL => Self::Sasl {
                token: input.buffer()?,
            },
            OpCode::PING | OpCode::WHO_AM_I | OpCode::CLOSE_SESSION => Self::Empty,
            _ => Self::Unknown(input.rest()),
        })
    }

    /// Appends the body as it was read, but for null lists, which become empty.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        match *self {
            Self::Create {
                path,
                data,
                ref acl,
                flags,
                ttl,
            } => {
                out.string(path);
                opt_buffer(out, data);
                entries(out, acl);
                out.int(flags);
                ttl.into_iter().for_each(|ttl| out.long(ttl));
            }
            Self::Expect { path, version } => {
                out.string(path);
                out.int(version);
            }
            Self::Read { path, watch } => {
                out.string(path);
                out.boolean(watch);
            }
            Self::SetData {
                path,
                data,
                version,
            } => {
                out.string(path);
                opt_buffer(out, data);
                out.int(version);
            }
            Self::SetAcl {
                path,
                ref acl,
                version,
            } => {
                out.string(path);
                entries(out, acl);
                out.int(version);
            }
            Self::Path { path } => out.string(path),
            Self::GetEphemerals { prefix } => out.opt_string(prefix),
            Self::Watch { path, number } => {
                out.string(path);
                out.int(number);
            }
            Self::Multi(ref ops) => {
                for (op, body) in ops {
                    multi_header(out, *op, false);
                    body.encode(out);
                }
                multi_header(out, OpCode::ERROR, true);
            }
            Self::Reconfig {
                joining,
                leaving,
                members,
                from,
            } => {
                [joining, leaving, members]
                    .into_iter()
                    .for_each(|text| out.opt_string(text));
                out.long(from);
            }
            Self::Auth { kind, scheme, data } => {
                out.int(kind);
                out.string(scheme);
                opt_buffer(out, data);
            }
            Self::SetWatches { zxid, ref lists } => {
                out.long(zxid);
                for list in lists {
                    out.count(list.len());
                    list.iter().for_each(|path| out.string(path));
                }
            }
            Self::Sasl { token } => opt_buffer(out, token),
            Self::Empty => {}
            Self::Unknown(bytes) => out.bytes(bytes),
        }
    }
}

fn operations<'a>(input: &mut Decoder<'a>) -> Result<Vec<(OpCode, Body<'a>)>, Malformed> {
    let mut ops = Vec::new();
    loop {
        let (op, done, _err) = (OpCode(input.int()?), input.boolean()?, input.int()?);
        match op {
            _ if done => return Ok(ops),
            // A server must not follow a client into the depth.
            OpCode::MULTI | OpCode::MULTI_READ => return Err(Malformed::ResultType(op.0)),
            _ => match Body::decode(op, input)? {
                // Where it would end, and the next one begin, cannot be known.
                Body::Unknown(_) => return Err(Malformed::ResultType(op.0)),
                body => ops.push((op, body)),
            },
        }
    }
}

fn lists<'a>(input: &mut Decoder<'a>, count: usize) -> Result<Vec<Vec<&'a str>>, Malformed> {
    (0..count)
        .map(|_| Ok(input.items::<&str>()?.collect()))
        .collect()
}

fn multi_header(out: &mut Encoder<'_>, op: OpCode, done: bool) {
    out.int(op.0);
    out.boolean(done);
    out.int(-1);
}

fn entries(out: &mut Encoder<'_>, acl: &[Entry<'_>]) {
    out.count(acl.len());
    for entry in acl {
        out.int(entry.perms.bits());
        out.opt_string(entry.scheme);
        out.opt_string(entry.id);
    }
}

/// Appends a buffer, or null.
pub fn opt_buffer(out: &mut Encoder<'_>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => out.buffer(bytes),
        None => out.null_buffer(),
    }
}
