"""Lets Docent, Curator and kazoo contend for the same paths, and judges whether they exclude each other.

usage: check.py HOST:PORT DOCENT CLASSPATH

Each recipe has contenders of each kind, every one a process with these arguments:

    HOST:PORT RECIPE PATH JUDGE NAME SECTIONS SESSION_TIMEOUT_MS [stay | freeze]

A contender says "ready", waits for a line, and enters so many sections, by the recipe at PATH. Of a
read/write lock every other section is a write, and of a semaphore with two permits none is; all sections
of the other recipes are. Inside it

  * creates an ephemeral JUDGE/inside/alone-NAME, or shared-NAME to read, and fails if anybody is
    there who must not be, or more than a semaphore lets in;
  * reads JUDGE/counter. To write it adds one in a transaction with a check of the lock's node, but
    of no version, so that a section that overlaps loses a count. A reader sees that it stays as it is.

It ends with "done WRITES LONGEST_WAIT_MS". With "stay" it says "stays WRITES" inside its last
section, and is killed there: what it has dies with its session. With "freeze" it says the same, and is
stopped there until its session has ended and others have written. When it goes on it says "lost true":
that it has learnt of its loss before it did anything, and that its write is refused.

Prints what became of each recipe. Exits with 1 if one has failed.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid

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
PATIENCE = 60  # seconds
# Long enough for a busy machine to keep it, and short for those that are killed.
SESSION, SHORT_SESSION = 15_000, 3_000


class Contender:
    def __init__(self, command, name, arguments, lines):
        self.name = name
        self.sections = int(arguments[5])
        self.writes = None
        self.process = subprocess.Popen(
            command + arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.listen, args=(lines,), daemon=True).start()

    def listen(self, lines):
        for line in self.process.stdout:
            lines.put((self, line.split()))
        lines.put((self, ["ended"]))

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Contest:
    """One recipe, and all who contend by it."""

    def __init__(self, zk, commands, servers, recipe):
        root = f"/interop-{uuid.uuid4().hex}"
        self.zk = zk
        self.commands = commands
        self.servers = servers
        self.recipe = recipe
        self.path, self.judge = root + "/path", root + "/judge"
        self.lines = queue.Queue()
        self.end = time.monotonic() + PATIENCE
        # kazoo makes the path once, and has no answer to a container that is reaped.
        names = ("/locks", "/leases") if recipe == "semaphore" else ("",)
        self.queues = [self.path + name for name in names]
        for path in self.queues:
            zk.ensure_path(path)
        zk.ensure_path(self.judge + "/inside")
        zk.create(self.judge + "/counter", b"0")
        self.contenders, self.thaws = [], []
        for number, kind in enumerate(RECIPES[recipe]):
            self.start(kind, "1", SECTIONS, SESSION)
            self.start(kind, "2", SECTIONS, SESSION)
            if "curator" in RECIPES[recipe]:
                # Another number for each, so that readers and writers are killed.
                self.start(kind, "killed", 2 + number, SHORT_SESSION, "stay")
        if RECIPES[recipe] is ALL:
            self.start("docent", "frozen", 4, SHORT_SESSION, "freeze")

    def start(self, kind, name, sections, session, *stay):
        name = f"{kind}-{name}"
        what = [self.servers, self.recipe, self.path, self.judge, name, str(sections), str(session)]
        self.contenders.append(Contender(self.commands[kind], name, what + list(stay), self.lines))

    def hear(self):
        try:
            return self.lines.get(timeout=self.end - time.monotonic())
        except (queue.Empty, ValueError):
            late = [c.name for c in self.contenders if c.writes is None]
            raise AssertionError(f"not finished: {late}; inside {self.inside()} of {self.queued()}") from None

    def count(self):
        return int(self.zk.get(self.judge + "/counter")[0])

    def inside(self):
        return self.zk.get_children(self.judge + "/inside")

    def queued(self):
        nodes = [node for path in self.queues for node in self.zk.get_children(path)]
        return sorted(nodes, key=lambda node: node[-10:])

    def play(self):
        for _ in self.contenders:
            contender, words = self.hear()
            assert words == ["ready"], f"{contender.name} says {words}"
        for contender in self.contenders:
            contender.go()
        left = len(self.contenders)
        while left:
            contender, words = self.hear()
            match words:
                case ["stays", writes]:
                    contender.writes = int(writes)
                    if contender.name.endswith("frozen"):
                        self.freeze(contender)
                    else:
                        self.kill(contender)
                case ["lost", truth]:
                    assert truth == "true", f"{contender.name} does not know that it has lost"
                case ["done", writes, longest]:
                    contender.writes = int(writes)
                    print(f"  {contender.name:16} {contender.sections} sections, longest wait {longest} ms")
                case ["ended"]:
                    assert contender.writes is not None, f"{contender.name} has failed"
                    left -= 1
                case _:
                    raise AssertionError(f"{contender.name} says {words}")
        self.judge_the_end()

    def kill(self, contender):
        """Kills a contender inside, and waits until its session has ended."""
        count = self.count()
        time.sleep(0.2)
        contender.kill()
        assert self.count() == count, f"someone has written while {contender.name} was inside"
        self.outlive(contender)

    def freeze(self, contender):
        """Stops a contender inside, and lets it go on when its session has ended and others have written.

        Those who are to be killed may be inside first, so this does not wait for the writes itself.
        """
        count = self.count()
        contender.process.send_signal(signal.SIGSTOP)
        self.outlive(contender)
        self.thaws.append(threading.Thread(target=self.thaw, args=(contender, count)))
        self.thaws[-1].start()

    def thaw(self, contender, count):
        # The others may have ended already, all but this one.
        busy = [c for c in self.contenders if c is not contender]
        while busy and self.count() == count:
            busy = [c for c in busy if c.process.poll() is None]
            time.sleep(0.01)
        contender.process.send_signal(signal.SIGCONT)

    def outlive(self, contender):
        ended = time.monotonic()
        while any(node.endswith(contender.name) for node in self.inside()):
            assert time.monotonic() < self.end, f"{contender.name} stays inside"
            time.sleep(0.01)
        print(f"  {contender.name:16} left {time.monotonic() - ended:.1f} s after its end")

    def judge_the_end(self):
        written, count = sum(c.writes for c in self.contenders), self.count()
        assert count == written, f"{written} writes have counted to {count}"
        assert not self.inside() and not self.queued(), "nodes are left"

    def close(self):
        for contender in self.contenders:
            contender.kill()
        for thaw in self.thaws:
            thaw.join()


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
