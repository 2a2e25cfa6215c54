//! Contends by Docent's recipes, as `check.py` says.

use std::env;
use std::error::Error;
use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use docent::core::wire::SetData;
use docent::{
    Client, CreateMode, Election, Guard, Lock, Names, Op, Path, RwLock, RwNames, Semaphore,
};

/// Curator's names, and an eye on kazoo's.
const MIXED: Names = Names {
    own: "lock-",
    ahead: "lock-/__lock__",
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
    async fn enter(&self, alone: bool, section: impl AsyncFnOnce(&Guard) -> Result) -> Result {
        match self {
            Self::Lock(lock) => {
                let guard = lock.acquire().await?;
                section(&guard).await?;
                guard.release().await?;
            }
            Self::ReadWrite(lock) if alone => {
                let guard = lock.write().await?;
                section(&guard).await?;
                guard.release().await?;
            }
            Self::ReadWrite(lock) => {
                let guard = lock.read().await?;
                section(&guard).await?;
                guard.release().await?;
            }
            Self::Leader(election) => {
                let guard = election.campaign().await?;
                section(&guard).await?;
                guard.release().await?;
            }
            Self::Semaphore(semaphore) => {
                let guard = semaphore.acquire().await?;
                section(&guard).await?;
                guard.release().await?;
            }
        }
        Ok(())
    }
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

    fn own(&self, alone: bool) -> String {
        let kind = if alone { "alone" } else { "shared" };
        format!("{kind}-{}", self.name)
    }

    async fn count(&self) -> Result<u32> {
        let counter = self.client.get(&self.counter).await?;
        Ok(str::from_utf8(counter.data())?.parse()?)
    }

    async fn enter(&self, alone: bool) -> Result<u32> {
        let own = self.own(alone);
        let node = format!("{}/{own}", self.inside);
        self.client
            .create(&node, b"", CreateMode::Ephemeral)
            .await?;
        let inside = self.client.children(&self.inside).await?;
        let others: Vec<_> = inside.iter().filter(|other| *other != own).collect();
        let room = if alone { 0 } else { self.room };
        if others.len() > room || others.iter().any(|other| other.starts_with("alone-")) {
            return Err(format!("{own} is inside with {others:?}").into());
        }
        self.count().await
    }

    async fn leave(&self, alone: bool, count: u32, guard: &Guard) -> Result {
        if alone {
            let next = (count + 1).to_string();
            let write = SetData {
                path: Path::new(&self.counter)?,
                data: next.as_bytes(),
                version: None,
            };
            let ops = [guard.check(), Op::SetData(write)];
            self.client.multi(&ops).await?.outcome()?;
        } else if self.count().await? != count {
            return Err(format!("a writer has written while {} was reading", self.name).into());
        }
        let node = format!("{}/{}", self.inside, self.own(alone));
        Ok(self.client.delete(&node, None).await?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let task = Task::parse(env::args().skip(1)).ok_or("check.py starts this with its arguments")?;
    let builder = docent::builder(&task.servers).session_timeout(task.session);
    let client = builder.connect().await?;
    let recipe = Recipe::new(&client, &task)?;
    let judge = Judge::new(client.clone(), &task);
    println!("ready");
    io::stdin().read_line(&mut String::new())?;

    let (mut writes, mut longest) = (0, Duration::ZERO);
    for section in 1..=task.sections {
        let alone = task.is_alone(section);
        let asked = Instant::now();
        let inside = async |guard: &Guard| {
            longest = longest.max(asked.elapsed());
            let count = judge.enter(alone).await?;
            if section == task.sections && task.last != Last::Usual {
                println!("stays {writes}");
                // It begins again only when there is no more work to be done.
                let done = guard.run(pending::<()>()).await;
                let refused = judge.leave(alone, count, guard).await.is_err();
                println!("lost {}", done.is_none() && !guard.is_held() && refused);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            judge.leave(alone, count, guard).await
        };
        recipe.enter(alone, inside).await?;
        if section < task.sections || task.last == Last::Usual {
            writes += u32::from(alone);
        }
    }
    println!("done {writes} {}", longest.as_millis());
    client.close().await;
    Ok(())
}
