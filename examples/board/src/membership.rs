//! Membership: as long as the board is there, so is a node.

use docent_embassy::Client;
use docent_embassy::core::client::Client as _;
use docent_embassy::core::error::{Code, Error};
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::create_parents;
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Acl, Create, CreateMode, Delete, Exists};
use embassy_time::Timer;

/// The node, and the one above it.
const NODE: &str = "/board/members/board";
const PARENT: &str = "/board/members";

/// Keeps the node there, in one session after the other, until the client is over.
#[embassy_executor::task]
pub(crate) async fn keep(client: Client<'static>) {
    loop {
        match join(&client).await {
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
async fn join(client: &Client<'static>) -> Result<(), Error> {
    // Whatever this handle does it does in the session that there is now.
    let (pinned, session, mut status) = client.session().await?;
    create(&pinned, session).await?;
    log::info!("a member, in session {session:#x}");
    let epoch = status.epoch;
    while status.epoch == epoch && status.state.end().is_none() {
        status = client.changed(status).await;
    }
    Ok(())
}

/// Creates the node, unless this session has it.
async fn create(client: &Client<'static>, session: i64) -> Result<(), Error> {
    loop {
        let create = Create {
            path: Path::new(NODE)?,
            data: &[],
            mode: CreateMode::Ephemeral,
            acl: Acl::OPEN,
        };
        match client.call(create).await.map(drop) {
            Ok(()) => return Ok(()),
            Err(Error::Server(Code::NoNode)) => {
                let parent = Path::new(PARENT)?;
                create_parents(client, parent, CreateMode::Persistent, Acl::OPEN).await?;
            }
            // By a request whose answer was lost, or in the session before the board was reset.
            Err(Error::Server(Code::NodeExists)) => match owner(client).await? {
                Some(owner) if owner == session => return Ok(()),
                Some(_) => delete(client).await?,
                None => {}
            },
            Err(Error::ConnectionLost) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The session that a node belongs to, if it exists.
async fn owner(client: &Client<'static>) -> Result<Option<i64>, Error> {
    let path = Path::new(NODE)?;
    match client.retry(Exists { path }).await {
        Ok(stat) => Ok(Some(stat.ephemeral_owner)),
        Err(error) if error.is_no_node() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn delete(client: &Client<'static>) -> Result<(), Error> {
    let delete = Delete {
        path: Path::new(NODE)?,
        version: None,
    };
    match client.call(delete).await {
        Err(error) if !error.is_no_node() && error != Error::ConnectionLost => Err(error),
        _ => Ok(()),
    }
}
