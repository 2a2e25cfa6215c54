//! What a connection can do.

use std::net::SocketAddr;
use std::time::Duration;

use docent::core::wire::GetData;
use docent::{
    Backoff, Client, ConnectError, CreateMode, End, Error, ErrorKind, Lost, Path, State, Watcher,
};
use docent_testing::peer::{
    BlackHole, Body, Connection, Cut, Ended, Flow, Grant, Peer, Proxy, Refusing, op,
};
use tokio::time;

use crate::scripts::{
    GOOD, Honest, PATIENCE, SESSION, TIMEOUT, builder, frame, good, many, within, without_time,
};

/// Short enough for tests to wait for its end.
const SHORT: Duration = Duration::from_millis(600);

async fn honest() -> Peer {
    Peer::start(|mut it| async move { Honest::serve(&mut it).await }).await
}

async fn end(it: Connection, how: Cut) {
    match how {
        Cut::Fin => drop(it.fin().await),
        Cut::Rst => it.rst(),
    }
}

#[tokio::test]
async fn an_answer_cut_off_at_any_byte_leaves_the_outcome_open() {
    let length = frame(1, 1, 0, &good(1)).len();
    for how in [Cut::Fin, Cut::Rst] {
        let peer = Peer::start(move |mut it| async move {
            let sent = it.index();
            it.welcome(SESSION, TIMEOUT).await?;
            let request = it.expect(op::GET_DATA).await?;
            let reply = frame(request.xid, 1, 0, &good(1));
            if sent > length {
                it.send(&reply).await?;
                return Honest::default().answer_all(&mut it).await;
            }
            it.send(&reply[..sent]).await?;
            end(it, how).await;
            Ok(())
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        for sent in 0..=length {
            match within(client.get("/node")).await {
                Err(error) if sent < length || how == Cut::Rst => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{how:?} at {sent}");
                    assert!(error.may_have_run());
                }
                Ok(data) if sent == length => assert_eq!(data.data(), GOOD),
                other => panic!("{how:?} at {sent}: {other:?}"),
            }
            // The connection that brought the whole answer is yet to be lost.
            until_connections(&client, sent + 2).await;
        }
        assert_eq!(within(client.get("/node")).await.unwrap().data(), GOOD);
        let status = client.status();
        assert_eq!((status.epoch.get(), status.state), (1, CONNECTED));
        peer.finish();
    }
}

const CONNECTED: State = State::Connected { read_only: false };

async fn until_connections(client: &Client, count: usize) {
    let mut status = client.status();
    while (status.connections as usize) < count || !status.state.is_connected() {
        status = within(client.changed(status)).await;
    }
    assert_eq!(status.connections as usize, count);
}

#[tokio::test]
async fn a_request_cut_off_at_any_byte_leaves_the_outcome_open() {
    let length = 4 + 8 + (4 + "/node".len()) + 4 + 4;
    for how in [Cut::Fin, Cut::Rst] {
        let peer = Peer::start(move |mut it| async move {
            it.welcome(SESSION, TIMEOUT).await?;
            let read = it.index() + 1;
            if read > length {
                return Honest::default().answer_all(&mut it).await;
            }
            it.bytes(read).await?;
            end(it, how).await;
            Ok(())
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        for read in 1..=length {
            let error = within(client.set("/node", b"", None)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{how:?} at {read}");
        }
        within(client.set("/node", b"", None)).await.unwrap();
        let sets = peer.finish();
        let sets = sets.requests().filter(|it| it.op == op::SET_DATA);
        assert_eq!(sets.count(), 1, "nothing is sent again");
    }
}

#[tokio::test]
async fn a_handshake_cut_off_at_any_byte_is_begun_again() {
    let length = 4 + 37;
    for how in [Cut::Fin, Cut::Rst] {
        let peer = Peer::start(move |mut it| async move {
            let sent = it.index();
            if sent >= length {
                return Honest::serve(&mut it).await;
            }
            it.connect_request().await?;
            let (id, time) = (SESSION + 1, 2000);
            let reply = Body::new().int(0).int(time).long(id);
            let reply = reply.buffer(&[1; 16]).boolean(false).done();
            let reply = Body::new().buffer(&reply).done();
            assert_eq!(reply.len(), length);
            it.send(&reply[..sent]).await?;
            end(it, how).await;
            Ok(())
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        within(client.get("/node")).await.unwrap();
        assert_eq!(client.status().connections, 1);
        assert_eq!(client.session_id(), Some(SESSION));
        assert_eq!(peer.finish().connections.len(), length + 1);
    }
}

#[tokio::test]
async fn nothing_of_an_old_connection_gets_into_the_next() {
    // Half a frame, whose other half the next connection would be taken for.
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        if it.index() > 0 {
            return Honest::default().answer_all(&mut it).await;
        }
        let request = it.request().await?;
        let lie = Body::new().buffer(&[b'x'; 5000]).stat(1, 0).done();
        it.send(&frame(request.xid, 1, 0, &lie)[..3000]).await?;
        it.fin().await;
        Ok(())
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    let error = within(client.get("/node")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    for _ in 0..3 {
        assert_eq!(within(client.get("/node")).await.unwrap().data(), GOOD);
    }
    assert_eq!(client.status().connections, 2);
}

#[tokio::test]
async fn what_was_not_sent_waits_for_the_next_connection() {
    let peer = honest().await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    proxy.refuse(true);
    proxy.cut(Cut::Rst);
    while client.status().state.is_connected() {
        within(client.changed(client.status())).await;
    }
    let path = Path::new("/node").unwrap();
    let replies: Vec<_> = (0..50)
        .map(|_| client.submit(&GetData { path }).unwrap())
        .collect();
    proxy.refuse(false);
    for reply in replies {
        assert_eq!(within(reply).await.unwrap().data(), GOOD);
    }
    let record = peer.finish();
    assert_eq!(record.requests().count(), 50);
    assert!(record.requests().all(|it| it.connection == 1));
}

#[tokio::test]
async fn every_cause_of_a_loss_is_the_same_to_the_caller() {
    let peer = honest().await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
    let mut connections = 1;
    for flow in [Flow::ToServer, Flow::ToClient] {
        for how in [Cut::Fin, Cut::Rst] {
            for count in [0, 1, 5, 11] {
                proxy.cut_after(flow, count, how);
                let error = without_time(client.delete("/node", None)).await;
                assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionLost);
                assert!(!proxy.spare(flow), "{flow:?} {how:?} {count}");
                connections += 1;
                until_connections(&client, connections).await;
            }
        }
    }
    within(client.get("/node")).await.unwrap();
    assert_eq!(client.status().epoch.get(), 1);
}

/// Runs every kind of call once, and tells how they ended.
async fn differ(client: &Client) -> String {
    let watch = |it: Result<Watcher, Error>| it.map(drop);
    let mode = CreateMode::PersistentSequential;
    let bad = client.get("/bad").await.unwrap_err();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        client.create("/node/", b"data", mode).await,
        client.get("/node").await,
        client.exists("/node").await,
        client.children("/node").await,
        watch(client.watch("/node").await),
        bad,
        client.delete("/node", None).await,
    )
}

#[tokio::test]
async fn it_makes_no_difference_in_what_pieces_bytes_arrive() {
    let script = |piece: usize| {
        Peer::start(move |mut it| async move {
            it.connect_request().await?;
            let connected = Body::new().int(0).int(60_000).long(SESSION);
            let connected = connected.buffer(&[1; 16]).boolean(false).done();
            let connected = Body::new().buffer(&connected).done();
            it.drip(&connected, piece, Duration::ZERO).await?;
            loop {
                let request = it.request().await?;
                let stat = |body: Body| body.stat(5, SESSION).done();
                let (err, body) = match request.op {
                    _ if request.path() == Some("/bad") => (-101, vec![]),
                    op::CREATE2 => (0, stat(Body::new().string("/node/0000000001"))),
                    op::GET_DATA => (0, good(5)),
                    op::EXISTS => (0, stat(Body::new())),
                    op::GET_CHILDREN2 => (0, stat(Body::new().int(1).string("child"))),
                    op::ADD_WATCH => (0, vec![0; 4]),
                    _ => (0, vec![]),
                };
                let event = Body::new().int(3).int(3).string("/node").done();
                let frames = [frame(-1, -1, 0, &event), frame(request.xid, 5, err, &body)];
                it.drip(&frames.concat(), piece, Duration::ZERO).await?;
            }
        })
    };
    let mut results = vec![];
    for piece in [usize::MAX, 1, 3, 16] {
        let peer = script(piece).await;
        let client = builder(peer.addr()).connect().await.unwrap();
        results.push(within(differ(&client)).await);
        assert_eq!(client.status().connections, 1);
    }
    assert!(results[0].contains("child"), "{}", results[0]);
    for other in &results[1..] {
        assert_eq!(other, &results[0]);
    }
}

#[tokio::test]
async fn an_answer_that_only_trickles_is_no_sign_of_life() {
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, SHORT).await?;
        if it.index() > 0 {
            return Honest::default().answer_all(&mut it).await;
        }
        let request = it.request().await?;
        let reply = frame(request.xid, 1, 0, &good(1));
        // At this pace it would take the patience of the test, and more.
        it.drip(&reply, 1, PATIENCE / 80).await
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    let error = within(client.get("/node")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    within(client.get("/node")).await.unwrap();
    assert_eq!(client.status().epoch.get(), 1, "it moved on in time");
}

/// Peers that never complete a handshake, in several ways.
async fn silent() -> Vec<Peer> {
    let half = |count| {
        Peer::start(move |mut it| async move {
            it.connect_request().await?;
            let reply = Body::new().buffer(&[0; 37]).done();
            it.send(&reply[..count]).await?;
            it.ended().await;
            Ok(())
        })
    };
    let dripping = Peer::start(|mut it| async move {
        it.connect_request().await?;
        it.drip(&[0, 0, 0, 37], 1, Duration::from_millis(150)).await
    });
    let stalled = Peer::start(|it| async move { it.stall().await });
    vec![
        half(0).await,
        half(3).await,
        half(20).await,
        dripping.await,
        stalled.await,
    ]
}

#[tokio::test]
async fn servers_that_never_finish_a_handshake_are_left_in_time() {
    let (good, silent) = (honest().await, silent().await);
    for peer in &silent {
        let servers = many(&[peer.addr(), good.addr()]);
        let builder = builder(servers).session_timeout(SHORT).in_order();
        let client = builder.connect().await.unwrap();
        within(client.get("/node")).await.unwrap();
        assert_eq!(peer.record().connections.len(), 1);
        assert_eq!(client.status().connections, 1);
    }
    let all: Vec<_> = silent.iter().map(Peer::addr).collect();
    let hopeless = builder(many(&all)).session_timeout(SHORT);
    let error = hopeless.connect_within(SHORT).connect().await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_host_that_swallows_packets_is_left_in_time() {
    let (hole, good) = (BlackHole::open().await, honest().await);
    let servers = many(&[hole.addr(), good.addr()]);
    let builder = builder(servers).session_timeout(SHORT).in_order();
    let client = builder.connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
}

/// Counts the connections that come within a time.
async fn count(peer: &Peer, time: Duration) -> usize {
    let before = peer.record().connections.len();
    time::sleep(time).await;
    peer.record().connections.len() - before
}

#[tokio::test]
async fn attempts_slow_down_while_they_are_in_vain() {
    let backoff = Backoff {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(100),
        stable: Duration::from_secs(10),
    };
    let closing = Peer::start(|it| async move {
        it.fin().await;
        Ok(())
    })
    .await;
    // A completed handshake is no reason to be quick again, if the connection does not last.
    let fickle = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        it.request().await?;
        it.rst();
        Ok(())
    })
    .await;
    for peer in [&closing, &fickle] {
        let client = builder(peer.addr()).backoff(backoff).start().unwrap();
        let calls = tokio::spawn(async move {
            loop {
                let error = client.get("/node").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionLost);
            }
        });
        peer.until(|record| record.connections.len() >= 8).await;
        // On average there are 20 a second by now; without pauses there were thousands.
        let attempts = count(peer, Duration::from_millis(500)).await;
        assert!((1..60).contains(&attempts), "{attempts}");
        calls.abort();
    }
}

#[tokio::test]
async fn a_call_that_a_lively_server_never_answers_ends() {
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, SHORT).await?;
        if it.index() > 0 {
            return Honest::default().answer_all(&mut it).await;
        }
        let late = it.expect(op::GET_DATA).await?;
        it.ended().await;
        // It comes too late, and to nobody.
        let _ = it.ok(&late, &good(1)).await;
        Ok(())
    })
    .await;
    let builder = builder(peer.addr()).operation_timeout(Some(SHORT * 2));
    let client = builder.connect().await.unwrap();
    let error = within(client.get("/node")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    within(client.get("/node")).await.unwrap();
    assert_eq!(client.status().epoch.get(), 1);
    let record = peer.finish();
    assert!(record.connections[0].pings().count() >= 2, "it was alive");
    let xids: Vec<_> = record.requests().map(|it| it.xid).collect();
    assert_eq!(xids.len(), 2);
    assert_ne!(xids[0], xids[1]);
}

#[tokio::test]
async fn a_server_that_reads_nothing_is_left_and_costs_bounded_memory() {
    let stalled = Peer::start(|mut it| async move {
        it.welcome(SESSION, SHORT).await?;
        it.stall().await
    })
    .await;
    let good = Peer::start(|mut it| async move {
        it.welcome(SESSION, SHORT).await?;
        Honest::default().answer_all(&mut it).await
    })
    .await;
    let servers = many(&[stalled.addr(), good.addr()]);
    let limits = docent::Limits {
        unsent_bytes: 1 << 20,
        ..docent::Limits::DEFAULT
    };
    let builder = builder(servers).limits(limits).in_order();
    let client = builder.connect().await.unwrap();
    let data = vec![0; 100_000];
    let path = Path::new("/node").unwrap();
    let set = docent::core::wire::SetData {
        path,
        data: &data,
        version: None,
    };
    let mut replies = vec![];
    let full = loop {
        match client.submit(&set) {
            Ok(reply) => replies.push(reply),
            Err(error) => break error,
        }
        // So that the driver can hand to the socket what it takes.
        tokio::task::yield_now().await;
    };
    assert_eq!(full, ErrorKind::Full);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, data) = (client.clone(), data.clone());
        tasks.spawn(async move { client.set("/node", &data, None).await });
    }
    let mut open = 0;
    for reply in replies {
        match within(reply).await {
            Ok(_) => {}
            Err(ErrorKind::ConnectionLost) => open += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(open > 0, "some were sent");
    for done in within(tasks.join_all()).await {
        done.unwrap();
    }
    assert_eq!(client.status().epoch.get(), 1);
}

/// Closes a client, which ends all its calls.
async fn close(client: Client, sent: bool) {
    let path = Path::new("/node").unwrap();
    let replies: Vec<_> = (0..3)
        .map(|_| client.submit(&GetData { path }).unwrap())
        .collect();
    if sent {
        tokio::task::yield_now().await;
    }
    let clone = client.clone();
    within(client.close()).await;
    for reply in replies {
        match within(reply).await.unwrap_err() {
            ErrorKind::NotSent(End::Closed) => {}
            ErrorKind::ConnectionLost if sent => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(clone.status().state, State::Closed);
    let error = clone.get("/node").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::Closed));
    within(clone.close()).await;
}

#[tokio::test]
async fn closing_ends_whatever_goes_on() {
    let quick = |addr: SocketAddr| builder(addr).close_timeout(Duration::from_millis(50));
    let hole = BlackHole::open().await;
    let client = quick(hole.addr()).start().unwrap();
    close(client, false).await; // before the first attempt
    let client = quick(hole.addr()).start().unwrap();
    tokio::task::yield_now().await;
    close(client, false).await; // while dialling

    for peer in silent().await {
        let client = quick(peer.addr()).start().unwrap();
        peer.until(|record| !record.connections.is_empty()).await;
        close(client, false).await; // while shaking hands
    }

    let slow = Backoff {
        base: PATIENCE * 10,
        cap: PATIENCE * 10,
        stable: PATIENCE,
    };
    let refusing = Refusing::open();
    let client = quick(refusing.addr())
        .backoff(slow)
        .connect_within(SHORT / 6);
    let error = client.clone().connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }));
    let client = client.start().unwrap();
    tokio::task::yield_now().await;
    close(client, false).await; // in the pause between attempts

    for reads in [true, false] {
        let peer = Peer::start(move |mut it| async move {
            it.welcome(SESSION, TIMEOUT).await?;
            if reads {
                it.ended().await;
                return Ok(());
            }
            it.stall().await
        })
        .await;
        let client = quick(peer.addr()).connect().await.unwrap();
        close(client, true).await; // while calls are in flight, at a server that is silent
        if reads {
            let record = peer
                .until(|record| record.connections[0].ended.is_some())
                .await;
            let last = record.connections[0].requests.last().unwrap();
            assert_eq!(last.op, op::CLOSE, "it was told");
        }
    }
}

#[tokio::test]
async fn closing_tells_the_server_and_waits_for_it() {
    let peer = honest().await;
    let client = builder(peer.addr()).connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
    within(client.close()).await;
    let ended = |record: &docent_testing::peer::Record| record.connections[0].ended.is_some();
    let record = peer.until(ended).await;
    let ops: Vec<_> = record.requests().map(|it| it.op).collect();
    assert_eq!(ops, [op::GET_DATA, op::CLOSE]);
    assert_eq!(record.connections[0].ended.unwrap().0, Ended::Closed);
}

#[tokio::test]
async fn one_server_among_many_dead_ones_is_found_again_and_again() {
    let dead: Vec<_> = (0..4).map(|_| Refusing::open()).collect();
    let flapping = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        let request = it.request().await?;
        it.ok(&request, &good(1)).await?;
        it.fin().await;
        Ok(())
    })
    .await;
    let mut addresses: Vec<_> = dead.iter().map(Refusing::addr).collect();
    addresses.insert(2, flapping.addr());
    let client = builder(many(&addresses)).connect().await.unwrap();
    let mut served = 0;
    while served < 10 {
        match within(client.get("/node")).await {
            Ok(_) => served += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionLost),
        }
    }
    assert_eq!(client.status().epoch.get(), 1);
}

#[tokio::test]
async fn all_servers_of_the_list_are_tried_in_turn() {
    let closing = || {
        Peer::start(|it| async move {
            it.fin().await;
            Ok(())
        })
    };
    let peers = [closing().await, closing().await, closing().await];
    let addresses: Vec<_> = peers.iter().map(Peer::addr).collect();
    let _client = builder(many(&addresses)).start().unwrap();
    peers[0]
        .until(|record| record.connections.len() >= 10)
        .await;
    for peer in &peers {
        let attempts = peer.record().connections.len();
        assert!((9..=11).contains(&attempts), "{attempts}");
    }
}

#[tokio::test]
async fn a_silent_connection_is_left_before_the_session_is_lost() {
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, SHORT).await?;
        Honest::default().answer_all(&mut it).await
    })
    .await;
    let (one, two) = (
        Proxy::start(peer.addr()).await,
        Proxy::start(peer.addr()).await,
    );
    let servers = many(&[one.addr(), two.addr()]);
    let client = builder(servers).in_order().connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
    for (here, flow) in [(&one, Flow::ToServer), (&two, Flow::ToClient)] {
        here.hold(flow);
        let error = within(client.get("/node")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        within(client.get("/node")).await.unwrap();
        here.release();
    }
    assert_eq!((one.connections(), two.connections()), (2, 1));
    assert_eq!(
        (client.status().epoch.get(), client.status().lost),
        (1, None)
    );
}

#[tokio::test]
async fn a_session_that_reaches_no_server_is_given_up_in_time() {
    let peer = Peer::start(|mut it| async move {
        let connect = it.connect_request().await?;
        if it.index() > 0 {
            // The one before was given up, however alive the server says it is.
            assert_eq!((connect.session, connect.last_zxid), (0, 0));
        }
        let session = SESSION + it.index() as i64;
        it.accept(&Grant::new(session, SHORT)).await?;
        Honest::default().answer_all(&mut it).await
    })
    .await;
    let proxy = Proxy::start(peer.addr()).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    within(client.get("/node")).await.unwrap();
    let mut watcher = client.watch("/node").await.unwrap();
    proxy.refuse(true);
    proxy.cut(Cut::Rst);
    let mut states = vec![];
    let mut status = client.status();
    while status.lost.is_none() {
        states.push(status.state);
        status = within(client.changed(status)).await;
    }
    // States that passed while this was not looking are skipped, but not what they counted.
    let order = [CONNECTED, State::Suspended, State::Lapsed];
    let place = |state: &State| order.iter().position(|it| it == state);
    assert!(
        states.iter().all(|state| place(state).is_some()),
        "{states:?}"
    );
    assert!(states.is_sorted_by_key(place), "{states:?}");
    assert_eq!(status.lost, Some(Lost::Presumed));
    assert!(
        status.lapses >= 2,
        "the lease lapsed, and the session ended"
    );
    let lost = within(watcher.changed()).await;
    assert_eq!(lost, Some(docent::Change::Lost));
    assert_eq!(within(watcher.changed()).await, None);
    proxy.refuse(false);
    within(client.get("/node")).await.unwrap();
    assert!(client.session_id() > Some(SESSION));
    peer.finish();
}
