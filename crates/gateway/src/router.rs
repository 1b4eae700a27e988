//! The routers of both listeners, made of the table of routes.

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
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
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(service.clone(), guard::outer))
        .with_state(service.clone())
}

async fn no_route(_: Uri) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "gateway/no-route", "there is no such route here").into_response()
}

async fn no_method(_: Method) -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "gateway/no-method", "the route does not know this method")
        .into_response()
}
