//! Runs one plugin so that nothing it does reaches further than its own result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::content::ContentEnvelope;
use crate::finding::Findings;
use crate::plugin::{Context, PluginError};
use crate::registry::Registered;

/// So many threads of one plugin may be lost before it is not asked any more.
pub(crate) const ABANDONED_MAX: u32 = 8;

/// Idle threads that one plugin keeps.
const IDLE_MAX: usize = 4;

/// Threads of one plugin at work at once: beyond that a request waits for none and the plugin counts as failed.
const BUSY_MAX: u32 = 64;

/// Why a plugin gave no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// It said so.
    Error(&'static str),
    /// It panicked.
    Panic,
    /// It did not answer in time.
    Timeout,
    /// It lost so many threads that it is off.
    Off,
    /// All the threads that it may have are at work.
    Busy,
    /// It reported a place that is not in the content.
    Span,
}

impl Failure {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Error(reason) => reason,
            Self::Panic => "it panicked",
            Self::Timeout => "it did not answer in time",
            Self::Off => "it is off: too many of its threads did not come back",
            Self::Busy => "all its threads are at work",
            Self::Span => "it reported a place that is not in the content",
        }
    }
}

/// Runs a plugin on this thread.
pub(crate) fn run_here(
    plugin: &Registered,
    content: &ContentEnvelope,
    cx: &Context,
) -> Result<Findings, Failure> {
    match catch_unwind(AssertUnwindSafe(|| plugin.plugin.analyze(content, cx))) {
        Ok(Ok(findings)) => Ok(findings),
        Ok(Err(PluginError(reason))) => Err(Failure::Error(reason)),
        Err(_) => Err(Failure::Panic),
    }
}

type Answer = Result<Findings, Failure>;

struct Job {
    content: ContentEnvelope,
    cx: Arc<Context>,
    answer: oneshot::Sender<Answer>,
}

/// The threads of one plugin.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    plugin: Registered,
    idle: Mutex<Vec<mpsc::Sender<Job>>>,
    busy: AtomicU32,
    abandoned: AtomicU32,
    off: AtomicBool,
}

impl Pool {
    pub(crate) fn new(plugin: Registered) -> Self {
        Self(Arc::new(Shared {
            plugin,
            idle: Mutex::default(),
            busy: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            off: AtomicBool::new(false),
        }))
    }

    /// Threads that have not come back.
    pub(crate) fn abandoned(&self) -> u32 {
        self.0.abandoned.load(Ordering::Relaxed)
    }

    /// Runs the plugin, and waits for it until `until` at most.
    pub(crate) async fn run(&self, content: &ContentEnvelope, cx: &Arc<Context>, until: Instant) -> Answer {
        if self.0.off.load(Ordering::Relaxed) {
            return Err(Failure::Off);
        }
        if self.0.busy.load(Ordering::Relaxed) >= BUSY_MAX {
            return Err(Failure::Busy);
        }
        let (answer, mut answered) = oneshot::channel();
        self.start(Job { content: content.clone(), cx: Arc::clone(cx), answer })?;
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, &mut answered).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => return Err(Failure::Panic),
            Err(_) => {}
        }
        // An answer that came between the end of the time and this line is taken; after it none can come unnoticed.
        answered.close();
        if let Ok(answer) = answered.try_recv() {
            return answer;
        }
        if self.0.abandoned.fetch_add(1, Ordering::Relaxed) + 1 >= ABANDONED_MAX {
            self.0.off.store(true, Ordering::Relaxed);
        }
        Err(Failure::Timeout)
    }

    fn start(&self, mut job: Job) -> Result<(), Failure> {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        loop {
            let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(worker) = idle else { break };
            match worker.send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(back)) => job = back,
            }
        }
        let shared = Arc::clone(&self.0);
        let name = format!("plugin-{}", shared.plugin.id);
        std::thread::Builder::new().name(name).spawn(move || work(&shared, job)).map_or_else(
            |_| {
                self.0.busy.fetch_sub(1, Ordering::Relaxed);
                Err(Failure::Busy)
            },
            |_| Ok(()),
        )
    }
}

/// A thread's life: a job, then a while of waiting for the next.
fn work(shared: &Shared, mut job: Job) {
    loop {
        let answer = run_here(&shared.plugin, &job.content, &job.cx);
        let came_late = job.answer.send(answer).is_err();
        shared.busy.fetch_sub(1, Ordering::Relaxed);
        if came_late {
            // It was given up, and has come back after all.
            let less = |n: u32| n.checked_sub(1);
            if shared.abandoned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
                tracing::debug!("a plugin answered a caller that had gone away");
            }
        }
        let (sender, next) = mpsc::channel();
        {
            let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() >= IDLE_MAX {
                return;
            }
            idle.push(sender);
        }
        match next.recv_timeout(Duration::from_secs(10)) {
            Ok(next) => job = next,
            Err(_) => return,
        }
    }
}
