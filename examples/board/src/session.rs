//! The client, with all its memory.

use core::time::Duration;

use docent_embassy::core::session::{Backoff, Config};
use docent_embassy::{Buffers, Client, Dial, Resources, Runner, Settings};
use static_cell::{ConstStaticCell, StaticCell};

/// Calls that may be under way at once: each task has one.
pub(crate) const CALLS: usize = 4;
/// One for the configuration, one for the leadership, and some to spare.
pub(crate) const WATCHES: usize = 4;

/// Tasks that wait for each other's room, or for a change of the session's state.
pub(crate) const TASKS: usize = 4;

struct Bytes {
    /// The longest reply that is kept.
    rx: [u8; 1024],
    /// The longest request, twice.
    tx: [[u8; 512]; 2],
    /// The replies that nobody has looked at yet.
    bodies: [u8; CALLS * 256],
}

/// So long after its last sign of life a board is no member any more, and leads no longer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Other settings than the usual ones, for a demonstration in which nobody wants to wait.
const CONFIG: Config = Config {
    session_timeout: TIMEOUT,
    backoff: Backoff {
        cap: Duration::from_secs(1),
        ..Backoff::DEFAULT
    },
    ..Config::DEFAULT
};

/// Sets up the client of `servers`, and what runs it.
///
/// # Panics
/// If it is called twice, or `servers` is no connect string.
pub(crate) fn set_up<D: Dial>(
    dial: D,
    servers: &'static str,
    seed: u64,
) -> (Client<'static>, Runner<'static, D>) {
    static RESOURCES: StaticCell<Resources<'_, CALLS, WATCHES, TASKS>> = StaticCell::new();
    static BYTES: ConstStaticCell<Bytes> = ConstStaticCell::new(Bytes {
        rx: [0; _],
        tx: [[0; _]; 2],
        bodies: [0; _],
    });
    let Bytes {
        rx,
        tx: [one, other],
        bodies,
    } = BYTES.take();
    let tx: [&mut [u8]; 2] = [one, other];
    let mut settings = Settings::new(servers);
    settings.config = CONFIG;
    let buffers = Buffers { rx, tx, bodies };
    let resources = RESOURCES.init(Resources::new());
    docent_embassy::new(dial, settings, resources, buffers, seed).expect("good settings")
}
