//! Creation of the nodes above a node.

use crate::client::Client;
use crate::error::{Code, Error};
use crate::path::Path;
use crate::wire::{Acl, Create, CreateMode};

/// How often others may delete a level while it is being made.
const PATIENCE: usize = 16;

/// Creates `path` and what is missing above it, as nodes of `mode` without data.
///
/// Only what is missing is touched, from the lowest level up, as the levels above may be closed to
/// this client. Servers delete containers that have been emptied, at any moment; a level that
/// vanishes is made again.
///
/// # Errors
/// What the server says to a create, other than that the node exists; [`Code::NoNode`] if the node
/// of the chroot does not exist, or others keep deleting what this creates.
///
/// # Cancel safety
/// What was created stays.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice"
)]
pub fn create_parents<C: Client>(
    client: &C,
    path: Path<'_>,
    mode: CreateMode,
    acl: &[Acl<'_>],
) -> impl Future<Output = Result<(), Error>> {
    async move {
        let levels = path.ancestors().count();
        let mut tries = 2 * levels + PATIENCE;
        let mut level = 0;
        while let Some(path) = path.ancestors().nth(level) {
            if path.is_root() {
                // Only the root of a chroot can be missing, and a client cannot see above it.
                let asked_for = level == 0;
                return asked_for.then_some(()).ok_or(Error::Server(Code::NoNode));
            }
            let create = Create {
                path,
                data: &[],
                mode,
                acl,
            };
            match client.call(create).await {
                Ok(_) | Err(Error::Server(Code::NodeExists)) if level == 0 => return Ok(()),
                Ok(_) | Err(Error::Server(Code::NodeExists)) => level -= 1,
                Err(Error::Server(Code::NoNode)) if tries > 0 => level += 1,
                // Whether it exists by this create or another's makes no difference.
                Err(Error::ConnectionLost) => {}
                Err(error) => return Err(error),
            }
            tries = tries.saturating_sub(1);
        }
        Ok(())
    }
}
