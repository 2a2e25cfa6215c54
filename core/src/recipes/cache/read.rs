//! How a cache reads: one node at a time, or in bundles.

use crate::client::Client;
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf};
use crate::recipes::cache::reconcile::{Found, View};
use crate::recipes::cache::{Ask, Select, Store};
use crate::wire::{Data, Exists, GetChildNames, GetData, Names, Stat, Watchable};

/// Reads what entries ask for.
#[allow(async_fn_in_trait, reason = "as for `Client`")]
pub trait Reader: Default {
    /// Reads what some entries ask for, without watches.
    ///
    /// # Errors
    /// What is not an answer about a single node.
    ///
    /// # Cancel safety
    /// What was asked for still is.
    async fn read<C, S, F>(&mut self, client: &C, view: View<'_, S, F>) -> Result<(), Error>
    where
        C: Client,
        S: Store,
        F: Fn(Path<'_>) -> Select;
}

/// Reads one node at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneByOne;

impl Reader for OneByOne {
    async fn read<C, S, F>(&mut self, client: &C, mut view: View<'_, S, F>) -> Result<(), Error>
    where
        C: Client,
        S: Store,
        F: Fn(Path<'_>) -> Select,
    {
        let Some((path, ask)) = first(view.store) else {
            return Ok(());
        };
        let path = path.as_path();
        let (answer, _) = look(client, path, ask, false).await?;
        answer.tell(&mut view, path);
        Ok(())
    }
}

/// The first entry that asks for something.
pub(super) fn first<S: Store>(store: &mut S) -> Option<(S::Path, Ask)> {
    let mut first = None;
    store.asked(1, |path, ask| {
        first = S::Path::try_from_parts(&[path.as_str()]).map(|path| (path, ask));
    });
    first
}

/// The answer of a server about one node, in the room of the reply.
pub(super) enum Answer<B> {
    Data(Data<B>),
    Stat(Stat),
    Names(Names<B>),
    TooManyNames,
    Absent,
    Denied,
}

impl<B: AsRef<[u8]>> Answer<B> {
    pub(super) fn tell<S, F>(&self, view: &mut View<'_, S, F>, path: Path<'_>)
    where
        S: Store,
        F: Fn(Path<'_>) -> Select,
    {
        let found = match self {
            Self::Names(names) => Found::Names(names.iter()),
            Self::Data(data) => Found::Node(data.stat(), Some(data.data())),
            Self::Stat(stat) => Found::Node(*stat, None),
            Self::TooManyNames => Found::TooManyNames,
            Self::Absent => Found::Absent,
            Self::Denied => Found::Denied,
        };
        view.found(path, found);
    }
}

/// What came of a look: the answer, and the watch that was set.
type Look<C> = Result<(Answer<<C as Client>::Body>, Option<<C as Client>::Watcher>), Error>;

/// Asks about a node, and sets a watch if that is wanted. Data that nobody wants is read, too: servers
/// before 3.9 tell everybody whether a node exists, but not whether the client may read it.
pub(super) async fn look<C: Client>(client: &C, path: Path<'_>, ask: Ask, watch: bool) -> Look<C> {
    let mut answer = match ask {
        Ask::Node => {
            let read = send(client, GetData { path }, watch).await;
            read.map(|(data, watcher)| (Answer::Data(data), watcher))
        }
        Ask::Children => {
            let list = send(client, GetChildNames { path }, watch).await;
            list.map(|(names, watcher)| (Answer::Names(names), watcher))
        }
    };
    // Data that is too large is not asked for. That there is such an answer says that it may be read.
    if ask == Ask::Node && matches!(answer, Err(Error::ReplyTooLarge { .. })) {
        let read = send(client, Exists { path }, watch).await;
        answer = read.map(|(stat, watcher)| (Answer::Stat(stat), watcher));
    }
    match answer {
        Err(Error::Server(Code::NoNode)) => Ok((Answer::Absent, None)),
        Err(Error::Server(Code::NoAuth)) => Ok((Answer::Denied, None)),
        Err(Error::ReplyTooLarge { .. }) if ask == Ask::Children => {
            Ok((Answer::TooManyNames, None))
        }
        answer => answer,
    }
}

async fn send<C: Client, R: Watchable>(
    client: &C,
    request: R,
    watch: bool,
) -> Result<(R::Response<C::Body>, Option<C::Watcher>), Error> {
    if watch {
        let (reply, watcher) = client.watch(request).await?;
        return Ok((reply, Some(watcher)));
    }
    Ok((client.call(request).await?, None))
}
