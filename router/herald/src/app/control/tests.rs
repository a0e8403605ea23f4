use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use mio::{Events, Poll, Token};
use tokio::sync::mpsc;

use super::*;
use crate::app::event_loop::{Inquired, NodeAnswer, Silence};
use crate::app::published::{Published, Publisher};
use crate::app::reports::{REPORTS, Source, unwritten};
use crate::io::clock;
use herald_core::event::Event;
use herald_core::id::NodeId;
use herald_core::time::Instant;
use herald_host::Report;

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

fn no_plugins() -> Report {
    let clock = herald_host::Clock { monotonic: clock::now, unix_nanos: || 0 };
    herald_host::Chain::load(&herald_host::Settings { directory: PathBuf::new(), clock }, &[]).unwrap().report()
}

/// A node's control API with a loop that answers from canned data until it is dropped.
struct Fake {
    control: Option<Control>,
    answering: Option<JoinHandle<()>>,
    inquired: mpsc::Sender<Inquired>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Fake {
    fn start(mut answer: impl FnMut(Question) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let mut poll = Poll::new().unwrap();
        let (asker, questions) = questions(Arc::new(Waker::new(poll.registry(), Token(0)).unwrap()));
        let shared = Shared { published: Published::default(), plugins: no_plugins(), node: node("a") };
        let (inquired, inquiries) = mpsc::channel(1);
        let control = start(ControlSocket::bind(&path).unwrap(), asker, shared, inquiries).unwrap();
        let answering = std::thread::spawn(move || {
            let mut events = Events::with_capacity(1);
            loop {
                match questions.try_recv() {
                    Ok(question) => answer(question),
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                    Err(std::sync::mpsc::TryRecvError::Empty) => poll.poll(&mut events, Some(PATIENCE)).unwrap(),
                }
            }
        });
        Self { control: Some(control), answering: Some(answering), inquired, path, _folder: folder }
    }

    fn report(&self, report: &str) -> Result<String, client::ClientError> {
        client::report(&self.path, report)
    }
}

/// How long the fake loop sleeps at most before it looks whether the control thread has ended.
const PATIENCE: Duration = Duration::from_millis(50);

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.control.take());
        self.answering.take().unwrap().join().unwrap();
    }
}

fn canned(question: Question) {
    match question {
        // Any report that is the loop's.
        Question::Report(_, reply) => reply.send(unwritten([("mid-stream", 4)])).ok().unwrap(),
        Question::Who(flow, reply) => {
            assert_eq!(flow.destination().ip(), IpAddr::from(Ipv4Addr::new(10, 2, 0, 100)));
            reply.send(Who { chosen: Some(node("c")), first: Some(node("c")), second: None }).unwrap();
        }
        Question::Events(after, reply) => {
            let last = (after + EVENTS_ANSWER_MAX as u64).min(2_500);
            let event = Event::LinkUp { peer: node("b") };
            reply.send((after + 1..=last).map(|n| EventRow::new(n, Instant::from_nanos(n), &event)).collect()).unwrap();
        }
        Question::Sessions(reply) => {
            let mut publisher = Publisher::new(Published::default());
            publisher.begin(reply);
            publisher.publish(|_| None);
        }
        Question::Cluster(question, reply) => {
            assert_eq!(question, "/drops");
            let said = |id, said| NodeAnswer { node: node(id), said };
            let answer = b"{\"after_us\":0}\n{\"no-route\":2}".to_vec();
            reply.send(vec![said("c", Ok((answer, clock::now()))), said("b", Err(Silence::Late))]).unwrap();
        }
        Question::Answered(_) => panic!("no member has asked"),
        Question::Dropped(reply) => reply.send(Vec::new()).unwrap(),
        Question::Serve(service, reply) => {
            reply.send(Draining { draining: service == Service::Draining, roles: 1, streams: 2 }).unwrap();
        }
    }
}

#[test]
fn questions_go_to_the_loop_and_answers_come_back_as_json() {
    let fake = Fake::start(canned);
    for report in REPORTS.iter() {
        let expected = match report.source {
            Source::Loop(_) => r#"[["mid-stream",4]]"#,
            Source::Shared(_) | Source::Sessions(_) => "[]",
        };
        assert_eq!(fake.report(&report.path()).unwrap(), expected, "{}", report.name);
    }
    let who = fake.report("/who/tcp/10.1.0.100:41234/10.2.0.100:80").unwrap();
    assert_eq!(who, r#"{"chosen":"c","first":"c","second":null}"#);
}

#[test]
fn all_events_come_in_order_though_each_answer_is_bounded() {
    let fake = Fake::start(canned);
    let lines = fake.report("/events").unwrap();
    let numbers: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=2_500).collect::<Vec<_>>());
    assert_eq!(fake.report("/events?after=2498").unwrap().lines().count(), 2);
}

#[test]
fn the_cluster_answers_node_by_node() {
    let fake = Fake::start(canned);
    let answer: serde_json::Value = serde_json::from_str(&fake.report("/cluster/drops").unwrap()).unwrap();
    assert_eq!(answer["a"]["report"], serde_json::json!([["mid-stream", 4]]), "its own, as without the others");
    assert_eq!(answer["c"]["report"], serde_json::json!({"no-route": 2}));
    assert!(answer["c"]["age_ms"].is_u64() && answer["b"]["error"].as_str().unwrap().starts_with("no answer in time"));
    assert_eq!(fake.report("/why/20").unwrap(), "[]");
}

#[test]
fn what_members_ask_is_answered() {
    let (answered, answers) = std::sync::mpsc::channel();
    let fake = Fake::start(move |question| {
        if let Question::Answered(answer) = question { answered.send(answer).unwrap() } else { canned(question) }
    });
    for (id, question, expected) in [
        (7, "/drops", "}\n[[\"mid-stream\",4]]"),
        (8, "/events?after=2498", "\"number\":2499,"),
        (9, "/why/1/udp/10.1.0.1:1/10.2.0.1:2", "}\n[]"),
        (10, "/why/x", "no number of frames"),
        (11, "/drain", "is no report of its version"),
    ] {
        let arrived = clock::now();
        let inquired = Inquired { from: node("b"), id, question: question.into(), arrived };
        fake.inquired.blocking_send(inquired).unwrap();
        let answer = answers.recv_timeout(Duration::from_secs(20)).unwrap();
        let text = String::from_utf8(answer.bytes).unwrap();
        assert_eq!((answer.to, answer.id), (node("b"), id));
        assert!(text.contains(expected), "{question}: {text}");
    }
}

#[test]
fn wrong_questions_are_refused_with_a_reason() {
    let fake = Fake::start(|question| {
        if let Question::Cluster(_, reply) = question { reply.send(Vec::new()).unwrap() } else { canned(question) }
    });
    for (path, reason) in [
        ("/nothing", "there is no such report"),
        ("/who/tcp/10.1.0.100/10.2.0.100:80", "\"10.1.0.100\" is no address with port"),
        ("/who/xyz/10.1.0.100:1/10.2.0.100:80", "\"xyz\" is no protocol"),
        ("/cluster/nothing", "is no report of its version"),
    ] {
        let error = fake.report(path).unwrap_err().to_string();
        assert!(error.contains(reason), "{path}: {error}");
    }
}

#[test]
fn a_loop_that_drops_the_question_is_said_to_be_stopping() {
    let fake = Fake::start(drop);
    let error = fake.report("/status").unwrap_err().to_string();
    assert!(error.ends_with("a.sock: the node is stopping"), "{error}");
}

#[test]
fn old_and_simple_clients_are_served_too() {
    use std::io::{Read, Write};
    let fake = Fake::start(canned);
    let mut stream = std::os::unix::net::UnixStream::connect(&fake.path).unwrap();
    stream.write_all(b"GET /drops HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.0 200 OK")
            && answer.contains("\r\ncontent-type: application/json\r\n")
            && answer.ends_with("[[\"mid-stream\",4]]"),
        "{answer}"
    );
}

#[test]
fn clients_that_say_nothing_or_read_nothing_lose_their_places() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    let fake = Fake::start(|question| match question {
        // More than a socket takes.
        Question::Report(_, reply) => reply.send(unwritten("x".repeat(4 << 20))).ok().unwrap(),
        Question::Sessions(_)
        | Question::Who(..)
        | Question::Serve(..)
        | Question::Events(..)
        | Question::Cluster(..)
        | Question::Answered(_)
        | Question::Dropped(_) => {}
    });
    let come = || UnixStream::connect(&fake.path).unwrap();
    let mut silent: Vec<_> = (0..2 * clients::CLIENTS_MAX).map(|_| come()).collect();
    let mut deaf = come();
    deaf.write_all(b"GET /drops HTTP/1.1\r\nHost: herald\r\n\r\n").unwrap();
    // Behind all of them, and within the time that the client has.
    assert!(fake.report("/roles").unwrap().len() > 4 << 20);
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the node has closed");
    }
    // It learns without reading that the node has closed, in the middle of the answer.
    let mut hung_up = [PollFd::new(deaf.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut hung_up, PollTimeout::from(20_000_u16)).unwrap(), 1);
    let mut answer = Vec::new();
    let _reset = deaf.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() < 4 << 20, "{}", answer.len());
}

#[test]
fn the_socket_is_for_its_owner_and_goes_with_the_node() {
    let fake = Fake::start(canned);
    let metadata = fs::symlink_metadata(&fake.path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let path = fake.path.clone();
    let error = ControlSocket::bind(&path).unwrap_err().to_string();
    assert!(error.contains("another node listens there"), "{error}");
    drop(fake);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stale.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(client::report(&path, "/roles").unwrap_err().to_string().contains("its process has ended"));
    drop(ControlSocket::bind(&path).unwrap());
    assert!(!path.exists());

    fs::write(&path, "precious").unwrap();
    let error = ControlSocket::bind(&path).unwrap_err().to_string();
    assert!(error.contains("a file that is no socket has that name"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_node_that_is_not_there_is_said_to_be_absent() {
    let error = client::report(Path::new("/nonexistent/a.sock"), "/roles").unwrap_err().to_string();
    assert!(error.starts_with("no node at /nonexistent/a.sock: there is no such socket"), "{error}");
}
