"""Lets processes with Docent contend on three servers while both are killed and frozen.

usage: faults.py HOST:PORT,HOST:PORT,HOST:PORT DOCENT

The servers are those that tests/zk.sh has started in ZK_HOME_DIR. All recipes are contended for at once,
as contest.py says. Servers fail in turns, and while one is out, in each contest

  * one who is inside is killed or frozen, and makes room when its session has ended;
  * the others go on, by the two servers that are left, and do so when the third is back.

A server that is frozen stays so for longer than a session lasts. All sessions are short, so that some may
be lost to the servers' faults: what they had is refused then, and done again. Exits with 1 if a contest
has failed.
"""

import logging
import os
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from contest import PATIENCE, Contest
from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../zk.sh")
RECIPES = ("lock", "read-write", "leader", "semaphore")
# What befalls a server, which one, how it comes back, and what befalls those who are inside meanwhile.
FAULTS = (
    ("kill", "leader", "restart", "freeze"),
    ("pause", "leader", "resume", "stay"),
    ("pause", "follower", "resume", "freeze"),
)
SESSION = 3_000
ENDLESS = 1_000_000


def zk_sh(*arguments):
    done = subprocess.run([SCRIPT, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def server(role):
    leader = zk_sh("leader")
    return leader if role == "leader" else str(int(leader) % 3 + 1)


class Storm(Contest):
    """A contest that goes on until it is told to end, with one victim for each fault."""

    def __init__(self, *arguments, pool):
        super().__init__(*arguments)
        self.end += PATIENCE
        self.usual = [self.start("docent", name, ENDLESS, SESSION) for name in ("1", "2")]
        self.victims = [
            # Readers and writers, of each kind.
            self.start("docent", f"{last}-{number}", 1 + number // 2, SESSION, last)
            for number, (*_, last) in enumerate(FAULTS)
        ]
        self.gather()
        for contender in self.usual:
            contender.tell()
        self.followed = pool.submit(self.follow)

    def wait(self, what, condition):
        while not condition():
            if self.followed.done():
                self.followed.result()
            assert time.monotonic() < self.end, f"{self.recipe}: {what} in vain"
            time.sleep(0.05)

    def goes_on(self):
        entered = self.entered() + 40
        self.wait("the others try", lambda: self.entered() >= entered)

    def survives(self, victim):
        self.wait(f"{victim.name} tries", lambda: victim.ended)
        self.goes_on()

    def finish(self):
        for contender in self.usual:
            contender.tell()
        self.followed.result()
        print(f"{self.recipe:18} ok {self.refused} sections lost by faults, {self.unknown} of unknown fate")


def play(storms, zks):
    for number, (fault, role, recovery, _) in enumerate(FAULTS):
        began = time.monotonic()
        victim = server(role)
        print(f"{fault} {victim}, a {role}", flush=True)
        for storm in storms:
            storm.zk = zks[int(victim) % len(zks)]  # another's
        zk_sh(fault, victim)
        for storm in storms:
            storm.victims[number].tell()
        for storm in storms:
            storm.survives(storm.victims[number])
        out = time.monotonic() - began
        assert fault == "kill" or out > SESSION / 1000, "a session has ended too early"
        zk_sh(recovery, victim)
        zk_sh("wait")
        for storm in storms:
            storm.goes_on()
        print(f"{recovery} {victim} after {out:.1f} s, and all go on", flush=True)
    for storm in storms:
        storm.finish()


def main():
    if len(sys.argv) != 3:
        print("usage: faults.py HOST:PORT,HOST:PORT,HOST:PORT DOCENT", file=sys.stderr)
        return 2
    servers, docent = sys.argv[1:]
    began = time.monotonic()
    # That connections are lost.
    logging.getLogger("kazoo").setLevel(logging.ERROR)
    patient = KazooRetry(max_tries=-1, max_delay=0.2, deadline=PATIENCE)
    # One for each server, so that the judge need not wait for one that is frozen.
    zks = [
        KazooClient(server, timeout=3, connection_retry=patient, command_retry=patient)
        for server in servers.split(",")
    ]
    for zk in zks:
        zk.start()
    storms = []
    with ThreadPoolExecutor(len(RECIPES)) as pool:
        try:
            for recipe in RECIPES:
                storms.append(Storm(zks[0], {"docent": [docent]}, servers, recipe, pool=pool))
            play(storms, zks)
            failed = 0
        except Exception:
            traceback.print_exc()
            failed = 1
        finally:
            for storm in storms:
                storm.close()
    for zk in zks:
        zk.stop()
    result = "FAILED" if failed else "ok"
    took = time.monotonic() - began
    print(f"test result: {result}. {1 - failed} passed; {failed} failed; faults of servers, {took:.1f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
