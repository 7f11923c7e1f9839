//! `give`: this very program, for other hosts of the site that are to run it: it crosses the link from outside once. Over
//! HTTP, because every host has something that speaks it; who does not know the token gets nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Verdict;
use crate::arguments::{Arguments, Misuse};
use crate::endpoint::Endpoint;
use crate::json::Line;

const PATIENCE: Duration = Duration::from_secs(20);
/// The longest request that is read, in bytes.
const LONGEST: u64 = 16 << 10;

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let listen: String = arguments.option("--listen")?.ok_or_else(|| Misuse("--listen is needed".into()))?;
    let seconds: u64 = arguments.option("--for")?.ok_or_else(|| Misuse("--for SECONDS is needed".into()))?;
    let token: String = arguments.option("--token")?.ok_or_else(|| Misuse("--token is needed".into()))?;
    arguments.end()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let endpoint = Endpoint::parse(&listen)?;
    let started = std::fs::read("/proc/self/exe").and_then(|program| start(&endpoint, &token, program));
    let line = Line::new().text("protocol", "tcp").text("host", &endpoint.host);
    line.number("port", *started.as_ref().unwrap_or(&endpoint.port)).outcome(&started).print();
    if started.is_err() {
        return Ok(false);
    }
    Line::new().yes("ready", true).print();
    thread::sleep(until.saturating_duration_since(Instant::now()));
    Ok(true)
}

/// Starts the listener and returns its port: the system's choice if 0 was asked for.
fn start(endpoint: &Endpoint, token: &str, program: Vec<u8>) -> std::io::Result<u16> {
    let listener = TcpListener::bind(endpoint.address()?)?;
    let port = listener.local_addr()?.port();
    let (program, wanted) = (Arc::new(program), Arc::new(format!("/{token}")));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (program, wanted) = (program.clone(), wanted.clone());
            thread::spawn(move || answer(&stream, &wanted, &program));
        }
    });
    Ok(port)
}

fn answer(stream: &TcpStream, wanted: &str, program: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let known = request.split_whitespace().nth(1) == Some(wanted);
    let (status, body) = if known { ("200 OK", program) } else { ("404 Not Found", &[][..]) };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut writer = stream;
    writer.write_all(head.as_bytes())?;
    writer.write_all(body)?;
    writer.flush()
}
