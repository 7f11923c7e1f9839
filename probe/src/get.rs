//! `get`: one plain HTTP request, its status and the first of what comes back.

use std::io::{Error, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Verdict;
use crate::arguments::{Arguments, Misuse};
use crate::endpoint::Endpoint;
use crate::json::Line;

/// How much of an answer is read, in bytes.
const LONGEST: u64 = 64 << 10;

struct Answer {
    status: u16,
    body: String,
}

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let timeout = arguments.milliseconds("--timeout", 5000)?;
    let url = arguments.required("a URL")?;
    arguments.end()?;
    let rest = url.strip_prefix("http://").ok_or_else(|| Misuse(format!("{url} does not begin with http://")))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let bare = authority.parse::<std::net::Ipv6Addr>().is_ok();
    let with_port = !bare && authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let endpoint = if with_port { authority.to_owned() } else { format!("{authority}:80") };
    let endpoint = Endpoint::parse(&format!("tcp:{endpoint}"))?;
    let begin = Instant::now();
    let answer = ask(&endpoint, authority, path, timeout);
    let line = Line::new().text("url", &url).outcome(&answer).milliseconds("ms", begin.elapsed());
    match &answer {
        Ok(answer) => line.number("status", answer.status).text("body", &answer.body).print(),
        Err(_) => line.print(),
    }
    Ok(answer.is_ok_and(|answer| (200..400).contains(&answer.status)))
}

fn ask(endpoint: &Endpoint, authority: &str, path: &str, timeout: Duration) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&endpoint.address()?, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // In one piece: a server that speaks TLS answers the first bytes and closes, and a second piece would find nobody.
    let request =
        format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: ferry-probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    // It may also break off after its answer, because it has not read all of the question.
    match stream.take(LONGEST).read_to_end(&mut bytes) {
        Err(error) if bytes.is_empty() => return Err(error),
        _ => {}
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Error::other("this is no HTTP answer"))?;
    let mut words = head.split_whitespace();
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse().ok()).filter(|_| version.starts_with("HTTP/"));
    Ok(Answer { status: status.ok_or_else(|| Error::other("this is no HTTP answer"))?, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener};

    /// What servers that speak TLS do with a plain question: they look at its first bytes, answer, and close.
    #[test]
    fn who_answers_before_the_end_of_the_question_has_answered() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = server.local_addr().unwrap() else { unreachable!("it is bound to IPv4") };
        let serving = std::thread::spawn(move || {
            for _ in 0..50 {
                let (mut stream, _) = server.accept().unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
                stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is TLS\n").unwrap();
            }
        });
        let endpoint = Endpoint::parse(&format!("tcp:{address}")).unwrap();
        for _ in 0..50 {
            let answer = ask(&endpoint, &address.to_string(), "", Duration::from_secs(5)).unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (400, "this is TLS\n"));
        }
        serving.join().unwrap();
    }
}
