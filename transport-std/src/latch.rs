//! A leader latch: a candidate that stands in the background.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use docent_core::client::Client as _;
use docent_core::handle::Handle;
use docent_core::path::{HeapPath, Path, PathBuf as _};
use docent_core::recipes::{Guard, Held, until};
use docent_core::session::Status;
use docent_core::wire::Op;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::ErrorKind;
use crate::shared::Link;
use crate::{Election, client::Client, error::Error};

/// Stands in an [`Election`] until it is [closed](Self::close) or dropped, as Curator's `LeaderLatch`
/// does: through leaderships, lost connections and sessions.
///
/// After a lost connection it keeps its place, and after a lost session it stands again, at the end.
/// Dropping it closes it in the background, and tells listeners.
#[derive(Debug)]
pub struct LeaderLatch {
    election: Arc<Election>,
    standing: watch::Receiver<Standing>,
    /// Without it the task ends, too.
    close: oneshot::Sender<CloseMode>,
    task: JoinHandle<Result<(), ErrorKind>>,
}

/// Whether listeners are told that a latch that leads is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// They are not: there is nothing more for them to hear.
    Silent,
    /// They hear first that it does not lead any more.
    NotifyLeader,
}

#[derive(Clone, Debug)]
enum Standing {
    Waiting,
    Leading(Tenure),
    Failed(ErrorKind),
}

/// One leadership.
#[derive(Clone, Debug)]
struct Tenure {
    path: HeapPath,
    czxid: i64,
    granted: Status,
}

impl Tenure {
    fn new(guard: &Guard<Handle<Link>>) -> Option<Self> {
        Some(Self {
            path: HeapPath::try_from_parts(&[guard.path().as_str()])?,
            czxid: guard.fencing_token(),
            granted: guard.held().granted(),
        })
    }

    fn is(&self, standing: &Standing) -> bool {
        matches!(standing, Standing::Leading(tenure) if tenure.granted == self.granted && tenure.czxid == self.czxid)
    }
}

impl Client {
    /// Stands in the election at `path` from now on, in which this client is known as `id`: see
    /// [its guide](crate::guide::leaders#a-latch).
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if `path` is not a valid path.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn leader_latch(&self, path: &str, id: impl Into<Vec<u8>>) -> Result<LeaderLatch, Error> {
        self.election(path, id).map(LeaderLatch::start)
    }
}

impl LeaderLatch {
    /// Stands in `election` from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(election: Election) -> Self {
        let election = Arc::new(election);
        let (told, standing) = watch::channel(Standing::Waiting);
        let (close, closed) = oneshot::channel();
        let task = tokio::spawn(stand(Arc::clone(&election), told, closed));
        Self {
            election,
            standing,
            close,
            task,
        }
    }

    /// The election: to see who leads, or to have it explained.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Whether it leads now, as far as this process can know without asking.
    pub fn has_leadership(&self) -> bool {
        self.leadership().is_some()
    }

    /// The leadership, if it leads now.
    pub fn leadership(&self) -> Option<Leadership> {
        let leadership = self.told();
        leadership.filter(Leadership::is_held)
    }

    fn told(&self) -> Option<Leadership> {
        match &*self.standing.borrow() {
            Standing::Leading(tenure) => Some(Leadership {
                client: self.election.client().pinned(tenure.granted.epoch),
                tenure: tenure.clone(),
                standing: self.standing.clone(),
            }),
            _ => None,
        }
    }

    /// Waits until it leads.
    ///
    /// # Errors
    /// As for [`Election::campaign`](docent_core::recipes::Election::campaign). The latch is then
    /// over.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn acquired(&self) -> Result<Leadership, ErrorKind> {
        let mut standing = self.standing.clone();
        loop {
            if let Standing::Failed(error) = *standing.borrow_and_update() {
                return Err(error);
            }
            if let Some(leadership) = self.leadership() {
                return Ok(leadership);
            }
            // The task only ends without a word when its runtime does.
            let ended = ErrorKind::NotSent(docent_core::session::End::Closed);
            standing.changed().await.map_err(|_| ended)?;
        }
    }

    /// Tells whenever it begins to lead, or ceases to.
    pub fn listen(&self) -> LatchListener {
        LatchListener {
            standing: self.standing.clone(),
            led: false,
        }
    }

    /// Gives the place, or the leadership, up, and waits until the servers agree.
    ///
    /// # Errors
    /// It is not acknowledged. It goes on in the background for as long as the session lives.
    ///
    /// # Cancel safety
    /// Cancelling it leaves the rest to the background.
    pub async fn close(self, mode: CloseMode) -> Result<(), ErrorKind> {
        let _: Result<(), CloseMode> = self.close.send(mode);
        // The task is gone if its runtime is, and then its node is as good as gone, too.
        self.task.await.unwrap_or(Ok(()))
    }
}

/// Stands until it is told not to.
async fn stand(
    election: Arc<Election>,
    told: watch::Sender<Standing>,
    mut closed: oneshot::Receiver<CloseMode>,
) -> Result<(), ErrorKind> {
    let mut candidate = election.candidate();
    let mode = loop {
        let changed = {
            let mut changed = pin!(candidate.changed());
            poll_fn(|cx| match Pin::new(&mut closed).poll(cx) {
                Poll::Ready(mode) => Poll::Ready(Err(mode)),
                Poll::Pending => changed.as_mut().poll(cx).map(Ok),
            })
            .await
        };
        let standing = match changed {
            Err(mode) => break mode.ok(),
            Ok(Ok(_)) => {
                let tenure = candidate.leadership().and_then(Tenure::new);
                tenure.map_or(Standing::Waiting, Standing::Leading)
            }
            Ok(Err(error)) => {
                told.send_replace(Standing::Failed(error));
                return candidate.resign().await;
            }
        };
        told.send_replace(standing);
    };
    // It leads no more before somebody else can.
    if mode != Some(CloseMode::Silent) {
        told.send_replace(Standing::Waiting);
    }
    drop(told);
    match mode {
        Some(_) => candidate.resign().await,
        // Nobody waits for it: the rest is done in the background.
        None => Ok(()),
    }
}

/// A leadership of a [`LeaderLatch`], which goes on holding it.
#[derive(Clone)]
pub struct Leadership {
    client: Handle<Link>,
    tenure: Tenure,
    standing: watch::Receiver<Standing>,
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, token) = (self.path(), self.fencing_token());
        write!(f, "Leadership({path}, fencing token {token:#x})")
    }
}

impl Leadership {
    fn held(&self) -> Held<'_, Handle<Link>> {
        let Tenure { czxid, granted, .. } = self.tenure;
        Held::new(&self.client, self.path(), czxid, granted)
    }

    /// The node of the leader.
    pub fn path(&self) -> Path<'_> {
        self.tenure.path.as_path()
    }

    /// A number that grows from leader to leader: see
    /// [`Guard::fencing_token`](docent_core::recipes::Guard::fencing_token).
    pub const fn fencing_token(&self) -> i64 {
        self.tenure.czxid
    }

    /// Whether the latch still leads as it did, as far as this process can know without asking. Once
    /// false it stays false.
    pub fn is_held(&self) -> bool {
        // Without its sender it tells the last word of a latch that is closed.
        let told = self.standing.has_changed().is_ok();
        told && self.tenure.is(&self.standing.borrow()) && self.held().is_held()
    }

    /// Until when nobody else can lead: see
    /// [`Guard::valid_until`](docent_core::recipes::Guard::valid_until).
    pub fn valid_until(&self) -> Option<Instant> {
        self.held().valid_until().filter(|_| self.is_held())
    }

    /// Waits until the latch leads no more, or may not: see
    /// [`Guard::lost`](docent_core::recipes::Guard::lost).
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn lost(&self) {
        until(self.resigned(), self.held().lost()).await;
    }

    async fn resigned(&self) {
        let mut standing = self.standing.clone();
        // It ends, too, when there is nobody left to tell.
        let _: Result<_, _> = standing.wait_for(|now| !self.tenure.is(now)).await;
    }

    /// Does `work` for as long as the latch leads: see
    /// [`Guard::run`](docent_core::recipes::Guard::run).
    ///
    /// # Cancel safety
    /// Cancelling it cancels `work`.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        until(self.lost(), work).await
    }

    /// A condition for a [`multi`](Client::multi): that the latch leads. Whatever is written together
    /// with it is written by the leader or not at all.
    pub fn check(&self) -> Op<'_> {
        self.held().check()
    }
}

/// Tells whenever a [`LeaderLatch`] begins to lead, or ceases to.
#[derive(Debug)]
pub struct LatchListener {
    standing: watch::Receiver<Standing>,
    led: bool,
}

impl LatchListener {
    /// Waits until the latch leads, if it did not when this was last told, or leads no more, if it
    /// did, and says which; `None` when it is closed or has failed.
    ///
    /// Each call looks at what is so now. A leadership that came and went between two looks, or that
    /// was lost and followed by another, is not told: the
    /// [fencing token](Leadership::fencing_token) or [`Leadership::lost`] shows that.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again, which is as if it had waited all the time.
    pub async fn changed(&mut self) -> Option<bool> {
        loop {
            let leads = match &*self.standing.borrow_and_update() {
                Standing::Waiting => false,
                Standing::Leading(_) => true,
                Standing::Failed(_) if self.led => false,
                Standing::Failed(_) => return None,
            };
            if leads != self.led {
                self.led = leads;
                return Some(leads);
            }
            self.standing.changed().await.ok()?;
        }
    }
}
