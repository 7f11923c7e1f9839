//! `resolve`: a DNS client of its own, so that what is measured is the name server and not a library's cache or patience.
//!
//! One question, class IN. What comes back is believed only if its id and question are ours. Names in answers may be
//! compressed (RFC 1035 §4.1.4); they are skipped, not followed, so that no loop can be built.

use std::fs;
use std::io::{Error, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Misuse};
use crate::json::Line;
use crate::{Verdict, random};

const A: u16 = 1;
const AAAA: u16 = 28;
const RCODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    rcode: String,
    addresses: Vec<IpAddr>,
}

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let timeout = arguments.milliseconds("--timeout", 2000)?;
    let tcp = arguments.switch("--tcp");
    let kind = match arguments.option::<String>("--type")?.as_deref() {
        None | Some("A") => A,
        Some("AAAA") => AAAA,
        Some(other) => return Err(Misuse(format!("--type can't be {other}"))),
    };
    let server = arguments.option::<String>("--server")?.or_else(first_server);
    let name = arguments.required("a name")?;
    arguments.end()?;
    let server = server.ok_or_else(|| Misuse("there is no name server; say --server".into()))?;
    let address = server.parse::<SocketAddr>().or_else(|_| server.parse::<IpAddr>().map(|ip| (ip, 53).into()));
    let address = address.map_err(|_| Misuse(format!("--server can't be {server:?}")))?;
    let begin = Instant::now();
    let answer = ask(&name, kind, address, tcp, timeout);
    let took = begin.elapsed();
    let line = Line::new().text("name", &name).text("server", address.to_string()).yes("tcp", tcp);
    let line = line.outcome(&answer).milliseconds("ms", took);
    match &answer {
        Ok(answer) => {
            let addresses = answer.addresses.iter().map(ToString::to_string);
            line.text("rcode", &answer.rcode).texts("addresses", addresses).print();
        }
        Err(_) => line.print(),
    }
    Ok(answer.is_ok_and(|answer| answer.rcode == "NOERROR" && !answer.addresses.is_empty()))
}

fn first_server() -> Option<String> {
    let text = fs::read_to_string("/etc/resolv.conf").ok()?;
    text.lines().find_map(|line| line.strip_prefix("nameserver")?.split_whitespace().next().map(str::to_owned))
}

fn ask(name: &str, kind: u16, server: SocketAddr, tcp: bool, timeout: Duration) -> std::io::Result<Answer> {
    let id = u16::from_str_radix(&random::nonce()[..4], 16).unwrap_or(1);
    let question = question(id, name, kind)?;
    let mut buffer = vec![0; 65_536];
    let length = if tcp {
        let mut stream = TcpStream::connect_timeout(&server, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let mut framed = u16::try_from(question.len()).unwrap_or_default().to_be_bytes().to_vec();
        framed.extend_from_slice(&question);
        stream.write_all(&framed)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        stream.read_exact(&mut buffer[..length])?;
        length
    } else {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(server)?;
        socket.send(&question)?;
        let until = Instant::now() + timeout;
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            socket.set_read_timeout(Some(left.ok_or_else(|| Error::other("no answer"))?))?;
            let length = socket.recv(&mut buffer)?;
            if length > 2 && buffer[..2] == id.to_be_bytes() {
                break length;
            }
        }
    };
    read(&buffer[..length], &question).ok_or_else(|| Error::other("this is no answer to the question"))
}

/// A question: header (id, recursion desired, one question), name, type, class IN.
fn question(id: u16, name: &str, kind: u16) -> std::io::Result<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        bytes.push(length.ok_or_else(|| Error::other(format!("{name:?} is no DNS name")))?);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    Ok(bytes)
}

/// The answer to `question`, or nothing if it is another's or damaged.
fn read(bytes: &[u8], question: &[u8]) -> Option<Answer> {
    let short = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let is_answer = bytes.get(..2)? == question.get(..2)? && bytes.get(2)? & 0x80 != 0 && short(4)? == 1;
    if !is_answer || !bytes.get(12..question.len())?.eq_ignore_ascii_case(&question[12..]) {
        return None;
    }
    let rcode = usize::from(bytes.get(3)? & 0x0F);
    let mut at = question.len();
    let mut addresses = Vec::new();
    for _ in 0..short(6)? {
        at = after_name(bytes, at)?;
        let (kind, length) = (short(at)?, usize::from(short(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        match kind {
            A => addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            AAAA => addresses.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
        at += 10 + length;
    }
    let rcode = RCODES.get(rcode).map_or_else(|| format!("RCODE{rcode}"), |name| (*name).to_owned());
    Some(Answer { rcode, addresses })
}

/// The place after a name: labels up to a zero, or up to a pointer of two bytes.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xC0 == 0xC0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_damaged_ones_are_not() {
        let question = question(0x1234, "a.example", A).unwrap();
        let mut bytes = question.clone();
        bytes[2..4].copy_from_slice(&[0x81, 0x80]);
        bytes[7] = 2;
        // A CNAME, then an address, both with compressed names.
        bytes.extend([0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xC0, 14]);
        bytes.extend([0xC0, 14, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 9]);
        let expected = Answer { rcode: "NOERROR".into(), addresses: vec!["10.0.0.9".parse().unwrap()] };
        assert_eq!(read(&bytes, &question), Some(expected));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], &question), None, "cut at {length}");
        }
        let mut foreign = bytes.clone();
        foreign[0] ^= 1;
        assert_eq!(read(&foreign, &question), None);
        bytes[3] = 0x83;
        assert_eq!(read(&bytes, &question).unwrap().rcode, "NXDOMAIN");
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "a..b", &"x".repeat(64)] {
            assert!(question(1, name, A).is_err(), "{name}");
        }
    }
}
