//! The few frames that the null server and the raw floor exchange, encoded by hand.

/// The node that every subject reads.
pub(crate) const PATH: &str = "/bench";

/// Bytes of data in each reply.
pub(crate) const DATA_LEN: usize = 128;

/// Bytes of one getData request, with its length prefix.
pub(crate) const GET_LEN: usize = 4 + 8 + 4 + PATH.len() + 1;

/// Operation codes of the requests that the null server answers.
pub(crate) mod op {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const DELETE: i32 = 2;
    pub(crate) const EXISTS: i32 = 3;
    pub(crate) const GET_DATA: i32 = 4;
    pub(crate) const PING: i32 = 11;
    pub(crate) const CREATE2: i32 = 15;
    pub(crate) const AUTH: i32 = 100;
    pub(crate) const CLOSE_SESSION: i32 = -11;
}

/// Wraps a payload in its length prefix.
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes(), payload].concat()
}

/// A ConnectRequest for a new session.
pub(crate) fn connect_request(timeout_ms: i32) -> Vec<u8> {
    let mut payload = vec![0; 12];
    payload.extend(timeout_ms.to_be_bytes());
    payload.extend([0; 8]);
    payload.extend(16_i32.to_be_bytes());
    payload.extend([0; 17]);
    framed(&payload)
}

/// A getData request of [`PATH`], whose xid is still 0.
pub(crate) fn get_request() -> [u8; GET_LEN] {
    let mut payload = vec![0; 4];
    payload.extend(op::GET_DATA.to_be_bytes());
    payload.extend((PATH.len() as u32).to_be_bytes());
    payload.extend(PATH.as_bytes());
    payload.push(0);
    let mut frame = [0; GET_LEN];
    frame.copy_from_slice(&framed(&payload));
    frame
}

/// Overwrites the xid of an encoded frame.
pub(crate) fn set_xid(frame: &mut [u8], xid: i32) {
    frame[4..8].copy_from_slice(&xid.to_be_bytes());
}

/// The 32-bit integer at `at`, unless the payload is too short.
pub(crate) fn int_at(payload: &[u8], at: usize) -> Option<i32> {
    let word = payload.get(at..)?.first_chunk()?;
    Some(i32::from_be_bytes(*word))
}

/// A receive buffer that hands out whole frames.
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Inbox {
    /// Room for a full window of replies, so that one read can take all of them.
    const CAPACITY: usize = 64 * 1024;

    /// An empty buffer.
    pub(crate) fn new() -> Self {
        let bytes = vec![0; Self::CAPACITY].into_boxed_slice();
        Self { bytes, filled: 0 }
    }

    /// Where the next read should put its bytes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Takes note of `read` bytes in the room, passes the whole frames to `each`, and counts them.
    pub(crate) fn drain(&mut self, read: usize, mut each: impl FnMut(&[u8])) -> usize {
        self.filled += read;
        let mut rest = &self.bytes[..self.filled];
        let mut frames = 0;
        while let Some((payload, after)) = split_frame(rest) {
            each(payload);
            rest = after;
            frames += 1;
        }
        let taken = self.filled - rest.len();
        self.discard(taken);
        frames
    }

    fn discard(&mut self, taken: usize) {
        self.bytes.copy_within(taken..self.filled, 0);
        self.filled -= taken;
    }
}

fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}
