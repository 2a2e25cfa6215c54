//! Counts the system calls of sockets: this executable defines the C library's functions itself, so
//! that std and mio call these. Nothing has to be installed, and the count is exact.
//!
//! Calls that a crate makes without the C library (rustix) stay unseen. Of the subjects, only
//! `zookeeper-client` does that, for waiting (`epoll`) and waking, not for sending and receiving.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use libc::{epoll_event, iovec, msghdr, size_t, ssize_t};

static SENDS: AtomicU64 = AtomicU64::new(0);
static RECEIVES: AtomicU64 = AtomicU64::new(0);
static POLLS: AtomicU64 = AtomicU64::new(0);
static WAKES: AtomicU64 = AtomicU64::new(0);

/// How many calls of each sort the process has made.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) sends: u64,
    pub(crate) receives: u64,
    /// Waits for readiness.
    pub(crate) polls: u64,
    /// Plain writes: those that wake another thread.
    pub(crate) wakes: u64,
}

/// The calls so far.
pub(crate) fn calls() -> Calls {
    Calls {
        sends: SENDS.load(Relaxed),
        receives: RECEIVES.load(Relaxed),
        polls: POLLS.load(Relaxed),
        wakes: WAKES.load(Relaxed),
    }
}

/// Counts one call and makes it. The C library's `syscall` sets `errno`, as the callers expect.
macro_rules! counted {
    ($counter:ident, $number:ident, $($argument:expr),*) => {{
        $counter.fetch_add(1, Relaxed);
        // SAFETY: the arguments are those of a caller of the C function of the same contract.
        unsafe { libc::syscall(libc::$number, $($argument),*) }
    }};
}

const NULL: *const c_void = std::ptr::null();

#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    counted!(SENDS, SYS_sendto, fd, data, len, flags, NULL, 0) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    counted!(SENDS, SYS_sendmsg, fd, message, flags) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    counted!(SENDS, SYS_writev, fd, parts, count) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recv(fd: c_int, room: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    counted!(RECEIVES, SYS_recvfrom, fd, room, len, flags, NULL, NULL) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    counted!(RECEIVES, SYS_recvmsg, fd, message, flags) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    counted!(RECEIVES, SYS_readv, fd, parts, count) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    counted!(WAKES, SYS_write, fd, data, len) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout_ms: c_int,
) -> c_int {
    const SIGNAL_SET: c_long = 8;
    counted!(
        POLLS,
        SYS_epoll_pwait,
        epoll,
        events,
        room,
        timeout_ms,
        NULL,
        SIGNAL_SET
    ) as c_int
}
