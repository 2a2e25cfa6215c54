use std::ops::ControlFlow;
use std::pin::pin;

use docent::{Client, CloseMode, Election, ErrorKind, LeaderLatch, StepDown};
use docent_testing::peer::Cut;

use super::{Realm, assert_clean, assert_free, at_once, until, until_children, within};

fn election(client: &Client, id: &str) -> Election {
    client.election("/election", id).unwrap()
}

pub async fn one_leads_after_the_other(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let alice = within(election(&client, "alice").campaign()).await.unwrap();
    let bob = election(&other, "bob");
    let waiting = tokio::spawn(async move { bob.campaign().await.unwrap() });
    until_children(&client, "/election", |names| names.len() == 2).await;
    assert!(!waiting.is_finished());
    let token = alice.fencing_token();
    realm.expire(&client).await;
    let bob = within(waiting).await.unwrap();
    assert!(bob.is_held() && bob.fencing_token() > token);
    within(alice.lost()).await;
    drop((alice, bob));
    assert_free(&other, "/election").await;
}

pub async fn all_see_who_leads(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let mut observer = election(&other, "").observe();
    assert!(within(observer.next()).await.unwrap().is_none());
    let alice = within(election(&client, "alice").campaign()).await.unwrap();
    let seen = within(observer.next()).await.unwrap().unwrap();
    assert_eq!(seen.id(), b"alice");
    assert_eq!(seen.fencing_token(), alice.fencing_token());
    assert_eq!(seen.path(), alice.path());
    assert_eq!(Some(seen.session()), client.session_id());
    drop(seen);
    let bob = election(&other, "bob");
    let waiting = tokio::spawn(async move { bob.campaign().await.unwrap() });
    until_children(&client, "/election", |names| names.len() == 2).await;
    {
        let mut next = pin!(observer.next());
        assert!(at_once(next.as_mut()).is_none());
        alice.release().await.unwrap();
        let seen = within(next).await.unwrap().unwrap();
        assert_eq!(seen.id(), b"bob");
    }
    drop(within(waiting).await.unwrap());
    assert!(within(observer.next()).await.unwrap().is_none());
    // A new session of the observer, too.
    realm.expire(&other).await;
    let alice = within(election(&client, "alice").campaign()).await.unwrap();
    let seen = within(observer.next()).await.unwrap().unwrap();
    assert_eq!(seen.fencing_token(), alice.fencing_token());
    drop((alice, observer));
    assert_free(&client, "/election").await;
}

pub async fn a_candidate_keeps_its_place(realm: Realm) {
    let (client, proxy) = realm.client_behind_a_proxy().await;
    let other = realm.client().await;
    let alice = election(&client, "alice").with_step_down(StepDown::AtDisconnect);
    let mut alice = alice.candidate();
    assert!(within(alice.changed()).await.unwrap());
    let token = alice.leadership().unwrap().fencing_token();
    let bob = election(&other, "bob");
    let mut bob = bob.candidate();
    assert!(at_once(bob.changed()).is_none());
    // A lost connection: she steps down, and leads again, for nobody has taken over.
    let before = client.status();
    proxy.cut(Cut::Rst);
    assert!(!within(alice.changed()).await.unwrap());
    assert!(alice.leadership().is_none());
    assert!(within(alice.changed()).await.unwrap());
    assert_eq!(alice.leadership().unwrap().fencing_token(), token);
    // She found that out on the new connection, which is no reason to step down.
    within(client.sync("/")).await.unwrap();
    assert!(at_once(alice.changed()).is_none());
    until(&client, |now| now.connections > before.connections).await;
    // A lost session: she stands again, at the end.
    {
        let bob = async { within(bob.changed()).await.unwrap() };
        let expired = async {
            realm.expire(&client).await;
            within(alice.changed()).await.unwrap()
        };
        assert_eq!(tokio::join!(bob, expired), (true, false));
    }
    assert!(at_once(alice.changed()).is_none());
    within(bob.resign()).await.unwrap();
    assert!(within(alice.changed()).await.unwrap());
    assert!(alice.leadership().unwrap().fencing_token() > token);
    within(alice.resign()).await.unwrap();
    assert!(alice.leadership().is_none());
    drop((alice, bob));
    assert_free(&client, "/election").await;
    assert_clean(&other).await;
}

pub async fn a_leader_works_until_it_breaks(realm: Realm) {
    let client = realm.client().await;
    let election = election(&client, "alice");
    let mut tokens = Vec::new();
    let done = election.lead(async |leadership: &docent::Guard| {
        tokens.push(leadership.fencing_token());
        match tokens.len() {
            // Its node is taken away from it.
            1 => {
                let node = leadership.path().as_str();
                client.delete(node, None).await.unwrap();
                std::future::pending().await
            }
            2 => ControlFlow::Continue(()),
            times => ControlFlow::Break(times),
        }
    });
    assert_eq!(within(done).await.unwrap(), 3);
    assert!(tokens.is_sorted() && tokens.len() == 3);
    assert_free(&client, "/election").await;
}

pub async fn a_latch_stands_in_the_background(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let alice = client.leader_latch("/election", "alice").unwrap();
    let first = within(alice.acquired()).await.unwrap();
    assert!(alice.has_leadership() && first.is_held() && first.valid_until().is_some());
    let mut listener = alice.listen();
    assert_eq!(within(listener.changed()).await, Some(true));
    let bob = other.leader_latch("/election", "bob").unwrap();
    until_children(&client, "/election", |names| names.len() == 2).await;
    assert!(!bob.has_leadership() && bob.leadership().is_none());
    let told = within(bob.election().explain()).await.unwrap();
    assert_eq!(told.contenders[1].data, b"bob");
    let leader = within(bob.election().leader()).await.unwrap().unwrap();
    assert_eq!(leader.id(), b"alice");
    drop(leader);
    // Her session ends: he leads, and she stands again.
    let work = first.run(std::future::pending::<()>());
    let (work, ()) = within(async { tokio::join!(work, realm.expire(&client)) }).await;
    assert_eq!(work, None);
    let second = within(bob.acquired()).await.unwrap();
    assert!(second.fencing_token() > first.fencing_token());
    assert_eq!(within(listener.changed()).await, Some(false));
    within(first.lost()).await;
    assert!(!first.is_held() && first.valid_until().is_none());
    until_children(&client, "/election", |names| names.len() == 2).await;
    // He closes: she leads again.
    let ensured = client.ensure("/written");
    within(ensured).await.unwrap();
    let check = second.check();
    within(other.multi(&[check]))
        .await
        .unwrap()
        .outcome()
        .unwrap();
    within(bob.close(CloseMode::NotifyLeader)).await.unwrap();
    within(second.lost()).await;
    assert!(!second.is_held());
    let third = within(alice.acquired()).await.unwrap();
    assert!(third.fencing_token() > second.fencing_token());
    assert_eq!(within(listener.changed()).await, Some(true));
    drop(alice);
    assert_free(&other, "/election").await;
    assert_eq!(within(listener.changed()).await, Some(false));
    assert_eq!(within(listener.changed()).await, None);
    within(third.lost()).await;
    assert_clean(&client).await;
}

pub async fn a_latch_closes_as_it_is_told(realm: Realm) {
    let client = realm.client().await;
    for mode in [CloseMode::Silent, CloseMode::NotifyLeader] {
        let latch = client.leader_latch("/election", "alice").unwrap();
        let leadership = within(latch.acquired()).await.unwrap();
        let mut listener = latch.listen();
        assert_eq!(within(listener.changed()).await, Some(true));
        within(latch.close(mode)).await.unwrap();
        assert!(
            client
                .children("/election")
                .await
                .is_ok_and(|names| names.is_empty())
        );
        assert!(!leadership.is_held());
        if mode == CloseMode::NotifyLeader {
            assert_eq!(within(listener.changed()).await, Some(false));
        }
        assert_eq!(within(listener.changed()).await, None);
    }
}

pub async fn a_latch_that_may_not_stand_says_so(realm: Realm) {
    const NOBODY: &[docent::Acl<'_>] = &[docent::Acl {
        perms: docent::Perms::READ,
        scheme: "world",
        id: "anyone",
    }];
    let client = realm.client().await;
    let persistent = docent::CreateMode::Persistent;
    let made = client.create_with("/election", b"", persistent, NOBODY);
    within(made).await.unwrap();
    let latch = LeaderLatch::start(election(&client, "alice"));
    let refused = ErrorKind::Server(docent::Code::NoAuth);
    assert_eq!(within(latch.acquired()).await.unwrap_err(), refused);
    assert_eq!(within(latch.listen().changed()).await, None);
    within(latch.close(CloseMode::Silent)).await.unwrap();
    assert_clean(&client).await;
}
