//! The suite against the model, by way of the server in this process: it needs nothing but Rust.

mod suite;

use std::sync::LazyLock;
use std::time::Duration;

use docent_testing::dev::DevServer;
use docent_testing::server::Ensemble;
use suite::Realm;
use tokio::runtime::Runtime;

/// They end with this process.
static SERVER: LazyLock<(Runtime, DevServer)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    // As the real servers of these tests are set up.
    let settings = Ensemble::builder()
        .tick(Duration::from_millis(200))
        .max_timeout(Duration::from_secs(60))
        .reap_interval(Duration::from_millis(500))
        .max_frame(4 << 20)
        .reconfig(true)
        .enforce_quotas(true);
    let server = runtime.block_on(DevServer::with(settings)).unwrap();
    (runtime, server)
});

fn run<F: Future<Output = ()>>(test: impl Fn(Realm) -> F) {
    let connect_string = SERVER.1.connect_string();
    Runtime::new().unwrap().block_on(async {
        test(Realm::of(&connect_string).await).await;
    });
}

suite::tests!(run);
