//! The routers of both listeners, made of the table of routes.

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::{Extension, Router, middleware};
use clawexchange_ssg_core::http::Problem;

use crate::guard;
use crate::routes::{On, ROUTES};
use crate::service::Service;

/// The routes of a listener, each behind its guard.
pub fn router(service: &Service, on: On) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter().filter(|route| route.on == On::Both || route.on == on) {
        let guarded = middleware::from_fn_with_state((service.clone(), route), guard::of_route);
        router = router.route(route.path, (route.handler)().layer(guarded));
    }
    router
        .fallback(async || no_route())
        .method_not_allowed_fallback(async || no_method())
        // What describes the routes describes those that are here.
        .layer(Extension(on))
        // Each route has its own bound, which the guard keeps before a handler is run.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(service.clone(), guard::outer))
        .with_state(service.clone())
}

fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "gateway/no-route", "there is no such route here")
}

pub(crate) fn no_method() -> Problem {
    let title = "the route does not know this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "gateway/no-method", title)
}
