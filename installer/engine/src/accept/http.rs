//! One plain HTTP request over a connection that a host passes on: nothing is needed on the host.
//!
//! HTTP/1.0, so that the answer ends with the connection and comes in one piece.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::context::Unseen;
use crate::host::Stream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer that is read, in bytes. etcd's metrics are some 200 KiB.
const LONGEST: u64 = 8 << 20;

/// Status and body of a GET. `authorization` is the header's value, if there is to be one.
pub(super) async fn get(
    stream: &mut impl Stream,
    authority: &str,
    path: &str,
    authorization: Option<&str>,
) -> Result<(u16, String), Unseen> {
    let header = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: ferry\r\n{header}\r\n");
    let mut bytes = Vec::new();
    let whole = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let read = stream.take(LONGEST).read_to_end(&mut bytes).await;
        // Many servers end a TLS connection without saying so.
        match read {
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(()),
        }
    };
    let ended = tokio::time::timeout(PATIENCE, whole).await;
    ended.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?.map_err(|error| error.to_string())?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| "what came back is no HTTP answer".to_owned())
}

fn parse(text: &str) -> Option<(u16, String)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_request_gets_one_answer() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move {
            let mut seen = vec![0; 1024];
            let count = far.read(&mut seen).await.unwrap();
            far.write_all(b"HTTP/1.0 401 Unauthorized\r\nX: y\r\n\r\nno").await.unwrap();
            String::from_utf8(seen[..count].to_vec()).unwrap()
        });
        let answer = get(&mut near, "r:5000", "/v2/", Some("Basic x")).await.unwrap();
        assert_eq!(answer, (401, "no".into()));
        let seen = server.await.unwrap();
        assert!(
            seen.starts_with("GET /v2/ HTTP/1.0\r\nHost: r:5000\r\n") && seen.contains("Authorization: Basic x\r\n")
        );
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
    }
}
