//! The harnesses themselves: what they promise to the tests that use them.
#![cfg(target_os = "linux")]

use std::env;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::{self, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use docent_testing::peer::{
    BlackHole, Body, Cut, Ended, Flow, Grant, Peer, Proxy, Record, Refusing, op,
};
use docent_testing::real::{self, Ensemble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

const SESSION: i64 = 0x1_2345_6789;
const TIMEOUT: Duration = Duration::from_secs(4);

fn framed(payload: &[u8]) -> Vec<u8> {
    Body::new().buffer(payload).done()
}

fn connect_request(session: i64, password: &[u8]) -> Vec<u8> {
    let body = Body::new().int(0).long(0).int(10_000).long(session);
    framed(&body.buffer(password).boolean(false).done())
}

fn exists(xid: i32) -> Vec<u8> {
    let body = Body::new().int(xid).int(op::EXISTS);
    framed(&body.string("/a").boolean(false).done())
}

fn ping() -> Vec<u8> {
    framed(&Body::new().int(-2).int(op::PING).done())
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn dial(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.unwrap()
}

/// Connects and asks for a new session; returns the answer, too.
async fn open(addr: SocketAddr) -> (TcpStream, Vec<u8>) {
    let mut stream = dial(addr).await;
    stream
        .write_all(&connect_request(0, &[0; 16]))
        .await
        .unwrap();
    let answer = read_frame(&mut stream).await.unwrap();
    (stream, answer)
}

/// What can be read until the connection ends, and whether it ends by FIN.
async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return (bytes, true),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                return (bytes, false);
            }
        }
    }
}

fn first_ended(record: &Record) -> Option<Ended> {
    record
        .connections
        .first()
        .and_then(|it| it.ended)
        .map(|(ended, _)| ended)
}

#[tokio::test]
async fn a_script_shakes_hands_and_replies() {
    let peer = Peer::start(|mut client| async move {
        let request = client.welcome(SESSION, TIMEOUT).await?;
        assert_eq!((request.last_zxid, request.timeout_ms), (0, 10_000));
        let request = client.expect(op::EXISTS).await?;
        assert_eq!(request.path(), Some("/a"));
        client.ok(&request, &Body::new().stat(9, 0).done()).await?;
        let request = client.request().await?;
        client.err(&request, -101).await?;
        client.event(3, "/a").await?;
        client.ended().await;
        Ok(())
    })
    .await;
    let (mut stream, answer) = open(peer.addr()).await;
    let password = SESSION.to_be_bytes().repeat(2);
    let expected = Body::new()
        .int(0)
        .int(4_000)
        .long(SESSION)
        .buffer(&password)
        .boolean(false);
    assert_eq!(answer, expected.done());

    stream
        .write_all(&[exists(5), exists(6)].concat())
        .await
        .unwrap();
    let reply = read_frame(&mut stream).await.unwrap();
    assert_eq!(reply, Body::new().int(5).long(1).int(0).stat(9, 0).done());
    let reply = read_frame(&mut stream).await.unwrap();
    assert_eq!(reply, Body::new().int(6).long(2).int(-101).done());
    let event = Body::new()
        .int(-1)
        .long(-1)
        .int(0)
        .int(3)
        .int(3)
        .string("/a");
    assert_eq!(read_frame(&mut stream).await.unwrap(), event.done());
    drop(stream);

    peer.until(|record| first_ended(record) == Some(Ended::Closed))
        .await;
    let record = peer.finish();
    let sent = connect_request(0, &[0; 16]).len() + 2 * exists(5).len();
    assert_eq!(record.connections[0].received, sent);
    assert_eq!(record.connections[0].error, None);
    assert_eq!(
        record.requests().map(|it| it.xid).collect::<Vec<_>>(),
        [5, 6]
    );
}

#[tokio::test]
async fn refusals_look_like_those_of_servers() {
    let peer = Peer::start(|mut client| async move {
        client.connect_request().await?;
        match client.index() {
            0 => client.expired().await?,
            1 => client.refuse(-124).await?,
            _ => {
                let bad = Grant {
                    password: vec![],
                    read_only: None,
                    ..Grant::new(1, TIMEOUT)
                };
                client.accept(&bad).await?;
            }
        }
        client.fin().await;
        Ok(())
    })
    .await;
    let expired = Body::new()
        .int(0)
        .int(0)
        .long(0)
        .buffer(&[0; 16])
        .boolean(false);
    assert_eq!(open(peer.addr()).await.1, expired.done());
    assert_eq!(
        open(peer.addr()).await.1,
        Body::new().int(0).long(0).int(-124).done()
    );
    assert_eq!(
        open(peer.addr()).await.1,
        Body::new().int(0).int(4_000).long(1).int(0).done()
    );
    assert_eq!(peer.finish().connections.len(), 3);
}

#[tokio::test]
async fn pings_are_answered_unless_told_otherwise() {
    let peer = Peer::start(|mut client| async move {
        client.welcome(SESSION, TIMEOUT).await?;
        client.zxid = 77;
        client.idle(Duration::from_millis(100)).await?;
        client.expect(op::EXISTS).await?;
        client.answer_pings(false);
        client.send(b"now").await?;
        client.expect(op::PING).await?;
        client.fin().await;
        Ok(())
    })
    .await;
    let (mut stream, _) = open(peer.addr()).await;
    stream
        .write_all(&[ping(), exists(1), ping()].concat())
        .await
        .unwrap();
    for _ in 0..2 {
        let reply = read_frame(&mut stream).await.unwrap();
        assert_eq!(reply, Body::new().int(-2).long(77).int(0).done());
    }
    let mut now = [0; 3];
    stream.read_exact(&mut now).await.unwrap();
    stream.write_all(&ping()).await.unwrap();
    assert_eq!(read_all(&mut stream).await, (vec![], true));
    let record = peer.finish();
    assert_eq!(record.connections[0].pings().count(), 3);
    assert_eq!(record.requests().count(), 1);
}

#[tokio::test]
async fn a_reset_comes_after_what_was_sent() {
    let peer = Peer::start(|mut client| async move {
        client.send(b"partial").await?;
        client.rst();
        Ok(())
    })
    .await;
    let (bytes, orderly) = read_all(&mut dial(peer.addr()).await).await;
    assert_eq!((bytes.as_slice(), orderly), (&b"partial"[..], false));
}

#[tokio::test]
async fn a_fin_is_orderly_even_with_bytes_unread() {
    let peer = Peer::start(|mut client| async move {
        assert_eq!(client.bytes(3).await?, b"abc");
        assert_eq!(client.fin().await, Ended::Closed);
        Ok(())
    })
    .await;
    let mut stream = dial(peer.addr()).await;
    stream.write_all(b"abcdef").await.unwrap();
    assert_eq!(read_all(&mut stream).await, (vec![], true));
    drop(stream);
    let record = peer.until(|record| first_ended(record).is_some()).await;
    assert_eq!(record.connections[0].received, 6);
}

#[tokio::test]
async fn drops_of_bytes_take_their_time() {
    let pause = Duration::from_millis(20);
    let peer = Peer::start(move |mut client| async move {
        client.drip(b"slow loris", 3, pause).await?;
        client.fin().await;
        Ok(())
    })
    .await;
    let start = Instant::now();
    let (bytes, _) = read_all(&mut dial(peer.addr()).await).await;
    assert_eq!(bytes, b"slow loris");
    assert!(start.elapsed() >= 4 * pause);
}

#[tokio::test]
async fn a_stalled_script_neither_reads_nor_ends() {
    let peer = Peer::start(|client| async move { client.stall().await }).await;
    let mut stream = dial(peer.addr()).await;
    let endless = async { while stream.write_all(&[0; 64 << 10]).await.is_ok() {} };
    assert!(
        time::timeout(Duration::from_millis(300), endless)
            .await
            .is_err()
    );
    assert_eq!(peer.finish().connections[0].received, 0);
}

#[tokio::test]
async fn a_clients_reset_is_told_from_its_close() {
    let peer = Peer::start(|mut client| async move {
        client.ended().await;
        Ok(())
    })
    .await;
    let stream = dial(peer.addr()).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    peer.until(|record| first_ended(record) == Some(Ended::Reset))
        .await;
}

#[tokio::test]
async fn a_failed_assertion_in_a_script_is_not_lost() {
    let peer = Peer::start(|mut client| async move {
        client.expect(op::CREATE).await?;
        Ok(())
    })
    .await;
    let mut stream = dial(peer.addr()).await;
    stream.write_all(&exists(1)).await.unwrap();
    let record = peer.until(|record| !record.panics.is_empty()).await;
    assert!(
        record.panics[0].contains("unexpected Request"),
        "{:?}",
        record.panics
    );
    assert!(catch_unwind(AssertUnwindSafe(|| peer.finish())).is_err());
}

#[tokio::test]
async fn a_wrong_client_ends_the_script_with_an_error() {
    let peer = Peer::start(|mut client| async move {
        client.frame().await?;
        Ok(())
    })
    .await;
    dial(peer.addr()).await.write_all(&[0xff; 4]).await.unwrap();
    let error = |record: &Record| record.connections.first().and_then(|it| it.error.clone());
    let record = peer.until(|record| error(record).is_some()).await;
    assert_eq!(
        error(&record).unwrap(),
        "no frame length: [255, 255, 255, 255]"
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_peer() {
    let peer = Peer::start(|client| async move { client.stall().await }).await;
    let mut stream = dial(peer.addr()).await;
    peer.until(|record| record.connections.len() == 1).await;
    let addr = peer.addr();
    drop(peer);
    read_all(&mut stream).await;
    assert_eq!(
        TcpStream::connect(addr).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn dead_addresses_are_silent_or_refuse() {
    let hole = BlackHole::open().await;
    let connect = TcpStream::connect(hole.addr());
    assert!(
        time::timeout(Duration::from_millis(500), connect)
            .await
            .is_err()
    );
    let refusing = Refusing::open();
    let error = TcpStream::connect(refusing.addr()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// A proxy in front of a server that sends back what it gets.
async fn echo() -> (Proxy, Peer) {
    let peer = Peer::start(|mut client| async move {
        loop {
            let byte = client.bytes(1).await?;
            client.send(&byte).await?;
        }
    })
    .await;
    (Proxy::start(peer.addr()).await, peer)
}

async fn check_echo(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut echoed = vec![0; text.len()];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(echoed, text);
}

#[tokio::test]
async fn a_proxy_passes_everything_on() {
    let (proxy, peer) = echo().await;
    let mut stream = dial(proxy.addr()).await;
    check_echo(&mut stream, b"hello").await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_all(&mut stream).await, (vec![], true));
    assert_eq!(first_ended(&peer.record()), Some(Ended::Closed));
    assert_eq!(proxy.connections(), 1);
    assert_eq!(
        (
            proxy.forwarded(Flow::ToServer),
            proxy.forwarded(Flow::ToClient)
        ),
        (5, 5)
    );
}

#[tokio::test]
async fn a_proxy_cuts_requests_at_any_byte() {
    for how in [Cut::Fin, Cut::Rst] {
        for count in 0..=5 {
            let (proxy, peer) = echo().await;
            proxy.cut_after(Flow::ToServer, count, how);
            let mut stream = dial(proxy.addr()).await;
            stream.write_all(b"hello").await.unwrap();
            let (_, orderly) = read_all(&mut stream).await;
            assert_eq!(orderly, how == Cut::Fin);
            drop(stream);
            let record = peer.until(|record| first_ended(record).is_some()).await;
            assert_eq!(record.connections[0].received as u64, count);
            assert_eq!(first_ended(&record), Some(Ended::Closed));
            assert!(!proxy.spare(Flow::ToServer));
            check_echo(&mut dial(proxy.addr()).await, b"again").await;
        }
    }
}

#[tokio::test]
async fn a_proxy_cuts_replies_at_any_byte() {
    for how in [Cut::Fin, Cut::Rst] {
        for count in 0..=5 {
            let (proxy, _peer) = echo().await;
            let mut stream = dial(proxy.addr()).await;
            check_echo(&mut stream, b"before").await;
            proxy.cut_after(Flow::ToClient, count, how);
            stream.write_all(b"hello").await.unwrap();
            let (bytes, orderly) = read_all(&mut stream).await;
            assert_eq!(bytes, b"hello"[..count as usize]);
            assert_eq!(orderly, how == Cut::Fin);
        }
    }
}

#[tokio::test]
async fn a_proxy_holds_one_direction() {
    let (proxy, peer) = echo().await;
    let mut stream = dial(proxy.addr()).await;
    proxy.hold(Flow::ToClient);
    stream.write_all(b"hello").await.unwrap();
    peer.until(|record| {
        record
            .connections
            .first()
            .is_some_and(|it| it.received == 5)
    })
    .await;
    let mut byte = [0];
    let read = time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await;
    assert!(read.is_err());
    proxy.release();
    let mut held = [0; 5];
    stream.read_exact(&mut held).await.unwrap();
    assert_eq!(&held, b"hello");
}

#[tokio::test]
async fn a_cut_loses_what_was_held() {
    let (proxy, peer) = echo().await;
    let mut stream = dial(proxy.addr()).await;
    check_echo(&mut stream, b"hello").await;
    proxy.hold(Flow::ToServer);
    stream.write_all(b"lost").await.unwrap();
    time::sleep(Duration::from_millis(50)).await;
    proxy.cut(Cut::Rst);
    assert_eq!(read_all(&mut stream).await, (vec![], false));
    let record = peer.until(|record| first_ended(record).is_some()).await;
    assert_eq!(record.connections[0].received, 5);
}

#[tokio::test]
async fn a_proxy_delays_and_refuses() {
    let (proxy, _peer) = echo().await;
    let mut stream = dial(proxy.addr()).await;
    proxy.delay(Duration::from_millis(50));
    let start = Instant::now();
    check_echo(&mut stream, b"x").await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    proxy.refuse(true);
    assert_eq!(
        read_all(&mut dial(proxy.addr()).await).await,
        (vec![], false)
    );
    check_echo(&mut stream, b"y").await;
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_proxy_without_a_server_resets() {
    let nobody = Refusing::open();
    let proxy = Proxy::start(nobody.addr()).await;
    assert_eq!(
        read_all(&mut dial(proxy.addr()).await).await,
        (vec![], false)
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_proxy() {
    let (proxy, _peer) = echo().await;
    let mut stream = dial(proxy.addr()).await;
    check_echo(&mut stream, b"hello").await;
    let addr = proxy.addr();
    drop(proxy);
    read_all(&mut stream).await;
    assert_eq!(
        TcpStream::connect(addr).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

fn is_silent(addr: SocketAddr) -> bool {
    net::TcpStream::connect(addr).is_err()
}

fn wait_until(what: &str, mut probe: impl FnMut() -> bool) {
    let start = Instant::now();
    while !probe() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{what}: not within 30 s"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn real_lanes_are_skipped_or_run() {
    assert_eq!(real::lanes().is_empty(), real::available().is_err());
}

#[test]
fn real_servers_serve_side_by_side_and_leave_nothing() {
    for version in real::lanes() {
        let (one, two) = (Ensemble::standalone(version), Ensemble::standalone(version));
        assert_ne!(one.connect_string(), two.connect_string());
        let answer = one.four_letter_word(1, "srvr");
        assert!(
            answer.starts_with(&format!("Zookeeper version: {version}.")),
            "{answer}"
        );
        let (addr, folder) = (one.member(1), one.folder(1));
        assert!(folder.join("server.log").exists());
        drop(one);
        assert!(is_silent(addr));
        assert!(!folder.parent().unwrap().exists());
        assert!(!is_silent(two.member(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_sessions_expire_on_demand() {
    for version in real::lanes() {
        let servers = Ensemble::of_three(version);
        let (mut stream, answer) = open(servers.member(3)).await;
        let session = i64::from_be_bytes(answer[8..16].try_into().unwrap());
        let password = answer[20..36].to_vec();
        assert!(
            servers
                .four_letter_word(3, "cons")
                .contains(&format!("sid=0x{session:x}"))
        );

        servers.expire(session);
        read_all(&mut stream).await;
        let mut stream = dial(servers.member(3)).await;
        stream
            .write_all(&connect_request(session, &password))
            .await
            .unwrap();
        let answer = read_frame(&mut stream).await.unwrap();
        assert_eq!(answer[4..16], [0; 12], "neither timeout nor session");
    }
}

#[test]
fn real_ensembles_survive_their_leader() {
    for version in real::lanes() {
        let servers = Ensemble::of_three(version);
        let first = servers.leader();
        servers.kill(first);
        assert!(is_silent(servers.member(first)));
        let second = servers.leader();
        assert_ne!(first, second);
        servers.restart(first);
        assert_eq!(servers.follower().min(second), 1);

        servers.pause(second);
        assert_eq!(servers.four_letter_word(second, "ruok"), "");
        let third = servers.leader();
        assert_ne!(second, third);
        servers.resume(second);
        servers.wait_for(&[1, 2, 3]);
        servers.restart_all();
        assert!(servers.numbers().contains(&servers.leader()));
    }
}

#[test]
fn real_servers_can_have_more_options() {
    for version in real::lanes() {
        let servers = Ensemble::start(version, &["standalone", "--tls"]);
        let authority = servers.variable("ZK_TLS_CA").unwrap();
        assert!(authority.starts_with(servers.folder(1).parent().unwrap().to_str().unwrap()));
        assert_eq!(servers.variable("ZK_SASL_USERS"), None);
    }
}

const CHILD: &str = "DOCENT_HARNESS_CHILD";

/// Does nothing, unless the test below runs it in a process of its own.
#[test]
fn real_child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let servers = Ensemble::standalone(real::lanes()[0]);
    println!(
        "\nserves {} {}",
        servers.member(1),
        servers.folder(1).display()
    );
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn real_servers_end_with_a_killed_process() {
    if real::lanes().is_empty() {
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "real_child", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let line = lines
        .into_iter()
        .find(|line| line.starts_with("serves "))
        .unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let addr = words[1].parse().unwrap();
    assert!(!is_silent(addr));

    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the server ends", || is_silent(addr));
    wait_until("its data is deleted", || {
        !std::path::Path::new(words[2]).exists()
    });
}
