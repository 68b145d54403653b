//! Messages over a byte stream: one a line, none longer than [`MAX_LINE`].

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::message::{MAX_LINE, Message, MessageError};

/// How much is read at once.
const READ: usize = 16 * 1024;

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection failed, or ended in the middle of a line.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// The peer said something that nobody may say.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// The receiving half of a stream.
#[derive(Debug)]
pub(super) struct Receiver<R> {
    from: R,
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no line's end.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// Receives from `from`.
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), scanned: 0 }
    }

    /// The next message; None when the peer has ended the stream. What was read of a line stays when the future
    /// is dropped, so this may stand in a `select!`.
    ///
    /// # Errors
    /// When the stream breaks, or a line is too long or no message.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, WireError> {
        loop {
            if let Some(end) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + end;
                let message = Message::decode(&self.buffer[..end]);
                self.buffer.drain(..=end);
                self.scanned = 0;
                self.shrink();
                return Ok(Some(message?));
            }
            self.scanned = self.buffer.len();
            if self.scanned > MAX_LINE {
                return Err(MessageError::TooLong.into());
            }
            self.buffer.reserve(READ);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(eof().into()) };
            }
        }
    }

    /// Gives the room of a long line back: streams are idle nearly always.
    fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer.shrink_to(READ);
        }
    }
}

fn eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// Sends one message, and sees it off.
///
/// # Errors
/// When the stream breaks.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), message: &Message) -> io::Result<()> {
    to.write_all(&message.encode()).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> Vec<Result<Option<Message>, String>> {
        let mut receiver = Receiver::new(bytes);
        let mut all = Vec::new();
        loop {
            let next = receiver.next().await.map_err(|error| error.to_string());
            let last = !matches!(next, Ok(Some(_)));
            all.push(next);
            if last {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn messages_arrive_one_by_one_whatever_the_segments() {
        let (mut ours, theirs) = tokio::io::duplex(7);
        let mut receiver = Receiver::new(theirs);
        let refused = Message::Refused { reason: "x".repeat(1000) };
        let sent = refused.clone();
        let sender = tokio::spawn(async move {
            for message in [&Message::Heartbeat, &sent, &Message::Terminated] {
                send(&mut ours, message).await.unwrap();
            }
        });
        assert_eq!(receiver.next().await.unwrap(), Some(Message::Heartbeat));
        assert_eq!(receiver.next().await.unwrap(), Some(refused));
        assert_eq!(receiver.next().await.unwrap(), Some(Message::Terminated));
        assert_eq!(receiver.next().await.unwrap(), None);
        sender.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_read_stays_when_the_reader_is_interrupted() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut receiver = Receiver::new(theirs);
        let line = Message::Heartbeat.encode();
        let (first, second) = line.split_at(5);
        ours.write_all(first).await.unwrap();
        tokio::select! {
            biased;
            _ = receiver.next() => panic!("half a line is no message"),
            () = tokio::task::yield_now() => {}
        }
        ours.write_all(second).await.unwrap();
        assert_eq!(receiver.next().await.unwrap(), Some(Message::Heartbeat));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_or_cut_off_ends_the_stream() {
        let long = vec![b' '; MAX_LINE + READ + 1];
        assert!(read_all(&long).await[0].as_ref().is_err_and(|error| error.contains("longer")));
        assert!(read_all(b"{\"type\":").await[0].as_ref().is_err_and(|error| error.contains("broke")));
        assert!(read_all(b"garbage\n").await[0].as_ref().is_err_and(|error| error.contains("no message")));
    }
}
