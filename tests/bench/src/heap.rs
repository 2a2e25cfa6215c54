//! A global allocator that counts. Each thread has counters of its own, so that counting costs the
//! subjects that allocate much next to nothing.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Threads beyond this number share the last counters and may lose a few counts.
const THREADS: usize = 256;

static COUNTERS: [Counters; THREADS] = [const { Counters::new() }; THREADS];
static THREADS_SEEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The system allocator, with counters.
pub(crate) struct Counting;

/// Calls that took memory, so far, in the whole process: `alloc`, `alloc_zeroed` and `realloc`.
pub(crate) fn allocations() -> u64 {
    COUNTERS.iter().map(|c| c.allocations.load(Relaxed)).sum()
}

/// Bytes that are allocated now.
pub(crate) fn live_bytes() -> i64 {
    COUNTERS.iter().map(|c| c.live.load(Relaxed)).sum()
}

#[repr(align(128))]
struct Counters {
    allocations: AtomicU64,
    /// Negative for a thread that frees what others allocate.
    live: AtomicI64,
}

impl Counters {
    const fn new() -> Self {
        Self {
            allocations: AtomicU64::new(0),
            live: AtomicI64::new(0),
        }
    }

    // Only the owner writes: a plain load and store saves the locked instruction.
    fn add(&self, allocations: u64, bytes: i64) {
        self.allocations
            .store(self.allocations.load(Relaxed) + allocations, Relaxed);
        self.live.store(self.live.load(Relaxed) + bytes, Relaxed);
    }
}

fn count(allocations: u64, bytes: i64) {
    COUNTERS[thread_index()].add(allocations, bytes);
}

fn thread_index() -> usize {
    if THREAD.get() == usize::MAX {
        THREAD.set(THREADS_SEEN.fetch_add(1, Relaxed).min(THREADS - 1));
    }
    THREAD.get()
}

// SAFETY: every call goes to the system allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }
}
