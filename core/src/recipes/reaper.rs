//! The reaper: deletes the ephemerals that nobody wants any more.

use crate::client::Client;
use crate::error::{Code, Error};
use crate::hub::Orphan;
use crate::path::{Path, PathBuf};
use crate::wire::{Delete, GetEphemerals, Pick, PickChildNames, Sync};

/// Deletes orphans for ever. Every transport's driver runs it beside its I/O.
///
/// # Cancel safety
/// An orphan whose deletion was cancelled is taken up again by the next reaper.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its argument twice"
)]
pub fn reap<C: Client>(client: C) -> impl Future<Output = ()> {
    async move {
        loop {
            let mut orphan = client.orphan().await;
            let done = clean(&client.pinned(orphan.epoch), &mut orphan).await;
            match done {
                // A new connection may go to a server that serves writes.
                Err(Error::Server(Code::NotReadOnly)) => {
                    let status = client.status();
                    if status.state.is_connected() {
                        client.changed(status).await;
                    }
                }
                Err(error) if is_passing(error) => {}
                // Whatever else the server says, it will say again; the node ends with its session.
                _ => client.reaped(&orphan),
            }
        }
    }
}

/// Whether the same may be answered otherwise the next time. Servers that are short of time take theirs
/// to say so, so that there is no need to pause.
fn is_passing(error: Error) -> bool {
    matches!(
        error,
        Error::ConnectionLost
            | Error::Server(Code::ThrottledOp | Code::SessionMoved | Code::RequestTimeout)
    )
}

async fn clean<C: Client>(client: &C, orphan: &mut Orphan<C::Path>) -> Result<(), Error> {
    if !orphan.known {
        match find(client, orphan.path.as_path()).await? {
            Some(path) => orphan.path = path,
            None => return Ok(()),
        }
    }
    let delete = Delete {
        path: orphan.path.as_path(),
        version: None,
    };
    match client.call(delete).await {
        Err(error) if !error.is_no_node() => Err(error),
        _ => Ok(()),
    }
}

/// The node whose path begins with `begin`, if its create has run.
///
/// The order of requests puts this behind the create. After a reconnection that does not help, but
/// then a create that has not run by the time of the sync never will: the servers refuse it, as the
/// session has moved.
pub(super) async fn find<C: Client, P: PathBuf>(
    client: &C,
    begin: Path<'_>,
) -> Result<Option<P>, Error> {
    let parent = begin.parent().unwrap_or(Path::ROOT);
    client.call(Sync { path: parent }).await?;
    let own = PickChildNames {
        path: parent,
        pick: Pick::First(begin.name()),
    };
    let names = match client.call(own).await {
        Err(error) if error.is_no_node() => return Ok(None),
        Err(Error::ReplyTooLarge { .. } | Error::Server(Code::NoAuth)) => {
            return find_alone(client, begin).await;
        }
        names => names?,
    };
    match names.iter().find(|name| name.starts_with(begin.name())) {
        Some(name) => child(parent, name).map(Some),
        None => Ok(None),
    }
}

/// The same by a reply that holds nothing else, for want of room, or of the right to see others.
/// Servers give it since 3.6.
async fn find_alone<C: Client, P: PathBuf>(
    client: &C,
    begin: Path<'_>,
) -> Result<Option<P>, Error> {
    let own = client.call(GetEphemerals { prefix: begin }).await?;
    let path = own.iter().next();
    path.map(|path| P::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong))
        .transpose()
}

/// The path of a child, by a name that a server gave.
pub(super) fn child<P: PathBuf>(parent: Path<'_>, name: &str) -> Result<P, Error> {
    parent.join(name).map_err(|_| Error::PathTooLong)
}
