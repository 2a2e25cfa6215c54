"""Contends by kazoo's recipes, as contest.py says."""

import sys
import time

from kazoo.client import KazooClient
from kazoo.recipe.lock import Lock, ReadLock, WriteLock


def named(own, excluded):
    """A lock whose nodes have Curator's names: Curator would not wait for those that kazoo gives."""
    return type("Named", (Lock,), {"_NODE_NAME": own, "_EXCLUDE_NAMES": excluded})


def mixed(zk, path, name):
    """A lock whose nodes have kazoo's names, but which waits for those of Curator's, too."""
    return zk.Lock(path, name, extra_lock_patterns=["lock-"])


MUTEX = named("-lock-", ["-lock-"])
LATCH = named("-latch-", ["-latch-"])
READ = named("-__READ__", ["-__WRIT__"])
WRITE = named("-__WRIT__", ["-__READ__", "-__WRIT__"])


def recipe(kind, zk, path, name):
    """A function that runs another one while nobody else is inside, or only readers are."""

    def under(make):
        def run(section):
            lock = make(zk, path, name)
            with lock:
                section(f"{path}/{lock.node}")

        return run

    def lead(section):
        election = zk.Election(path, name)
        election.lock = LATCH(zk, path, name)
        election.run(lambda: section(f"{path}/{election.lock.node}"))

    return {
        "lock": lambda alone: under(MUTEX),
        "read-write": lambda alone: under(WRITE if alone else READ),
        "leader": lambda alone: lead,
        "kazoo-lock": lambda alone: under(Lock),
        "kazoo-read-write": lambda alone: under(WriteLock if alone else ReadLock),
        "mixed-lock": lambda alone: under(mixed),
    }[kind]


class Judge:
    """Sees to it that nobody is inside who must not be."""

    def __init__(self, zk, path, name):
        self.zk = zk
        self.counter = path + "/counter"
        self.inside = path + "/inside"
        self.name = name

    def own(self, alone):
        return ("alone-" if alone else "shared-") + self.name

    def count(self):
        return int(self.zk.get(self.counter)[0])

    def enter(self, alone):
        own = self.own(alone)
        self.zk.create(f"{self.inside}/{own}", ephemeral=True)
        others = set(self.zk.get_children(self.inside)) - {own}
        if others and (alone or any(other.startswith("alone-") for other in others)):
            raise AssertionError(f"{own} is inside with {others}")
        return self.count()

    def leave(self, alone, count, node):
        if alone:
            write = self.zk.transaction()
            write.check(node, -1)
            write.set_data(self.counter, str(count + 1).encode())
            results = write.commit()
            assert not isinstance(results[0], Exception), results
        else:
            assert self.count() == count, f"a writer has written while {self.name} was reading"
        self.zk.delete(f"{self.inside}/{self.own(alone)}")


def main():
    servers, kind, path, judge_path, name, sections, timeout = sys.argv[1:8]
    stays, sections = len(sys.argv) > 8, int(sections)
    zk = KazooClient(servers, timeout=int(timeout) / 1000)
    zk.start()
    choose = recipe(kind, zk, path, name)
    judge = Judge(zk, judge_path, name)
    print("ready", flush=True)
    sys.stdin.readline()

    writes, longest = 0, 0
    for section in range(1, sections + 1):
        alone = not kind.endswith("read-write") or section % 2 == 0
        asked = time.monotonic()

        def inside(node):
            nonlocal longest, writes
            longest = max(longest, time.monotonic() - asked)
            count = judge.enter(alone)
            if stays and section == sections:
                print(f"stays {writes}", flush=True)
                time.sleep(1e6)
            time.sleep(0.002)
            judge.leave(alone, count, node)
            writes += alone

        choose(alone)(inside)
    print(f"done {writes} {longest * 1000:.0f}", flush=True)
    zk.stop()
    zk.close()


if __name__ == "__main__":
    main()
