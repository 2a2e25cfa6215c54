//! What must hold for all bytes, all requests and all paths.

use docent_core::connect_string::ConnectString;
use docent_core::path::{BadPath, Path, sequence, sequence_after, strip_chroot};
use docent_core::wire::*;
use docent_testing::decode::{self, Body, Entry};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const LIMIT: usize = 1 << 20;

fn encoded(chroot: &str, body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, LIMIT, chroot, false, body).unwrap();
    out.split_off(4)
}

fn sent<R: Request>(request: &R, chroot: &str) -> Vec<u8> {
    encoded(chroot, |out| {
        RequestHeader {
            xid: 1,
            op: request.op(),
        }
        .encode(out);
        request.encode(out);
    })
}

fn name() -> impl Strategy<Value = String> {
    "[a-zé日-]{1,6}"
}

fn path() -> impl Strategy<Value = String> {
    vec(name(), 0..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn chroot() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        vec(name(), 1..3).prop_map(|names| format!("/{}", names.join("/")))
    ]
}

fn mode() -> impl Strategy<Value = CreateMode> {
    let ttl = (1_u64..=0xff_ffff_ffff).prop_map(Duration::from_millis);
    let ttl = ttl.prop_map(|ttl| Ttl::new(ttl).unwrap());
    prop_oneof![
        Just(CreateMode::Persistent),
        Just(CreateMode::PersistentSequential),
        Just(CreateMode::Ephemeral),
        Just(CreateMode::EphemeralSequential),
        Just(CreateMode::Container),
        ttl.clone().prop_map(CreateMode::PersistentTtl),
        ttl.prop_map(CreateMode::PersistentSequentialTtl),
    ]
}

fn stat() -> impl Strategy<Value = Stat> {
    any::<([i64; 6], [i32; 5])>().prop_map(|(longs, ints)| Stat {
        czxid: longs[0],
        mzxid: longs[1],
        ctime: longs[2],
        mtime: longs[3],
        version: ints[0],
        cversion: ints[1],
        aversion: ints[2],
        ephemeral_owner: longs[4],
        data_length: ints[3],
        num_children: ints[4],
        pzxid: longs[5],
    })
}

/// As the server sees a path of a client that is below `chroot`.
fn above(path: &str, chroot: &str) -> String {
    if path == "/" && !chroot.is_empty() {
        chroot.into()
    } else {
        format!("{chroot}{path}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_create_arrives(
        path in path(),
        chroot in chroot(),
        data in vec(any::<u8>(), 0..40),
        mode in mode(),
        acl in vec((0..32, name(), name()), 1..4),
    ) {
        let acl: Vec<_> = acl
            .iter()
            .map(|(bits, scheme, id)| Acl { perms: Perms::from_bits(*bits), scheme, id })
            .collect();
        let create = Create { path: Path::prefix(&path).unwrap(), data: &data, mode, acl: &acl };
        let payload = sent(&create, &chroot);
        let (header, body) = decode::request(&payload).unwrap();
        prop_assert_eq!(header.op, mode.op());
        let path = if mode.is_sequential() { chroot + &path } else { above(&path, &chroot) };
        let acl = acl.iter().map(|acl| Entry {
            perms: acl.perms,
            scheme: Some(acl.scheme),
            id: Some(acl.id),
        });
        let ttl = mode.ttl().map(|ttl| i64::try_from(ttl.duration().as_millis()).unwrap());
        let flags = mode.flags();
        prop_assert_eq!(
            body,
            Body::Create { path: &path, data: Some(&data), acl: acl.collect(), flags, ttl }
        );
    }

    #[test]
    fn a_multi_arrives(paths in vec((path(), any::<i32>(), 0..3), 0..6), chroot in chroot()) {
        let path = |path| Path::new(path).unwrap();
        let ops: Vec<_> = paths
            .iter()
            .map(|(at, number, kind)| match kind {
                0 => Op::Check { path: path(at), version: Some(*number) },
                1 => Op::Delete(Delete { path: path(at), version: Some(*number) }),
                _ => Op::SetData(SetData { path: path(at), data: b"x", version: None }),
            })
            .collect();
        let payload = sent(&Multi { ops: &ops }, &chroot);
        let (_, body) = decode::request(&payload).unwrap();
        let Body::Multi(arrived) = body else { panic!("{body:?}") };
        prop_assert_eq!(arrived.len(), ops.len());
        for ((at, number, kind), arrived) in paths.iter().zip(arrived) {
            let path = &*above(at, &chroot);
            let version = *number;
            let expected = match kind {
                0 => (OpCode::CHECK, Body::Expect { path, version }),
                1 => (OpCode::DELETE, Body::Expect { path, version }),
                _ => (OpCode::SET_DATA, Body::SetData { path, data: Some(b"x"), version: -1 }),
            };
            prop_assert_eq!(arrived, expected);
        }
    }

    #[test]
    fn restored_watches_arrive(
        lists in vec(vec(path(), 0..4), 5),
        zxid: i64,
        persistent: bool,
        chroot in chroot(),
    ) {
        let bytes = encoded(&chroot, |out| {
            set_watches(out, zxid, persistent, |kind, visit| {
                let at = WatchKind::ALL.iter().position(|each| *each == kind).unwrap();
                lists[at].iter().for_each(|path| visit(Path::new(path).unwrap()));
            });
        });
        let op = if persistent { OpCode::SET_WATCHES2 } else { OpCode::SET_WATCHES };
        let body = Body::decode(op, &mut Decoder::new(&bytes)).unwrap();
        let lists: Vec<Vec<_>> = lists[..if persistent { 5 } else { 3 }]
            .iter()
            .map(|list| list.iter().map(|path| above(path, &chroot)).collect())
            .collect();
        let lists = lists.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
        prop_assert_eq!(body, Body::SetWatches { zxid, lists });
    }

    #[test]
    fn a_created_path_comes_back(path in path(), chroot in chroot(), stat in stat(), other in chroot()) {
        let body = encoded("", |out| {
            out.string(&above(&path, &chroot));
            stat.encode(out);
        });
        let created = Create::decode(&body[..], &chroot).unwrap();
        prop_assert_eq!((created.path().as_str(), created.stat()), (&*path, stat));
        for cut in 0..body.len() {
            prop_assert_eq!(Create::decode(&body[..cut], &chroot).err(), Some(Malformed::Truncated));
        }
        let outside = strip_chroot(&above(&path, &chroot), &other).is_none();
        prop_assert_eq!(Create::decode(&body[..], &other).err() == Some(Malformed::Chroot), outside);
    }

    #[test]
    fn data_comes_back(data in proptest::option::of(vec(any::<u8>(), 0..40)), stat in stat()) {
        let body = encoded("", |out| {
            decode::opt_buffer(out, data.as_deref());
            stat.encode(out);
        });
        let view = GetData::decode(&body[..], "").unwrap();
        prop_assert_eq!(view.is_null(), data.is_none());
        prop_assert_eq!((view.data(), view.stat()), (data.as_deref().unwrap_or_default(), stat));
        for cut in 0..body.len() {
            prop_assert_eq!(GetData::decode(&body[..cut], "").err(), Some(Malformed::Truncated));
        }
    }

    #[test]
    fn ephemerals_outside_the_chroot_are_left_out(paths in vec(path(), 0..8), chroot in chroot()) {
        let all: Vec<_> = paths
            .iter()
            .flat_map(|path| [above(path, &chroot), format!("{chroot}x{path}"), path.clone()])
            .collect();
        let body = encoded("", |out| {
            out.count(all.len());
            all.iter().for_each(|path| out.string(path));
        });
        if let Ok(view) = GetEphemerals::decode(&body[..], &chroot) {
            let inside: Vec<_> =
                all.iter().filter_map(|path| strip_chroot(path, &chroot)).collect();
            let seen: Vec<_> = view.iter().map(Path::as_str).collect();
            prop_assert_eq!(&seen, &inside);
            prop_assert_eq!(view.len(), inside.len());
        } else {
            // `x/` and what follows is a bad path where there is no chroot.
            prop_assert!(all.iter().any(|path| strip_chroot(path, &chroot)
                .is_some_and(|path| Path::new(path).is_err())));
        }
    }

    #[test]
    fn a_handshake_comes_back(
        timeout_ms in 1_i32..,
        session in any::<i64>().prop_filter("alive", |session| *session != 0),
        password: [u8; 16],
        read_only: Option<bool>,
    ) {
        let connected = Connected { timeout_ms, session, password, read_only };
        let bytes = encoded("", |out| connected.encode(out));
        prop_assert_eq!(ConnectReply::decode(&bytes), Ok(ConnectReply::Accepted(connected)));
        for cut in (0..36).filter(|cut| *cut != 16) {
            prop_assert_eq!(ConnectReply::decode(&bytes[..cut]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn a_frame_is_all_or_nothing(before in 0_usize..8, data in vec(any::<u8>(), 0..200), room in 0_usize..240, limit in 0_usize..240) {
        let set = SetData { path: Path::ROOT, data: &data, version: None };
        let size = 13 + data.len();
        let mut bytes = vec![0; room];
        let mut sink = SliceSink::new(&mut bytes);
        let before = sink.put(&[7; 8][..before]).map_or(0, |()| before);
        let outcome = frame(&mut sink, limit, "", false, |out| set.encode(out));
        let written = sink.as_bytes().len() - before;
        match outcome {
            Ok(()) => prop_assert_eq!(written, size + 4),
            Err(Refused::TooLarge { size: told, limit: by }) => {
                prop_assert_eq!((told, by, written), (size, limit, 0));
                prop_assert!(size > limit);
            }
            Err(Refused::Full) => {
                prop_assert!(size <= limit && before + size + 4 > room);
                prop_assert_eq!(written, 0);
            }
        }
        prop_assert!(sink.as_bytes()[..before].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn paths_are_judged_as_java_does(path in any::<String>(), likely in "[/.a\u{0}\u{7f}\u{f000}😀]{0,6}") {
        for path in [path, likely] {
            prop_assert_eq!(Path::new(&path).is_ok(), java_takes(&path), "{:?}", path);
            let prefix = java_takes(&format!("{path}1"));
            prop_assert_eq!(Path::prefix(&path).is_ok(), prefix, "prefix {:?}", path);
        }
    }

    #[test]
    fn a_forbidden_character_is_found(before in "[a-zé日]{0,6}", bad in "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{e000}-\u{f8ff}\u{fff0}-\u{ffff}😀]", after in "[a-zé日]{0,6}") {
        let char = bad.chars().next().unwrap();
        let path = format!("/{before}{bad}{after}");
        prop_assert_eq!(Path::new(&path), Err(BadPath::Forbidden { at: before.len() + 1, char }));
    }

    #[test]
    fn sequence_numbers_come_back(stem in "[a-z_é-]{0,6}", number: i32) {
        let name = format!("{stem}{number:010}");
        prop_assert_eq!(sequence_after(&stem, &name), Some(number));
        // A dash and ten digits can be read both ways.
        let tells = |stem: &str| stem.ends_with(['-', '_']);
        let doubtful = number >= 1_000_000_000 && stem.strip_suffix('-').is_some_and(tells)
            || number <= -1_000_000_000 && number != i32::MIN && !tells(&stem);
        if !doubtful {
            prop_assert_eq!(sequence(&name), Some((&*stem, number)));
        }
    }

    #[test]
    fn connect_strings_come_back(
        hosts in vec(("[a-z0-9._-]{1,8}|[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}", 1_u16..), 1..32),
        chroot in chroot(),
        blank in "[ \t]{0,2}",
    ) {
        let entries: Vec<_> = hosts
            .iter()
            .map(|(host, port)| if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
            .map(|entry| format!("{blank}{entry}{blank}"))
            .collect();
        let text = format!("{}{chroot}{blank}", entries.join(","));
        let parsed = ConnectString::parse(&text).unwrap();
        let seen: Vec<_> = parsed.hosts().map(|each| (each.host.to_owned(), each.port)).collect();
        prop_assert_eq!(parsed.len(), hosts.len());
        prop_assert_eq!(seen, hosts);
        prop_assert_eq!(parsed.chroot(), chroot);
    }
}

/// The rule in terms of UTF-16 units, as a Java server applies it.
fn java_takes(path: &str) -> bool {
    let units: Vec<u16> = path.encode_utf16().collect();
    let slash = u16::from(b'/');
    let bad =
        |unit: &u16| matches!(*unit, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff);
    match units.as_slice() {
        [first] => *first == slash,
        [first, names @ ..] if *first == slash => {
            let mut names_of = names.split(|unit| *unit == slash);
            names.last() != Some(&slash)
                && !units.iter().any(bad)
                && names_of.all(|name| !matches!(name, [] | [0x2e] | [0x2e, 0x2e]))
        }
        _ => false,
    }
}
