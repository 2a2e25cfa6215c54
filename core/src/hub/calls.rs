//! Calls: what becomes of a request between submission and the taking of its reply.

use core::mem;
use core::num::NonZeroU32;
use core::task::Waker;

use super::storage::{Bodies, register};
use crate::error::Error;

/// The place of a call, a watch or a claim in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(NonZeroU32);

impl Id {
    pub(super) fn new(index: usize) -> Option<Self> {
        NonZeroU32::new(u32::try_from(index).ok()?.checked_add(1)?).map(Self)
    }

    pub(super) const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

/// A request whose reply has not come. Replies come in the order of requests.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    pub(super) xid: i32,
    /// Who waits for the reply; nobody does for those the hub sends by itself.
    pub(super) call: Option<Id>,
    /// The watch that a good reply sets; without a call, the one that a bad reply leaves without a
    /// lasting watch to serve it.
    pub(super) watch: Option<Id>,
}

impl Pending {
    /// An entry of no meaning, to fill tables with.
    pub const VACANT: Self = Self {
        xid: 0,
        call: None,
        watch: None,
    };
}

/// The state of a call. The slot owns the room of the reply until the reply is taken.
pub struct Call<B: Bodies> {
    pub(super) stage: Stage<B>,
    pub(super) waker: Option<Waker>,
}

pub(super) enum Stage<B: Bodies> {
    Waiting(B::Room),
    /// Nobody wants the reply any more, but it will come and take its turn.
    Abandoned(B::Room),
    Done(Result<B::Body, Error>),
    /// Between two others.
    Moving,
}

impl<B: Bodies> Call<B> {
    #[inline]
    pub(super) const fn new(room: B::Room) -> Self {
        Self {
            stage: Stage::Waiting(room),
            waker: None,
        }
    }

    /// The waker of a task that has not been told of the call's end.
    pub(super) const fn take_waker(&mut self) -> Option<Waker> {
        match self.stage {
            Stage::Done(_) => self.waker.take(),
            _ => None,
        }
    }

    /// Takes the reply if it is there; registers `waker` if not.
    #[inline]
    pub(super) fn poll(&mut self, waker: &Waker) -> Option<Result<B::Body, Error>> {
        match mem::replace(&mut self.stage, Stage::Moving) {
            Stage::Done(result) => Some(result),
            stage => {
                self.stage = stage;
                register(&mut self.waker, waker);
                None
            }
        }
    }
}
