//! JSON lines: read one at a time, worked on many at a time, answered in order.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::path::Path;

use clawexchange_ssg_core::{ContentError, EnvelopeBounds, LineId, ReadAs, Received};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::progress::Progress;
use crate::report::CliError;

/// Lines worked on at once: bounds memory, and is enough to share commits.
pub(crate) const IN_FLIGHT_MAX: usize = 64;

/// One line, read.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1; blank lines count.
    pub(crate) number: u64,
    /// Its own name, or else its number.
    pub(crate) id: LineId,
    /// What it says, or why that is not taken.
    pub(crate) received: Result<Received, ContentError>,
}

/// Lines of a file or of standard input.
pub(crate) struct Lines {
    from: Box<dyn AsyncBufRead + Unpin + Send>,
    number: u64,
    bounds: EnvelopeBounds,
    progress: Progress,
}

impl Lines {
    /// Lines of a file within the bounds that are set; `-` is standard input.
    pub(crate) async fn open(file: &Path, bounds: EnvelopeBounds) -> Result<Self, CliError> {
        if file == Path::new("-") {
            let from = Box::new(BufReader::with_capacity(1 << 16, tokio::io::stdin()));
            return Ok(Self { from, number: 0, bounds, progress: Progress::of(0, "bytes") });
        }
        let doing = |e| CliError::io(format!("read {}", file.display()), e);
        let opened = tokio::fs::File::open(file).await.map_err(doing)?;
        let about = opened.metadata().await.map_err(doing)?;
        if about.is_dir() {
            return Err(doing(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
        }
        let from = Box::new(BufReader::with_capacity(1 << 16, opened));
        Ok(Self { from, number: 0, bounds, progress: Progress::of(about.len(), "bytes") })
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, CliError> {
        loop {
            let Some(read) = self.read_line().await.map_err(|e| CliError::io("read a line", e))? else {
                return Ok(None);
            };
            self.number += 1;
            let received = match read {
                Read::TooLong => Err(ContentError::BodyTooLarge { max: self.bounds.body_bytes_max }),
                Read::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
                Read::Whole(bytes) => Received::read(&bytes, ReadAs::Line, &self.bounds),
            };
            let own = received.as_ref().ok().and_then(|r| r.line.id.clone());
            let id = own.unwrap_or_else(|| LineId::Number(i64::try_from(self.number).unwrap_or(i64::MAX)));
            return Ok(Some(Line { number: self.number, id, received }));
        }
    }

    /// Reads up to a line feed, keeping no more than a line may have.
    async fn read_line(&mut self) -> std::io::Result<Option<Read>> {
        let (mut line, mut too_long, mut any) = (Vec::new(), false, false);
        loop {
            let some = self.from.fill_buf().await?;
            if some.is_empty() {
                break;
            }
            any = true;
            let end = some.iter().position(|b| *b == b'\n');
            let part = some.get(..end.unwrap_or(some.len())).unwrap_or_default();
            if line.len() + part.len() > self.bounds.body_bytes_max {
                too_long = true;
                line = Vec::new();
            } else if !too_long {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            self.progress.add(used as u64);
            if end.is_some() {
                break;
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(any.then_some(if too_long { Read::TooLong } else { Read::Whole(line) }))
    }
}

enum Read {
    Whole(Vec<u8>),
    TooLong,
}

/// Works on up to 64 lines at once and gives their results in the order of the lines.
pub(crate) struct InOrder<T> {
    running: VecDeque<JoinHandle<T>>,
}

impl<T: Send + 'static> InOrder<T> {
    pub(crate) const fn new() -> Self {
        Self { running: VecDeque::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.running.len() >= IN_FLIGHT_MAX
    }

    pub(crate) fn start(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.running.push_back(tokio::spawn(work));
    }

    /// The oldest result, once it is there; `None` if nothing runs.
    pub(crate) async fn oldest(&mut self) -> Option<Result<T, CliError>> {
        let oldest = self.running.pop_front()?;
        Some(oldest.await.map_err(|e| CliError::io("finish a line", std::io::Error::other(e.to_string()))))
    }
}

/// Lets work on the same agent or owner begin only when what was begun before it is done.
#[derive(Default)]
pub(crate) struct Turns {
    last: HashMap<String, watch::Receiver<()>>,
}

/// What must be done first, and what those after wait for: until it is dropped.
pub(crate) struct Turn {
    before: Vec<watch::Receiver<()>>,
    _until: watch::Sender<()>,
}

impl Turns {
    pub(crate) fn after(&mut self, keys: impl IntoIterator<Item = String>) -> Turn {
        let (until, done) = watch::channel(());
        if self.last.len() > 16 * IN_FLIGHT_MAX {
            self.last.retain(|_, running| running.has_changed().is_ok());
        }
        let before = keys.into_iter().filter_map(|key| self.last.insert(key, done.clone())).collect();
        Turn { before, _until: until }
    }
}

impl Turn {
    pub(crate) async fn wait(&mut self) {
        for mut before in self.before.drain(..) {
            // Nothing is ever sent: it ends when the one before is done.
            while before.changed().await.is_ok() {}
        }
    }
}
