//! Serving: two listeners, connections that are bounded and timed, and an end that finishes what was begun.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use clawexchange_ssg_core::RequestId;
use clawexchange_ssg_core::http::Problem;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt as _;

use crate::connections::{Connection, Connections};
use crate::error::PartsError;
use crate::identity::Peer;
use crate::parts::Parts;
use crate::router::router;
use crate::routes::On;
use crate::service::{Phase, Service};
use crate::{guard, tasks, tls, view};

/// Headers of one request at most, and their bytes together: browsers send a tenth of it.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 32 << 10;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Addresses {
    /// Where platforms and agents reach it.
    pub public: SocketAddr,
    /// Where operators, moderators and scrapers reach it.
    pub admin: SocketAddr,
}

/// A service that listens and is not yet served.
#[derive(Debug)]
pub struct Server {
    service: Service,
    public: TcpListener,
    admin: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Server {
    /// Binds both listeners and opens the parts. A port of 0 is one that is free.
    pub async fn bind(parts: &Arc<Parts>) -> Result<Self, PartsError> {
        let settings = parts.settings();
        let tls = settings.tls.as_ref().map(tls::config).transpose()?;
        let listen = async |address: SocketAddr| {
            TcpListener::bind(address).await.map_err(|source| PartsError::Listen { address, source })
        };
        // Bound first: what cannot listen need not count and migrate.
        let (public, admin) = (listen(settings.listen).await?, listen(settings.admin_listen).await?);
        Ok(Self { service: Service::open(parts).await?, public, admin, tls })
    }

    /// Where it listens.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses { public: self.public.local_addr()?, admin: self.admin.local_addr()? })
    }

    /// The service that it serves.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Serves until `until` is over, then finishes what was begun: answers what is at work, logs what is summed, syncs
    /// counters, pins the log. What is not done within the time set for it is left, and said.
    pub async fn serve(self, until: impl Future<Output = ()>) -> Result<(), PartsError> {
        let Self { service, public, admin, tls } = self;
        let settings = service.parts().settings().clone();
        // On loopback nobody listens in, and probes and scrapers of this machine need no certificate.
        let admin_tls = tls.clone().filter(|_| !settings.admin_listen.ip().is_loopback());
        let listener = |name, on, socket, tls: Option<Arc<ServerConfig>>| Listener {
            connections: Connections::new(name, settings.connections_max, service.metrics().clone()),
            router: router(&service, on),
            socket: Arc::new(socket),
            tls: tls.map(TlsAcceptor::from),
            header_time: settings.header_timeout,
        };
        let listeners = [
            listener("public", On::Public, public, tls.clone()),
            listener("admin", On::Admin, admin, admin_tls),
        ];
        tasks::announce(&service).await?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = tasks::begin(&service, &stopped);
        let mut accepting = JoinSet::new();
        service.enter(Phase::Serving);
        for listener in &listeners {
            accepting.spawn(listener.clone().accept());
        }
        until.await;
        service.enter(Phase::Draining);
        for listener in &listeners {
            listener.connections.close();
        }
        // Meanwhile who comes is answered that the service stops: a probe sees it, and a caller goes elsewhere.
        let finished = async {
            for listener in &listeners {
                listener.connections.gone().await;
            }
            service.works_done().await;
        };
        if tokio::time::timeout(settings.drain, finished).await.is_err() {
            tracing::warn!("what was at work was not done in time; verdicts that were begun are in the log");
        }
        accepting.shutdown().await;
        for listener in &listeners {
            listener.connections.cut_off();
        }
        stop.send_replace(true);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(
                    panicked = error.is_panic(),
                    "what is done by the clock was not done to the end"
                );
            }
        }
        service.tell_refusals(true).await;
        service.parts().finish().await
    }
}

/// One listener and what answers behind it.
#[derive(Clone)]
struct Listener {
    connections: Connections,
    router: Router,
    socket: Arc<TcpListener>,
    tls: Option<TlsAcceptor>,
    header_time: Duration,
}

/// How long to wait where the system has no descriptor left: it would be asked again at once.
const BREATH: Duration = Duration::from_millis(20);

/// How long a connection that has asked for nothing yet may still do so once the server stops.
const FIRST_WORD: Duration = Duration::from_millis(500);

/// Connections that are turned away at once; further ones are dropped without a word.
const TURNED_AWAY_MAX: usize = 256;

impl Listener {
    async fn accept(self) {
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        tracing::warn!(%error, "no connection can be taken in");
                        tokio::time::sleep(BREATH).await;
                    }
                    continue;
                }
            };
            // Answers are short: waiting to fill a packet only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection was gone before it was begun");
            }
            if let Some(connection) = self.connections.enter() {
                tokio::spawn(self.clone().converse(stream, peer, connection));
            } else if self.tls.is_none()
                && let Ok(place) = Arc::clone(&turned_away).try_acquire_owned()
            {
                // On a TLS port a shake of hands would cost what there is no room for, and anything else is no answer.
                tokio::spawn(async move {
                    turn_away(stream).await;
                    drop(place);
                });
            }
        }
    }

    async fn converse(self, stream: TcpStream, peer: SocketAddr, connection: Connection) {
        match self.tls.clone() {
            None => self.speak(stream, peer, connection).await,
            Some(acceptor) => {
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
                    () = connection.evicted() => return,
                };
                match shaken {
                    Ok(Ok(stream)) => self.speak(stream, peer, connection).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
    }

    async fn speak<S>(self, stream: S, peer: SocketAddr, connection: Connection)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, of_requests) = (&self.router, &connection);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let at_work = of_requests.begin();
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let router = router.clone();
            async move {
                let response: Result<Response, Infallible> = router.oneshot(request).await;
                drop(at_work);
                response
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_time)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .keep_alive(!connection.is_late());
        let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut closing = self.connections.closing();
        let asking = &connection;
        let mut told = pin!(async move {
            drop(closing.wait_for(|closing| *closing).await);
            // What has just come in may be on its way: closed at once, it would be lost without an answer.
            drop(tokio::time::timeout(FIRST_WORD, asking.has_asked()).await);
        });
        let mut is_told = connection.is_late();
        let ended = loop {
            tokio::select! {
                ended = served.as_mut() => break ended,
                () = connection.evicted() => return,
                () = told.as_mut(), if !is_told => {
                    is_told = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            // What went wrong is the client's matter; what it sent is not repeated.
            tracing::debug!(
                is_timeout = error.is_timeout(),
                is_parse = error.is_parse(),
                "a connection ended early"
            );
        }
    }
}

/// Whether it was one connection that failed, and the next may be taken in at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The answer to a client that there is no room for: what every answer carries, without what answers else.
fn turned_away() -> String {
    let id = RequestId::fresh();
    let title = "too many connections are open";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway/too-many-connections", title);
    let body = view::json(&problem.asked_as(Some(id.clone()))).to_string();
    let mut headers = HeaderMap::new();
    guard::every_answer(&mut headers, &id);
    let said: String = headers
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)))
        .collect();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         retry-after: 1\r\nconnection: close\r\n{said}\r\n{body}"
    )
}

/// How long, and for how many bytes, a client that is turned away is listened to, so that it reads the answer before
/// the connection is reset.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LAST_WORDS_BYTES: u64 = 64 << 10;

async fn turn_away(mut stream: TcpStream) {
    let talk = async {
        stream.write_all(turned_away().as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(LAST_WORDS_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    match tokio::time::timeout(LAST_WORDS, talk).await {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client that was turned away had gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_who_is_turned_away_says_its_own_length() {
        let answer = turned_away();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(head.contains(&format!("x-request-id: {}", problem["requestId"].as_str().unwrap())));
    }
}
