//! The clock of embassy: one timer of the board runs freely, another one is the alarm.
//!
//! Counting the ticks of a timer would be simpler, but an emulator on a busy host loses some, and the
//! board's seconds become longer than those of the servers.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use super::interrupts::{Interrupt, enable};
use super::registers::Registers;

const CONTROL: u16 = 0x0;
const VALUE: u16 = 0x4;
const RELOAD: u16 = 0x8;
const CLEAR: u16 = 0xC;
/// Runs.
const ENABLE: u32 = 1 << 0;
/// Interrupts when it reaches zero.
const INTERRUPT: u32 = 1 << 3;

/// The timers count down, at this rate.
const HZ: u64 = 25_000_000;
const CYCLES_PER_TICK: u64 = HZ / TICK_HZ;
/// The longest alarm, two milliseconds: the emulator looks after its network only when the board does
/// something. The timer, which wraps after 171 s, is seen to by it as well.
const LONGEST: u64 = HZ / 500;

struct State {
    /// How often the timer has wrapped.
    wraps: u32,
    last: u32,
    queue: Queue,
}

impl State {
    fn cycles(&mut self) -> u64 {
        let low = !Registers::TIMER0.read(VALUE);
        if low < self.last {
            self.wraps += 1;
        }
        self.last = low;
        u64::from(self.wraps) << 32 | u64::from(low)
    }

    /// Wakes whose time has come, and sets the alarm for the next.
    fn set_alarm(&mut self) {
        let now = self.cycles();
        let next = self.queue.next_expiration(now / CYCLES_PER_TICK);
        let cycles = next.saturating_mul(CYCLES_PER_TICK).saturating_sub(now);
        let cycles = cycles.clamp(CYCLES_PER_TICK, LONGEST) as u32;
        Registers::TIMER1.write(CONTROL, 0);
        Registers::TIMER1.write(CLEAR, 1);
        Registers::TIMER1.write(RELOAD, cycles);
        Registers::TIMER1.write(CONTROL, ENABLE | INTERRUPT);
    }
}

struct Clock(Mutex<RefCell<State>>);

impl Clock {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        critical_section::with(|section| act(&mut self.0.borrow_ref_mut(section)))
    }
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new(State {
    wraps: 0,
    last: 0,
    queue: Queue::new(),
}))));

impl Driver for Clock {
    fn now(&self) -> u64 {
        self.with(|state| state.cycles() / CYCLES_PER_TICK)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.with(|state| {
            if state.queue.schedule_wake(at, waker) {
                state.set_alarm();
            }
        });
    }
}

pub(super) fn on_interrupt() {
    CLOCK.with(State::set_alarm);
}

pub(super) fn start() {
    Registers::TIMER0.write(RELOAD, u32::MAX);
    Registers::TIMER0.write(CONTROL, ENABLE);
    CLOCK.with(State::set_alarm);
    enable(Interrupt::Timer1);
}
