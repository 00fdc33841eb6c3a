//! What there is to ask for, and the answer to each request.

use super::answer::Answer;
use super::negotiate::negotiate;
use super::web::Loaded;
use super::{Server, api, notifications, pages};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, VARY, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use std::convert::Infallible;
use std::sync::Arc;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Landing,
    Metrics,
    Live,
    Ready,
    Plans,
    Alerts,
    Notifications,
    Plan(String, String),
    Config,
    Nothing,
}

impl Route {
    fn of(path: &str) -> Self {
        match path {
            "/" => Self::Landing,
            "/metrics" => Self::Metrics,
            "/livez" | "/healthz" | "/-/healthy" => Self::Live,
            "/readyz" | "/-/ready" => Self::Ready,
            "/config" => Self::Config,
            "/api/v1/plans" => Self::Plans,
            "/api/v1/alerts" => Self::Alerts,
            "/api/v1/notifications" => Self::Notifications,
            _ => match path.strip_prefix("/api/v1/plans/").and_then(|rest| rest.split_once('/')) {
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                    Self::Plan(unescape(namespace), unescape(name))
                }
                Some(_) | None => Self::Nothing,
            },
        }
    }

    /// The route in our own metrics: a closed set, whatever is asked for.
    fn label(&self) -> &'static str {
        match self {
            Self::Landing => "/",
            Self::Metrics => "/metrics",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Plans => "/api/v1/plans",
            Self::Alerts => "/api/v1/alerts",
            Self::Notifications => "/api/v1/notifications",
            Self::Plan(..) => "/api/v1/plans/{namespace}/{name}",
            Self::Config => "/config",
            Self::Nothing => "other",
        }
    }

    /// Whether it is answered to everybody: probes carry neither token nor password.
    fn is_open(&self) -> bool {
        matches!(self, Self::Live | Self::Ready)
    }
}

/// Answers a request. HEAD gets the head of what GET would get.
pub(super) async fn answer<B>(server: Arc<Server>, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let route = Route::of(request.uri().path());
    let head = request.method() == Method::HEAD;
    let web = server.web.now(&server.own).await;
    let answer = if !head && request.method() != Method::GET {
        Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n").with(ALLOW, "GET, HEAD")
    } else if !route.is_open() && !may_ask(&server, &web, request.headers()).await {
        refusal(&server, &web)
    } else {
        match &route {
            Route::Landing => Answer::html(pages::landing(&server)),
            Route::Metrics => metrics(&server, request.headers()).await,
            Route::Live => Answer::text(StatusCode::OK, "ok\n"),
            Route::Ready => pages::ready(&server, request.uri().query().is_some_and(|query| query.contains("verbose"))),
            Route::Plans => beside(&server, api::plans).await,
            Route::Alerts => beside(&server, api::alerts).await,
            Route::Notifications => beside(&server, notifications::notifications).await,
            Route::Plan(namespace, name) => {
                let (namespace, name) = (namespace.clone(), name.clone());
                beside(&server, move |server| api::plan(server, &namespace, &name)).await
            }
            Route::Config => pages::config(&server),
            Route::Nothing => Answer::text(StatusCode::NOT_FOUND, "there is nothing here; / lists what there is\n"),
        }
    };
    server.own.count_request(route.label(), answer.code.as_u16());
    let mut response = answer.write(head);
    for (name, value) in &web.headers {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

/// Whether a request with these headers may be answered: everybody's where nothing is asked for, else with the token or with
/// name and password.
async fn may_ask(server: &Server, web: &Loaded, headers: &HeaderMap) -> bool {
    match (server.auth.is_asked(), web.users.is_empty()) {
        (false, true) => true,
        (false, false) => web.users.allow(headers).await,
        (true, true) => server.auth.allows(headers).await,
        (true, false) => server.auth.allows(headers).await || web.users.allow(headers).await,
    }
}

fn refusal(server: &Server, web: &Loaded) -> Answer {
    let needed = match (server.auth.is_asked(), web.users.is_empty()) {
        (true, false) => "a bearer token, or a name and a password, is needed\n",
        (false, false) => "a name and a password are needed\n",
        (true | false, true) => "a bearer token is needed\n",
    };
    let mut answer = Answer::text(StatusCode::UNAUTHORIZED, needed);
    if server.auth.is_asked() {
        answer = answer.with(WWW_AUTHENTICATE, "Bearer");
    }
    if !web.users.is_empty() {
        answer = answer.with(WWW_AUTHENTICATE, "Basic realm=\"mtv-sentinel\", charset=\"UTF-8\"");
    }
    answer
}

/// Makes an answer that may be large, beside the other requests.
async fn beside(server: &Arc<Server>, make: impl FnOnce(&Server) -> Answer + Send + 'static) -> Answer {
    let server = Arc::clone(server);
    match tokio::task::spawn_blocking(move || make(&server)).await {
        Ok(answer) => answer,
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be made: {error}\n")),
    }
}

/// A scrape, in the form that the client wants.
async fn metrics(server: &Arc<Server>, headers: &HeaderMap) -> Answer {
    // A header may come in several lines, which count as one list.
    let joined = |name| {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    let wanted = negotiate(joined(ACCEPT).as_deref(), joined(ACCEPT_ENCODING).as_deref());
    server.own.count_scrape(wanted.format, wanted.gzip);
    beside(server, move |server| {
        let (view, own) = (server.view(), server.own.encode());
        let (format, content_type) = (wanted.format, wanted.format.content_type());
        let answer = if wanted.gzip {
            Answer::new(StatusCode::OK, content_type, view.exposition.gzip(format, own)).with(CONTENT_ENCODING, "gzip")
        } else {
            Answer::new(StatusCode::OK, content_type, view.exposition.plain(format, own).concat())
        };
        answer.with(VARY, "Accept, Accept-Encoding")
    })
    .await
}

/// Undoes percent-encoding; what is no valid encoding stays as it is.
fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Route, unescape};

    #[test]
    fn a_path_with_escapes_names_the_plan_that_it_means() {
        assert_eq!(Route::of("/api/v1/plans/a%20b/c%2Fd"), Route::Plan("a b".to_owned(), "c/d".to_owned()));
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz%4"), "%zz%4");
        assert_eq!(unescape("%ff"), "\u{fffd}");
    }

    #[test]
    fn a_path_with_too_much_or_too_little_names_nothing() {
        for path in
            ["/api/v1/plans/", "/api/v1/plans/a", "/api/v1/plans/a/", "/api/v1/plans//b", "/api/v1/plans/a/b/c", "/metrics/"]
        {
            assert_eq!(Route::of(path), Route::Nothing, "{path}");
        }
    }
}
