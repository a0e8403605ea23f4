//! The one query to the whole cluster: this node's own answer beside those of the members, each with its age; and the answers to
//! what members ask.
//!
//! ```text
//!  herald drops --cluster --GET /cluster/drops--> control thread of a --question--> a's loop == mesh ==> loops of b, c
//!                                                   own answer, read here                                   |
//!  {"a": {"age_ms": 0, "report": ...}, ...} <------ joined <---------------- pieces ---------- control threads of b, c
//! ```

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use super::server::{Desk, json};
use super::{AskError, EVENTS_ANSWER_MAX, Question};
use crate::app::event_loop::{Answered, Inquired, NodeAnswer, Silence};
use crate::app::reports::{self, EventRow, REPORTS, Source};
use crate::app::stream;
use crate::io::clock;
use herald_core::id::NodeId;
use herald_core::limits::{INQUIRY_ANSWER_LEN_MAX, INQUIRY_ROWS_MAX};
use herald_core::time::Instant;

/// Questions of members that are answered at the same time; the others wait.
const ANSWERING_MAX: usize = 4;

/// Bytes kept of an answer for its first line.
const HEAD_LEN_MAX: usize = 1_024;

/// The first line of an answer; the report's JSON follows it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    /// Microseconds from the question's arrival until the report was read.
    after_us: u64,
    /// Rows that found no room.
    left_out: usize,
    /// Why there is no report.
    error: Option<String>,
}

/// A report of this node.
struct Own {
    json: Vec<u8>,
    left_out: usize,
}

/// Answers what members ask, until there are no more questions.
pub(super) async fn answer_members(desk: Desk, mut inquiries: mpsc::Receiver<Inquired>) {
    let places = Arc::new(Semaphore::new(ANSWERING_MAX));
    while let Some(inquired) = inquiries.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let desk = desk.clone();
        tokio::spawn(async move {
            let bytes = answer_to(&desk, &inquired).await;
            // A loop that cannot take it: the asker names this node as late.
            let _ = desk.asker.tell(Question::Answered(Answered { to: inquired.from, id: inquired.id, bytes }));
            drop(place);
        });
    }
    std::future::pending().await
}

async fn answer_to(desk: &Desk, inquired: &Inquired) -> Vec<u8> {
    let micros = clock::now().since(inquired.arrived).as_micros();
    let after_us = u64::try_from(micros).unwrap_or(u64::MAX);
    let question = String::from_utf8_lossy(&inquired.question);
    match read(desk, &question).await {
        Ok(Own { json, left_out }) if json.len() <= INQUIRY_ANSWER_LEN_MAX - HEAD_LEN_MAX => {
            framed(&Head { after_us, left_out, error: None }, &json)
        }
        Ok(Own { json, .. }) => {
            let error = format!("its answer of {} bytes is too long; ask it alone", json.len());
            framed(&Head { error: Some(error), ..Head::default() }, &[])
        }
        Err(error) => framed(&Head { error: Some(error), ..Head::default() }, &[]),
    }
}

fn framed(head: &Head, body: &[u8]) -> Vec<u8> {
    // Numbers and texts can always be written as JSON.
    let mut bytes = serde_json::to_vec(head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one of this node's reports by its path.
async fn read(desk: &Desk, path: &str) -> Result<Own, String> {
    let busy = |error: AskError| error.to_string();
    let (name, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(words) = name.strip_prefix("/why/") {
        return why(desk, words).await;
    }
    if name == "/events" {
        let after = query.strip_prefix("after=").and_then(|number| number.parse().ok()).unwrap_or_default();
        return events(desk, after).await;
    }
    let report = REPORTS.iter().find(|report| report.path() == name);
    let report = report.ok_or_else(|| format!("{path:?} is no report of its version"))?;
    let mut left_out = 0;
    let answer = match &report.source {
        Source::Loop(read) => desk.asker.ask(|reply| Question::Report(read, reply)).await.map_err(busy)?,
        Source::Shared(read) => read(&desk.shared),
        Source::Sessions(read) => {
            let mut rows = desk.shared.published.take(desk.asker.ask(Question::Sessions).await.map_err(busy)?);
            left_out = rows.len().saturating_sub(INQUIRY_ROWS_MAX);
            rows.truncate(INQUIRY_ROWS_MAX);
            read(rows)
        }
    };
    Ok(Own { json: answer().map_err(|error| error.to_string())?, left_out })
}

/// The newest events above a number, as an array.
async fn events(desk: &Desk, mut after: u64) -> Result<Own, String> {
    let mut rows: Vec<EventRow> = Vec::new();
    loop {
        let more = desk.asker.ask(|reply| Question::Events(after, reply)).await.map_err(|error| error.to_string())?;
        let is_last = more.len() < EVENTS_ANSWER_MAX;
        after = more.last().map_or(after, |row| row.number);
        rows.extend(more);
        if is_last {
            break;
        }
    }
    let left_out = rows.len().saturating_sub(INQUIRY_ROWS_MAX);
    let json = serde_json::to_vec(rows.get(left_out..).unwrap_or_default()).map_err(|error| error.to_string())?;
    Ok(Own { json, left_out })
}

/// The last dropped frames, all or those of a stream: `LAST` or `LAST/PROTOCOL/SOURCE/DESTINATION`.
async fn why(desk: &Desk, words: &str) -> Result<Own, String> {
    let (last, ends) = words.split_once('/').unwrap_or((words, ""));
    let last: usize = last.parse().map_err(|_| format!("{last:?} is no number of frames"))?;
    let of = match ends {
        "" => None,
        _ => Some(stream::parse(&ends.replace('/', " ")).map_err(|error| error.to_string())?),
    };
    let dropped = desk.asker.ask(Question::Dropped).await.map_err(|error| error.to_string())?;
    let (rows, left_out) = reports::why_rows(&dropped, of, last, &desk.shared);
    Ok(Own { json: serde_json::to_vec(&rows).map_err(|error| error.to_string())?, left_out })
}

/// A report of this node alone that takes arguments.
pub(super) async fn own(State(desk): State<Desk>, uri: Uri) -> Response {
    match read(&desk, uri.path()).await {
        Ok(own) => json(own.json),
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}

/// A report of all members: an object with each one's answer and its age, or with why it has none.
pub(super) async fn everybody(State(desk): State<Desk>, uri: Uri) -> Response {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let question = path.strip_prefix("/cluster").unwrap_or(path).to_owned();
    let asked = clock::now();
    let others = desk.asker.ask(|reply| Question::Cluster(question.clone(), reply));
    let (own, others) = tokio::join!(read(&desk, &question), others);
    let now = clock::now();
    let own = match own {
        Ok(own) => said(millis(asked, now), own.left_out, &own.json),
        // A question that this node does not understand is no question.
        Err(error) => return (StatusCode::BAD_REQUEST, error).into_response(),
    };
    let others = match others {
        Ok(others) => others,
        Err(error) => return error.into_response(),
    };
    let mut answers: Vec<(NodeId, Vec<u8>)> =
        others.into_iter().map(|answer| (answer.node, heard(now, &answer))).collect();
    answers.push((desk.shared.node, own));
    answers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let members = answers.iter().map(|(node, answer)| [format!("\"{node}\":").as_bytes(), answer].concat());
    json([b"{", &members.collect::<Vec<_>>().join(&b","[..])[..], b"}"].concat())
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

/// One node's answer in JSON.
fn said(age_ms: u64, left_out: usize, report: &[u8]) -> Vec<u8> {
    let left_out = if left_out > 0 { format!(",\"left_out\":{left_out}") } else { String::new() };
    [format!("{{\"age_ms\":{age_ms}{left_out},\"report\":").as_bytes(), report, b"}"].concat()
}

fn silent(reason: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "error": reason })).unwrap_or_default()
}

/// What a member said or why it did not, in JSON. The age counts from the question, less the time until the member read its
/// report: the clocks of two nodes are never compared.
fn heard(now: Instant, answer: &NodeAnswer) -> Vec<u8> {
    let (bytes, asked) = match &answer.said {
        Ok(said) => said,
        Err(Silence::Unreachable(state)) => return silent(&format!("it is {}: not asked", state.name())),
        Err(Silence::Late) => {
            return silent("no answer in time: it is stopped, busy or of a version without this query");
        }
        Err(Silence::TooLong) => return silent("its answer is longer than any may be"),
    };
    let cut = bytes.iter().position(|byte| *byte == b'\n').and_then(|at| bytes.split_at_checked(at));
    let Some((head, body)) = cut.map(|(head, body)| (head, body.get(1..).unwrap_or_default())) else {
        return silent("its answer cannot be read");
    };
    match serde_json::from_slice::<Head>(head) {
        Ok(Head { error: Some(error), .. }) => silent(&error),
        Ok(head) if serde_json::from_slice::<Value>(body).is_ok() => {
            said(millis(*asked, now).saturating_sub(head.after_us / 1_000), head.left_out, body)
        }
        Ok(_) | Err(_) => silent("its answer cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_core::membership::MemberState;

    fn shown(said: Result<Vec<u8>, Silence>) -> String {
        let asked = Instant::from_nanos(1_000_000);
        let answer = NodeAnswer { node: "b".parse().unwrap(), said: said.map(|bytes| (bytes, asked)) };
        String::from_utf8(heard(Instant::from_nanos(11_000_000), &answer)).unwrap()
    }

    #[test]
    fn an_answer_has_its_age_and_an_absence_its_reason() {
        let head = Head { after_us: 4_000, ..Head::default() };
        assert_eq!(shown(Ok(framed(&head, b"[1]"))), r#"{"age_ms":6,"report":[1]}"#);
        let head = Head { left_out: 9, ..Head::default() };
        assert_eq!(shown(Ok(framed(&head, b"[1]"))), r#"{"age_ms":10,"left_out":9,"report":[1]}"#);
        let head = Head { error: Some("no \"x\"".to_owned()), ..Head::default() };
        assert_eq!(shown(Ok(framed(&head, b""))), r#"{"error":"no \"x\""}"#);
        let dead = Err(Silence::Unreachable(MemberState::Dead));
        assert_eq!(shown(dead), r#"{"error":"it is dead: not asked"}"#);
        for nonsense in [&b""[..], b"{}", b"{}\n", b"x\n1", b"{}\n[1"] {
            assert_eq!(shown(Ok(nonsense.to_vec())), r#"{"error":"its answer cannot be read"}"#, "{nonsense:?}");
        }
    }
}
