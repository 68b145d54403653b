//! What an application answers, and in which order.

use std::collections::VecDeque;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 and the application's name, and then [`Then`].
    Own(Then),
    /// This status, with the application's name as body.
    Status(u16),
    /// 200 with this header besides the usual ones.
    Header(&'static str, &'static str),
    /// 200 with a chunked body and trailers.
    Chunked(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// 200 with the request's own body.
    Echo,
    /// This status as soon as the head is there, before the body is read; nothing more is taken then.
    Early(u16),
    /// `103 Early Hints` with a link, then 200.
    Hints,
    /// 200 at once, and behind it the request's body and trailers, piece by piece as they come.
    Mirror,
    /// 200 once it is released; not a byte of the body is read before.
    Unread,
    /// 200 with a body in two halves, the second once it is released.
    Halves,
    /// Exactly these bytes, and then [`Then`].
    Bytes(&'static str, Then),
    /// Not a byte, and then [`Then`].
    Nothing(Then),
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// It takes the next request.
    GoOn,
    /// It is closed, unannounced.
    Close,
    /// Nothing more is sent, but what comes is still read.
    HalfClose,
    /// It is reset.
    Reset,
    /// It stays open in silence until it is released; then it goes on.
    Stall,
}

/// The answers to come.
#[derive(Debug)]
pub(super) struct Script {
    planned: VecDeque<(usize, Reply)>,
    otherwise: Reply,
    pub(super) reset_connections: bool,
    pub(super) says_continue: bool,
    pub(super) tunnels: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            planned: VecDeque::new(),
            otherwise: Reply::Own(Then::GoOn),
            reset_connections: false,
            says_continue: true,
            tunnels: true,
        }
    }
}

impl Script {
    pub(super) fn plan(&mut self, n: usize, reply: Reply) {
        self.planned.push_back((n, reply));
    }

    pub(super) fn always(&mut self, reply: Reply) {
        self.planned.clear();
        self.otherwise = reply;
    }

    /// The next answer when that begins before the request's body has been read.
    pub(super) fn early(&mut self) -> Option<Reply> {
        self.planned.retain(|(left, _)| *left > 0);
        match self.planned.front().map_or(&self.otherwise, |(_, reply)| reply) {
            Reply::Early(_) | Reply::Mirror | Reply::Unread => Some(self.next()),
            _ => None,
        }
    }

    /// The next answer.
    pub(super) fn next(&mut self) -> Reply {
        while let Some((left, reply)) = self.planned.front_mut() {
            if *left > 0 {
                *left -= 1;
                return reply.clone();
            }
            self.planned.pop_front();
        }
        self.otherwise.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_comes_first_and_in_order() {
        let mut script = Script::default();
        script.plan(2, Reply::Status(500));
        script.plan(1, Reply::Status(404));
        script.plan(0, Reply::Status(400));
        let replies: Vec<String> = (0..4).map(|_| format!("{:?}", script.next())).collect();
        assert_eq!(replies, ["Status(500)", "Status(500)", "Status(404)", "Own(GoOn)"]);
        script.plan(1, Reply::Status(500));
        script.always(Reply::Status(418));
        assert_eq!(format!("{:?}", script.next()), "Status(418)");
    }
}
