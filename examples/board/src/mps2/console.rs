//! What the board has of the machine that it is debugged from: its command line, a log, and an end.

use core::fmt;
use core::mem::MaybeUninit;

use embassy_time::Instant;
use log::{LevelFilter, Log, Metadata, Record};
use semihosting::sys::arm_compat::sys_get_cmdline_uninit;
use static_cell::ConstStaticCell;

/// Prints log messages there, with the time since the start.
struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        print(*record.args());
    }

    fn flush(&self) {}
}

fn print(text: fmt::Arguments<'_>) {
    let millis = Instant::now().as_millis();
    semihosting::println!("{:5}.{:03} {text}", millis / 1000, millis % 1000);
}

/// Logs from now on. A second call changes nothing.
pub(crate) fn start() {
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The first argument of the program.
///
/// # Panics
/// If there is none, or this is called twice.
pub(crate) fn argument() -> &'static str {
    static LINE: ConstStaticCell<[MaybeUninit<u8>; 128]> =
        ConstStaticCell::new([MaybeUninit::uninit(); 128]);
    let line = sys_get_cmdline_uninit(LINE.take()).expect("a command line");
    let line = str::from_utf8(line).expect("text").trim_end_matches('\0');
    line.split(' ').nth(1).expect("an argument")
}

/// Ends the program, as a success or not.
pub(crate) fn exit(success: bool) -> ! {
    semihosting::process::exit(i32::from(!success))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    exit(false)
}
