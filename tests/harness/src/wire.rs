//! HTTP/1.1 as bytes, read leniently and apart from the code under test: what applications and callers share.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection, in the clear or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Header lines or trailers, in order, as they came.
pub(crate) type Headers = Vec<(String, String)>;

/// A head: its first line, then its header lines.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Headers,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// As its framing says.
    Whole,
    /// Before that.
    CutShort,
}

/// The first value of a header.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A connection with what was read ahead.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    ahead: Vec<u8>,
}

impl<S: Io> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        self.ahead.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(n);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads up to and with `delimiter`; None when the connection ends before.
    async fn up_to(&mut self, delimiter: &[u8]) -> io::Result<Option<String>> {
        loop {
            let at = self.ahead.windows(delimiter.len()).position(|bytes| bytes == delimiter);
            if let Some(at) = at {
                let bytes = self.take(at + delimiter.len());
                return Ok(Some(String::from_utf8_lossy(&bytes[..at]).into_owned()));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// A line; None when the connection ends before its end.
    pub(crate) async fn line(&mut self) -> io::Result<Option<String>> {
        self.up_to(b"\n").await
    }

    /// A head; None when the connection ends before its end.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        let Some(text) = self.up_to(b"\r\n\r\n").await? else { return Ok(None) };
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        Ok(Some(Head { line, headers: lines.map(header_line).collect() }))
    }

    /// `n` bytes, or those until the end.
    pub(crate) async fn bytes(&mut self, n: usize) -> io::Result<(Vec<u8>, Ending)> {
        while self.ahead.len() < n {
            if !self.more().await? {
                return Ok((std::mem::take(&mut self.ahead), Ending::CutShort));
            }
        }
        Ok((self.take(n), Ending::Whole))
    }

    /// Everything up to the end.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// A chunked body with its trailers.
    pub(crate) async fn chunked(&mut self) -> io::Result<(Vec<u8>, Headers, Ending)> {
        let mut body = Vec::new();
        loop {
            match self.chunk().await? {
                (data, _) if data.is_empty() => break,
                (data, ending) => {
                    body.extend(data);
                    if ending == Ending::CutShort {
                        return Ok((body, Headers::new(), ending));
                    }
                }
            }
        }
        let (trailers, ending) = self.trailers().await?;
        Ok((body, trailers, ending))
    }

    /// The next chunk; the last one is empty, as is one that is not there.
    pub(crate) async fn chunk(&mut self) -> io::Result<(Vec<u8>, Ending)> {
        let Some(size) = self.up_to(b"\r\n").await? else { return Ok((Vec::new(), Ending::CutShort)) };
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        if size == 0 {
            return Ok((Vec::new(), Ending::Whole));
        }
        let (data, ending) = self.bytes(size).await?;
        let delimited = ending == Ending::Whole && self.up_to(b"\r\n").await?.is_some();
        Ok((data, if delimited { Ending::Whole } else { Ending::CutShort }))
    }

    /// What stands behind the last chunk.
    pub(crate) async fn trailers(&mut self) -> io::Result<(Headers, Ending)> {
        let mut trailers = Headers::new();
        loop {
            match self.up_to(b"\r\n").await? {
                None => return Ok((trailers, Ending::CutShort)),
                Some(line) if line.is_empty() => return Ok((trailers, Ending::Whole)),
                Some(line) => trailers.push(header_line(&line)),
            }
        }
    }
}

fn header_line(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

/// Makes a connection end by a reset when it is dropped.
pub(crate) fn reset(stream: &tokio::net::TcpStream) {
    stream.set_zero_linger().unwrap_or_else(|error| panic!("{error}"));
}
