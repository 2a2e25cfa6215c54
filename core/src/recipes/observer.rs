//! Who leads, for those who do not stand.

use core::fmt;

use crate::client::{Client, Watcher as _};
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf as _};
use crate::recipes::names::Names;
use crate::recipes::reaper::child;
use crate::wire::{Data, Exists, GetData, Pick, PickChildNames};

/// Who leads in an election.
pub struct Leader<C: Client> {
    path: C::Path,
    data: Data<C::Body>,
}

impl<C: Client> fmt::Debug for Leader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leader({}, {:#x})", self.path(), self.fencing_token())
    }
}

impl<C: Client> Leader<C> {
    /// Its node.
    pub fn path(&self) -> Path<'_> {
        self.path.as_path()
    }

    /// What it wrote there, to say who it is.
    pub fn id(&self) -> &[u8] {
        self.data.data()
    }

    /// The transaction that created its node, by which it [fences](crate::recipes::Guard::fencing_token)
    /// what it does.
    pub fn fencing_token(&self) -> i64 {
        self.data.stat().czxid
    }

    /// The id of its session.
    pub fn session(&self) -> i64 {
        self.data.stat().ephemeral_owner
    }
}

/// Follows who leads, as the servers know it: a leader whose session has not ended yet, although it
/// has stepped down for want of a connection, is still said to lead.
///
/// All observers watch the leader's node, and no other.
pub struct Observer<C: Client> {
    client: C,
    path: C::Path,
    names: Names,
    /// The token of the leader that was told of; `None` within if there was none.
    told: Option<Option<i64>>,
    watcher: Option<C::Watcher>,
}

impl<C: Client> fmt::Debug for Observer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", self.path.as_path())
    }
}

impl<C: Client> Observer<C> {
    pub(super) const fn new(client: C, path: C::Path, names: Names) -> Self {
        Self {
            client,
            path,
            names,
            told: None,
            watcher: None,
        }
    }

    /// The leader there is now, and later each next one; `None` when nobody leads. Those that came and
    /// went unseen are left out.
    ///
    /// The [`Leader`] takes the room of a reply: on a board it should be dropped soon.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the client is over; what the server says otherwise, such as
    /// [`Code::NoAuth`]. It can be called again.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn next(&mut self) -> Result<Option<Leader<C>>, Error> {
        loop {
            if let Some(watcher) = &mut self.watcher {
                watcher.next().await;
                self.watcher = None;
            }
            let leader = self.look().await?;
            let token = leader.as_ref().map(Leader::fencing_token);
            if self.told != Some(token) {
                self.told = Some(token);
                return Ok(leader);
            }
        }
    }

    /// Looks who leads, and leaves a watch.
    async fn look(&mut self) -> Result<Option<Leader<C>>, Error> {
        loop {
            let pick = self.candidates();
            let front = match self.client.retry(pick).await {
                Err(error) if error.is_no_node() => None,
                names => self.front(names?.iter(), pick.pick)?,
            };
            if let Some(path) = front {
                match self.leader(path).await {
                    Err(Error::ConnectionLost | Error::Server(Code::NoNode)) => {}
                    leader => return leader.map(Some),
                }
            } else if self.is_empty().await? {
                return Ok(None);
            }
        }
    }

    fn candidates(&self) -> PickChildNames<'_> {
        PickChildNames {
            path: self.path.as_path(),
            pick: Pick::Front(self.names.ahead),
        }
    }

    fn front<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        pick: Pick<'_>,
    ) -> Result<Option<C::Path>, Error> {
        let front = pick.best(names);
        front
            .map(|name| child(self.path.as_path(), name))
            .transpose()
    }

    async fn leader(&mut self, path: C::Path) -> Result<Leader<C>, Error> {
        let node = GetData {
            path: path.as_path(),
        };
        let (data, watcher) = self.client.watch(node).await?;
        self.watcher = Some(watcher);
        Ok(Leader { path, data })
    }

    /// Whether there is still nobody, now that it is watched.
    async fn is_empty(&mut self) -> Result<bool, Error> {
        let pick = self.candidates();
        let (empty, watcher) = match self.client.watch(pick).await {
            Ok((names, watcher)) => (pick.pick.best(names.iter()).is_none(), watcher),
            Err(Error::ConnectionLost) => return Ok(false),
            Err(error) if error.is_no_node() => {
                let path = self.path.as_path();
                match self.client.watch_absent(Exists { path }).await {
                    Ok((stat, watcher)) => (stat.is_none(), watcher),
                    Err(Error::ConnectionLost) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        if empty {
            self.watcher = Some(watcher);
        }
        Ok(empty)
    }
}
