//! The clients of the control socket: so many at once, and none keeps its place that says nothing or reads nothing.

use std::io;
use std::os::unix::net;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::ANSWER_TIME_MAX;

/// Clients at once: each has a descriptor, and perhaps an answer of some hundred megabytes. Others wait in the kernel.
pub(super) const CLIENTS_MAX: usize = 16;

/// Time for a client to begin to ask.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);

/// Time without a byte in either direction: longer than the event loop may take for an answer.
const SILENCE_TIME_MAX: Duration = ANSWER_TIME_MAX.saturating_add(Duration::from_secs(2));

/// Time until the next attempt when a client cannot be let in: there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listening socket, with places.
#[derive(Debug)]
pub(super) struct Clients {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl Clients {
    /// Nobody has come yet. To be called inside of the runtime.
    pub(super) fn new(listener: net::UnixListener) -> io::Result<Self> {
        Ok(Self { listener: UnixListener::from_std(listener)?, places: Arc::new(Semaphore::new(CLIENTS_MAX)) })
    }
}

impl Listener for Clients {
    type Io = Client;
    type Addr = ();

    async fn accept(&mut self) -> (Client, ()) {
        // Nobody closes the semaphore, so that there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    return (Client { stream, deadline: Box::pin(sleep(REQUEST_TIME_MAX)), _place: place }, ());
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that fails when it is silent for too long.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    deadline: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Client {
    /// Passes on what the socket says, unless it has said nothing for too long.
    fn timed<T>(&mut self, context: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + SILENCE_TIME_MAX);
            return said;
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_read(context, to);
        self.timed(context, said)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, said)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
