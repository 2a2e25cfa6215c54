//! What a panic said.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether panics of this thread are caught.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// What the last one said, and where.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does something that may panic. Nothing is printed then, as it may happen hundreds of times; what
/// would have been comes back.
pub(super) fn catch<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    listen();
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    CATCHING.set(before);
    result.map_err(|payload| SAID.take().unwrap_or_else(|| said(&*payload)))
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if CATCHING.get() {
                SAID.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

/// Somebody else may have set a hook meanwhile.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}
