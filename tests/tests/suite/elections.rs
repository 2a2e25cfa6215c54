use std::ops::ControlFlow;
use std::pin::pin;

use docent::{Client, Election, StepDown};
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
