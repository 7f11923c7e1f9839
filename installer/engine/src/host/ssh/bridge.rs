//! A connection to a port of the host where its sshd forbids forwarding: through the standard input and output of a
//! session, which a few lines of bash on the host join to the port (`/dev/tcp`).
//!
//! Hardened hosts set `DisableForwarding`, or forbid it in a `Match` block; commands run there all the same, so what a
//! command can do is not more than what the user may do anyway. A bastion that forbids forwarding is left alone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::Channel;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::session::Inner;
use super::wrap::Mark;
use crate::host::{HostError, HostErrorKind, Stream, quote};

/// What a login shell may print before the connection is there, in bytes.
const BANNER: usize = 64 << 10;

/// Joins the session to the port. `$1` and `$2` are address and port, `$3` is the word of the mark. When this end stops
/// writing, what is still on its way back has 10 s.
const JOIN: &str = r#"
say() { printf '%s%s %s\n' FERRY-PIPE- "$1" "$2"; }
{ exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || { say "$3" refused; exit 0; }
say "$3" open
exec 4<&0
cat <&3 2>/dev/null & reader=$!
{ cat <&4 >&3; sleep 10; kill "$reader"; } >/dev/null 2>&1 & writer=$!
exec 3>&- 4<&-
wait "$reader"
kill "$writer" 2>/dev/null
"#;

/// The command line for the login shell.
fn line(address: &str, port: u16, mark: &Mark) -> String {
    let word = mark.word();
    let program = format!(
        "command -v bash >/dev/null 2>&1 || {{ printf '%s%s none\\n' FERRY-PIPE- {word}; exit 0; }}; \
         exec bash --norc --noprofile -c {} ferry {} {port} {word}",
        quote(JOIN),
        quote(address),
    );
    format!("exec /bin/sh -c 'eval \"$(echo {} | base64 -d)\"'", BASE64.encode(program))
}

/// What became of a try to join a session to a port.
pub(super) enum Joined {
    /// The stream.
    Stream(Box<dyn Stream>),
    /// Bash was there and tried, and nothing listens, or nothing answers.
    Refused,
}

/// Joins a session to `address:port` as seen from the host. The text says why no session can be joined to any port.
pub(super) async fn join(inner: &Arc<Inner>, address: &str, port: u16) -> Result<Result<Joined, String>, HostError> {
    let (link, channel, room) = inner.session().await?;
    let mark = Mark::new();
    let begun = timeout(inner.settings.begin, begin(channel, line(address, port, &mark), mark));
    Ok(match begun.await {
        Ok(Ok((stream, early, answer))) => match answer.as_str() {
            "open" => Ok(Joined::Stream(Box::new(Bridge { early, at: 0, stream, _held: (link, room) }))),
            "refused" => Ok(Joined::Refused),
            _ => Err("it has no bash".to_owned()),
        },
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("nothing began within {} s", inner.settings.begin.as_secs())),
    })
}

/// Connects to `address:port` as seen from the host.
pub(super) async fn open(inner: &Arc<Inner>, address: &str, port: u16) -> Result<Box<dyn Stream>, HostError> {
    let name = &inner.host.name;
    let why = match join(inner, address, port).await? {
        Ok(Joined::Stream(stream)) => return Ok(stream),
        Ok(Joined::Refused) => format!("{name} can't connect to it"),
        Err(why) => format!(
            "{name} passes no connections on, and no session takes the place of that ({why}): set \
             `AllowTcpForwarding yes` (or `local`) in its sshd"
        ),
    };
    Err(inner.error(HostErrorKind::Unreachable { address: format!("{address}:{port}"), why }))
}

/// Starts the program and waits for its mark: the stream, what came behind the mark, and the mark's word.
async fn begin(
    channel: Channel<Msg>,
    line: String,
    mark: Mark,
) -> Result<(impl AsyncRead + AsyncWrite + Send + Unpin, Vec<u8>, String), String> {
    channel.exec(true, line).await.map_err(|error| error.to_string())?;
    let mut stream = channel.into_stream();
    let begin = format!("FERRY-PIPE-{} ", mark.word()).into_bytes();
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 4096]);
    loop {
        let length = stream.read(&mut chunk).await.map_err(|error| error.to_string())?;
        if length == 0 || bytes.len() > BANNER {
            let said: String = String::from_utf8_lossy(&bytes).trim().chars().take(200).collect();
            return Err(format!("it printed {said:?}"));
        }
        bytes.extend_from_slice(&chunk[..length]);
        let Some(at) = bytes.windows(begin.len()).position(|window| window == begin) else { continue };
        let word = at + begin.len();
        if let Some(end) = bytes[word..].iter().position(|&byte| byte == b'\n') {
            let answer = String::from_utf8_lossy(&bytes[word..word + end]).trim().to_owned();
            return Ok((stream, bytes.split_off(word + end + 1), answer));
        }
    }
}

/// The stream of a session, and what keeps it alive.
struct Bridge<S, H> {
    /// What came with the mark.
    early: Vec<u8>,
    at: usize,
    stream: S,
    _held: H,
}

impl<S: AsyncRead + Unpin, H: Unpin> AsyncRead for Bridge<S, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let left = &self.early[self.at..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, H: Unpin> AsyncWrite for Bridge<S, H> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_word_of_the_line_whatever_it_is() {
        let line = line("a'; touch /x; '", 80, &Mark::of("00"));
        let coded = line.split(' ').nth(5).unwrap();
        let program = String::from_utf8(BASE64.decode(coded).unwrap()).unwrap();
        assert!(program.contains(&format!(" ferry {} 80 00", quote("a'; touch /x; '"))), "{program}");
        assert!(!line.contains("FERRY-PIPE-00"), "a shell that prints what it runs must not print the mark");
    }
}
