//! Membership: as long as the board is there, so is a node.

use docent_embassy::Client;
use docent_embassy::core::client::Client as _;
use docent_embassy::core::error::{Code, Error};
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::create_parents;
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Acl, Create, CreateMode, Delete, Exists};
use embassy_time::Timer;

/// Keeps the node there, in one session after the other, until the client is over.
///
/// # Panics
/// If `parent` is no path, or `node` is none below it.
#[embassy_executor::task]
pub(crate) async fn keep(client: Client<'static>, parent: &'static str, node: &'static str) {
    let (parent, node) = (Path::new(parent), Path::new(node));
    let (parent, node) = (parent.expect("a path"), node.expect("a path"));
    loop {
        match join(client, parent, node).await {
            // There will be another session.
            Ok(()) | Err(Error::NotSent(End::Expired)) => {}
            Err(Error::NotSent(_)) => return,
            Err(error) => {
                log::warn!("cannot be a member: {error}");
                Timer::after_secs(1).await;
            }
        }
    }
}

/// Is a member until the session is over.
async fn join(client: Client<'static>, parent: Path<'_>, node: Path<'_>) -> Result<(), Error> {
    // Whatever this handle does it does in the session that there is now.
    let (pinned, session, mut status) = client.session().await?;
    let create = Create {
        path: node,
        data: &[],
        mode: CreateMode::Ephemeral,
        acl: Acl::OPEN,
    };
    while let Err(error) = pinned.call(create).await.map(drop) {
        match error {
            Error::Server(Code::NoNode) => {
                create_parents(&pinned, parent, CreateMode::Persistent, Acl::OPEN).await?;
            }
            // By a request whose answer was lost, or in the session before the board was reset.
            Error::Server(Code::NodeExists) => match owner(pinned, node).await? {
                Some(owner) if owner == session => break,
                Some(_) => delete(pinned, node).await?,
                None => {}
            },
            Error::ConnectionLost => {}
            error => return Err(error),
        }
    }
    log::info!("a member, in session {session:#x}");
    let epoch = status.epoch;
    while status.epoch == epoch && status.state.end().is_none() {
        status = client.changed(status).await;
    }
    Ok(())
}

/// The session that a node belongs to, if it exists.
async fn owner(client: Client<'static>, node: Path<'_>) -> Result<Option<i64>, Error> {
    match client.retry(Exists { path: node }).await {
        Ok(stat) => Ok(Some(stat.ephemeral_owner)),
        Err(error) if error.is_no_node() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn delete(client: Client<'static>, node: Path<'_>) -> Result<(), Error> {
    let version = None;
    match client
        .call(Delete {
            path: node,
            version,
        })
        .await
    {
        Err(error) if !error.is_no_node() && error != Error::ConnectionLost => Err(error),
        _ => Ok(()),
    }
}
