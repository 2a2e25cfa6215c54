//! Connections to nowhere, of which the compiler knows nothing, so that it leaves nothing out.

use core::future::poll_fn;
use core::hint::black_box;
use core::task::Poll;

use docent_embassy::Dial;
use docent_embassy::core::connect_string::HostPort;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

pub(crate) struct Nowhere;

pub(crate) struct Wire;

impl Dial for Nowhere {
    type Connection<'a> = Wire;
    type Error = ErrorKind;

    async fn dial(&mut self, server: HostPort<'_>) -> Result<Wire, ErrorKind> {
        black_box(server);
        whatever(Wire).await
    }
}

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        black_box(&mut *buf);
        whatever(buf.len()).await
    }
}

impl Write for Wire {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        black_box(buf);
        whatever(buf.len()).await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        whatever(()).await
    }
}

/// This value, an error, or nothing yet.
async fn whatever<T>(value: T) -> Result<T, ErrorKind> {
    let result = match black_box(true) {
        true => Ok(value),
        false => Err(ErrorKind::Other),
    };
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        black_box(Poll::Ready(()))
    })
    .await;
    result
}
