//! Frames recorded between other clients and real servers, decoded and encoded again.
//!
//! `golden/frames.jsonl` holds them, with all of their fields as another codec sees them.

use docent_core::path::{Path, strip_chroot};
use docent_core::wire::*;
use docent_testing::decode::{self, Body, Entry};
use serde_json::{Map, Value, json};

const FRAMES: usize = 752;
const LIMIT: usize = 1 << 20;

/// Requests that the core does not send.
#[rustfmt::skip]
const FOREIGN: [&str; 34] = [
    // SASL.
    "kx-018", "kx-020", "kx-032", "kx-034", "sb-003", "sb-005", "sg-003", "sg-005",
    // Null instead of data, a prefix or an identity.
    "kz-029", "kz-031", "kz-098", "jv-007", "jv-070", "jv-247",
    // Paths that break the rules.
    "kz-035", "jv-043", "jv-045", "jv-049", "jv-051",
    // Modes that do not exist or do not go with the operation.
    "jv-037", "jv-039", "jv-041", "jv-171", "jv-245",
    // Times to live that servers refuse.
    "jv-033", "jv-035",
    // A read within a multi.
    "jv-128",
    // A check outside of a multi.
    "j9-354", "j9-358", "jv-353", "jv-355",
    // Operations that do not exist.
    "j9-338", "j9-346", "jv-337",
];

struct Golden {
    id: String,
    from_client: bool,
    /// `None` for the handshake and for events.
    op: Option<OpCode>,
    connect: bool,
    conn: String,
    fields: Value,
    bytes: Vec<u8>,
}

impl Golden {
    fn payload(&self) -> &[u8] {
        let length = u32::from_be_bytes(self.bytes[..4].try_into().unwrap());
        assert_eq!(length as usize, self.bytes.len() - 4, "{}", self.id);
        &self.bytes[4..]
    }
}

fn golden() -> Vec<Golden> {
    let lines: Vec<_> = include_str!("../golden/frames.jsonl")
        .lines()
        .map(parse)
        .collect();
    assert_eq!(lines.len(), FRAMES);
    lines
}

fn parse(line: &str) -> Golden {
    let line: Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    Golden {
        id: text("id"),
        from_client: text("dir") == "c2s",
        op: line["opcode"]
            .as_i64()
            .map(|op| OpCode(i32::try_from(op).unwrap())),
        connect: line["opcode"] == "connect",
        conn: text("conn"),
        fields: line["fields"].clone(),
        bytes: unhex(&text("hex")),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .map(|b| (b as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn hex(bytes: &[u8]) -> Value {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

fn opt_hex(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, hex)
}

fn encoded(chroot: &str, watch: bool, body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, LIMIT, chroot, watch, body).unwrap();
    out
}

#[test]
fn client_frames() {
    let mut seen = 0;
    let mut foreign = 0;
    for golden in golden().iter().filter(|golden| golden.from_client) {
        let payload = golden.payload();
        if golden.connect {
            handshake_request(golden);
        } else if golden.fields["malformed"] == true {
            assert_eq!(
                decode::request(payload),
                Err(Malformed::Truncated),
                "{}",
                golden.id
            );
        } else {
            let (header, body) = decode::request(payload).expect(&golden.id);
            assert_eq!(Some(header.op), golden.op, "{}", golden.id);
            assert_eq!(
                request_fields(header, &body),
                golden.fields,
                "{}",
                golden.id
            );
            let again = encoded("", false, |out| {
                header.encode(out);
                body.encode(out);
            });
            assert_eq!(again, golden.bytes, "{}", golden.id);
            let ours = check_core_request(golden, header, &body);
            assert_eq!(
                ours,
                !FOREIGN.contains(&golden.id.as_str()),
                "{}",
                golden.id
            );
            foreign += usize::from(!ours);
        }
        seen += 1;
    }
    assert_eq!(seen, 362);
    assert_eq!(foreign, FOREIGN.len());
}

fn handshake_request(golden: &Golden) {
    let connect = decode::connect(golden.payload()).expect(&golden.id);
    let fields = json!({
        "protocolVersion": 0,
        "lastZxidSeen": connect.last_zxid,
        "timeOut": connect.timeout_ms,
        "sessionId": connect.session,
        "passwd": hex(connect.password),
        "readOnly": connect.read_only,
    });
    assert_eq!(fields, golden.fields, "{}", golden.id);
    assert_eq!(
        encoded("", false, |out| connect.encode(out)),
        golden.bytes,
        "{}",
        golden.id
    );
}

fn request_fields(header: RequestHeader, body: &Body<'_>) -> Value {
    let mut fields = json!({ "xid": header.xid, "type": header.op.0 });
    let map = fields.as_object_mut().unwrap();
    match body {
        Body::Multi(ops) => {
            let ops = ops.iter().map(|(op, body)| {
                json!({ "header": multi_header(*op, -1), "body": body_fields(*op, body) })
            });
            map.insert("ops".into(), ops.collect());
            map.insert("end".into(), multi_end());
        }
        Body::Unknown(bytes) => drop(map.insert("raw".into(), hex(bytes))),
        body => drop(map.insert("request".into(), body_fields(header.op, body))),
    }
    fields
}

fn multi_header(op: OpCode, err: i32) -> Value {
    json!({ "type": op.0, "done": false, "err": err })
}

fn multi_end() -> Value {
    json!({ "type": -1, "done": true, "err": -1 })
}

fn body_fields(op: OpCode, body: &Body<'_>) -> Value {
    match *body {
        Body::Create {
            path,
            data,
            ref acl,
            flags,
            ttl,
        } => {
            let mut fields = json!({
                "path": path,
                "data": opt_hex(data),
                "acl": acl_fields(acl.iter().copied()),
                "flags": flags,
            });
            if let Some(ttl) = ttl {
                fields["ttl"] = ttl.into();
            }
            fields
        }
        Body::Expect { path, version } => json!({ "path": path, "version": version }),
        Body::Read { path, watch } => json!({ "path": path, "watch": watch }),
        Body::SetData {
            path,
            data,
            version,
        } => {
            json!({ "path": path, "data": opt_hex(data), "version": version })
        }
        Body::SetAcl {
            path,
            ref acl,
            version,
        } => {
            let acl = acl_fields(acl.iter().copied());
            json!({ "path": path, "acl": acl, "version": version })
        }
        Body::GetEphemerals { prefix } => json!({ "prefixPath": prefix }),
        Body::Path { path } => json!({ "path": path }),
        Body::Watch { path, number } if op == OpCode::ADD_WATCH => {
            json!({ "path": path, "mode": number })
        }
        Body::Watch { path, number } => json!({ "path": path, "type": number }),
        Body::Reconfig {
            joining,
            leaving,
            members,
            from,
        } => json!({
            "joiningServers": joining,
            "leavingServers": leaving,
            "newMembers": members,
            "curConfigId": from,
        }),
        Body::Auth { kind, scheme, data } => {
            json!({ "type": kind, "scheme": scheme, "auth": opt_hex(data) })
        }
        Body::SetWatches { zxid, ref lists } => {
            let names = [
                "dataWatches",
                "existWatches",
                "childWatches",
                "persistentWatches",
                "persistentRecursiveWatches",
            ];
            let lists = names
                .into_iter()
                .zip(lists)
                .map(|(name, list)| (name.into(), json!(list)));
            let mut fields: Map<String, Value> = lists.collect();
            fields.insert("relativeZxid".into(), zxid.into());
            fields.into()
        }
        Body::Sasl { token } => json!({ "token": opt_hex(token) }),
        Body::Empty => json!({}),
        Body::Multi(_) | Body::Unknown(_) => unreachable!("not a plain body"),
    }
}

fn acl_fields<'a>(acl: impl Iterator<Item = Entry<'a>>) -> Value {
    acl.map(|Entry { perms, scheme, id }| {
        json!({ "perms": perms.bits(), "id": { "scheme": scheme, "id": id } })
    })
    .collect()
}

/// Whether the core can send the request; then it must give the same bytes, with and without a
/// chroot.
fn check_core_request(golden: &Golden, header: RequestHeader, body: &Body<'_>) -> bool {
    let Some(plain) = core_request(header, body, "") else {
        return false;
    };
    let expected = encoded("", false, |out| {
        header.encode(out);
        as_create2(body).encode(out);
    });
    assert_eq!(plain, expected, "{}", golden.id);
    // Not every path lies below these, nor does every request have a path.
    for chroot in ["/kz", "/jv"] {
        if let Some(moved) = core_request(header, body, chroot) {
            assert_eq!(moved, expected, "{} below {chroot}", golden.id);
        }
    }
    true
}

/// The core asks for the stat of what it creates. In a multi that shows in the body.
fn as_create2<'a>(body: &Body<'a>) -> Body<'a> {
    let Body::Multi(ops) = body else {
        return body.clone();
    };
    let ops = ops.iter().cloned().map(|(op, body)| match op {
        OpCode::CREATE => (OpCode::CREATE2, body),
        op => (op, body),
    });
    Body::Multi(ops.collect())
}

fn core_request(header: RequestHeader, body: &Body<'_>, chroot: &str) -> Option<Vec<u8>> {
    let RequestHeader { xid, op } = header;
    let path = |path| below(path, chroot);
    match *body {
        Body::Create { ref acl, .. } => {
            let acl = acls(acl)?;
            let create = create(body, &acl, chroot)?;
            let same =
                create.op() == op || (create.op() == OpCode::CREATE2 && op == OpCode::CREATE);
            if same {
                send(header, false, chroot, &create)
            } else {
                None
            }
        }
        Body::Expect { path: at, version } if op == OpCode::DELETE => send(
            header,
            false,
            chroot,
            &Delete {
                path: path(at)?,
                version: expected(version),
            },
        ),
        Body::Expect { .. } => None,
        Body::Read { path: at, watch } => match op {
            OpCode::EXISTS => send(header, watch, chroot, &Exists { path: path(at)? }),
            OpCode::GET_DATA if at == "/zookeeper/config" => {
                send(header, watch, chroot, &GetConfig)
            }
            OpCode::GET_DATA => send(header, watch, chroot, &GetData { path: path(at)? }),
            OpCode::GET_CHILDREN => send(header, watch, chroot, &GetChildNames { path: path(at)? }),
            _ => send(header, watch, chroot, &GetChildren { path: path(at)? }),
        },
        Body::SetData {
            path: at,
            data,
            version,
        } => {
            let version = expected(version);
            send(
                header,
                false,
                chroot,
                &SetData {
                    path: path(at)?,
                    data: data?,
                    version,
                },
            )
        }
        Body::SetAcl {
            path: at,
            ref acl,
            version,
        } => {
            let (acl, version) = (acls(acl)?, expected(version));
            send(
                header,
                false,
                chroot,
                &SetAcl {
                    path: path(at)?,
                    acl: &acl,
                    version,
                },
            )
        }
        Body::Path { path: at } => match op {
            OpCode::GET_ACL => send(header, false, chroot, &GetAcl { path: path(at)? }),
            OpCode::SYNC => send(header, false, chroot, &Sync { path: path(at)? }),
            _ => send(header, false, chroot, &CountDescendants { path: path(at)? }),
        },
        Body::GetEphemerals { prefix } => send(
            header,
            false,
            chroot,
            &GetEphemerals {
                prefix: path(prefix?)?,
            },
        ),
        Body::Watch { path: at, number } => match op {
            OpCode::ADD_WATCH => {
                let mode = [AddWatchMode::Persistent, AddWatchMode::Recursive];
                let mode = mode.into_iter().find(|mode| mode.number() == number)?;
                send(
                    header,
                    false,
                    chroot,
                    &AddWatch {
                        path: path(at)?,
                        mode,
                    },
                )
            }
            OpCode::CHECK_WATCHES => {
                let kind = watcher_type(number)?;
                send(
                    header,
                    false,
                    chroot,
                    &CheckWatches {
                        path: path(at)?,
                        kind,
                    },
                )
            }
            _ => {
                let kind = watcher_type(number)?;
                send(
                    header,
                    false,
                    chroot,
                    &RemoveWatches {
                        path: path(at)?,
                        kind,
                    },
                )
            }
        },
        Body::Multi(ref ops) if op == OpCode::MULTI => {
            let acls: Option<Vec<_>> = ops.iter().map(|(_, body)| acls_of(body)).collect();
            let acls = acls?;
            let ops = ops.iter().zip(&acls);
            let ops: Option<Vec<_>> = ops
                .map(|((op, body), acl)| multi_op(*op, body, acl, chroot))
                .collect();
            send(header, false, chroot, &Multi { ops: &ops? })
        }
        Body::Multi(ref ops) => {
            let ops: Option<Vec<_>> = ops
                .iter()
                .map(|(op, body)| read_op(*op, body, chroot))
                .collect();
            send(header, false, chroot, &MultiRead { ops: &ops? })
        }
        Body::Reconfig {
            joining,
            leaving,
            members,
            from,
        } => {
            let from = (from != -1).then_some(from);
            send(
                header,
                false,
                chroot,
                &Reconfig {
                    joining,
                    leaving,
                    members,
                    from,
                },
            )
        }
        Body::Auth { scheme, data, .. } => {
            let credential = Credential {
                scheme,
                data: data?,
            };
            Some(encoded(chroot, false, |out| {
                RequestHeader { xid: xid::AUTH, op }.encode(out);
                credential.encode(out);
            }))
        }
        Body::SetWatches { zxid, ref lists } => {
            let below: Option<Vec<Vec<_>>> = lists
                .iter()
                .map(|list| list.iter().map(|at| path(at)).collect())
                .collect();
            let below = below?;
            Some(encoded(chroot, false, |out| {
                header.encode(out);
                set_watches(out, zxid, lists.len() == 5, |kind, visit| {
                    let index = WatchKind::ALL
                        .iter()
                        .position(|each| *each == kind)
                        .unwrap();
                    below[index].iter().copied().for_each(visit);
                });
            }))
        }
        Body::Empty if op == OpCode::WHO_AM_I => send(header, false, chroot, &WhoAmI),
        Body::Empty => Some(encoded(chroot, false, |out| {
            RequestHeader { xid, op }.encode(out)
        })),
        Body::Sasl { .. } | Body::Unknown(_) => None,
    }
}

fn send<R: Request>(
    header: RequestHeader,
    watch: bool,
    chroot: &str,
    request: &R,
) -> Option<Vec<u8>> {
    assert!(request.op() == header.op || header.op == OpCode::CREATE);
    Some(encoded(chroot, watch, |out| {
        header.encode(out);
        request.encode(out);
    }))
}

fn below<'a>(path: &'a str, chroot: &str) -> Option<Path<'a>> {
    Path::new(strip_chroot(path, chroot)?).ok()
}

fn expected(version: i32) -> Option<i32> {
    (version != -1).then_some(version)
}

fn watcher_type(number: i32) -> Option<WatcherType> {
    use WatcherType::{Any, Children, Data, Persistent, Recursive};
    [Children, Data, Any, Persistent, Recursive]
        .into_iter()
        .find(|kind| kind.number() == number)
}

fn acls<'a>(entries: &[Entry<'a>]) -> Option<Vec<Acl<'a>>> {
    entries.iter().map(Entry::to_acl).collect()
}

fn create<'a>(body: &'a Body<'_>, acl: &'a [Acl<'a>], chroot: &str) -> Option<Create<'a>> {
    let Body::Create {
        path,
        data,
        flags,
        ttl,
        ..
    } = body
    else {
        return None;
    };
    let ttl = std::time::Duration::from_millis((*ttl).unwrap_or(1).try_into().ok()?);
    let ttl = Ttl::new(ttl).ok()?;
    let mode = [
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
        CreateMode::PersistentTtl(ttl),
        CreateMode::PersistentSequentialTtl(ttl),
    ];
    let mode = mode.into_iter().find(|mode| mode.flags() == *flags)?;
    let path = strip_chroot(path, chroot)?;
    let path = if mode.is_sequential() {
        Path::prefix(path)
    } else {
        Path::new(path)
    };
    Some(Create {
        path: path.ok()?,
        data: (*data)?,
        mode,
        acl,
    })
}

fn acls_of<'a>(body: &Body<'a>) -> Option<Vec<Acl<'a>>> {
    if let Body::Create { acl, .. } = body {
        acls(acl)
    } else {
        Some(Vec::new())
    }
}

fn multi_op<'a>(
    op: OpCode,
    body: &'a Body<'_>,
    acl: &'a [Acl<'a>],
    chroot: &str,
) -> Option<Op<'a>> {
    match *body {
        Body::Create { .. } => create(body, acl, chroot).map(Op::Create),
        Body::Expect { path, version } => {
            let (path, version) = (below(path, chroot)?, expected(version));
            Some(match op {
                OpCode::CHECK => Op::Check { path, version },
                _ => Op::Delete(Delete { path, version }),
            })
        }
        Body::SetData {
            path,
            data,
            version,
        } => {
            let (path, version) = (below(path, chroot)?, expected(version));
            Some(Op::SetData(SetData {
                path,
                data: data?,
                version,
            }))
        }
        _ => None,
    }
}

fn read_op<'a>(op: OpCode, body: &'a Body<'_>, chroot: &str) -> Option<ReadOp<'a>> {
    let Body::Read { path, watch: false } = *body else {
        return None;
    };
    let path = below(path, chroot)?;
    Some(if op == OpCode::GET_DATA {
        ReadOp::GetData(path)
    } else {
        ReadOp::GetChildren(path)
    })
}

#[test]
fn server_frames() {
    let mut seen = 0;
    for golden in golden().iter().filter(|golden| !golden.from_client) {
        if golden.connect {
            handshake_reply(golden);
        } else {
            let (header, body) = ReplyHeader::decode(golden.payload()).unwrap();
            let (mut fields, again) = match golden.op {
                None => event(body),
                Some(_) if header.err != 0 => failure(body),
                Some(op) => success(op, body, &golden.id),
            };
            let map = fields.as_object_mut().unwrap();
            map.insert("xid".into(), header.xid.into());
            map.insert("zxid".into(), header.zxid.into());
            map.insert("err".into(), header.err.into());
            assert_eq!(fields, golden.fields, "{}", golden.id);
            let again = encoded("", false, |out| {
                header.encode(out);
                out.bytes(&again);
            });
            assert_eq!(again, golden.bytes, "{}", golden.id);
        }
        seen += 1;
    }
    assert_eq!(seen, 390);
}

fn handshake_reply(golden: &Golden) {
    let reply = ConnectReply::decode(golden.payload()).expect(&golden.id);
    let connected = match reply {
        ConnectReply::Accepted(connected) => connected,
        ConnectReply::Expired => {
            let gone = golden.fields["timeOut"] == 0 && golden.fields["sessionId"] == 0;
            assert!(gone, "{}", golden.id);
            let read_only = golden.fields["readOnly"].as_bool();
            Connected {
                timeout_ms: 0,
                session: 0,
                password: [0; 16],
                read_only,
            }
        }
        ConnectReply::Refused(code) => panic!("{}: {code}", golden.id),
    };
    let mut fields = json!({
        "protocolVersion": 0,
        "timeOut": connected.timeout_ms,
        "sessionId": connected.session,
        "passwd": hex(&connected.password),
    });
    if let Some(read_only) = connected.read_only {
        fields["readOnly"] = read_only.into();
    }
    assert_eq!(fields, golden.fields, "{}", golden.id);
    assert_eq!(
        encoded("", false, |out| connected.encode(out)),
        golden.bytes,
        "{}",
        golden.id
    );
}

/// The fields of a body, and the body encoded again.
type Reply = (Value, Vec<u8>);

fn again(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    encoded("", false, body).split_off(4)
}

fn event(body: &[u8]) -> Reply {
    let event = WatchEvent::decode(body).unwrap();
    every_prefix_fails(body, |body| WatchEvent::decode(body).is_err());
    let kind = event.kind.unwrap().number();
    let fields = json!({ "type": kind, "state": event.state, "path": event.path });
    (json!({ "event": fields }), again(|out| event.encode(out)))
}

fn failure(body: &[u8]) -> Reply {
    if body.is_empty() {
        (json!({}), Vec::new())
    } else {
        (json!({ "raw": hex(body) }), body.into())
    }
}

fn success(op: OpCode, body: &[u8], id: &str) -> Reply {
    match op {
        OpCode::MULTI => multi(body),
        OpCode::MULTI_READ => multi_read(body),
        _ => {
            let (fields, again) = response(op, body, id);
            (json!({ "response": fields }), again)
        }
    }
}

fn decoded<R: Request>(body: &[u8]) -> R::Response<&[u8]> {
    every_prefix_fails(body, |body| R::decode(body, "").is_err());
    // Servers may append fields.
    assert!(R::decode([body, b"more"].concat(), "").is_ok());
    R::decode(body, "").unwrap()
}

fn every_prefix_fails(body: &[u8], fails: impl Fn(&[u8]) -> bool) {
    let cut = (0..body.len()).find(|len| !fails(&body[..*len]));
    assert_eq!(cut, None, "decoded, though cut");
}

fn response(op: OpCode, body: &[u8], id: &str) -> Reply {
    match op {
        OpCode::CREATE => {
            let path = Decoder::new(body).string().unwrap();
            (json!({ "path": path }), again(|out| out.string(path)))
        }
        OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
            let created = decoded::<Create<'_>>(body);
            let (path, stat) = (created.path().as_str(), created.stat());
            let again = again(|out| {
                out.string(path);
                stat.encode(out);
            });
            (json!({ "path": path, "stat": stat_fields(&stat) }), again)
        }
        OpCode::EXISTS => stat_reply(decoded::<Exists<'_>>(body)),
        OpCode::SET_DATA => stat_reply(decoded::<SetData<'_>>(body)),
        OpCode::SET_ACL => stat_reply(decoded::<SetAcl<'_>>(body)),
        OpCode::GET_DATA => data_reply(&decoded::<GetData<'_>>(body)),
        OpCode::RECONFIG => data_reply(&decoded::<Reconfig<'_>>(body)),
        OpCode::GET_ACL => {
            let acls = decoded::<GetAcl<'_>>(body);
            let list: Vec<_> = acls.iter().collect();
            let again = again(|out| {
                out.acl(&list);
                acls.stat().encode(out);
            });
            let entries = list.iter().map(|&Acl { perms, scheme, id }| Entry {
                perms,
                scheme: Some(scheme),
                id: Some(id),
            });
            (
                json!({ "acl": acl_fields(entries), "stat": stat_fields(&acls.stat()) }),
                again,
            )
        }
        OpCode::GET_CHILDREN => {
            let names = decoded::<GetChildNames<'_>>(body);
            let list: Vec<_> = names.iter().collect();
            (
                json!({ "children": list }),
                again(|out| strings(out, &list)),
            )
        }
        OpCode::GET_CHILDREN2 => {
            let children = decoded::<GetChildren<'_>>(body);
            let list: Vec<_> = children.iter().collect();
            let again = again(|out| {
                strings(out, &list);
                children.stat().encode(out);
            });
            (
                json!({ "children": list, "stat": stat_fields(&children.stat()) }),
                again,
            )
        }
        OpCode::SYNC => {
            decoded::<Sync<'_>>(body);
            let path = Decoder::new(body).string().unwrap();
            (json!({ "path": path }), again(|out| out.string(path)))
        }
        OpCode::GET_EPHEMERALS => {
            let paths = decoded::<GetEphemerals<'_>>(body);
            let list: Vec<_> = paths.iter().map(Path::as_str).collect();
            assert_eq!(list.len(), paths.len());
            (
                json!({ "ephemerals": list }),
                again(|out| strings(out, &list)),
            )
        }
        OpCode::GET_ALL_CHILDREN_NUMBER => {
            let count = decoded::<CountDescendants<'_>>(body);
            (json!({ "totalNumber": count }), again(|out| out.int(count)))
        }
        OpCode::WHO_AM_I => {
            let identities = decoded::<WhoAmI>(body);
            let list: Vec<_> = identities.iter().collect();
            let fields: Value = list
                .iter()
                .map(|Identity { scheme, user }| json!({ "authScheme": scheme, "user": user }))
                .collect();
            let again = again(|out| {
                out.count(list.len());
                for identity in list {
                    out.string(identity.scheme);
                    out.string(identity.user);
                }
            });
            (json!({ "clientInfo": fields }), again)
        }
        OpCode::ADD_WATCH => {
            AddWatch::decode(body, "").unwrap();
            let err = Decoder::new(body).int().unwrap();
            (json!({ "err": err }), again(|out| out.int(err)))
        }
        OpCode::SASL => {
            let token = Decoder::new(body).buffer().unwrap();
            (
                json!({ "token": opt_hex(token) }),
                again(|out| decode::opt_buffer(out, token)),
            )
        }
        OpCode::DELETE
        | OpCode::PING
        | OpCode::CHECK_WATCHES
        | OpCode::REMOVE_WATCHES
        | OpCode::AUTH
        | OpCode::SET_WATCHES
        | OpCode::SET_WATCHES2
        | OpCode::CLOSE_SESSION => {
            assert!(body.is_empty(), "{id}");
            (json!({}), Vec::new())
        }
        other => panic!("{id}: success of {other:?}"),
    }
}

fn strings(out: &mut Encoder<'_>, list: &[&str]) {
    out.count(list.len());
    list.iter().for_each(|text| out.string(text));
}

fn stat_reply(stat: Stat) -> Reply {
    (
        json!({ "stat": stat_fields(&stat) }),
        again(|out| stat.encode(out)),
    )
}

fn data_reply(data: &Data<&[u8]>) -> Reply {
    let bytes = (!data.is_null()).then(|| data.data());
    let again = again(|out| {
        decode::opt_buffer(out, bytes);
        data.stat().encode(out);
    });
    (
        json!({ "data": opt_hex(bytes), "stat": stat_fields(&data.stat()) }),
        again,
    )
}

fn stat_fields(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid,
        "mzxid": stat.mzxid,
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": stat.ephemeral_owner,
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
        "pzxid": stat.pzxid,
    })
}

/// One result: its type, the error of its header, its fields, its body.
type Part = (OpCode, i32, Value, Vec<u8>);

fn multi(body: &[u8]) -> Reply {
    let reply = decoded::<Multi<'_>>(body);
    match reply.outcome() {
        Ok(results) => {
            assert_eq!(results.len(), reply.len());
            parts(&results.map(op_part).collect::<Vec<_>>())
        }
        Err(MultiFailure { index, code }) => {
            // The view keeps the cause; the rest follows from it.
            let err = |at: usize| match at.cmp(&index) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => code.number(),
                std::cmp::Ordering::Greater => -2,
            };
            parts(
                &(0..reply.len())
                    .map(|at| error_part(err(at)))
                    .collect::<Vec<_>>(),
            )
        }
    }
}

fn op_part(result: OpResult<'_>) -> Part {
    match result {
        OpResult::Created { path, stat: None } => {
            let path = path.as_str();
            (
                OpCode::CREATE,
                0,
                json!({ "path": path }),
                again(|out| out.string(path)),
            )
        }
        OpResult::Created {
            path,
            stat: Some(stat),
        } => {
            let fields = json!({ "path": path.as_str(), "stat": stat_fields(&stat) });
            let again = again(|out| {
                out.string(path.as_str());
                stat.encode(out);
            });
            (OpCode::CREATE2, 0, fields, again)
        }
        OpResult::Deleted => (OpCode::DELETE, 0, json!({}), Vec::new()),
        OpResult::Checked => (OpCode::CHECK, 0, json!({}), Vec::new()),
        OpResult::Set(stat) => {
            let (fields, again) = stat_reply(stat);
            (OpCode::SET_DATA, 0, fields, again)
        }
    }
}

fn error_part(err: i32) -> Part {
    (
        OpCode::ERROR,
        err,
        json!({ "err": err }),
        again(|out| out.int(err)),
    )
}

fn multi_read(body: &[u8]) -> Reply {
    let reply = decoded::<MultiRead<'_>>(body);
    let parts_of = reply.iter().map(|result| match result {
        Err(code) => error_part(code.number()),
        Ok(ReadResult::Data { data, stat }) => {
            // Null and empty look alike here; the frames only have null.
            let bytes = (!data.is_empty()).then_some(data);
            let again = again(|out| {
                decode::opt_buffer(out, bytes);
                stat.encode(out);
            });
            let fields = json!({ "data": opt_hex(bytes), "stat": stat_fields(&stat) });
            (OpCode::GET_DATA, 0, fields, again)
        }
        Ok(ReadResult::Children(names)) => {
            let list: Vec<_> = names.collect();
            let fields = json!({ "children": list });
            (
                OpCode::GET_CHILDREN,
                0,
                fields,
                again(|out| strings(out, &list)),
            )
        }
    });
    let results: Vec<_> = parts_of.collect();
    assert_eq!(results.len(), reply.len());
    parts(&results)
}

fn parts(parts: &[Part]) -> Reply {
    let ops: Value = parts
        .iter()
        .map(|(op, err, fields, _)| json!({ "header": multi_header(*op, *err), "body": fields }))
        .collect();
    let again = again(|out| {
        for (op, err, _, body) in parts {
            out.int(op.0);
            out.boolean(false);
            out.int(*err);
            out.bytes(body);
        }
        out.int(-1);
        out.boolean(true);
        out.int(-1);
    });
    (json!({ "ops": ops, "end": multi_end() }), again)
}

#[test]
fn server_streams_split_at_every_size() {
    let golden = golden();
    let mut conns: Vec<_> = golden.iter().map(|golden| &golden.conn).collect();
    conns.sort();
    conns.dedup();
    for conn in conns {
        let frames = || {
            golden
                .iter()
                .filter(|each| !each.from_client && each.conn == *conn)
        };
        let stream: Vec<u8> = frames()
            .flat_map(|each| each.bytes.iter().copied())
            .collect();
        let expected: Vec<_> = frames().map(|each| each.payload().to_vec()).collect();
        for chunk in [1, 2, 3, 7, 64, stream.len().max(1)] {
            assert_eq!(
                split(&stream, chunk),
                expected,
                "{conn} in chunks of {chunk}"
            );
        }
    }
}

fn split(stream: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let (mut reader, mut received, mut frames) = (FrameReader::new(), Vec::new(), Vec::new());
    for chunk in stream.chunks(chunk) {
        received.extend_from_slice(chunk);
        while let Step::Frame(range) = reader.step(&received, LIMIT).unwrap() {
            frames.push(received[range.clone()].to_vec());
            received.drain(..range.end);
        }
    }
    assert!(received.is_empty());
    frames
}
