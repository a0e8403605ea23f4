//! Heads of HTTP/1 requests and responses (RFC 9112), and what receivers may read in two ways about them.

mod body;
mod head;
mod request;
mod response;
mod target;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::limits::{HTTP_HEADERS_MAX, HTTP_UNANSWERED_MAX};
use crate::{FactName, Facts, Oddity, Progress, Value};

use body::Body;
use head::{Collected, Head};

/// What a response's meaning depends on about its request (RFC 9112, section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// Its response has no body.
    Head,
    /// A positive response begins a tunnel.
    Connect,
    Other,
}

/// Reads both directions of a connection: how a response ends depends on its request.
#[derive(Debug, Default)]
pub struct Parser {
    client: Side,
    server: Side,
    unanswered: VecDeque<Asked>,
}

/// Where the reader is in one direction.
#[derive(Debug, Default)]
struct Side {
    head: Head,
    body: Body,
    has_begun: bool,
    end: Option<Progress>,
}

impl Side {
    fn finish(&mut self, progress: Progress, facts: &mut Facts) -> Progress {
        if progress.is_end() {
            self.end = Some(progress);
            self.head = Head::default();
        }
        if let Progress::Refused(oddity) = progress {
            facts.add_oddity(FactName::HttpOddities, oddity);
        }
        progress
    }

    /// Skips what is left of a body, and takes the next head. Comes back when there is none, or none yet.
    fn next_head(&mut self, bytes: &mut &[u8], plausible: fn(&[u8]) -> bool) -> Option<Progress> {
        match self.body.skip(bytes) {
            Progress::Done => {}
            progress @ (Progress::Need(_) | Progress::NotThis | Progress::Refused(_)) => return Some(progress),
        }
        let collected = self.head.collect(bytes);
        if !self.has_begun && !plausible(self.head.bytes()) {
            return Some(Progress::NotThis);
        }
        match collected {
            Collected::Need => Some(Progress::Need(1)),
            Collected::TooLong => Some(Progress::Refused(Oddity::HttpHeadTooLong)),
            Collected::Whole => {
                self.has_begun = true;
                None
            }
        }
    }
}

impl Parser {
    /// A parser at the first byte of both directions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's next bytes.
    pub fn from_client(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.client.end {
            return end;
        }
        let progress = self.read_requests(bytes, facts);
        self.client.finish(progress, facts)
    }

    /// Takes the server's next bytes. Those of the client that came before them must have been given before.
    pub fn from_server(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.server.end {
            return end;
        }
        let progress = self.read_responses(bytes, facts);
        self.server.finish(progress, facts)
    }

    fn read_requests(&mut self, mut bytes: &[u8], facts: &mut Facts) -> Progress {
        loop {
            if let Some(progress) = self.client.next_head(&mut bytes, request::is_plausible) {
                return progress;
            }
            let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
            let head = self.client.head.bytes();
            let asked = request::asked(head);
            let (mut request, body) = match request::read(head, &mut headers) {
                Ok(read) => read,
                Err(oddity) => return Progress::Refused(oddity),
            };
            request.oddities.extend(self.client.head.oddities());
            self.client.head.clear();
            for oddity in &request.oddities {
                facts.add_oddity(FactName::HttpOddities, *oddity);
            }
            facts.add(FactName::HttpRequests, Value::Requests(vec![request]));
            if self.unanswered.len() >= HTTP_UNANSWERED_MAX {
                return Progress::Refused(Oddity::HttpUnanswered);
            }
            self.unanswered.push_back(asked);
            match body {
                Ok(body) => self.client.body = body,
                Err(oddity) => return Progress::Refused(oddity),
            }
        }
    }

    fn read_responses(&mut self, mut bytes: &[u8], facts: &mut Facts) -> Progress {
        loop {
            if let Some(progress) = self.server.next_head(&mut bytes, response::is_plausible) {
                return progress;
            }
            let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
            let (mut response, framed) = match response::read(self.server.head.bytes(), &mut headers) {
                Ok(read) => read,
                Err(oddity) => return Progress::Refused(oddity),
            };
            response.oddities.extend(self.server.head.oddities());
            self.server.head.clear();
            let status = response.status;
            for oddity in &response.oddities {
                facts.add_oddity(FactName::HttpOddities, *oddity);
            }
            facts.add(FactName::HttpResponses, Value::Responses(vec![response]));
            // Interim responses answer nothing yet (RFC 9110, section 15.2).
            let is_interim = (100..200).contains(&status) && status != 101;
            let asked = if is_interim { None } else { self.unanswered.pop_front() };
            let is_tunnel = status == 101 || asked == Some(Asked::Connect) && (200..300).contains(&status);
            if is_tunnel {
                // The client speaks something else from here on.
                let progress = Progress::Done;
                self.client.finish(progress, facts);
                return progress;
            }
            let has_none = is_interim || asked == Some(Asked::Head) || matches!(status, 204 | 304);
            match framed {
                _ if has_none => self.server.body = Body::None,
                Ok(Body::UntilClose) => return Progress::Done,
                Ok(body) => self.server.body = body,
                Err(oddity) => return Progress::Refused(oddity),
            }
        }
    }
}

/// What `httparse` refuses, by our names.
fn refused(error: httparse::Error) -> Oddity {
    match error {
        httparse::Error::HeaderName => Oddity::HttpHeaderName,
        httparse::Error::HeaderValue => Oddity::HttpHeaderValue,
        httparse::Error::NewLine => Oddity::HttpLineEnd,
        httparse::Error::TooManyHeaders => Oddity::HttpTooManyHeaders,
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => Oddity::HttpFirstLine,
    }
}
