//! A crate registry on loopback: sparse index, uploads, yanks, downloads.
//!
//! It speaks what cargo asks a registry for and no more, and keeps all of it in a folder. Tests publish to it what must
//! not go to a real one before it has been seen to work.

mod shelf;
mod upload;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::oneshot;

use shelf::{Refusal, Shelf};
use upload::Upload;

/// Bytes of one upload: what crates.io takes, and room for the metadata.
const UPLOAD_BYTES_MAX: usize = 12 << 20;

/// A registry that is there until it is dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    room: Arc<Room>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    folder: Option<tempfile::TempDir>,
}

impl Registry {
    /// Opens one in a folder of its own, on a free port; whoever uploads must show the token.
    ///
    /// # Panics
    ///
    /// If it cannot be opened: a test without its registry has nothing to say.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn start(token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut registry = Self::open(folder.path(), token, false);
        registry.folder = Some(folder);
        registry
    }

    /// Opens one in this folder, which keeps what is uploaded; with `is_private` the index and the downloads ask for
    /// the token too.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn open(folder: &Path, token: &str, is_private: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be made nonblocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shelf = Shelf::open(folder).expect("the folder can be written");
        let room = Arc::new(Room {
            base: format!("http://{address}"),
            token: token.to_owned(),
            is_private,
            shelf: Mutex::new(shelf),
            script: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let router = routes(Arc::clone(&room));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime can be built");
        let server = std::thread::spawn(move || runtime.block_on(serve(listener, router, stopped)));
        Self { address, room, stop: Some(stop), server: Some(server), folder: None }
    }

    /// The address of the index, as `registries.NAME.index` has it.
    pub fn index(&self) -> String {
        format!("sparse+http://{}/index/", self.address)
    }

    /// What cargo must find in its environment to know this registry by a name and to upload to it.
    pub fn environment(&self, name: &str) -> [(String, String); 2] {
        let prefix = format!("CARGO_REGISTRIES_{}", name.to_uppercase().replace('-', "_"));
        [(format!("{prefix}_INDEX"), self.index()), (format!("{prefix}_TOKEN"), self.room.token.clone())]
    }

    /// `name@version` of what was uploaded, in the order in which it came.
    pub fn uploaded(&self) -> Vec<String> {
        lock(&self.room.shelf).uploaded().to_vec()
    }

    /// Answers the next uploads with this status, and keeps nothing of them.
    pub fn refuse_next(&self, uploads: usize, status: u16) {
        lock(&self.room.script).refuse = vec![status; uploads];
    }

    /// Keeps what is uploaded next, after `uploads` more, and withholds the answer.
    pub fn withhold_answer_after(&self, uploads: usize) -> Withheld {
        let (tell, reached) = mpsc::channel();
        let (release, released) = oneshot::channel();
        lock(&self.room.script).withhold = Some(Withhold { after: uploads, tell, released });
        Withheld { reached, _release: release }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A server that panicked has told the test's output about it.
        self.server.take().map(JoinHandle::join).into_iter().for_each(drop);
        drop(self.folder.take());
    }
}

/// An answer that does not come until this is dropped.
#[derive(Debug)]
pub struct Withheld {
    reached: Receiver<()>,
    _release: oneshot::Sender<()>,
}

impl Withheld {
    /// Waits so long at most for the upload to be kept, and says whether it was.
    pub fn is_kept_within(&self, patience: Duration) -> bool {
        self.reached.recv_timeout(patience).is_ok()
    }
}

#[derive(Debug)]
struct Room {
    base: String,
    token: String,
    is_private: bool,
    shelf: Mutex<Shelf>,
    script: Mutex<Script>,
}

/// What tests have asked to go wrong.
#[derive(Debug, Default)]
struct Script {
    refuse: Vec<u16>,
    withhold: Option<Withhold>,
}

#[derive(Debug)]
struct Withhold {
    after: usize,
    tell: Sender<()>,
    released: oneshot::Receiver<()>,
}

fn routes(room: Arc<Room>) -> Router {
    Router::new()
        .route("/index/config.json", get(config))
        .route("/index/{*path}", get(index))
        .route("/dl/{name}/{version}/download", get(download))
        .route("/api/v1/crates/new", put(publish))
        .route("/api/v1/crates/{name}/{version}/yank", delete(yank))
        .route("/api/v1/crates/{name}/{version}/unyank", put(unyank))
        .with_state(room)
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
async fn serve(listener: std::net::TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket is fit for the runtime");
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // The peer went away between two steps; others may still come.
                Err(_) => continue,
            },
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            // A peer that hangs up, as a killed one does, is nothing to report.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn config(State(room): State<Arc<Room>>, headers: HeaderMap) -> Response {
    if room.is_private && !room.knows(&headers) {
        return unknown_caller(StatusCode::UNAUTHORIZED);
    }
    let config =
        json!({ "dl": format!("{}/dl", room.base), "api": room.base, "auth-required": room.is_private });
    axum::Json(config).into_response()
}

async fn index(
    State(room): State<Arc<Room>>,
    Segments(path): Segments<String>,
    headers: HeaderMap,
) -> Response {
    if room.is_private && !room.knows(&headers) {
        return unknown_caller(StatusCode::UNAUTHORIZED);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let entries = (path == shelf::index_path(name)).then(|| lock(&room.shelf).entries(name)).flatten();
    entries.map_or_else(|| refused(StatusCode::NOT_FOUND, "no such crate"), IntoResponse::into_response)
}

async fn download(
    State(room): State<Arc<Room>>,
    Segments((name, version)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if room.is_private && !room.knows(&headers) {
        return unknown_caller(StatusCode::UNAUTHORIZED);
    }
    let archive = lock(&room.shelf).archive(&name, &version);
    archive.map_or_else(|| refused(StatusCode::NOT_FOUND, "no such version"), IntoResponse::into_response)
}

async fn publish(State(room): State<Arc<Room>>, headers: HeaderMap, body: Body) -> Response {
    if !room.knows(&headers) {
        return unknown_caller(StatusCode::FORBIDDEN);
    }
    let too_large =
        || refused(StatusCode::PAYLOAD_TOO_LARGE, "the upload is larger than this registry takes");
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > UPLOAD_BYTES_MAX) {
        return too_large();
    }
    let Ok(body) = axum::body::to_bytes(body, UPLOAD_BYTES_MAX).await else { return too_large() };
    let scripted = lock(&room.script).refuse.pop();
    if let Some(status) = scripted {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return refused(status, "refused because a test has asked for it");
    }
    let upload = match Upload::read(&body) {
        Ok(upload) => upload,
        Err(what) => return refused(StatusCode::BAD_REQUEST, what),
    };
    let kept = lock(&room.shelf).keep(&upload);
    if let Err(refusal) = kept {
        return answer(&refusal);
    }
    if let Some(withhold) = room.to_withhold() {
        // When the test has ended, nobody waits for either.
        if withhold.tell.send(()).is_ok() {
            drop(withhold.released.await);
        }
    }
    axum::Json(json!({ "warnings": { "invalid_categories": [], "invalid_badges": [], "other": [] } }))
        .into_response()
}

async fn yank(
    State(room): State<Arc<Room>>,
    Segments((name, version)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    set_yanked(&room, &name, &version, &headers, true)
}

async fn unyank(
    State(room): State<Arc<Room>>,
    Segments((name, version)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    set_yanked(&room, &name, &version, &headers, false)
}

fn set_yanked(room: &Room, name: &str, version: &str, headers: &HeaderMap, yanked: bool) -> Response {
    if !room.knows(headers) {
        return unknown_caller(StatusCode::FORBIDDEN);
    }
    match lock(&room.shelf).set_yanked(name, version, yanked) {
        Ok(()) => axum::Json(json!({ "ok": true })).into_response(),
        Err(refusal) => answer(&refusal),
    }
}

impl Room {
    fn knows(&self, headers: &HeaderMap) -> bool {
        headers.get(header::AUTHORIZATION).is_some_and(|shown| shown.as_bytes() == self.token.as_bytes())
    }

    /// Counts one upload, and gives what withholds its answer if it is the one.
    fn to_withhold(&self) -> Option<Withhold> {
        let mut script = lock(&self.script);
        let withhold = script.withhold.as_mut()?;
        if withhold.after == 0 {
            return script.withhold.take();
        }
        withhold.after -= 1;
        None
    }
}

fn unknown_caller(status: StatusCode) -> Response {
    refused(status, "the token is missing or is not the one of this registry")
}

fn answer(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::Missing => StatusCode::NOT_FOUND,
        Refusal::Repeated(_) => StatusCode::CONFLICT,
        Refusal::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refused(status, &refusal.to_string())
}

/// The form in which cargo reads why, and shows it.
fn refused(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({ "errors": [{ "detail": why }] }))).into_response()
}

/// A test that panicked while it held the lock has left nothing half done: files are written aside and renamed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
