//! A proxy in front of a server that does to connections what networks do: cuts them, holds them up, slows them down,
//! loses an answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are all it can do")]
pub enum Weather {
    /// They go through.
    Clear,
    /// Each piece of an answer goes through so much later.
    Slow(Duration),
    /// Connections stay open and nothing goes through, in neither direction.
    Stalled,
    /// Connections are cut, and new ones as soon as they are made.
    Cut,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    trap: Arc<Mutex<Option<Vec<u8>>>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Stands before a port of loopback.
    ///
    /// # Panics
    ///
    /// If it cannot: a test without its proxy has nothing to say.
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn before(port: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be made nonblocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (weather, seen) = watch::channel(Weather::Clear);
        let (stop, stopped) = oneshot::channel();
        let trap = Arc::new(Mutex::new(None));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let set = Arc::clone(&trap);
        let server = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, port, &seen, &set) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, weather, trap, stop: Some(stop), server: Some(server) }
    }

    /// The port to connect to.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what becomes of bytes, of open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Lets the next piece that a client sends with these bytes in it through, waits until the server has worked on it, and
    /// cuts the connection before the answer arrives. Once.
    pub fn lose_answer_to(&self, bytes: impl Into<Vec<u8>>) {
        *self.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.into());
    }

    /// Whether an answer is still to be lost.
    pub fn is_set(&self) -> bool {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.server.take().map(JoinHandle::join).into_iter().for_each(drop);
    }
}

type Trap = Arc<Mutex<Option<Vec<u8>>>>;

async fn serve(listener: std::net::TcpListener, port: u16, weather: &watch::Receiver<Weather>, trap: &Trap) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (weather, trap) = (weather.clone(), Arc::clone(trap));
        tokio::spawn(async move {
            if *weather.borrow() == Weather::Cut {
                return;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            let (mut cut, is_lost) = (weather.clone(), AtomicBool::new(false));
            tokio::select! {
                () = forward(from_client, to_server, weather.clone(), Some(&trap), &is_lost) => {}
                () = forward(from_server, to_client, weather, None, &is_lost) => {}
                _ = cut.wait_for(|weather| *weather == Weather::Cut) => {}
            }
        });
    }
}

/// How long a server is given to work on what it got before its answer is lost.
const WORK: Duration = Duration::from_millis(200);

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    trap: Option<&Trap>,
    is_lost: &AtomicBool,
) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut piece).await else { return };
        if weather.wait_for(|weather| *weather != Weather::Stalled).await.is_err() {
            return;
        }
        let now = *weather.borrow();
        if let (Weather::Slow(delay), None) = (now, trap) {
            tokio::time::sleep(delay).await;
        }
        let Some(bytes) = piece.get(..read) else { return };
        if trap.is_none() && is_lost.load(Ordering::Relaxed) {
            continue;
        }
        if trap.is_some_and(|trap| springs(trap, bytes)) {
            is_lost.store(true, Ordering::Relaxed);
            if to.write_all(bytes).await.is_ok() {
                tokio::time::sleep(WORK).await;
            }
            return;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

fn springs(trap: &Trap, bytes: &[u8]) -> bool {
    let mut trap = trap.lock().unwrap_or_else(PoisonError::into_inner);
    let is_in = trap.as_ref().is_some_and(|wanted| bytes.windows(wanted.len()).any(|w| w == wanted));
    if is_in {
        *trap = None;
    }
    is_in
}
