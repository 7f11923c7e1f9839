//! A scripted HTTP server for the tests of this module: closures answer, requests are recorded.
//!
//! It writes its answers to the socket itself, because the faults that matter are those no HTTP library
//! will commit: a body cut short, a length that lies, a connection dropped while the client still sends.

mod auth_tests;
mod blob_tests;
mod file_tests;
mod list_tests;
mod manifest_tests;
mod oddity_tests;
mod upload_tests;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::host::HostSet;
use super::registry::RegistryClient;
use super::retry::{RetryEvent, RetryHook, RetryPolicy};
use super::settings::{ClientSettings, ProxySetting};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// `METHOD path?query`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The start of the range that is asked for.
    pub(super) fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What to do with a request.
pub(super) enum Answer {
    /// Status, headers, body; `Content-Length` is added unless it is among the headers.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The same, but the connection ends after so many bytes of the body.
    Cut(u16, Vec<(&'static str, String)>, Vec<u8>, usize),
    /// The same, then silence.
    Hang(u16, Vec<(&'static str, String)>, Vec<u8>, usize),
    /// The connection ends without an answer.
    Drop,
}

pub(super) fn answer(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Answer {
    Answer::Full(status, owned(headers), body.as_ref().to_vec())
}

pub(super) fn owned(headers: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A server on a loopback port of its own. Ends when dropped.
pub(super) struct Script {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;
type BodyLimit = Arc<dyn Fn(&Seen) -> Option<usize> + Send + Sync>;

impl Script {
    pub(super) async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_cutting(handler, |_| None).await
    }

    /// Where `cut` gives a number, the connection is dropped after so many bytes of the request's body. What
    /// had come is recorded; the handler is not asked.
    pub(super) async fn start_cutting(
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
        cut: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (handler, cut): (Handler, BodyLimit) = (Arc::new(handler), Arc::new(cut));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                tokio::spawn(serve(socket, handler.clone(), cut.clone(), log.clone()));
            }
        });
        Self { port, seen, task }
    }

    /// `127.0.0.1:port`.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `localhost:port`: the same server under a name that is foreign to [`Script::host`].
    pub(super) fn foreign(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// Fails the test if any request carried credentials.
    pub(super) fn assert_saw_no_credentials(&self) {
        for seen in self.seen() {
            assert_eq!(seen.header("authorization"), None, "{}", seen.line());
            assert!(!String::from_utf8_lossy(&seen.body).contains("refresh_token"), "{}", seen.line());
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: TcpStream, handler: Handler, cut: BodyLimit, log: Arc<Mutex<Vec<Seen>>>) {
    let mut socket = BufReader::new(socket);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(byte);
        if head == [0x16] {
            // The client speaks TLS. A web server says so in plain text.
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            return;
        }
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |value| value.parse().unwrap());
    assert!(seen.header("transfer-encoding").is_none(), "bodies must have a known length");
    let stop = cut(&seen);
    seen.body = vec![0; stop.unwrap_or(length)];
    if socket.read_exact(&mut seen.body).await.is_err() {
        return;
    }
    log.lock().unwrap().push(seen.clone());
    if stop.is_some() {
        return;
    }
    let (status, headers, body, sent, hangs) = match handler(&seen) {
        Answer::Full(status, headers, body) => (status, headers, body, usize::MAX, false),
        Answer::Cut(status, headers, body, sent) => (status, headers, body, sent, false),
        Answer::Hang(status, headers, body, sent) => (status, headers, body, sent, true),
        Answer::Drop => return,
    };
    let mut out = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n");
    for (name, value) in &headers {
        write!(out, "{name}: {value}\r\n").unwrap();
    }
    if !headers.iter().any(|(name, _)| *name == "content-length" || *name == "transfer-encoding") && status != 204 {
        write!(out, "content-length: {}\r\n", body.len()).unwrap();
    }
    out.push_str("\r\n");
    let body = if seen.method == "HEAD" { &[][..] } else { &body[..sent.min(body.len())] };
    // The client may hang up at any time; that is its right.
    let _ = socket.write_all(out.as_bytes()).await;
    let _ = socket.write_all(body).await;
    let _ = socket.flush().await;
    if hangs {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    let _ = socket.shutdown().await;
}

/// How long a test waits for a server that says nothing: long enough for one that is only slow, on a busy machine.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// Settings for the servers of a test: plain HTTP, no proxy, hardly any pauses between tries.
pub(super) fn settings(servers: &[&Script]) -> ClientSettings {
    let names = servers.iter().flat_map(|server| [server.host(), server.foreign()]);
    ClientSettings {
        plain_http: names.collect::<HostSet>(),
        proxy: ProxySetting::Direct,
        idle_timeout: Duration::from_secs(60),
        retries: RetryPolicy { attempts: 3, base: Duration::from_millis(1), ..RetryPolicy::default() },
        ..ClientSettings::default()
    }
}

/// A client that keeps the retries it reports.
pub(super) fn client(settings: &ClientSettings) -> (RegistryClient, Arc<Mutex<Vec<RetryEvent>>>) {
    let events: Arc<Mutex<Vec<RetryEvent>>> = Arc::default();
    let hook: RetryHook = {
        let events = events.clone();
        Arc::new(move |event| events.lock().unwrap().push(event.clone()))
    };
    (RegistryClient::new(settings, hook).unwrap(), events)
}
