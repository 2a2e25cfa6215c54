//! The server in the process, as the tests of its users know it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use docent::{Backoff, Client, Code, CreateMode, ErrorKind, EventKind, State, Status};
use docent_testing::dev::{Builder, DevServer};
use docent_testing::server::{Act, Ensemble, Lag, Record, Release};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

const TICK: Duration = Duration::from_millis(500);

fn three() -> Builder {
    DevServer::builder().members(3).tick(TICK)
}

async fn client(servers: &str) -> Client {
    let backoff = Backoff {
        base: Duration::from_millis(5),
        cap: Duration::from_millis(50),
        ..Backoff::DEFAULT
    };
    let builder = docent::builder(servers).backoff(backoff);
    builder
        .session_timeout(Duration::from_secs(30))
        .connect()
        .await
        .unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    let done = time::timeout(Duration::from_secs(30), future).await;
    done.expect("this has not happened in 30 s")
}

async fn until(client: &Client, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = client.status();
    while !wanted(&status) {
        status = within(client.changed(status)).await;
    }
    status
}

#[tokio::test]
async fn members_listen_where_they_are_told_to() {
    let server = three().start().await.unwrap();
    let ports: Vec<_> = server.addresses().iter().map(SocketAddr::port).collect();
    assert!(ports.len() == 3 && !ports.contains(&0));
    for address in server.connect_string().split(',') {
        client(address).await.close().await;
    }
    let config = client(&server.connect_string()).await.config().await;
    let config = String::from_utf8(config.unwrap().data().to_vec()).unwrap();
    assert!(config.contains(&server.addresses()[2].to_string()));

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let error = DevServer::builder().port(taken.1.port()).start().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&taken.1.to_string()), "{error}");
    let error = three().port(65534).start().await.unwrap_err();
    assert!(error.to_string().contains("no port 65536"), "{error}");
}

#[tokio::test]
async fn settings_reach_the_model() {
    let builder = DevServer::builder()
        .tick(Duration::from_secs(1))
        .release(Release::V3_9)
        .max_frame(1000);
    let server = builder.start().await.unwrap();
    let client = client(&server.connect_string()).await;
    assert_eq!(client.session_timeout(), Duration::from_secs(20));
    let large = client.create("/large", &[0; 1000], CreateMode::Persistent);
    let error = within(large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    let word = b"srvr";
    let mut stream = TcpStream::connect(server.connect_string()).await.unwrap();
    stream.write_all(word).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("version: 3.9"), "{answer}");
}

#[tokio::test]
async fn an_expired_session_is_followed_by_another() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server.connect_string()).await;
    client
        .create("/e", b"", CreateMode::Ephemeral)
        .await
        .unwrap();
    let session = client.session_id().unwrap();
    assert!(server.expire(session) && !server.expire(session));
    until(&client, |now| {
        now.epoch.get() == 2 && now.state.is_connected()
    })
    .await;
    assert_eq!(client.exists("/e").await.unwrap(), None);
    assert!(client.session_id() != Some(session));
}

#[tokio::test]
async fn a_cut_connection_is_followed_by_another() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server.connect_string()).await;
    assert!(server.cut(client.session_id().unwrap()) && !server.cut(1));
    let status = until(&client, |now| now.connections == 2).await;
    assert_eq!(status.epoch.get(), 1);
}

#[tokio::test]
async fn a_dropped_reply_leaves_the_outcome_open() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server.connect_string()).await;
    let session = client.session_id().unwrap();
    assert!(server.drop_replies(session) && !server.drop_replies(1));
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.create("/a", b"", CreateMode::Persistent).await }
    });
    let done = async {
        while !server.control(|ensemble| ensemble.node("/a").is_some()) {
            time::sleep(TICK / 100).await;
        }
    };
    within(done).await;
    server.cut(session);
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    // The next connection is as good as new.
    let again = within(client.create("/a", b"", CreateMode::Persistent)).await;
    assert_eq!(
        again.unwrap_err().kind(),
        ErrorKind::Server(Code::NodeExists)
    );
}

#[tokio::test]
async fn a_member_that_lags_shows_what_was() {
    let server = three().start().await.unwrap();
    let writer = client(&server.addresses()[0].to_string()).await;
    let reader = client(&server.addresses()[2].to_string()).await;
    server.lag(2, Lag::Held);
    writer
        .create("/a", b"", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(reader.exists("/a").await.unwrap(), None);
    server.lag(2, Lag::None);
    assert!(reader.exists("/a").await.unwrap().is_some());
}

#[tokio::test]
async fn frozen_servers_answer_later() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server.connect_string()).await;
    server.pause();
    let mut call = Box::pin(client.exists("/"));
    let early = time::timeout(TICK, &mut call).await;
    assert!(early.is_err());
    server.resume();
    assert!(within(call).await.unwrap().is_some());
}

#[tokio::test]
async fn clients_of_a_killed_member_go_to_others() {
    let server = three().start().await.unwrap();
    let client = client(&server.connect_string()).await;
    client
        .create("/e", b"", CreateMode::Ephemeral)
        .await
        .unwrap();
    let session = client.session_id().unwrap();
    let its_member = |server: &DevServer| {
        server.control(|ensemble| {
            let mut conns = ensemble.connections();
            conns.find(|(.., owner)| *owner == session).map(|it| it.1)
        })
    };
    let member = its_member(&server).unwrap();
    server.kill(member);
    until(&client, |now| now.connections == 2).await;
    assert!(within(client.exists("/e")).await.unwrap().is_some());
    assert_ne!(its_member(&server), Some(member));
    let address = server.addresses()[member];
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);

    server.restart(member);
    let only = self::client(&address.to_string()).await;
    assert!(within(only.exists("/e")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_outage_of_all_members_ends_no_session() {
    let server = three().start().await.unwrap();
    let client = client(&server.connect_string()).await;
    client
        .create("/e", b"", CreateMode::Ephemeral)
        .await
        .unwrap();
    let addresses = server.addresses().to_vec();
    server.restart_all();
    let status = until(&client, |now| now.connections == 2).await;
    assert_eq!(
        (status.epoch.get(), server.addresses()),
        (1, &addresses[..])
    );
    assert!(within(client.exists("/e")).await.unwrap().is_some());
}

fn words(trace: &[Record], act: Act) -> Vec<&str> {
    let its = trace.iter().filter(|record| record.act == act);
    its.map(|record| &*record.words).collect()
}

#[tokio::test]
async fn the_trace_tells_what_was_asked_and_answered() {
    let server = three().start().await.unwrap();
    let client = client(&server.addresses()[1].to_string()).await;
    let session = client.session_id().unwrap();
    let (_, mut watcher) = client.exists_and_watch("/a").await.unwrap();
    client
        .create("/a", b"12345", CreateMode::Ephemeral)
        .await
        .unwrap();
    within(watcher.changed()).await;
    client.delete("/none", None).await.unwrap_err();
    server.expire(session);
    until(&client, |now| now.epoch.get() == 2).await;

    let trace = server.trace();
    let mut its = trace.iter().filter(|record| record.session == session);
    assert!(its.all(|record| record.member == 1 || record.act == Act::Expired));
    assert!(trace.is_sorted_by_key(|record| record.at));
    let asked = words(&trace, Act::Asked);
    let told = |words: &[&str], wanted: &str| {
        let found = words.iter().any(|words| words.contains(wanted));
        assert!(found, "{wanted:?} is not in {words:#?}");
    };
    told(&asked, "connect: a new session of 30000 ms");
    told(&asked, "exists /a, with a watch");
    told(&asked, "create2 /a, ephemeral, 5 bytes");
    let answered = words(&trace, Act::Answered);
    told(&answered, "connected for 10000 ms");
    told(&answered, "/a at zxid 0x1000000");
    told(&answered, "NoNode");
    told(&answered, "the session is over");
    assert_eq!(words(&trace, Act::Told), ["Created /a"]);
    assert_eq!(words(&trace, Act::Expired), [""]);
    told(&words(&trace, Act::Closed), "by the member");
    assert!(trace[0].to_string().contains("member 1"), "{}", trace[0]);
}

#[tokio::test]
async fn the_trace_holds_no_secrets_and_is_bounded() {
    let server = DevServer::builder().trace(50).start().await.unwrap();
    let client = client(&server.connect_string()).await;
    let secret = "canary";
    let seen = |server: &DevServer| format!("{:?}", server.trace());
    client.add_auth("digest", b"alice:canary").await.unwrap();
    let password = client.credentials().unwrap().password;
    let node = client.create("/a", secret.as_bytes(), CreateMode::Persistent);
    node.await.unwrap();
    client.get("/a").await.unwrap();
    client
        .set_acl(
            "/a",
            &[docent::Acl {
                perms: docent::Perms::ALL,
                scheme: "digest",
                id: "bob:canary",
            }],
            None,
        )
        .await
        .unwrap();
    server.cut(client.session_id().unwrap());
    until(&client, |now| now.connections == 2).await;
    let text = seen(&server);
    assert!(text.contains("auth by digest") && text.contains("setACL /a"));
    assert!(!text.contains(secret), "{text}");
    assert!(!text.contains(&password.escape_ascii().to_string()));

    for _ in 0..100 {
        client.exists("/").await.unwrap();
    }
    assert_eq!(server.trace().len(), 50);
}

#[tokio::test]
async fn dropped_replies_are_in_the_trace() {
    let server = DevServer::with(Ensemble::builder()).await.unwrap();
    let client = client(&server.connect_string()).await;
    let session = client.session_id().unwrap();
    let mut watcher = client.watch("/").await.unwrap();
    server.drop_replies(session);
    let other = self::client(&server.connect_string()).await;
    other
        .create("/a", b"", CreateMode::Persistent)
        .await
        .unwrap();
    let trace = server.trace();
    let dropped = words(&trace, Act::Dropped);
    assert_eq!(dropped, [format!("{:?} /", EventKind::ChildrenChanged)]);
    server.cut(session);
    assert!(within(watcher.changed()).await.is_some());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let builder = DevServer::builder().max_connections(2);
    let server = builder.start().await.unwrap();
    let first = client(&server.connect_string()).await;
    let second = client(&server.connect_string()).await;
    let mut third = TcpStream::connect(server.connect_string()).await.unwrap();
    assert_eq!(within(third.read(&mut [0])).await.unwrap_or(0), 0);
    first.close().await;
    client(&server.connect_string()).await;
    assert!(second.exists("/").await.unwrap().is_some());
}

/// Sends what nobody should, and keeps the connection open if the server does.
async fn misbehave(server: SocketAddr, how: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let mut hello = vec![0, 0, 0, 45];
    hello.extend([0; 24]);
    hello.extend([0, 0, 0, 16]);
    hello.extend([0; 17]);
    let list = [0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, b'/', 0];
    let bytes = match how % 5 {
        0 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        // Half a request, of a length that is allowed.
        1 => [&hello[..], &[0, 15, 0, 0], &[1; 1000]].concat(),
        // Many requests whose answers are not read.
        2 => [&hello[..], &list.repeat(1000)].concat(),
        // Operations that there are not.
        3 => [&hello[..], &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 3, 231]].concat(),
        _ => vec![255; 100_000],
    };
    // The server may close it at any time.
    stream.write_all(&bytes).await.unwrap_or_default();
    if bytes.starts_with(&hello) {
        let welcome = &mut [0; 41];
        stream.read_exact(welcome).await.unwrap();
    }
    stream
}

#[tokio::test]
async fn clients_that_misbehave_harm_nobody() {
    let server = three().start().await.unwrap();
    let client = client(&server.connect_string()).await;
    client
        .create("/a", b"", CreateMode::Ephemeral)
        .await
        .unwrap();
    let mut open = Vec::new();
    for how in 0..200 {
        let member = server.addresses()[how % 3];
        open.push(within(misbehave(member, how)).await);
        within(client.set("/a", b"fine", None)).await.unwrap();
    }
    drop(open);
    let gone = async {
        while server.control(|ensemble| ensemble.connections().count()) > 1 {
            time::sleep(TICK / 100).await;
        }
    };
    within(gone).await;
    assert_eq!(client.status().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_greet_is_left() {
    let server = DevServer::start().await.unwrap();
    let mut stream = TcpStream::connect(server.connect_string()).await.unwrap();
    let started = time::Instant::now();
    stream.write_all(&[0, 0, 0]).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(started.elapsed() >= Duration::from_secs(10));
    assert_eq!(server.control(|ensemble| ensemble.connections().count()), 0);
}

#[tokio::test]
async fn a_client_knows_that_the_servers_ended() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server.connect_string()).await;
    drop(server);
    until(&client, |now| now.state == State::Suspended).await;
}
