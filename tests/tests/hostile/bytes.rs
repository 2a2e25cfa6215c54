//! What one answer can do.

use std::fs;
use std::time::Duration;

use docent::core::wire::{Create, GetData, Malformed};
use docent::{Acl, Change, Code, ConnectError, CreateMode, ErrorKind, EventKind, Op, Path, ReadOp};
use docent_testing::peer::{Body, Grant, Peer, Request, op};

use crate::scripts::{
    GOOD, Honest, SESSION, TIMEOUT, at_once, builder, frame, good, within, without_time,
};
use crate::{Victim, case};

const PERSISTENT: CreateMode = CreateMode::Persistent;

/// The most memory this process has ever had reserved, touched or not.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmPeak:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() << 10
}

fn ok(request: &Request, body: &[u8]) -> Vec<u8> {
    frame(request.xid, 9, 0, body)
}

#[tokio::test]
async fn a_frame_of_an_impossible_length_costs_the_connection_and_no_memory() {
    let lengths: Vec<i32> = [i32::MAX, (1 << 28) + 1, -1, i32::MIN]
        .into_iter()
        .chain(0..16)
        .collect();
    let count = lengths.len();
    let before = peak();
    let mut victim = Victim::of(move |request| {
        let length = lengths[case(request)].to_be_bytes();
        [&length[..], &ok(request, &good(1))].concat()
    })
    .await;
    for case in 0..count {
        let error = victim.get(case).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        victim.is_replaced().await;
    }
    let reserved = peak() - before;
    assert!(reserved < 1 << 30, "{reserved} bytes more were reserved");
}

#[tokio::test]
async fn a_length_alone_is_enough_to_drop_the_connection() {
    for length in [i32::MAX, -1, 15] {
        let mut victim = Victim::of(move |_| length.to_be_bytes().to_vec()).await;
        let error = without_time(victim.get(0)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionLost);
        victim.is_replaced().await;
    }
}

#[tokio::test]
async fn an_answer_too_large_to_keep_is_skipped_and_not_asked_for_again() {
    let peer = crate::evil(|request| {
        let body = Body::new().buffer(&vec![7; 100_000 + case(request)]);
        ok(request, &body.stat(1, 0).done())
    })
    .await;
    let client = builder(peer.addr()).max_reply(1000).connect().await;
    let victim = Victim::new(peer, client.unwrap());
    for case in 0..5 {
        let error = victim.get(case).await.unwrap_err();
        let size = 16 + 4 + 100_000 + case + 68;
        assert_eq!(error.kind(), ErrorKind::ReplyTooLarge { size });
        assert!(error.may_have_run());
        victim.is_kept().await;
    }
    assert_eq!(victim.peer.record().requests().count(), 10);
}

#[tokio::test]
async fn an_event_too_large_to_keep_costs_the_connection() {
    let peer = crate::evil(|_| {
        let event = Body::new().int(3).int(3).string(&"/x".repeat(2000));
        frame(-1, -1, 0, &event.done())
    })
    .await;
    let client = builder(peer.addr()).max_reply(1000).connect().await;
    let mut victim = Victim::new(peer, client.unwrap());
    let error = victim.get(0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    victim.is_replaced().await;
}

#[tokio::test]
async fn an_answer_to_nothing_that_was_asked_costs_the_connection() {
    const XIDS: [i32; 8] = [0, -3, -4, -7, -8, i32::MIN, i32::MAX, 1 << 30];
    let mut victim = Victim::of(|request| {
        let xid = XIDS.get(case(request)).copied();
        frame(xid.unwrap_or(request.xid + 1), 9, 0, &good(1))
    })
    .await;
    for case in 0..=XIDS.len() {
        let error = victim.get(case).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "case {case}");
        victim.is_replaced().await;
    }
}

#[tokio::test]
async fn a_second_answer_to_one_request_costs_the_connection() {
    let twice = |request: &Request| ok(request, &good(1)).repeat(2);
    let mut victim = Victim::of(twice).await;
    assert_eq!(victim.get(0).await.unwrap().data(), GOOD);
    let client = victim.client.clone();
    within(async {
        while client.status().connections == 1 {
            client.changed(client.status()).await;
        }
    })
    .await;
    victim.is_replaced().await;
}

#[tokio::test]
async fn answers_out_of_order_cost_the_connection() {
    let peer = Peer::start(|mut it| async move {
        if it.index() > 0 {
            return Honest::serve(&mut it).await;
        }
        it.welcome(SESSION, TIMEOUT).await?;
        let (one, two) = (it.request().await?, it.request().await?);
        it.ok(&two, &good(1)).await?;
        it.ok(&one, &good(1)).await?;
        it.ended().await;
        Ok(())
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    let mut victim = Victim::new(peer, client);
    let path = Path::new("/evil").unwrap();
    let replies = [0, 1].map(|_| victim.client.submit(&GetData { path }).unwrap());
    for reply in replies {
        let error = within(reply).await.unwrap_err();
        assert_eq!(error, ErrorKind::ConnectionLost);
    }
    victim.is_replaced().await;
}

#[tokio::test]
async fn a_ping_answered_unasked_is_ignored() {
    let victim = Victim::of(|request| {
        let ping = frame(-2, 0, 0, &[]).repeat(100);
        [ping, ok(request, &good(1))].concat()
    })
    .await;
    for case in 0..3 {
        assert_eq!(victim.get(case).await.unwrap().data(), GOOD);
    }
    victim.is_kept().await;
}

/// Every operation with a good answer, and how it ends.
async fn ask(victim: &Victim, operation: i32) -> Result<(), ErrorKind> {
    let client = &victim.client;
    let path = Path::new("/evil/0").unwrap();
    let result = match operation {
        op::CREATE2 => client.create("/evil/0", b"", PERSISTENT).await.map(drop),
        op::EXISTS => client.exists("/evil/0").await.map(drop),
        op::GET_DATA => client.get("/evil/0").await.map(drop),
        op::SET_DATA => client.set("/evil/0", b"", None).await.map(drop),
        op::GET_CHILDREN2 => client.children("/evil/0").await.map(drop),
        op::SYNC => client.sync("/evil/0").await,
        GET_ACL => client.get_acl("/evil/0").await.map(drop),
        GET_EPHEMERALS => client.ephemerals("/evil/0").await.map(drop),
        COUNT => client.count_descendants("/evil/0").await.map(drop),
        WHO_AM_I => client.who_am_i().await.map(drop),
        op::MULTI => {
            let (data, mode, acl) = (&b""[..], PERSISTENT, Acl::OPEN);
            let create = Create {
                path,
                data,
                mode,
                acl,
            };
            client.multi(&[Op::Create(create)]).await.map(drop)
        }
        MULTI_READ => client.multi_read(&[ReadOp::GetData(path)]).await.map(drop),
        other => panic!("{other}"),
    };
    result.map_err(|error| error.kind())
}

const GET_ACL: i32 = 6;
const MULTI_READ: i32 = 22;
const GET_EPHEMERALS: i32 = 103;
const COUNT: i32 = 104;
const WHO_AM_I: i32 = 107;
const OPERATIONS: [i32; 12] = [
    op::CREATE2,
    op::EXISTS,
    op::GET_DATA,
    op::SET_DATA,
    op::GET_CHILDREN2,
    op::SYNC,
    op::MULTI,
    GET_ACL,
    MULTI_READ,
    GET_EPHEMERALS,
    COUNT,
    WHO_AM_I,
];

fn good_body(operation: i32) -> Body {
    let result = |kind| Body::new().int(kind).boolean(false).int(0);
    let body = Body::new();
    match operation {
        op::CREATE2 => body.string("/evil/0").stat(1, 0),
        op::EXISTS | op::SET_DATA => body.stat(1, 0),
        op::GET_DATA => body.buffer(GOOD).stat(1, 0),
        op::GET_CHILDREN2 => body.int(2).string("a").string("b").stat(1, 0),
        op::SYNC => body.string("/evil/0"),
        GET_ACL => body
            .int(1)
            .int(31)
            .string("world")
            .string("anyone")
            .stat(1, 0),
        GET_EPHEMERALS => body.int(1).string("/evil/0"),
        COUNT => body.int(5),
        WHO_AM_I => body.int(1).string("ip").string("127.0.0.1"),
        op::MULTI => result(15)
            .string("/evil/0")
            .stat(1, 0)
            .int(-1)
            .boolean(true)
            .int(-1),
        MULTI_READ => result(4)
            .buffer(GOOD)
            .stat(1, 0)
            .int(-1)
            .boolean(true)
            .int(-1),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_cut_short_anywhere_is_no_success() {
    for operation in OPERATIONS {
        let whole = good_body(operation).done();
        let length = whole.len();
        let cut = std::sync::atomic::AtomicUsize::new(0);
        let mut victim = Victim::of(move |request| {
            let cut = cut.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            ok(request, &whole[..cut])
        })
        .await;
        for cut in 0..length {
            let error = within(ask(&victim, operation)).await.unwrap_err();
            assert!(
                matches!(error, ErrorKind::Malformed(_)) && error.may_have_run(),
                "operation {operation} cut to {cut} bytes: {error:?}"
            );
            victim.is_replaced().await;
        }
        within(ask(&victim, operation)).await.unwrap();
        victim.is_kept().await;
    }
}

#[tokio::test]
async fn fields_that_future_servers_may_append_are_ignored() {
    let victim = Victim::of(|request| {
        let body = good_body(request.op).raw(&[0xff; 33]).done();
        ok(request, &body)
    })
    .await;
    for operation in OPERATIONS {
        within(ask(&victim, operation)).await.unwrap();
    }
    victim.is_kept().await;
}

#[tokio::test]
async fn impossible_lengths_and_counts_within_an_answer_are_told_and_reserve_nothing() {
    let huge = Malformed::Count;
    let stat = |body: Body| body.stat(1, 0).done();
    let cases = [
        (
            op::GET_DATA,
            stat(Body::new().int(i32::MAX)),
            Malformed::Truncated,
        ),
        (
            op::GET_DATA,
            stat(Body::new().int(-2)),
            Malformed::NegativeLength,
        ),
        (
            op::GET_DATA,
            stat(Body::new().int(i32::MIN)),
            Malformed::NegativeLength,
        ),
        (op::GET_CHILDREN2, stat(Body::new().int(i32::MAX)), huge),
        (op::GET_CHILDREN2, stat(Body::new().int(18)), huge),
        (
            op::GET_CHILDREN2,
            stat(Body::new().int(-2)),
            Malformed::NegativeLength,
        ),
        (GET_ACL, stat(Body::new().int(i32::MAX)), huge),
        (
            GET_ACL,
            stat(Body::new().int(-2)),
            Malformed::NegativeLength,
        ),
        (GET_EPHEMERALS, Body::new().int(i32::MAX).done(), huge),
        (WHO_AM_I, Body::new().int(i32::MAX).done(), huge),
        (
            op::CREATE2,
            stat(Body::new().int(i32::MAX)),
            Malformed::Truncated,
        ),
    ];
    let before = peak();
    for (operation, body, expected) in cases {
        let mut victim = Victim::of(move |request| ok(request, &body)).await;
        let error = within(ask(&victim, operation)).await.unwrap_err();
        assert_eq!(error, ErrorKind::Malformed(expected), "{operation}");
        victim.is_replaced().await;
    }
    let reserved = peak() - before;
    assert!(reserved < 1 << 30, "{reserved} bytes more were reserved");
}

#[tokio::test]
async fn null_data_and_null_lists_are_empty() {
    let victim = Victim::of(|request| {
        let null = Body::new().int(-1).stat(1, 0).done();
        ok(request, &null)
    })
    .await;
    let data = victim.get(0).await.unwrap();
    assert!(data.is_null() && data.data().is_empty());
    let client = &victim.client;
    assert!(client.children("/evil/0").await.unwrap().is_empty());
    assert_eq!(client.get_acl("/evil/0").await.unwrap().iter().count(), 0);
    assert!(client.ephemerals("/evil/0").await.unwrap().is_empty());
    assert_eq!(client.who_am_i().await.unwrap().iter().count(), 0);
    victim.is_kept().await;
}

#[tokio::test]
async fn text_that_is_none_is_never_taken_for_another() {
    let stat = |body: Body| body.stat(1, 0).done();
    let bad = b"/evil/\xff";
    let list = |name: &[u8]| Body::new().int(1).buffer(name);
    let acl = |scheme: &[u8], id: &[u8]| Body::new().int(1).int(31).buffer(scheme).buffer(id);
    let cases = [
        (
            op::CREATE2,
            stat(Body::new().buffer(bad)),
            Malformed::NotUtf8,
        ),
        (
            op::CREATE2,
            stat(Body::new().int(-1)),
            Malformed::NullString,
        ),
        (
            op::GET_CHILDREN2,
            stat(list(b"\xc0\x80")),
            Malformed::NotUtf8,
        ),
        (
            op::GET_CHILDREN2,
            stat(Body::new().int(1).int(-1)),
            Malformed::NullString,
        ),
        (
            GET_ACL,
            stat(acl(b"\xed\xa0\x80", b"x")),
            Malformed::NotUtf8,
        ),
        (GET_ACL, stat(acl(b"x", b"\x80")), Malformed::NotUtf8),
        (GET_EPHEMERALS, list(bad).done(), Malformed::NotUtf8),
        (
            WHO_AM_I,
            list(b"\xfe").string("x").done(),
            Malformed::NotUtf8,
        ),
    ];
    for (operation, body, expected) in cases {
        let mut victim = Victim::of(move |request| ok(request, &body)).await;
        let error = within(ask(&victim, operation)).await.unwrap_err();
        assert_eq!(error, ErrorKind::Malformed(expected), "{operation}");
        victim.is_replaced().await;
    }
    for path in ["", "evil", "/evil/", "/../evil", "/a\0b"] {
        let body = stat(Body::new().string(path));
        let mut victim = Victim::of(move |request| ok(request, &body)).await;
        let error = within(ask(&victim, op::CREATE2)).await.unwrap_err();
        assert!(
            matches!(error, ErrorKind::Malformed(Malformed::Path(_))),
            "{error:?}"
        );
        victim.is_replaced().await;
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_shown_as_they_are_and_contend_for_no_lock() {
    let long = "x".repeat(1 << 20);
    let names = [
        "..",
        "",
        "a/b",
        "/",
        "\0",
        "lock-\u{e9}0000000000",
        "é0000000000",
        &long,
    ];
    let list = |own: Option<&str>| {
        let all = names.iter().copied().chain(own);
        let count = all.clone().count() as i32;
        all.fold(Body::new().int(count), Body::string)
    };
    let children = list(None).stat(1, 0).done();
    let own = "me-lock-0000000007";
    let contenders = list(Some(own)).done();
    let victim = Victim::of(move |request| match request.op {
        op::CREATE2 => {
            let path = format!("/lock/{own}");
            ok(request, &Body::new().string(&path).stat(1, SESSION).done())
        }
        op::GET_CHILDREN => ok(request, &contenders),
        op::GET_CHILDREN2 => ok(request, &children),
        _ => ok(request, &[]),
    })
    .await;
    let shown = within(victim.client.children("/evil")).await.unwrap();
    assert_eq!(shown.iter().collect::<Vec<_>>(), names);
    let lock = victim.client.lock("/lock").unwrap();
    let guard = within(lock.acquire()).await.unwrap();
    assert_eq!(guard.path().name(), own);
    within(guard.release()).await.unwrap();
    victim.is_kept().await;
}

#[tokio::test]
async fn unknown_error_codes_are_answers() {
    const CODES: [i32; 10] = [
        -9999,
        5,
        1,
        -121,
        -122,
        -126,
        -128,
        -500,
        i32::MIN,
        i32::MAX,
    ];
    let victim = Victim::of(|request| {
        // What follows the code is not looked at.
        frame(request.xid, -1, CODES[case(request)], &[0xff; 7])
    })
    .await;
    for (case, code) in CODES.into_iter().enumerate() {
        let error = victim.get(case).await.unwrap_err();
        let ErrorKind::Server(found) = error.kind() else {
            panic!("{error:?}")
        };
        assert_eq!((found, found.number()), (Code::from(code), code));
        // Of a number without a name nothing is known.
        assert_eq!(error.may_have_run(), found != Code::NoWatcher);
    }
    victim.is_kept().await;
}

fn event(kind: i32, state: i32, path: &str) -> Vec<u8> {
    let event = Body::new().int(kind).int(state).string(path);
    frame(-1, -1, 0, &event.done())
}

#[tokio::test]
async fn unknown_events_are_no_events() {
    let victim = Victim::of(|request| {
        let events = [
            event(99, 3, "/good"),
            event(3, 77, "/elsewhere"),
            event(-1, 3, "/good"),
            event(i32::MAX, i32::MIN, "/good"),
            event(3, 3, "/good/below"),
            event(3, 3, "no path"),
            event(3, 3, ""),
            event(4, 3, "/good"),
        ];
        [events.concat(), ok(request, &good(1))].concat()
    })
    .await;
    let client = &victim.client;
    let (_, mut watcher) = within(client.get_and_watch("/good")).await.unwrap();
    assert_eq!(victim.get(0).await.unwrap().data(), GOOD);
    assert_eq!(at_once(watcher.changed()), None);
    victim.is_kept().await;
}

#[tokio::test]
async fn a_malformed_event_costs_the_connection() {
    let bodies = [
        Body::new().int(3).int(3).done(),
        Body::new().int(3).int(3).int(-1).done(),
        Body::new().int(3).int(3).buffer(b"/\xff").done(),
        Body::new().int(3).int(3).int(100).raw(b"/short").done(),
        vec![],
    ];
    let count = bodies.len();
    let mut victim = Victim::of(move |request| frame(-1, -1, 0, &bodies[case(request)])).await;
    for case in 0..count {
        let error = victim.get(case).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        victim.is_replaced().await;
    }
}

/// Far more than anything keeps.
const FLOOD: usize = 100_000;

#[tokio::test]
async fn a_flood_of_events_that_nobody_reads_becomes_one() {
    let victim = Victim::of(|request| {
        let events = event(3, 3, "/good").repeat(FLOOD);
        [events, ok(request, &good(1))].concat()
    })
    .await;
    let client = &victim.client;
    let mut node = within(client.watch("/good")).await.unwrap();
    let mut tree = client.watch_tree("/good").await.unwrap();
    let mut root = client.watch_tree("/").await.unwrap();
    assert_eq!(victim.get(0).await.unwrap().data(), GOOD);
    victim.is_kept().await;
    let changed = Change::Node(EventKind::DataChanged.into());
    assert_eq!(within(node.changed()).await, Some(changed));
    assert_eq!(at_once(node.changed()), None);
    for tree in [&mut tree, &mut root] {
        assert_eq!(within(tree.changed()).await, Some(Change::Resync));
        let mut told = 0;
        while at_once(tree.changed()).is_some() {
            told += 1;
        }
        assert!(told <= 1024, "{told}");
    }
}

#[tokio::test]
async fn a_flood_of_events_that_nobody_wants_is_dropped() {
    let before = peak();
    let victim = Victim::of(|request| {
        let events = (0..FLOOD).map(|n| event(3, 3, &format!("/not/watched/{n}")));
        [events.collect::<Vec<_>>().concat(), ok(request, &good(1))].concat()
    })
    .await;
    for case in 0..3 {
        assert_eq!(victim.get(case).await.unwrap().data(), GOOD);
    }
    victim.is_kept().await;
    assert!(peak() - before < 1 << 30);
}

#[tokio::test]
async fn a_flood_of_answered_pings_starves_nobody() {
    // All of this runs on one thread: a client that never lets go would stop the server, too.
    let peer = Peer::start(|mut it| async move {
        it.welcome(SESSION, TIMEOUT).await?;
        let pings = frame(-2, 0, 0, &[]).repeat(3000);
        let mut honest = Honest::default();
        loop {
            it.send(&pings).await?;
            let request = tokio::time::timeout(Duration::ZERO, it.request()).await;
            if let Ok(request) = request {
                honest.answer(&mut it, &request?).await?;
            }
        }
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    for _ in 0..20 {
        let data = within(client.get("/good")).await.unwrap();
        assert_eq!(data.data(), GOOD);
    }
    assert_eq!(client.status().connections, 1);
    within(client.close()).await;
}

#[tokio::test]
async fn events_of_other_chroots_are_not_heard() {
    let peer = crate::evil(|request| {
        let paths = ["/apple", "/ap", "/", "/other/app", "/appl", "app"];
        let events = paths.map(|path| event(3, 3, path)).concat();
        let inside = [event(3, 3, "/app/x"), event(1, 3, "/app")].concat();
        [events, inside, ok(request, &good(1))].concat()
    })
    .await;
    let chroot = format!("{}/app", peer.addr());
    let client = builder(&chroot).connect().await.unwrap();
    // The answer to this comes after events, too, which are not heard yet.
    let mut tree = within(client.watch_tree("/")).await.unwrap();
    within(client.get("/evil")).await.unwrap();
    let told = [(EventKind::DataChanged, "/x"), (EventKind::Created, "/")];
    for (expected, place) in told {
        match within(tree.changed()).await {
            Some(Change::Below { kind, path }) => {
                assert_eq!((kind, path.to_string().as_str()), (expected, place));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(at_once(tree.changed()), None);
    assert_eq!(client.status().connections, 1);
}

#[tokio::test]
async fn answers_from_outside_the_chroot_are_refused() {
    let peer = crate::evil(|request| {
        let paths = ["/apple", "/other", "/", "/ap"];
        let body = Body::new().string(paths[case(request)]);
        ok(request, &body.stat(1, 0).done())
    })
    .await;
    let client = builder(format!("{}/app", peer.addr())).connect().await;
    let client = client.unwrap();
    for case in 0..4 {
        let path = format!("/evil/{case}");
        let created = client.create(&path, b"", PERSISTENT);
        let error = within(created).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed(Malformed::Chroot));
    }
}

#[tokio::test]
async fn the_last_transaction_seen_never_goes_back() {
    const ZXIDS: [(i64, i32); 6] = [(70, 0), (400, 0), (60, 0), (-1, -6), (0, 0), (399, -101)];
    let peer = Peer::start(|mut it| async move {
        let connect = it.welcome(SESSION, TIMEOUT).await?;
        if it.index() > 0 {
            assert_eq!(connect.last_zxid, 400);
            return Honest::default().answer_all(&mut it).await;
        }
        for (zxid, err) in ZXIDS {
            let request = it.expect(op::GET_DATA).await?;
            it.event(3, "/good").await?;
            it.send(&frame(request.xid, zxid, err, &good(1))).await?;
        }
        it.rst();
        Ok(())
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    for (_, err) in ZXIDS {
        let result = within(client.get("/good")).await;
        assert_eq!(result.is_err(), err != 0);
    }
    while client.status().connections < 2 {
        within(client.changed(client.status())).await;
    }
    within(client.get("/good")).await.unwrap();
    assert_eq!(client.credentials().unwrap().zxid, 400);
    assert_eq!(
        peer.finish().connections[1]
            .connect
            .as_ref()
            .unwrap()
            .last_zxid,
        400
    );
}

/// What a server says that is none, or speaks too early.
fn strange() -> Vec<Vec<u8>> {
    vec![
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        vec![0x15, 3, 3, 0, 2, 2, 80],
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        b"\x00".repeat(100),
        frame(-2, 0, 0, &[]),
        frame(1, 1, 0, &good(1)),
    ]
}

#[tokio::test]
async fn a_server_that_speaks_first_is_left() {
    let count = strange().len();
    let peer = Peer::start(move |mut it| async move {
        if let Some(bytes) = strange().get(it.index()) {
            it.send(bytes).await?;
            it.ended().await;
            return Ok(());
        }
        Honest::serve(&mut it).await
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    within(client.get("/good")).await.unwrap();
    assert_eq!(client.status().connections, 1);
    assert_eq!(peer.finish().connections.len(), count + 1);
}

#[tokio::test]
async fn a_port_that_is_not_zookeepers_is_named_as_such() {
    for at in 0..4 {
        let peer = Peer::start(move |mut it| async move {
            it.connect_request().await?;
            it.send(&strange()[at]).await?;
            it.ended().await;
            Ok(())
        })
        .await;
        let builder = builder(peer.addr()).connect_within(Duration::from_millis(100));
        let error = within(builder.connect()).await.unwrap_err();
        let ConnectError::TimedOut { last, .. } = error else {
            panic!("{error}")
        };
        let last = last.unwrap();
        assert!(last.contains("TLS or HTTP"), "{last}");
        assert!(last.starts_with(&peer.addr().to_string()), "{last}");
    }
}

#[tokio::test]
async fn handshakes_that_make_no_sense_are_refused() {
    let bad = |change: fn(&mut Grant)| {
        let mut grant = Grant::new(SESSION, TIMEOUT);
        change(&mut grant);
        grant
    };
    let grants = [
        bad(|it| it.timeout_ms = 0),
        bad(|it| it.timeout_ms = -1),
        bad(|it| it.timeout_ms = i32::MIN),
        bad(|it| it.session = 0),
        bad(|it| it.password = vec![]),
        bad(|it| it.password = vec![1; 15]),
        bad(|it| it.password = vec![1; 17]),
        bad(|it| it.password = vec![1; 1 << 20]),
    ];
    let count = grants.len();
    let peer = Peer::start(move |mut it| {
        let grant = grants.get(it.index()).cloned();
        async move {
            let Some(grant) = grant else {
                return Honest::serve(&mut it).await;
            };
            it.connect_request().await?;
            it.accept(&grant).await?;
            it.ended().await;
            Ok(())
        }
    })
    .await;
    let client = builder(peer.addr()).connect().await.unwrap();
    within(client.get("/good")).await.unwrap();
    let status = client.status();
    assert_eq!(
        (status.epoch.get(), status.connections, status.lost),
        (1, 1, None)
    );
    let record = peer.finish();
    assert_eq!(record.connections.len(), count + 1);
    for connection in &record.connections {
        let connect = connection.connect.as_ref().unwrap();
        assert_eq!((connect.session, connect.last_zxid), (0, 0));
        assert_eq!(connect.password, [0; 16]);
    }
}

#[tokio::test]
async fn handshakes_of_other_versions_are_accepted() {
    let password = [7; 16];
    let fixed = |version, timeout| Body::new().int(version).int(timeout).long(SESSION);
    let answers = [
        // Before 3.4 nothing is said of read-only servers; the future may say more.
        fixed(0, 4000).buffer(&password),
        fixed(5, 4000).buffer(&password).boolean(false),
        fixed(0, 4000)
            .buffer(&password)
            .boolean(false)
            .raw(&[9; 40]),
        fixed(0, i32::MAX).buffer(&password).boolean(false),
        fixed(0, 4000).int(-1).boolean(false),
    ];
    for answer in answers {
        let answer = answer.done();
        let timeout = i32::from_be_bytes(answer[4..8].try_into().unwrap());
        let peer = Peer::start(move |mut it| {
            let answer = answer.clone();
            async move {
                it.connect_request().await?;
                it.send_frame(&answer).await?;
                Honest::default().answer_all(&mut it).await
            }
        })
        .await;
        let client = builder(peer.addr()).connect().await.unwrap();
        within(client.get("/good")).await.unwrap();
        assert_eq!(client.status().connections, 1);
        assert_eq!(client.session_id(), Some(SESSION));
        let granted = Duration::from_millis(timeout.try_into().unwrap());
        assert_eq!(client.session_timeout(), granted);
        within(client.close()).await;
    }
}
