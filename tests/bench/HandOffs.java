import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.ExponentialBackoffRetry;

/** Curator as a subject: what src/hand_offs.rs does, with a thread for each contender. */
final class HandOffs {
    private static final AtomicLong TURNS = new AtomicLong();
    private static volatile boolean measuring;
    private static volatile boolean over;

    /** One who takes the lock and gives it back, in a session of its own. */
    private static final class Contender extends Thread {
        private final List<Long> samples = new ArrayList<>();
        private final InterProcessMutex mutex;
        private Exception failure;

        Contender(String server, String path) throws Exception {
            CuratorFramework client =
                CuratorFrameworkFactory.newClient(server, new ExponentialBackoffRetry(100, 5));
            client.start();
            client.blockUntilConnected();
            client.createContainers(path);
            mutex = new InterProcessMutex(client, path);
        }

        @Override
        public void run() {
            try {
                while (!over) {
                    turn();
                }
            } catch (Exception e) {
                failure = e;
            }
        }

        private void turn() throws Exception {
            long asked = System.nanoTime();
            mutex.acquire();
            TURNS.incrementAndGet();
            if (measuring) {
                samples.add(System.nanoTime() - asked);
            }
            mutex.release();
        }

        List<Long> ended() throws Exception {
            join();
            if (failure != null) {
                throw failure;
            }
            return samples;
        }
    }

    /** What the word srvr tells of the packets of a server. */
    private static long[] packets(String server) throws IOException {
        String[] address = server.split(":");
        try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            socket.getOutputStream().write("srvr".getBytes(StandardCharsets.US_ASCII));
            String text = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            return new long[] {field(text, "Received: "), field(text, "Sent: ")};
        }
    }

    private static long field(String text, String name) {
        String line = text.lines().filter(l -> l.startsWith(name)).findFirst().get();
        return Long.parseLong(line.substring(name.length()));
    }

    private static double percentile(List<Long> sorted, int percent) {
        return sorted.get(sorted.size() * percent / 100) / 1e3;
    }

    public static void main(String[] arguments) throws Exception {
        String server = arguments[0];
        String path = "/bench/" + ProcessHandle.current().pid();
        int contenders = Integer.parseInt(arguments[1]);
        List<Contender> threads = new ArrayList<>();
        for (int i = 0; i < contenders; i++) {
            threads.add(new Contender(server, path));
        }
        threads.forEach(Thread::start);
        Thread.sleep(Long.parseLong(arguments[2]));
        measuring = true;

        OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long[] before = packets(server);
        long turns = TURNS.get();
        long cpu = system.getProcessCpuTime();
        long start = System.nanoTime();
        Thread.sleep(Long.parseLong(arguments[3]));
        turns = TURNS.get() - turns;
        cpu = system.getProcessCpuTime() - cpu;
        double seconds = (System.nanoTime() - start) / 1e9;
        long[] after = packets(server);
        over = true;

        List<Long> samples = new ArrayList<>();
        for (Contender thread : threads) {
            samples.addAll(thread.ended());
        }
        samples.sort(null);
        long received = after[0] - before[0];
        System.out.printf(Locale.ROOT, "{\"operations_per_second\": %f, \"cpu_us_per_operation\": %f, "
            + "\"requests_per_operation\": %f, \"watch_events_per_operation\": %f, "
            + "\"p50_us\": %f, \"p99_us\": %f}%n",
            turns / seconds, cpu / 1e3 / turns, received / (double) turns,
            (after[1] - before[1] - received) / (double) turns,
            percentile(samples, 50), percentile(samples, 99));
        System.exit(0); // the sessions end with the process
    }
}
