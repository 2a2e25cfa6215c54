//! What servers can do to a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use docent::core::client::Client as _;
use docent::core::wire::{Exists, GetData};
use docent::{Change, Client, End, ErrorKind, Lost, Path, State, Status};
use docent_testing::peer::{Body, Cut, Grant, Peer, Proxy, Record, Request, op};

use crate::scripts::{GOOD, Honest, SESSION, TIMEOUT, builder, frame, good, within};

const SHORT: Duration = Duration::from_millis(600);
const AUTH_XID: i32 = -4;

async fn until(client: &Client, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = client.status();
    while !wanted(&status) {
        status = within(client.changed(status)).await;
    }
    status
}

#[tokio::test]
async fn an_expired_session_is_told_to_everyone_once() {
    let peer = Peer::start(|mut it| async move {
        match it.index() {
            0 => {
                it.welcome(SESSION, TIMEOUT).await?;
                let mut honest = Honest::default();
                loop {
                    let request = it.request().await?;
                    if request.path() == Some("/cut") {
                        it.rst();
                        return Ok(());
                    }
                    honest.answer(&mut it, &request).await?;
                }
            }
            1 => {
                let connect = it.connect_request().await?;
                assert_eq!(connect.session, SESSION);
                it.expired().await?;
                it.fin().await;
                Ok(())
            }
            _ => {
                let connect = it.connect_request().await?;
                assert_eq!((connect.session, connect.last_zxid), (0, 0));
                it.accept(&Grant::new(SESSION + 1, TIMEOUT)).await?;
                Honest::default().answer_all(&mut it).await
            }
        }
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    let (_, mut once) = within(client.get_and_watch("/node")).await.unwrap();
    let mut node = client.watch("/node").await.unwrap();
    let mut tree = client.watch_tree("/").await.unwrap();
    let (pinned, id, before) = client.handle().session().await.unwrap();
    assert_eq!(id, SESSION);
    let lock = client.lock("/lock").unwrap();
    let guard = within(lock.acquire()).await.unwrap();

    let path = Path::new("/cut").unwrap();
    let sent = client.submit(&GetData { path }).unwrap();
    assert_eq!(within(sent).await.unwrap_err(), ErrorKind::ConnectionLost);
    let waiting = client.submit(&GetData { path });
    let status = until(&client, |it| it.epoch != before.epoch).await;
    assert_eq!(status.lost, Some(Lost::Expired));
    assert_eq!(status.lapses, before.lapses + 1);
    let waiting = within(waiting.unwrap()).await.unwrap_err();
    assert_eq!(waiting, ErrorKind::NotSent(End::Expired));
    for watcher in [&mut once, &mut node, &mut tree] {
        let mut told = vec![];
        while let Some(change) = within(watcher.changed()).await {
            told.push(change);
        }
        assert_eq!(told, [Change::Lost]);
    }
    within(guard.lost()).await;
    assert!(!guard.is_held() && guard.valid_until().is_none());
    let late = pinned.call(Exists { path }).await.unwrap_err();
    assert_eq!(late, ErrorKind::NotSent(End::Expired));

    within(client.get("/node")).await.unwrap();
    assert_eq!(client.session_id(), Some(SESSION + 1));
    assert_eq!(
        (client.status().epoch.get(), client.status().connections),
        (2, 2)
    );
    within(guard.release()).await.unwrap();
    let record = peer.finish();
    assert_eq!(record.connections.len(), 3);
    let second = &record.connections[2].requests;
    let ops: Vec<_> = second.iter().map(|it| it.op).collect();
    assert_eq!(
        ops,
        [op::GET_DATA],
        "nothing of the old session is tried in the new one"
    );
}

#[tokio::test]
async fn another_session_than_the_one_asked_for_is_a_loss() {
    let peer = Peer::start(|mut it| async move {
        it.connect_request().await?;
        let session = SESSION + it.index() as i64;
        it.accept(&Grant::new(session, TIMEOUT)).await?;
        Honest::default().answer_all(&mut it).await
    })
    .await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    let mut watcher = within(client.watch("/node")).await.unwrap();
    let (pinned, ..) = client.handle().session().await.unwrap();
    proxy.cut(Cut::Fin);
    let status = until(&client, |it| it.connections == 2).await;
    assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Replaced)));
    assert_eq!(client.session_id(), Some(SESSION + 1));
    assert_eq!(within(watcher.changed()).await, Some(Change::Lost));
    assert_eq!(within(watcher.changed()).await, None);
    let path = Path::new("/node").unwrap();
    let late = pinned.call(Exists { path }).await.unwrap_err();
    assert_eq!(late, ErrorKind::NotSent(End::Expired));
    within(client.get("/node")).await.unwrap();
    let record = peer.finish();
    let asked = record.connections[1].connect.as_ref().unwrap();
    assert_eq!(asked.session, SESSION);
    let restored = record.requests().any(|it| it.op == op::SET_WATCHES2);
    assert!(!restored, "the new session knows nothing of old watches");
}

#[tokio::test]
async fn a_client_that_may_not_renew_ends_with_its_session() {
    for expired in [true, false] {
        let peer = Peer::start(move |mut it| async move {
            it.connect_request().await?;
            if it.index() > 0 && expired {
                it.expired().await?;
            } else {
                let session = SESSION + it.index() as i64;
                it.accept(&Grant::new(session, TIMEOUT)).await?;
            }
            Honest::default().answer_all(&mut it).await
        })
        .await;
        let proxy = Proxy::start(peer.addr()).await;
        let client = builder(proxy.addr()).renew(false).connect().await.unwrap();
        let mut watcher = within(client.watch("/node")).await.unwrap();
        proxy.cut(Cut::Rst);
        let status = until(&client, |it| it.state.end().is_some()).await;
        let lost = if expired {
            Lost::Expired
        } else {
            Lost::Replaced
        };
        assert_eq!((status.state, status.lost), (State::Expired, Some(lost)));
        assert_eq!(within(watcher.changed()).await, Some(Change::Lost));
        let error = within(client.get("/node")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSent(End::Expired));
        within(client.close()).await;
        let ended = |it: &Record| it.connections[1].ended.is_some();
        let record = peer.until(ended).await;
        assert_eq!(record.connections[1].requests.len(), 0);
    }
}

#[tokio::test]
async fn a_reply_may_end_the_session() {
    // Expired: another session follows. Moved: the same one goes on.
    for (code, session) in [(-112, 0), (-118, SESSION)] {
        let peer = Peer::start(move |mut it| async move {
            let connect = it.connect_request().await?;
            let index = it.index() as i64;
            if index > 0 {
                assert_eq!(connect.session, session);
            }
            let granted = if connect.session == 0 {
                SESSION + index
            } else {
                SESSION
            };
            it.accept(&Grant::new(granted, TIMEOUT)).await?;
            if index > 0 {
                return Honest::default().answer_all(&mut it).await;
            }
            let request = it.request().await?;
            it.err(&request, code).await?;
            it.ended().await;
            Ok(())
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        let error = within(client.get("/node")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(code.into()));
        within(client.get("/node")).await.unwrap();
        let epochs = if code == -112 { 2 } else { 1 };
        assert_eq!(client.status().epoch.get(), epochs);
        peer.finish();
    }
}

#[tokio::test]
async fn a_server_that_demands_authentication_ends_the_client() {
    let replies = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        let request = it.request().await?;
        it.err(&request, -124).await?;
        it.fin().await;
        Ok(())
    })
    .await;
    let client = builder(replies.addr()).connect().await.unwrap();
    let error = within(client.get("/node")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server((-124).into()));
    let error = within(client.get("/node")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::AuthFailed));

    let refuses = Peer::start(|mut it| async move {
        it.connect_request().await?;
        it.refuse(-124).await?;
        it.fin().await;
        Ok(())
    })
    .await;
    let error = builder(refuses.addr()).connect().await.unwrap_err();
    assert_eq!(error, docent::ConnectError::Ended(End::AuthFailed));
    assert_eq!(refuses.record().connections.len(), 1);
    assert_eq!(replies.record().connections.len(), 1);
}

#[tokio::test]
async fn everything_goes_by_the_timeout_that_the_server_grants() {
    let granted = |index: usize| SHORT / (index as u32 % 2 + 1);
    let peer = Peer::start(move |mut it| async move {
        it.welcome(SESSION, granted(it.index())).await?;
        it.answer_pings(false);
        for _ in 0..3 {
            // Each comes before a third of the time is over, and well before the one asked for.
            let ping = it.expect(op::PING).await?;
            it.reply(ping.xid, 0, 0, &[]).await?;
        }
        // From here on the server is silent.
        it.ended().await;
        Ok(())
    })
    .await;
    let builder = builder(peer.addr()).session_timeout(Duration::from_secs(3600));
    let client = builder.connect().await.unwrap();
    for connection in 0..3 {
        until(&client, |it| it.connections as usize == connection + 1).await;
        assert_eq!(client.session_timeout(), granted(connection));
        until(&client, |it| !it.state.is_connected()).await;
    }
    assert_eq!(
        (client.status().epoch.get(), client.status().lost),
        (1, None)
    );
    let record = peer.finish();
    for connection in &record.connections {
        let connect = connection.connect.as_ref().unwrap();
        assert_eq!(connect.timeout_ms, 3_600_000, "the wish stays the same");
    }
}

#[tokio::test]
async fn a_client_recovers_from_an_ensemble_that_has_lost_its_data() {
    // Servers close the connection, without a word, of a client that has seen more than they.
    let peer = Peer::start(|mut it| async move {
        let connect = it.connect_request().await?;
        if it.index() > 0 && connect.last_zxid > 0 {
            it.fin().await;
            return Ok(());
        }
        let session = SESSION + it.index() as i64;
        it.accept(&Grant::new(session, SHORT)).await?;
        let request = it.request().await?;
        if it.index() == 0 {
            it.zxid = 0x7_0000_0001;
            it.ok(&request, &good(1)).await?;
            it.rst();
            return Ok(());
        }
        let mut honest = Honest::default();
        honest.answer(&mut it, &request).await?;
        honest.answer_all(&mut it).await
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
    until(&client, |it| it.epoch.get() == 2).await;
    let data = within(client.get("/node")).await.unwrap();
    assert_eq!(data.data(), GOOD);
    assert_eq!(client.status().lost, Some(Lost::Presumed));
    let record = peer.finish();
    let last = record.connections.last().unwrap().connect.as_ref().unwrap();
    assert_eq!((last.session, last.last_zxid), (0, 0));
}

#[tokio::test]
async fn credentials_and_watches_precede_all_requests_on_every_connection() {
    let peer = Peer::start(|mut it| async move { Honest::serve(&mut it).await }).await;
    let proxy = Proxy::start(peer.addr()).await;
    let builder = builder(proxy.addr()).auth("digest", "alice:secret");
    let client = builder.connect().await.unwrap();
    within(client.add_auth("digest", b"bob:secret"))
        .await
        .unwrap();
    let (_, _once) = within(client.get_and_watch("/once")).await.unwrap();
    let _watcher = within(client.watch("/node")).await.unwrap();
    for connection in 1..4 {
        proxy.refuse(true);
        proxy.cut(Cut::Rst);
        until(&client, |it| !it.state.is_connected()).await;
        let path = Path::new("/node").unwrap();
        let waiting = client.submit(&GetData { path }).unwrap();
        proxy.refuse(false);
        within(waiting).await.unwrap();
        let record = peer.record();
        let requests = &record.connections[connection].requests;
        let ops: Vec<_> = requests.iter().map(|it| it.op).collect();
        let expected = [op::AUTH, op::AUTH, op::SET_WATCHES2, op::GET_DATA];
        assert_eq!(ops, expected);
        let holds = |request: &Request, text: &[u8]| {
            request.body.windows(text.len()).any(|part| part == text)
        };
        assert!(holds(&requests[0], b"alice:secret"));
        assert!(holds(&requests[1], b"bob:secret"));
    }
    assert_eq!(client.status().epoch.get(), 1);
}

#[tokio::test]
async fn refused_credentials_end_the_client() {
    for connection in [0, 1] {
        let peer = Peer::start(move |mut it| async move {
            it.welcome(SESSION, TIMEOUT).await?;
            let auth = it.expect(op::AUTH).await?;
            let code = if it.index() == connection { -115 } else { 0 };
            it.reply(AUTH_XID, 0, code, &[]).await?;
            assert_eq!(auth.xid, AUTH_XID);
            if code == 0 {
                let request = it.request().await?;
                it.ok(&request, &good(1)).await?;
                it.rst();
            } else {
                // A request may be on its way by now, but it is not answered.
                it.fin().await;
            }
            Ok(())
        })
        .await;
        let builder = builder(peer.addr()).auth("sasl", "refused");
        let client = builder.start().unwrap();
        if connection == 1 {
            within(client.get("/node")).await.unwrap();
        }
        let error = within(client.get("/node")).await.unwrap_err();
        let expected = [
            ErrorKind::NotSent(End::AuthFailed),
            ErrorKind::ConnectionLost,
        ];
        assert!(expected.contains(&error.kind()), "{error}");
        let status = until(&client, |it| it.state.end().is_some()).await;
        assert_eq!(status.state, State::AuthFailed);
        let error = within(client.add_auth("digest", b"a:b")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSent(End::AuthFailed));
        assert_eq!(peer.finish().connections.len(), connection + 1);
    }
}

/// The lists of paths in a request that sets watches, and the transaction it counts from.
fn set_watches(request: &Request) -> (i64, Vec<Vec<String>>) {
    let mut body = docent::core::wire::Decoder::new(&request.body);
    let zxid = body.long().unwrap();
    let lists = if request.op == op::SET_WATCHES2 { 5 } else { 3 };
    let mut list = || {
        let count = body.count(4).unwrap();
        (0..count)
            .map(|_| body.string().unwrap().to_owned())
            .collect()
    };
    let lists = (0..lists).map(|_| list()).collect();
    assert_eq!(body.remaining(), 0);
    (zxid, lists)
}

#[tokio::test]
async fn thousands_of_watches_are_restored_in_pieces() {
    const COUNT: usize = 2000;
    let peer = Peer::start(|mut it| async move {
        let connect = it.welcome(SESSION, TIMEOUT).await?;
        it.zxid = connect.last_zxid.max(100) + 1;
        let mut honest = Honest::default();
        loop {
            let request = it.request().await?;
            if request
                .path()
                .is_some_and(|path| path.starts_with("/absent"))
            {
                it.err(&request, -101).await?;
            } else {
                honest.answer(&mut it, &request).await?;
            }
        }
    })
    .await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    let name = |kind: &str, n: usize| format!("/{kind}/{n}-{}", "x".repeat(200));
    let mut watchers = vec![];
    for n in 0..COUNT {
        let watcher = match n % 5 {
            0 => {
                within(client.get_and_watch(&name("data", n)))
                    .await
                    .unwrap()
                    .1
            }
            1 => {
                within(client.exists_and_watch(&name("absent", n)))
                    .await
                    .unwrap()
                    .1
            }
            2 => {
                within(client.children_and_watch(&name("child", n)))
                    .await
                    .unwrap()
                    .1
            }
            3 if n > COUNT / 2 => within(client.watch(&name("node", n))).await.unwrap(),
            4 if n > COUNT / 2 => within(client.watch_tree(&name("tree", n))).await.unwrap(),
            _ => {
                within(client.exists_and_watch(&name("data", n)))
                    .await
                    .unwrap()
                    .1
            }
        };
        watchers.push(watcher);
    }
    let seen = client.credentials().unwrap().zxid;
    assert_eq!(seen as usize, 100 + COUNT);
    proxy.cut(Cut::Rst);
    until(&client, |it| it.connections == 2).await;
    within(client.get("/node")).await.unwrap();

    let record = peer.record();
    let requests = &record.connections[1].requests;
    let (last, restored) = requests.split_last().unwrap();
    assert_eq!(last.op, op::GET_DATA);
    assert!(restored.len() >= 4, "{}", restored.len());
    // Servers before 3.9 keep one watch on a path, the last one set, and need the lasting one.
    let lasting = restored.partition_point(|it| it.op == op::SET_WATCHES);
    assert!(restored[lasting..].iter().all(|it| {
        let (_, lists) = set_watches(it);
        it.op == op::SET_WATCHES2 && lists[..3].concat().is_empty()
    }));
    let mut all = vec![vec![]; 5];
    for request in restored {
        assert!(request.body.len() <= 128 << 10, "{}", request.body.len());
        let (zxid, lists) = set_watches(request);
        assert_eq!(zxid, seen, "what was seen before this connection");
        let persistent = lists.len() == 5;
        assert_eq!(
            persistent,
            lists.iter().skip(3).any(|list| !list.is_empty())
        );
        for (all, list) in all.iter_mut().zip(lists) {
            all.extend(list);
        }
    }
    for (list, kind) in ["data", "absent", "child", "node", "tree"]
        .iter()
        .enumerate()
    {
        let expected: std::collections::BTreeSet<_> = (0..COUNT)
            .map(|n| {
                (
                    n,
                    if n % 5 > 2 && n <= COUNT / 2 {
                        0
                    } else {
                        n % 5
                    },
                )
            })
            .filter(|(_, of)| *of == list)
            .map(|(n, _)| name(kind, n))
            .collect();
        let found: std::collections::BTreeSet<_> = all[list].iter().cloned().collect();
        assert_eq!(found.len(), all[list].len(), "each once");
        assert_eq!(found, expected, "{kind}");
    }
    // Only those that servers do not replay need another look.
    for (n, watcher) in watchers.iter_mut().enumerate() {
        let told = crate::scripts::at_once(watcher.changed());
        let persistent = n % 5 > 2 && n > COUNT / 2;
        assert_eq!(told.is_some(), persistent);
        assert!(told.is_none_or(|told| told == Some(Change::Resync)));
    }
}

#[tokio::test]
async fn what_happened_meanwhile_is_told_once() {
    // A server replays the events of the gap ahead of its answer.
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        let mut honest = Honest::default();
        loop {
            let request = it.request().await?;
            if request.op == op::SET_WATCHES {
                it.event(3, "/changed").await?;
                it.event(2, "/deleted").await?;
                it.event(4, "/parent").await?;
            }
            honest.answer(&mut it, &request).await?;
        }
    })
    .await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    let (_, mut changed) = within(client.get_and_watch("/changed")).await.unwrap();
    let (_, mut deleted) = within(client.get_and_watch("/deleted")).await.unwrap();
    let (_, mut parent) = within(client.children_and_watch("/parent")).await.unwrap();
    let (_, mut quiet) = within(client.get_and_watch("/quiet")).await.unwrap();
    for connections in 2..5 {
        proxy.cut(Cut::Fin);
        until(&client, |it| it.connections == connections).await;
        within(client.get("/node")).await.unwrap();
    }
    for (watcher, kind) in [
        (&mut changed, docent::EventKind::DataChanged),
        (&mut deleted, docent::EventKind::Deleted),
        (&mut parent, docent::EventKind::ChildrenChanged),
    ] {
        let told = within(watcher.changed()).await;
        assert_eq!(told, Some(Change::Node(kind.into())));
        assert_eq!(within(watcher.changed()).await, None);
    }
    assert_eq!(crate::scripts::at_once(quiet.changed()), None);
    let record = peer.record();
    for connection in &record.connections[2..] {
        let (_, lists) = set_watches(&connection.requests[0]);
        assert_eq!(lists, [vec!["/quiet".to_owned()], vec![], vec![]]);
    }
}

#[tokio::test]
async fn watches_that_a_server_will_not_set_again_cost_the_connection() {
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        let mut honest = Honest::default();
        loop {
            let request = it.request().await?;
            if request.op == op::SET_WATCHES && it.index() < 3 {
                it.send(&frame(request.xid, 0, -5, &[])).await?;
            } else {
                honest.answer(&mut it, &request).await?;
            }
        }
    })
    .await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    let (_, mut watcher) = within(client.get_and_watch("/node")).await.unwrap();
    proxy.cut(Cut::Fin);
    until(&client, |it| it.connections == 4).await;
    within(client.get("/node")).await.unwrap();
    assert_eq!(client.status().connections, 4);
    assert_eq!(crate::scripts::at_once(watcher.changed()), None);
    let (_, lists) = set_watches(&peer.record().connections[3].requests[0]);
    assert_eq!(lists[0], ["/node"]);
}

#[tokio::test]
async fn nothing_is_made_below_a_chroot_that_does_not_exist() {
    let peer = crate::evil(|request| frame(request.xid, 1, -101, &[])).await;
    let chroot = format!("{}/nowhere", peer.addr());
    let client = builder(chroot).connect().await.unwrap();
    let error = within(client.ensure("/a/b")).await.unwrap_err();
    assert!(error.is_no_node());
    let lock = client.lock("/lock").unwrap();
    let error = within(lock.acquire()).await.unwrap_err();
    assert!(error.is_no_node(), "{error}");
}

#[tokio::test]
async fn a_lock_begins_again_when_a_reply_ends_the_session() {
    // The first session ends with the first request of the lock, the second with the second.
    let peer = Peer::start(|mut it| async move {
        it.connect_request().await?;
        let index = it.index();
        let session = SESSION + index as i64;
        it.accept(&Grant::new(session, TIMEOUT)).await?;
        let mut honest = Honest::default();
        for count in 0.. {
            let request = it.request().await?;
            let last = if index < 2 {
                count == index
            } else {
                request.op == op::DELETE
            };
            match request.op {
                _ if last => it.err(&request, -112).await?,
                op::CREATE2 => {
                    honest.create(request.path().unwrap(), &request);
                    let path = format!("{}0000000000", request.path().unwrap());
                    let body = Body::new().string(&path).stat(it.zxid, session);
                    it.ok(&request, &body.done()).await?;
                }
                _ => honest.answer(&mut it, &request).await?,
            }
        }
        Ok(())
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    let lock = client.lock("/lock").unwrap();
    let guard = within(lock.acquire()).await.unwrap();
    assert_eq!(client.session_id(), Some(SESSION + 2));
    assert!(guard.is_held());
    within(guard.release()).await.unwrap();
    until(&client, |it| it.epoch.get() == 4).await;
    assert_eq!(client.status().lost, Some(Lost::Expired));
}

#[tokio::test]
async fn a_clean_up_refused_for_the_moment_is_tried_again() {
    const THROTTLED: i32 = -127;
    const MOVED: i32 = -118;
    const TIMED_OUT: i32 = -122;
    for code in [THROTTLED, MOVED, TIMED_OUT] {
        let deletes = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&deletes);
        let peer = Peer::start(move |mut it| {
            let deletes = Arc::clone(&seen);
            async move {
                it.welcome(SESSION, TIMEOUT).await?;
                let mut honest = Honest::default();
                loop {
                    let request = it.request().await?;
                    if request.op == op::DELETE && deletes.fetch_add(1, Ordering::SeqCst) == 0 {
                        it.err(&request, code).await?;
                    } else {
                        honest.answer(&mut it, &request).await?;
                    }
                }
            }
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        let lock = client.lock("/lock").unwrap();
        drop(within(lock.acquire()).await.unwrap());
        let cleaned = async {
            while client.pending_cleanups() > 0 {
                within(client.sync("/")).await.unwrap();
            }
        };
        within(cleaned).await;
        assert_eq!(deletes.load(Ordering::SeqCst), 2, "{code}");
    }
}
