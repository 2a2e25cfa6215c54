//! What Docent promises, as tests against any servers: each takes a [`Realm`] of its own.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "no test file uses all of it, and none exports it"
)]

mod caches;
mod elections;
mod locks;
mod nodes;
mod recipes;
mod sessions;
mod watches;

use std::fmt::Debug;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use docent::{Backoff, Builder, Change, Client, Code, Error, ErrorKind, Status, Watcher};
use docent_testing::peer::{Body, Proxy, op};
use futures_core::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

pub use caches::*;
pub use elections::*;
pub use locks::*;
pub use nodes::*;
pub use recipes::*;
pub use sessions::*;
pub use watches::*;

/// Makes a test of each function of the suite: `run` is called with it.
macro_rules! tests {
    ($run:path) => {
        crate::suite::tests! { $run:
            // nodes
            a_node_is_created_read_written_and_deleted
            every_mode_makes_its_kind_of_node
            sequential_names_may_end_with_a_slash
            emptied_containers_and_stale_nodes_are_deleted_by_the_server
            creations_are_refused_for_a_reason
            versions_guard_every_write
            deletions_are_refused_for_a_reason
            data_may_be_empty_or_null
            requests_fit_up_to_the_last_byte
            replies_may_be_larger_than_requests
            a_reply_too_large_to_keep_costs_only_its_call
            children_are_listed_and_descendants_counted
            access_is_controlled
            identities_are_known_from_the_start
            mistakes_in_access_lists_never_leave_the_client
            ephemerals_are_listed_by_prefix
            a_transaction_runs_as_a_whole
            a_failed_transaction_names_its_culprit
            reads_come_in_bundles
            requests_are_answered_in_order
            missing_levels_are_made
            a_missing_chroot_is_an_error
            paths_may_have_any_letters
            bad_paths_are_refused_before_anything_is_sent
            a_chroot_holds_in_every_operation
            servers_tell_their_configuration
            // watches
            a_watch_on_data_fires_once
            a_watch_on_existence_fires_at_birth_change_and_death
            a_watch_on_children_fires_once
            a_persistent_watch_goes_on
            changes_that_nobody_looks_at_are_told_as_one
            a_recursive_watch_tells_every_place
            a_recursive_watch_that_nobody_reads_asks_to_look_again
            watches_of_all_kinds_share_a_path
            watches_set_at_the_same_time_share_a_path
            every_watcher_of_a_path_hears
            an_event_comes_before_the_reply_that_shows_its_cause
            a_dropped_watch_is_removed_from_the_server
            a_dropped_persistent_watch_is_removed_though_another_stays
            a_cancelled_watch_is_removed_from_the_server
            a_read_that_fails_leaves_no_watch
            watches_are_streams
            events_outside_the_chroot_are_not_heard
            // sessions
            a_session_has_the_timeout_that_the_server_grants
            closing_ends_the_session_after_all_requests
            the_last_clone_closes_the_session
            a_session_is_resumed_with_its_credentials
            wrong_credentials_end_the_session
            a_new_session_follows_an_expired_one
            a_client_that_may_not_renew_ends_with_its_session
            states_are_told_without_gaps
            // locks
            a_lock_is_held_by_one_at_a_time
            contenders_are_served_in_order
            an_acquisition_cancelled_anywhere_leaves_nothing
            an_acquisition_cancelled_at_any_time_leaves_nothing
            a_guard_knows_that_its_session_expired
            a_guard_knows_that_its_node_was_deleted
            only_the_holder_passes_the_check
            a_dropped_guard_releases_in_the_background
            a_waiter_whose_session_expires_waits_on
            a_lock_ignores_strangers_among_its_children
            nodes_of_a_lock_carry_its_data_and_access_list
            // other recipes
            a_lock_is_tried_without_waiting
            several_locks_are_acquired_in_one_order
            a_holder_is_asked_to_give_up
            work_stops_with_the_lock
            a_queue_explains_itself
            readers_share_and_writers_do_not
            a_reader_waits_for_the_writer_ahead
            a_writer_goes_on_reading
            a_reader_writes_only_if_it_is_alone
            a_semaphore_has_so_many_leases
            leases_are_taken_together
            the_number_of_permits_may_be_shared
            one_leads_after_the_other
            all_see_who_leads
            a_candidate_keeps_its_place
            a_leader_works_until_it_breaks
            a_latch_stands_in_the_background
            a_latch_closes_as_it_is_told
            a_latch_that_may_not_stand_says_so
            an_owner_acquires_its_lock_again
            a_queue_deleted_under_its_contenders_is_made_anew
            a_queue_that_may_not_be_read_is_an_error_and_leaves_nothing
            who_is_above_the_quota_is_told_at_once_and_leaves_nothing
            // caches
            a_cache_follows_a_tree
            a_cache_sees_a_node_that_was_created_again
            a_cache_waits_for_its_root
            a_cache_has_what_it_is_asked_for
            a_cache_outlives_its_session
            a_cache_leaves_out_what_may_not_be_read
            a_cache_keeps_to_its_bounds_and_says_so
            a_cache_takes_in_many_children
            a_dropped_cache_leaves_no_watch
            a_cache_ends_with_its_client
            what_nobody_looks_at_becomes_one_step
            a_cache_needs_no_task_and_no_heap
        }
    };
    ($run:path: $($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                $run($crate::suite::$test);
            }
        )*
    };
}
pub(crate) use tests;

/// How long one test may take on a busy machine.
/// It is less than the longest session, so that what a session's end would do does not count.
const PATIENCE: Duration = Duration::from_secs(30);

/// The part of the servers that belongs to one test, and to no other.
#[derive(Clone, Debug)]
pub struct Realm {
    servers: String,
    root: String,
}

impl Realm {
    /// A part of these servers, which a connect string without a chroot names.
    pub async fn of(servers: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let realm = Self {
            servers: servers.to_owned(),
            root: format!("/realm-{}-{n}", std::process::id()),
        };
        realm.outside().await.ensure(&realm.root).await.unwrap();
        realm
    }

    /// For a client to which the realm is all there is.
    pub fn builder(&self) -> Builder {
        builder(&format!("{}{}", self.servers, self.root))
    }

    pub async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    /// A client of the servers as they are.
    pub async fn outside(&self) -> Client {
        builder(&self.servers).connect().await.unwrap()
    }

    /// A client whose connections to the first of the servers can be cut.
    pub async fn client_behind_a_proxy(&self) -> (Client, Proxy) {
        let server = self.servers.split(',').next().unwrap_or_default();
        let proxy = Proxy::start(server.parse().unwrap()).await;
        let client = builder(&format!("{}{}", proxy.addr(), self.root));
        (client.connect().await.unwrap(), proxy)
    }

    /// The servers' connect string.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// A path as it is outside.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// Whether a server holds a watch on `path`, of whatever client.
    pub async fn is_watched(&self, path: &str) -> bool {
        let path = self.absolute(path);
        for server in self.servers.split(',') {
            let watched = four_letter_word(server, b"wchp").await;
            if watched.lines().any(|line| line == path) {
                return true;
            }
        }
        false
    }

    /// Ends the session of `client` as if its time were over, and waits until it knows.
    pub async fn expire(&self, client: &Client) {
        let before = client.status();
        self.end_session(client).await;
        until(client, |now| {
            now.epoch != before.epoch || now.state.end().is_some()
        })
        .await;
    }

    /// Takes the session over and closes it. Whoever has it will learn so.
    pub async fn end_session(&self, client: &Client) {
        let session = client.credentials().unwrap();
        let connect = Body::new().int(0).long(0).int(10_000).long(session.id);
        let connect = connect.buffer(&session.password).boolean(false).done();
        let close = Body::new().int(1).int(op::CLOSE).done();
        let frames = Body::new().buffer(&connect).buffer(&close).done();
        let mut reset = false;
        for server in self.servers.split(',') {
            let Ok(mut stream) = TcpStream::connect(server).await else {
                continue;
            };
            stream.write_all(&frames).await.unwrap();
            let mut answer = vec![];
            // A reset may come before the answer is read. Another server then knows no such session.
            reset |= stream.read_to_end(&mut answer).await.is_err();
            if !answer.is_empty() {
                return;
            }
        }
        assert!(reset, "no server has ended {session:?}");
    }
}

fn builder(connect_string: &str) -> Builder {
    let backoff = Backoff {
        base: Duration::from_millis(5),
        cap: Duration::from_millis(100),
        ..Backoff::DEFAULT
    };
    docent::builder(connect_string)
        .session_timeout(Duration::from_secs(20))
        .backoff(backoff)
}

/// The answer of a server to a word of four letters.
pub async fn four_letter_word(server: &str, word: &[u8; 4]) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(server).await {
        stream.write_all(word).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    }
    answer
}

/// Fails rather than to wait for ever.
#[track_caller]
pub fn within<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    let future = time::timeout(PATIENCE, future.into_future());
    async move {
        let done = future.await;
        done.unwrap_or_else(|_| panic!("{place}: this has not happened in {PATIENCE:?}"))
    }
}

/// Waits for a state of the client.
pub async fn until(client: &Client, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = client.status();
    while !wanted(&status) {
        status = within(client.changed(status)).await;
    }
    status
}

/// Waits until `wanted` is true of the names of a node's children, whoever changes them. A node that
/// does not exist has none.
pub async fn until_children(client: &Client, path: &str, wanted: impl Fn(&[&str]) -> bool) {
    loop {
        let mut watcher = match client.children_and_watch(path).await {
            Ok((children, _)) if wanted(&children.iter().collect::<Vec<_>>()) => return,
            Ok((_, watcher)) => watcher,
            Err(error) if error.is_no_node() && wanted(&[]) => return,
            Err(error) if error.is_no_node() => client.exists_and_watch(path).await.unwrap().1,
            Err(error) => panic!("{error}"),
        };
        within(watcher.changed()).await;
    }
}

/// Waits until a node is there, or is not.
pub async fn until_exists(client: &Client, path: &str, wanted: bool) {
    loop {
        let (stat, mut watcher) = client.exists_and_watch(path).await.unwrap();
        if stat.is_some() == wanted {
            return;
        }
        within(watcher.changed()).await;
    }
}

/// Waits for the end of all clean-ups.
pub async fn assert_clean(client: &Client) {
    let clean = async {
        while client.pending_cleanups() > 0 {
            client.sync("/").await.unwrap();
        }
    };
    within(clean).await;
}

/// The code with which the servers refused an operation.
#[track_caller]
pub fn code<T: Debug>(result: Result<T, Error>) -> Code {
    match result.unwrap_err().kind() {
        ErrorKind::Server(code) => code,
        other => panic!("not refused by a server, but {other:?}"),
    }
}

/// The future's result, if it has one without waiting.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// The next change but those that only ask to look again: while its session is being ended from elsewhere
/// a client may reconnect.
pub async fn next_change(watcher: &mut Watcher) -> Option<Change> {
    loop {
        match next(watcher).await {
            Some(Change::Resync) => {}
            change => return change,
        }
    }
}

pub async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    within(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))).await
}
