//! `dial`: whether listeners of `serve` answer, and how fast; a UDP question is asked up to three times.

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Misuse};
use crate::endpoint::{Endpoint, Protocol};
use crate::json::Line;
use crate::{Verdict, random, wire};

/// How often a datagram is sent: one lost packet is no broken link.
const TRIES: u32 = 3;

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let token: String = arguments.option("--token")?.ok_or_else(|| Misuse("--token is needed".into()))?;
    let timeout = arguments.milliseconds("--timeout", 2000)?;
    let size: usize = arguments.option("--size")?.unwrap_or(0);
    if size > wire::BIGGEST {
        return Err(Misuse(format!("--size is at most {}", wire::BIGGEST)));
    }
    let endpoints = arguments.rest("HOST:PORT")?;
    let endpoints = endpoints.iter().map(|text| Endpoint::parse(text)).collect::<Result<Vec<_>, _>>()?;
    // All at once: a matrix against a firewall that drops would else take a time-out each.
    let dialled = thread::scope(|scope| {
        let handles: Vec<_> =
            endpoints.iter().map(|endpoint| scope.spawn(|| dial(endpoint, &token, size, timeout))).collect();
        let join = |handle: thread::ScopedJoinHandle<'_, _>| handle.join();
        let lost = |_| Err(Error::other("the probe failed"));
        handles.into_iter().map(|handle| join(handle).unwrap_or_else(lost)).collect::<Vec<std::io::Result<Duration>>>()
    });
    let mut all = true;
    for (endpoint, result) in endpoints.iter().zip(dialled) {
        all &= result.is_ok();
        let line = Line::new().text("protocol", endpoint.protocol.to_string()).text("host", &endpoint.host);
        let line = line.number("port", endpoint.port).number("size", size as u128).outcome(&result);
        match result {
            Ok(took) => line.milliseconds("ms", took).print(),
            Err(_) => line.print(),
        }
    }
    Ok(all)
}

fn dial(endpoint: &Endpoint, token: &str, size: usize, timeout: Duration) -> std::io::Result<Duration> {
    let address = endpoint.address()?;
    match endpoint.protocol {
        Protocol::Tcp => {
            let begin = Instant::now();
            let mut stream = TcpStream::connect_timeout(&address, timeout)?;
            let connected = begin.elapsed();
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            wire::ask(&mut stream, token, &random::nonce(), size)?;
            Ok(connected)
        }
        Protocol::Udp => datagram(address, token, size, timeout),
    }
}

fn datagram(address: SocketAddr, token: &str, size: usize, timeout: Duration) -> std::io::Result<Duration> {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    let mut buffer = vec![0; 65_536];
    let mut last = Error::new(ErrorKind::TimedOut, "no answer");
    for _ in 0..TRIES {
        let nonce = random::nonce();
        let begin = Instant::now();
        let until = begin + timeout / TRIES;
        socket.send(&wire::ask_datagram(token, &nonce, size))?;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(count) if wire::is_answer(&buffer[..count], &nonce, size) => return Ok(begin.elapsed()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
    }
    Err(last)
}
