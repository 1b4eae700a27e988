//! The limiter in front of an HTTP service, and what it says there.
//!
//! [`RateLimitLayer`] stands alone in front of any service, such as the routes of an axum application; whoever charges
//! by themselves takes [`headers`] and [`refusal`]. Headers are those of draft-ietf-httpapi-ratelimit-headers-10, and
//! beside them the `X-RateLimit-*` that older clients know.

mod answer;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::{IntoResponse, Response};
use clawexchange_ssg_core::{Caller, Clock, Fault as _, SystemClock};
use http::{Extensions, HeaderMap, Request};
use tower_layer::Layer;
use tower_service::Service;

pub use self::answer::{headers, refusal};
use crate::decision::{Ask, Decision, Permit};
use crate::limiter::Limiter;
use crate::tier::EndpointTier;

/// What becomes of a request in whose extensions there is no [`Caller`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "who handles unknown callers and forgets a way must not compile")]
pub enum WithoutCaller {
    /// It is answered 401, code `rate-limiter/no-caller`, without `WWW-Authenticate`: how to say who one is, only the
    /// application knows.
    #[default]
    Deny,
    /// It passes and is charged to nobody.
    Pass,
    /// It is charged to this one, whom all unknown callers share.
    Share(Caller),
}

/// Charges each request to its [`Caller`] before the service behind sees it.
///
/// What does not fit is answered 429 and never reaches the service. An answer of 5xx, an error or a panic of the
/// service is our own fault, and the charge is given back. A client that goes away keeps its charge: the service may
/// have done the work by then, and who could take it back by hanging up would have no limit.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: Limiter,
    tier: EndpointTier,
    cost: u32,
    without_caller: WithoutCaller,
    clock: Arc<dyn Clock>,
}

impl RateLimitLayer {
    /// One unit of `tier` for each request; requests of nobody are refused.
    pub fn new(limiter: Limiter, tier: EndpointTier) -> Self {
        let without_caller = WithoutCaller::default();
        Self { limiter, tier, cost: 1, without_caller, clock: Arc::new(SystemClock::new()) }
    }

    /// The same for so many units.
    #[must_use]
    pub const fn costing(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    /// The same with another answer to requests of nobody.
    #[must_use]
    pub fn without_caller(mut self, what: WithoutCaller) -> Self {
        self.without_caller = what;
        self
    }

    /// The same, saying times by `clock`. What is decided is decided by the clock of the store.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited { inner, layer: self.clone() }
    }
}

/// A service behind a [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimited<S> {
    inner: S,
    layer: RateLimitLayer,
}

impl<S, B> Service<Request<B>> for RateLimited<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that said it was ready does the work; the clone has yet to become so.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        let ask = layer.ask(request.extensions());
        Box::pin(async move {
            let admitted = match ask {
                Asking::Take(ask) => match layer.take(&ask).await {
                    Ok(admitted) => Some(admitted),
                    Err(refused) => return Ok(refused),
                },
                Asking::Pass => None,
                Asking::Deny => return Ok(answer::no_caller()),
            };
            layer.answer(inner, request, admitted).await
        })
    }
}

/// What is done with a request first.
enum Asking {
    Take(Ask),
    Pass,
    Deny,
}

/// The permit of a request that was charged, and what its answer says of that.
type Admitted = (Permit, HeaderMap);

impl RateLimitLayer {
    fn ask(&self, extensions: &Extensions) -> Asking {
        let caller = match (extensions.get::<Caller>(), &self.without_caller) {
            (Some(caller), _) | (None, WithoutCaller::Share(caller)) => caller,
            (None, WithoutCaller::Pass) => return Asking::Pass,
            (None, WithoutCaller::Deny) => return Asking::Deny,
        };
        let ask = Ask::new(caller.agent.clone(), self.tier.clone())
            .of_owner(caller.owner.clone())
            .trusted(caller.trust)
            .costing(self.cost);
        Asking::Take(ask)
    }

    /// Charges the request, or gives the answer to one that is not let through.
    async fn take(&self, ask: &Ask) -> Result<Admitted, Response> {
        let decision = self.limiter.take(ask).await;
        let now = self.clock.now();
        let status = decision.as_ref().ok().map(|decision| decision.status().clone());
        match decision.and_then(Decision::into_permit) {
            Ok(permit) => Ok((permit, status.map(|s| headers(&s, now)).unwrap_or_default())),
            Err(error) => {
                if status.is_none() {
                    tracing::error!(code = error.code(), tier = %self.tier, "a request could not be charged");
                }
                Err(refusal(&error, status.as_ref(), now))
            }
        }
    }

    /// Has the service answer, and gives the charge back if it fails.
    async fn answer<S, B>(
        &self,
        mut inner: S,
        request: Request<B>,
        admitted: Option<Admitted>,
    ) -> Result<Response, S::Error>
    where
        S: Service<Request<B>>,
        S::Response: IntoResponse,
    {
        let answered = to_the_end(async move { inner.call(request).await }).await;
        let answered = answered.map(|answer| answer.map(IntoResponse::into_response));
        let is_ours = !matches!(&answered, Ok(Ok(answer)) if !answer.status().is_server_error());
        match (admitted, answered) {
            (Some((permit, _)), answered) if is_ours => {
                self.refund(permit).await;
                answered.unwrap_or_else(|panic| resume_unwind(panic))
            }
            (Some((_, said)), Ok(Ok(mut answer))) => {
                answer.headers_mut().extend(said);
                Ok(answer)
            }
            (_, answered) => answered.unwrap_or_else(|panic| resume_unwind(panic)),
        }
    }

    async fn refund(&self, permit: Permit) {
        if let Err(error) = self.limiter.refund(permit).await {
            tracing::error!(code = error.code(), "a charge could not be given back");
        }
    }
}

/// What the work comes to; a panic in it is an error, so that something can still be done before it goes on.
async fn to_the_end<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = Box::pin(work);
    poll_fn(move |cx| {
        // The work is never polled again after a panic, so nobody sees what it left half-done.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
