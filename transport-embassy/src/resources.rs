//! The memory of a client, which the application owns.

use docent_core::hub::{self, Borrowed, FixedTx, Parts};
use docent_core::wire::Credential;

use crate::runner::Line;
use crate::shared::Shared;

/// The tables of a client: `CALLS` calls in flight and as many claims, `WATCHES` watches, and places
/// for `TASKS` tasks that wait for room or for a change of state.
///
/// [Memory](crate#memory) has the sizes. It is meant to live in a `StaticCell`.
pub struct Resources<'d, const CALLS: usize, const WATCHES: usize, const TASKS: usize = 8> {
    tables: hub::Resources<'d, CALLS, WATCHES, TASKS>,
    place: Place<'d>,
}

/// What a client is made of beside its tables.
pub(crate) struct Place<'d> {
    pub(crate) shared: Option<Shared<'d>>,
    pub(crate) line: Option<Line<'d>>,
}

impl<const CALLS: usize, const WATCHES: usize, const TASKS: usize> Default
    for Resources<'_, CALLS, WATCHES, TASKS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<'d, const CALLS: usize, const WATCHES: usize, const TASKS: usize>
    Resources<'d, CALLS, WATCHES, TASKS>
{
    /// Empty tables, fit for a `static`.
    pub const fn new() -> Self {
        Self {
            tables: hub::Resources::new(),
            place: Place {
                shared: None,
                line: None,
            },
        }
    }

    /// The parts of a hub, the transmit buffer of the runner, and the place for the rest.
    pub(crate) fn split(
        &'d mut self,
        buffers: hub::Buffers<'d>,
        chroot: &'d str,
        auths: &'d [Credential<'d>],
    ) -> (Parts<Borrowed<'d>>, FixedTx<'d>, &'d mut Place<'d>) {
        let (parts, tx) = self.tables.parts(buffers, chroot, auths);
        (parts, tx, &mut self.place)
    }
}

/// The bytes of a client. [What recipes take](crate#what-recipes-take) of the room for replies is told
/// there, and of the buffers for requests in [the core](hub::Buffers).
#[derive(Debug)]
pub struct Buffers<'d> {
    /// What is received goes here. It takes the longest frame that is kept, with its length of 4
    /// bytes; at least 64 bytes. Longer replies fail for their call only.
    pub rx: &'d mut [u8],
    /// Two buffers for requests, one being filled while the other is written. Each must take the
    /// largest request; at least 64 bytes.
    pub tx: [&'d mut [u8]; 2],
    /// Room for replies, shared out evenly among the calls.
    pub bodies: &'d mut [u8],
}
