//! The lock, against a server in miniature.

use super::handle::Task;
use super::world::{Acquired, World};
use super::*;
use crate::client::Client;
use crate::error::Code;
use crate::recipes::Lock;
use crate::session::End;

/// With a single call, a single watch and a single claim, too.
mod one_place {
    use super::*;

    on_both! {<1, 1>:
        a_free_lock_is_acquired,
        a_lock_makes_its_parents,
        a_lock_below_a_chroot_is_acquired,
        a_lock_is_released,
        a_lock_that_is_dropped_is_released,
        a_lock_is_waited_for,
        only_the_nearest_contender_is_waited_for,
        foreign_names_are_no_contenders,
        a_contender_that_vanishes_is_not_waited_for,
        an_attempt_may_be_dropped_at_any_time,
        an_attempt_may_lose_its_connection_at_any_time,
        an_attempt_may_lose_its_session_at_any_time,
        an_attempt_may_be_dropped_and_lose_its_connection_at_any_time,
        an_attempt_whose_node_is_deleted_joins_again,
        a_release_whose_answer_is_lost_goes_on_in_the_background,
        a_lock_whose_session_expired_is_lost,
        a_lock_whose_lease_ran_out_is_lost_for_good,
        a_lock_is_valid_for_as_long_as_its_lease,
        a_lock_whose_node_is_deleted_is_lost,
        the_fencing_token_grows,
        a_missing_chroot_is_an_error,
        a_node_that_has_no_room_for_its_name_is_not_created,
        a_node_is_looked_for_behind_a_sync,
        a_node_of_another_session_is_not_taken,
        a_refused_create_leaves_no_claim,
        a_lock_wanted_before_the_last_clean_up_has_ended_waits_for_its_end,
        a_closed_client_acquires_nothing,
    }
}

mod more_places {
    use super::*;

    on_both! {<4, 4>:
        contenders_of_one_client_are_served_in_turn,
        an_attempt_may_be_dropped_at_any_time,
        an_attempt_may_lose_its_connection_at_any_time,
        an_attempt_may_lose_its_session_at_any_time,
        an_attempt_may_be_dropped_and_lose_its_connection_at_any_time,
    }
}

fn a_free_lock_is_acquired<K: Kind>() {
    let mut world = World::<K>::new();
    world.server.create("/l", 0, false).unwrap();
    let guard = world.acquired();
    assert!(guard.is_held());
    assert_eq!(world.own(), [guard.path().as_str()]);
    let name = guard.path().name();
    assert!(name.starts_with("_c_") && name.ends_with("-lock-0000000000"));
    assert_eq!(world.server.requests, 2, "a create and a list");
}

fn a_lock_makes_its_parents<K: Kind>() {
    let mut world = World::<K>::new();
    let lock = Lock::new(world.shared.handle(), path("/a/b/c")).unwrap();
    let mut task = Task::new(async move { lock.acquire().await });
    let guard = world.run(&mut task).unwrap().unwrap();
    assert_eq!(guard.path().parent(), Some(path("/a/b/c")));
    world.release(guard);
    world.is_clean();
}

fn a_lock_below_a_chroot_is_acquired<K: Kind>() {
    let mut world = World::<K>::below("/app");
    let holder = world.server.create("/app/l", 0, false).unwrap();
    let other = std::format!("{holder}/x-lock-");
    let other = world.server.create(&other, 0x999, true).unwrap();
    let mut task = world.acquire();
    assert!(world.run(&mut task).is_none());
    world.server.delete(&other).unwrap();
    let guard = world.run(&mut task).unwrap().unwrap();
    assert!(guard.path().as_str().starts_with("/l/_c_"));
    drop(guard);
    world.is_clean();
}

fn a_lock_is_released<K: Kind>() {
    let mut world = World::<K>::new();
    for _ in 0..3 {
        let guard = world.acquired();
        world.release(guard);
        assert_eq!(world.own(), [""; 0]);
    }
    world.is_clean();
}

fn a_lock_that_is_dropped_is_released<K: Kind>() {
    let mut world = World::<K>::new();
    for _ in 0..3 {
        drop(world.acquired());
        world.is_clean();
    }
}

fn a_lock_is_waited_for<K: Kind>() {
    let mut world = World::<K>::new();
    let holder = world.contender();
    let mut task = world.acquire();
    assert!(world.run(&mut task).is_none());
    let (polls, requests) = (task.polls, world.server.requests);
    world.rest();
    assert_eq!((task.polls, world.server.requests), (polls, requests));
    world.server.delete(&holder).unwrap();
    assert!(world.run(&mut task).unwrap().unwrap().is_held());
}

fn only_the_nearest_contender_is_waited_for<K: Kind>() {
    let mut world = World::<K>::new();
    let [first, second] = [world.contender(), world.contender()];
    let mut task = world.acquire();
    assert!(world.run(&mut task).is_none());
    let requests = world.server.requests;
    world.contender();
    world.server.delete(&first).unwrap();
    assert!(world.run(&mut task).is_none());
    assert_eq!(world.server.requests, requests, "it was not even woken");
    world.server.delete(&second).unwrap();
    assert!(world.run(&mut task).is_some());
}

fn foreign_names_are_no_contenders<K: Kind>() {
    let mut world = World::<K>::new();
    world.server.create("/l", 0, false).unwrap();
    for name in ["_c_x", "lock-é000000001", "-0000000000", "other-0000000000"] {
        let node = std::format!("/l/{name}");
        world.server.create(&node, 0x999, false).unwrap();
    }
    assert!(world.acquired().is_held());
}

fn a_contender_that_vanishes_is_not_waited_for<K: Kind>() {
    for actions in 0..40 {
        let mut world = World::<K>::new();
        let holder = world.contender();
        let mut task = world.acquire();
        let mut guard = None;
        for _ in 0..actions {
            guard = guard.or_else(|| world.act(&mut task).flatten());
        }
        world.server.delete(&holder).unwrap();
        let guard = guard.or_else(|| world.run(&mut task));
        assert!(guard.unwrap().unwrap().is_held(), "after {actions}");
        world.is_clean();
    }
}

/// Runs an attempt for so many actions; with a holder it can only wait. Says whether it went on
/// for as long.
fn attempt<K: Kind>(actions: usize, held: bool) -> (World<K>, Task<'static, Acquired<K>>, bool) {
    let mut world = World::<K>::new();
    if held {
        world.contender();
    }
    let mut task = world.acquire();
    for _ in 0..actions {
        match world.act(&mut task) {
            Some(None) => {}
            // The guard is dropped here, which is one more thing that may happen at any time.
            Some(Some(_)) | None => return (world, task, false),
        }
    }
    (world, task, true)
}

/// The lock can be had, and given back, once others have gone.
fn is_usable<K: Kind>(world: &mut World<K>) {
    for other in world.server.owned_by(0x999) {
        world.server.delete(&other).unwrap();
    }
    let guard = world.acquired();
    assert_eq!(world.own(), [guard.path().as_str()]);
    world.release(guard);
    world.is_clean();
}

fn an_attempt_may_be_dropped_at_any_time<K: Kind>() {
    for held in [false, true] {
        let mut actions = 0;
        loop {
            let (mut world, task, more) = attempt::<K>(actions, held);
            drop(task);
            world.is_clean();
            is_usable(&mut world);
            if !more {
                break;
            }
            actions += 1;
        }
        assert!(actions > 10);
    }
}

/// Goes on with an attempt until it holds the lock.
fn succeeds<K: Kind>(world: &mut World<K>, task: &mut Task<'static, Acquired<K>>) {
    let mut guard = world.run(task);
    for other in world.server.owned_by(0x999) {
        assert!(guard.is_none());
        world.server.delete(&other).unwrap();
        guard = world.run(task);
    }
    let guard = guard.expect("acquired").unwrap();
    assert_eq!(world.own(), [guard.path().as_str()]);
    assert!(guard.is_held());
    assert!(guard.fencing_token() > 100);
    world.release(guard);
    world.is_clean();
}

fn an_attempt_may_lose_its_connection_at_any_time<K: Kind>() {
    for (held, ran) in [(false, false), (false, true), (true, false), (true, true)] {
        for actions in 0.. {
            let (mut world, mut task, more) = attempt::<K>(actions, held);
            if !more && !held {
                break;
            }
            world.cut(ran);
            world.connect();
            succeeds(&mut world, &mut task);
            if !more {
                break;
            }
        }
    }
}

fn an_attempt_may_lose_its_session_at_any_time<K: Kind>() {
    for (held, ran) in [(false, false), (false, true), (true, false), (true, true)] {
        for actions in 0.. {
            let (mut world, mut task, more) = attempt::<K>(actions, held);
            if !more && !held {
                break;
            }
            world.cut(ran);
            world.server.expire(world.server.session());
            world.connect();
            succeeds(&mut world, &mut task);
            if !more {
                break;
            }
        }
    }
}

fn an_attempt_may_be_dropped_and_lose_its_connection_at_any_time<K: Kind>() {
    for (held, ran) in [(false, true), (true, false), (true, true)] {
        for dropped in 0.. {
            let mut longer = true;
            for cut in 0.. {
                let (mut world, task, more) = attempt::<K>(dropped, held);
                longer = more;
                drop(task);
                let mut idle = Task::new(core::future::pending::<()>());
                let steps = (0..cut).take_while(|_| world.act(&mut idle).is_some());
                let ended = steps.count() < cut;
                world.cut(ran);
                world.connect();
                world.is_clean();
                is_usable(&mut world);
                if ended {
                    break;
                }
            }
            if !longer {
                break;
            }
        }
    }
}

fn contenders_of_one_client_are_served_in_turn<K: Kind>() {
    let mut world = World::<K>::new();
    let mut tasks = [world.acquire(), world.acquire(), world.acquire()];
    let first = world.run(&mut tasks[0]).unwrap().unwrap();
    assert!(world.run(&mut tasks[1]).is_none());
    assert!(world.run(&mut tasks[2]).is_none());
    assert_eq!(world.own().len(), 3);
    drop(first);
    assert!(world.run(&mut tasks[2]).is_none());
    let second = world.run(&mut tasks[1]).unwrap().unwrap();
    world.release(second);
    assert!(world.run(&mut tasks[2]).unwrap().unwrap().is_held());
}

fn an_attempt_whose_node_is_deleted_joins_again<K: Kind>() {
    let mut world = World::<K>::new();
    let holder = world.contender();
    let mut task = world.acquire();
    assert!(world.run(&mut task).is_none());
    let own = world.own().remove(0);
    world.server.delete(&own).unwrap();
    world.server.delete(&holder).unwrap();
    let guard = world.run(&mut task).unwrap().unwrap();
    assert_ne!(guard.path().as_str(), own);
    world.release(guard);
    world.is_clean();
}

fn a_release_whose_answer_is_lost_goes_on_in_the_background<K: Kind>() {
    for ran in [false, true] {
        let mut world = World::<K>::new();
        let guard = world.acquired();
        let mut task = Task::new(guard.release());
        assert!(world.act(&mut task).unwrap().is_none());
        world.step();
        world.cut(ran);
        assert_eq!(task.run(), Some(Err(Error::ConnectionLost)));
        world.connect();
        world.is_clean();
    }
}

fn a_lock_whose_session_expired_is_lost<K: Kind>() {
    let mut world = World::<K>::new();
    let guard = world.acquired();
    let watching = &guard;
    let mut lost = Task::new(async move { watching.lost().await });
    assert!(world.run(&mut lost).is_none());
    world.cut(false);
    assert!(lost.run().is_none());
    assert!(guard.is_held(), "for all that is known");
    world.server.expire(world.server.session());
    world.connect();
    assert!(!guard.is_held());
    assert_eq!(guard.valid_until(), None);
    assert!(world.run(&mut lost).is_some());
    drop(lost);
    world.release(guard);
    world.is_clean();
}

fn a_lock_whose_lease_ran_out_is_lost_for_good<K: Kind>() {
    let mut world = World::<K>::new();
    let guard = world.acquired();
    let watching = &guard;
    let mut lost = Task::new(async move { watching.lost().await });
    assert!(world.run(&mut lost).is_none());
    world.cut(false);
    // The process sleeps. Nobody has looked at the clock when it asks.
    world
        .shared
        .script(|script| script.now = script.now + ms(7_000));
    assert!(!guard.is_held());
    assert_eq!(guard.valid_until(), None);
    world.connect();
    assert!(!guard.is_held(), "although the session lives");
    assert!(world.run(&mut lost).is_some());
    drop(lost);
    drop(guard);
    world.is_clean();
}

fn a_lock_is_valid_for_as_long_as_its_lease<K: Kind>() {
    let mut world = World::<K>::new();
    let guard = world.acquired();
    let now = world.shared.script(|script| script.now);
    assert_eq!(guard.valid_until(), Some(now + ms(7_000)));
    world.cut(false);
    assert_eq!(guard.valid_until(), Some(now + ms(7_000)));
    world.shared.script(|script| script.now = now + ms(6_999));
    assert!(guard.is_held());
}

fn a_lock_whose_node_is_deleted_is_lost<K: Kind>() {
    let mut world = World::<K>::new();
    let guard = world.acquired();
    let watching = &guard;
    let mut lost = Task::new(async move { watching.lost().await });
    assert!(world.run(&mut lost).is_none());
    let own = world.own().remove(0);
    world.server.delete(&own).unwrap();
    assert!(world.run(&mut lost).is_some());
    drop(lost);
    world.release(guard);
    world.is_clean();
}

fn the_fencing_token_grows<K: Kind>() {
    let mut world = World::<K>::new();
    let mut last = 0;
    for _ in 0..3 {
        let guard = world.acquired();
        assert!(guard.fencing_token() > last);
        last = guard.fencing_token();
        world.release(guard);
        world.server.delete("/l").unwrap();
    }
}

fn a_missing_chroot_is_an_error<K: Kind>() {
    for at in ["/l", "/"] {
        let mut world = World::<K>::below("/app");
        world.server.delete("/app").unwrap();
        let lock = Lock::new(world.shared.handle(), path(at)).unwrap();
        let mut task = Task::new(async move { lock.acquire().await.map(drop) });
        let no_node = Err(Error::Server(Code::NoNode));
        assert_eq!(world.run(&mut task), Some(no_node), "{at}");
        world.is_clean();
    }
}

fn a_node_that_has_no_room_for_its_name_is_not_created<K: Kind>() {
    let mut world = World::<K>::new();
    for length in 1..BYTES_PER_PATH - 1 {
        let parent = std::format!("/{}", "p".repeat(length));
        let lock = Lock::new(world.shared.handle(), path(&parent)).unwrap();
        let mut task = Task::new(async move { lock.acquire().await.map(drop) });
        let acquired = world.run(&mut task).unwrap();
        assert!(matches!(acquired, Ok(()) | Err(Error::PathTooLong)));
        world.is_clean();
    }
}

/// An attempt whose create has run, without its client knowing.
fn adrift<K: Kind>() -> (World<K>, Task<'static, Acquired<K>>) {
    let mut world = World::<K>::new();
    world.server.create("/l", 0, false).unwrap();
    let mut task = world.acquire();
    assert!(world.act(&mut task).unwrap().is_none());
    world.cut(true);
    assert_eq!(world.own().len(), 1);
    world.connect();
    assert!(task.run().is_none());
    (world, task)
}

/// A server that lags behind does not know of the node before.
fn a_node_is_looked_for_behind_a_sync<K: Kind>() {
    let (world, _task) = adrift::<K>();
    assert_eq!(world.shared.script(Scripted::transmit), ["sync /l"]);
}

fn a_node_of_another_session_is_not_taken<K: Kind>() {
    let (mut world, mut task) = adrift::<K>();
    world.server.give_away(0x777);
    let foreign = Some(Error::Server(Code::DataInconsistency));
    assert_eq!(world.run(&mut task).map(Result::err), Some(foreign));
}

fn a_refused_create_leaves_no_claim<K: Kind>() {
    let mut world = World::<K>::new();
    let mut task = world.acquire();
    assert!(world.act(&mut task).unwrap().is_none());
    world.step();
    world.sent.clear();
    world.received.push_back(reply(1, 101, -102, b""));
    let refused = world.run(&mut task).unwrap();
    assert_eq!(refused.err(), Some(Error::Server(Code::NoAuth)));
    assert_eq!(world.shared.script(|script| script.hub.claims()), 0);
}

fn a_lock_wanted_before_the_last_clean_up_has_ended_waits_for_its_end<K: Kind>() {
    let mut world = World::<K>::new();
    drop(world.acquired());
    let mut early = world.acquire();
    assert!(early.run().is_none());
    drop(world.run(&mut early).unwrap().unwrap());
    world.is_clean();
    is_usable(&mut world);
}

fn a_closed_client_acquires_nothing<K: Kind>() {
    let mut world = World::<K>::new();
    world.contender();
    let mut task = world.acquire();
    assert!(world.run(&mut task).is_none());
    world.shared.script(|script| {
        script.hub.detach();
        script.wake();
    });
    let closed = Some(Error::NotSent(End::Closed));
    assert_eq!(task.run().map(Result::err), Some(closed));
    let mut late = world.acquire();
    assert_eq!(late.run().map(Result::err), Some(closed));
    let handle = world.shared.handle();
    let mut claim = Task::new(handle.claim(path("/l"), "x"));
    assert!(claim.run().unwrap().is_err());
}

/// No server should do so, but nodes must not be left behind even then.
#[test]
fn a_node_whose_name_comes_back_too_long_is_cleaned_up() {
    let mut world = World::<OnBoard<1, 1>>::new();
    world.server.create("/l", 0, false).unwrap();
    let mut task = world.acquire();
    assert!(world.act(&mut task).unwrap().is_none());
    world.step();
    world.step();
    let own = world.own().remove(0);
    let mut frame = world.received.pop_front().unwrap();
    let long = std::format!("{own}{}", "9".repeat(100));
    let mut body = payload(|out| out.string(&long));
    body.extend(&frame[16 + 4 + own.len()..]);
    frame.truncate(16);
    frame.extend(body);
    world.received.push_front(frame);
    let acquired = world.run(&mut task).unwrap();
    assert_eq!(acquired.err(), Some(Error::PathTooLong));
    world.is_clean();
}

/// A board that cannot read the names of all contenders still finds its own node.
#[test]
fn a_node_is_found_although_the_list_is_too_large() {
    let mut world = World::<OnBoard<1, 1>>::new();
    for _ in 0..10 {
        world.contender();
    }
    let mut task = world.acquire();
    assert!(world.act(&mut task).unwrap().is_none());
    world.cut(true);
    assert_eq!(world.own().len(), 1);
    drop(task);
    world.connect();
    world.is_clean();
}
