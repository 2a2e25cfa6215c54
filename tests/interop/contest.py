"""A contest: who contends for the same path, and whether they exclude each other.

Each contender is a process with these arguments:

    HOST:PORT RECIPE PATH JUDGE NAME SECTIONS SESSION_TIMEOUT_MS [stay | freeze]

It says "ready", waits for a line, and enters so many sections, by the recipe at PATH; Docent's end early
at another line. Of a read/write lock every other section is a write, and of a semaphore with two permits
none is; all sections of the other recipes are. Inside it

  * creates an ephemeral JUDGE/inside/alone-NAME, or shared-NAME to read, and fails if anybody is
    there who must not be, or more than a semaphore lets in;
  * reads JUDGE/counter. To write it adds one in a transaction with a check of the lock's node, but
    of no version, so that a section that overlaps loses a count. A reader sees that it stays as it is.

It ends with "done WRITES LONGEST_WAIT_MS". With "stay" it says "stays WRITES" inside its last
section, and is killed there: what it has dies with its session. With "freeze" it says the same, and is
stopped there until its session has ended and others have been inside. When it goes on it says "lost true
true MS": that it has learnt of its loss before it did anything, that its write is refused, and for how
long its lease has been over.

Docent's outlive the loss of connections and sessions. They create the ephemeral, too, in a transaction with
a check of the lock's node: it is of the same session, so that there are never two inside by mistake. If
the lock is lost inside, they say "refused", or "unknown WRITES" if the section's write may have gone
through, and enter the section again.
"""

import queue
import signal
import subprocess
import threading
import time
import uuid

PATIENCE = 60  # seconds


class Contender:
    def __init__(self, command, name, arguments, lines):
        self.name = name
        self.writes = None
        self.frozen = self.ended = False
        self.process = subprocess.Popen(
            command + arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.listen, args=(lines,), daemon=True).start()

    def listen(self, lines):
        for line in self.process.stdout:
            lines.put((self, line.split()))
        lines.put((self, ["ended"]))

    def tell(self):
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
        self.refused = self.unknown = 0

    def start(self, kind, name, sections, session, *last):
        name = f"{kind}-{name}"
        what = [self.servers, self.recipe, self.path, self.judge, name, str(sections), str(session)]
        self.contenders.append(Contender(self.commands[kind], name, what + list(last), self.lines))
        return self.contenders[-1]

    def hear(self):
        try:
            return self.lines.get(timeout=self.end - time.monotonic())
        except (queue.Empty, ValueError):
            late = [c.name for c in self.contenders if not c.ended]
            raise AssertionError(f"not finished: {late}; inside {self.inside()} of {self.queued()}") from None

    def say(self, contender, what):
        print(f"  {self.recipe:16} {contender.name:16} {what}", flush=True)

    def look(self, read, path):
        """Reads what is true now.

        Not after a sync: a leader that was stopped answers one before it knows that there is another.
        """
        self.zk.retry(self.zk.set, self.judge, b"")
        return self.zk.retry(read, path)

    def count(self):
        return int(self.look(self.zk.get, self.judge + "/counter")[0])

    def entered(self):
        """Grows with each section."""
        return self.look(self.zk.exists, self.judge + "/inside").cversion

    def inside(self):
        return self.look(self.zk.get_children, self.judge + "/inside")

    def is_inside(self, contender):
        return any(contender.name in node for node in self.inside())

    def queued(self):
        nodes = [node for path in self.queues for node in self.look(self.zk.get_children, path)]
        return sorted(nodes, key=lambda node: node[-10:])

    def play(self):
        self.gather()
        for contender in self.contenders:
            contender.tell()
        self.follow()

    def gather(self):
        for _ in self.contenders:
            contender, words = self.hear()
            assert words == ["ready"], f"{contender.name} says {words}"

    def follow(self):
        """Hears all to the end."""
        while not all(c.ended for c in self.contenders):
            contender, words = self.hear()
            match words:
                case ["stays", writes]:
                    contender.writes = int(writes)
                    if "freeze" in contender.process.args:
                        self.freeze(contender)
                    else:
                        self.kill(contender)
                case ["lost", knows, refused, *ago]:
                    assert knows == "true", f"{contender.name} does not know that it has lost"
                    self.judge_the_loss(contender, refused, ago)
                case ["refused" | "unknown", *_] if contender.frozen:
                    pass  # as its loss was judged
                case ["refused"]:
                    self.refused += 1
                case ["unknown", writes]:
                    self.refused += 1
                    self.unknown += int(writes)
                case ["done", writes, longest]:
                    contender.writes = int(writes)
                    self.say(contender, f"{writes} writes, longest wait {longest} ms")
                case ["ended"]:
                    assert contender.writes is not None, f"{contender.name} has failed"
                    contender.ended = True
                case _:
                    raise AssertionError(f"{contender.name} says {words}")
        self.judge_the_end()

    def kill(self, contender):
        """Kills a contender inside, and waits until its session has ended."""
        count = self.count()
        time.sleep(0.2)
        contender.kill()
        now = self.count()
        # It may have lost the lock, if servers fail.
        if self.is_inside(contender):
            assert now == count, f"someone has written while {contender.name} was inside"
        self.outlive(contender)

    def freeze(self, contender):
        """Stops a contender inside, and lets it go on when its session has ended and others have been inside.

        Those who are to be killed may be inside first, so this does not wait for the others itself.
        """
        contender.process.send_signal(signal.SIGSTOP)
        contender.frozen = self.is_inside(contender)
        contender.left = self.outlive(contender)
        self.thaws.append(threading.Thread(target=self.thaw, args=(contender, self.entered())))
        self.thaws[-1].start()

    def thaw(self, contender, entered):
        # The others may have ended already, all but this one.
        busy = [c for c in self.contenders if c is not contender]
        while busy and self.entered() < entered + 4:
            busy = [c for c in busy if c.process.poll() is None]
            time.sleep(0.01)
        contender.thawed = time.monotonic()
        contender.process.send_signal(signal.SIGCONT)

    def outlive(self, contender):
        ended = time.monotonic()
        while self.is_inside(contender):
            assert time.monotonic() < self.end, f"{contender.name} stays inside"
            time.sleep(0.01)
        left = time.monotonic()
        self.say(contender, f"left {left - ended:.1f} s after its end")
        return left

    def judge_the_loss(self, contender, refused, ago):
        if contender.frozen:
            assert refused == "true", f"{contender.name} has written after its session"
            # At the latest: it was not thawed before.
            lease = contender.thawed - int(ago[0]) / 1000
            self.say(contender, f"left {contender.left - lease:.2f} s after its lease")
            assert lease <= contender.left, f"{contender.name} had a lease until after it left"

    def judge_the_end(self):
        known, count = sum(c.writes for c in self.contenders), self.count()
        assert known <= count <= known + self.unknown, f"{known} writes have counted to {count}"
        assert not self.inside() and not self.queued(), "nodes are left"

    def close(self):
        for contender in self.contenders:
            contender.kill()
        for thaw in self.thaws:
            thaw.join()
