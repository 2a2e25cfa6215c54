//! The tour, which the README begins with.
#![allow(dead_code, reason = "the program's own start is not needed here")]

#[path = "../../examples/tour/main.rs"]
mod tour;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use docent_testing::dev::DevServer;
use tour::timeline::Timeline;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn play(servers: Option<&str>, coloured: bool) -> String {
    let output = Output::default();
    let timeline = Timeline::new(output.clone(), coloured);
    tour::tour(servers, timeline).await.unwrap();
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn it_shows_what_it_promises() {
    let text = play(None, false).await;
    let mut rest = &text[..];
    for line in [
        "Three servers run in this process",
        "alice    creates /config",
        "bob      is told that /config has changed",
        "bob      reads \"green\"",
        "alice    has the lock",
        "lock is still held: done",
        "network  loses all of alice's packets",
        "alice    stops her work",
        "servers  have waited long enough",
        "bob      has the lock",
        "lock is still held: done",
        "network  lets alice's packets pass again",
        "alice    writes the report, on condition that the lock is still held: refused",
        "alice    leads, with the fencing token",
        "bob      sees that alice leads",
        "network  resets alice's connection",
        "alice    is connected again, in the same session, and leads as before",
        "alice    leads no more, as far as she knows",
        "bob      leads, with the fencing token",
        "bob      gives the leadership up",
        "alice    leads, with the fencing token",
        "network  resets bob's connection",
        "bob      is connected again, in the same session",
        "bob      gets his answer: \"red\"",
        "bob      still has /members/bob",
        "alice    creates /limits/cpu",
        "bob      has a copy of all there is: /limits/cpu is \"4\"",
        "bob      has it in his copy: /limits/cpu is \"2\"",
        "bob      reads \"2\" without waiting, and knows that his copy may be old",
        "bob      has it in his copy, as a node of its own: /limits/cpu is \"8\"",
        "bob      knows that his copy is fresh again",
        "That was all.",
    ] {
        let at = rest.find(line);
        let at = at.unwrap_or_else(|| panic!("{line:?} is not in its place in\n{text}"));
        rest = &rest[at + line.len()..];
    }
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test]
async fn it_deletes_what_it_has_played_with() {
    let server = DevServer::builder().start().await.unwrap();
    let client = docent::connect(&server.connect_string()).await.unwrap();
    client.ensure("/app").await.unwrap();
    let servers = format!("{}/app", server.connect_string());
    let text = play(Some(&servers), true).await;
    assert!(text.contains("\u{1b}[32malice"), "{text}");
    let left = client.children("/app/docent-tour").await.unwrap();
    assert_eq!(left.iter().count(), 0);
    assert_eq!(server.control(|ensemble| ensemble.sessions().count()), 1);
}
