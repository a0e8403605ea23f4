//! The serving end: a thread with a small runtime of its own, so that a slow reader costs the event loop nothing.

use std::io;
use std::thread::JoinHandle;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::clients::Clients;
use super::cluster;
use super::{AskError, Asker, ControlSocket, EVENTS_ANSWER_MAX, Question};
use crate::app::drain::Draining;
use crate::app::event_loop::Inquired;
use crate::app::published::Published;
use crate::app::reports::{EventRow, REPORTS, Report, Source};
use crate::app::stream;
use herald_core::id::NodeId;
use herald_core::membership::Service;

/// What the control thread may read by itself.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the loop publishes of its session tables.
    pub published: Published,
    /// What is counted of the plugins.
    pub plugins: herald_host::Report,
    /// This node.
    pub node: NodeId,
}

/// The running control thread. Dropping it ends the thread and removes the socket.
#[derive(Debug)]
pub struct Control {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

/// Answers at `socket`, and what members ask by `inquiries`, from a thread of its own until the result is dropped.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn start(
    socket: ControlSocket,
    asker: Asker,
    shared: Shared,
    inquiries: mpsc::Receiver<Inquired>,
) -> io::Result<Control> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = socket.listener()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        runtime.block_on(async {
            let desk = Desk { asker, shared };
            tokio::select! {
                () = cluster::answer_members(desk.clone(), inquiries) => {}
                result = serve(listener, desk) => {
                    if let Err(error) = result {
                        tracing::error!("the control API has ended: {error}");
                    }
                }
                _ = stopped => {}
            }
        });
        drop(socket);
    })?;
    Ok(Control { stop: Some(stop), thread: Some(thread) })
}

/// What a question is answered with.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) asker: Asker,
    pub(super) shared: Shared,
}

async fn serve(listener: std::os::unix::net::UnixListener, desk: Desk) -> io::Result<()> {
    let clients = Clients::new(listener)?;
    let router = REPORTS.iter().fold(Router::new(), |router, report| {
        router.route(&report.path(), get(move |State(desk)| answer(desk, report)))
    });
    let router = router
        .route("/who/{protocol}/{source}/{destination}", get(who))
        .route("/drain", post(|desk| serve_as(desk, Service::Draining)))
        .route("/undrain", post(|desk| serve_as(desk, Service::Normal)))
        .route("/events", get(events))
        .route("/why/{last}", get(cluster::own))
        .route("/why/{last}/{protocol}/{source}/{destination}", get(cluster::own))
        .route("/cluster/{*report}", get(cluster::everybody))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such report") })
        .with_state(desk);
    axum::serve(clients, router).await
}

impl IntoResponse for AskError {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.to_string()).into_response()
    }
}

async fn answer(desk: Desk, report: &'static Report) -> Result<Response, AskError> {
    let answer = match &report.source {
        Source::Loop(read) => desk.asker.ask(|reply| Question::Report(read, reply)).await?,
        Source::Shared(read) => read(&desk.shared),
        Source::Sessions(read) => {
            let complete = desk.asker.ask(Question::Sessions).await?;
            read(desk.shared.published.take(complete))
        }
    };
    Ok(match answer() {
        Ok(text) => json(text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    })
}

/// An answer in JSON.
pub(super) fn json(text: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn serve_as(State(desk): State<Desk>, service: Service) -> Result<Json<Draining>, AskError> {
    desk.asker.ask(|reply| Question::Serve(service, reply)).await.map(Json)
}

async fn who(State(desk): State<Desk>, Path(words): Path<(String, String, String)>) -> Response {
    match stream::parse(&format!("{} {} {}", words.0, words.1, words.2)) {
        Ok(flow) => desk.asker.ask(|reply| Question::Who(flow, reply)).await.map(Json).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

/// All events above a number, as JSON lines; fetched from the loop in small portions.
async fn events(State(desk): State<Desk>, Query(After { mut after }): Query<After>) -> Result<Response, AskError> {
    let mut lines = Vec::new();
    loop {
        let rows: Vec<EventRow> = desk.asker.ask(|reply| Question::Events(after, reply)).await?;
        for row in &rows {
            // A flat row of numbers and texts can always be written as JSON.
            if serde_json::to_writer(&mut lines, row).is_ok() {
                lines.push(b'\n');
            }
        }
        match rows.last() {
            Some(last) if rows.len() == EVENTS_ANSWER_MAX => after = last.number,
            Some(_) | None => break,
        }
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}
