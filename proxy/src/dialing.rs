//! One dial for all who wait for it: those that come while a connection is being made share its outcome.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, Waker};

use crate::dial::DialError;

/// A dial that several requests wait for.
#[derive(Debug)]
pub(crate) struct Dialing<T> {
    outcome: RefCell<Option<Result<T, DialError>>>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Default for Dialing<T> {
    fn default() -> Self {
        Self { outcome: RefCell::default(), waiting: RefCell::default() }
    }
}

impl<T: Clone> Dialing<T> {
    /// Its outcome, once it is known.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, DialError>> {
        if let Some(outcome) = &*self.outcome.borrow() {
            return Poll::Ready(outcome.as_ref().map_err(repeat).cloned());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Tells all who wait.
    pub(crate) fn settle(&self, outcome: Result<T, DialError>) {
        *self.outcome.borrow_mut() = Some(outcome);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// The same error for another who waited for the same dial.
fn repeat(error: &DialError) -> DialError {
    let again = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
    match error {
        DialError::Connect { target, endpoint, source } => {
            DialError::Connect { target: target.clone(), endpoint: endpoint.clone(), source: again(source) }
        }
        DialError::Tls { target, endpoint, source } => {
            DialError::Tls { target: target.clone(), endpoint: endpoint.clone(), source: again(source) }
        }
        DialError::NoIdentity { target } => DialError::NoIdentity { target: target.clone() },
        DialError::TimedOut { target, endpoint, timeout } => {
            DialError::TimedOut { target: target.clone(), endpoint: endpoint.clone(), timeout: *timeout }
        }
    }
}
