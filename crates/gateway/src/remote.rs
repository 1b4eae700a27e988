//! The plugin `remote`: asks a classifier that there is already, over HTTP.
//!
//! Each question has a deadline, each answer bounds, a classifier that fails is left alone for a while, and what was asked
//! a moment ago is not asked again. It begins in shadow: what it finds is recorded and changes nothing.

mod answer;
mod cache;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawexchange_ssg_core::{ContentEnvelope, Context, DetectionPlugin, Findings, PluginError, RuleMode};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use tokio::runtime::Handle;

use self::answer::{Answer, question};
use self::cache::Cache;
use crate::error::PartsError;
use crate::metrics::Metrics;
use crate::settings::{RemoteMode, RemoteSettings};

/// The name of the plugin.
pub(crate) const REMOTE: &str = "remote";

/// So many failures in a row, and it is left alone for so long; then one question tries whether it is back.
const FAILURES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// The largest answer: a finding a category takes a tenth of it.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// A classifier behind a URL.
pub(crate) struct Remote {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    mode: RemoteMode,
    deadline: Duration,
    metrics: Metrics,
    handle: Handle,
    breaker: Mutex<Breaker>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    until: Option<Instant>,
}

/// Why there is no answer; each is a value of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    Paused,
    Late,
    Away,
    Refused,
    Malformed,
}

impl Trouble {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Late => "late",
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Paused => "the classifier failed too often and is left alone",
            Self::Late => "the classifier did not answer in time",
            Self::Away => "the classifier cannot be reached",
            Self::Refused => "the classifier refused the question",
            Self::Malformed => "the classifier gave an answer that is none",
        }
    }
}

impl Remote {
    /// Connects to nothing yet. Must be called inside a tokio runtime, on which it asks.
    pub(crate) fn open(settings: &RemoteSettings, metrics: Metrics) -> Result<Self, PartsError> {
        let wrong = |what| PartsError::Remote { what };
        let url: Url = settings.url.parse().ok().ok_or(wrong("the URL is none"))?;
        let mut authorization = None;
        if let Some(token) = &settings.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.ok().ok_or(wrong("the token cannot stand in a header"))?;
            value.set_sensitive(true);
            authorization = Some(value);
        }
        let builder = Client::builder()
            .use_rustls_tls()
            .min_tls_version(reqwest::tls::Version::TLS_1_2)
            .https_only(url.scheme() == "https")
            // What the environment says is for the operator to pass on, and nobody sends us elsewhere.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(settings.deadline)
            .tcp_nodelay(true)
            .user_agent("clawexchange-gateway");
        let client = builder.build().ok().ok_or(wrong("no client can be made for it"))?;
        Ok(Self {
            client,
            url,
            authorization,
            mode: settings.mode,
            deadline: settings.deadline,
            metrics,
            handle: Handle::current(),
            breaker: Mutex::default(),
            cache: Mutex::default(),
        })
    }

    /// How long a question takes at most.
    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether what it finds counts.
    pub(crate) fn counts(&self) -> bool {
        self.mode == RemoteMode::Enforce
    }

    fn answer(&self, text: &str, until: Instant) -> Result<Answer, Trouble> {
        let now = Instant::now();
        let key = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let key = cache.key(text);
            if let Some(known) = cache.get(key, now) {
                self.count("cached");
                return Ok(known);
            }
            key
        };
        let asked = self.let_through(now).and_then(|()| {
            let patience = self.deadline.min(until.saturating_duration_since(now));
            let asking = async { tokio::time::timeout(patience, self.ask(text)).await };
            let asked = self.handle.block_on(asking).unwrap_or(Err(Trouble::Late));
            self.learn(asked.is_ok());
            asked
        });
        match &asked {
            Ok(answer) => {
                self.count("answered");
                let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
                cache.put(key, answer.clone(), now);
            }
            Err(trouble) => self.count(trouble.as_str()),
        }
        asked
    }

    async fn ask(&self, text: &str) -> Result<Answer, Trouble> {
        let mut request = self.client.post(self.url.clone()).body(question(text));
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|_source| Trouble::Away)?;
        if response.status() != StatusCode::OK {
            return Err(Trouble::Refused);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_source| Trouble::Away)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::Malformed);
            }
            bytes.extend_from_slice(&chunk);
        }
        Answer::read(&bytes).ok_or(Trouble::Malformed)
    }

    /// Refuses while it is left alone. When that is over, one question goes through, and the others wait for what it finds.
    fn let_through(&self, now: Instant) -> Result<(), Trouble> {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        match breaker.until {
            Some(until) if now < until => Err(Trouble::Paused),
            Some(_) => {
                breaker.until = Some(now + PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn learn(&self, is_well: bool) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        if is_well {
            *breaker = Breaker::default();
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= FAILURES_MAX {
            breaker.until = Some(Instant::now() + PAUSE);
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.count("claw_remote_questions_total", &[("outcome", outcome)], 1);
    }
}

impl DetectionPlugin for Remote {
    fn id(&self) -> &str {
        REMOTE
    }

    fn priority(&self) -> i32 {
        200
    }

    fn analyze(&self, content: &ContentEnvelope, cx: &Context) -> Result<Findings, PluginError> {
        let text = answer::text_of(content);
        match self.answer(&text, cx.deadline()) {
            Ok(answer) => {
                let mode = if self.counts() { RuleMode::Enforce } else { RuleMode::Shadow };
                Ok(answer.findings(content, mode))
            }
            // What is only watched may fail: the metric says so.
            Err(_) if !self.counts() => Ok(Findings::default()),
            Err(trouble) => Err(PluginError(trouble.sentence())),
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The same plugin in each inspector that is made, so that what it knows outlives a switch of rules.
pub(crate) type SharedRemote = Arc<Remote>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use clawexchange_ssg_core::{Assessment, Inspector, InspectorConfig, PluginRegistry, RiskTier, Verdict};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::settings::{Settings, Sources};

    const SURE: &str = r#"{"findings":[{"category":"injection","score":100}]}"#;

    fn remote(env: &[(&str, &str)]) -> Remote {
        let env = env.iter().chain(&[("HOME", "/home/ann")]);
        let sources = Sources::of_env(env.map(|(name, value)| ((*name).into(), (*value).into())));
        Remote::open(&Settings::read(&sources).unwrap().remote.unwrap(), Metrics::new()).unwrap()
    }

    /// What a classifier does with each question.
    #[derive(Clone)]
    enum Does {
        Says(&'static str, String),
        Nothing,
    }

    fn says(body: &str) -> Does {
        Does::Says("200 OK", body.to_owned())
    }

    /// A classifier on loopback, how often it was asked, and what it was asked last.
    struct Classifier {
        url: String,
        asked: Arc<AtomicUsize>,
        last: Arc<Mutex<String>>,
    }

    async fn classifier(does: Does) -> Classifier {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/judge", listener.local_addr().unwrap());
        let (asked, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (count, seen) = (Arc::clone(&asked), Arc::clone(&last));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (does, count, seen) = (does.clone(), Arc::clone(&count), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !is_whole(&request) {
                        let mut part = vec![0; 64 << 10];
                        match stream.read(&mut part).await {
                            Ok(n) if n > 0 => request.extend_from_slice(&part[..n]),
                            _ => return,
                        }
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    *seen.lock().unwrap() = String::from_utf8_lossy(&request).into_owned();
                    match does {
                        Does::Says(status, body) => {
                            let head = format!(
                                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                                body.len()
                            );
                            // Who asked may have gone away.
                            drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
                        }
                        Does::Nothing => std::future::pending().await,
                    }
                });
            }
        });
        Classifier { url, asked, last }
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        length.is_some_and(|length| body.len() >= length.parse().unwrap())
    }

    fn inspector(url: &str, mode: &str) -> Inspector {
        let remote = remote(&[
            ("CLAW_REMOTE_URL", url),
            ("CLAW_REMOTE_MODE", mode),
            ("CLAW_REMOTE_TOKEN", "s3cr3t"),
            ("CLAW_REMOTE_DEADLINE_MS", "300"),
        ]);
        let mut config = InspectorConfig::default();
        // Machines of tests are busy.
        (config.plugin_timeout, config.deadline) = (Duration::from_secs(20), Duration::from_secs(20));
        Inspector::new(PluginRegistry::new().with(remote).unwrap(), config)
    }

    async fn judged(inspector: &Inspector, text: &str) -> Assessment {
        inspector.inspect(&ContentEnvelope::post(text).unwrap()).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_it_says_counts_where_it_is_enforced_and_is_asked_once() {
        let classifier = classifier(says(SURE)).await;
        let inspector = inspector(&classifier.url, "enforce");
        let assessment = judged(&inspector, "a quiet word").await;
        assert_eq!(assessment.verdict(), Verdict::Quarantine, "its word alone blocks nothing");
        assert_eq!(assessment.rules()[0].pattern_id, "remote-injection");
        let request = classifier.last.lock().unwrap().clone();
        assert!(request.starts_with("POST /judge ") && request.ends_with("{\"text\":\"a quiet word\"}"));
        assert!(request.contains("authorization: Bearer s3cr3t"));
        judged(&inspector, "a quiet word").await;
        assert_eq!(classifier.asked.load(Ordering::SeqCst), 1);
        judged(&inspector, "another word").await;
        assert_eq!(classifier.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_shadow_what_it_says_is_recorded_and_a_failure_is_nothing() {
        let classifier = classifier(says(SURE)).await;
        let assessment = judged(&inspector(&classifier.url, "shadow"), "a quiet word").await;
        assert_eq!((assessment.verdict(), assessment.rules().len()), (Verdict::Pass, 1));
        assert_eq!(assessment.rules()[0].mode, RuleMode::Shadow);
        let assessment = judged(&inspector("http://127.0.0.1:1/", "shadow"), "a quiet word").await;
        assert_eq!(assessment.inspection().tier, RiskTier::Clear);
        assert!(assessment.failures().is_empty() && assessment.inspection().labels.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_answer_and_what_is_none_count_as_a_plugin_that_failed() {
        for does in [
            Does::Nothing,
            Does::Says("500 Internal Server Error", SURE.to_owned()),
            Does::Says("302 Found", SURE.to_owned()),
            says("{\"findings\":[{\"category\":\"injection\",\"score\":1000}]}"),
            says(&format!("{{\"findings\":[]}}{}", " ".repeat(ANSWER_BYTES_MAX))),
        ] {
            let classifier = classifier(does).await;
            let assessment = judged(&inspector(&classifier.url, "enforce"), "a quiet word").await;
            assert_eq!(assessment.inspection().tier, RiskTier::High);
            assert_eq!(assessment.inspection().labels, ["PLUGIN_ERROR:remote"]);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_fails_again_and_again_is_left_alone() {
        let classifier = classifier(says("nonsense")).await;
        let inspector = inspector(&classifier.url, "enforce");
        for n in 0..20 {
            assert_eq!(judged(&inspector, &format!("word {n}")).await.inspection().tier, RiskTier::High);
        }
        assert_eq!(classifier.asked.load(Ordering::SeqCst), FAILURES_MAX as usize);
    }

    #[tokio::test]
    async fn when_it_was_left_alone_long_enough_one_question_tries_it() {
        let remote = remote(&[("CLAW_REMOTE_URL", "http://127.0.0.1:1/")]);
        (0..FAILURES_MAX).for_each(|_| remote.learn(false));
        let now = Instant::now();
        assert_eq!(remote.let_through(now), Err(Trouble::Paused));
        let later = now + PAUSE + Duration::from_secs(1);
        assert_eq!(remote.let_through(later), Ok(()));
        assert_eq!(remote.let_through(later), Err(Trouble::Paused), "one, and no more");
        remote.learn(true);
        assert_eq!(remote.let_through(now), Ok(()));
    }
}
