//! The encoding and views of operations.

use super::*;
use core::time::Duration;

fn body<R: Request>(request: R, chroot: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, 1000, chroot, true, |out| request.encode(out)).unwrap();
    out.split_off(4)
}

fn create(path: Path<'_>, mode: CreateMode) -> Create<'_> {
    Create {
        path,
        data: b"",
        mode,
        acl: &[],
    }
}

#[test]
fn a_number_goes_below_the_chroot() {
    let path = |mode| body(create(Path::ROOT, mode), "/c")[4..7].to_vec();
    assert_eq!(path(CreateMode::EphemeralSequential), b"/c/");
    assert_eq!(path(CreateMode::Ephemeral), b"/c\0");
}

#[test]
fn a_time_to_live_is_in_milliseconds() {
    let ttl = Ttl::new(Duration::from_secs(3)).unwrap();
    let mode = CreateMode::PersistentTtl(ttl);
    assert_eq!(create(Path::ROOT, mode).op(), OpCode::CREATE_TTL);
    assert!(body(create(Path::ROOT, mode), "").ends_with(&3000_i64.to_be_bytes()));
}

#[test]
fn the_configuration_is_outside_the_chroot() {
    assert_eq!(body(GetConfig, "/c"), b"\0\0\0\x11/zookeeper/config\x01");
}

#[test]
fn ephemerals_lose_the_chroot() {
    let all = body(GetEphemerals { prefix: Path::ROOT }, "/app");
    assert_eq!(all, b"\0\0\0\x04/app");
    let list = b"\0\0\0\x03\0\0\0\x06/apple\0\0\0\x06/app/x\0\0\0\x04/app";
    let paths = GetEphemerals::decode(list, "/app").unwrap();
    assert!(paths.iter().map(Path::as_str).eq(["/x", "/"]));
    assert_eq!(paths.len(), 2);
    assert!(GetEphemerals::decode(list, "/b").unwrap().is_empty());
    let hostile = GetEphemerals::decode(b"\0\0\0\x01\0\0\0\x04\0\0/x", "/b").unwrap();
    assert_eq!((hostile.len(), hostile.iter().count()), (0, 0));
    assert_eq!(GetEphemerals::decode(list, "").unwrap().iter().count(), 3);
}

#[test]
fn null_data_is_not_empty_data() {
    let decode = |length: [u8; 4]| GetData::decode([&length[..], &[0; 68]].concat(), "");
    let null = decode([0xff; 4]).unwrap();
    assert!(null.is_null() && null.data().is_empty());
    let empty = decode([0; 4]).unwrap();
    assert!(!empty.is_null() && empty.data().is_empty());
    assert!(decode([0, 0, 0, 1]).is_err());
}

#[test]
fn hostile_names_are_still_text() {
    let list = b"\0\0\0\x02\0\0\0\x02..\0\0\0\x03a/b";
    assert!(
        GetChildNames::decode(list, "")
            .unwrap()
            .iter()
            .eq(["..", "a/b"])
    );
    let broken = b"\0\0\0\x01\0\0\0\x01\xff";
    assert_eq!(
        GetChildNames::decode(broken, "").unwrap_err(),
        Malformed::NotUtf8
    );
    let huge = b"\x7f\xff\xff\xff\0\0\0\0";
    assert_eq!(
        GetChildNames::decode(huge, "").unwrap_err(),
        Malformed::Count
    );
}
