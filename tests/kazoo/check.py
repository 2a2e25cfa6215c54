"""Checks that kazoo, a client for Python, works with the servers given as HOST:PORT[,HOST:PORT..].

Prints each check with its outcome. Exits with 1 if one has failed.
"""

import logging
import socket
import sys
import threading
import time
import traceback
import uuid
from datetime import timedelta

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import EventType
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.security import make_acl, make_digest_acl

PATIENCE = 20  # seconds
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Realm:
    """A part of the servers that belongs to one check, and the clients that it has made."""

    def __init__(self, servers, root):
        self.servers = servers
        self.root = root
        self.clients = []

    def client(self, **options):
        client = KazooClient(self.servers + self.root, timeout=10.0, **options)
        self.clients.append(client)
        client.start(timeout=PATIENCE)
        return client

    def close(self):
        for client in self.clients:
            client.stop()
            client.close()


def until(wanted, what):
    """Waits until `wanted()` is true."""
    end = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.01)


def fails(error, function, *args, **options):
    try:
        result = function(*args, **options)
    except error as raised:
        return raised
    raise AssertionError(f"{function} has returned {result!r}, no {error.__name__}")


class Threads:
    """Functions that run side by side; leaving the context waits for them, and takes their errors."""

    def __init__(self):
        self.threads = []
        self.errors = []

    def run(self, function, *args):
        def work():
            try:
                function(*args)
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread has not ended"
        for error in self.errors:
            raise error


# ---- operations ----------------------------------------------------------------------------


@check
def nodes(realm):
    zk = realm.client()
    assert zk.create("/a", b"one") == "/a"
    fails(NodeExistsError, zk.create, "/a")
    data, stat = zk.get("/a")
    assert (data, stat.version, stat.data_length) == (b"one", 0, 3)
    assert zk.set("/a", b"two").version == 1
    fails(BadVersionError, zk.set, "/a", b"three", version=0)
    fails(BadVersionError, zk.delete, "/a", version=7)
    assert zk.create("/b/c/d", makepath=True) == "/b/c/d"
    assert sorted(zk.get_children("/")) == ["a", "b"]
    children, stat = zk.get_children("/b", include_data=True)
    assert (children, stat.children_count) == (["c"], 1)
    fails(NotEmptyError, zk.delete, "/b")
    zk.delete("/b", recursive=True)
    assert zk.exists("/b") is None
    fails(NoNodeError, zk.get, "/b")
    fails(NoNodeError, zk.get_children, "/b")
    path, stat = zk.create("/e", b"", include_data=True)
    assert path == "/e" and stat.czxid == stat.mzxid > 0
    assert zk.sync("/")


@check
def sequential_nodes(realm):
    zk = realm.client()
    names = [zk.create("/n-", sequence=True) for _ in range(3)]
    assert names == [f"/n-{number:010}" for number in range(3)], names


@check
def ephemeral_nodes(realm):
    zk, other = realm.client(), realm.client()
    zk.create("/e", ephemeral=True)
    assert other.exists("/e").ephemeralOwner == zk.client_id[0]
    zk.stop()
    other.sync("/e")
    assert other.exists("/e") is None


@check
def async_calls_are_answered_in_order(realm):
    zk = realm.client()
    zk.create("/a")
    results = [zk.set_async("/a", str(n).encode()) for n in range(500)]
    assert [result.get(PATIENCE).version for result in results] == list(range(1, 501))
    assert zk.get("/a")[0] == b"499"


@check
def large_data(realm):
    zk = realm.client()
    data = b"x" * 1_000_000
    zk.create("/large", data)
    assert zk.get("/large")[0] == data


@check
def transactions(realm):
    zk = realm.client()
    zk.create("/a", b"")
    good = zk.transaction()
    good.create("/b", b"", ephemeral=True)
    good.create("/s-", b"", sequence=True)
    good.set_data("/a", b"one", version=0)
    good.check("/a", version=1)
    good.delete("/b")
    created, numbered, changed, checked, deleted = good.commit()
    assert (created, changed.version, checked, deleted) == ("/b", 1, True, True)
    assert numbered.startswith("/s-")
    bad = zk.transaction()
    bad.create("/c")
    bad.check("/a", version=7)
    bad.delete("/a")
    kinds = [type(result) for result in bad.commit()]
    assert kinds == [RolledBackError, BadVersionError, RuntimeInconsistency], kinds
    assert zk.exists("/c") is None


@check
def access_lists(realm):
    owner, stranger = realm.client(), realm.client()
    owner.add_auth("digest", "alice:secret")
    rule = make_digest_acl("alice", "secret", all=True)
    owner.create("/mine", b"mine", acl=[rule])
    assert owner.get("/mine")[0] == b"mine"
    acls, stat = owner.get_acls("/mine")
    assert (acls, stat.acl_version) == ([rule], 0)
    fails(NoAuthError, stranger.get, "/mine")
    fails(NoAuthError, stranger.set_acls, "/mine", [rule])
    fails(InvalidACLError, stranger.create, "/none", acl=[make_acl("auth", "", all=True)])
    known = realm.client(auth_data=[("digest", "alice:secret")])
    assert known.get("/mine")[0] == b"mine"
    owner.set_acls("/mine", [rule], version=0)
    fails(BadVersionError, owner.set_acls, "/mine", [rule], version=0)
    fails(AuthFailedError, stranger.add_auth, "nosuch", "x:y")


@check
def configuration(realm):
    zk = KazooClient(realm.servers, timeout=10.0)
    realm.clients.append(zk)
    zk.start(timeout=PATIENCE)
    data, _ = zk.get("/zookeeper/config")
    assert data == b"" or b"version=" in data, data


@check
def four_letter_words(realm):
    zk = realm.client()
    assert zk.command(b"ruok") == "imok"
    assert "Mode: " in zk.command(b"srvr")


# ---- watches -------------------------------------------------------------------------------


@check
def one_shot_watches(realm):
    zk, other = realm.client(), realm.client()
    events = []
    assert zk.exists("/a", watch=events.append) is None
    other.create("/a", b"")
    until(lambda: len(events) == 1, "an event")
    zk.get("/a", watch=events.append)
    zk.get_children("/a", watch=events.append)
    other.set("/a", b"new")
    other.create("/a/b")
    until(lambda: len(events) == 3, "events")
    other.set("/a", b"newer")
    zk.sync("/a")
    kinds = [event.type for event in events]
    assert kinds == [EventType.CREATED, EventType.CHANGED, EventType.CHILD], events


@check
def data_watch(realm):
    zk, other = realm.client(), realm.client()
    seen = []

    @zk.DataWatch("/a")
    def watch(data, stat, event):
        seen.append((data, event and event.type))

    other.create("/a", b"one")
    until(lambda: seen[-1][0] == b"one", "the creation")
    other.set("/a", b"two")
    until(lambda: seen[-1][0] == b"two", "the change")
    other.delete("/a")
    until(lambda: seen[-1] == (None, EventType.DELETED), "the deletion")
    assert seen[0] == (None, None)


@check
def children_watch(realm):
    zk, other = realm.client(), realm.client()
    other.create("/a")
    seen = []

    @zk.ChildrenWatch("/a")
    def watch(children):
        seen.append(sorted(children))

    for name in "xyz":
        other.create("/a/" + name)
    until(lambda: seen[-1] == ["x", "y", "z"], "all children")
    other.delete("/a/y")
    until(lambda: seen[-1] == ["x", "z"], "the deletion")


@check
def tree_cache(realm):
    zk, other = realm.client(), realm.client()
    other.create("/t/a/b", b"one", makepath=True)
    cache = TreeCache(zk, "/t")
    kinds = []
    cache.listen(lambda event: kinds.append(event.event_type))
    cache.start()
    until(lambda: TreeEvent.INITIALIZED in kinds, "the first look")
    assert cache.get_data("/t/a/b").data == b"one"
    other.set("/t/a/b", b"two")
    other.create("/t/c", b"new")
    other.delete("/t/a/b")
    until(lambda: cache.get_children("/t/a") == frozenset(), "the deletion")
    until(lambda: cache.get_children("/t") == frozenset(["a", "c"]), "the creation")
    cache.close()


# ---- recipes -------------------------------------------------------------------------------


def exclude(realm, make, clients=4, rounds=5):
    """Takes and gives back what `make` makes of a client, and returns how many held it at once."""
    holders, most = [], [0]

    def work(name):
        zk = realm.client()
        for _ in range(rounds):
            with make(zk, name):
                holders.append(name)
                most[0] = max(most[0], len(holders))
                time.sleep(0.005)
                holders.remove(name)

    with Threads() as threads:
        for number in range(clients):
            threads.run(work, f"client {number}")
    return most[0]


@check
def lock(realm):
    assert exclude(realm, lambda zk, name: zk.Lock("/lock", name)) == 1
    holder, waiter = realm.client(), realm.client()
    held, waiting = holder.Lock("/lock", "holder"), waiter.Lock("/lock", "waiter")
    assert held.acquire() and not waiting.acquire(blocking=False)
    with Threads() as threads:
        threads.run(lambda: waiting.acquire(timeout=PATIENCE))
        until(lambda: held.contenders() == ["holder", "waiter"], "two contenders")
        held.release()
    assert waiting.is_acquired
    waiting.release()


@check
def lock_of_an_ended_session(realm):
    holder, waiter = realm.client(), realm.client()
    assert holder.Lock("/lock").acquire()
    waiting = waiter.Lock("/lock")
    with Threads() as threads:
        threads.run(lambda: waiting.acquire(timeout=PATIENCE))
        expire(realm, holder)
    assert waiting.is_acquired


@check
def read_and_write_locks(realm):
    first, second = realm.client(), realm.client()
    reading, too = first.ReadLock("/lock"), second.ReadLock("/lock")
    assert reading.acquire() and too.acquire()
    writing = second.WriteLock("/lock")
    assert not writing.acquire(blocking=False)
    reading.release()
    too.release()
    assert writing.acquire() and not reading.acquire(blocking=False)
    writing.release()


@check
def semaphore(realm):
    most = exclude(realm, lambda zk, name: zk.Semaphore("/semaphore", name, max_leases=2))
    assert most <= 2, most


@check
def election(realm):
    led = []

    def lead(name):
        led.append(name)

    with Threads() as threads:
        for name in ("one", "two", "three"):
            candidate = realm.client().Election("/election", name)
            threads.run(candidate.run, lead, name)
    assert sorted(led) == ["one", "three", "two"], led


@check
def barrier(realm):
    zk, other = realm.client(), realm.client()
    barrier = zk.Barrier("/barrier")
    barrier.create()
    assert not other.Barrier("/barrier").wait(timeout=0.05)
    with Threads() as threads:
        passed = []
        threads.run(lambda: passed.append(other.Barrier("/barrier").wait(PATIENCE)))
        assert barrier.remove()
    assert passed == [True]


@check
def double_barrier(realm):
    inside, passed = [], []

    def work(name):
        barrier = realm.client().DoubleBarrier("/double", 3, name)
        barrier.enter()
        inside.append(name)
        until(lambda: len(inside) == 3, "all inside")
        barrier.leave()
        passed.append(name)

    with Threads() as threads:
        for name in "abc":
            threads.run(work, name)
    assert sorted(passed) == ["a", "b", "c"]


@check
def counter(realm):
    def work():
        counter = realm.client().Counter("/counter")
        for _ in range(10):
            counter += 1

    with Threads() as threads:
        for _ in range(3):
            threads.run(work)
    assert realm.client().Counter("/counter").value == 30


@check
def queue(realm):
    queue = realm.client().Queue("/queue")
    for value, priority in ((b"late", 200), (b"first", 50), (b"second", 50)):
        queue.put(value, priority)
    assert len(queue) == 3
    assert [queue.get() for _ in range(4)] == [b"first", b"second", b"late", None]


@check
def locking_queue(realm):
    zk, other = realm.client(), realm.client()
    queue = zk.LockingQueue("/queue")
    queue.put_all([b"one", b"two"])
    assert queue.get(PATIENCE) == b"one" and queue.holds_lock()
    theirs = other.LockingQueue("/queue")
    assert theirs.get(PATIENCE) == b"two" and theirs.release()
    assert queue.consume()
    assert queue.get(PATIENCE) == b"two" and queue.consume()
    assert len(theirs) == 0 and theirs.get(timeout=0.05) is None


@check
def party(realm):
    first, second = realm.client(), realm.client()
    ours, theirs = first.Party("/party", "one"), second.Party("/party", "two")
    ours.join()
    theirs.join()
    assert sorted(ours) == ["one", "two"]
    second.stop()
    until(lambda: list(ours) == ["one"], "one to be left")
    ours.leave()
    assert len(ours) == 0
    shallow = first.ShallowParty("/shallow", "one")
    shallow.join()
    assert list(shallow) == ["one"]


@check
def partitioner(realm):
    shares = []

    def work(name):
        partitioner = realm.client().SetPartitioner(
            "/parts", tuple("abcdef"), identifier=name, time_boundary=0.2
        )
        end = time.monotonic() + PATIENCE
        while len(list(partitioner) if partitioner.acquired else []) != 3:
            assert time.monotonic() < end, "no share"
            if partitioner.release:
                partitioner.release_set()
            elif partitioner.allocating:
                partitioner.wait_for_acquire(1)
            time.sleep(0.01)
        shares.extend(partitioner)
        until(lambda: len(shares) == 6, "both shares")
        partitioner.finish()

    with Threads() as threads:
        threads.run(work, "one")
        threads.run(work, "two")
    assert sorted(shares) == list("abcdef"), shares


@check
def lease(realm):
    first, second = realm.client(), realm.client()
    hour = timedelta(hours=1)
    assert first.NonBlockingLease("/lease", hour, identifier="one")
    assert not second.NonBlockingLease("/lease", hour, identifier="two")


# ---- sessions ------------------------------------------------------------------------------


def cut(client):
    """Ends the client's connection under its hands."""
    client._connection._socket.shutdown(socket.SHUT_RDWR)


def expire(realm, client):
    """Ends the client's session: takes it over and closes it."""
    thief = KazooClient(realm.servers, client_id=client.client_id, timeout=10.0)
    thief.start(timeout=PATIENCE)
    thief.stop()
    thief.close()


def watch_states(client):
    states = []
    client.add_listener(states.append)
    return states


@check
def a_connection_that_is_cut_comes_back(realm):
    zk, other = realm.client(), realm.client()
    session = zk.client_id
    events, seen = [], []
    zk.create("/e", ephemeral=True)
    zk.create("/a", b"old")
    zk.get("/a", watch=events.append)

    @zk.DataWatch("/a")
    def watch(data, stat):
        seen.append(data)

    states = watch_states(zk)
    cut(zk)
    until(lambda: states == [KazooState.SUSPENDED, KazooState.CONNECTED], "a connection")
    assert zk.client_id == session and zk.exists("/e")
    # Watches are set again.
    other.set("/a", b"new")
    until(lambda: seen[-1] == b"new" and len(events) >= 1, "the change")


@check
def a_session_that_is_lost_is_followed_by_another(realm):
    zk, other = realm.client(), realm.client()
    session = zk.client_id
    zk.create("/e", ephemeral=True)
    states = watch_states(zk)
    expire(realm, zk)
    until(lambda: KazooState.LOST in states and zk.connected, "another session")
    assert zk.client_id[0] != session[0]
    assert other.exists("/e") is None
    zk.create("/e", ephemeral=True)


@check
def a_client_starts_again(realm):
    zk = realm.client()
    zk.create("/a")
    zk.restart()
    assert zk.exists("/a")


# ---- all of them ---------------------------------------------------------------------------


def play(function, servers, root):
    realm = Realm(servers, f"{root}/{function.__name__}")
    outside = KazooClient(servers)
    outside.start(timeout=PATIENCE)
    outside.ensure_path(realm.root)
    outside.stop()
    outside.close()
    try:
        function(realm)
    finally:
        realm.close()


def main():
    if len(sys.argv) != 2:
        print("usage: check.py HOST:PORT[,HOST:PORT..]", file=sys.stderr)
        return 2
    servers = sys.argv[1]
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # it has much to say on what is done here
    root = f"/kazoo-{uuid.uuid4().hex}"
    failed = 0
    for function in CHECKS:
        name, started = function.__name__.replace("_", " "), time.monotonic()
        try:
            play(function, servers, root)
            outcome = "ok"
        except Exception:
            traceback.print_exc()
            failed += 1
            outcome = "FAILED"
        print(f"{name:50} {outcome:6} {time.monotonic() - started:5.1f} s", flush=True)
    result = "FAILED" if failed else "ok"
    print(f"test result: {result}. {len(CHECKS) - failed} passed; {failed} failed; at {servers}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
