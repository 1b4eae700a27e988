//! Asks that come at once go to Redis together.
//!
//! Nothing waits to be joined by others: a sender takes what is there, sends it, and by the time the answer is there
//! others have come. Each ask stays one of its own, decided in the order of coming.

use std::sync::Arc;

use deadpool_redis::redis::Value;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::link::{Failure, Link};
use super::script::{Call, Question, Reply, replies};
use crate::window::Tick;

/// Asks that go together at most: while one script runs, nothing else does.
pub(super) const TOGETHER_MAX: usize = 64;

/// Asks that wait at most; more are failed at once, since they would not be answered in time.
const WAITING_MAX: usize = 8_192;

/// An ask and where its answer is awaited.
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Result<Reply, Failure>>,
}

/// Where asks wait to be sent.
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<Mutex<mpsc::Receiver<Job>>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        Self { jobs, waiting: Arc::new(Mutex::new(waiting)) }
    }

    /// Sends an ask with those that come at the same time.
    pub(super) async fn ask(&self, question: Question) -> Result<Reply, Failure> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job { question, answer }).map_err(|_full| Failure::Late)?;
        answered.await.unwrap_or(Err(Failure::Unconnected))
    }

    /// Sends asks until no queue is left. Several may do so at once.
    pub(super) fn sender(
        &self,
        link: Arc<Link>,
        whole_bytes: u32,
        now: impl Fn() -> Tick + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let waiting = Arc::clone(&self.waiting);
        async move {
            let mut jobs = Vec::with_capacity(TOGETHER_MAX);
            loop {
                let received = waiting.lock().await.recv_many(&mut jobs, TOGETHER_MAX).await;
                if received == 0 {
                    return;
                }
                // Whoever has stopped waiting was told that it failed, and must not be charged now.
                jobs.retain(|job: &Job| !job.answer.is_closed());
                if !jobs.is_empty() {
                    let call = Call::new(now(), whole_bytes);
                    send(&link, call, std::mem::take(&mut jobs)).await;
                }
            }
        }
    }
}

async fn send(link: &Link, mut call: Call, jobs: Vec<Job>) {
    for job in &jobs {
        call.push(&job.question);
    }
    let deadline = link.config.deadline;
    let answer = tokio::time::timeout(deadline, link.run(&link.scripts.take, &call.keys, &call.args)).await;
    let answered = match answer {
        Ok(Ok(value)) => read(value, &jobs),
        Ok(Err(failure)) => Err(failure),
        Err(_elapsed) => Err(Failure::Late),
    };
    match answered {
        Ok(replies) => {
            for (job, reply) in jobs.into_iter().zip(replies) {
                // Whoever asked may have gone; what was charged stays charged.
                drop(job.answer.send(Ok(reply)));
            }
        }
        Err(failure) => {
            let is_late = matches!(failure, Failure::Late);
            let mut failure = Some(failure);
            for job in jobs {
                // One is told why, for all of them.
                let other = || if is_late { Failure::Late } else { Failure::Unconnected };
                drop(job.answer.send(Err(failure.take().unwrap_or_else(other))));
            }
        }
    }
}

fn read(value: Value, jobs: &[Job]) -> Result<Vec<Reply>, Failure> {
    let questions: Vec<&Question> = jobs.iter().map(|job| &job.question).collect();
    replies(value, &questions).map_err(Failure::Answer)
}
