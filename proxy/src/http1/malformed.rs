//! Why a message was refused: one enum for requests, responses and bodies, with its words and its status.
//!
//! A request's status comes from here; a malformed response is a 502 whatever the reason, and the caller's to say.

/// A message that is not HTTP/1.x as RFC 9112 has it, or not so beyond doubt. Its connection must close.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .reason.as_str())]
pub struct Malformed {
    /// What is wrong.
    pub reason: Reason,
}

impl Malformed {
    /// The status for the client whose request this was.
    pub fn status(self) -> u16 {
        self.reason.status()
    }
}

impl From<Reason> for Malformed {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $status:literal $text:literal,)*) => {
        /// What is wrong with a message, fine enough to log and to count by.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them, so that counters can be listed before their first use.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// One line for logs, counters and the answer's body.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status that a client is told when its request is refused for this.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

reasons! {
    /// The head does not end within its limit (RFC 6585 §5).
    HeadTooLarge = 431 "head too large",
    /// More header lines than the limit.
    TooManyHeaders = 431 "too many header lines",
    /// RFC 9112 §2.2: a bare CR or LF where a line should end.
    LineEnd = 400 "line that does not end in CR LF",
    /// RFC 9112 §3, §3.1: not `method SP target SP version`.
    RequestLine = 400 "malformed request line",
    /// RFC 9112 §4: not `version SP status`.
    StatusLine = 400 "malformed status line",
    /// RFC 9112 §2.3: neither HTTP/1.0 nor HTTP/1.1, but a version.
    Version = 505 "unsupported HTTP version",
    /// RFC 9112 §3.2: no form of a target, or one that its method does not allow.
    Target = 400 "malformed request target",
    /// CONNECT is not served.
    Connect = 405 "CONNECT is not supported",
    /// RFC 9112 §3.2: HTTP/1.1 without Host.
    NoHost = 400 "no Host",
    /// RFC 9112 §3.2: more than one Host.
    SeveralHosts = 400 "more than one Host",
    /// RFC 9110 §7.2: not `uri-host [":" port]`.
    Host = 400 "malformed Host",
    /// RFC 9112 §5.1, §5.2: no token before the colon, white space before it, a folded line.
    HeaderName = 400 "malformed header name",
    /// RFC 9110 §5.5: a control character in a value.
    HeaderValue = 400 "malformed header value",
    /// More options in Connection than any honest message has.
    ConnectionOptions = 400 "too many Connection options",
    /// RFC 9112 §6.2: not `1*DIGIT`, or too large.
    ContentLength = 400 "malformed Content-Length",
    /// RFC 9112 §6.3: more than one Content-Length.
    SeveralLengths = 400 "more than one Content-Length",
    /// RFC 9112 §6.1: anything but exactly `chunked`, once.
    TransferEncoding = 400 "Transfer-Encoding other than chunked",
    /// RFC 9112 §6.3: Content-Length beside Transfer-Encoding.
    TwoFramings = 400 "both Content-Length and Transfer-Encoding",
    /// RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0.
    ChunkedInHttp10 = 400 "Transfer-Encoding in HTTP/1.0",
    /// RFC 9112 §6.3: an informational response that promises a body.
    InformationalBody = 400 "informational response with a body",
    /// RFC 9110 §7.8: 101 that nobody asked for, or to nothing in particular.
    Upgrade = 400 "unexpected switch of protocols",
    /// RFC 9112 §7.1: no, too many or wrong digits.
    ChunkSize = 400 "malformed chunk size",
    /// RFC 9112 §7.1.1: a control character, or more than the limit.
    ChunkExtension = 400 "malformed chunk extension",
    /// RFC 9112 §7.1: chunk data that CR LF does not follow.
    ChunkEnd = 400 "chunk longer than its size",
    /// RFC 9112 §7.1.2: a trailer section that is no list of header lines.
    Trailer = 400 "malformed trailer section",
    /// More trailer bytes or lines than the limit.
    TrailersTooLarge = 431 "trailer section too large",
}
