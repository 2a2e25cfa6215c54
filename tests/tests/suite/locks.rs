use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use docent::core::wire::SetData;
use docent::{
    Acl, Client, Code, CreateMode, ErrorKind, Guard, Lock, MultiFailure, Op, Path, Perms,
};
use tokio::task::JoinSet;
use tokio::time;

use super::{Realm, assert_clean, at_once, until, until_children, until_exists, within};

const PERSISTENT: CreateMode = CreateMode::Persistent;

pub async fn acquire(lock: &Lock) -> Guard {
    within(lock.acquire()).await.unwrap()
}

/// A number that only the holder of a lock may count up.
#[derive(Clone, Default)]
struct Judge {
    inside: Arc<AtomicBool>,
    token: Arc<AtomicI64>,
}

impl Judge {
    /// Reads, waits, and writes what it has read and one more, if `guard` still holds.
    async fn count(&self, client: &Client, guard: &Guard) {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "two holders");
        let token = guard.fencing_token();
        let before = self.token.fetch_max(token, Ordering::SeqCst);
        assert!(before < token, "{before} is not before {token}");
        let data = client.get("/counter").await.unwrap();
        let count = number(data.data()) + 1;
        tokio::task::yield_now().await;
        let set = Op::SetData(SetData {
            path: Path::new("/counter").unwrap(),
            data: &count.to_be_bytes(),
            version: None,
        });
        let reply = client.multi(&[guard.check(), set]).await.unwrap();
        assert_eq!(reply.outcome().unwrap().len(), 2);
        assert!(guard.is_held());
        self.inside.store(false, Ordering::SeqCst);
    }
}

fn number(data: &[u8]) -> u64 {
    u64::from_be_bytes(data.try_into().unwrap())
}

pub async fn a_lock_is_held_by_one_at_a_time(realm: Realm) {
    const ROUNDS: u64 = 8;
    let clients = [
        realm.client().await,
        realm.client().await,
        realm.client().await,
    ];
    let zero = 0_u64.to_be_bytes();
    clients[0]
        .create("/counter", &zero, PERSISTENT)
        .await
        .unwrap();
    let judge = Judge::default();
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (client, judge) = (clients[task % 3].clone(), judge.clone());
        tasks.spawn(async move {
            let lock = client.lock("/lock").unwrap();
            for round in 0..ROUNDS {
                let guard = lock.acquire().await.unwrap();
                judge.count(&client, &guard).await;
                if round % 2 == 0 {
                    guard.release().await.unwrap();
                }
            }
        });
    }
    for done in within(tasks.join_all()).await {
        let () = done;
    }
    let data = clients[0].get("/counter").await.unwrap();
    assert_eq!(number(data.data()), 8 * ROUNDS);
    assert_eq!(data.stat().version, 8 * ROUNDS as i32);
    assert_free(&clients[0], "/lock").await;
}

/// Waits until nobody holds the lock or asks for it, and no node of one is left.
pub async fn assert_free(client: &Client, path: &str) {
    until_children(client, path, |names| names.is_empty()).await;
    assert_clean(client).await;
}

pub async fn contenders_are_served_in_order(realm: Realm) {
    let clients = [realm.client().await, realm.client().await];
    let lock = clients[0].lock("/lock").unwrap();
    let first = acquire(&lock).await;
    let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 1..=5 {
        let (lock, told) = (clients[number % 2].lock("/lock").unwrap(), told.clone());
        tokio::spawn(async move {
            let guard = lock.acquire().await.unwrap();
            told.send((number, guard)).unwrap();
        });
        let contenders = number + 1;
        until_children(&clients[0], "/lock", |names| names.len() == contenders).await;
    }
    let mut token = first.fencing_token();
    first.release().await.unwrap();
    for expected in 1..=5 {
        let (number, guard) = within(order.recv()).await.unwrap();
        assert_eq!(number, expected);
        assert!(guard.fencing_token() > token);
        token = guard.fencing_token();
        assert!(order.try_recv().is_err(), "the next waits for this one");
    }
}

/// Polls a future at most so often.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => {
            left -= 1;
            if left == 0 {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        }
    })
    .await
}

pub async fn an_acquisition_cancelled_anywhere_leaves_nothing(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let mut cancelled = 0;
    for times in 1..10 {
        // Nobody has the lock, and its parents are missing; then they are there.
        let fresh = format!("/{times}/deep/lock");
        for _ in 0..2 {
            let lock = client.lock(&fresh).unwrap();
            match polled(lock.acquire(), times).await {
                Some(guard) => drop(guard.unwrap()),
                None => cancelled += 1,
            }
            assert_free(&client, &fresh).await;
        }
        // Somebody has it.
        let holder = acquire(&other.lock("/held").unwrap()).await;
        let lock = client.lock("/held").unwrap();
        let attempt = polled(lock.acquire(), times);
        let attempt = time::timeout(Duration::from_millis(50), attempt).await;
        assert!(matches!(attempt, Ok(None) | Err(_)), "{attempt:?}");
        cancelled += 1;
        until_children(&other, "/held", |names| names.len() == 1).await;
        assert_clean(&client).await;
        assert!(holder.is_held());
        holder.release().await.unwrap();
        acquire(&lock).await.release().await.unwrap();
    }
    assert!(cancelled >= 15, "{cancelled}");
    assert_eq!(client.status().connections, 1);
}

pub async fn an_acquisition_cancelled_at_any_time_leaves_nothing(realm: Realm) {
    let client = realm.client().await;
    let lock = client.lock("/lock").unwrap();
    let mut cancelled = 0;
    for turn in 0..60 {
        // Two contend, so that cancellations also hit the waiting and the handing over.
        let within = Duration::from_micros(turn * 60);
        let attempts = [0, 1].map(|_| time::timeout(within, lock.acquire()));
        for attempt in attempts {
            match attempt.await {
                Ok(guard) => drop(guard.unwrap()),
                Err(_) => cancelled += 1,
            }
        }
        let (one, two) = tokio::join!(
            time::timeout(within, lock.acquire()),
            time::timeout(within * 2, lock.acquire()),
        );
        cancelled += i32::from(one.is_err()) + i32::from(two.is_err());
        assert!(one.is_err() || two.is_err(), "both hold it");
    }
    assert!(cancelled > 60, "{cancelled}");
    assert_free(&client, "/lock").await;
    acquire(&lock).await.release().await.unwrap();
}

pub async fn a_guard_knows_that_its_session_expired(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.lock("/lock").unwrap();
    let guard = acquire(&lock).await;
    let valid = guard.valid_until().unwrap();
    assert!(valid > Instant::now() && valid <= Instant::now() + client.session_timeout());
    assert_eq!(at_once(guard.lost()), None);
    let token = guard.fencing_token();
    let (guard, lost) = (Arc::new(guard), tokio::sync::oneshot::channel());
    let watched = Arc::clone(&guard);
    tokio::spawn(async move {
        watched.lost().await;
        drop(watched);
        let _ = lost.0.send(());
    });
    realm.expire(&client).await;
    within(lost.1).await.unwrap();
    assert!(!guard.is_held());
    assert_eq!(guard.valid_until(), None);
    within(guard.lost()).await;

    let rival = acquire(&other.lock("/lock").unwrap()).await;
    assert!(rival.fencing_token() > token);
    let guard = Arc::into_inner(guard).unwrap();
    within(guard.release()).await.unwrap();
    assert!(rival.is_held());
    rival.release().await.unwrap();
    let again = acquire(&lock).await;
    assert!(again.fencing_token() > token && again.is_held());
    drop(again);
    assert_free(&client, "/lock").await;
}

pub async fn a_guard_knows_that_its_node_was_deleted(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.lock("/lock").unwrap();
    let guard = acquire(&lock).await;
    {
        let mut lost = pin!(guard.lost());
        assert_eq!(at_once(lost.as_mut()), None);
        other.delete(guard.path().as_str(), None).await.unwrap();
        within(lost).await;
    }
    within(guard.lost()).await;
    let rival = acquire(&other.lock("/lock").unwrap()).await;
    within(guard.release()).await.unwrap();
    assert!(rival.is_held());
    assert_eq!(at_once(rival.lost()), None);
}

pub async fn only_the_holder_passes_the_check(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/node").await.unwrap();
    let set = Op::SetData(SetData {
        path: Path::new("/node").unwrap(),
        data: b"written",
        version: None,
    });
    let guard = acquire(&client.lock("/lock").unwrap()).await;
    let reply = client.multi(&[guard.check(), set]).await.unwrap();
    assert_eq!(reply.outcome().unwrap().len(), 2);
    realm.expire(&client).await;
    let rival = acquire(&other.lock("/lock").unwrap()).await;
    let reply = client.multi(&[guard.check(), set]).await.unwrap();
    let failure = MultiFailure {
        index: 0,
        code: Code::NoNode,
    };
    assert_eq!(reply.outcome().unwrap_err(), failure);
    let reply = other.multi(&[rival.check(), set]).await.unwrap();
    assert_eq!(reply.outcome().unwrap().len(), 2);
    let node = other.exists("/node").await.unwrap().unwrap();
    assert_eq!(node.version, 2);
}

pub async fn a_dropped_guard_releases_in_the_background(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.lock("/lock").unwrap();
    for _ in 0..10 {
        let guard = acquire(&lock).await;
        let node = guard.path().to_string();
        drop(guard);
        until_exists(&other, &node, false).await;
    }
    let rival = other.lock("/lock").unwrap();
    let guard = acquire(&lock).await;
    let waiting = tokio::spawn(async move { acquire(&rival).await });
    until_children(&client, "/lock", |names| names.len() == 2).await;
    drop(guard);
    let rival = within(waiting).await.unwrap();
    // A cancelled release goes on in the background, too.
    let release = rival.release();
    assert!(at_once(release).is_none());
    assert_free(&other, "/lock").await;
}

pub async fn a_waiter_whose_session_expires_waits_on(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let holder = acquire(&client.lock("/lock").unwrap()).await;
    let lock = other.lock("/lock").unwrap();
    let waiting = tokio::spawn(async move { acquire(&lock).await });
    until_children(&client, "/lock", |names| names.len() == 2).await;
    let before = other.status();
    realm.expire(&other).await;
    until(&other, |now| now.connections > before.connections).await;
    until_children(&client, "/lock", |names| names.len() == 2).await;
    assert!(!waiting.is_finished());
    holder.release().await.unwrap();
    let guard = within(waiting).await.unwrap();
    assert!(guard.is_held());
    let node = client.exists(guard.path().as_str()).await.unwrap();
    assert_eq!(Some(node.unwrap().ephemeral_owner), other.session_id());
}

pub async fn a_lock_ignores_strangers_among_its_children(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/lock").await.unwrap();
    let strangers = [
        "config",
        "lock-",
        "lock-é0000000000",
        "lock-000000000",
        "other-0000000000",
        "_c_x",
        "é0000000000",
        "-0000000001",
        "lock-0000000000x",
    ];
    for stranger in strangers {
        client.ensure(&format!("/lock/{stranger}")).await.unwrap();
    }
    let lock = client.lock("/lock").unwrap();
    let guard = acquire(&lock).await;
    guard.release().await.unwrap();
    let children = client.children("/lock").await.unwrap();
    assert_eq!(children.len(), strangers.len());
    // What looks like a contender is one.
    client.ensure("/lock/lock-0000000000").await.unwrap();
    let attempt = time::timeout(Duration::from_millis(200), lock.acquire()).await;
    assert!(attempt.is_err());
    client.delete("/lock/lock-0000000000", None).await.unwrap();
    drop(acquire(&lock).await);
}

pub async fn nodes_of_a_lock_carry_its_data_and_access_list(realm: Realm) {
    const ALICE: &[Acl<'_>] = &[Acl {
        perms: Perms::ALL,
        scheme: "digest",
        id: "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=",
    }];
    let alice = realm.builder().auth("digest", "alice:secret");
    let (alice, other) = (alice.connect().await.unwrap(), realm.client().await);
    let lock = alice.lock("/a/b/lock").unwrap();
    let lock = lock.with_data("host".to_owned()).with_acl(ALICE);
    let guard = within(lock.acquire()).await.unwrap();
    let node = guard.path().to_string();
    assert_eq!(alice.get(&node).await.unwrap().data(), b"host");
    for path in [node.as_str(), "/a/b/lock", "/a/b", "/a"] {
        let acl = alice.get_acl(path).await.unwrap();
        assert_eq!(acl.iter().collect::<Vec<_>>(), ALICE, "{path}");
    }
    let lock = other.lock("/a/b/lock").unwrap();
    let error = within(lock.acquire()).await.unwrap_err();
    assert_eq!(error, ErrorKind::Server(Code::NoAuth));
    assert_clean(&other).await;
    guard.release().await.unwrap();
}
