//! The control API: HTTP and JSON over a Unix socket, each command one path. What the event loop must say itself is asked
//! through a bounded queue and answered with plain data.

pub mod client;
mod clients;
mod cluster;
mod server;
mod socket;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use mio::Waker;
use tokio::sync::oneshot;

pub use server::{Control, Shared, start};
pub use socket::{ControlSocket, SocketError};

use super::drain::Draining;
use super::event_loop::{Answered, EventLoop, NodeAnswer};
use super::published::Complete;
use super::reports::{Answer, EventRow, Read, Who};
use herald_core::flow::FlowKey;
use herald_core::membership::Service;
use herald_core::outbox::Dropped;

/// Questions that wait for the loop; more people than this do not ask at once.
const QUESTIONS_MAX: usize = 64;

/// Time for the loop to answer. A node that is alone with a slow plugin still makes it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// Events in one answer, so that a reader of all of them does not stop the loop.
pub const EVENTS_ANSWER_MAX: usize = 1_024;

/// Where the loop puts its answer.
pub type Reply<T> = oneshot::Sender<T>;

/// What the loop can be asked.
pub enum Question {
    /// A report that the loop reads.
    Report(&'static Read<EventLoop>, Reply<Answer>),
    /// The session tables: told when all parts of them are published.
    Sessions(Reply<Complete>),
    /// `who`: the opener's flow. Its interface is not known to the asker and counts for nothing.
    Who(FlowKey, Reply<Who>),
    /// `drain` and `undrain`; the answer is what is left to give away.
    Serve(Service, Reply<Draining>),
    /// The question that goes to all members.
    Cluster(String, Reply<Vec<NodeAnswer>>),
    /// What a member asked is answered.
    Answered(Answered),
    /// `why`: the last dropped frames.
    Dropped(Reply<Vec<Dropped>>),
    /// `events`: at most [`EVENTS_ANSWER_MAX`] whose number is above this.
    Events(u64, Reply<Vec<EventRow>>),
}

/// The asking end, for the control thread.
#[derive(Clone, Debug)]
pub struct Asker {
    queue: SyncSender<Question>,
    waker: Arc<Waker>,
}

/// A question without answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The queue is full.
    #[error("the node has too many questions to answer; try again")]
    Busy,
    /// The loop did not answer in time.
    #[error(
        "the node's event loop did not answer within {} s; its log may name a plugin that hangs",
        ANSWER_TIME_MAX.as_secs()
    )]
    Late,
    /// The loop has ended.
    #[error("the node is stopping")]
    Stopping,
}

/// A queue of questions; the loop keeps the receiver and is woken for each question.
#[must_use]
pub fn questions(waker: Arc<Waker>) -> (Asker, Receiver<Question>) {
    let (queue, questions) = sync_channel(QUESTIONS_MAX);
    (Asker { queue, waker }, questions)
}

impl Asker {
    /// Asks the loop and waits for the answer.
    ///
    /// # Errors
    /// When the loop cannot take the question or does not answer.
    pub async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply))?;
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, answer).await.map_err(|_| AskError::Late)?;
        answered.map_err(|_| AskError::Stopping)
    }

    /// Gives the loop something to which there is no answer.
    ///
    /// # Errors
    /// When the loop cannot take it.
    pub fn tell(&self, question: Question) -> Result<(), AskError> {
        self.queue.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => AskError::Busy,
            TrySendError::Disconnected(_) => AskError::Stopping,
        })?;
        self.waker.wake().map_err(|_| AskError::Stopping)
    }
}

#[cfg(test)]
mod tests;
