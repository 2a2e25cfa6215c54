import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.retry.ExponentialBackoffRetry;

/** Curator as a subject: what src/caches.rs does. */
final class Caches {
    private static CuratorFramework connect(String server) throws Exception {
        CuratorFramework client =
            CuratorFrameworkFactory.newClient(server, new ExponentialBackoffRetry(100, 5));
        client.start();
        client.blockUntilConnected();
        return client;
    }

    /** Sets all nodes, in transactions of 500. */
    private static void change(CuratorFramework client, String path, int nodes) throws Exception {
        byte[] data = "changed for the cache to see it all".getBytes(StandardCharsets.US_ASCII);
        for (int from = 0; from < nodes; from += 500) {
            List<CuratorOp> sets = new ArrayList<>();
            for (int node = from; node < Math.min(nodes, from + 500); node++) {
                String name = String.format("%s/d%02d/n%05d", path, node % 100, node);
                sets.add(client.transactionOp().setData().forPath(name, data));
            }
            client.transaction().forOperations(sets);
        }
    }

    private static long heap() throws Exception {
        for (int i = 0; i < 3; i++) {
            System.gc();
            Thread.sleep(50);
        }
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    public static void main(String[] arguments) throws Exception {
        String server = arguments[0];
        String path = arguments[1];
        int nodes = Integer.parseInt(arguments[2]);
        CuratorFramework client = connect(server);
        CuratorFramework writer = connect(server);
        // One that is not measured, for the compiler's sake.
        CountDownLatch warm = new CountDownLatch(1);
        CuratorCache first = CuratorCache.build(client, path);
        first.listenable().addListener(
            CuratorCacheListener.builder().forInitialized(warm::countDown).build());
        first.start();
        warm.await();
        first.close();
        first = null;
        long empty = heap();

        long start = System.nanoTime();
        CountDownLatch ready = new CountDownLatch(1);
        CountDownLatch changed = new CountDownLatch(nodes);
        CuratorCache cache = CuratorCache.build(client, path);
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forInitialized(ready::countDown)
            .forChanges((before, after) -> changed.countDown())
            .build());
        cache.start();
        ready.await();
        double build = (System.nanoTime() - start) / 1e6;
        int size = cache.size();
        double each = (heap() - empty) / (double) size;

        start = System.nanoTime();
        change(writer, path, nodes);
        double written = (System.nanoTime() - start) / 1e6;
        changed.await();
        double refresh = (System.nanoTime() - start) / 1e6;
        System.out.printf(Locale.ROOT,
            "{\"nodes\": %d, \"build_ms\": %f, \"refresh_ms\": %f, \"written_ms\": %f, \"bytes_per_node\": %f}%n",
            size, build, refresh, written, each);
        System.exit(0); // the sessions end with the process
    }
}
