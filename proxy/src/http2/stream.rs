//! A downstream's stream: one request, and the way back for its answer.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use spillway_core::pick::Pick;

use super::pump::{Kept, Pump, Sink, Source, StreamBody, ToStream};
use super::received::Received;
use super::{grpc, head};
use crate::access_log::Record;
use crate::body::Broken;
use crate::deadline::Deadline;
use crate::downstream::{Facts, own_lines};
use crate::forward::Failure;
use crate::http1::{HeadView, Malformed, RequestHead, ResponseHead, ResponseOut};
use crate::refusal::Refusal;
use crate::told::Exchanged;

/// Reads a request's head into the typed view and its words.
///
/// # Errors
/// When it breaks HTTP; it has been answered then.
pub(super) fn read(
    facts: &Facts,
    request: &Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(RequestHead, Vec<u8>), Malformed> {
    let (mut head, mut text) = (RequestHead::default(), Vec::with_capacity(512));
    let ended = request.body().is_end_stream();
    match head::read_request(request, ended, &mut text, &mut head) {
        Ok(()) => Ok((head, text)),
        Err(malformed) => {
            let refusal = Refusal::Malformed { reason: malformed.reason };
            let content_type = request.headers().get(header::CONTENT_TYPE);
            let call = content_type.is_some_and(|value| grpc::is_call(value.as_bytes()));
            send_refusal(respond, facts, &refusal, call, request.method() == Method::HEAD);
            Err(malformed)
        }
    }
}

/// A request that came over HTTP/2.
pub(super) struct StreamRequest<'c> {
    facts: &'c Facts,
    deadline: Deadline,
    view: HeadView<'c>,
    body: StreamBody,
    respond: SendResponse<Bytes>,
    /// Once the answer has begun.
    answer: Option<SendStream<Bytes>>,
    /// Whether the downstream reset the stream before it had the whole answer.
    pub(super) reset: bool,
    /// `grpc-status` of an answer of our own.
    refused_with: Option<u8>,
}

impl<'c> StreamRequest<'c> {
    /// A request whose head was read.
    pub(super) fn new(
        facts: &'c Facts,
        deadline: Deadline,
        view: HeadView<'c>,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let body = StreamBody::new(body);
        Self { facts, deadline, view, body, respond, answer: None, reset: false, refused_with: None }
    }
}

impl Received for StreamRequest<'_> {
    fn view(&self) -> &HeadView<'_> {
        &self.view
    }

    fn facts(&self) -> &Facts {
        self.facts
    }

    fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    fn is_http2(&self) -> bool {
        true
    }

    fn is_connect(&self) -> bool {
        // There is no other way to ask over HTTP/2.
        self.view.head.upgrade()
    }

    fn tell<'e>(&'e self, record: &mut Record<'e>) {
        record.downstream(self.facts, self.facts.known_ends());
        record.protocol = Some("HTTP/2");
        record.grpc_status = self.refused_with;
    }

    fn has_body(&self) -> bool {
        !self.body.at_end()
    }

    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        kept: &mut Kept,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Broken>> {
        pump.poll(cx, &mut kept.before(&mut self.body), sink)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let reset = match &mut self.answer {
            Some(answer) => answer.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        self.reset |= reset.is_ready();
        self.reset
    }

    fn inform(&mut self, _: &mut Context<'_>, head: &ResponseHead, text: &[u8]) {
        let out = ResponseOut { strip_own: true, ..ResponseOut::default() };
        // A downstream that cannot take it now cannot take the answer either, and that is noticed.
        let _ = self.respond.send_informational(head::response(head, text, &out));
    }

    fn go_on(&mut self, _: &mut Context<'_>) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        let _ = self.respond.send_informational(response);
    }

    fn begin(
        &mut self,
        (head, text): (&ResponseHead, &[u8]),
        spec: &ResponseOut<'_>,
        ended: bool,
        pick: &Pick<'_>,
    ) -> Result<(), Broken> {
        let told = Exchanged::over(true, &self.view, self.facts, pick).answered(head, text);
        let response = head::response(head, text, &ResponseOut { teller: Some(&told), ..*spec });
        let answer = self.respond.send_response(response, ended).map_err(|_| Broken::Sink)?;
        self.answer = Some(answer);
        Ok(())
    }

    fn begin_tunnel(&mut self) {}

    fn poll_shut(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        source: &mut impl Source,
    ) -> Poll<Result<(), Broken>> {
        match &mut self.answer {
            Some(answer) => pump.poll(cx, source, &mut ToStream(answer)),
            None => Poll::Ready(Err(Broken::Sink)),
        }
    }

    fn finish(&mut self) {}

    fn abort(&mut self, _: &Failure, reason: Option<Reason>) {
        if let Some(answer) = &mut self.answer {
            // NO_ERROR would say that what came was all.
            let reason = reason.filter(|reason| *reason != Reason::NO_ERROR);
            answer.send_reset(reason.unwrap_or(Reason::INTERNAL_ERROR));
        }
    }

    async fn refuse(&mut self, refusal: &Refusal) {
        let HeadView { head, buf } = self.view;
        let (call, without_body) = (grpc::is_call_of(&self.view), head.is_head(buf));
        send_refusal(&mut self.respond, self.facts, refusal, call, without_body);
        self.refused_with = call.then(|| grpc::status_for(refusal.status()));
    }
}

/// Answers ourselves: in HTTP's words, or to a gRPC call in gRPC's, by a head alone.
fn send_refusal(
    respond: &mut SendResponse<Bytes>,
    facts: &Facts,
    refusal: &Refusal,
    call: bool,
    without_body: bool,
) {
    let text = refusal.to_string();
    let mut response = Response::new(());
    if let Ok(status) = StatusCode::from_u16(refusal.status())
        && !call
    {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    for (name, value) in own_lines(facts, refusal) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let body = if call {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", u16::from(grpc::status_for(refusal.status())).into());
        if let Ok(message) = HeaderValue::from_str(&grpc::message(&text)) {
            headers.insert("grpc-message", message);
        }
        Bytes::new()
    } else {
        let body = Bytes::from(text + "\n");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        body
    };
    let ended = without_body || body.is_empty();
    // A downstream that is gone needs no answer.
    if let Ok(mut stream) = respond.send_response(response, ended)
        && !ended
    {
        let _ = stream.send_data(body, true);
    }
}
