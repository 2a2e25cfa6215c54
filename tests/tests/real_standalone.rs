//! The suite against single real servers, one for each version that is enabled.

mod suite;

use std::sync::LazyLock;

use docent_testing::real::{self, Ensemble, Version};
use suite::Realm;

/// They end with this process.
static SERVERS: LazyLock<Vec<(Version, Ensemble)>> = LazyLock::new(|| {
    let options = ["standalone", "--cfg", "enforceQuota=true"];
    let start = |version| (version, Ensemble::start(version, &options));
    real::lanes().into_iter().map(start).collect()
});

fn run<F: Future<Output = ()>>(test: impl Fn(Realm) -> F) {
    if real::lanes().is_empty() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (version, servers) in &*SERVERS {
        println!("ZooKeeper {version}");
        runtime.block_on(async {
            let realm = Realm::of(servers.connect_string()).await;
            test(realm).await;
        });
    }
}

suite::tests!(run);
