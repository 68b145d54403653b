use std::task::Waker;

use super::*;

/// Gives its pieces one by one, and waits for ever where there is none.
#[derive(Default)]
struct Script {
    pieces: VecDeque<Option<Piece>>,
    /// The end is known with the last data.
    foreseen: bool,
}

impl Script {
    fn of(words: &[&'static str]) -> Self {
        let data = |word: &&'static str| Some(Piece::Data(Bytes::from_static(word.as_bytes())));
        Self { pieces: words.iter().map(data).collect(), foreseen: false }
    }

    fn then(mut self, piece: Option<Piece>) -> Self {
        self.pieces.push_back(piece);
        self
    }
}

impl Source for &mut Script {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        match self.pieces.pop_front() {
            Some(Some(piece)) => Poll::Ready(Ok(piece)),
            Some(None) | None => Poll::Pending,
        }
    }

    fn at_end(&self) -> bool {
        self.foreseen && self.pieces.is_empty()
    }
}

/// Writes down what it gets.
#[derive(Default)]
struct Paper {
    text: String,
    full: bool,
}

impl Sink for Paper {
    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.full { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn data(&mut self, data: Bytes, last: bool) -> Result<(), Broken> {
        self.text += str::from_utf8(&data).expect("text");
        self.text += if last { "." } else { " " };
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Broken> {
        self.text += if trailers.is_some() { "trailers." } else { "." };
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }
}

fn move_all(pump: &mut Pump, mut source: impl Source, paper: &mut Paper) -> bool {
    pump.poll(&mut Context::from_waker(Waker::noop()), &mut source, paper).is_ready()
}

#[test]
fn a_body_arrives_with_its_end() {
    let with_trailers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), 7_u16.into())]);
    for (mut script, text, status) in [
        (Script::of(&["a", "b"]).then(Some(Piece::End(None))), "a b .", None),
        (Script::of(&["a"]).then(Some(Piece::End(Some(with_trailers)))), "a trailers.", Some(7)),
        (Script { foreseen: true, ..Script::of(&["a", "b"]) }, "a b.", None),
        (Script { foreseen: true, ..Script::of(&["a", ""]) }, "a .", None),
    ] {
        let (mut pump, mut paper) = (Pump::default(), Paper::default());
        assert!(move_all(&mut pump, &mut script, &mut paper) && pump.done());
        assert_eq!((paper.text.as_str(), pump.grpc_status), (text, status));
    }
}

#[test]
fn nothing_is_read_while_the_sink_is_full() {
    let mut script = Script::of(&["a", "b", "c"]);
    let (mut pump, mut paper) = (Pump::default(), Paper { full: true, ..Paper::default() });
    assert!(!move_all(&mut pump, &mut script, &mut paper));
    assert!(!move_all(&mut pump, &mut script, &mut paper));
    assert_eq!((paper.text.as_str(), script.pieces.len()), ("", 2), "one piece is at hand");
    paper.full = false;
    assert!(!move_all(&mut pump, &mut script, &mut paper));
    assert_eq!(paper.text, "a b c ");
}

#[test]
fn a_body_that_was_kept_is_sent_again_from_its_beginning() {
    let mut script = Script::of(&["a", "b"]).then(None).then(Some(Piece::Data("c".into())));
    let mut script = {
        script.pieces.push_back(Some(Piece::End(None)));
        script
    };
    let mut kept = Kept::default();
    for text in ["a b ", "a b c .", "a b c."] {
        kept.rewind();
        let (mut pump, mut paper) = (Pump::default(), Paper::default());
        move_all(&mut pump, kept.before(&mut script), &mut paper);
        assert_eq!(paper.text, text);
        assert!(kept.whole());
    }
}

#[test]
fn what_was_kept_and_not_sent_is_sent_when_there_will_be_no_other_attempt() {
    let mut script = Script::of(&["a", "b", "c"]).then(Some(Piece::End(None)));
    let mut kept = Kept::default();
    move_all(&mut Pump::default(), kept.before(&mut script), &mut Paper::default());
    kept.rewind();
    let (mut pump, mut paper) = (Pump::default(), Paper { full: true, ..Paper::default() });
    move_all(&mut pump, kept.before(&mut script), &mut paper);
    kept.give_up();
    paper.full = false;
    move_all(&mut pump, kept.before(&mut script), &mut paper);
    assert_eq!(paper.text, "a b c.");
    assert!(!kept.whole());
}

#[test]
fn a_long_body_is_not_kept() {
    let long = vec![b'x'; KEPT];
    let mut script = Script::of(&["a"]).then(Some(Piece::Data(long.into()))).then(Some(Piece::End(None)));
    let mut kept = Kept::default();
    let (mut pump, mut paper) = (Pump::default(), Paper::default());
    assert!(move_all(&mut pump, kept.before(&mut script), &mut paper));
    assert_eq!(paper.text.len(), "a ".len() + KEPT + " .".len());
    assert!(!kept.whole() && kept.pieces.is_empty());
}
