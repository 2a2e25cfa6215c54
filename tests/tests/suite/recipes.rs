use std::time::Duration;

use docent::core::client::Client as _;
use docent::{Acl, Code, CreateMode, ErrorKind, Permits, Perms, Unchanged};
use tokio::time;

use super::{Realm, acquire, assert_clean, assert_free, at_once, code, until_children, within};

/// Whether it is still to wait, after a while.
async fn waits<T>(future: impl Future<Output = T>) -> bool {
    time::timeout(Duration::from_millis(200), future)
        .await
        .is_err()
}

pub async fn readers_share_and_writers_do_not(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.rw_lock("/lock").unwrap();
    let rival = other.rw_lock("/lock").unwrap();
    let one = within(lock.read()).await.unwrap();
    let two = within(rival.read()).await.unwrap();
    assert!(two.fencing_token() > one.fencing_token());
    assert!(waits(lock.write()).await);
    assert!(lock.try_write().await.unwrap().is_none());
    within(rival.try_read()).await.unwrap().unwrap();
    one.release().await.unwrap();
    assert!(waits(lock.write()).await);
    two.release().await.unwrap();
    let writer = within(lock.write()).await.unwrap();
    assert!(waits(rival.read()).await && waits(rival.write()).await);
    assert!(rival.try_read().await.unwrap().is_none());
    assert!(rival.try_write().await.unwrap().is_none());
    writer.release().await.unwrap();
    let writer = within(rival.try_write()).await.unwrap().unwrap();
    assert!(writer.is_held());
    drop(writer);
    assert_free(&client, "/lock").await;
    assert_clean(&other).await;
}

pub async fn a_reader_waits_for_the_writer_ahead(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.rw_lock("/lock").unwrap();
    let first = within(lock.read()).await.unwrap();
    let rival = other.rw_lock("/lock").unwrap();
    let writer = tokio::spawn(async move { rival.write().await.unwrap() });
    until_children(&client, "/lock", |names| names.len() == 2).await;
    let behind = lock.clone();
    let reader = tokio::spawn(async move { behind.read().await.unwrap() });
    until_children(&client, "/lock", |names| names.len() == 3).await;
    assert!(!writer.is_finished() && !reader.is_finished());
    first.release().await.unwrap();
    let writer = within(writer).await.unwrap();
    assert!(!reader.is_finished());
    writer.release().await.unwrap();
    within(reader).await.unwrap().release().await.unwrap();
    assert_free(&client, "/lock").await;
}

pub async fn a_writer_goes_on_reading(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.rw_lock("/lock").unwrap();
    let writer = within(lock.write()).await.unwrap();
    let rival = other.rw_lock("/lock").unwrap();
    let next = tokio::spawn(async move { rival.write().await.unwrap() });
    until_children(&client, "/lock", |names| names.len() == 2).await;
    let reader = within(lock.downgrade(writer)).await.unwrap();
    assert!(reader.is_held());
    let number = |path: &str| path[path.len() - 10..].to_owned();
    assert_eq!(number(reader.path().as_str()), "0000000000");
    // The other writer goes on waiting, and a reader that comes now waits for it.
    time::sleep(Duration::from_millis(100)).await;
    assert!(!next.is_finished());
    assert!(waits(lock.read()).await);
    let token = reader.fencing_token();
    reader.release().await.unwrap();
    let next = within(next).await.unwrap();
    assert!(next.fencing_token() > token);
    next.release().await.unwrap();
    // Not by a guard of another lock.
    let elsewhere = client.rw_lock("/other").unwrap();
    let writer = within(elsewhere.write()).await.unwrap();
    let Unchanged { guard, error } = within(lock.downgrade(writer)).await.unwrap_err();
    assert_eq!(error, ErrorKind::Server(Code::NoNode));
    assert!(guard.is_held());
    assert_free(&client, "/lock").await;
    drop(guard);
    // Not in the place of one that was deleted by hand.
    let writer = within(lock.write()).await.unwrap();
    let node = writer.path().as_str();
    other.delete(node, None).await.unwrap();
    let Unchanged { guard, error } = within(lock.downgrade(writer)).await.unwrap_err();
    assert_eq!(error, ErrorKind::Server(Code::NoNode));
    drop(guard);
    assert_free(&client, "/lock").await;
}

pub async fn a_reader_writes_only_if_it_is_alone(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.rw_lock("/lock").unwrap();
    let rival = other.rw_lock("/lock").unwrap();
    let (one, two) = (lock.read().await.unwrap(), rival.read().await.unwrap());
    let Unchanged { guard: one, error } = within(lock.try_upgrade(one)).await.unwrap_err();
    assert_eq!(error, ErrorKind::Deadlock);
    let Unchanged { guard: two, error } = within(rival.try_upgrade(two)).await.unwrap_err();
    assert_eq!(error, ErrorKind::Deadlock);
    assert!(one.is_held() && two.is_held());
    two.release().await.unwrap();
    let writer = within(lock.try_upgrade(one)).await.unwrap();
    assert!(writer.is_held());
    assert!(rival.try_read().await.unwrap().is_none());
    until_children(&client, "/lock", |names| names.len() == 1).await;
    writer.release().await.unwrap();
    // Nor does it overtake who waits to write.
    let reader = within(lock.read()).await.unwrap();
    let waiting = rival.clone();
    let waiting = tokio::spawn(async move { waiting.write().await.unwrap() });
    until_children(&client, "/lock", |names| names.len() == 2).await;
    let Unchanged { guard, error } = within(lock.try_upgrade(reader)).await.unwrap_err();
    assert_eq!(error, ErrorKind::Deadlock);
    drop(guard);
    drop(within(waiting).await.unwrap());
    assert_free(&client, "/lock").await;
}

pub async fn a_lock_is_tried_without_waiting(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.lock("/lock").unwrap();
    let rival = other.lock("/lock").unwrap();
    let guard = within(lock.try_acquire()).await.unwrap().unwrap();
    assert!(within(rival.try_acquire()).await.unwrap().is_none());
    let names = client.children("/lock").await.unwrap();
    assert_eq!(names.len(), 1);
    guard.release().await.unwrap();
    let attempts = (0..8).map(|_| {
        let lock = rival.clone();
        tokio::spawn(async move { lock.try_acquire().await.unwrap() })
    });
    let mut held = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        held.extend(within(attempt).await.unwrap());
    }
    assert!(held.len() <= 1, "{held:?}");
    drop(held);
    assert_free(&client, "/lock").await;
    assert_clean(&other).await;
}

pub async fn several_locks_are_acquired_in_one_order(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let locks =
        |client: &docent::Client, paths: [&str; 3]| paths.map(|path| client.lock(path).unwrap());
    let mut forwards = locks(&client, ["/a", "/b", "/c"]);
    let mut backwards = locks(&other, ["/c", "/b", "/a"]);
    for _ in 0..10 {
        let one = async {
            let guards: Vec<_> = docent::acquire_all(&mut forwards).await.unwrap();
            assert_eq!(guards.len(), 3);
            for guard in guards {
                guard.release().await.unwrap();
            }
        };
        let two = async {
            let guards: Vec<_> = docent::acquire_all(&mut backwards).await.unwrap();
            assert!(guards[0].path().as_str().starts_with("/a/"));
        };
        within(async { tokio::join!(one, two) }).await;
    }
    let mut twice = locks(&client, ["/a", "/b", "/a"]);
    let refused = docent::acquire_all::<_, _, Vec<_>>(&mut twice).await;
    assert_eq!(refused.unwrap_err(), ErrorKind::Deadlock);
    // One that cannot be had gives the others back.
    let held = acquire(&other.lock("/b").unwrap()).await;
    assert!(waits(docent::acquire_all::<_, _, Vec<_>>(&mut forwards)).await);
    assert_free(&client, "/a").await;
    drop(held);
    assert_free(&client, "/b").await;
}

pub async fn a_semaphore_has_so_many_leases(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let semaphore = client.semaphore("/semaphore", 2).unwrap();
    let rival = other.semaphore("/semaphore", 2).unwrap();
    let one = within(semaphore.acquire()).await.unwrap();
    let two = within(rival.acquire()).await.unwrap();
    assert!(waits(semaphore.acquire()).await);
    assert!(within(rival.try_acquire()).await.unwrap().is_none());
    until_children(&client, "/semaphore/leases", |names| names.len() == 2).await;
    let waiting = semaphore.clone();
    let waiting = tokio::spawn(async move { waiting.acquire().await.unwrap() });
    until_children(&client, "/semaphore/leases", |names| names.len() == 3).await;
    one.release().await.unwrap();
    let three = within(waiting).await.unwrap();
    assert!(three.is_held() && two.is_held());
    drop(two);
    let four = within(async {
        loop {
            if let Some(lease) = rival.try_acquire().await.unwrap() {
                return lease;
            }
        }
    });
    drop((three, four.await));
    assert_free(&client, "/semaphore/leases").await;
    assert_free(&client, "/semaphore/locks").await;
}

pub async fn leases_are_taken_together(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let semaphore = client.semaphore("/semaphore", 3).unwrap();
    let two: Vec<_> = within(semaphore.acquire_many(2)).await.unwrap();
    assert_eq!(two.len(), 2);
    let rival = other.semaphore("/semaphore", 3).unwrap();
    assert!(waits(rival.acquire_many::<Vec<_>>(2)).await);
    // What was given up half done is given back.
    until_children(&client, "/semaphore/leases", |names| names.len() == 2).await;
    let too_many = within(rival.acquire_many::<Vec<_>>(4)).await;
    assert_eq!(too_many.unwrap_err(), ErrorKind::Deadlock);
    drop(two);
    let three: Vec<_> = within(rival.acquire_many(3)).await.unwrap();
    assert!(three.iter().all(|lease| lease.is_held()));
    // The session of all leases ends.
    realm.expire(&other).await;
    let all: Vec<_> = within(semaphore.acquire_many(3)).await.unwrap();
    assert!(three.iter().all(|lease| !lease.is_held()));
    drop((all, three));
    assert_free(&client, "/semaphore/leases").await;
}

pub async fn the_number_of_permits_may_be_shared(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let path = docent::Path::new("/permits").unwrap();
    let shared = |client: &docent::Client| {
        let semaphore = client.semaphore("/semaphore", 0).unwrap();
        semaphore.with_shared_permits(path).unwrap()
    };
    let semaphore = shared(&client);
    assert!(matches!(semaphore.permits(), Permits::Shared(_)));
    let missing = within(semaphore.acquire()).await.unwrap_err();
    assert_eq!(missing, ErrorKind::Server(Code::NoNode));
    let persistent = CreateMode::Persistent;
    client.create("/permits", b"no", persistent).await.unwrap();
    let wrong = within(semaphore.acquire()).await.unwrap_err();
    assert_eq!(wrong, ErrorKind::Server(Code::DataInconsistency));
    let set = async |permits: i32| {
        let permits = permits.to_be_bytes();
        client.set("/permits", &permits, None).await.unwrap();
    };
    set(1).await;
    let one = within(semaphore.acquire()).await.unwrap();
    let rival = shared(&other);
    let waiting = tokio::spawn(async move { rival.acquire().await.unwrap() });
    until_children(&client, "/semaphore/leases", |names| names.len() == 2).await;
    assert!(!waiting.is_finished());
    set(2).await;
    let two = within(waiting).await.unwrap();
    drop((one, two));
    assert_free(&client, "/semaphore/leases").await;
    assert_clean(&other).await;
}

pub async fn a_holder_is_asked_to_give_up(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.lock("/lock").unwrap().with_data(b"data".to_vec());
    let guard = within(lock.acquire()).await.unwrap();
    {
        let mut requests = guard.revocations();
        assert!(waits(requests.next()).await);
        let handle = other.handle();
        for _ in 0..2 {
            docent::core::recipes::revoke(handle, guard.path())
                .await
                .unwrap();
            within(requests.next()).await.unwrap();
            assert!(waits(requests.next()).await);
        }
        other
            .set(guard.path().as_str(), b"else", None)
            .await
            .unwrap();
        assert!(waits(requests.next()).await);
        other.delete(guard.path().as_str(), None).await.unwrap();
        let gone = within(requests.next()).await.unwrap_err();
        assert!(gone.is_no_node());
    }
    drop(guard);
    assert_clean(&client).await;
}

pub async fn work_stops_with_the_lock(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let guard = acquire(&client.lock("/lock").unwrap()).await;
    assert_eq!(within(guard.run(async { 7 })).await, Some(7));
    let steps = std::sync::atomic::AtomicU32::new(0);
    let work = async {
        steps.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        std::future::pending::<()>().await;
    };
    let stopped = async {
        time::sleep(Duration::from_millis(50)).await;
        other.delete(guard.path().as_str(), None).await.unwrap();
    };
    let (done, ()) = within(async { tokio::join!(guard.run(work), stopped) }).await;
    assert_eq!((done, steps.into_inner()), (None, 1));
    // After its loss none of the work is done.
    realm.expire(&client).await;
    within(guard.lost()).await;
    let work = guard.run(async { panic!("the lock is lost") });
    assert!(matches!(at_once(work), Some(None::<()>)));
}

pub async fn a_queue_explains_itself(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = client.rw_lock("/lock").unwrap().with_data("host-1");
    let none = lock.explain().await.unwrap();
    assert_eq!((none.contenders.len(), none.foreign), (0, 0));
    client.ensure("/lock/config").await.unwrap();
    let reader = within(lock.read()).await.unwrap();
    let rival = other.rw_lock("/lock").unwrap();
    let writer = tokio::spawn(async move { rival.write().await.unwrap() });
    until_children(&client, "/lock", |names| names.len() == 3).await;
    let told = within(lock.explain()).await.unwrap();
    assert_eq!((told.path.as_str(), told.foreign), ("/lock", 1));
    let [first, second] = &told.contenders[..] else {
        panic!("{told}");
    };
    assert_eq!(reader.path().name(), first.name);
    assert_eq!(first.data, b"host-1");
    assert_eq!(first.fencing_token, reader.fencing_token());
    assert_eq!(Some(first.session), client.session_id());
    assert_eq!(Some(second.session), other.session_id());
    assert_eq!((first.waits_for, second.waits_for), (None, Some(0)));
    assert!(told.to_string().contains("(this one)"), "{told}");
    drop(reader);
    drop(within(writer).await.unwrap());
    // The reaper has not deleted what it has no right to.
    until_children(&client, "/lock", |names| names.len() == 1).await;
    assert_eq!(client.handle().status().lapses, 0);
}

pub async fn an_owner_acquires_its_lock_again(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let lock = docent::ReentrantLock::new(client.lock("/lock").unwrap());
    let outer = within(lock.acquire("job-1")).await.unwrap();
    let inner = within(lock.clone().acquire("job-1")).await.unwrap();
    assert_eq!(inner.fencing_token(), outer.fencing_token());
    assert!(waits(lock.acquire("job-2")).await);
    outer.release().await.unwrap();
    assert!(inner.is_held());
    assert!(waits(lock.acquire("job-2")).await);
    let token = inner.fencing_token();
    inner.release().await.unwrap();
    let next = within(lock.acquire("job-2")).await.unwrap();
    assert!(next.fencing_token() > token);
    // What is lost is not had again.
    realm.expire(&client).await;
    within(next.lost()).await;
    let rival = acquire(&other.lock("/lock").unwrap()).await;
    assert!(waits(lock.acquire("job-2")).await);
    rival.release().await.unwrap();
    let again = within(lock.acquire("job-2")).await.unwrap();
    assert!(again.is_held() && !next.is_held());
    drop((again, next));
    assert_free(&client, "/lock").await;
    assert_clean(&other).await;
}

pub async fn a_queue_deleted_under_its_contenders_is_made_anew(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let operator = realm.client().await;
    let holder = acquire(&client.lock("/a/lock").unwrap()).await;
    let lock = other.lock("/a/lock").unwrap();
    let waiting = tokio::spawn(async move { acquire(&lock).await });
    until_children(&operator, "/a/lock", |names| names.len() == 2).await;
    // Now and then the waiter is quicker, and its next node is in the way.
    let deleted = async {
        while operator.exists("/a/lock").await.unwrap().is_some() {
            for name in operator.children("/a/lock").await.unwrap().iter() {
                let _ = operator.delete(&format!("/a/lock/{name}"), None).await;
            }
            if operator.delete("/a/lock", None).await.is_ok() {
                break;
            }
            if waiting.is_finished() {
                break;
            }
        }
    };
    within(deleted).await;
    within(holder.lost()).await;
    let next = within(waiting).await.unwrap();
    assert!(next.is_held() && next.fencing_token() > holder.fencing_token());
    within(holder.release()).await.unwrap();
    assert!(next.is_held());
    drop(next);
    assert_free(&operator, "/a/lock").await;
}

pub async fn a_queue_that_may_not_be_read_is_an_error_and_leaves_nothing(realm: Realm) {
    let writers = [Acl {
        perms: Perms::CREATE | Perms::DELETE,
        scheme: "world",
        id: "anyone",
    }];
    let client = realm.client().await;
    let persistent = CreateMode::Persistent;
    for path in [
        "/lock",
        "/semaphore",
        "/semaphore/locks",
        "/semaphore/leases",
    ] {
        let acl = if path == "/semaphore" {
            Acl::OPEN
        } else {
            &writers
        };
        client
            .create_with(path, b"", persistent, acl)
            .await
            .unwrap();
    }
    let denied = ErrorKind::Server(Code::NoAuth);
    let lock = client.lock("/lock").unwrap();
    assert_eq!(within(lock.acquire()).await.unwrap_err(), denied);
    assert_eq!(within(lock.try_acquire()).await.unwrap_err(), denied);
    assert_eq!(within(lock.explain()).await.unwrap_err(), denied);
    let rw_lock = client.rw_lock("/lock").unwrap();
    assert_eq!(within(rw_lock.read()).await.unwrap_err(), denied);
    let semaphore = client.semaphore("/semaphore", 1).unwrap();
    assert_eq!(within(semaphore.acquire()).await.unwrap_err(), denied);
    let election = client.election("/lock", "alice").unwrap();
    assert_eq!(within(election.campaign()).await.unwrap_err(), denied);
    assert_eq!(within(election.leader()).await.unwrap_err(), denied);
    assert_clean(&client).await;
    for empty in ["/lock", "/semaphore/locks", "/semaphore/leases"] {
        client.delete(empty, None).await.unwrap();
    }
    assert_eq!(client.status().connections, 1);
}

/// Lets there be so many nodes at and below a node, itself included.
async fn limit(realm: &Realm, path: &str, nodes: u32) {
    let client = realm.outside().await;
    let quota = format!("/zookeeper/quota{}", realm.absolute(path));
    client.ensure(&quota).await.unwrap();
    // What there is the server counts itself.
    let limits = format!("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit={nodes}");
    for (name, text) in [
        ("limits", &*limits),
        (
            "stats",
            "count=0,bytes=0=;byteHardLimit=-1;countHardLimit=-1",
        ),
    ] {
        let node = format!("{quota}/zookeeper_{name}");
        let persistent = CreateMode::Persistent;
        client
            .create(&node, text.as_bytes(), persistent)
            .await
            .unwrap();
    }
}

pub async fn who_is_above_the_quota_is_told_at_once_and_leaves_nothing(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    for path in [
        "/shop/lock",
        "/shop/semaphore/locks",
        "/shop/semaphore/leases",
    ] {
        client.ensure(path).await.unwrap();
    }
    // One more than there are.
    limit(&realm, "/shop", 6).await;
    let lock = client.lock("/shop/lock").unwrap();
    let guard = within(lock.acquire()).await.unwrap();
    let cache = other.cache("/shop").start().unwrap();
    within(cache.ready()).await.unwrap();

    let full = ErrorKind::Server(Code::QuotaExceeded);
    let rival = other.lock("/shop/lock").unwrap();
    assert_eq!(within(rival.acquire()).await.unwrap_err(), full);
    // To see that somebody else has it takes no node.
    assert!(within(rival.try_acquire()).await.unwrap().is_none());
    let semaphore = other.semaphore("/shop/semaphore", 1).unwrap();
    assert_eq!(within(semaphore.acquire()).await.unwrap_err(), full);
    let election = other.election("/shop/lock", "bob").unwrap();
    assert_eq!(within(election.campaign()).await.unwrap_err(), full);
    let created = other.create("/shop/new", b"", CreateMode::Persistent);
    assert_eq!(code(within(created).await), Code::QuotaExceeded);
    assert_clean(&other).await;
    assert!(guard.is_held() && cache.is_fresh());
    assert_eq!((cache.tally().nodes, cache.is_complete()), (6, true));

    within(guard.release()).await.unwrap();
    let guard = within(rival.acquire()).await.unwrap();
    within(guard.release()).await.unwrap();
    // A turn leaves room for no lease.
    assert_eq!(within(semaphore.acquire()).await.unwrap_err(), full);
    assert_free(&other, "/shop/semaphore/locks").await;
    assert_free(&other, "/shop/lock").await;
    assert_eq!(other.status().connections, 1);
}
