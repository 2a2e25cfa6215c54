//! The client and three real servers, of which some die, freeze, restart or forget.

mod suite;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docent::cache::{Event, Events, Node};
use docent::core::wire::{GetData, SetData, Sync};
use docent::{
    Change, Client, Code, CreateMode, End, ErrorKind, EventKind, Guard, Lock, Lost, Op, Path, Stat,
    State, Watcher,
};
use docent_testing::peer::{Cut, Proxy};
use docent_testing::real::{self, Ensemble};
use suite::{Realm, assert_free, at_once, until, within};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time;

const PERSISTENT: CreateMode = CreateMode::Persistent;

/// Runs a test against new servers of each version that is enabled.
fn run(options: &[&str], test: impl AsyncFn(&Ensemble, Realm)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for version in real::lanes() {
        println!("ZooKeeper {version}");
        let options = [&["ensemble", "--servers", "3"], options].concat();
        let servers = Ensemble::start(version, &options);
        runtime.block_on(async {
            let realm = Realm::of(servers.connect_string()).await;
            test(&servers, realm).await;
        });
    }
}

/// The number of the server that a client is connected to.
fn server_of(servers: &Ensemble, client: &Client) -> usize {
    let session = format!("sid=0x{:x},", client.session_id().unwrap());
    let found = servers
        .numbers()
        .find(|n| servers.four_letter_word(*n, "cons").contains(&session));
    found.unwrap_or_else(|| panic!("no server has {client:?}"))
}

/// A client that creates nodes all the time, from several tasks.
struct Load {
    client: Client,
    acknowledged: watch::Sender<usize>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<(Vec<String>, Vec<String>)>,
}

impl Load {
    const TASKS: usize = 8;

    async fn start(client: &Client) -> Self {
        client.ensure("/load").await.unwrap();
        let (acknowledged, stop) = (watch::Sender::new(0), Arc::default());
        let mut tasks = JoinSet::new();
        for task in 0..Self::TASKS {
            let work = Self::work(
                client.clone(),
                task,
                acknowledged.clone(),
                Arc::clone(&stop),
            );
            tasks.spawn(work);
        }
        Self {
            client: client.clone(),
            acknowledged,
            stop,
            tasks,
        }
    }

    /// Returns the nodes that are there, and those that may be.
    async fn work(
        client: Client,
        task: usize,
        acknowledged: watch::Sender<usize>,
        stop: Arc<AtomicBool>,
    ) -> (Vec<String>, Vec<String>) {
        let (mut known, mut open) = (vec![], vec![]);
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("{task}-{n}");
            let path = format!("/load/{name}");
            match client.create(&path, b"", PERSISTENT).await {
                Ok(_) => known.push(name),
                Err(error) if error.kind() == ErrorKind::ConnectionLost => open.push(name),
                Err(error) => panic!("{error}"),
            }
            acknowledged.send_modify(|count| *count += 1);
            time::sleep(Duration::from_millis(1)).await; // leaves something to others
        }
        (known, open)
    }

    /// Waits for more answers.
    async fn goes_on(&self) {
        let wanted = *self.acknowledged.borrow() + 40 * Self::TASKS;
        let mut count = self.acknowledged.subscribe();
        within(count.wait_for(|count| *count >= wanted))
            .await
            .unwrap();
    }

    /// Ends it and compares what it was told with what is there.
    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let results = within(self.tasks.join_all()).await;
        let (known, open): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let (known, open) = (known.concat(), open.concat());
        self.client.sync("/load").await.unwrap();
        let children = self.client.children("/load").await.unwrap();
        let mut there: std::collections::HashSet<_> = children.iter().collect();
        for name in &known {
            assert!(there.remove(name.as_str()), "{name} was acknowledged");
        }
        let strange: Vec<_> = there
            .iter()
            .filter(|it| !open.contains(&it.to_string()))
            .collect();
        assert!(strange.is_empty(), "{strange:?}");
        let losses = self.client.status().connections as usize - 1;
        println!(
            "{} created, {} unknown, {losses} losses",
            known.len(),
            open.len()
        );
        assert!(open.len() <= losses * Self::TASKS, "{open:?}");
    }
}

#[test]
fn a_session_outlives_its_server_and_the_leader() {
    run(&[], async |servers, realm| {
        let client = realm.client().await;
        let mode = CreateMode::Ephemeral;
        let mine = client.create("/mine", b"", mode).await.unwrap();
        let load = Load::start(&client).await;
        load.goes_on().await;
        for leader in [false, true] {
            let victim = if leader {
                servers.leader()
            } else {
                server_of(servers, &client)
            };
            block_in_place(|| servers.kill(victim));
            load.goes_on().await;
            block_in_place(|| servers.restart(victim));
        }
        load.finish().await;
        let status = client.status();
        assert_eq!((status.epoch.get(), status.lost), (1, None));
        assert!(status.connections >= 2);
        assert_eq!(client.exists("/mine").await.unwrap(), Some(mine.stat));
    });
}

#[test]
fn a_session_outlives_the_restart_of_all_servers_in_turn() {
    run(&[], async |servers, realm| {
        let client = realm.client().await;
        let load = Load::start(&client).await;
        for n in servers.numbers() {
            block_in_place(|| servers.restart(n));
            load.goes_on().await;
        }
        load.finish().await;
        let status = client.status();
        assert_eq!((status.epoch.get(), status.lost), (1, None));
    });
}

#[test]
fn a_frozen_server_is_left_before_the_session_ends() {
    run(&[], async |servers, realm| {
        let frozen = servers.follower();
        let mut members: Vec<_> = servers.numbers().map(|n| servers.member(n)).collect();
        members.swap(0, frozen - 1);
        let members: Vec<_> = members.iter().map(ToString::to_string).collect();
        let client = docent::builder(&format!("{}{}", members.join(","), realm.absolute("")))
            .in_order()
            .session_timeout(Duration::from_secs(4))
            .lease_margin(Duration::from_millis(400))
            .connect()
            .await
            .unwrap();
        assert_eq!(server_of(servers, &client), frozen);
        let lock = client.lock("/lock").unwrap();
        let guard = suite::acquire(&lock).await;
        let load = Load::start(&client).await;
        load.goes_on().await;
        servers.pause(frozen);
        load.goes_on().await;
        servers.resume(frozen);
        load.finish().await;
        let status = client.status();
        assert_eq!((status.epoch.get(), status.connections), (1, 2));
        // The session has never been silent for so long that others might have had the lock.
        assert_eq!(status.lapses, 0);
        assert!(guard.is_held());
        guard.release().await.unwrap();
    });
}

#[test]
fn an_expired_session_is_followed_by_another() {
    run(&[], async |servers, realm| {
        let client = realm.client().await;
        let mode = CreateMode::Ephemeral;
        client.create("/mine", b"", mode).await.unwrap();
        let mut watcher = client.watch("/mine").await.unwrap();
        let lock = client.lock("/lock").unwrap();
        let guard = suite::acquire(&lock).await;
        let id = client.session_id().unwrap();
        block_in_place(|| servers.expire(id));
        within(guard.lost()).await;
        assert!(!guard.is_held());
        // Its own node's end may be told before that of the session.
        assert_eq!(all(&mut watcher).await.last(), Some(&Change::Lost));
        let status = within(client.connected()).await.unwrap();
        assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Expired)));
        client.sync("/").await.unwrap();
        assert_eq!(client.exists("/mine").await.unwrap(), None);
        assert!(suite::acquire(&lock).await.fencing_token() > guard.fencing_token());
    });
}

/// All that a watch of a session that is over has to say.
async fn all(watcher: &mut Watcher) -> Vec<Change> {
    let mut told = vec![];
    while let Some(change) = within(watcher.changed()).await {
        told.push(change);
    }
    told
}

/// Until the client has given its session up for want of servers.
async fn until_presumed_lost(client: &Client) {
    let status = until(client, |it| it.lost.is_some()).await;
    assert_eq!(status.lost, Some(Lost::Presumed));
}

#[test]
fn a_client_outlives_an_outage_longer_than_its_session() {
    run(&[], async |servers, realm| {
        let builder = realm.builder().session_timeout(Duration::from_secs(2));
        let client = builder.connect().await.unwrap();
        let id = client.session_id();
        client.ensure("/node").await.unwrap();
        let mut watcher = client.watch("/node").await.unwrap();
        let lock = client.lock("/lock").unwrap();
        let guard = suite::acquire(&lock).await;
        block_in_place(|| servers.numbers().for_each(|n| servers.kill(n)));
        let waiting = client.clone();
        let waiting = tokio::spawn(async move { waiting.exists("/node").await });
        within(guard.lost()).await;
        assert!(!guard.is_held());
        until_presumed_lost(&client).await;
        assert_eq!(all(&mut watcher).await.last(), Some(&Change::Lost));
        let _ = within(waiting).await.unwrap(); // sent or not, it has ended
        let contender = tokio::spawn(async move { suite::acquire(&lock).await });
        block_in_place(|| servers.restart_all());

        assert!(client.exists("/node").await.unwrap().is_some());
        assert_ne!(client.session_id(), id);
        let again = within(contender).await.unwrap();
        assert!(again.is_held() && again.fencing_token() > guard.fencing_token());
        assert_eq!(client.status().epoch.get(), 2);
        drop(again);
        drop(guard);
        assert_free(&client, "/lock").await;
    });
}

#[test]
fn a_client_outlives_the_loss_of_all_data() {
    run(&[], async |servers, realm| {
        let outside = realm.outside().await;
        let builder = docent::builder(servers.connect_string());
        let builder = builder.session_timeout(Duration::from_secs(2));
        let client = builder.connect().await.unwrap();
        // So that the servers to come cannot reach what was seen here, whatever their elections.
        for _ in 0..3 {
            let leader = servers.leader();
            block_in_place(|| servers.restart(leader));
            within(outside.set(&realm.absolute(""), b"", None))
                .await
                .ok();
        }
        within(client.connected()).await.unwrap();
        within(client.ensure("/forgotten")).await.unwrap();
        let seen = client.credentials().unwrap().zxid;
        block_in_place(|| {
            servers.numbers().for_each(|n| servers.kill(n));
            for n in servers.numbers() {
                fs::remove_dir_all(servers.folder(n).join("data/version-2")).unwrap();
            }
            servers.restart_all();
        });
        until_presumed_lost(&client).await;
        let exists = within(client.exists("/forgotten")).await.unwrap();
        assert_eq!(exists, None);
        client.ensure("/new").await.unwrap();
        let new = client.credentials().unwrap().zxid;
        assert!(new < seen, "{new:x} {seen:x}");
        assert_eq!(client.status().epoch.get(), 2);
    });
}

/// One proxy for each server, and a client that sees only them.
struct Gap {
    proxies: Vec<Proxy>,
    client: Client,
}

impl Gap {
    async fn new(servers: &Ensemble, realm: &Realm) -> Self {
        let mut proxies = vec![];
        for n in servers.numbers() {
            proxies.push(Proxy::start(servers.member(n)).await);
        }
        let members: Vec<_> = proxies.iter().map(|it| it.addr().to_string()).collect();
        let chroot = realm.absolute("");
        let client = docent::builder(&format!("{}{chroot}", members.join(",")))
            .session_timeout(Duration::from_secs(20))
            .connect()
            .await
            .unwrap();
        Self { proxies, client }
    }

    /// Cuts the client off and keeps it so.
    async fn open(&self) {
        self.proxies.iter().for_each(|proxy| proxy.refuse(true));
        self.proxies.iter().for_each(|proxy| proxy.cut(Cut::Rst));
        until(&self.client, |it| !it.state.is_connected()).await;
    }

    /// Lets the client through to this server.
    async fn close(&self, n: usize) {
        let before = self.client.status().connections;
        self.proxies[n].refuse(false);
        until(&self.client, |it| it.connections > before).await;
        // Whatever this server has heard of, the client has now.
        self.client.sync("/").await.unwrap();
    }
}

/// What the watches of a node have to say in the end; nothing more is to come of those that do.
async fn told(watcher: &mut Watcher) -> Option<EventKind> {
    let change = at_once(watcher.changed())?;
    let Some(Change::Node(events)) = change else {
        panic!("{change:?}")
    };
    assert_eq!(within(watcher.changed()).await, None);
    let all = [
        EventKind::Created,
        EventKind::Deleted,
        EventKind::DataChanged,
        EventKind::ChildrenChanged,
    ];
    let mut kinds = all.into_iter().filter(|kind| events.contains(*kind));
    let kind = kinds.next();
    assert_eq!(kinds.next(), None, "exactly one event");
    kind
}

#[test]
fn changes_while_the_client_is_away_are_told_once() {
    run(&[], async |servers, realm| {
        let gap = Gap::new(servers, &realm).await;
        let (client, other) = (&gap.client, realm.client().await);
        other.ensure("/p").await.unwrap();
        other.ensure("/tree").await.unwrap();
        let mut node = client.watch("/p").await.unwrap();
        let mut tree = client.watch_tree("/tree").await.unwrap();
        for round in 0..6 {
            let path = |n: usize| format!("/{round}-{n}");
            let (mut data, mut children, mut births) = (vec![], vec![], vec![]);
            for n in 0..20 {
                other.create(&path(n), b"", PERSISTENT).await.unwrap();
            }
            client.sync("/").await.unwrap();
            for n in 0..20 {
                data.push(client.get_and_watch(&path(n)).await.unwrap().1);
                children.push(client.children_and_watch(&path(n)).await.unwrap().1);
                let absent = path(n + 100);
                births.push(client.exists_and_watch(&absent).await.unwrap().1);
            }
            gap.open().await;
            for n in 0..5 {
                other.set(&path(n), b"1", None).await.unwrap();
                other.set(&path(n), b"2", None).await.unwrap();
                other.delete(&path(n + 5), None).await.unwrap();
                let child = format!("{}/child", path(n + 10));
                other.create(&child, b"", PERSISTENT).await.unwrap();
                other.create(&path(n + 100), b"", PERSISTENT).await.unwrap();
            }
            other.set("/p", b"", None).await.unwrap();
            other.ensure(&format!("/tree/{round}")).await.unwrap();
            gap.close(round % 3).await;

            for n in 0..20 {
                let (on_data, on_children) = match n {
                    0..5 => (Some(EventKind::DataChanged), None),
                    5..10 => (Some(EventKind::Deleted), Some(EventKind::Deleted)),
                    10..15 => (None, Some(EventKind::ChildrenChanged)),
                    _ => (None, None),
                };
                let birth = (n < 5).then_some(EventKind::Created);
                assert_eq!(told(&mut data[n]).await, on_data, "round {round}, {n}");
                assert_eq!(
                    told(&mut children[n]).await,
                    on_children,
                    "round {round}, {n}"
                );
                assert_eq!(told(&mut births[n]).await, birth, "round {round}, {n}");
            }
            // Servers say nothing of the gap to persistent watches, but may of what came late.
            for persistent in [&mut node, &mut tree] {
                assert_eq!(within(persistent.changed()).await, Some(Change::Resync));
                while at_once(persistent.changed()).is_some() {}
            }
            // All that was not told is watched still.
            for n in 15..20 {
                other.set(&path(n), b"", None).await.unwrap();
                other.create(&path(n + 100), b"", PERSISTENT).await.unwrap();
                let child = format!("{}/child", path(n));
                other.create(&child, b"", PERSISTENT).await.unwrap();
            }
            other.set("/p", b"", None).await.unwrap();
            other.set("/tree", b"", None).await.unwrap();
            client.sync("/").await.unwrap();
            for n in 15..20 {
                assert_eq!(told(&mut data[n]).await, Some(EventKind::DataChanged));
                assert_eq!(told(&mut births[n]).await, Some(EventKind::Created));
                assert_eq!(
                    told(&mut children[n]).await,
                    Some(EventKind::ChildrenChanged)
                );
            }
            let changed = Change::Node(EventKind::DataChanged.into());
            assert_eq!(at_once(node.changed()), Some(Some(changed)));
            assert!(matches!(
                at_once(tree.changed()),
                Some(Some(Change::Below { .. }))
            ));
        }
        assert_eq!(client.status().epoch.get(), 1);
    });
}

#[test]
fn watches_of_two_kinds_on_one_path_outlive_their_server() {
    run(&[], async |servers, realm| {
        let gap = Gap::new(servers, &realm).await;
        let (client, other) = (&gap.client, realm.client().await);
        other.ensure("/node").await.unwrap();
        client.sync("/").await.unwrap();
        let mut persistent = client.watch("/node").await.unwrap();
        // They fill so many messages that the two do not travel in one.
        let mut others = vec![];
        for n in 0..1000 {
            let path = format!("/{n}-{}", "x".repeat(300));
            others.push(client.exists_and_watch(&path).await.unwrap().1);
        }
        let (_, mut once) = client.get_and_watch("/node").await.unwrap();
        for n in 0..3 {
            gap.open().await;
            gap.close(n).await;
            assert_eq!(at_once(persistent.changed()), Some(Some(Change::Resync)));
            assert_eq!(at_once(once.changed()), None);
        }
        for turn in 0..3 {
            other.set("/node", b"", None).await.unwrap();
            let changed = Change::Node(EventKind::DataChanged.into());
            assert_eq!(within(persistent.changed()).await, Some(changed.clone()));
            let expected = if turn == 0 { Some(changed) } else { None };
            assert_eq!(within(once.changed()).await, expected);
        }
    });
}

#[test]
fn thousands_of_watches_outlive_their_server() {
    const COUNT: usize = 5000;
    run(&[], async |servers, realm| {
        let (client, other) = (realm.client().await, realm.client().await);
        let path = |n: usize| format!("/{n}-{}", "x".repeat(300));
        let mut tasks = JoinSet::new();
        for some in 0..10 {
            let client = client.clone();
            tasks.spawn(async move {
                let mut watchers = vec![];
                for n in (some..COUNT).step_by(10) {
                    let watched = client.exists_and_watch(&path(n)).await.unwrap();
                    watchers.push((n, watched.1));
                }
                watchers
            });
        }
        let watchers = within(tasks.join_all()).await;
        let mut watchers: Vec<_> = watchers.into_iter().flatten().collect();
        let total = format!("Total watches:{COUNT}");
        for round in 0..2 {
            let victim = server_of(servers, &client);
            assert!(servers.four_letter_word(victim, "wchs").contains(&total));
            let before = client.status().connections;
            block_in_place(|| servers.kill(victim));
            until(&client, |it| {
                it.connections > before && it.state.is_connected()
            })
            .await;
            within(client.sync("/")).await.unwrap();
            let now = server_of(servers, &client);
            let watches = servers.four_letter_word(now, "wchs");
            assert!(watches.contains(&total), "round {round}: {watches}");
            block_in_place(|| servers.restart(victim));
        }
        for n in (0..COUNT).step_by(250) {
            within(other.create(&path(n), b"", PERSISTENT))
                .await
                .unwrap();
        }
        within(client.sync("/")).await.unwrap();
        for (n, watcher) in &mut watchers {
            let expected = (*n % 250 == 0).then_some(EventKind::Created);
            assert_eq!(told(watcher).await, expected, "{n}");
        }
        assert_eq!(client.status().epoch.get(), 1);
    });
}

/// A number that several clients count up under a lock, and that tells whether the lock is one.
///
/// It is written without regard of its version, so that of two who think they hold the lock one
/// would undo what the other has counted.
struct Counting {
    counted: watch::Sender<u64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<(u64, u64)>,
}

impl Counting {
    async fn start(clients: &[Client]) -> Self {
        let zero = encode(0, 0);
        clients[0]
            .create("/counter", &zero, PERSISTENT)
            .await
            .unwrap();
        let (counted, stop) = (watch::Sender::new(0), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for client in clients.iter().chain(clients) {
            let (client, counted) = (client.clone(), counted.clone());
            tasks.spawn(Self::work(client, counted, Arc::clone(&stop)));
        }
        Self {
            counted,
            stop,
            tasks,
        }
    }

    /// Returns how often it has counted, and how often it may have.
    async fn work(
        client: Client,
        counted: watch::Sender<u64>,
        stop: Arc<AtomicBool>,
    ) -> (u64, u64) {
        let lock: Lock = client.lock("/lock").unwrap();
        let (mut known, mut open) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            let guard = lock.acquire().await.unwrap();
            match Self::count(&client, &guard).await {
                Ok(true) => {
                    known += 1;
                    counted.send_modify(|count| *count += 1);
                }
                // The lock was lost before the write, which was refused.
                Ok(false) => assert!(!guard.is_held()),
                Err(ErrorKind::ConnectionLost) => open += 1,
                Err(ErrorKind::Server(Code::SessionExpired)) => {}
                Err(ErrorKind::NotSent(End::Expired)) => {}
                Err(error) => panic!("{error}"),
            }
            match guard.release().await {
                Ok(()) | Err(ErrorKind::ConnectionLost) => {}
                Err(error) => panic!("{error}"),
            }
        }
        (known, open)
    }

    /// Whether the holder's write went through.
    async fn count(client: &Client, guard: &Guard) -> Result<bool, ErrorKind> {
        let path = Path::new("/counter").unwrap();
        // A server that lags could show what is no longer true.
        client.retry(Sync { path }).await?;
        let data = client.retry(GetData { path }).await?;
        let (count, token) = decode(data.data());
        assert!(token <= guard.fencing_token(), "someone later has written");
        let data = encode(count + 1, guard.fencing_token());
        let set = Op::SetData(SetData {
            path,
            data: &data,
            version: None,
        });
        let reply = client.multi(&[guard.check(), set]).await;
        match reply.map_err(|error| error.kind())?.outcome() {
            Ok(_) => Ok(true),
            Err(failure) => {
                assert_eq!((failure.index, failure.code), (0, Code::NoNode));
                Ok(false)
            }
        }
    }

    async fn goes_on(&self) {
        let wanted = *self.counted.borrow() + 30;
        let mut count = self.counted.subscribe();
        within(count.wait_for(|count| *count >= wanted))
            .await
            .unwrap();
    }

    async fn finish(self, client: &Client) {
        self.stop.store(true, Ordering::Relaxed);
        let (known, open): (Vec<_>, Vec<_>) =
            within(self.tasks.join_all()).await.into_iter().unzip();
        let (known, open): (u64, u64) = (known.iter().sum(), open.iter().sum());
        client.sync("/counter").await.unwrap();
        let (count, _) = decode(client.get("/counter").await.unwrap().data());
        println!("{known} counted, {open} unknown, {count} in the end");
        assert!((known..=known + open).contains(&count));
        assert_free(client, "/lock").await;
    }
}

fn encode(count: u64, token: i64) -> Vec<u8> {
    [count.to_be_bytes(), token.to_be_bytes()].concat()
}

fn decode(data: &[u8]) -> (u64, i64) {
    let (count, token) = data.split_first_chunk().unwrap();
    let token = token.try_into().unwrap();
    (u64::from_be_bytes(*count), i64::from_be_bytes(token))
}

#[test]
fn a_lock_stays_one_whatever_befalls_its_holders() {
    run(&[], async |servers, realm| {
        let mut clients = vec![];
        for _ in 0..3 {
            let builder = realm.builder().session_timeout(Duration::from_secs(4));
            clients.push(builder.connect().await.unwrap());
        }
        let counting = Counting::start(&clients).await;
        counting.goes_on().await;
        for round in 0..6 {
            let client = &clients[round % 3];
            within(client.connected()).await.unwrap();
            match round {
                0 | 3 | 4 => {
                    realm.expire(client).await;
                    counting.goes_on().await;
                }
                1 | 2 => {
                    let victim = if round == 1 {
                        server_of(servers, client)
                    } else {
                        servers.leader()
                    };
                    block_in_place(|| servers.kill(victim));
                    counting.goes_on().await;
                    block_in_place(|| servers.restart(victim));
                }
                _ => {
                    let victim = servers.follower();
                    servers.pause(victim);
                    counting.goes_on().await;
                    servers.resume(victim);
                }
            }
        }
        counting.finish(&clients[0]).await;
        assert!(clients[0].status().epoch.get() >= 2);
    });
}

/// A tree that several clients change all the time.
struct Churn {
    changes: watch::Sender<u64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Churn {
    fn start(clients: &[Client]) -> Self {
        let (changes, stop) = (watch::Sender::new(0), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for (seed, client) in (0..).zip(clients) {
            let (client, changes, stop) = (client.clone(), changes.clone(), Arc::clone(&stop));
            tasks.spawn(async move {
                let mut turn = seed;
                while !stop.load(Ordering::Relaxed) {
                    turn += 7;
                    Self::change(&client, turn).await;
                    changes.send_modify(|count| *count += 1);
                    time::sleep(Duration::from_millis(1)).await; // leaves something to others
                }
            });
        }
        Self {
            changes,
            stop,
            tasks,
        }
    }

    /// Creates, changes or deletes one of some nodes; what becomes of it does not matter.
    async fn change(client: &Client, turn: u32) {
        let random = turn.wrapping_mul(0x9e37_79b1) >> 8;
        let (branch, leaf) = (random / 8 % 8, random / 64 % 6);
        let path = match leaf {
            0 => format!("/tree/{branch}"),
            leaf => format!("/tree/{branch}/{leaf}"),
        };
        let data = turn.to_string();
        let done = match random % 8 {
            0..4 => client
                .create(&path, data.as_bytes(), PERSISTENT)
                .await
                .map(drop),
            4..6 => client.set(&path, data.as_bytes(), None).await.map(drop),
            _ => client.delete(&path, None).await,
        };
        let Err(error) = done else { return };
        let expected = [Code::NoNode, Code::NodeExists, Code::NotEmpty];
        let expected = expected.map(ErrorKind::Server).contains(&error.kind());
        assert!(expected || error.may_have_run(), "{error}");
    }

    async fn goes_on(&self) {
        let wanted = *self.changes.borrow() + 200;
        let mut count = self.changes.subscribe();
        within(count.wait_for(|count| *count >= wanted))
            .await
            .unwrap();
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        within(self.tasks.join_all()).await;
    }
}

/// Nodes by path, as a cache tells them apart: when they were created and written, and their data.
type View = BTreeMap<String, (i64, i64, Vec<u8>)>;

fn viewed(path: &str, stat: Stat, data: &[u8]) -> (String, (i64, i64, Vec<u8>)) {
    (path.to_owned(), (stat.czxid, stat.mzxid, data.to_vec()))
}

fn cached(node: &Arc<Node>) -> (String, (i64, i64, Vec<u8>)) {
    viewed(node.path(), node.stat(), node.data().unwrap())
}

/// What there is at a path and below.
async fn read(client: &Client, root: &str) -> View {
    client.sync(root).await.unwrap();
    let (mut view, mut paths) = (View::new(), vec![root.to_owned()]);
    while let Some(path) = paths.pop() {
        let node = client.get(&path).await.unwrap();
        view.extend([viewed(&path, node.stat(), node.data())]);
        for name in client.children(&path).await.unwrap().iter() {
            paths.push(format!("{path}/{name}"));
        }
    }
    view
}

/// Plays a cache's events until there will never be another.
async fn play(mut events: Events) -> View {
    let mut view = View::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Put { old, new } => {
                let (path, new) = cached(&new);
                let was = view.insert(path, new);
                assert_eq!(was, old.map(|old| cached(&old).1));
            }
            Event::Removed { old } => {
                let (path, old) = cached(&old);
                assert_eq!(view.remove(&path), Some(old));
            }
            Event::Overflow => panic!("there is room enough"),
            _ => {}
        }
    }
    view
}

#[test]
fn a_cache_comes_to_what_there_is_whatever_befalls_the_servers() {
    run(&[], async |servers, realm| {
        let builder = realm.builder().session_timeout(Duration::from_secs(4));
        let (client, other) = (builder.connect().await.unwrap(), realm.client().await);
        other.ensure("/tree").await.unwrap();
        let cache = client.cache("/tree").start().unwrap();
        let prompt = tokio::spawn(play(cache.events()));
        let late = cache.events();
        within(cache.ready()).await.unwrap();
        let churn = Churn::start(&[other.clone(), realm.client().await, realm.client().await]);
        churn.goes_on().await;
        for leader in [false, true] {
            let victim = if leader {
                servers.leader()
            } else {
                server_of(servers, &client)
            };
            block_in_place(|| servers.kill(victim));
            churn.goes_on().await;
            block_in_place(|| servers.restart(victim));
        }
        within(client.connected()).await.unwrap();
        let (frozen, before) = (servers.follower(), client.status().connections);
        let leaves = server_of(servers, &client) == frozen;
        servers.pause(frozen);
        churn.goes_on().await;
        until(&client, |it| !leaves || it.connections > before).await;
        servers.resume(frozen);
        within(client.connected()).await.unwrap();
        realm.expire(&client).await;
        churn.goes_on().await;
        churn.finish().await;

        let last = other.set("/tree", b"last", None).await.unwrap().mzxid;
        within(cache.reached(last)).await.unwrap();
        let view: View = cache.snapshot().iter().map(cached).collect();
        assert_eq!(view, read(&other, "/tree").await);
        assert!(view.len() > 10 && cache.is_complete());
        client.close().await;
        assert_eq!(within(prompt).await.unwrap(), view);
        assert_eq!(within(play(late)).await, view);
    });
}

#[test]
fn a_holder_that_vanishes_makes_room_for_the_next() {
    run(&[], async |_, realm| {
        let builder = realm.builder().session_timeout(Duration::from_secs(1));
        let (client, other) = (builder.connect().await.unwrap(), realm.client().await);
        let guard = suite::acquire(&client.lock("/lock").unwrap()).await;
        let token = guard.fencing_token();
        let lock = other.lock("/lock").unwrap();
        let waiting = tokio::spawn(async move { suite::acquire(&lock).await });
        suite::until_children(&other, "/lock", |names| names.len() == 2).await;
        // As a crash: the session stays, and nobody speaks for it any more.
        let valid = guard.valid_until().unwrap();
        client.detach().unwrap();
        let next = within(waiting).await.unwrap();
        assert!(
            std::time::Instant::now() >= valid,
            "the lease was over before"
        );
        assert!(next.fencing_token() > token);
        assert!(!guard.is_held());
    });
}

#[test]
fn a_client_reads_on_without_a_quorum_if_it_may() {
    run(&["--read-only"], async |servers, realm| {
        let other = realm.client().await;
        other.create("/node", b"data", PERSISTENT).await.unwrap();
        other.close().await;
        let writable = State::Connected { read_only: false };
        let builder = realm.builder().session_timeout(Duration::from_secs(4));
        let careful = builder.clone().connect().await.unwrap();
        let client = builder.read_only(true).connect().await.unwrap();
        assert_eq!(client.status().state, writable);
        client.set("/node", b"before", None).await.unwrap();
        let victims: Vec<_> = servers.numbers().filter(|n| *n != 2).collect();
        block_in_place(|| victims.iter().for_each(|n| servers.kill(*n)));

        let read_only = State::Connected { read_only: true };
        until(&client, |it| it.state == read_only).await;
        let data = within(client.get("/node")).await.unwrap();
        assert_eq!(data.data(), b"before");
        let error = within(client.set("/node", b"", None)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(Code::NotReadOnly));
        assert!(!careful.status().state.is_connected());
        let fresh = realm.builder().read_only(true).connect().await.unwrap();
        assert_eq!(fresh.status().state, read_only);
        assert_eq!(fresh.get("/node").await.unwrap().data(), b"before");
        assert_eq!(fresh.credentials(), None, "nobody else knows that session");

        block_in_place(|| victims.iter().for_each(|n| servers.restart(*n)));
        for client in [&client, &fresh, &careful] {
            until(client, |it| it.state == writable).await;
        }
        within(client.set("/node", b"after", None)).await.unwrap();
        within(fresh.set("/node", b"after", None)).await.unwrap();
        assert!(fresh.credentials().is_some());
    });
}
