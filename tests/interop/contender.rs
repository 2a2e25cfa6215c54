//! Contends by Docent's recipes, as `contest.py` says.

use std::env;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use docent::core::wire::{Create, Delete, GetChildren, GetData, Idempotent, SetData};
use docent::{
    Acl, Backoff, Client, Code, CreateMode, Election, End, ErrorKind, Guard, Lock, Names, Op, Path,
    RwLock, RwNames, Semaphore,
};

/// Curator's names, and an eye on kazoo's.
const MIXED: Names = Names {
    own: "lock-",
    ahead: "lock-/__lock__",
};

/// Back at once, so that there is much to judge.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    cap: Duration::from_millis(500),
    ..Backoff::DEFAULT
};

/// How many a semaphore lets in.
const PERMITS: u32 = 2;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What the arguments say.
struct Task {
    servers: String,
    recipe: String,
    path: String,
    judge: String,
    name: String,
    sections: u32,
    session: Duration,
    /// What to do inside the last section.
    last: Last,
}

/// The last section.
#[derive(PartialEq)]
enum Last {
    /// One like the others.
    Usual,
    /// To stay inside until killed.
    Stay,
    /// To stay inside until the lock is lost, as the process is frozen, and to try to write all the
    /// same.
    Freeze,
}

impl Last {
    fn parse(argument: Option<&str>) -> Option<Self> {
        match argument {
            None => Some(Self::Usual),
            Some("stay") => Some(Self::Stay),
            Some("freeze") => Some(Self::Freeze),
            Some(_) => None,
        }
    }
}

impl Task {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        Some(Self {
            servers: arguments.next()?,
            recipe: arguments.next()?,
            path: arguments.next()?,
            judge: arguments.next()?,
            name: arguments.next()?,
            sections: arguments.next()?.parse().ok()?,
            session: Duration::from_millis(arguments.next()?.parse().ok()?),
            last: Last::parse(arguments.next().as_deref())?,
        })
    }

    /// Whether nobody else may be inside the section.
    fn is_alone(&self, section: u32) -> bool {
        match &*self.recipe {
            "semaphore" => false,
            recipe => !recipe.ends_with("read-write") || section.is_multiple_of(2),
        }
    }
}

/// How others are kept out.
enum Recipe {
    Lock(Lock),
    ReadWrite(RwLock),
    Leader(Election),
    Semaphore(Semaphore),
}

impl Recipe {
    fn new(client: &Client, task: &Task) -> Result<Self> {
        let (recipe, path) = (&*task.recipe, &*task.path);
        Ok(match recipe {
            "lock" => Self::Lock(client.lock(path)?),
            "read-write" => Self::ReadWrite(client.rw_lock(path)?),
            "leader" => Self::Leader(client.election(path, task.name.clone())?),
            "semaphore" => Self::Semaphore(client.semaphore(path, PERMITS)?),
            "kazoo-lock" => Self::Lock(client.lock(path)?.with_names(Names::KAZOO)),
            "kazoo-read-write" => Self::ReadWrite(client.rw_lock(path)?.with_names(RwNames::KAZOO)),
            "mixed-lock" => Self::Lock(client.lock(path)?.with_names(MIXED)),
            other => return Err(format!("no recipe {other}").into()),
        })
    }

    /// Waits until nobody else is inside, or only readers, and gives that back after the section.
    async fn enter(
        &self,
        alone: bool,
        section: impl AsyncFnOnce(&Guard) -> Result<Fate>,
    ) -> Result<Fate> {
        let (fate, released) = match self {
            Self::Lock(lock) => {
                let guard = lock.acquire().await?;
                (section(&guard).await?, guard.release().await)
            }
            Self::ReadWrite(lock) if alone => {
                let guard = lock.write().await?;
                (section(&guard).await?, guard.release().await)
            }
            Self::ReadWrite(lock) => {
                let guard = lock.read().await?;
                (section(&guard).await?, guard.release().await)
            }
            Self::Leader(election) => {
                let guard = election.campaign().await?;
                (section(&guard).await?, guard.release().await)
            }
            Self::Semaphore(semaphore) => {
                let guard = semaphore.acquire().await?;
                (section(&guard).await?, guard.release().await)
            }
        };
        match released {
            // It goes on in the background.
            Err(error) if error.may_have_run() => Ok(fate),
            released => Ok(released.map(|()| fate)?),
        }
    }
}

/// What became of a change that only a holder may make.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Made,
    /// The lock was lost before.
    Refused,
    /// The lock was lost, before or after.
    Unknown,
}

/// A section that has been entered.
struct Section {
    node: String,
    alone: bool,
    /// What had been counted when it was.
    count: u32,
}

/// Whether a request was not served because its session had ended.
fn is_expired(error: ErrorKind) -> bool {
    let expired = [
        ErrorKind::NotSent(End::Expired),
        ErrorKind::Server(Code::SessionExpired),
    ];
    expired.contains(&error)
}

/// Sees to it that nobody is inside who must not be.
struct Judge {
    client: Client,
    counter: String,
    inside: String,
    name: String,
    /// How many may be inside with this one if it is not alone.
    room: usize,
}

impl Judge {
    fn new(client: Client, task: &Task) -> Self {
        Self {
            client,
            counter: format!("{}/counter", task.judge),
            inside: format!("{}/inside", task.judge),
            name: task.name.clone(),
            room: match &*task.recipe {
                "semaphore" => PERMITS as usize - 1,
                _ => usize::MAX,
            },
        }
    }

    /// Reads, in the next session if need be.
    async fn read<R: Idempotent + Copy>(&self, request: R) -> Result<R::Response<Bytes>> {
        loop {
            match self.client.retry(request).await {
                Err(error) if is_expired(error) => {}
                reply => return Ok(reply?),
            }
        }
    }

    /// Makes changes if the lock is held. The first can be made once only: `made` is how servers
    /// refuse it after that. So all of them can be sent again until they are answered.
    async fn change(&self, guard: &Guard, changes: &[Op<'_>], made: Code) -> Result<Fate> {
        let ops = [&[guard.check()], changes].concat();
        let mut open = false;
        loop {
            let reply = match self.client.multi(&ops).await {
                Err(error) if error.may_have_run() => {
                    open = true;
                    continue;
                }
                Err(error) if is_expired(error.kind()) => continue,
                reply => reply?,
            };
            return match reply.outcome() {
                Ok(_) => Ok(Fate::Made),
                Err(it) if (it.index, it.code) == (0, Code::NoNode) && open => Ok(Fate::Unknown),
                Err(it) if (it.index, it.code) == (0, Code::NoNode) => Ok(Fate::Refused),
                Err(it) if (it.index, it.code) == (1, made) && open => Ok(Fate::Made),
                Err(it) => Err(it.into()),
            };
        }
    }

    async fn count(&self) -> Result<u32> {
        let path = Path::new(&self.counter)?;
        let counter = self.read(GetData { path }).await?;
        Ok(str::from_utf8(counter.data())?.parse()?)
    }

    /// Nothing if the lock has been lost.
    async fn enter(&self, alone: bool, guard: &Guard) -> Result<Option<Section>> {
        let kind = if alone { "alone" } else { "shared" };
        let own = format!("{kind}-{}-{:x}", self.name, guard.fencing_token());
        let node = format!("{}/{own}", self.inside);
        // Both nodes are there, or neither is: they end with one session, or this one before.
        let create = Create {
            path: Path::new(&node)?,
            data: b"",
            mode: CreateMode::Ephemeral,
            acl: Acl::OPEN,
        };
        let changes = [Op::Create(create)];
        if self.change(guard, &changes, Code::NodeExists).await? != Fate::Made {
            return Ok(None);
        }
        let path = Path::new(&self.inside)?;
        let inside = self.read(GetChildren { path }).await?;
        let others: Vec<_> = inside.iter().filter(|other| *other != own).collect();
        if others.len() == inside.len() {
            return Ok(None);
        }
        let room = if alone { 0 } else { self.room };
        if others.len() > room || others.iter().any(|other| other.starts_with("alone-")) {
            return Err(format!("{own} is inside with {others:?}").into());
        }
        let count = self.count().await?;
        Ok(Some(Section { node, alone, count }))
    }

    async fn leave(&self, section: &Section, guard: &Guard) -> Result<Fate> {
        let count = self.count().await?;
        let next = (section.count + 1).to_string();
        let delete = Op::Delete(Delete {
            path: Path::new(&section.node)?,
            version: None,
        });
        let write = Op::SetData(SetData {
            path: Path::new(&self.counter)?,
            data: next.as_bytes(),
            version: None,
        });
        let changes = if section.alone {
            &[delete, write][..]
        } else {
            &[delete]
        };
        let fate = self.change(guard, changes, Code::NoNode).await?;
        // Whoever may leave has been inside all the time.
        if fate == Fate::Made && count != section.count {
            return Err(format!("another has written while {} was inside", self.name).into());
        }
        Ok(fate)
    }
}

/// Stays inside until the lock is lost, and returns when its lease ended.
async fn stay(guard: &Guard, mut lease: Instant) -> Instant {
    let watch = async {
        loop {
            lease = guard.valid_until().unwrap_or(lease);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // It begins again only when there is no more work to be done.
    let _: Option<()> = guard.run(watch).await;
    lease
}

/// Waits for a line, and returns whether there has been another since, or an end of them.
fn wait_for_a_line() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    io::stdin().read_line(&mut String::new())?;
    let told = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let task =
        Task::parse(env::args().skip(1)).ok_or("contest.py starts this with its arguments")?;
    let client = docent::builder(&task.servers)
        .session_timeout(task.session)
        .backoff(BACKOFF)
        .connect()
        .await?;
    let recipe = Recipe::new(&client, &task)?;
    let judge = Judge::new(client.clone(), &task);
    println!("ready");
    let stop = wait_for_a_line()?;

    let (mut section, mut writes, mut longest) = (1, 0, Duration::ZERO);
    while section <= task.sections && !stop.load(Ordering::Relaxed) {
        let alone = task.is_alone(section);
        let stays = section == task.sections && task.last != Last::Usual;
        let mut stayed = false;
        let asked = Instant::now();
        let inside = async |guard: &Guard| {
            longest = longest.max(asked.elapsed());
            let Some(entered) = judge.enter(alone, guard).await? else {
                return Ok(Fate::Refused);
            };
            if stays && let Some(lease) = guard.valid_until() {
                stayed = true;
                println!("stays {writes}");
                let ago = stay(guard, lease).await.elapsed().as_millis();
                let knows = !guard.is_held();
                let fate = judge.leave(&entered, guard).await?;
                println!("lost {knows} {} {ago}", fate != Fate::Made);
                return Ok(fate);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            judge.leave(&entered, guard).await
        };
        let fate = recipe.enter(alone, inside).await?;
        match fate {
            Fate::Made => writes += u32::from(alone),
            Fate::Refused => println!("refused"),
            Fate::Unknown => println!("unknown {}", u32::from(alone)),
        }
        section += u32::from(if stays { stayed } else { fate == Fate::Made });
    }
    println!("done {writes} {}", longest.as_millis());
    client.close().await;
    Ok(())
}
