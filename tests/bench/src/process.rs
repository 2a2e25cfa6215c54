//! What a process sets up for itself: open files, its end, its core.

#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};

use libc::cpu_set_t;

/// Allows as many open sockets as the administrator does: 1,000 sessions need more than the usual.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls only use the struct that they are given.
    let result = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Ends this process after so many seconds, so that a subject that hangs cannot hang the runner.
pub(crate) fn die_after(seconds: u32) {
    // SAFETY: no memory is involved; the default action of the signal ends the process.
    unsafe { libc::alarm(seconds) };
}

/// The last of the cores that this process may use.
pub(crate) fn last_core() -> Option<usize> {
    let set = allowed_cores();
    // SAFETY: the index is below the size of the set.
    (0..libc::CPU_SETSIZE as usize)
        .rev()
        .find(|&core| unsafe { libc::CPU_ISSET(core, &set) })
}

fn allowed_cores() -> cpu_set_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: the kernel fills the set; all zeros is a valid value of it anyway.
    unsafe {
        libc::sched_getaffinity(0, size_of::<cpu_set_t>(), set.as_mut_ptr());
        set.assume_init()
    }
}

/// Keeps this process, and the threads that it will start, on one core.
pub(crate) fn stay_on(core: usize) -> io::Result<()> {
    // SAFETY: zeros are an empty set, which the calls only read and write.
    let result = unsafe {
        let mut set = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<cpu_set_t>(), &set)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
