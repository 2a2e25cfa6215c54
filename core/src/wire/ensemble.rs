//! Operations on the ensemble and the connection, rather than on nodes.

use core::fmt;

use crate::path::Path;
use crate::wire::decode::{Decoder, Items, Malformed, Record};
use crate::wire::encode::Encoder;
use crate::wire::nodes::Data;
use crate::wire::types::OpCode;
use crate::wire::{Idempotent, Request};

/// The node with the configuration of the ensemble; it lies outside of any chroot.
const CONFIG: Path<'static> = Path::trusted("/zookeeper/config");

/// Asks for the identities that the server knows this connection by (3.7).
#[derive(Clone, Copy, Debug)]
pub struct WhoAmI;

impl Request for WhoAmI {
    type Response<B: AsRef<[u8]>> = Identities<B>;

    fn op(&self) -> OpCode {
        OpCode::WHO_AM_I
    }

    fn encode(&self, _: &mut Encoder<'_>) {}

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Identities<B>, Malformed> {
        Decoder::new(body.as_ref()).items::<Identity<'_>>()?;
        Ok(Identities { body })
    }
}

impl Idempotent for WhoAmI {}

/// Somebody, as a server knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// How it was proven, as in [`Acl::scheme`](crate::wire::Acl::scheme).
    pub scheme: &'a str,
    /// The name; of `digest` without the hash.
    pub user: &'a str,
}

impl<'a> Record<'a> for Identity<'a> {
    const MIN_SIZE: usize = 8;

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            scheme: input.string()?,
            user: input.string()?,
        })
    }
}

/// The reply to [`WhoAmI`].
#[derive(Clone, Copy)]
pub struct Identities<B> {
    body: B,
}

impl<B: AsRef<[u8]>> Identities<B> {
    /// The identities; one is always of the scheme `ip`.
    pub fn iter(&self) -> Items<'_, Identity<'_>> {
        Items::new(self.body.as_ref())
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Identities<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Reads the configuration of the ensemble (3.5), whatever the chroot. It is text with a line
/// `server.<id>=..` per member, and last `version=` in hexadecimal; a standalone server's is empty.
#[derive(Clone, Copy, Debug)]
pub struct GetConfig;

impl Request for GetConfig {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_DATA
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.absolute_path(CONFIG);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}

impl Idempotent for GetConfig {}

/// Changes the members of the ensemble (3.5); the reply is the new configuration. Give `joining`
/// and `leaving`, or `members`.
#[derive(Clone, Copy, Debug)]
pub struct Reconfig<'a> {
    /// Members to add or change: `server.<id>=..`, separated by commas.
    pub joining: Option<&'a str>,
    /// Ids of members to remove, separated by commas.
    pub leaving: Option<&'a str>,
    /// All members from now on.
    pub members: Option<&'a str>,
    /// The version that the present configuration must have; `None` for any.
    pub from: Option<i64>,
}

impl Request for Reconfig<'_> {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::RECONFIG
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.opt_string(self.joining);
        out.opt_string(self.leaving);
        out.opt_string(self.members);
        out.long(self.from.unwrap_or(-1));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}
