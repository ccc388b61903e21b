//! Lines of the input, of any length.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at a time, in bytes.
const READ: usize = 64 * 1024;

/// Cuts what is read into lines.
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of line.
    searched: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line with its end, or what stands before the end of the input. An error counts as the end.
    ///
    /// Cancel safety: what was read stays in the buffer.
    pub(super) async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Some(line);
            }
            self.searched = self.buffer.len();
            self.buffer.reserve(READ);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) if self.buffer.is_empty() => return None,
                Ok(0) | Err(_) => {
                    self.searched = 0;
                    return Some(self.buffer.split());
                }
                Ok(_) => {}
            }
        }
    }
}
