//! `serve`: real listeners on the real ports, for a while. Answers who knows the token, says nothing to others.

use std::io::BufReader;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Misuse};
use crate::endpoint::{Endpoint, Protocol};
use crate::json::Line;
use crate::{Verdict, wire};

/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let listen = arguments.options("--listen")?;
    let seconds: u64 = arguments.option("--for")?.ok_or_else(|| Misuse("--for SECONDS is needed".into()))?;
    let token: String = arguments.option("--token")?.ok_or_else(|| Misuse("--token is needed".into()))?;
    arguments.end()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let endpoints = listen.iter().map(|text| Endpoint::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if endpoints.is_empty() {
        return Err(Misuse("--listen is needed".into()));
    }
    let mut all = true;
    for endpoint in endpoints {
        let started = start(&endpoint, &token);
        all &= started.is_ok();
        let line = Line::new().text("protocol", endpoint.protocol.to_string()).text("host", &endpoint.host);
        line.number("port", *started.as_ref().unwrap_or(&endpoint.port)).outcome(&started).print();
    }
    Line::new().yes("ready", true).print();
    thread::sleep(until.saturating_duration_since(Instant::now()));
    Ok(all)
}

/// Starts a listener and returns its port: the system's choice if 0 was asked for.
fn start(endpoint: &Endpoint, token: &str) -> std::io::Result<u16> {
    let token = token.to_owned();
    match endpoint.protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(endpoint.address()?)?;
            let port = listener.local_addr()?.port();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let token = token.clone();
                    thread::spawn(move || answer(&stream, &token));
                }
            });
            Ok(port)
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(endpoint.address()?)?;
            let port = socket.local_addr()?.port();
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                loop {
                    // An error here is one of an earlier answer (nobody there any more): go on.
                    let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                    if let Some(answer) = wire::answer_datagram(&buffer[..count], &token) {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            });
            Ok(port)
        }
    }
}

fn answer(stream: &TcpStream, token: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut writer = stream;
    if let Some(question) = wire::read_question(&mut BufReader::new(stream), token)? {
        wire::answer(&mut writer, &question)?;
    }
    Ok(())
}
