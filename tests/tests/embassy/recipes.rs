//! The table of what recipes take, in the documentation of docent-embassy: so much is enough, and less
//! is not.

use std::future::Future;
use std::pin::{Pin, pin};

use docent_core::error::Error;
use docent_core::recipes::cache::{Cache, Event, FixedStore, Held as _};
use docent_core::recipes::{Election, Guard, Lock, RwLock, Semaphore};
use docent_embassy::{Buffers, Client, Resources, Runner, Settings};

use super::world::{Pipes, World, polls};
use super::{create, path};

const DOCUMENTATION: &str = include_str!("../../../transport-embassy/src/lib.rs");

/// The path of each recipe. The data of nodes, and the ids of leaders, are as long.
const PATH: &str = "/plant";

type Board = Client<'static>;
type Done<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
type Scene = fn(Board, Board) -> Done<'static>;

/// What a recipe takes.
#[derive(Clone, Copy, Debug)]
struct Needs {
    watches: usize,
    claims: usize,
    /// Bytes for a reply, beside the path or the data.
    room: usize,
}

#[test]
fn recipes_take_what_is_documented() {
    let scenes: [(&str, Scene); 8] = [
        ("`Lock`", |one, other| Box::pin(lock(one, other))),
        ("`Election`", |one, other| Box::pin(election(one, other))),
        ("`RwLock`", |one, other| Box::pin(rw_lock(one, other))),
        ("`RwLock::downgrade`, `try_upgrade`", |one, _| {
            Box::pin(exchange(one))
        }),
        ("`Semaphore`", |one, other| Box::pin(semaphore(one, other))),
        ("`Semaphore` with shared permits", |one, other| {
            Box::pin(shared(one, other))
        }),
        ("`Observer`", |one, other| Box::pin(observer(one, other))),
        ("`Cache`", |one, other| Box::pin(cache(one, other))),
    ];
    for (name, scene) in scenes {
        let Needs {
            watches,
            claims,
            room,
        } = documented(name);
        let needs = Needs {
            watches,
            claims: claims.max(1),
            room: room + PATH.len(),
        };
        assert_eq!(play(needs, scene), Ok(()), "{name} with {needs:?}");
        let less_room = needs.room - 1;
        let mut less = vec![Needs {
            room: less_room,
            ..needs
        }];
        less.extend(
            watches
                .checked_sub(1)
                .map(|watches| Needs { watches, ..needs }),
        );
        less.extend((claims > 1).then_some(Needs { claims: 1, ..needs }));
        for less in less {
            assert!(play(less, scene).is_err(), "{name} with {less:?}");
        }
    }
}

/// What the columns say.
fn documented(name: &str) -> Needs {
    let rows = DOCUMENTATION
        .lines()
        .skip_while(|line| !line.contains("# What recipes take"));
    let mut rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let row = rows.find(|cells| cells.get(1) == Some(&name));
    let row = row.unwrap_or_else(|| panic!("no row for {name}"));
    let number = |column: usize| row[column].split(' ').next().unwrap().parse().unwrap();
    Needs {
        watches: number(3),
        claims: number(4),
        room: number(5),
    }
}

/// Plays a scene between a board that has just this and one that has plenty.
fn play(needs: Needs, scene: Scene) -> Result<(), Error> {
    let world = World::new();
    let (one, runner) = match (needs.claims, needs.watches) {
        (1, 0) => board::<1, 0>(&world, needs.room),
        (1, 1) => board::<1, 1>(&world, needs.room),
        (1, 2) => board::<1, 2>(&world, needs.room),
        (1, 3) => board::<1, 3>(&world, needs.room),
        (2, 0) => board::<2, 0>(&world, needs.room),
        (2, 1) => board::<2, 1>(&world, needs.room),
        (2, 2) => board::<2, 2>(&world, needs.room),
        (2, 3) => board::<2, 3>(&world, needs.room),
        _ => panic!("no recipe needs {needs:?}"),
    };
    let (other, another) = world.board::<8>();
    world.run([runner, another], scene(one, other))
}

fn board<const CLAIMS: usize, const WATCHES: usize>(
    world: &World,
    body: usize,
) -> (Board, Runner<'static, Pipes>) {
    let room = |size| Vec::leak(vec![0; size]);
    let buffers = Buffers {
        rx: room(1024),
        tx: [room(512), room(512)],
        bodies: room(CLAIMS * body),
    };
    let resources = Box::leak(Box::new(Resources::<CLAIMS, WATCHES>::new()));
    let made = docent_embassy::new(
        Pipes::new(world),
        Settings::new("m0"),
        resources,
        buffers,
        7,
    );
    made.expect("good settings")
}

/// Waits for what another has until it gives that back.
async fn wait_for<T>(
    waiting: impl Future<Output = Result<T, Error>>,
    held: Guard<Board>,
) -> Result<T, Error> {
    let mut waiting = pin!(waiting);
    if let Some(ended) = polls(waiting.as_mut(), 30).await {
        return ended;
    }
    held.release().await?;
    waiting.await
}

async fn lock(one: Board, other: Board) -> Result<(), Error> {
    let held = Lock::new(other, path(PATH))?.acquire().await?;
    let lock = Lock::new(one, path(PATH))?;
    wait_for(lock.acquire(), held).await.map(drop)
}

async fn election(one: Board, other: Board) -> Result<(), Error> {
    let held = Election::new(other, path(PATH))?.campaign().await?;
    let election = Election::new(one, path(PATH))?;
    wait_for(election.campaign(), held).await.map(drop)
}

async fn rw_lock(one: Board, other: Board) -> Result<(), Error> {
    let writer =
        Lock::new(other, path(PATH))?.with_names(docent_core::recipes::RwNames::CURATOR.write);
    let held = writer.acquire().await?;
    let lock = RwLock::new(one, path(PATH))?;
    wait_for(lock.write(), held).await.map(drop)
}

async fn exchange(one: Board) -> Result<(), Error> {
    let lock = RwLock::new(one, path(PATH))?;
    let writer = lock.write().await?;
    let reader = lock.downgrade(writer).await.map_err(|kept| kept.error)?;
    let writer = lock.try_upgrade(reader).await;
    writer.map_err(|kept| kept.error)?.release().await
}

async fn semaphore(one: Board, other: Board) -> Result<(), Error> {
    let held = Semaphore::new(other, path(PATH), 1)?.acquire().await?;
    let semaphore = Semaphore::new(one, path(PATH), 1)?;
    wait_for(semaphore.acquire(), held).await.map(drop)
}

async fn shared(one: Board, other: Board) -> Result<(), Error> {
    create(other, "/permits", &1_i32.to_be_bytes()).await?;
    let held = Semaphore::new(other, path(PATH), 1)?.acquire().await?;
    let semaphore = Semaphore::new(one, path(PATH), 0)?.with_shared_permits(path("/permits"))?;
    wait_for(semaphore.acquire(), held).await.map(drop)
}

async fn observer(one: Board, other: Board) -> Result<(), Error> {
    let election = Election::new(one, path(PATH))?;
    let mut observer = election.observe();
    assert!(observer.next().await?.is_none());
    let stands = Election::new(other, path(PATH))?.with_id(PATH);
    let _leads = stands.campaign().await?;
    observer.next().await.map(drop)
}

async fn cache(one: Board, other: Board) -> Result<(), Error> {
    create(other, PATH, PATH.as_bytes()).await?;
    let store = FixedStore::<1, { PATH.len() }, { PATH.len() }>::new();
    let mut cache = Cache::node(one, path(PATH), store)?;
    while !matches!(cache.next().await?, Event::Ready { .. }) {}
    let node = cache.store().get(PATH).and_then(|node| node.data());
    node.map(drop).ok_or(Error::ReplyTooLarge { size: 0 })
}
