//! Reading many nodes by one request.

use alloc::vec::Vec;

use crate::client::Client;
use crate::error::{Code, Error};
use crate::path::{HeapPath, Path, PathBuf};
use crate::recipes::cache::read::{OneByOne, Reader};
use crate::recipes::cache::reconcile::{Found, View};
use crate::recipes::cache::{Ask, Select, Store};
use crate::wire::{MultiRead, ReadOp, ReadResult};

/// Reads up to 256 nodes by one request, and only one request at a time, so that many clients that
/// come back at once do not overwhelm a server. Where the request or its reply is too large, and with
/// servers before 3.6, it reads fewer, down to one.
#[derive(Clone, Copy, Debug)]
pub struct Bundles {
    width: usize,
    most: usize,
}

const MOST: usize = 256;
/// The server answered something else than it was asked.
const NO_ANSWER: Error = Error::Server(Code::DataInconsistency);

impl Default for Bundles {
    fn default() -> Self {
        Self {
            width: MOST,
            most: MOST,
        }
    }
}

impl Reader for Bundles {
    async fn read<C, S, F>(&mut self, client: &C, mut view: View<'_, S, F>) -> Result<(), Error>
    where
        C: Client,
        S: Store,
        F: Fn(Path<'_>) -> Select,
    {
        let mut asked = Vec::new();
        view.store.asked(self.width, |path, ask| {
            asked.extend(HeapPath::try_from_parts(&[path.as_str()]).map(|path| (path, ask)));
        });
        if asked.len() < 2 {
            self.widen();
            return OneByOne.read(client, view).await;
        }
        let ops: Vec<_> = asked
            .iter()
            .map(|(path, ask)| match ask {
                Ask::Node => ReadOp::GetData(path.as_path()),
                Ask::Children => ReadOp::GetChildren(path.as_path()),
            })
            .collect();
        let reply = match client.call(MultiRead { ops: &ops }).await {
            Err(Error::TooLarge { .. } | Error::ReplyTooLarge { .. }) => {
                self.width = asked.len().min(self.width) / 2;
                return Ok(());
            }
            Err(Error::Server(Code::Unimplemented)) => {
                (self.width, self.most) = (1, 1);
                return Ok(());
            }
            reply => reply?,
        };
        if reply.len() != asked.len() {
            return Err(NO_ANSWER);
        }
        self.widen();
        // One that fails does not keep the others.
        let mut done = Ok(());
        for ((path, ask), result) in asked.iter().zip(reply.iter()) {
            let applied = apply(&mut view, path.as_path(), *ask, result);
            done = done.and(applied);
        }
        done
    }
}

impl Bundles {
    fn widen(&mut self) {
        self.width = (self.width * 2).clamp(1, self.most);
    }
}

fn apply<S, F>(
    view: &mut View<'_, S, F>,
    path: Path<'_>,
    ask: Ask,
    result: Result<ReadResult<'_>, Code>,
) -> Result<(), Error>
where
    S: Store,
    F: Fn(Path<'_>) -> Select,
{
    let found = match (ask, result) {
        (Ask::Node, Ok(ReadResult::Data { data, stat })) => Found::Node(stat, Some(data)),
        (Ask::Children, Ok(ReadResult::Children(names))) => Found::Names(names),
        (_, Err(Code::NoNode)) => Found::Absent,
        (_, Err(Code::NoAuth)) => Found::Denied,
        (_, Err(code)) => return Err(Error::Server(code)),
        (_, Ok(_)) => return Err(NO_ANSWER),
    };
    view.found(path, found);
    Ok(())
}
