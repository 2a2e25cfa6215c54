//! Tasks that wait for room, for a change of state or for a credential.

use super::*;
use crate::error::Code;
use crate::session::End;

on_both! {<2, 4>:
    a_place_that_becomes_free_wakes_the_task_that_has_waited_longest,
    every_way_to_free_a_place_wakes_a_task,
    nothing_else_wakes_a_task_that_waits_for_room,
    more_tasks_than_calls_wait_without_waking_each_other,
    a_task_that_goes_when_its_turn_has_come_passes_it_on,
    a_task_that_goes_before_its_turn_takes_none,
    a_task_that_is_served_passes_its_turn_on,
    a_task_that_is_refused_again_keeps_its_place,
    a_task_that_waits_again_is_woken_again,
    places_taken_by_the_hub_itself_become_free,
    every_task_that_waits_for_room_learns_of_the_end,
    every_change_wakes_all_who_wait_for_one,
    a_change_before_the_wait_is_not_missed,
    nothing_else_wakes_a_task_that_waits_for_a_change,
    a_task_that_gave_up_waiting_for_a_change_is_not_woken,
    a_credential_is_waited_for_until_it_is_accepted,
    a_refused_credential_ends_the_wait,
    the_driver_is_woken_by_all_that_it_must_act_on,
}

/// A task that waits for room.
struct Waiting {
    flag: Arc<Flag>,
    waker: Waker,
    ticket: Option<usize>,
}

impl Waiting {
    fn new<K: Kind>(script: &mut Scripted<K>) -> Self {
        let (flag, waker) = Flag::new();
        let ticket = None;
        let mut waiting = Self {
            flag,
            waker,
            ticket,
        };
        waiting.again(script);
        waiting
    }

    fn again<K: Kind>(&mut self, script: &mut Scripted<K>) {
        script.hub.await_room(&mut self.ticket, &self.waker);
    }

    fn leave<K: Kind>(&self, script: &mut Scripted<K>) {
        script.hub.forget_room(self.ticket.unwrap());
        script.wake();
    }

    fn woken(&self) -> bool {
        self.flag.woken() > 0
    }
}

fn woken<const N: usize>(tasks: [&Waiting; N]) -> [bool; N] {
    tasks.map(Waiting::woken)
}

/// A hub without room, and two tasks that wait for some.
fn crowded<K: Kind>() -> (Scripted<K>, [Id; 2], Waiting, Waiting) {
    let mut script = Scripted::<K>::connected();
    let calls = [script.get("/a"), script.get("/b")];
    assert_eq!(script.submit(&get("/c")), Err(Error::Full));
    let tasks = [Waiting::new(&mut script), Waiting::new(&mut script)];
    script.wake();
    let [first, second] = tasks;
    assert_eq!(woken([&first, &second]), [false, false]);
    (script, calls, first, second)
}

fn a_place_that_becomes_free_wakes_the_task_that_has_waited_longest<K: Kind>() {
    let (mut script, calls, first, second) = crowded::<K>();
    script.transmit();
    script.wake();
    // The buffer is empty again, although the table is full.
    assert_eq!(woken([&first, &second]), [true, false]);
    script.answer(0, b"");
    script.answer(0, b"");
    assert_eq!(woken([&first, &second]), [false, false]);
    script.end(calls[0]).unwrap();
    script.wake();
    assert_eq!(woken([&first, &second]), [false, true]);
}

fn every_way_to_free_a_place_wakes_a_task<K: Kind>() {
    type Free<K> = fn(&mut Scripted<K>, Id);
    let taken: Free<K> = |script, call| drop(script.end(call));
    let refused: Free<K> = |script, call| assert!(script.end(call).is_err());
    let given_up: Free<K> = |script, call| script.hub.abandon(call);
    let lost: Free<K> = |script, call| {
        script.cut();
        script.end(call).unwrap_err();
    };
    let over: Free<K> = |script, _| script.hub.detach();
    for (err, free) in [
        (0, taken),
        (-101, refused),
        (0, given_up),
        (0, lost),
        (0, over),
    ] {
        let mut script = Scripted::<K>::connected();
        let calls = [script.get("/a"), script.get("/b")];
        script.transmit();
        script.answer(err, b"");
        let call = calls[usize::from(free as usize == lost as usize)];
        let task = Waiting::new(&mut script);
        free(&mut script, call);
        script.wake();
        assert!(task.woken());
    }
}

fn nothing_else_wakes_a_task_that_waits_for_room<K: Kind>() {
    let (mut script, _, first, second) = crowded::<K>();
    script.transmit();
    script.wake();
    woken([&first, &second]);
    script.advance(3_000);
    script.transmit();
    script.frame(&reply(xid::PING, 0, 0, b"")).unwrap();
    script.event(EventKind::Created, "/a");
    script.answer(0, b"");
    assert_eq!(script.submit(&get("/c")), Err(Error::Full));
    script.wake();
    assert_eq!(woken([&first, &second]), [false, false]);
}

fn more_tasks_than_calls_wait_without_waking_each_other<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let _calls = [script.get("/a"), script.get("/b")];
    let tasks: Vec<_> = (0..8).map(|_| Waiting::new(&mut script)).collect();
    script.wake();
    assert!(!tasks.iter().any(Waiting::woken));
}

fn a_task_that_goes_when_its_turn_has_come_passes_it_on<K: Kind>() {
    let (mut script, _, first, second) = crowded::<K>();
    script.transmit();
    script.wake();
    assert_eq!(woken([&first, &second]), [true, false]);
    first.leave(&mut script);
    assert_eq!(woken([&first, &second]), [false, true]);
}

fn a_task_that_goes_before_its_turn_takes_none<K: Kind>() {
    let (mut script, _, first, second) = crowded::<K>();
    first.leave(&mut script);
    assert_eq!(woken([&first, &second]), [false, false]);
    script.transmit();
    script.wake();
    assert_eq!(woken([&first, &second]), [false, true]);
}

fn a_task_that_is_served_passes_its_turn_on<K: Kind>() {
    let (mut script, calls, first, second) = crowded::<K>();
    script.transmit();
    script.answer(0, b"");
    script.answer(0, b"");
    for call in calls {
        script.end(call).unwrap();
    }
    script.hub.poll_waker().unwrap().wake();
    assert!(first.woken());
    script.get("/c");
    first.leave(&mut script);
    assert!(second.woken());
}

fn a_task_that_is_refused_again_keeps_its_place<K: Kind>() {
    let (mut script, calls, mut first, second) = crowded::<K>();
    script.transmit();
    script.wake();
    first.again(&mut script);
    woken([&first, &second]);
    script.answer(0, b"");
    script.end(calls[0]).unwrap();
    script.hub.poll_waker().unwrap().wake();
    assert_eq!(woken([&first, &second]), [true, false]);
}

fn a_task_that_waits_again_is_woken_again<K: Kind>() {
    let (mut script, calls, mut first, second) = crowded::<K>();
    second.leave(&mut script);
    script.transmit();
    script.answer(0, b"");
    script.answer(0, b"");
    for call in calls {
        script.wake();
        first.woken();
        first.again(&mut script);
        script.end(call).unwrap();
        script.wake();
        assert!(first.woken());
    }
}

/// Requests that end watches take places, too, where the queue is bounded.
fn places_taken_by_the_hub_itself_become_free<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let paths = ["/a", "/b", "/c", "/d"];
    let watches = paths.map(|path| script.watch(&get(path)));
    for watch in watches {
        script.hub.drop_watch(watch);
    }
    script.transmit();
    if K::BOUNDED {
        assert_eq!(script.submit(&get("/e")), Err(Error::Full));
    }
    let task = Waiting::new(&mut script);
    script.wake();
    task.woken();
    script.answer(0, b"");
    assert!(task.woken());
    script.get("/e");
}

fn every_task_that_waits_for_room_learns_of_the_end<K: Kind>() {
    let (mut script, _, first, second) = crowded::<K>();
    script.cut();
    script.hub.close(script.now);
    script.wake();
    assert!(first.woken());
    let closed = Err(Error::NotSent(End::Closed));
    assert_eq!(script.submit(&get("/c")), closed);
    first.leave(&mut script);
    assert!(second.woken());
}

/// A task that waits for a change of state.
struct Watching {
    flag: Arc<Flag>,
    waker: Waker,
    ticket: Option<usize>,
}

impl Watching {
    fn new() -> Self {
        let (flag, waker) = Flag::new();
        let ticket = None;
        Self {
            flag,
            waker,
            ticket,
        }
    }

    fn poll<K: Kind>(&mut self, script: &mut Scripted<K>, since: Status) -> Poll<Status> {
        let Self { ticket, waker, .. } = self;
        script.hub.poll_changed(since, ticket, waker, script.now)
    }
}

fn every_change_wakes_all_who_wait_for_one<K: Kind>() {
    type Change<K> = fn(&mut Scripted<K>);
    let cut: Change<K> = |script| script.cut();
    let refused: Change<K> = |script| {
        script.get("/a");
        script.transmit();
        script.answer(Code::SessionExpired.number(), b"");
    };
    let lapsed: Change<K> = |script| {
        script.advance(3_000);
        script.transmit();
        script.advance(2_999);
        script.now = script.now + ms(1_001);
        let _ = script.hub.status(script.now);
    };
    let closed: Change<K> = |script| script.hub.detach();
    for change in [cut, refused, lapsed, closed] {
        let mut script = Scripted::<K>::connected();
        let since = script.hub.status(script.now);
        let mut tasks = [Watching::new(), Watching::new()];
        for task in &mut tasks {
            assert!(task.poll(&mut script, since).is_pending());
        }
        script.wake();
        let woken = |tasks: &[Watching; 2]| [0, 1].map(|at| tasks[at].flag.woken());
        assert_eq!(woken(&tasks), [0, 0]);
        change(&mut script);
        script.wake();
        assert_eq!(woken(&tasks), [1, 1]);
        for task in &mut tasks {
            let Poll::Ready(now) = task.poll(&mut script, since) else {
                panic!("changed")
            };
            assert_ne!(now, since);
        }
    }
}

fn a_change_before_the_wait_is_not_missed<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let since = script.hub.status(script.now);
    script.reconnect();
    let now = Watching::new().poll(&mut script, since);
    assert!(matches!(now, Poll::Ready(now) if now.state == since.state));
}

fn nothing_else_wakes_a_task_that_waits_for_a_change<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.wake();
    let since = script.hub.status(script.now);
    let mut task = Watching::new();
    assert!(task.poll(&mut script, since).is_pending());
    script.get("/a");
    script.advance(3_000);
    script.transmit();
    script.frame(&reply(xid::PING, 0, 0, b"")).unwrap();
    script.answer(0, b"");
    script.event(EventKind::Created, "/a");
    script.wake();
    assert_eq!(task.flag.woken(), 0);
}

fn a_task_that_gave_up_waiting_for_a_change_is_not_woken<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let since = script.hub.status(script.now);
    let mut task = Watching::new();
    assert!(task.poll(&mut script, since).is_pending());
    script.hub.forget_state(task.ticket.unwrap());
    script.cut();
    script.wake();
    assert_eq!(task.flag.woken(), 0);
}

const AUTHS: &[Credential<'static>] = &[Credential {
    scheme: "digest",
    data: b"u:p",
}];

fn a_credential_is_waited_for_until_it_is_accepted<K: Kind>() {
    let auths = AUTHS;
    let mut script = Scripted::<K>::with(Setup { auths, ..SETUP });
    let Watching {
        flag,
        waker,
        mut ticket,
    } = Watching::new();
    let mut poll = |script: &mut Scripted<K>| script.hub.poll_auth(0, &mut ticket, &waker);
    assert!(poll(&mut script).is_pending());
    script.connect();
    assert!(poll(&mut script).is_pending());
    script.transmit();
    assert!(poll(&mut script).is_pending());
    flag.woken();
    script.frame(&reply(xid::AUTH, 0, 0, b"")).unwrap();
    assert_eq!(flag.woken(), 1);
    assert_eq!(poll(&mut script), Poll::Ready(Ok(())));
}

fn a_refused_credential_ends_the_wait<K: Kind>() {
    let auths = AUTHS;
    let mut script = Scripted::<K>::connected_with(Setup { auths, ..SETUP });
    let call = script.get("/a");
    script.transmit();
    let Watching {
        flag,
        waker,
        mut ticket,
    } = Watching::new();
    assert!(script.hub.poll_auth(0, &mut ticket, &waker).is_pending());
    script.frame(&reply(xid::AUTH, 0, -115, b"")).unwrap();
    assert_eq!(flag.woken(), 1);
    let refused = Err(Error::NotSent(End::AuthFailed));
    let polled = script.hub.poll_auth(0, &mut ticket, &waker);
    assert_eq!(polled, Poll::Ready(refused));
    assert_eq!(script.end(call), Err(Error::ConnectionLost));
    assert!(script.hub.is_over());
}

fn the_driver_is_woken_by_all_that_it_must_act_on<K: Kind>() {
    type Act<K> = fn(&mut Scripted<K>, Id);
    let submit: Act<K> = |script, _| {
        script.get("/a");
    };
    let close: Act<K> = |script, _| script.hub.close(script.now);
    let detach: Act<K> = |script, _| script.hub.detach();
    let broken: Act<K> = |script, _| script.hub.handle_broken(script.now);
    let unwatch: Act<K> = |script, watch| script.hub.drop_watch(watch);
    let look: Act<K> = |script, _| {
        let later = script.now + ms(10 * T as u64);
        let _ = script.hub.status(later);
    };
    for act in [submit, close, detach, broken, unwatch, look] {
        let mut script = Scripted::<K>::connected();
        let watch = script.watch(&get("/w"));
        script.wake();
        let (flag, waker) = Flag::new();
        script.hub.register_driver(&waker);
        script.wake();
        assert_eq!(flag.woken(), 0);
        act(&mut script, watch);
        script.wake();
        assert_eq!(flag.woken(), 1);
    }
}

/// Where only so many wakers can be kept, one is given back to be woken and to ask again.
#[test]
fn more_tasks_than_places_all_get_their_turn() {
    let mut script = Scripted::<OnBoard<1, 0>>::connected();
    let call = script.get("/a");
    let mut tasks: Vec<_> = (0..3)
        .map(|_| {
            let task = Waiting::new(&mut script);
            script.wake();
            task
        })
        .collect();
    script.transmit();
    script.answer(0, b"");
    script.end(call).unwrap();
    let mut served = 0;
    for _ in 0..20 {
        script.wake();
        let Some(at) = tasks.iter().position(Waiting::woken) else {
            break;
        };
        match script.submit(&get("/b")) {
            Ok(call) => {
                served += 1;
                tasks.remove(at).leave(&mut script);
                script.transmit();
                script.answer(0, b"");
                script.end(call).unwrap();
            }
            Err(_) => tasks[at].again(&mut script),
        }
    }
    assert_eq!(served, 3);
}

/// A reply that was taken still occupies its room.
#[test]
fn a_room_that_becomes_free_wakes_a_task() {
    let mut script = Scripted::<OnBoard<1, 0>>::connected();
    let call = script.get("/a");
    script.transmit();
    script.answer(0, b"");
    let mut task = Waiting::new(&mut script);
    let Poll::Ready(Ok(body)) = script.hub.poll_reply(call, &noop()) else {
        panic!("answered")
    };
    script.wake();
    task.woken();
    assert_eq!(script.submit(&get("/b")), Err(Error::Full));
    task.again(&mut script);
    script.hub.recycle(body);
    script.wake();
    assert!(task.woken());
}
