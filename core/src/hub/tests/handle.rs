//! The hub as its callers see it.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::Context;
use std::rc::Rc;

use super::*;
use crate::client::{Client, Watcher as _};
use crate::error::Code;
use crate::handle::{Handle, Share, act};
use crate::rng::Rng;
use crate::session::End;
use crate::wire::{Exists, GetChildNames, Malformed};

on_both! {<2, 2>:
    a_call_goes_out_when_it_is_first_polled,
    a_call_waits_for_room_and_is_served_in_turn,
    many_tasks_share_one_place,
    no_task_waits_for_ever,
    a_call_may_be_dropped_at_any_time,
    a_submitted_request_may_be_awaited_later_or_not_at_all,
    a_malformed_reply_fails_its_call_and_the_connection,
    a_lost_call_says_so,
    a_retried_call_is_sent_again,
    a_pinned_handle_ends_with_its_session,
    a_watch_tells_its_task,
    a_watch_whose_request_fails_is_dropped,
    a_watch_that_was_not_set_ends_at_once,
    a_watch_on_an_absent_node_waits_for_it,
    a_watcher_that_is_dropped_is_removed,
    a_watch_may_be_dropped_at_any_time,
    a_session_is_waited_for,
    without_a_client_no_session_is_waited_for,
    a_change_of_state_is_waited_for,
    who_no_longer_waits_for_a_change_is_not_woken,
    a_client_that_closes_says_so_before_it_is_over,
}

/// A hub that the tasks of one thread share.
pub(super) struct Shared<K: Kind>(Rc<(RefCell<Scripted<K>>, &'static str)>);

impl<K: Kind> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K: Kind> Shared<K> {
    pub(super) fn new(script: Scripted<K>, chroot: &'static str) -> Self {
        Self(Rc::new((RefCell::new(script), chroot)))
    }

    pub(super) fn handle(&self) -> Handle<Self> {
        Handle::new(self.clone())
    }

    /// Does something with the script. Tasks that are woken do not run meanwhile.
    pub(super) fn script<T>(&self, act: impl FnOnce(&mut Scripted<K>) -> T) -> T {
        act(&mut self.0.0.borrow_mut())
    }
}

impl<K: Kind> Share for Shared<K> {
    type Storage = K::Storage;
    type Path = K::Path;
    type Body = Kept<K>;
    type Time = Instant;

    fn with<T>(&self, act: impl FnOnce(&mut Hub<K::Storage>) -> T) -> T {
        act(&mut self.0.0.borrow_mut().hub)
    }

    fn now(&self) -> Instant {
        self.script(|script| script.now)
    }

    fn time(&self, instant: Instant) -> Instant {
        instant
    }

    fn chroot(&self) -> &str {
        self.0.1
    }

    fn body(&self, body: BodyOf<K::Storage>) -> Kept<K> {
        Kept {
            shared: self.clone(),
            body: Some(body),
        }
    }
}

/// A reply that gives its room back.
pub(super) struct Kept<K: Kind> {
    shared: Shared<K>,
    body: Option<BodyOf<K::Storage>>,
}

impl<K: Kind> AsRef<[u8]> for Kept<K> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref().unwrap().as_ref()
    }
}

impl<K: Kind> Drop for Kept<K> {
    fn drop(&mut self) {
        let body = self.body.take().unwrap();
        act(&self.shared, |hub| hub.recycle(body));
    }
}

/// A future with a waker of its own.
pub(super) struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    flag: Arc<Flag>,
    waker: Waker,
    pub(super) polls: usize,
}

impl<'a, T> Task<'a, T> {
    /// A task that is about to be polled first.
    pub(super) fn new(future: impl Future<Output = T> + 'a) -> Self {
        let (flag, waker) = Flag::new();
        waker.wake_by_ref();
        Self {
            future: Box::pin(future),
            flag,
            waker,
            polls: 0,
        }
    }

    /// Polls it, if it was woken.
    pub(super) fn run(&mut self) -> Option<T> {
        if self.flag.woken() == 0 {
            return None;
        }
        self.polls += 1;
        let mut cx = Context::from_waker(&self.waker);
        match self.future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Whether it has been woken.
    pub(super) fn is_due(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed) > 0
    }
}

fn connected<K: Kind>() -> Shared<K> {
    Shared::new(Scripted::connected(), "")
}

type Length = Result<usize, Error>;

/// Reads a node, and tells how many bytes it has.
async fn read<K: Kind>(handle: Handle<Shared<K>>, at: &str) -> Length {
    let data = handle.call(get(at)).await?;
    Ok(data.data().len())
}

fn transmit<K: Kind>(shared: &Shared<K>) -> Vec<String> {
    let sent = shared.script(Scripted::transmit);
    shared.script(Scripted::wake);
    sent
}

fn answer<K: Kind>(shared: &Shared<K>, err: i32, body: &[u8]) {
    shared.script(|script| script.answer(err, body));
}

/// All places are free.
fn is_vacant<K: Kind>(shared: &Shared<K>) {
    let mut tasks: Vec<_> = (0..K::CALLS)
        .map(|_| Task::new(read(shared.handle(), "/v")))
        .collect();
    for task in &mut tasks {
        assert!(task.run().is_none());
    }
    assert_eq!(transmit(shared).len(), K::CALLS);
    for task in &mut tasks {
        answer(shared, 0, &data(&[1; 100]));
        assert_eq!(task.run(), Some(Ok(100)));
    }
}

fn a_call_goes_out_when_it_is_first_polled<K: Kind>() {
    let shared = connected::<K>();
    let mut task = Task::new(read(shared.handle(), "/a"));
    assert_eq!(transmit(&shared), [""; 0]);
    assert_eq!(task.run(), None);
    assert_eq!(transmit(&shared), ["get /a"]);
    answer(&shared, 0, &data(b"xyz"));
    assert_eq!(task.run(), Some(Ok(3)));
}

fn a_call_waits_for_room_and_is_served_in_turn<K: Kind>() {
    let shared = connected::<K>();
    let paths = ["/a", "/b", "/c", "/d"];
    let mut tasks = paths.map(|at| Task::new(read(shared.handle(), at)));
    for task in &mut tasks {
        assert_eq!(task.run(), None);
    }
    assert_eq!(transmit(&shared), ["get /a", "get /b"]);
    for task in &mut tasks[..2] {
        answer(&shared, 0, &data(b""));
        assert_eq!(task.run(), Some(Ok(0)));
    }
    for task in &mut tasks[2..] {
        assert_eq!(task.run(), None);
    }
    assert_eq!(transmit(&shared), ["get /c", "get /d"]);
}

fn many_tasks_share_one_place<K: Kind>() {
    let shared = connected::<K>();
    let mut tasks: Vec<_> = (0..6)
        .map(|_| Some(Task::new(read(shared.handle(), "/a"))))
        .collect();
    let mut polls = 0;
    for _ in 0..100 {
        for slot in &mut tasks {
            if let Some(task) = slot
                && task.run().is_some()
            {
                polls += task.polls;
                *slot = None;
            }
        }
        transmit(&shared);
        if shared.script(|script| !script.due.is_empty()) {
            answer(&shared, 0, &data(b""));
        }
    }
    assert!(tasks.iter().all(Option::is_none));
    // With more tasks waiting than wakers can be kept, they ask again and again.
    assert!(K::BOUNDED || polls <= 6 * 5, "{polls}");
}

/// Tasks come and go at random, and so do connections; whoever stays is served, though only those
/// run that were woken.
fn no_task_waits_for_ever<K: Kind>() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let shared = connected::<K>();
        let mut tasks = Vec::new();
        for _ in 0..200 {
            match rng.up_to(19) {
                0..=7 => tasks.push(Task::new(read(shared.handle(), "/a"))),
                8 | 9 if !tasks.is_empty() => {
                    let at = rng.up_to(tasks.len() as u64 - 1);
                    tasks.swap_remove(at as usize);
                }
                10..=13 => drop(transmit(&shared)),
                14..=18 if shared.script(|script| !script.due.is_empty()) => {
                    answer(&shared, 0, &data(b""));
                }
                19 if rng.up_to(3) == 0 => {
                    shared.script(Scripted::reconnect);
                    shared.script(Scripted::wake);
                }
                _ => {}
            }
            tasks.retain_mut(|task| task.run().is_none());
        }
        for _ in 0..50 * tasks.len() {
            transmit(&shared);
            if shared.script(|script| !script.due.is_empty()) {
                answer(&shared, 0, &data(b""));
            }
            tasks.retain_mut(|task| task.run().is_none());
        }
        assert!(tasks.is_empty(), "{} wait for ever", tasks.len());
        is_vacant(&shared);
    }
}

/// Drops a call before its first poll, and after each thing that happens to it.
fn a_call_may_be_dropped_at_any_time<K: Kind>() {
    for crowded in [false, true] {
        for stage in 0..5 {
            let shared = connected::<K>();
            let hold = if crowded { K::CALLS } else { 0 };
            let mut held: Vec<_> = (0..hold)
                .map(|_| Task::new(read(shared.handle(), "/held")))
                .collect();
            for task in &mut held {
                task.run();
            }
            let mut task = Task::new(read(shared.handle(), "/a"));
            for step in 0..stage {
                task.run();
                match step {
                    1 | 3 => drop(transmit(&shared)),
                    2 | 4 if shared.script(|script| !script.due.is_empty()) => {
                        answer(&shared, 0, &data(b""));
                    }
                    _ => {}
                }
            }
            drop(task);
            transmit(&shared);
            while shared.script(|script| !script.due.is_empty()) {
                answer(&shared, 0, &data(b""));
                for task in &mut held {
                    task.run();
                }
                transmit(&shared);
            }
            is_vacant(&shared);
        }
    }
}

fn a_submitted_request_may_be_awaited_later_or_not_at_all<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let first = handle.submit(&get("/a")).unwrap();
    let second = handle.submit(&get("/b")).unwrap();
    assert_eq!(handle.submit(&get("/c")).err(), Some(Error::Full));
    assert_eq!(transmit(&shared), ["get /a", "get /b"]);
    drop(first);
    answer(&shared, 0, &data(b"1"));
    answer(&shared, 0, &data(b"22"));
    let mut second = Task::new(second);
    assert_eq!(second.run().unwrap().unwrap().data(), b"22");
    is_vacant(&shared);
}

fn a_malformed_reply_fails_its_call_and_the_connection<K: Kind>() {
    let shared = connected::<K>();
    let whole = data(b"xyz");
    let mut lying = whole.clone();
    lying[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    for bad in [&whole[..whole.len() - 1], b"", &lying] {
        let mut tasks = ["/a", "/b"].map(|at| Task::new(read(shared.handle(), at)));
        for task in &mut tasks {
            task.run();
        }
        transmit(&shared);
        answer(&shared, 0, bad);
        let malformed = Err(Error::Malformed(Malformed::Truncated));
        assert_eq!(tasks[0].run(), Some(malformed));
        assert_eq!(tasks[1].run(), Some(Err(Error::ConnectionLost)));
        shared.script(|script| {
            assert_eq!(script.state(), State::Suspended);
            script.connect();
        });
    }
    is_vacant(&shared);
}

fn a_lost_call_says_so<K: Kind>() {
    let shared = connected::<K>();
    let mut task = Task::new(read(shared.handle(), "/a"));
    task.run();
    transmit(&shared);
    shared.script(Scripted::cut);
    shared.script(Scripted::wake);
    assert_eq!(task.run(), Some(Err(Error::ConnectionLost)));
}

fn a_retried_call_is_sent_again<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let request = get("/a");
    let mut task = Task::new(async { handle.retry(request).await.map(drop) });
    task.run();
    for _ in 0..3 {
        assert_eq!(transmit(&shared), ["get /a"]);
        shared.script(Scripted::cut);
        shared.script(Scripted::wake);
        assert!(task.run().is_none());
        assert_eq!(transmit(&shared), [""; 0]);
        shared.script(Scripted::connect);
    }
    transmit(&shared);
    answer(&shared, -101, b"");
    let refused = Err(Error::Server(Code::NoNode));
    assert_eq!(task.run(), Some(refused));
}

fn a_pinned_handle_ends_with_its_session<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let pinned = handle.pinned(handle.status().epoch);
    shared.script(Scripted::expire);
    shared.script(|script| script.connect_to(ID + 1));
    let mut task = Task::new(read(pinned.clone(), "/a"));
    let expired = Error::NotSent(End::Expired);
    assert_eq!(task.run(), Some(Err(expired)));
    assert_eq!(pinned.submit(&get("/a")).err(), Some(expired));
    let claim = async |handle: &Handle<_>| handle.claim(path("/l"), "x").await.is_ok();
    assert_eq!(Task::new(claim(&pinned)).run(), Some(false));
    assert_eq!(Task::new(claim(&handle)).run(), Some(true));
}

fn a_watch_tells_its_task<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let mut task = Task::new(async {
        let (data, mut watcher) = handle.watch(get("/a")).await?;
        drop(data);
        let change = watcher.next().await;
        Ok::<_, Error>((change.is_some(), watcher.next().await.is_none()))
    });
    task.run();
    assert_eq!(transmit(&shared), ["get! /a"]);
    answer(&shared, 0, &data(b""));
    assert!(task.run().is_none());
    shared.script(|script| script.event(EventKind::DataChanged, "/a"));
    assert_eq!(task.run(), Some(Ok((true, true))));
    assert_eq!(transmit(&shared), [""; 0]);
}

fn a_watch_whose_request_fails_is_dropped<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    for _ in 0..2 * K::WATCHES {
        let mut task = Task::new(async { handle.watch(get("/a")).await.map(drop) });
        task.run();
        transmit(&shared);
        answer(&shared, -101, b"");
        assert_eq!(task.run(), Some(Err(Error::Server(Code::NoNode))));
    }
    assert_eq!(transmit(&shared), [""; 0]);
}

fn a_watch_that_was_not_set_ends_at_once<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let request = GetChildNames { path: path("/a") };
    let mut task = Task::new(async {
        let (found, mut watcher) = handle.watch_absent(request).await?;
        Ok::<_, Error>((found.is_some(), watcher.next().await.is_some()))
    });
    task.run();
    transmit(&shared);
    answer(&shared, -101, b"");
    assert_eq!(task.run(), Some(Ok((false, false))));
}

fn a_watch_on_an_absent_node_waits_for_it<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let request = Exists { path: path("/a") };
    let mut task = Task::new(async {
        let (found, mut watcher) = handle.watch_absent(request).await?;
        Ok::<_, Error>((found.is_some(), watcher.next().await.is_some()))
    });
    task.run();
    transmit(&shared);
    answer(&shared, -101, b"");
    assert!(task.run().is_none());
    shared.script(|script| script.event(EventKind::Created, "/a"));
    assert_eq!(task.run(), Some(Ok((false, true))));
}

fn a_watcher_that_is_dropped_is_removed<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let mode = AddWatchMode::Recursive;
    let mut task = Task::new(async { handle.subscribe(path("/a"), mode).await });
    task.run();
    assert_eq!(transmit(&shared), ["add1 /a"]);
    answer(&shared, 0, &[0; 4]);
    let watcher = task.run().unwrap().unwrap();
    assert_eq!(transmit(&shared), [""; 0]);
    drop(watcher);
    assert_eq!(transmit(&shared), ["remove3 /a"]);
}

fn a_watch_may_be_dropped_at_any_time<K: Kind>() {
    for stage in 0..5 {
        let shared = connected::<K>();
        let handle = shared.handle();
        let mut task = Task::new(async {
            let (data, mut watcher) = handle.watch(get("/a")).await?;
            drop(data);
            watcher.next().await;
            Ok::<_, Error>(())
        });
        let steps: [&dyn Fn(); 4] = [
            &|| (),
            &|| drop(transmit(&shared)),
            &|| answer(&shared, 0, &data(b"")),
            &|| shared.script(|script| script.event(EventKind::Deleted, "/a")),
        ];
        for step in &steps[..stage.min(4)] {
            step();
            task.run();
        }
        drop(task);
        for _ in 0..3 {
            transmit(&shared);
            while shared.script(|script| !script.due.is_empty()) {
                answer(&shared, 0, &data(b""));
            }
        }
        shared.script(Scripted::reconnect);
        assert_eq!(transmit(&shared), [""; 0], "at stage {stage}");
        is_vacant(&shared);
    }
}

fn a_session_is_waited_for<K: Kind>() {
    let shared = Shared::new(Scripted::<K>::new(), "");
    let handle = shared.handle();
    let mut task = Task::new(async { handle.session().await.map(|(_, id, _)| id) });
    assert!(task.run().is_none());
    shared.script(|script| {
        script.open();
        script.cut();
        script.wake();
    });
    assert!(task.run().is_none());
    shared.script(Scripted::connect);
    assert_eq!(task.run(), Some(Ok(ID)));
}

fn without_a_client_no_session_is_waited_for<K: Kind>() {
    let shared = Shared::new(Scripted::<K>::new(), "");
    let handle = shared.handle();
    let mut task = Task::new(async { handle.session().await.map(drop) });
    assert!(task.run().is_none());
    shared.script(|script| {
        script.hub.close(script.now);
        script.wake();
    });
    assert_eq!(task.run(), Some(Err(Error::NotSent(End::Closed))));
}

fn a_client_that_closes_says_so_before_it_is_over<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let mut change = Task::new(handle.changed(handle.status()));
    assert!(change.run().is_none());
    let mut close = Task::new(handle.close());
    assert!(close.run().is_none());

    let refused = handle.submit(&Exists { path: path("/a") });
    assert_eq!(refused.err(), Some(Error::NotSent(End::Closed)));
    assert_eq!(change.run().map(|now| now.state), Some(State::Closed));
    assert_eq!(handle.status().state.end(), Some(End::Closed));

    assert_eq!(transmit(&shared), ["close"]);
    assert!(close.run().is_none());
    shared.script(|script| {
        script.frame(&reply(i32::MAX, 1, 0, b"")).unwrap();
        script.wake();
    });
    assert!(close.run().is_some());
}

fn who_no_longer_waits_for_a_change_is_not_woken<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let since = handle.status();
    for _ in 0..20 {
        let mut task = Task::new(handle.changed(since));
        assert!(task.run().is_none());
    }
    shared.script(Scripted::cut);
    let woken = shared.script(|script| core::iter::from_fn(|| script.hub.poll_waker()).count());
    // The driver may be.
    assert!(woken <= 1, "{woken} are woken");
}

fn a_change_of_state_is_waited_for<K: Kind>() {
    let shared = connected::<K>();
    let handle = shared.handle();
    let since = handle.status();
    let mut task = Task::new(handle.changed(since));
    assert!(task.run().is_none());
    shared.script(Scripted::cut);
    shared.script(Scripted::wake);
    assert_eq!(task.run().map(|now| now.state), Some(State::Suspended));
}
