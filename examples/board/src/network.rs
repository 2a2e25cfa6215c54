//! The network: embassy-net over the board's Ethernet.

use embassy_executor::Spawner;
use embassy_net::{Config, Runner, Stack, StackResources};
use static_cell::StaticCell;

use crate::mps2::lan9118::Lan9118;

/// DHCP, DNS, and the one connection that a client has at a time.
const SOCKETS: usize = 3;

/// Starts the network, and waits for an address.
///
/// # Panics
/// If it is called twice.
pub(crate) async fn start(spawner: Spawner) -> (Stack<'static>, u64) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let device = Lan9118::start();
    let seed = seed(device.address());
    let config = Config::dhcpv4(Default::default());
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(device, config, resources, seed);
    spawner.spawn(run(runner).expect("it runs once"));
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        log::info!("the address is {}", config.address.address());
    }
    (stack, seed)
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Lan9118>) -> ! {
    runner.run().await
}

/// Unlike that of other boards. A product takes random numbers of its chip instead.
fn seed([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}
