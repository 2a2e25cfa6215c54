//! The Ethernet controller, a LAN9118, as a driver for embassy-net.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;

use super::interrupts::{Interrupt, enable};
use super::registers::Registers;

const RX_DATA: u16 = 0x00;
const TX_DATA: u16 = 0x20;
const RX_STATUS: u16 = 0x40;
const TX_STATUS: u16 = 0x48;
const IRQ_CFG: u16 = 0x54;
const INT_STS: u16 = 0x58;
const INT_EN: u16 = 0x5C;
const BYTE_TEST: u16 = 0x64;
const FIFO_INT: u16 = 0x68;
const RX_CFG: u16 = 0x6C;
const TX_CFG: u16 = 0x70;
const HW_CFG: u16 = 0x74;
const RX_DP_CTRL: u16 = 0x78;
const RX_FIFO_INF: u16 = 0x7C;
const TX_FIFO_INF: u16 = 0x80;
const MAC_CSR_CMD: u16 = 0xA4;
const MAC_CSR_DATA: u16 = 0xA8;

/// More frames have been received than the level of `FIFO_INT`.
const RECEIVED: u32 = 1 << 3;
/// The longest frame, without its checksum.
const FRAME: usize = 1514;
/// Frames are moved in words, and received with a checksum of 4 bytes.
const CHECKSUM: usize = 4;
const BUFFER: usize = 1520;
/// Shorter frames are padded.
const SHORTEST: usize = 60;

static WAKER: AtomicWaker = AtomicWaker::new();

pub(super) fn on_interrupt() {
    // Acknowledged before anything is read, so that no frame is overlooked.
    write(INT_STS, RECEIVED);
    WAKER.wake();
}

/// The controller. There is one.
pub(crate) struct Lan9118 {
    address: [u8; 6],
    frame: [u8; BUFFER],
}

impl Lan9118 {
    /// Resets the controller and lets it receive.
    pub(crate) fn start() -> Self {
        reset();
        let (low, high) = (mac::read(mac::ADDRESS_LOW), mac::read(mac::ADDRESS_HIGH));
        let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
        phy::start();
        enable_both_ways();
        enable(Interrupt::Ethernet);
        Self {
            address: [a, b, c, d, e, f],
            frame: [0; BUFFER],
        }
    }

    /// The hardware address.
    pub(crate) const fn address(&self) -> [u8; 6] {
        self.address
    }
}

fn reset() {
    const SOFT_RESET: u32 = 1 << 0;
    const MUST_BE_ONE: u32 = 1 << 20;
    const TX_FIFO_5_KIB: u32 = 5 << 16;
    await_that(|| read(BYTE_TEST) == 0x8765_4321);
    write(HW_CFG, SOFT_RESET);
    await_that(|| read(HW_CFG) & SOFT_RESET == 0);
    write(HW_CFG, MUST_BE_ONE | TX_FIFO_5_KIB);
    write(INT_EN, 0);
    write(INT_STS, u32::MAX);
}

fn enable_both_ways() {
    const TX_ON: u32 = 1 << 1;
    const FULL_DUPLEX: u32 = 1 << 20;
    const TRANSMIT: u32 = 1 << 3;
    const RECEIVE: u32 = 1 << 2;
    const IRQ_ENABLE: u32 = 1 << 8;
    const IRQ_ACTIVE_HIGH: u32 = 1 << 4;
    const IRQ_PUSH_PULL: u32 = 1 << 0;
    write(RX_CFG, 0);
    write(FIFO_INT, 0);
    write(TX_CFG, TX_ON);
    mac::write(mac::CONTROL, FULL_DUPLEX | TRANSMIT | RECEIVE);
    write(IRQ_CFG, IRQ_ENABLE | IRQ_ACTIVE_HIGH | IRQ_PUSH_PULL);
    write(INT_EN, RECEIVED);
}

impl Driver for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Room)> {
        WAKER.register(cx.waker());
        let length = self.next_frame()?;
        Some((Received(self.frame.get_mut(..length)?), Room))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Room> {
        if has_room() {
            return Some(Room);
        }
        // The controller sends within microseconds.
        cx.waker().wake_by_ref();
        None
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        WAKER.register(cx.waker());
        match phy::has_link() {
            true => LinkState::Up,
            false => LinkState::Down,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(4);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

impl Lan9118 {
    /// Reads the next good frame. Returns its length.
    fn next_frame(&mut self) -> Option<usize> {
        const ERROR: u32 = 1 << 15;
        while frames_waiting() > 0 {
            let status = read(RX_STATUS);
            let length = (status >> 16 & 0x3FFF) as usize;
            let words = self.frame.get_mut(..length.next_multiple_of(4));
            match words {
                Some(words) if status & ERROR == 0 && length > CHECKSUM && has_room() => {
                    for word in words.as_chunks_mut().0 {
                        *word = read(RX_DATA).to_le_bytes();
                    }
                    return Some(length - CHECKSUM);
                }
                _ => skip(length.div_ceil(4)),
            }
        }
        None
    }
}

fn frames_waiting() -> u32 {
    read(RX_FIFO_INF) >> 16 & 0xFF
}

/// Drops a frame. The controller does so itself where there are at least four words.
fn skip(words: usize) {
    const FAST_FORWARD: u32 = 1 << 31;
    if words < 4 {
        return (0..words).for_each(|_| _ = read(RX_DATA));
    }
    write(RX_DP_CTRL, FAST_FORWARD);
    await_that(|| read(RX_DP_CTRL) & FAST_FORWARD == 0);
}

/// Whether the longest frame can be sent.
fn has_room() -> bool {
    // Nobody asks what has become of those before, but there is room for few such reports.
    while read(TX_FIFO_INF) >> 16 & 0xFF > 0 {
        read(TX_STATUS);
    }
    (read(TX_FIFO_INF) & 0xFFFF) as usize > BUFFER + 8
}

/// A frame.
pub(crate) struct Received<'a>(&'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, take: F) -> T {
        take(self.0)
    }
}

/// Room for a frame.
pub(crate) struct Room;

impl TxToken for Room {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, length: usize, fill: F) -> T {
        let mut frame = [0; BUFFER];
        let result = fill(&mut frame[..length]);
        send(&frame, length.max(SHORTEST));
        result
    }
}

fn send(frame: &[u8; BUFFER], length: usize) {
    const FIRST: u32 = 1 << 13;
    const LAST: u32 = 1 << 12;
    let count = length as u32;
    write(TX_DATA, FIRST | LAST | count);
    write(TX_DATA, count << 16 | count);
    for word in frame.as_chunks().0.iter().take(length.div_ceil(4)) {
        write(TX_DATA, u32::from_le_bytes(*word));
    }
}

fn read(register: u16) -> u32 {
    Registers::ETHERNET.read(register)
}

fn write(register: u16, value: u32) {
    Registers::ETHERNET.write(register, value);
}

fn await_that(condition: impl Fn() -> bool) {
    while !condition() {}
}

/// The part that knows addresses, behind two registers.
mod mac {
    use super::{MAC_CSR_CMD, MAC_CSR_DATA, await_that};

    pub(super) const CONTROL: u32 = 1;
    pub(super) const ADDRESS_HIGH: u32 = 2;
    pub(super) const ADDRESS_LOW: u32 = 3;
    pub(super) const MII_ACCESS: u32 = 6;
    pub(super) const MII_DATA: u32 = 7;

    const BUSY: u32 = 1 << 31;
    const READ: u32 = 1 << 30;

    pub(super) fn read(register: u32) -> u32 {
        command(READ | register);
        super::read(MAC_CSR_DATA)
    }

    pub(super) fn write(register: u32, value: u32) {
        super::write(MAC_CSR_DATA, value);
        command(register);
    }

    fn command(command: u32) {
        super::write(MAC_CSR_CMD, BUSY | command);
        await_that(|| super::read(MAC_CSR_CMD) & BUSY == 0);
    }
}

/// The part that knows the cable, behind two registers of the one above.
mod phy {
    use super::{await_that, mac};

    const CONTROL: u32 = 0;
    const STATUS: u32 = 1;
    const ADVERTISEMENT: u32 = 4;

    const BUSY: u32 = 1 << 0;
    const WRITE: u32 = 1 << 1;
    /// The one that is built in.
    const NUMBER: u32 = 1 << 11;

    pub(super) fn start() {
        const RESET: u32 = 1 << 15;
        const NEGOTIATE: u32 = 1 << 12 | 1 << 9;
        const ALL_SPEEDS: u32 = 0x01E1;
        write(CONTROL, RESET);
        await_that(|| read(CONTROL) & RESET == 0);
        write(ADVERTISEMENT, ALL_SPEEDS);
        write(CONTROL, NEGOTIATE);
    }

    pub(super) fn has_link() -> bool {
        const LINK: u32 = 1 << 2;
        // The first read tells whether it was lost since the last one.
        read(STATUS);
        read(STATUS) & LINK != 0
    }

    fn read(register: u32) -> u32 {
        access(register << 6);
        mac::read(mac::MII_DATA) & 0xFFFF
    }

    fn write(register: u32, value: u32) {
        mac::write(mac::MII_DATA, value);
        access(register << 6 | WRITE);
    }

    fn access(command: u32) {
        mac::write(mac::MII_ACCESS, NUMBER | command | BUSY);
        await_that(|| mac::read(mac::MII_ACCESS) & BUSY == 0);
    }
}
