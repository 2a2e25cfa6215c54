//! Everything of the client can be used from several threads.

mod scripts;

use std::future::Future;
use std::time::Duration;

use docent::core::client::{Claim, Client as _};
use docent::core::handle::{Handle, Reply};
use docent::core::recipes::cache::{Cache, HeapStore};
use docent::core::wire::{AddWatchMode, Exists, GetChildNames, GetData};
use docent::{
    Acl, Acls, Builder, Children, Client, ConnectError, CreateMode, Credentials, Data, Election,
    Error, Guard, Identities, Link, Lock, MultiReply, Op, Path, Paths, ReadGuard, ReadOp, Reconfig,
    RwLock, Semaphore, States, Status, Watcher, WriteGuard,
};
use docent_testing::peer::Peer;
use scripts::{Honest, builder, within};

const fn send<T: Send>(_: &T) {}
const fn is_send<T: Send + 'static>() {}
const fn is_shared<T: Send + Sync + 'static>() {}
const fn is_handle<T: Clone + Send + Sync + 'static>() {}

#[test]
fn values_go_from_thread_to_thread() {
    is_handle::<Client>();
    is_handle::<Builder>();
    is_handle::<Lock>();
    is_handle::<RwLock>();
    is_handle::<Semaphore>();
    is_handle::<Election>();
    is_handle::<docent::cache::Cache>();
    is_handle::<Handle<Link>>();
    is_handle::<Credentials>();
    is_handle::<Status>();
    is_handle::<Error>();
    is_shared::<ConnectError>();
    is_shared::<Guard>();
    is_shared::<Watcher>();
    is_shared::<docent::cache::Events>();
    is_handle::<docent::cache::Event>();
    is_send::<States>();
    is_shared::<Data<bytes::Bytes>>();
    is_shared::<Children<bytes::Bytes>>();
    is_shared::<Acls<bytes::Bytes>>();
    is_shared::<Paths<bytes::Bytes>>();
    is_shared::<Identities<bytes::Bytes>>();
    is_shared::<MultiReply<bytes::Bytes>>();
    is_send::<Reply<Link, GetData<'static>>>();
    is_send::<<Handle<Link> as docent::core::client::Client>::Claim>();
    is_send::<<Handle<Link> as docent::core::client::Client>::Watcher>();
}

/// None of them is polled, so that nothing is asked of any server.
#[tokio::test]
async fn futures_of_the_client_go_from_thread_to_thread() {
    let client = builder("127.0.0.1:1").start().unwrap();
    let path = Path::new("/a").unwrap();
    let check = Op::Check {
        path,
        version: None,
    };
    let ops = [check];
    let reads = [ReadOp::GetData(path)];
    let reconfig = Reconfig {
        joining: None,
        leaving: None,
        members: None,
        from: None,
    };
    send(&client.create("/a", b"", CreateMode::Persistent));
    send(&client.create_with("/a", b"", CreateMode::Persistent, Acl::OPEN));
    send(&client.ensure("/a"));
    send(&client.delete("/a", None));
    send(&client.exists("/a"));
    send(&client.get("/a"));
    send(&client.set("/a", b"", None));
    send(&client.children("/a"));
    send(&client.count_descendants("/a"));
    send(&client.get_acl("/a"));
    send(&client.set_acl("/a", Acl::OPEN, None));
    send(&client.sync("/a"));
    send(&client.ephemerals("/"));
    send(&client.who_am_i());
    send(&client.config());
    send(&client.reconfig(reconfig));
    send(&client.multi(&ops));
    send(&client.multi_read(&reads));
    send(&client.retry(GetData { path }));
    send(&client.exists_and_watch("/a"));
    send(&client.get_and_watch("/a"));
    send(&client.children_and_watch("/a"));
    send(&client.watch("/a"));
    send(&client.watch_tree("/a"));
    send(&client.connected());
    send(&client.changed(client.status()));
    send(&client.add_auth("digest", b"a:b"));
    send(&client.clone().close());
    send(&builder("127.0.0.1:1").connect());
    send(&docent::connect("127.0.0.1:1"));
}

#[tokio::test]
async fn futures_of_the_handle_go_from_thread_to_thread() {
    let client = builder("127.0.0.1:1").start().unwrap();
    let handle = client.handle();
    let path = Path::new("/a").unwrap();
    send(&handle.call(Exists { path }));
    send(&handle.watch(GetChildNames { path }));
    send(&handle.watch_absent(Exists { path }));
    send(&handle.subscribe(path, AddWatchMode::Recursive));
    send(&handle.retry(GetData { path }));
    send(&handle.session());
    send(&handle.changed(client.status()));
    send(&handle.authenticated(0));
    send(&docent::core::recipes::reap(handle.clone()));
    send(&docent::core::recipes::create_parents(
        handle,
        path,
        CreateMode::Container,
        Acl::OPEN,
    ));
}

/// To be compiled: that is the test.
#[test]
fn futures_of_locks_and_watchers_go_from_thread_to_thread() {
    fn lock(lock: &Lock) {
        send(&lock.acquire());
    }
    fn lost(guard: &Guard) {
        send(&guard.lost());
    }
    fn release(guard: Guard) {
        send(&guard.release());
    }
    fn ready(cache: &docent::cache::Cache) {
        send(&cache.ready());
    }
    fn next(events: &mut docent::cache::Events) {
        send(&events.next());
    }
    fn by_hand(cache: &mut Cache<Handle<Link>, HeapStore>) {
        send(&cache.next());
    }
    fn changed(watcher: &mut Watcher) {
        send(&watcher.changed());
    }
    fn settle(claim: <Handle<Link> as docent::core::client::Client>::Claim) {
        claim.settle();
    }
    let _: fn(&Lock) = lock;
    fn recipes(lock: &Lock, rw_lock: &RwLock, semaphore: &Semaphore, election: &Election) {
        send(&lock.try_acquire());
        send(&lock.explain());
        send(&rw_lock.read());
        send(&rw_lock.try_write());
        send(&semaphore.acquire());
        send(&semaphore.acquire_many::<Vec<_>>(2));
        send(&semaphore.try_acquire());
        send(&election.campaign());
        send(&election.candidate().changed());
        send(&election.observe().next());
    }
    let _: fn(&Lock, &RwLock, &Semaphore, &Election) = recipes;
    fn guards(lock: &RwLock, reader: ReadGuard, writer: WriteGuard) {
        send(&reader.run(async {}));
        send(&reader.revocations().next());
        send(&lock.try_upgrade(reader));
        send(&lock.downgrade(writer));
    }
    let _: fn(&RwLock, ReadGuard, WriteGuard) = guards;
    let _: fn(&Guard) = lost;
    let _: fn(Guard) = release;
    let _: fn(&mut Watcher) = changed;
    let _: fn(&docent::cache::Cache) = ready;
    let _: fn(&mut docent::cache::Events) = next;
    let _: fn(&mut Cache<Handle<Link>, HeapStore>) = by_hand;
    let _: fn(<Handle<Link> as docent::core::client::Client>::Claim) = settle;
}

/// Runs a future that nobody else needs, on whichever thread there is.
async fn elsewhere<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    within(tokio::spawn(future)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_serves_tasks_on_many_threads() {
    let peer = Peer::start(|mut it| async move { Honest::serve(&mut it).await }).await;
    let client = elsewhere(builder(peer.addr()).connect()).await.unwrap();

    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let client = client.clone();
        tasks.spawn(async move {
            for turn in 0..50 {
                let data = client.get(&format!("/{task}/{turn}")).await.unwrap();
                assert_eq!(data.data(), scripts::GOOD);
                tokio::task::yield_now().await;
            }
        });
    }
    within(tasks.join_all()).await;

    let lock = client.lock("/lock").unwrap();
    let guard = elsewhere(async move { lock.acquire().await })
        .await
        .unwrap();
    let guard = elsewhere(async move {
        let lost = tokio::time::timeout(Duration::from_millis(20), guard.lost()).await;
        assert!(lost.is_err() && guard.is_held());
        guard
    })
    .await;
    elsewhere(guard.release()).await.unwrap();

    let other = client.clone();
    let mut watcher = elsewhere(async move { other.watch("/a").await })
        .await
        .unwrap();
    let waiting = tokio::spawn(async move { watcher.changed().await });
    elsewhere(client.close()).await;
    assert_eq!(within(waiting).await.unwrap(), Some(docent::Change::Lost));
    assert_eq!(peer.finish().connections.len(), 1);
}
