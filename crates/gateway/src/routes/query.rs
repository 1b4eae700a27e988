//! What requests say beside content, read strictly: query strings, paths, short bodies.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts as Head;
use axum::http::{StatusCode, Uri};
use clawexchange_ssg_core::http::Problem;
use clawexchange_ssg_core::{Cursor, Escaped, PageLimit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The one parameter of a path, decoded.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(head, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(not_utf8()),
        }
    }
}

/// The two parameters of a path, decoded.
#[derive(Debug)]
pub(crate) struct Segments(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Problem> {
        match Path::<(String, String)>::from_request_parts(head, state).await {
            Ok(Path((first, second))) => Ok(Self(first, second)),
            Err(_) => Err(not_utf8()),
        }
    }
}

fn not_utf8() -> Problem {
    bad("gateway/bad-value", "a value cannot be read", "the path is not UTF-8")
}

/// Reads a query string, whose members must all be known.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::<T>::try_from_uri(uri).map(|query| query.0).map_err(|error| {
        use std::error::Error as _;
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        bad("gateway/bad-query", "the query string cannot be read", &why)
    })
}

/// Reads a short JSON body, whose members must all be known and there once.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| bad("gateway/bad-body", "the body cannot be read", &error.to_string()))
}

/// Reads a word of a path or a query.
pub(crate) fn word<T: FromStr>(name: &'static str, text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        let why = format!("`{name}`: {error}");
        bad("gateway/bad-value", "a value cannot be read", &why)
    })
}

/// Reads a word if it is there.
pub(crate) fn word_if<T: FromStr>(name: &'static str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| word(name, text)).transpose()
}

/// Characters of an explanation at most.
const WHY_MAX: usize = 200;

fn bad(code: &'static str, title: &'static str, why: &str) -> Problem {
    let short: String = why.chars().take(WHY_MAX).collect();
    Problem::new(StatusCode::BAD_REQUEST, code, title).detailed(Escaped(&short).to_string())
}

/// What every list by key takes.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Paging {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// Longest cursor that is looked at: ours are shorter.
const CURSOR_BYTES_MAX: usize = 256;

impl Paging {
    pub(crate) fn new(limit: Option<u64>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    pub(crate) fn limit(&self) -> Result<PageLimit, Problem> {
        let Some(limit) = self.limit else { return Ok(PageLimit::default()) };
        let why = "`limit` is a number from 1 to 1000";
        PageLimit::new(limit).ok_or_else(|| bad("gateway/bad-value", "a value cannot be read", why))
    }

    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        match self.cursor.as_deref() {
            Some(text) if text.len() > CURSOR_BYTES_MAX => {
                Err(bad("gateway/bad-value", "a value cannot be read", "`cursor` is none of ours"))
            }
            text => Ok(text.map(Cursor::new)),
        }
    }
}
