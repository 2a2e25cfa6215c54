use std::time::Duration;

use docent::core::client::Client as _;
use docent::core::wire::{Exists, SetData};
use docent::{
    Change, Client, ConnectError, CreateMode, End, ErrorKind, Events, Lost, Path, State, Status,
};

use super::{Realm, next, next_change, until, until_exists, within};

const CONNECTED: State = State::Connected { read_only: false };
/// The longest session that the servers grant, longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);

async fn ephemeral(client: &Client, path: &str) {
    let created = client.create(path, b"", CreateMode::Ephemeral).await;
    let owner = created.unwrap().stat.ephemeral_owner;
    assert_eq!(Some(owner), client.session_id());
}

pub async fn a_session_has_the_timeout_that_the_server_grants(realm: Realm) {
    let granted = async |wanted| {
        let builder = realm.builder().session_timeout(wanted);
        let client = builder.connect_within(LONG).connect().await.unwrap();
        let status = client.connected().await.unwrap();
        assert_eq!((status.epoch.get(), status.connections), (1, 1));
        assert_eq!(
            (status.lapses, status.state, status.lost),
            (0, CONNECTED, None)
        );
        client.exists("/").await.unwrap();
        client.session_timeout()
    };
    let wanted = Duration::from_secs(20);
    assert_eq!(granted(wanted).await, wanted);
    assert_eq!(granted(LONG * 1000).await, LONG);
    let least = granted(Duration::from_millis(1)).await;
    assert!(
        least > Duration::from_millis(1) && least < wanted,
        "{least:?}"
    );
}

pub async fn closing_ends_the_session_after_all_requests(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    ephemeral(&client, "/fleeting").await;
    client.ensure("/node").await.unwrap();
    let mut watcher = client.watch("/node").await.unwrap();
    let set = SetData {
        path: Path::new("/node").unwrap(),
        data: b"",
        version: None,
    };
    let replies: Vec<_> = (0..100).map(|_| client.submit(&set).unwrap()).collect();
    let clone = client.clone();
    within(client.close()).await;
    for reply in replies {
        within(reply).await.unwrap();
    }
    other.sync("/").await.unwrap();
    assert_eq!(other.exists("/fleeting").await.unwrap(), None);
    let node = other.exists("/node").await.unwrap().unwrap();
    assert_eq!(node.version, 100);

    assert_eq!(clone.status().state, State::Closed);
    assert_eq!(clone.connected().await, Err(End::Closed));
    let error = clone.get("/node").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::Closed));
    assert!(!error.may_have_run());
    let error = clone.add_auth("digest", b"a:b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::Closed));
    assert!(clone.watch("/node").await.is_err());
    let lock = clone.lock("/lock").unwrap();
    let error = within(lock.acquire()).await.unwrap_err();
    assert_eq!(error, ErrorKind::NotSent(End::Closed));
    let mut told = vec![];
    while let Some(change) = within(watcher.changed()).await {
        told.push(change);
    }
    assert_eq!(told.last(), Some(&Change::Lost), "{told:?}");
    within(clone.close()).await;
}

pub async fn the_last_clone_closes_the_session(realm: Realm) {
    let other = realm.client().await;
    let client = realm.builder().session_timeout(LONG).connect();
    let client = client.await.unwrap();
    assert_eq!(client.session_timeout(), LONG);
    ephemeral(&client, "/fleeting").await;
    let clone = client.clone();
    drop(client);
    let mut watcher = clone.watch("/fleeting").await.unwrap();
    let lock = clone.lock("/lock").unwrap();
    drop(clone);
    other.set("/fleeting", b"", None).await.unwrap();
    let change = within(watcher.changed()).await;
    let events = Events::of(docent::EventKind::DataChanged);
    assert_eq!(change, Some(Change::Node(events)));
    drop(watcher);
    let guard = within(lock.acquire()).await.unwrap();
    drop(lock);
    assert!(guard.is_held());
    other.sync("/").await.unwrap();
    assert!(other.exists("/fleeting").await.unwrap().is_some());
    drop(guard);
    until_exists(&other, "/fleeting", false).await;
}

pub async fn a_session_is_resumed_with_its_credentials(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    ephemeral(&client, "/fleeting").await;
    let clone = client.clone();
    let id = client.session_id();
    let credentials = client.detach().unwrap();
    assert_eq!(Some(credentials.id), id);
    let error = clone.get("/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::Closed));
    assert!(other.exists("/fleeting").await.unwrap().is_some());

    let resumed = realm.builder().resume(credentials).connect().await.unwrap();
    assert_eq!(resumed.session_id(), id);
    assert_eq!(
        (resumed.status().epoch.get(), resumed.status().lost),
        (1, None)
    );
    let owner = resumed.exists("/fleeting").await.unwrap().unwrap();
    assert_eq!(Some(owner.ephemeral_owner), id);
    assert_eq!(resumed.ephemerals("/").await.unwrap().len(), 1);
    assert!(resumed.credentials().unwrap().zxid >= credentials.zxid);
    within(resumed.close()).await;
    other.sync("/").await.unwrap();
    assert_eq!(other.exists("/fleeting").await.unwrap(), None);
}

pub async fn wrong_credentials_end_the_session(realm: Realm) {
    let client = realm.client().await;
    ephemeral(&client, "/fleeting").await;
    let mut credentials = client.credentials().unwrap();
    credentials.password[7] ^= 1;
    let builder = realm.builder().resume(credentials);
    let refused = builder.clone().renew(false).connect().await;
    assert_eq!(refused.unwrap_err(), ConnectError::Ended(End::Expired));
    let other = builder.connect().await.unwrap();
    let status = other.status();
    assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Expired)));
    assert_ne!(other.session_id(), client.session_id());
    assert!(client.exists("/fleeting").await.unwrap().is_some());
    assert_eq!(client.status().epoch.get(), 1);
}

pub async fn a_new_session_follows_an_expired_one(realm: Realm) {
    let client = realm.client().await;
    ephemeral(&client, "/fleeting").await;
    let mut watcher = client.watch("/fleeting").await.unwrap();
    let (pinned, id, before) = client.handle().session().await.unwrap();
    assert_eq!(Some(id), client.session_id());
    realm.expire(&client).await;

    let status = client.connected().await.unwrap();
    assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Expired)));
    assert_eq!(status.lapses, before.lapses + 1);
    assert_ne!(client.session_id(), Some(id));
    assert_eq!(next_change(&mut watcher).await, Some(Change::Lost));
    assert_eq!(client.exists("/fleeting").await.unwrap(), None);
    ephemeral(&client, "/fleeting").await;
    let path = Path::new("/fleeting").unwrap();
    let late = pinned.call(Exists { path }).await;
    assert_eq!(late.unwrap_err(), ErrorKind::NotSent(End::Expired));
}

pub async fn a_client_that_may_not_renew_ends_with_its_session(realm: Realm) {
    let client = realm.builder().renew(false).connect().await.unwrap();
    let mut watcher = client.watch("/node").await.unwrap();
    let waiting = client.clone();
    let waiting = tokio::spawn(async move {
        let status = waiting.status();
        waiting.changed(status).await
    });
    realm.expire(&client).await;
    within(waiting).await.unwrap();
    let status = until(&client, |now| now.state.end().is_some()).await;
    assert_eq!(
        (status.state, status.lost),
        (State::Expired, Some(Lost::Expired))
    );
    assert_eq!(client.connected().await, Err(End::Expired));
    let error = client.get("/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent(End::Expired));
    assert_eq!(next_change(&mut watcher).await, Some(Change::Lost));
    assert_eq!((client.session_id(), client.credentials()), (None, None));
    within(client.close()).await;
}

pub async fn states_are_told_without_gaps(realm: Realm) {
    let client = realm.builder().start().unwrap();
    let mut states = client.states();
    let mut told = vec![next(&mut states).await.unwrap()];
    client.connected().await.unwrap();
    // A near server may have answered before the first look.
    if told[0].state == State::Connecting {
        told.push(next(&mut states).await.unwrap());
    }
    assert_eq!(told.last().unwrap().state, CONNECTED);
    realm.expire(&client).await;
    let renewed = |status: &Status| status.epoch.get() == 2 && status.state == CONNECTED;
    while !renewed(told.last().unwrap()) {
        told.push(next(&mut states).await.unwrap());
    }
    within(client.close()).await;
    while let Some(state) = next(&mut states).await {
        told.push(state);
    }
    assert_eq!(told.last().unwrap().state, State::Closed);
    for pair in told.windows(2) {
        let (old, new) = (pair[0], pair[1]);
        assert_ne!(old, new);
        assert!(
            old.epoch <= new.epoch && old.lapses <= new.lapses,
            "{told:?}"
        );
        assert!(old.connections <= new.connections, "{told:?}");
    }
}
