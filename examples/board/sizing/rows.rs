//! What the table in docent-embassy's documentation is about. The target and a test of the host both
//! compare it with what they have.

use docent_embassy::core::recipes::{Guard, Lock};
use docent_embassy::{Client, Net, Resources, Runner};

type OfNet = Runner<'static, Net<'static>>;
type OfClient = Lock<Client<'static>>;

/// What the table calls it, and its bytes.
pub(crate) fn rows() -> [(&'static str, usize); 8] {
    const fn resources<const CALLS: usize, const WATCHES: usize, const TASKS: usize>() -> usize {
        size_of::<Resources<'_, CALLS, WATCHES, TASKS>>()
    }
    // Twice as many, so that what is only there for alignment does not count.
    let rest = resources::<0, 0, 0>();
    [
        (
            "`Resources`, for each call",
            (resources::<2, 0, 0>() - rest) / 2,
        ),
        (
            "`Resources`, for each watch",
            (resources::<0, 2, 0>() - rest) / 2,
        ),
        (
            "`Resources`, for each task",
            (resources::<0, 0, 2>() - rest) / 2,
        ),
        ("`Resources`, the rest", rest),
        ("`Runner<Net>`", size_of::<OfNet>()),
        (
            "the future of `Runner::run`",
            future(|runner: &'static mut OfNet| runner.run()),
        ),
        (
            "the future of `Lock::acquire`",
            future(|lock: &'static OfClient| lock.acquire()),
        ),
        ("`Guard`", size_of::<Guard<Client<'static>>>()),
    ]
}

/// The size of what a function would return.
fn future<A, F>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}
