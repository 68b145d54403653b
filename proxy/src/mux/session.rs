//! A session: its substreams by number, what waits to be written, and what a substream's owner can do.
//!
//! Everything here is a worker's own. Nothing touches the socket: that is the driver's part, which is woken by the
//! first byte that is put into an empty output and then finds what all others have put there meanwhile.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{Head, Kind, Violation};
use super::lane::{Lane, Waiting};
use super::{FRAME_MAX, MAX_SUBSTREAMS, OUT_MAX, UNREAD_MAX};
use crate::buffer::Buffers;

/// Which end of a session this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// It dialed, and opens substreams.
    Dialing,
    /// It answers those that the other side opens.
    Accepting,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// It takes new substreams.
    Open,
    /// It ends with its last substream.
    Ending,
    /// It has ended; its substreams learn it as they read and write.
    Ended,
}

/// One connection that carries many.
#[derive(Debug)]
pub struct Session {
    state: RefCell<State>,
    /// Whether it has carried a substream: the other side may be closing it just now.
    used: Cell<bool>,
    /// Our end of a dialed connection.
    pub(super) local: Cell<Option<SocketAddr>>,
}

#[derive(Debug)]
struct State {
    side: Side,
    places: Vec<Place>,
    /// Places to open the next substreams in; the accepting side has no use for them.
    vacant: Vec<u16>,
    open: usize,
    stage: Stage,
    output: Vec<u8>,
    written: usize,
    driver: Waiting,
    /// A substream waits for room in the output.
    crowded: bool,
    buffers: Rc<Buffers>,
}

/// Where a substream is, and which of those that have been there.
#[derive(Debug, Default)]
struct Place {
    uses: u16,
    lane: Option<Lane>,
}

fn place_of(id: u32) -> usize {
    (id & 0xffff) as usize
}

fn lane(places: &mut [Place], id: u32) -> Option<&mut Lane> {
    places.get_mut(place_of(id))?.lane.as_mut().filter(|lane| lane.id == id)
}

impl State {
    fn lane(&mut self, id: u32) -> Option<&mut Lane> {
        lane(&mut self.places, id)
    }

    /// Has a frame sent in this turn.
    fn push(&mut self, kind: Kind, id: u32, payload: &[u8]) {
        self.put(kind, id, payload);
        self.driver.wake();
    }

    /// Puts a frame where it leaves with the next one, or when the driver is next woken.
    fn put(&mut self, kind: Kind, id: u32, payload: &[u8]) {
        if self.output.capacity() == 0 {
            self.output = self.buffers.output();
        }
        Head { kind, length: payload.len(), id }.write(&mut self.output);
        self.output.extend_from_slice(payload);
    }

    fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    fn enter(&mut self, lane: Lane) {
        let place = place_of(lane.id);
        if self.places.len() <= place {
            self.places.resize_with(place + 1, Place::default);
        }
        self.places[place].lane = Some(lane);
        self.open += 1;
    }

    /// Frees the place of a substream that both sides are through with.
    fn clear_if_over(&mut self, id: u32) {
        if !self.lane(id).is_some_and(|lane| lane.is_over()) {
            return;
        }
        let place = place_of(id);
        self.places[place].lane = None;
        self.open -= 1;
        if self.side == Side::Dialing {
            self.vacant.extend(u16::try_from(place));
        }
        // The driver of a session that is to end waits for the last one.
        if self.open == 0 {
            self.driver.wake();
        }
    }

    /// Gives back the buffer of a substream that has nothing to read.
    fn release_drained(&mut self, id: u32) {
        if let Some(buffer) = self.lane(id).and_then(Lane::take_drained) {
            self.buffers.release_output(buffer);
        }
    }
}

/// What a frame brought about.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Received {
    Nothing,
    /// The other side has opened this substream.
    Opened(u32),
}

impl Session {
    pub(super) fn new(side: Side, buffers: &Rc<Buffers>) -> Rc<Self> {
        let state = State {
            side,
            places: Vec::new(),
            vacant: Vec::new(),
            open: 0,
            stage: Stage::Open,
            output: Vec::new(),
            written: 0,
            driver: Waiting::default(),
            crowded: false,
            buffers: Rc::clone(buffers),
        };
        Rc::new(Self { state: RefCell::new(state), used: Cell::default(), local: Cell::default() })
    }

    /// A new substream; None when the session takes none. Also whether others came before it.
    pub(super) fn open(self: &Rc<Self>) -> Option<(Substream, bool)> {
        let mut state = self.state.borrow_mut();
        if state.stage != Stage::Open || state.open >= MAX_SUBSTREAMS {
            return None;
        }
        let place = match state.vacant.pop() {
            Some(place) => place,
            None => u16::try_from(state.places.len()).ok()?,
        };
        let uses = state.places.get(usize::from(place)).map_or(0, |it| it.uses).wrapping_add(1);
        let id = u32::from(uses) << 16 | u32::from(place);
        state.enter(Lane::new(id));
        state.places[usize::from(place)].uses = uses;
        Some((Substream { session: Rc::clone(self), id }, self.used.replace(true)))
    }

    /// The substream that the other side has opened under this number.
    pub(super) fn accept(self: &Rc<Self>, id: u32) -> Substream {
        Substream { session: Rc::clone(self), id }
    }

    /// Takes no more substreams and ends with the last one that it has.
    pub(super) fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.stage = state.stage.max(Stage::Ending);
        state.driver.wake();
    }

    /// The connection has ended: all substreams with it.
    pub(super) fn ended(&self) {
        let mut state = self.state.borrow_mut();
        state.stage = Stage::Ended;
        for lane in state.places.iter_mut().filter_map(|place| place.lane.as_mut()) {
            lane.wake_all();
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    /// How many substreams are open, on either side.
    pub(super) fn substreams(&self) -> usize {
        self.state.borrow().open
    }

    /// Sets the task of `cx` to be woken when there is something to write.
    pub(super) fn drive(&self, cx: &Context<'_>) {
        self.state.borrow_mut().driver.wait(cx);
    }

    /// Says something that concerns the whole session.
    pub(super) fn say(&self, kind: Kind) {
        self.state.borrow_mut().push(kind, 0, &[]);
    }

    /// Lets `write` write what waits, until it cannot or all is written. It says how much it wrote.
    pub(super) fn poll_write(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let result = loop {
            if state.unwritten() == 0 {
                break Poll::Ready(Ok(()));
            }
            match write(&state.output[state.written..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => state.written += n,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if state.unwritten() == 0 {
            state.written = 0;
            state.buffers.release_output(std::mem::take(&mut state.output));
        } else if state.written > OUT_MAX {
            state.output.drain(..state.written);
            state.written = 0;
        }
        if state.crowded && state.unwritten() < OUT_MAX {
            state.crowded = false;
            for lane in state.places.iter_mut().filter_map(|place| place.lane.as_mut()) {
                lane.writer.wake();
            }
        }
        result
    }

    /// Takes a piece of a data frame's payload.
    pub(super) fn receive_data(&self, id: u32, data: &[u8]) -> Result<Received, Violation> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if let Some(lane) = lane(&mut state.places, id) {
            lane.receive(data, &state.buffers)?;
            return Ok(Received::Nothing);
        }
        let vacant = state.places.get(place_of(id)).is_none_or(|place| place.lane.is_none());
        if state.side == Side::Dialing || !vacant {
            return Err(Violation::Unopened);
        }
        // Twice what we would open ourselves: numbers are freed here later than there.
        if state.open >= 2 * MAX_SUBSTREAMS || place_of(id) >= 2 * MAX_SUBSTREAMS {
            return Err(Violation::TooMany);
        }
        let mut lane = Lane::new(id);
        lane.receive(data, &state.buffers)?;
        state.enter(lane);
        Ok(Received::Opened(id))
    }

    /// Takes a frame other than data; `credit` is its payload, if it has one.
    pub(super) fn receive(&self, kind: Kind, id: u32, credit: u32) -> Result<(), Violation> {
        let mut state = self.state.borrow_mut();
        match kind {
            Kind::Ping => {
                state.push(Kind::Pong, 0, &[]);
            }
            Kind::GoingAway => state.stage = state.stage.max(Stage::Ending),
            Kind::Pong | Kind::Data => {}
            Kind::End | Kind::Reset | Kind::Credit => {
                // One that is over already may have crossed with this.
                let Some(lane) = state.lane(id) else { return Ok(()) };
                match kind {
                    Kind::End => lane.ended = true,
                    Kind::Reset => lane.was_reset = true,
                    _ => lane.credit = lane.credit.checked_add(credit).ok_or(Violation::Credit)?,
                }
                lane.wake_all();
                state.clear_if_over(id);
            }
        }
        if state.unwritten() > UNREAD_MAX {
            return Err(Violation::Unread);
        }
        Ok(())
    }
}

/// One connection among those of a [`Session`].
#[derive(Debug)]
pub struct Substream {
    session: Rc<Session>,
    id: u32,
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Substream {
    /// Our end of the connection that it is one of.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.session.local.get()
    }

    /// Whether it can carry another request: nobody has said a word about ending it, or the session.
    pub fn is_usable(&self) -> bool {
        let mut state = self.session.state.borrow_mut();
        state.stage == Stage::Open && state.lane(self.id).is_some_and(|lane| !lane.heard_out())
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.session.state.borrow_mut();
        let stage = state.stage;
        let Some(lane) = state.lane(self.id) else { return Poll::Ready(Err(reset())) };
        let n = lane.unread().len().min(buf.remaining());
        if n == 0 {
            // What came before a reset was read; an end is an end even when the session is gone.
            return match lane {
                Lane { ended: true, .. } => Poll::Ready(Ok(())),
                Lane { was_reset: true, .. } => Poll::Ready(Err(reset())),
                _ if stage == Stage::Ended => Poll::Ready(Err(reset())),
                lane => {
                    lane.reader.wait(cx);
                    Poll::Pending
                }
            };
        }
        buf.put_slice(&lane.unread()[..n]);
        let credit = lane.consume(n);
        state.release_drained(self.id);
        if let Some(credit) = credit {
            state.put(Kind::Credit, self.id, &credit.bytes.to_be_bytes());
            // A sender that has some left sends more, which wakes the driver.
            if credit.urgent {
                state.driver.wake();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.session.state.borrow_mut();
        let room = OUT_MAX.saturating_sub(state.unwritten());
        let ended = state.stage == Stage::Ended;
        let Some(lane) = state.lane(self.id) else { return Poll::Ready(Err(reset())) };
        if ended || lane.was_reset || lane.said_end {
            return Poll::Ready(Err(reset()));
        }
        let n = buf.len().min(room).min(lane.credit as usize);
        if n == 0 && !buf.is_empty() {
            lane.writer.wait(cx);
            state.crowded |= room == 0;
            return Poll::Pending;
        }
        // No more than the credit, which is a u32.
        lane.credit -= u32::try_from(n).unwrap_or(lane.credit);
        for piece in buf[..n].chunks(FRAME_MAX) {
            state.push(Kind::Data, self.id, piece);
        }
        Poll::Ready(Ok(n))
    }

    /// What was written is the driver's to send; credit and room are the back-pressure.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.session.state.borrow_mut();
        let ended = state.stage == Stage::Ended;
        let Some(lane) = state.lane(self.id) else { return Poll::Ready(Err(reset())) };
        if ended || lane.was_reset {
            return Poll::Ready(Err(reset()));
        }
        if !std::mem::replace(&mut lane.said_end, true) {
            state.push(Kind::End, self.id, &[]);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        let mut state = self.session.state.borrow_mut();
        let ended = state.stage == Stage::Ended;
        let Some(lane) = state.lane(self.id) else { return };
        lane.left = true;
        let in_order = lane.said_end && lane.ended;
        let unread = lane.unread().len();
        // Nobody gives credit for it, and nobody reads it.
        let _ = lane.consume(unread);
        state.release_drained(self.id);
        if !in_order && !ended {
            state.push(Kind::Reset, self.id, &[]);
        }
        state.clear_if_over(self.id);
    }
}
