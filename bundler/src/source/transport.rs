//! The one place that sends requests: TLS, proxy, time-outs, redirects.
//!
//! Redirects are followed by hand, for GET and HEAD alone. An `Authorization` belongs to the origin
//! (scheme, host, port) of the first URL and is not sent to any other, however the redirects go. Plain
//! HTTP is spoken only with hosts listed for it. Time-outs are of two kinds, connecting and nothing
//! moving; there is none on a whole transfer, which may rightly take hours.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Method, StatusCode, Url};

use super::error::{SourceError, of_request};
use super::host::{HostSet, authority, check_url, shown};
use super::outgoing::Outgoing;
use super::payload::{Gauge, Payload};
use super::proxy::Proxies;
use super::reply::Reply;
use super::settings::ClientSettings;
use super::tls::roots;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Transport(Arc<Inner>);

struct Inner {
    checked: Client,
    unchecked: Option<Client>,
    plain_http: HostSet,
    insecure_tls: HostSet,
    proxies: Proxies,
    idle: Duration,
}

impl Transport {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, SourceError> {
        Self::trusting(settings, &roots(&settings.ca_files)?)
    }

    /// Trusts `roots` alone. There may be none: then there is no HTTPS, but plain HTTP.
    pub(super) fn trusting(settings: &ClientSettings, roots: &[Certificate]) -> Result<Self, SourceError> {
        let build = |builder: ClientBuilder| builder.build().map_err(|source| SourceError::Client { source });
        let proxies = Proxies::new(&settings.proxy, |name| std::env::var(name).ok())?;
        let base = || {
            let builder = Client::builder()
                .user_agent(concat!("ferry/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .http1_only()
                .tcp_nodelay(true)
                .referer(false)
                .connect_timeout(settings.connect_timeout)
                .tls_certs_only(roots.iter().cloned());
            proxies.apply(builder)
        };
        let unchecked = if settings.insecure_tls.is_empty() {
            None
        } else {
            Some(build(base().tls_danger_accept_invalid_certs(true))?)
        };
        Ok(Self(Arc::new(Inner {
            checked: build(base())?,
            unchecked,
            plain_http: settings.plain_http.clone(),
            insecure_tls: settings.insecure_tls.clone(),
            proxies,
            idle: settings.idle_timeout,
        })))
    }

    /// Hosts that are spoken to without TLS.
    pub(super) fn plain_http(&self) -> &HostSet {
        &self.0.plain_http
    }

    /// Sends one request and follows its redirects. Any answer is a success here, whatever its status.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Reply, SourceError> {
        let Outgoing { method, mut url, headers, authorization, payload, patience, plain_allowed, follow } = outgoing;
        let owner = url.origin();
        let may_move = method == Method::GET || method == Method::HEAD;
        let mut payload = Some(payload);
        for _ in 0..=MAX_REDIRECTS {
            self.permit(&url, plain_allowed)?;
            let mut request = reqwest::Request::new(method.clone(), url.clone());
            *request.headers_mut() = headers.clone();
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if let Some(value) = authorization.as_ref().filter(|_| url.origin() == owner) {
                let mut value = value.clone();
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            let flow = fill(&mut request, payload.take().unwrap_or(Payload::Empty));
            let reply = self.execute(request, flow, patience).await?;
            let Some(next) = redirect_target(&reply, &url).filter(|_| follow) else { return Ok(reply) };
            let (from, to) = (shown(&url), next_shown(&next));
            let refused = |why| SourceError::Redirect { from, to, why };
            if !may_move {
                return Err(refused("only a read may be redirected"));
            }
            let Ok(next) = next else { return Err(refused("the target is no URL")) };
            if url.scheme() == "https" && next.scheme() == "http" && !self.0.plain_http.lists_url(&next) {
                return Err(refused("it leads from https to plain http"));
            }
            url = next;
        }
        Err(SourceError::Redirect { from: authority(&url), to: shown(&url), why: "there were ten before it" })
    }

    fn permit(&self, url: &Url, plain_allowed: bool) -> Result<(), SourceError> {
        check_url(url)?;
        if url.scheme() == "https" || plain_allowed || self.0.plain_http.lists_url(url) {
            return Ok(());
        }
        Err(SourceError::PlainHttp { url: shown(url), host: authority(url) })
    }

    async fn execute(
        &self,
        request: reqwest::Request,
        flow: Option<(Gauge, u64)>,
        patience: Option<Duration>,
    ) -> Result<Reply, SourceError> {
        let url = request.url().clone();
        let client = match &self.0.unchecked {
            Some(unchecked) if self.0.insecure_tls.lists_url(&url) => unchecked,
            _ => &self.0.checked,
        };
        let proxy = self.0.proxies.of(&url).map(|upstream| upstream.shown.clone());
        let doing = if flow.is_some() { "sending to" } else { "reaching" };
        let wait = patience.unwrap_or(self.0.idle);
        let answer = match &flow {
            None => tokio::time::timeout(wait, client.execute(request)).await.map_err(|_| wait),
            Some((gauge, length)) => while_moving(client.execute(request), gauge, *length, self.0.idle, wait).await,
        };
        match answer {
            Ok(Ok(response)) => Ok(Reply::new(response, url, self.0.idle, proxy)),
            Ok(Err(error)) => match flow.and_then(|(gauge, _)| gauge.failure()) {
                Some(source) => Err(SourceError::Content { url: shown(&url), source }),
                None => Err(of_request(doing, &url, error).through(proxy.as_deref())),
            },
            Err(after) => Err(SourceError::Idle { doing, url: shown(&url), after }.through(proxy.as_deref())),
        }
    }
}

/// Puts the payload into the request; for a stream, gives the gauge and the length to watch.
fn fill(request: &mut reqwest::Request, payload: Payload) -> Option<(Gauge, u64)> {
    let writes = request.method() != Method::GET && request.method() != Method::HEAD;
    match payload {
        Payload::Empty => {
            if writes {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            None
        }
        Payload::Bytes(bytes) => {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            *request.body_mut() = Some(bytes.into());
            None
        }
        Payload::Stream(outflow) => {
            let watched = (outflow.gauge.clone(), outflow.length);
            // Without it the body would go out chunked, which proxies buffer and some stores refuse.
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(outflow.length));
            *request.body_mut() = Some(outflow.into_body());
            Some(watched)
        }
    }
}

/// Waits for `answer` as long as the body moves within `idle`, and `wait` once all of it has gone out.
/// Fails with the time that was waited in vain.
async fn while_moving<T>(
    answer: impl Future<Output = T>,
    gauge: &Gauge,
    length: u64,
    idle: Duration,
    wait: Duration,
) -> Result<T, Duration> {
    let mut answer = pin!(answer);
    loop {
        let before = gauge.sent();
        let limit = if before < length { idle } else { wait };
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(done) => return Ok(done),
            Err(_) if gauge.sent() == before => return Err(limit),
            Err(_) => {}
        }
    }
}

/// Where a redirect points to: `None` if the answer is none. A redirect without target is an answer too.
fn redirect_target(reply: &Reply, from: &Url) -> Option<Result<Url, String>> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !redirects.contains(&reply.status()) {
        return None;
    }
    let location = reply.header(&LOCATION)?;
    Some(from.join(location).map_err(|_| location.split('?').next().unwrap_or_default().to_owned()))
}

fn next_shown(next: &Result<Url, String>) -> String {
    match next {
        Ok(url) => shown(url),
        Err(text) => super::error::printable(text),
    }
}
