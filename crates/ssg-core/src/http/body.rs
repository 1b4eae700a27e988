//! A body, read strictly: what is not plain JSON of a bounded size is refused before it is looked at.

use std::error::Error;

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue};
use axum_core::BoxError;
use axum_core::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::content::{ContentError, EnvelopeBounds};
use crate::fault::{Fault, FaultKind};

/// Reads a body that says of itself that it is JSON in UTF-8, not packed, and within `bounds`.
///
/// It is never read further than the bound. How long a caller may take is the server's matter.
pub async fn read_body(headers: &HeaderMap, body: Body, bounds: &EnvelopeBounds) -> Result<Bytes, ReadError> {
    check_type(headers)?;
    check_encoding(headers)?;
    let max = bounds.body_bytes_max;
    let said = said_length(headers)?;
    if said.is_some_and(|said| usize::try_from(said).map_or(true, |said| said > max)) {
        return Err(ContentError::BodyTooLarge { max }.into());
    }
    let read = Limited::new(body, max).collect().await.map_err(|e| from_body(e, max))?.to_bytes();
    if said.is_some_and(|said| u64::try_from(read.len()) != Ok(said)) {
        return Err(ReadError::ContentLength);
    }
    Ok(read)
}

fn check_type(headers: &HeaderMap) -> Result<(), ReadError> {
    let mut said = headers.get_all(CONTENT_TYPE).iter();
    let Some(first) = said.next() else { return Err(ReadError::ContentType) };
    if said.next().is_some() {
        return Err(ReadError::ContentTypeTwice);
    }
    let text = first.to_str().ok().ok_or(ReadError::ContentType)?;
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
        return Err(ReadError::ContentType);
    }
    // RFC 9110, section 5.6.6: a parameter may be empty.
    parts.filter(|parameter| !parameter.is_empty()).try_for_each(check_parameter)
}

fn check_parameter(parameter: &str) -> Result<(), ReadError> {
    let (name, value) = parameter.split_once('=').ok_or(ReadError::ContentType)?;
    if !name.eq_ignore_ascii_case("charset") {
        return Err(ReadError::ContentType);
    }
    let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    if bare.eq_ignore_ascii_case("utf-8") { Ok(()) } else { Err(ReadError::Charset) }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ReadError> {
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        Ok(())
    } else {
        Err(ReadError::ContentEncoding)
    }
}

/// The length that the body is said to have. Two lengths, and one that is no number, are how requests are smuggled.
fn said_length(headers: &HeaderMap) -> Result<Option<u64>, ReadError> {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = said.next() else { return Ok(None) };
    let digits = first.as_bytes();
    if said.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReadError::ContentLength);
    }
    // More digits than any length has are a length above every bound.
    Ok(Some(first.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)))
}

/// A body that is too long and a caller that went away fail alike; the cause tells them apart.
fn from_body(error: BoxError, max: usize) -> ReadError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(this) = cause {
        if this.is::<LengthLimitError>() {
            return ContentError::BodyTooLarge { max }.into();
        }
        cause = this.source();
    }
    ReadError::Broken(error)
}

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not say that it is JSON, or it says more of itself than its charset.
    #[error("the body must be of type application/json, with no parameter but charset=utf-8")]
    ContentType,
    /// It says twice what it is.
    #[error("the request has more than one Content-Type")]
    ContentTypeTwice,
    /// It is not in UTF-8.
    #[error("the body must be in UTF-8")]
    Charset,
    /// It is packed.
    #[error("the body must not be compressed")]
    ContentEncoding,
    /// Its length is none, is said twice, or is another than what came.
    #[error("the Content-Length is not that of the body")]
    ContentLength,
    /// It ended before its end.
    #[error("the body could not be read to its end")]
    Broken(#[source] BoxError),
    /// It is too large, or not content.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl Fault for ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::ContentType => "ssg-core/content-type",
            Self::ContentTypeTwice => "ssg-core/content-type-twice",
            Self::Charset => "ssg-core/charset",
            Self::ContentEncoding => "ssg-core/content-encoding",
            Self::ContentLength => "ssg-core/content-length",
            Self::Broken(_) => "ssg-core/body-broken",
            Self::Content(error) => error.code(),
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::ContentType | Self::Charset | Self::ContentEncoding => FaultKind::Unsupported,
            Self::ContentTypeTwice | Self::ContentLength | Self::Broken(_) => FaultKind::Invalid,
            Self::Content(error) => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, values: &[&str], code: Option<&str>) {
        let mut headers = HeaderMap::new();
        if name != "content-type" {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let checked = check_type(&headers)
            .and_then(|()| check_encoding(&headers))
            .and_then(|()| said_length(&headers).map(drop));
        assert_eq!(checked.as_ref().err().map(Fault::code), code, "{name}: {values:?}");
    }

    #[test]
    fn a_body_says_in_one_way_what_it_is() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json ;",
        ] {
            check("content-type", &[good], None);
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonx",
            "application/problem+json",
            "application/json, text/plain",
            "application/json; profile=x",
            "application/json; charset",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            check("content-type", &[bad], Some("ssg-core/content-type"));
        }
        check("content-type", &[], Some("ssg-core/content-type"));
        check("content-type", &["application/json", "application/json"], Some("ssg-core/content-type-twice"));
        for bad in ["utf-16", "iso-8859-1", "utf-7", "utf8", "\"utf-8", ""] {
            check("content-type", &[&format!("application/json; charset={bad}")], Some("ssg-core/charset"));
        }
    }

    #[test]
    fn packed_bodies_and_strange_lengths_are_refused() {
        check("content-encoding", &["identity"], None);
        check("content-encoding", &["Identity", "identity"], None);
        for bad in ["gzip", "br", "identity, gzip", "gzip, identity", ""] {
            check("content-encoding", &[bad], Some("ssg-core/content-encoding"));
        }
        check("content-encoding", &["identity", "deflate"], Some("ssg-core/content-encoding"));
        check("content-length", &["17"], None);
        for bad in ["-1", "+17", "0x11", "17, 17", "1e3", ""] {
            check("content-length", &[bad], Some("ssg-core/content-length"));
        }
        check("content-length", &["17", "17"], Some("ssg-core/content-length"));
    }
}
