//! The client against servers and networks that do their worst.
//!
//! Whatever they send: the call in question ends with an error that says what is known of it, the
//! connection is replaced if it can no longer be trusted, the session goes on, and the client serves.
#![cfg(target_os = "linux")]

mod bytes;
mod connections;
mod sessions;

#[path = "../scripts/mod.rs"]
mod scripts;

use std::sync::Arc;

use docent::{Client, Data, Error};
use docent_testing::peer::{Peer, Request, op};
use scripts::{GOOD, Honest, SESSION, TIMEOUT, builder, within};

/// A server that is honest about `/good`, and answers everything else as `answer` says.
async fn evil(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Peer {
    let answer = Arc::new(answer);
    Peer::start(move |mut it| {
        let answer = Arc::clone(&answer);
        async move {
            it.welcome(SESSION, TIMEOUT).await?;
            let mut honest = Honest::default();
            loop {
                let request = it.request().await?;
                if request.path() == Some("/good") || is_control(&request) {
                    honest.answer(&mut it, &request).await?;
                } else {
                    it.send(&answer(&request)).await?;
                }
            }
        }
    })
    .await
}

fn is_control(request: &Request) -> bool {
    matches!(
        request.op,
        op::AUTH | op::SET_WATCHES | op::SET_WATCHES2 | op::CLOSE
    )
}

/// A client of an evil server, and how many connections it has been through.
struct Victim {
    peer: Peer,
    client: Client,
    connections: usize,
}

impl Victim {
    async fn of(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let peer = evil(answer).await;
        let client = builder(peer.addr()).connect().await.unwrap();
        Self::new(peer, client)
    }

    const fn new(peer: Peer, client: Client) -> Self {
        Self {
            peer,
            client,
            connections: 1,
        }
    }

    /// Asks for the answer of this number, which [`case`] tells the server.
    async fn get(&self, case: usize) -> Result<Data<::bytes::Bytes>, Error> {
        within(self.client.get(&format!("/evil/{case}"))).await
    }

    /// The connection has just been replaced, the session is the same, and the client serves.
    async fn is_replaced(&mut self) {
        self.connections += 1;
        self.serves().await;
        let old = self.connections - 2;
        let ended = |it: &docent_testing::peer::Record| it.connections[old].ended.is_some();
        let record = within(self.peer.until(ended)).await;
        let connect = record.connections[old + 1].connect.as_ref().unwrap();
        assert_eq!(connect.session, SESSION);
        assert_eq!(connect.password, SESSION.to_be_bytes().repeat(2));
    }

    /// The connection has not been replaced, and the client serves.
    async fn is_kept(&self) {
        self.serves().await;
    }

    async fn serves(&self) {
        let data = within(self.client.get("/good")).await.unwrap();
        assert_eq!(data.data(), GOOD);
        let status = self.client.status();
        assert_eq!(status.epoch.get(), 1, "the session goes on");
        assert_eq!(status.connections as usize, self.connections);
        assert_eq!(self.peer.record().connections.len(), self.connections);
    }
}

/// The number of the answer that [`Victim::get`] asks for.
fn case(request: &Request) -> usize {
    let path = request.path().unwrap_or_default();
    let number = path.rsplit('/').next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("{request:?}"))
}
