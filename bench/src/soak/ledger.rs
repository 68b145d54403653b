//! What is known of every request, and what must be true of it in the end.
//!
//! Pure: applications write down what they do, callers how it ended, and [`verdict`] judges one by the other. Kept out:
//! sockets, and who fails when.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// How often a route allows a GET to be sent again.
pub(crate) const RETRIES: u8 = 2;

/// How often one attempt may reach an application: each of the two sidecars sends an idempotent request once more over
/// a new connection when a kept one ends without a byte of an answer (RFC 9110 section 9.2.2).
const SENDS: u8 = 4;

/// Violations that are told one by one; the others are only counted.
const TOLD: usize = 20;

/// The answers that Spillway makes itself: flag, status, what the body begins with, and whether it says that nothing
/// was sent.
const OWN: [Own; 12] = [
    Own { flag: "DPE", status: 400, begins: "malformed request", unsent: true },
    Own { flag: "NR", status: 404, begins: "no route", unsent: true },
    Own { flag: "RBAC", status: 403, begins: "denied", unsent: true },
    Own { flag: "UH", status: 503, begins: "no available endpoint", unsent: true },
    Own { flag: "UF", status: 503, begins: "every connection attempt failed", unsent: true },
    Own {
        flag: "UC",
        status: 503,
        begins: "the upstream closed the connection before its answer",
        unsent: false,
    },
    Own { flag: "UPE", status: 502, begins: "malformed answer", unsent: false },
    Own { flag: "UT", status: 504, begins: "request timeout", unsent: false },
    Own { flag: "UO", status: 503, begins: "limit reached", unsent: true },
    Own { flag: "RL", status: 429, begins: "rate limit", unsent: true },
    // Of two that begin alike, the longer one stands first.
    Own {
        flag: "DC",
        status: 503,
        begins: "draining: this process is about to stop, without",
        unsent: false,
    },
    Own { flag: "DC", status: 503, begins: "draining", unsent: true },
];

struct Own {
    flag: &'static str,
    status: u16,
    begins: &'static str,
    unsent: bool,
}

/// How a request ended for who sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// It was never sent.
    NotSent,
    /// An application answered 2xx.
    Served,
    /// An application answered 5xx.
    Failed,
    /// An application's answer broke off.
    CutShort,
    /// An answer of Spillway's own, by its place in the contract's table.
    Own(usize),
    /// An answer that nobody is known to give, or that is another request's.
    Foreign,
    /// The connection ended without an answer.
    Silence,
    /// Nothing came in time.
    Hung,
}

impl Ending {
    /// How many there are.
    const KINDS: usize = 7 + OWN.len();

    /// That of an answer that no application gave.
    pub(crate) fn own(status: u16, body: &str) -> Self {
        let found = OWN.iter().position(|own| own.status == status && body.starts_with(own.begins));
        // The body is one line that names the target.
        found.filter(|_| !body.trim_end().contains('\n')).map_or(Self::Foreign, Self::Own)
    }

    /// Whether no endpoint was reached.
    pub(crate) fn found_nobody(self) -> bool {
        matches!(self, Self::Own(at) if matches!(OWN[at].flag, "UH" | "UF"))
    }

    fn code(self) -> u8 {
        let code = match self {
            Self::NotSent => 0,
            Self::Served => 1,
            Self::Failed => 2,
            Self::CutShort => 3,
            Self::Foreign => 4,
            Self::Silence => 5,
            Self::Hung => 6,
            Self::Own(at) => 7 + at,
        };
        code as u8
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::NotSent,
            1 => Self::Served,
            2 => Self::Failed,
            3 => Self::CutShort,
            4 => Self::Foreign,
            5 => Self::Silence,
            6 => Self::Hung,
            own => Self::Own(usize::from(own) - 7),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::NotSent => "not sent",
            Self::Served => "served",
            Self::Failed => "5xx of an application",
            Self::CutShort => "cut short",
            Self::Foreign => "foreign answer",
            Self::Silence => "no answer",
            Self::Hung => "hung",
            Self::Own(at) => OWN[at].flag,
        }
    }
}

/// Every second request is one that must not be done twice.
pub(crate) fn is_post(id: u32) -> bool {
    id.is_multiple_of(2)
}

/// What is wrong with a request that ended so and was executed so often; None: nothing.
pub(crate) fn verdict(id: u32, ending: Ending, executions: u8) -> Option<&'static str> {
    match ending {
        Ending::NotSent => Some("was never sent"),
        Ending::Foreign => {
            Some("got an answer that is neither an application's to it nor one of the contract's")
        }
        Ending::Silence => Some("got no answer at all"),
        Ending::Hung => Some("hung"),
        Ending::Served if executions == 0 => Some("was answered, and nobody executed it"),
        Ending::Own(at) if is_post(id) && OWN[at].unsent && executions > 0 => {
            Some("was executed, and its caller told that it was not sent")
        }
        _ if is_post(id) && executions > 1 => Some("is a POST and was executed more than once"),
        _ if executions > (1 + RETRIES) * SENDS => Some("was sent again more often than its route allows"),
        _ => None,
    }
}

/// What applications and callers have written down, by request.
#[derive(Debug)]
pub(crate) struct Ledger {
    executions: Box<[AtomicU8]>,
    endings: Box<[AtomicU8]>,
    /// What was seen to be wrong at once.
    seen: Mutex<Vec<String>>,
}

// Relaxed throughout: each byte is read for its own sake, and judged when all threads that write have ended.
impl Ledger {
    pub(crate) fn new(requests: u32) -> Self {
        let zeros = || (0..requests).map(|_| AtomicU8::new(0)).collect();
        Self { executions: zeros(), endings: zeros(), seen: Mutex::default() }
    }

    /// An application executes a request: how often one did before.
    pub(crate) fn execute(&self, id: u32) -> Option<u8> {
        Some(self.executions.get(id as usize)?.fetch_add(1, Ordering::Relaxed))
    }

    /// A request has ended.
    pub(crate) fn end(&self, id: u32, ending: Ending) {
        self.endings[id as usize].store(ending.code(), Ordering::Relaxed);
    }

    /// Something is wrong that only who saw it can tell.
    pub(crate) fn wrong(&self, what: String) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// The whole account.
    pub(crate) fn judge(&self) -> Judgement {
        let mut judgement = Judgement::default();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().for_each(|what| judgement.note(what.clone()));
        for (id, (executions, ending)) in self.executions.iter().zip(&self.endings).enumerate() {
            let id = id as u32;
            let executions = executions.load(Ordering::Relaxed);
            let ending = Ending::from_code(ending.load(Ordering::Relaxed));
            let method = usize::from(is_post(id));
            judgement.counts[method][usize::from(ending.code())] += 1;
            judgement.executions[method] += u64::from(executions);
            judgement.resent += u64::from(executions > 1 + RETRIES);
            if let Some(what) = verdict(id, ending, executions) {
                judgement
                    .note(format!("request {id} {what} ({}, {executions} times executed)", ending.name()));
            }
        }
        judgement
    }
}

/// What came of all requests.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// How many things are wrong.
    pub violations: u64,
    /// The first of them.
    pub told: Vec<String>,
    /// By method (GET, POST) and ending.
    counts: [[u64; Ending::KINDS]; 2],
    executions: [u64; 2],
    /// GETs that were executed more often than by the retries of their route.
    resent: u64,
}

impl Judgement {
    fn note(&mut self, what: String) {
        self.violations += 1;
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }

    /// How many requests an application answered with 2xx.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.counts.iter().map(|counts| counts[usize::from(Ending::Served.code())]).sum()
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| ending | GET | POST |\n|---|--:|--:|")?;
        let [get, post] = &self.counts;
        for (code, (get, post)) in
            get.iter().zip(post).enumerate().filter(|(_, (get, post))| **get + **post > 0)
        {
            writeln!(f, "| {} | {get} | {post} |", Ending::from_code(code as u8).name())?;
        }
        let [get, post] = self.executions;
        writeln!(f, "| executions | {get} | {post} |")?;
        writeln!(f, "| executed more than {} times | {} | |", 1 + RETRIES, self.resent)?;
        writeln!(f, "\n{} violations", self.violations)?;
        self.told.iter().try_for_each(|what| writeln!(f, "- {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(flag: &str) -> Ending {
        Ending::Own(OWN.iter().position(|own| own.flag == flag).expect("a flag of the table"))
    }

    #[test]
    fn a_post_is_executed_once_if_it_was_served_and_never_if_it_was_not_sent() {
        let (get, post) = (1, 2);
        for (id, ending, fine) in [
            (post, Ending::Served, 1..=1),
            (post, Ending::Failed, 0..=1),
            (post, Ending::CutShort, 0..=1),
            (post, own("UC"), 0..=1),
            (post, own("UT"), 0..=1),
            (post, own("UF"), 0..=0),
            (post, own("UH"), 0..=0),
            (get, Ending::Served, 1..=12),
            (get, own("UC"), 0..=12),
            (get, own("UF"), 0..=12),
        ] {
            for executions in 0..=13 {
                let judged = verdict(id, ending, executions);
                assert_eq!(judged.is_none(), fine.contains(&executions), "{id} {ending:?} {executions}");
            }
        }
        for ending in [Ending::NotSent, Ending::Foreign, Ending::Silence, Ending::Hung] {
            assert!(verdict(get, ending, 1).is_some(), "{ending:?}");
        }
    }

    #[test]
    fn an_answer_of_our_own_is_known_by_status_and_cause_and_is_one_line() {
        assert_eq!(Ending::own(503, "no available endpoint: api\n"), own("UH"));
        assert_eq!(Ending::own(504, "request timeout: api"), own("UT"));
        for (status, body) in
            [(500, "no available endpoint: api"), (503, ""), (503, "sorry"), (503, "draining\nmore\n")]
        {
            assert_eq!(Ending::own(status, body), Ending::Foreign, "{status} {body}");
        }
    }

    #[test]
    fn every_ending_is_read_as_it_was_written() {
        for code in 0..Ending::KINDS {
            assert_eq!(usize::from(Ending::from_code(code as u8).code()), code);
        }
    }

    #[test]
    fn a_judgement_counts_and_tells_what_is_wrong() {
        let ledger = Ledger::new(3);
        ledger.end(0, Ending::Served);
        assert_eq!((ledger.execute(0), ledger.execute(0), ledger.execute(3)), (Some(0), Some(1), None));
        ledger.end(1, own("UF"));
        ledger.wrong("a sidecar panicked".to_owned());
        let judgement = ledger.judge();
        assert_eq!((judgement.violations, judgement.served()), (3, 1));
        let text = judgement.to_string();
        for line in
            ["| UF | 1 | 0 |", "| executions | 0 | 2 |", "- a sidecar panicked", "- request 2 was never sent"]
        {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
