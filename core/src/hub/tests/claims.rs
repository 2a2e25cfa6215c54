//! Claims: who has to clean up what.

use super::*;
use crate::hub::{ClaimTicket, NewClaim};
use crate::session::End;

on_both! {<2, 2>:
    a_claim_names_its_node_as_curator_does,
    no_two_claims_are_alike,
    a_claim_that_is_dropped_is_an_orphan_until_it_is_reaped,
    an_orphan_wakes_the_reaper,
    an_orphan_whose_path_is_known_says_so,
    a_claim_that_is_settled_is_forgotten,
    orphans_end_with_their_session,
    a_claim_that_is_dropped_after_its_session_is_forgotten,
    a_claim_of_an_earlier_session_does_not_touch_a_later_one,
    a_late_reaper_does_not_touch_a_later_claim,
    orphans_outlive_a_connection,
    claims_are_bounded,
    without_a_session_there_is_no_claim,
    a_claim_on_another_session_is_refused,
    a_name_of_two_levels_is_refused,
}

fn claim<K: Kind>(script: &mut Scripted<K>, name: &str) -> (ClaimTicket, K::Path) {
    let epoch = script.hub.session().status().epoch;
    let NewClaim { ticket, path } = script.hub.claim(epoch, path("/l"), name).unwrap();
    (ticket, path)
}

/// Drops a claim, without knowing whether its node exists.
fn drop_claim<K: Kind>(script: &mut Scripted<K>, (ticket, path): (ClaimTicket, K::Path)) {
    script.hub.orphan(ticket, path, false);
}

fn next_orphan<K: Kind>(script: &mut Scripted<K>) -> Option<Orphan<K::Path>> {
    match script.hub.poll_orphan(&noop()) {
        Poll::Ready(orphan) => Some(orphan),
        Poll::Pending => None,
    }
}

/// How many claims are held or wait, and how many of them wait.
fn counts<K: Kind>(script: &mut Scripted<K>) -> (usize, usize) {
    (script.hub.claims(), script.hub.orphans())
}

fn a_claim_names_its_node_as_curator_does<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (_, node) = claim(&mut script, "lock-");
    let expected = "/l/_c_00001000-0aaa-0001-0000-00000000002a-lock-";
    assert_eq!(node.as_path().as_str(), expected);
    let epoch = script.hub.session().status().epoch;
    let root = script.hub.claim(epoch, Path::ROOT, "x").unwrap();
    assert!(root.path.as_path().as_str().starts_with("/_c_"));
}

fn no_two_claims_are_alike<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let (ticket, node) = claim(&mut script, "x");
        let name = node.as_path().as_str().as_bytes().to_vec();
        assert!(!seen.contains(&name));
        seen.push(name);
        script.hub.settle(ticket);
    }
}

fn a_claim_that_is_dropped_is_an_orphan_until_it_is_reaped<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let held = claim(&mut script, "x");
    let node = held.1.clone();
    assert_eq!(counts(&mut script), (1, 0));
    assert!(next_orphan(&mut script).is_none());
    drop_claim(&mut script, held);
    assert_eq!(counts(&mut script), (1, 1));
    for _ in 0..2 {
        let orphan = next_orphan(&mut script).unwrap();
        assert_eq!(orphan.path.as_path(), node.as_path());
        assert!(!orphan.known);
    }
    let orphan = next_orphan(&mut script).unwrap();
    script.hub.reaped(&orphan);
    script.hub.reaped(&orphan);
    assert_eq!(counts(&mut script), (0, 0));
    assert!(next_orphan(&mut script).is_none());
}

fn an_orphan_wakes_the_reaper<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (flag, waker) = Flag::new();
    script.wake();
    assert!(script.hub.poll_orphan(&waker).is_pending());
    let held = claim(&mut script, "x");
    script.wake();
    assert_eq!(flag.woken(), 0);
    drop_claim(&mut script, held);
    assert_eq!(flag.woken(), 0, "not under the lock");
    script.wake();
    assert_eq!(flag.woken(), 1);
}

fn an_orphan_whose_path_is_known_says_so<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (ticket, _) = claim(&mut script, "x");
    let node = K::Path::try_from_parts(&["/l/node"]).unwrap();
    script.hub.orphan(ticket, node, true);
    let orphan = next_orphan(&mut script).unwrap();
    assert_eq!(orphan.path.as_path().as_str(), "/l/node");
    assert!(orphan.known);
}

fn a_claim_that_is_settled_is_forgotten<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (ticket, _) = claim(&mut script, "x");
    script.hub.settle(ticket);
    assert_eq!(counts(&mut script), (0, 0));
}

fn orphans_end_with_their_session<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let held = claim(&mut script, "x");
    drop_claim(&mut script, held);
    claim(&mut script, "y");
    script.expire();
    assert_eq!(counts(&mut script), (1, 0));
    assert!(next_orphan(&mut script).is_none());
}

fn a_claim_that_is_dropped_after_its_session_is_forgotten<K: Kind>() {
    type End<K> = fn(&mut Scripted<K>);
    let expired: End<K> = |script| script.expire();
    let detached: End<K> = |script| script.hub.detach();
    for end in [expired, detached] {
        let mut script = Scripted::<K>::connected();
        let held = claim(&mut script, "x");
        end(&mut script);
        drop_claim(&mut script, held);
        assert_eq!(counts(&mut script), (0, 0));
    }
}

fn a_claim_of_an_earlier_session_does_not_touch_a_later_one<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let held = claim(&mut script, "x");
    let earlier = held.0;
    drop_claim(&mut script, held);
    script.expire();
    script.connect_to(ID + 1);
    let later = claim(&mut script, "x");
    script.hub.settle(earlier);
    assert_eq!(counts(&mut script), (1, 0));
    drop_claim(&mut script, later);
    assert_eq!(counts(&mut script), (1, 1));
}

fn a_late_reaper_does_not_touch_a_later_claim<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let held = claim(&mut script, "x");
    drop_claim(&mut script, held);
    let orphan = next_orphan(&mut script).unwrap();
    script.expire();
    script.connect_to(ID + 1);
    claim(&mut script, "x");
    script.hub.reaped(&orphan);
    assert_eq!(counts(&mut script), (1, 0));
}

fn orphans_outlive_a_connection<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let held = claim(&mut script, "x");
    drop_claim(&mut script, held);
    script.reconnect();
    assert_eq!(counts(&mut script), (1, 1));
    assert!(next_orphan(&mut script).is_some());
}

fn claims_are_bounded<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let epoch = script.hub.session().status().epoch;
    let claims: Vec<_> = (0..K::CALLS).map(|_| claim(&mut script, "x")).collect();
    let full = script.hub.claim(epoch, path("/l"), "x");
    assert_eq!(full.map(|_| ()).unwrap_err(), Error::Full);
    for (ticket, _) in claims {
        script.hub.settle(ticket);
    }
    assert_eq!(counts(&mut script), (0, 0));
    claim(&mut script, "x");
}

fn without_a_session_there_is_no_claim<K: Kind>() {
    let mut script = Scripted::<K>::new();
    let epoch = script.hub.session().status().epoch;
    let early = script.hub.claim(epoch, path("/l"), "x");
    assert_eq!(early.map(|_| ()), Err(Error::NotSent(End::Expired)));
    script.hub.close(script.now);
    let late = script.hub.claim(epoch, path("/l"), "x");
    assert_eq!(late.map(|_| ()), Err(Error::NotSent(End::Closed)));
}

fn a_claim_on_another_session_is_refused<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let epoch = script.hub.session().status().epoch;
    script.cut();
    script.connect_to(ID + 1);
    let late = script.hub.claim(epoch, path("/l"), "x");
    assert_eq!(late.map(|_| ()), Err(Error::NotSent(End::Expired)));
}

fn a_name_of_two_levels_is_refused<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let epoch = script.hub.session().status().epoch;
    for name in ["a/b", "/", "..\u{0}"] {
        assert!(script.hub.claim(epoch, path("/l"), name).is_err());
    }
    assert_eq!(counts(&mut script), (0, 0));
}

#[test]
fn a_claim_leaves_room_for_the_number_of_its_node() {
    let mut script = Scripted::<OnBoard<2, 2>>::connected();
    let epoch = script.hub.session().status().epoch;
    let mut claim = |length| {
        let parent = std::format!("/{}", "p".repeat(length));
        let claim = script.hub.claim(epoch, path(&parent), "lock-");
        let NewClaim { ticket, path } = claim.ok()?;
        script.hub.settle(ticket);
        Some(path.as_path().as_str().len())
    };
    let longest = (1..BYTES_PER_PATH).filter_map(&mut claim).max();
    let number = "-2147483648".len();
    assert_eq!(longest, Some(BYTES_PER_PATH - number));
}
