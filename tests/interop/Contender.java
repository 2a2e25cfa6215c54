import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.CreateMode;

/** Contends by Curator's recipes, as contest.py says. */
final class Contender {
    /** How many a semaphore lets in. */
    private static final int PERMITS = 2;

    /** What excludes others, while it is held. */
    private interface Held {
        String node();

        void release() throws Exception;
    }

    private interface Recipe {
        Held acquire(boolean alone) throws Exception;
    }

    /** A mutex that says what its node is. */
    private static final class Mutex extends InterProcessMutex implements Held {
        Mutex(CuratorFramework client, String path) {
            super(client, path);
        }

        @Override
        public String node() {
            return getLockPath();
        }
    }

    private static final class Writer extends InterProcessReadWriteLock.WriteLock implements Held {
        Writer(CuratorFramework client, String path) {
            super(client, path, null);
        }

        @Override
        public String node() {
            return getLockPath();
        }
    }

    private static final class Reader extends InterProcessReadWriteLock.ReadLock implements Held {
        Reader(CuratorFramework client, String path, Writer writer) {
            super(client, path, null, writer);
        }

        @Override
        public String node() {
            return getLockPath();
        }
    }

    /** One turn at being the leader. */
    private static final class Leadership implements Held {
        private final LeaderLatch latch;

        Leadership(CuratorFramework client, String path, String name) throws Exception {
            latch = new LeaderLatch(client, path, name);
            latch.start();
            latch.await();
        }

        @Override
        public String node() {
            return latch.getLastPathIsLeader();
        }

        @Override
        public void release() throws Exception {
            latch.close();
        }
    }

    private static final class Leased implements Held {
        private final Lease lease;

        Leased(Lease lease) {
            this.lease = lease;
        }

        @Override
        public String node() {
            return null; // No section of a semaphore writes.
        }

        @Override
        public void release() throws Exception {
            lease.close();
        }
    }

    private static <L extends InterProcessMutex & Held> Held acquired(L lock) throws Exception {
        lock.acquire();
        return lock;
    }

    private static Recipe recipe(String kind, CuratorFramework client, String path, String name) {
        switch (kind) {
            case "lock":
                Mutex mutex = new Mutex(client, path);
                return alone -> acquired(mutex);
            case "read-write":
                Writer writer = new Writer(client, path);
                Reader reader = new Reader(client, path, writer);
                return alone -> alone ? acquired(writer) : acquired(reader);
            case "leader":
                return alone -> new Leadership(client, path, name);
            case "semaphore":
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, path, PERMITS);
                return alone -> new Leased(semaphore.acquire());
            default:
                throw new IllegalArgumentException("no recipe " + kind);
        }
    }

    /** Sees to it that nobody is inside who must not be. */
    private static final class Judge {
        private final CuratorFramework client;
        private final String counter;
        private final String inside;
        private final String name;
        /** How many may be inside with this one if it is not alone. */
        private final int room;

        Judge(CuratorFramework client, String path, String name, int room) {
            this.client = client;
            this.counter = path + "/counter";
            this.inside = path + "/inside";
            this.name = name;
            this.room = room;
        }

        private String own(boolean alone) {
            return (alone ? "alone-" : "shared-") + name;
        }

        private int count() throws Exception {
            return Integer.parseInt(new String(client.getData().forPath(counter)));
        }

        int enter(boolean alone) throws Exception {
            String own = own(alone);
            client.create().withMode(CreateMode.EPHEMERAL).forPath(inside + "/" + own);
            List<String> others = new ArrayList<>(client.getChildren().forPath(inside));
            others.remove(own);
            boolean crowded = others.size() > (alone ? 0 : room);
            if (crowded || others.stream().anyMatch(o -> o.startsWith("alone-"))) {
                throw new IllegalStateException(own + " is inside with " + others);
            }
            return count();
        }

        void leave(boolean alone, int count, String node) throws Exception {
            if (alone) {
                byte[] next = Integer.toString(count + 1).getBytes();
                client.transaction().forOperations(
                    client.transactionOp().check().forPath(node),
                    client.transactionOp().setData().forPath(counter, next));
            } else if (count() != count) {
                throw new IllegalStateException("a writer has written while " + name + " was reading");
            }
            client.delete().forPath(inside + "/" + own(alone));
        }
    }

    public static void main(String[] arguments) throws Exception {
        String kind = arguments[1];
        String name = arguments[4];
        int sections = Integer.parseInt(arguments[5]);
        boolean stays = arguments.length > 7;
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(arguments[0])
            .sessionTimeoutMs(Integer.parseInt(arguments[6]))
            .retryPolicy(new ExponentialBackoffRetry(100, 5))
            .build();
        client.start();
        client.blockUntilConnected();
        Recipe recipe = recipe(kind, client, arguments[2], name);
        int room = kind.equals("semaphore") ? PERMITS - 1 : Integer.MAX_VALUE;
        Judge judge = new Judge(client, arguments[3], name, room);
        System.out.println("ready");
        new BufferedReader(new InputStreamReader(System.in)).readLine();

        int writes = 0;
        long longest = 0;
        for (int section = 1; section <= sections; section++) {
            boolean alone = kind.equals("read-write") ? section % 2 == 0 : !kind.equals("semaphore");
            long asked = System.nanoTime();
            Held held = recipe.acquire(alone);
            longest = Math.max(longest, System.nanoTime() - asked);
            int count = judge.enter(alone);
            if (stays && section == sections) {
                System.out.println("stays " + writes);
                Thread.sleep(Long.MAX_VALUE);
            }
            Thread.sleep(2);
            judge.leave(alone, count, held.node());
            held.release();
            writes += alone ? 1 : 0;
        }
        System.out.println("done " + writes + " " + longest / 1_000_000);
        client.close();
    }
}
