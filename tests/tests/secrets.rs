//! No password gets into logs, errors or anything else that is printed.

mod scripts;

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use docent::{Client, CreateMode, Credentials, End, ErrorKind};
use docent_testing::peer::{Body, Cut, Grant, Peer, Proxy, op};
use scripts::{Honest, SESSION, TIMEOUT, builder, within};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Everything that was logged, at any level, by anyone.
static LOG: Mutex<String> = Mutex::new(String::new());

struct Log;

/// Writes all fields as they are meant to be printed.
struct Line<'a>(&'a mut String);

impl Log {
    fn add(metadata: &Metadata<'_>, record: impl FnOnce(&mut Line<'_>)) {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        write!(log, "\n{} {}:", metadata.level(), metadata.target()).unwrap();
        record(&mut Line(&mut log));
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::add(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        values.record(&mut Line(&mut log));
    }

    fn event(&self, event: &Event<'_>) {
        Self::add(event.metadata(), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

const PASSWORD: &str = "canary-of-digest";
const LATER: &str = "canary-of-later";
const SESSION_PASSWORD: [u8; 16] = *b"canary-of-sessio";
const PAYLOAD: &[u8] = b"canary-of-payload";

/// Whether a canary sings in a text, be it as it is, as a list of bytes or in hexadecimal.
fn sings(text: &str) -> bool {
    let song = "canary-of-";
    let joined = |each: fn(u8) -> String, between| {
        let notes: Vec<_> = song.bytes().map(each).collect();
        notes.join(between)
    };
    let hex = joined(|byte| format!("{byte:02x}"), "");
    let list = joined(|byte| byte.to_string(), ",");
    let text: String = text.to_lowercase().split_whitespace().collect();
    [song, &hex, &list].iter().any(|tune| text.contains(tune))
}

/// Everything in which a value is printed, gone over for canaries.
#[track_caller]
fn quiet(value: &impl Debug) -> String {
    let printed = format!("{value:?} {value:#?}");
    assert!(!sings(&printed), "{printed}");
    printed
}

#[track_caller]
fn quiet_error(error: &impl std::error::Error) {
    let printed = quiet(error) + &error.to_string();
    assert!(!sings(&printed), "{printed}");
    assert!(error.source().is_none_or(|it| !sings(&it.to_string())));
}

#[test]
fn a_canary_is_heard_in_every_tune() {
    for text in [
        format!("{PASSWORD:?}"),
        format!("{SESSION_PASSWORD:?}"),
        format!("{SESSION_PASSWORD:#?}"),
        format!("{:?}", bytes::Bytes::from_static(PAYLOAD)),
        "63616e6172792d6f662d".to_owned(),
        PASSWORD.to_uppercase(),
    ] {
        assert!(sings(&text), "{text}");
    }
    assert!(!sings("canary"));
}

fn grant() -> Grant {
    Grant {
        password: SESSION_PASSWORD.to_vec(),
        ..Grant::new(SESSION, TIMEOUT)
    }
}

/// A server that does the worst it can for what is logged about it.
async fn server() -> Peer {
    Peer::start(|mut it| async move {
        let connect = it.connect_request().await?;
        if (1..5).contains(&it.index()) {
            assert_eq!(connect.password, SESSION_PASSWORD);
        }
        match it.index() {
            1 => return it.send(b"HTTP/1.1 canary-of-http\r\n\r\n").await,
            2 => {
                let bad = [&SESSION_PASSWORD[..], b"-"].concat();
                let bad = Grant {
                    password: bad,
                    ..grant()
                };
                return it.accept(&bad).await;
            }
            3 => return it.refuse(-4).await,
            _ => it.accept(&grant()).await?,
        }
        let mut honest = Honest::default();
        loop {
            let request = it.request().await?;
            let path = request.path().unwrap_or_default().to_owned();
            match (request.op, path.as_str()) {
                (op::GET_DATA, "/short") => {
                    it.ok(&request, &Body::new().buffer(PAYLOAD).done()).await?;
                }
                (op::GET_DATA, "/order") => {
                    let body = Body::new().buffer(PAYLOAD).stat(1, 0).done();
                    it.reply(request.xid + 7, 1, 0, &body).await?;
                }
                (op::GET_DATA, "/event") => {
                    it.event(3, "not a path: canary-of-event").await?;
                    let event = Body::new().int(-1).long(-1).int(0).int(3).int(3);
                    it.send_frame(&event.buffer(b"/canary-of-event\xff").done())
                        .await?;
                }
                (op::GET_DATA, "/expired") => it.err(&request, -112).await?,
                (op::GET_DATA, "/refused") => it.err(&request, -115).await?,
                _ => honest.answer(&mut it, &request).await?,
            }
        }
    })
    .await
}

async fn call(client: &Client, path: &str) {
    let error = within(client.get(path)).await.unwrap_err();
    quiet_error(&error);
    quiet_error(&error.kind());
    quiet(client);
}

#[tokio::test]
async fn no_password_is_ever_printed() {
    tracing::subscriber::set_global_default(Log).unwrap();
    let peer = server().await;
    let proxy = Proxy::start(peer.addr()).await;
    let builder = builder(proxy.addr()).auth("digest", format!("user:{PASSWORD}"));
    quiet(&builder);
    let client = builder.clone().connect().await.unwrap();
    let later = format!("user:{LATER}");
    within(client.add_auth("digest", later.as_bytes()))
        .await
        .unwrap();
    quiet(&client);
    quiet(client.handle());
    quiet(&client.status());
    quiet(&client.states());
    let credentials = client.credentials().unwrap();
    assert_eq!(credentials.password, SESSION_PASSWORD);
    quiet(&credentials);
    quiet(&Some([credentials]));
    quiet(&builder.clone().resume(credentials));

    within(client.set("/node", PAYLOAD, None)).await.unwrap();
    let mode = CreateMode::Persistent;
    quiet(&within(client.create("/node", PAYLOAD, mode)).await.unwrap());
    quiet(&within(client.watch("/node")).await.unwrap());
    let lock = client.lock("/lock").unwrap();
    quiet(&lock);
    let guard = within(lock.acquire()).await.unwrap();
    quiet(&guard);
    proxy.cut(Cut::Rst);
    within(client.changed(client.status())).await;
    for path in ["/short", "/order", "/event", "/expired"] {
        call(&client, path).await;
    }
    drop(guard);
    call(&client, "/refused").await;
    assert_eq!(client.status().state.end(), Some(End::AuthFailed));

    let resumed = builder.clone().resume(credentials);
    quiet(&resumed);
    let resumed = within(resumed.connect()).await.unwrap();
    quiet(&resumed);
    quiet(&resumed.detach());
    proxy.refuse(true);
    let error = builder
        .clone()
        .connect_within(Duration::from_millis(100))
        .connect()
        .await;
    quiet_error(&error.unwrap_err());
    let huge = format!("user:{}", PASSWORD.repeat(100_000));
    let error = builder.clone().auth("digest", huge.clone()).connect().await;
    quiet_error(&error.unwrap_err());
    let error = within(client.add_auth("digest", huge.as_bytes())).await;
    let error = error.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::TooLarge { .. } | ErrorKind::NotSent(_)
    ));
    quiet_error(&error);
    let unnamed = builder.auth("", PASSWORD).connect().await.unwrap_err();
    quiet_error(&unnamed);

    let log = LOG.lock().unwrap().clone();
    for expected in ["session state", "broke the protocol", "connection lost"] {
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
    let singing: Vec<_> = log.lines().filter(|line| sings(line)).collect();
    assert!(singing.is_empty(), "{singing:#?}");
    let record = peer.finish();
    let secrets = record.requests().filter(|it| it.op == op::AUTH);
    assert!(secrets.count() >= 4, "they were sent all the same");
}

#[test]
fn credentials_are_not_shown_to_those_who_print_them() {
    let credentials = Credentials {
        id: 0x1234,
        password: SESSION_PASSWORD,
        zxid: 0x5678,
    };
    let shown = quiet(&credentials);
    assert!(shown.contains("0x1234") && shown.contains("0x5678"));
}
