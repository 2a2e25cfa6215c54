"""Lets Docent, Curator and kazoo contend for the same paths, and judges whether they exclude each other.

usage: check.py HOST:PORT DOCENT CLASSPATH

Each recipe has contenders of each kind, as contest.py says, and some are killed or frozen inside. Prints
what became of each recipe. Exits with 1 if one has failed.
"""

import os
import sys
import time
import traceback

from contest import Contest
from kazoo.client import KazooClient

HERE = os.path.dirname(os.path.abspath(__file__))
ALL, BOTH, OTHERS = ("docent", "curator", "kazoo"), ("docent", "kazoo"), ("docent", "curator")
RECIPES = {
    # With Curator's names, which kazoo is made to use.
    "lock": ALL,
    "read-write": ALL,
    "leader": ALL,
    # kazoo's has its nodes elsewhere.
    "semaphore": OTHERS,
    # With kazoo's names.
    "kazoo-lock": BOTH,
    "kazoo-read-write": BOTH,
    # Each with its own names, and an eye on the other's.
    "mixed-lock": BOTH,
}
SECTIONS = 30
# Long enough for a busy machine to keep it, and short for those that are killed.
SESSION, SHORT_SESSION = 15_000, 3_000


def start(contest):
    """Starts those who contend by the contest's recipe."""
    kinds = RECIPES[contest.recipe]
    for number, kind in enumerate(kinds):
        contest.start(kind, "1", SECTIONS, SESSION)
        contest.start(kind, "2", SECTIONS, SESSION)
        if "curator" in kinds:
            # Another number for each, so that readers and writers are killed.
            contest.start(kind, "killed", 2 + number, SHORT_SESSION, "stay")
    if kinds is ALL:
        contest.start("docent", "frozen", 4, SHORT_SESSION, "freeze")


def main():
    if len(sys.argv) != 4:
        print("usage: check.py HOST:PORT DOCENT CLASSPATH", file=sys.stderr)
        return 2
    servers, docent, classes = sys.argv[1:]
    java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", classes]
    commands = {
        "docent": [docent],
        "curator": java + ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "Contender"],
        "kazoo": [sys.executable, os.path.join(HERE, "contender.py")],
    }
    zk = KazooClient(servers)
    zk.start()
    failed = 0
    for recipe in RECIPES:
        print(recipe, flush=True)
        started = time.monotonic()
        contest = Contest(zk, commands, servers, recipe)
        try:
            start(contest)
            contest.play()
            outcome = "ok"
        except AssertionError:
            traceback.print_exc()
            failed += 1
            outcome = "FAILED"
        finally:
            contest.close()
        print(f"{recipe:18} {outcome} {time.monotonic() - started:.1f} s", flush=True)
    zk.stop()
    result = "FAILED" if failed else "ok"
    print(f"test result: {result}. {len(RECIPES) - failed} passed; {failed} failed; at {servers}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
