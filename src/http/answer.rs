//! An answer to a request: what `routes`, `api` and `pages` make.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer before it is written.
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(super) fn new(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { code, content_type, body: body.into(), headers: Vec::new() }
    }

    pub(super) fn text(code: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(code, "text/plain; charset=utf-8", body)
    }

    pub(super) fn html(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", body)
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// As a response; without the body for HEAD.
    pub(super) fn write(self, head: bool) -> Response<Full<Bytes>> {
        let length = self.body.len();
        let mut response = Response::new(Full::new(if head { Bytes::new() } else { self.body }));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        headers.extend(self.headers);
        response
    }
}
