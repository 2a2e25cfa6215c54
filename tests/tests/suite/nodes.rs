use std::collections::BTreeSet;
use std::time::Duration;

use docent::core::path::BadPath;
use docent::core::wire::{
    BadAcl, Create, Created, Delete, Encoder, GetData, Malformed, OpCode, ReadResult, Request,
    SetData,
};
use docent::{
    Acl, Code, CreateMode, ErrorKind, Events, MultiFailure, Op, OpResult, Path, Perms, ReadOp,
    Reconfig, Ttl,
};

use super::{Realm, at_once, code, until_exists, within};

const PERSISTENT: CreateMode = CreateMode::Persistent;

fn path(path: &str) -> Path<'_> {
    Path::new(path).unwrap()
}

pub async fn a_node_is_created_read_written_and_deleted(realm: Realm) {
    let client = realm.client().await;
    let created = client.create("/node", b"one", PERSISTENT).await.unwrap();
    assert_eq!(created.path, "/node");
    let stat = created.stat;
    assert!(stat.czxid > 0 && stat.ctime > 0 && stat.mtime == stat.ctime);
    assert_eq!((stat.mzxid, stat.pzxid), (stat.czxid, stat.czxid));
    assert_eq!((stat.version, stat.cversion, stat.aversion), (0, 0, 0));
    assert_eq!(
        (stat.ephemeral_owner, stat.data_length, stat.num_children),
        (0, 3, 0)
    );
    assert_eq!(client.exists("/node").await.unwrap(), Some(stat));
    let data = client.get("/node").await.unwrap();
    assert_eq!((data.data(), data.stat()), (&b"one"[..], stat));

    let set = client.set("/node", b"three", None).await.unwrap();
    assert_eq!((set.version, set.data_length), (1, 5));
    assert!(set.mzxid > stat.mzxid && set.czxid == stat.czxid);
    client.sync("/node").await.unwrap();
    let data = client.get("/node").await.unwrap();
    assert_eq!((data.data(), data.stat()), (&b"three"[..], set));

    client.delete("/node", None).await.unwrap();
    assert_eq!(client.exists("/node").await.unwrap(), None);
    let error = client.get("/node").await.unwrap_err();
    assert!(error.is_no_node() && !error.may_have_run());
    assert_eq!((error.operation(), error.path()), ("get", Some("/node")));
    assert_eq!(
        error.to_string(),
        "get /node: the node, or the parent of the node to create, does not exist"
    );
}

pub async fn every_mode_makes_its_kind_of_node(realm: Realm) {
    let client = realm.client().await;
    let ttl = Ttl::new(Duration::from_secs(3600)).unwrap();
    let modes = [
        CreateMode::Persistent,
        CreateMode::PersistentSequential,
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
        CreateMode::PersistentTtl(ttl),
        CreateMode::PersistentSequentialTtl(ttl),
    ];
    for (count, mode) in modes.into_iter().enumerate() {
        let wanted = format!("/{count}");
        let created = client.create(&wanted, b"x", mode).await.unwrap();
        if mode.is_sequential() {
            assert_eq!(created.path, format!("{wanted}{count:010}"), "{mode:?}");
        } else {
            assert_eq!(created.path, wanted, "{mode:?}");
        }
        let owner = client.session_id().filter(|_| mode.is_ephemeral());
        assert_eq!(created.stat.ephemeral_owner, owner.unwrap_or(0), "{mode:?}");
        let found = client.exists(&created.path).await.unwrap();
        assert_eq!(found, Some(created.stat), "{mode:?}");
    }
    client.close().await;
    let left = realm.client().await.children("/").await.unwrap();
    assert_eq!(left.len(), modes.len() - 2, "{left:?}");
}

pub async fn sequential_names_may_end_with_a_slash(realm: Realm) {
    let client = realm.client().await;
    client.create("/queue", b"", PERSISTENT).await.unwrap();
    for count in 0..3 {
        let mode = CreateMode::PersistentSequential;
        let created = client.create("/queue/", b"", mode).await.unwrap();
        assert_eq!(created.path, format!("/queue/{count:010}"));
    }
    let first = client.create("/", b"", CreateMode::EphemeralSequential);
    assert_eq!(first.await.unwrap().path, "/0000000001");
    let error = client.create("/queue/", b"", PERSISTENT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Path(BadPath::TrailingSlash));
}

pub async fn emptied_containers_and_stale_nodes_are_deleted_by_the_server(realm: Realm) {
    let client = realm.client().await;
    let ttl = Ttl::new(Duration::from_millis(1)).unwrap();
    let ttl = CreateMode::PersistentTtl(ttl);
    client
        .create("/box", b"", CreateMode::Container)
        .await
        .unwrap();
    client.create("/box/child", b"", PERSISTENT).await.unwrap();
    client.create("/stale", b"", ttl).await.unwrap();
    until_exists(&client, "/stale", false).await;
    assert!(client.exists("/box").await.unwrap().is_some());
    client.delete("/box/child", None).await.unwrap();
    until_exists(&client, "/box", false).await;
}

pub async fn creations_are_refused_for_a_reason(realm: Realm) {
    let client = realm.client().await;
    let create = |path, mode| client.create(path, b"", mode);
    create("/node", PERSISTENT).await.unwrap();
    create("/fleeting", CreateMode::Ephemeral).await.unwrap();

    let error = create("/node", PERSISTENT).await.unwrap_err();
    assert!(error.is_node_exists() && !error.may_have_run());
    assert_eq!(code(create("/", PERSISTENT).await), Code::NodeExists);
    assert_eq!(code(create("/no/node", PERSISTENT).await), Code::NoNode);
    assert_eq!(
        code(create("/fleeting/child", PERSISTENT).await),
        Code::NoChildrenForEphemerals
    );
    let longest = CreateMode::PersistentTtl(Ttl::MAX);
    create("/ttl", longest).await.unwrap();
    assert_eq!(client.status().connections, 1);
}

pub async fn versions_guard_every_write(realm: Realm) {
    let client = realm.client().await;
    client.create("/node", b"", PERSISTENT).await.unwrap();
    client.set("/node", b"1", Some(0)).await.unwrap();
    let error = client.set("/node", b"2", Some(0)).await.unwrap_err();
    assert!(error.is_bad_version());
    client.set("/node", b"2", Some(1)).await.unwrap();

    let acl = client.set_acl("/node", Acl::OPEN, Some(0)).await.unwrap();
    assert_eq!((acl.aversion, acl.version), (1, 2));
    let refused = client.set_acl("/node", Acl::OPEN, Some(0)).await;
    assert_eq!(code(refused), Code::BadVersion);

    assert_eq!(
        code(client.delete("/node", Some(1)).await),
        Code::BadVersion
    );
    client.delete("/node", Some(2)).await.unwrap();
}

pub async fn deletions_are_refused_for_a_reason(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/parent/child").await.unwrap();
    assert_eq!(code(client.delete("/parent", None).await), Code::NotEmpty);
    assert_eq!(code(client.delete("/nobody", None).await), Code::NoNode);
    assert_eq!(code(client.set("/nobody", b"", None).await), Code::NoNode);
    let outside = realm.outside().await;
    for system in ["/", "/zookeeper", "/zookeeper/quota"] {
        let refused = code(outside.delete(system, None).await);
        assert_eq!(refused, Code::BadArguments, "{system}");
    }
}

/// A creation without data, which the client itself does not offer.
struct CreateNull;

impl Request for CreateNull {
    type Response<B: AsRef<[u8]>> = Created<B>;

    fn op(&self) -> OpCode {
        OpCode::CREATE2
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(path("/null"));
        out.null_buffer();
        out.acl(Acl::OPEN);
        out.int(CreateMode::Persistent.flags());
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Created<B>, Malformed> {
        Create::decode(body, chroot)
    }
}

pub async fn data_may_be_empty_or_null(realm: Realm) {
    let client = realm.client().await;
    client.create("/empty", b"", PERSISTENT).await.unwrap();
    let empty = client.get("/empty").await.unwrap();
    assert!(empty.data().is_empty() && !empty.is_null());

    let created = client.submit(&CreateNull).unwrap().await.unwrap();
    assert_eq!(created.path().as_str(), "/null");
    let null = client.get("/null").await.unwrap();
    assert!(null.data().is_empty() && null.is_null());
    let (null, _watcher) = client.get_and_watch("/null").await.unwrap();
    assert!(null.is_null());
    client.set("/null", b"x", None).await.unwrap();
    assert_eq!(client.get("/null").await.unwrap().data(), b"x");
}

/// The data of the largest request to set the data of `path`, and one byte more.
fn largest(limit: usize, absolute: &str) -> Vec<u8> {
    vec![b'x'; limit - 8 - 4 - absolute.len() - 4 - 4 + 1]
}

pub async fn requests_fit_up_to_the_last_byte(realm: Realm) {
    const DEFAULT: usize = 1_048_575;
    let client = realm.client().await;
    client.create("/big", b"", PERSISTENT).await.unwrap();
    let data = largest(DEFAULT, &realm.absolute("/big"));
    let error = client.set("/big", &data, None).await.unwrap_err();
    let (size, limit) = (DEFAULT + 1, DEFAULT);
    assert_eq!(error.kind(), ErrorKind::TooLarge { size, limit });
    assert!(!error.may_have_run());
    let fits = &data[1..];
    let stat = client.set("/big", fits, None).await.unwrap();
    assert_eq!(stat.data_length as usize, fits.len());
    assert_eq!(client.get("/big").await.unwrap().data(), fits);

    let ops = [data.as_slice(), fits].map(|data| {
        let path = path("/big");
        Op::SetData(SetData {
            path,
            data,
            version: None,
        })
    });
    let error = client.multi(&ops).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TooLarge { .. }),
        "{error}"
    );
    assert_eq!(client.status().connections, 1, "nothing of it was sent");

    let small = realm.builder().max_request(64 << 10).connect();
    let small = small.await.unwrap();
    let data = largest(64 << 10, &realm.absolute("/big"));
    let error = small.set("/big", &data, None).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TooLarge { .. }),
        "{error}"
    );
    small.set("/big", &data[1..], None).await.unwrap();
}

pub async fn replies_may_be_larger_than_requests(realm: Realm) {
    let client = realm.client().await;
    let wide = "w".repeat(200);
    let names: Vec<_> = (0..6000).map(|n| format!("/{n}-{wide}")).collect();
    for some in names.chunks(3000) {
        let ops: Vec<_> = some
            .iter()
            .map(|name| {
                Op::Create(Create {
                    path: path(name),
                    data: b"",
                    mode: PERSISTENT,
                    acl: Acl::OPEN,
                })
            })
            .collect();
        let reply = client.multi(&ops).await.unwrap();
        assert_eq!(reply.outcome().unwrap().len(), some.len());
    }
    let children = client.children("/").await.unwrap();
    assert_eq!(children.stat().num_children as usize, names.len());
    let found: BTreeSet<_> = children.iter().collect();
    assert!(found.iter().map(|name| name.len()).sum::<usize>() > 1 << 20);
    assert!(names.iter().all(|name| found.contains(&name[1..])));
    assert_eq!(client.count_descendants("/").await.unwrap(), 6000);
    assert_eq!(client.status().connections, 1);
}

pub async fn a_reply_too_large_to_keep_costs_only_its_call(realm: Realm) {
    let client = realm.client().await;
    client
        .create("/big", &vec![7; 300_000], PERSISTENT)
        .await
        .unwrap();
    client.create("/small", b"s", PERSISTENT).await.unwrap();
    let frugal = realm.builder().max_reply(1000).connect().await.unwrap();
    let (big, small) = (
        GetData { path: path("/big") },
        GetData {
            path: path("/small"),
        },
    );
    let replies = [&big, &small, &big, &small].map(|read| frugal.submit(read).unwrap());
    for (turn, reply) in replies.into_iter().enumerate() {
        match within(reply).await {
            Ok(data) => assert!(turn % 2 == 1 && data.data() == b"s"),
            Err(ErrorKind::ReplyTooLarge { size }) => {
                assert!(turn % 2 == 0 && size == 16 + 4 + 300_000 + 68, "{size}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    let error = frugal.get("/big").await.unwrap_err();
    assert!(error.may_have_run());
    assert_eq!(frugal.status().connections, 1);
}

pub async fn children_are_listed_and_descendants_counted(realm: Realm) {
    let client = realm.client().await;
    for path in ["/a/b/c", "/a/b/d", "/a/e"] {
        client.ensure(path).await.unwrap();
    }
    let children = client.children("/a").await.unwrap();
    let names: BTreeSet<_> = children.iter().collect();
    assert_eq!(names, BTreeSet::from(["b", "e"]));
    assert_eq!((children.len(), children.is_empty()), (2, false));
    assert_eq!(children.stat().num_children, 2);
    assert!(client.children("/a/e").await.unwrap().is_empty());
    assert_eq!(client.count_descendants("/a").await.unwrap(), 4);
    assert_eq!(client.count_descendants("/a/e").await.unwrap(), 0);
    assert_eq!(code(client.children("/x").await), Code::NoNode);
    assert_eq!(code(client.count_descendants("/x").await), Code::NoNode);
}

pub async fn access_is_controlled(realm: Realm) {
    let owner = realm.client().await;
    let create = |path| owner.create_with(path, b"mine", PERSISTENT, Acl::CREATOR_ALL);
    assert_eq!(code(create("/mine").await), Code::InvalidAcl);
    owner.add_auth("digest", b"alice:secret").await.unwrap();
    create("/mine").await.unwrap();
    let acl = owner.get_acl("/mine").await.unwrap();
    let entries: Vec<_> = acl.iter().collect();
    let alice = Acl {
        perms: Perms::ALL,
        scheme: "digest",
        id: "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=",
    };
    assert_eq!((entries.as_slice(), acl.stat().aversion), (&[alice][..], 0));

    let other = realm.client().await;
    other.add_auth("digest", b"alice:wrong").await.unwrap();
    assert_eq!(code(other.get("/mine").await), Code::NoAuth);
    assert_eq!(code(other.set("/mine", b"", None).await), Code::NoAuth);
    assert_eq!(code(other.children("/mine").await), Code::NoAuth);
    assert_eq!(code(other.get_acl("/mine").await), Code::NoAuth);
    let open = other.set_acl("/mine", Acl::OPEN, None).await;
    assert_eq!(code(open), Code::NoAuth);
    let child = other.create("/mine/child", b"", PERSISTENT).await;
    assert_eq!(code(child), Code::NoAuth);
    let refused = other.get_and_watch("/mine").await;
    assert_eq!(code(refused), Code::NoAuth);

    owner
        .set_acl("/mine", Acl::READ_ALL, Some(0))
        .await
        .unwrap();
    assert_eq!(other.get("/mine").await.unwrap().data(), b"mine");
    assert_eq!(code(owner.set("/mine", b"", None).await), Code::NoAuth);
    let acl = other.get_acl("/mine").await.unwrap();
    assert_eq!(acl.iter().collect::<Vec<_>>(), Acl::READ_ALL);
    assert_eq!(acl.stat().aversion, 1);
}

pub async fn identities_are_known_from_the_start(realm: Realm) {
    let alice = realm.builder().auth("digest", "alice:secret");
    let alice = alice.auth("digest", "eve:too").connect().await.unwrap();
    alice
        .create_with("/mine", b"", PERSISTENT, Acl::CREATOR_ALL)
        .await
        .unwrap();
    let identities = alice.who_am_i().await.unwrap();
    let known: BTreeSet<_> = identities.iter().map(|it| (it.scheme, it.user)).collect();
    let expected = [("digest", "alice"), ("digest", "eve"), ("ip", "127.0.0.1")];
    assert_eq!(known, BTreeSet::from(expected));
    let one = realm.builder().auth("digest", "eve:too").connect();
    one.await.unwrap().get("/mine").await.unwrap();

    // Requests that wait for a connection wait for its credentials, too.
    let quick = realm.builder().auth("digest", "alice:secret").start();
    let quick = quick.unwrap();
    within(quick.set("/mine", b"quick", None)).await.unwrap();
    let acls = quick.get_acl("/mine").await.unwrap();
    assert_eq!(acls.iter().count(), 2);
}

pub async fn mistakes_in_access_lists_never_leave_the_client(realm: Realm) {
    let client = realm.client().await;
    let entry = |scheme, id| {
        [Acl {
            perms: Perms::ALL,
            scheme,
            id,
        }]
    };
    let index = 0;
    let mistakes = [
        (vec![], BadAcl::Empty),
        (entry("", "x").to_vec(), BadAcl::EmptyScheme { index }),
        (entry("digest", "bob").to_vec(), BadAcl::DigestId { index }),
        (entry("world", "bob").to_vec(), BadAcl::WorldId { index }),
    ];
    for (acl, bad) in mistakes {
        let created = client.create_with("/node", b"", PERSISTENT, &acl);
        let error = at_once(created).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Acl(bad));
        let set = at_once(client.set_acl("/", &acl, None)).unwrap();
        assert_eq!(set.unwrap_err().kind(), ErrorKind::Acl(bad));
    }
    let unknown = entry("quantum", "bob");
    let refused = client.create_with("/node", b"", PERSISTENT, &unknown).await;
    assert_eq!(code(refused), Code::InvalidAcl);
}

pub async fn ephemerals_are_listed_by_prefix(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/a").await.unwrap();
    for path in ["/a/one", "/a/two", "/apple"] {
        client
            .create(path, b"", CreateMode::Ephemeral)
            .await
            .unwrap();
    }
    let listed = async |prefix: &str| -> BTreeSet<String> {
        let paths = client.ephemerals(prefix).await.unwrap();
        let found: BTreeSet<_> = paths.iter().map(|path| path.to_string()).collect();
        assert_eq!(found.len(), paths.len());
        found
    };
    let of = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
    let all: BTreeSet<String> = of(&["/a/one", "/a/two", "/apple"]);
    assert_eq!(listed("/").await, all);
    assert_eq!(listed("/a").await, all, "it is a prefix, not a parent");
    assert_eq!(listed("/a/o").await, of(&["/a/one"]));
    assert_eq!(listed("/b").await, BTreeSet::new());
    assert!(other.ephemerals("/").await.unwrap().is_empty());
}

fn create<'a>(at: &'a str, mode: CreateMode) -> Op<'a> {
    let path = if mode.is_sequential() {
        Path::prefix(at).unwrap()
    } else {
        path(at)
    };
    let (data, acl) = (at.as_bytes(), Acl::OPEN);
    Op::Create(Create {
        path,
        data,
        mode,
        acl,
    })
}

fn set<'a>(at: &'a str, data: &'a [u8], version: Option<i32>) -> Op<'a> {
    Op::SetData(SetData {
        path: path(at),
        data,
        version,
    })
}

fn delete(at: &str, version: Option<i32>) -> Op<'_> {
    Op::Delete(Delete {
        path: path(at),
        version,
    })
}

fn check(at: &str, version: Option<i32>) -> Op<'_> {
    Op::Check {
        path: path(at),
        version,
    }
}

pub async fn a_transaction_runs_as_a_whole(realm: Realm) {
    let client = realm.client().await;
    client.create("/old", b"", PERSISTENT).await.unwrap();
    let hour = Ttl::new(Duration::from_secs(3600)).unwrap();
    let ops = [
        check("/old", Some(0)),
        create("/new", PERSISTENT),
        create("/new/", CreateMode::EphemeralSequential),
        create("/box", CreateMode::Container),
        create("/ttl", CreateMode::PersistentTtl(hour)),
        set("/new", b"set", Some(0)),
        check("/new", Some(1)),
        delete("/old", Some(0)),
    ];
    let reply = client.multi(&ops).await.unwrap();
    let results: Vec<_> = reply.outcome().unwrap().collect();
    assert_eq!((results.len(), reply.len()), (8, 8));
    let created = |at: usize| match results[at] {
        OpResult::Created { path, .. } => path.as_str(),
        ref other => panic!("{other:?}"),
    };
    assert_eq!(
        [1, 2, 3, 4].map(created),
        ["/new", "/new/0000000000", "/box", "/ttl"]
    );
    let OpResult::Set(stat) = results[5] else {
        panic!("{:?}", results[5])
    };
    assert_eq!((stat.version, stat.data_length), (1, 3));
    assert_eq!(
        (results[0], results[6]),
        (OpResult::Checked, OpResult::Checked)
    );
    assert_eq!(results[7], OpResult::Deleted);

    assert_eq!(client.get("/new").await.unwrap().data(), b"set");
    let sequential = client.exists("/new/0000000000").await.unwrap();
    let sequential = sequential.unwrap();
    assert_eq!(Some(sequential.ephemeral_owner), client.session_id());
    assert_eq!(client.exists("/old").await.unwrap(), None);
    let empty = client.multi(&[]).await.unwrap();
    assert_eq!(empty.outcome().unwrap().count(), 0);
}

pub async fn a_failed_transaction_names_its_culprit(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/full/child").await.unwrap();
    let culprits = [
        (create("/full", PERSISTENT), Code::NodeExists),
        (create("/no/parent", PERSISTENT), Code::NoNode),
        (set("/full", b"", Some(9)), Code::BadVersion),
        (set("/nobody", b"", None), Code::NoNode),
        (delete("/full", None), Code::NotEmpty),
        (check("/full", Some(9)), Code::BadVersion),
        (check("/nobody", None), Code::NoNode),
    ];
    for (culprit, code) in culprits {
        for index in 0..3 {
            let mut ops = vec![create("/x", PERSISTENT), set("/full", b"!", None)];
            ops.insert(index, culprit);
            let reply = client.multi(&ops).await.unwrap();
            let failure = reply.outcome().unwrap_err();
            assert_eq!(failure, MultiFailure { index, code });
        }
    }
    assert_eq!(client.exists("/x").await.unwrap(), None);
    assert_eq!(client.get("/full").await.unwrap().stat().version, 0);
}

pub async fn reads_come_in_bundles(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/a/b").await.unwrap();
    client.set("/a", b"data", None).await.unwrap();
    let reads = [
        ReadOp::GetData(path("/a")),
        ReadOp::GetData(path("/nobody")),
        ReadOp::GetChildren(path("/a")),
        ReadOp::GetChildren(path("/nobody")),
        ReadOp::GetChildren(path("/a/b")),
    ];
    let reply = client.multi_read(&reads).await.unwrap();
    let results: Vec<_> = reply.iter().collect();
    assert_eq!((results.len(), reply.len()), (5, 5));
    let Ok(ReadResult::Data { data, stat }) = &results[0] else {
        panic!("{:?}", results[0])
    };
    assert_eq!((*data, stat.version), (&b"data"[..], 1));
    for missing in [1, 3] {
        assert_eq!(results[missing].as_ref().unwrap_err(), &Code::NoNode);
    }
    let children = |at: usize| match &results[at] {
        Ok(ReadResult::Children(names)) => names.clone().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((children(2), children(4)), (vec!["b"], vec![]));
    assert!(client.multi_read(&[]).await.unwrap().is_empty());
}

pub async fn requests_are_answered_in_order(realm: Realm) {
    let client = realm.client().await;
    client.create("/node", b"", PERSISTENT).await.unwrap();
    let node = path("/node");
    let values: Vec<_> = (0..200_i32).map(i32::to_be_bytes).collect();
    let mut replies = Vec::new();
    for (version, data) in (0..).zip(&values) {
        let write = client.submit(&SetData {
            path: node,
            data,
            version: Some(version),
        });
        let read = client.submit(&GetData { path: node });
        replies.push((version, data, write.unwrap(), read.unwrap()));
    }
    for (version, value, write, read) in replies.into_iter().rev() {
        let stat = within(write).await.unwrap();
        assert_eq!(stat.version, version + 1);
        let data = within(read).await.unwrap();
        assert_eq!((data.data(), data.stat()), (&value[..], stat));
    }
    let again = client.retry(GetData { path: node }).await.unwrap();
    assert_eq!(again.stat().version, 200);
}

pub async fn missing_levels_are_made(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/").await.unwrap();
    client.ensure("/a/b/c/d").await.unwrap();
    client.ensure("/a/b/c/d").await.unwrap();
    client.set("/a/b", b"kept", None).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for leaf in 0..8 {
        let client = client.clone();
        tasks.spawn(async move { client.ensure(&format!("/a/b/x/y/z/{leaf}")).await });
    }
    within(tasks.join_all())
        .await
        .into_iter()
        .for_each(Result::unwrap);
    assert_eq!(client.count_descendants("/").await.unwrap(), 4 + 3 + 8);
    assert_eq!(client.get("/a/b").await.unwrap().data(), b"kept");

    client
        .create("/fleeting", b"", CreateMode::Ephemeral)
        .await
        .unwrap();
    let refused = code(client.ensure("/fleeting/a/b").await);
    assert_eq!(refused, Code::NoChildrenForEphemerals);
}

pub async fn a_missing_chroot_is_an_error(realm: Realm) {
    let nowhere = realm.absolute("/nowhere");
    let client = super::builder(&format!("{}{nowhere}", realm.servers));
    let client = client.connect().await.unwrap();
    let created = client.create("/a", b"", PERSISTENT).await;
    assert_eq!(code(created), Code::NoNode);
    assert_eq!(code(client.ensure("/a/b").await), Code::NoNode);
    let lock = client.lock("/lock").unwrap();
    let refused = within(lock.acquire()).await.unwrap_err();
    assert_eq!(refused, ErrorKind::Server(Code::NoNode));
    super::assert_clean(&client).await;
}

pub async fn paths_may_have_any_letters(realm: Realm) {
    let client = realm.client().await;
    let names = [
        "ü",
        "日本語",
        "ключ",
        "with space",
        "...",
        "a.b",
        "~!@#$%^&*()",
        "\u{ffef}",
        "\u{d7ff}",
        "e\u{301}",
        "-0000000001",
        "%2F",
        "\\",
        "\"",
        "' OR 1=1",
    ];
    for name in names {
        let path = format!("/{name}");
        let created = client.create(&path, name.as_bytes(), PERSISTENT).await;
        assert_eq!(created.unwrap().path, path);
        let child = format!("/{name}/{name}-");
        let mode = CreateMode::PersistentSequential;
        let created = client.create(&child, b"", mode).await.unwrap();
        assert_eq!(created.path, format!("{child}0000000000"));
        let (data, mut watcher) = client.get_and_watch(&path).await.unwrap();
        assert_eq!(data.data(), name.as_bytes());
        client.set(&path, b"", None).await.unwrap();
        let change = within(watcher.changed()).await.unwrap();
        let events = Events::of(docent::EventKind::DataChanged);
        assert_eq!(change, docent::Change::Node(events));
    }
    let children = client.children("/").await.unwrap();
    let found: BTreeSet<_> = children.iter().collect();
    assert_eq!(found, BTreeSet::from(names));
}

pub async fn bad_paths_are_refused_before_anything_is_sent(realm: Realm) {
    let client = realm.client().await;
    let bad = [
        ("", BadPath::Empty),
        ("a", BadPath::NotAbsolute),
        ("/a/", BadPath::TrailingSlash),
        ("//a", BadPath::EmptySegment { at: 1 }),
        ("/a//b", BadPath::EmptySegment { at: 3 }),
        ("/.", BadPath::DotSegment { at: 1 }),
        ("/a/../b", BadPath::DotSegment { at: 3 }),
        ("/a\0", BadPath::Forbidden { at: 2, char: '\0' }),
        (
            "/\u{7f}",
            BadPath::Forbidden {
                at: 1,
                char: '\u{7f}',
            },
        ),
        (
            "/\u{fff0}",
            BadPath::Forbidden {
                at: 1,
                char: '\u{fff0}',
            },
        ),
        (
            "/😀",
            BadPath::Forbidden {
                at: 1, char: '😀'
            },
        ),
    ];
    for (path, reason) in bad {
        let mut refusals = vec![
            at_once(client.delete(path, None)).unwrap().unwrap_err(),
            at_once(client.exists(path)).unwrap().unwrap_err(),
            at_once(client.get(path)).unwrap().unwrap_err(),
            at_once(client.set(path, b"", None)).unwrap().unwrap_err(),
            at_once(client.children(path)).unwrap().unwrap_err(),
            at_once(client.count_descendants(path))
                .unwrap()
                .unwrap_err(),
            at_once(client.get_acl(path)).unwrap().unwrap_err(),
            at_once(client.set_acl(path, Acl::OPEN, None))
                .unwrap()
                .unwrap_err(),
            at_once(client.sync(path)).unwrap().unwrap_err(),
            at_once(client.ensure(path)).unwrap().unwrap_err(),
            at_once(client.ephemerals(path)).unwrap().unwrap_err(),
            at_once(client.exists_and_watch(path)).unwrap().unwrap_err(),
            at_once(client.get_and_watch(path)).unwrap().unwrap_err(),
            at_once(client.children_and_watch(path))
                .unwrap()
                .unwrap_err(),
            at_once(client.watch(path)).unwrap().unwrap_err(),
            at_once(client.watch_tree(path)).unwrap().unwrap_err(),
            client.lock(path).unwrap_err(),
        ];
        let create = client.create(path, b"", PERSISTENT);
        refusals.push(at_once(create).unwrap().unwrap_err());
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::Path(reason), "{error}");
            assert_eq!(error.path(), Some(path));
        }
    }
    assert_eq!(client.status().connections, 1);
}

pub async fn a_chroot_holds_in_every_operation(realm: Realm) {
    let (inside, outside) = (realm.client().await, realm.outside().await);
    let there = |path: &str| realm.absolute(path);
    inside.create("/a", b"", PERSISTENT).await.unwrap();
    assert!(outside.exists(&there("/a")).await.unwrap().is_some());
    let mode = CreateMode::EphemeralSequential;
    let created = inside.create("/a/e-", b"", mode).await.unwrap();
    assert_eq!(created.path, "/a/e-0000000000");
    inside.set("/a", b"in", None).await.unwrap();
    let data = outside.get(&there("/a")).await.unwrap();
    assert_eq!(data.data(), b"in");
    outside.set(&there("/a"), b"out", None).await.unwrap();
    assert_eq!(inside.get("/a").await.unwrap().data(), b"out");
    inside.set_acl("/a", Acl::OPEN, Some(0)).await.unwrap();
    let acl = outside.get_acl(&there("/a")).await.unwrap();
    assert_eq!(acl.stat().aversion, 1);
    inside.sync("/a").await.unwrap();
    assert_eq!(inside.count_descendants("/").await.unwrap(), 2);

    // The root of the chroot is a node like others.
    let root = inside.exists("/").await.unwrap();
    assert_eq!(root, outside.exists(&there("")).await.unwrap());
    let (_, mut watcher) = inside.get_and_watch("/").await.unwrap();
    outside.set(&there(""), b"root", None).await.unwrap();
    assert!(within(watcher.changed()).await.is_some());
    assert_eq!(inside.get("/").await.unwrap().data(), b"root");

    let ops = [
        create("/m", PERSISTENT),
        create("/m/", CreateMode::PersistentSequential),
        set("/", b"multi", None),
        check("/m", None),
        delete("/m/0000000000", None),
    ];
    let reply = inside.multi(&ops).await.unwrap();
    let results: Vec<_> = reply.outcome().unwrap().collect();
    for (at, expected) in [(0, "/m"), (1, "/m/0000000000")] {
        let OpResult::Created { path, .. } = results[at] else {
            panic!("{:?}", results[at])
        };
        assert_eq!(path.as_str(), expected);
    }
    assert_eq!(outside.get(&there("")).await.unwrap().data(), b"multi");
    let reads = [ReadOp::GetChildren(path("/")), ReadOp::GetData(path("/"))];
    let reply = inside.multi_read(&reads).await.unwrap();
    let names = match reply.iter().next() {
        Some(Ok(ReadResult::Children(names))) => names.collect::<BTreeSet<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names, BTreeSet::from(["a", "m"]));

    let lock = inside.lock("/lock").unwrap();
    let guard = within(lock.acquire()).await.unwrap();
    assert!(guard.path().as_str().starts_with("/lock/"));
    let node = there(guard.path().as_str());
    assert!(outside.exists(&node).await.unwrap().is_some());
    guard.release().await.unwrap();
    assert_eq!(outside.exists(&node).await.unwrap(), None);
}

pub async fn servers_tell_their_configuration(realm: Realm) {
    let client = realm.client().await;
    let config = client.config().await.unwrap();
    let alone = config.data().is_empty();
    let text = String::from_utf8(config.data().to_vec()).unwrap();
    assert!(alone || text.contains("version="), "{text}");
    let nothing = Reconfig {
        joining: None,
        leaving: Some("9"),
        members: None,
        from: Some(1),
    };
    let refused = code(client.reconfig(nothing).await);
    let expected = if alone {
        Code::Unimplemented
    } else {
        Code::NoAuth
    };
    assert_eq!(refused, expected);
}
