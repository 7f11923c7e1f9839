//! `http`: a web server of two pages, for tests of Services: `/hostname` says who answers, `/healthz` says `ok`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::Verdict;
use crate::arguments::{Arguments, Misuse};
use crate::endpoint::Endpoint;
use crate::json::Line;

const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that is read, in bytes.
const LONGEST: u64 = 16 << 10;

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let listen: String = arguments.option("--listen")?.ok_or_else(|| Misuse("--listen is needed".into()))?;
    let name = arguments.option("--name")?.unwrap_or_else(hostname);
    arguments.end()?;
    let endpoint = Endpoint::parse(&listen)?;
    let listener = endpoint.address().and_then(TcpListener::bind);
    let port = listener.as_ref().ok().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
    let line = Line::new().text("host", &endpoint.host).number("port", port.unwrap_or(endpoint.port));
    line.outcome(&listener).print();
    let Ok(listener) = listener else { return Ok(false) };
    for stream in listener.incoming().flatten() {
        let name = name.clone();
        thread::spawn(move || answer(&stream, &name));
    }
    Ok(true)
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn answer(stream: &TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = request.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/hostname" | "/") => ("200 OK", name),
        ("GET" | "HEAD", "/healthz") => ("200 OK", "ok"),
        ("GET" | "HEAD", _) => ("404 Not Found", "not found"),
        _ => ("405 Method Not Allowed", "only GET"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut writer = stream;
    writer.write_all(head.as_bytes())?;
    if method != "HEAD" {
        writer.write_all(body.as_bytes())?;
    }
    writer.flush()
}
