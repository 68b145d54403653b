//! Why a message was refused: one enum for requests, responses and bodies, with its name, its words and its status.
//!
//! A request's status comes from here; a malformed response is a 502 whatever the reason, and the caller's to say. The
//! names are those of `spillway_malformed_total{reason}` and of the table in [`super`]: part of what users see.

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
    ($($(#[$doc:meta])* $variant:ident = $status:literal $name:literal $text:literal,)*) => {
        /// What is wrong with a message, fine enough to log and to count by.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All of them, in the order of their discriminants, so that counters can be listed before their first use.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// What metrics call it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One line for logs and the answer's body.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The status that a client is told when its request is refused for this.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

reasons! {
    /// The head does not end within its limit (RFC 6585 §5).
    HeadTooLarge = 431 "head_too_large" "head too large",
    /// More header lines than the limit.
    TooManyHeaders = 431 "too_many_headers" "too many header lines",
    /// RFC 9112 §2.2: a bare CR or LF where a line should end.
    LineEnd = 400 "line_end" "line that does not end in CR LF",
    /// RFC 9112 §3, §3.1: not `method SP target SP version`.
    RequestLine = 400 "request_line" "malformed request line",
    /// RFC 9112 §4: not `version SP status`.
    StatusLine = 400 "status_line" "malformed status line",
    /// RFC 9112 §2.3: neither HTTP/1.0 nor HTTP/1.1, but a version.
    Version = 400 "version" "unsupported HTTP version",
    /// RFC 9112 §3.2: no form of a target, or one that its method does not allow.
    Target = 400 "target" "malformed request target",
    /// CONNECT is not served.
    Connect = 400 "connect" "CONNECT is not supported",
    /// RFC 9112 §3.2: HTTP/1.1 without Host.
    NoHost = 400 "no_host" "no Host",
    /// RFC 9112 §3.2: more than one Host.
    SeveralHosts = 400 "several_hosts" "more than one Host",
    /// RFC 9110 §7.2: not `uri-host [":" port]`.
    Host = 400 "host" "malformed Host",
    /// RFC 9112 §5.1: no token before the colon.
    HeaderName = 400 "header_name" "malformed header name",
    /// RFC 9112 §5.1: white space between the name and the colon.
    SpaceBeforeColon = 400 "space_before_colon" "white space before a header's colon",
    /// RFC 9112 §5.2: a line that goes on with the value of the one before it.
    FoldedLine = 400 "folded_line" "folded header line",
    /// RFC 9110 §5.5: a control character in a value.
    HeaderValue = 400 "header_value" "malformed header value",
    /// More options in Connection than any honest message has.
    ConnectionOptions = 400 "connection_options" "too many Connection options",
    /// RFC 9112 §6.2: not `1*DIGIT`, or too large.
    ContentLength = 400 "content_length" "malformed Content-Length",
    /// RFC 9112 §6.3: more than one Content-Length.
    SeveralLengths = 400 "several_lengths" "more than one Content-Length",
    /// RFC 9112 §6.1: anything but exactly `chunked`, once.
    TransferEncoding = 400 "transfer_encoding" "Transfer-Encoding other than chunked",
    /// RFC 9112 §6.3: Content-Length beside Transfer-Encoding.
    TwoFramings = 400 "two_framings" "both Content-Length and Transfer-Encoding",
    /// RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0.
    ChunkedInHttp10 = 400 "chunked_in_http10" "Transfer-Encoding in HTTP/1.0",
    /// RFC 9112 §6.3: an informational response that promises a body.
    InformationalBody = 400 "informational_body" "informational response with a body",
    /// RFC 9110 §15.2: more informational responses before the final one than any honest upstream sends.
    TooManyInformational = 400 "too_many_informational" "too many informational responses",
    /// RFC 9110 §7.8: 101 that nobody asked for, or to nothing in particular.
    Upgrade = 400 "upgrade" "unexpected switch of protocols",
    /// RFC 8441 §5: success for an extended CONNECT, and no switch of protocols behind it.
    NoUpgrade = 400 "no_upgrade" "success without a switch of protocols",
    /// RFC 9112 §7.1: no, too many or wrong digits.
    ChunkSize = 400 "chunk_size" "malformed chunk size",
    /// RFC 9112 §7.1.1: a control character, or more than the limit.
    ChunkExtension = 400 "chunk_extension" "malformed chunk extension",
    /// RFC 9112 §7.1: chunk data that CR LF does not follow.
    ChunkEnd = 400 "chunk_end" "chunk longer than its size",
    /// RFC 9112 §7.1.2: a trailer section that is no list of header lines.
    Trailer = 400 "trailer" "malformed trailer section",
    /// More trailer bytes or lines than the limit.
    TrailersTooLarge = 431 "trailers_too_large" "trailer section too large",
    /// RFC 9112 §9.5: a head that is not whole in the time it has from its first byte.
    SlowHead = 400 "slow_head" "head not whole in time",
    /// RFC 9112 §9.5: a body of which nothing has come for as long as its route allows.
    SlowBody = 400 "slow_body" "body not sent in time",
    /// RFC 9113 §8.1.1 and what else `h2` finds fault with before the codec sees a message.
    Http2 = 400 "http2" "malformed HTTP/2 message",
}
