//! What `dial` and `serve` say to each other, so that a dial proves that *our* listener answered.
//!
//! ```text
//! TCP  ► ferry-probe TOKEN NONCE SIZE\n + SIZE bytes     ◄ ferry-probe NONCE SIZE\n + the same number of bytes
//! UDP  ► ferry-probe TOKEN NONCE\n + padding to SIZE      ◄ ferry-probe NONCE\n + padding to SIZE
//! ```
//! The way back carries as much as the way there: a link that loses big packets in one direction shows.

use std::io::{BufRead, Read, Write};

/// The longest first line that is read.
const LONGEST: u64 = 512;
/// The biggest payload that is answered.
pub(crate) const BIGGEST: usize = 1 << 20;

/// What the dialling side asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) nonce: String,
    pub(crate) size: usize,
}

/// The datagram that asks, of `size` bytes, or more if its first line is longer.
pub(crate) fn ask_datagram(token: &str, nonce: &str, size: usize) -> Vec<u8> {
    padded(format!("ferry-probe {token} {nonce}\n"), size)
}

/// The datagram that answers, if the question has the right token.
pub(crate) fn answer_datagram(question: &[u8], token: &str) -> Option<Vec<u8>> {
    let line = std::str::from_utf8(question.split(|byte| *byte == b'\n').next()?).ok()?;
    let nonce = line.strip_prefix("ferry-probe ")?.strip_prefix(token)?.strip_prefix(' ')?;
    Some(padded(format!("ferry-probe {nonce}\n"), question.len()))
}

/// Whether a datagram answers the question of that nonce in full.
pub(crate) fn is_answer(answer: &[u8], nonce: &str, size: usize) -> bool {
    answer.len() >= size && answer.starts_with(format!("ferry-probe {nonce}\n").as_bytes())
}

fn padded(line: String, size: usize) -> Vec<u8> {
    let mut bytes = line.into_bytes();
    let longer = size.max(bytes.len());
    bytes.resize(longer, b'.');
    bytes
}

/// Asks over a stream and reads the answer.
pub(crate) fn ask(stream: &mut (impl Read + Write), token: &str, nonce: &str, size: usize) -> std::io::Result<()> {
    stream.write_all(&padded(format!("ferry-probe {token} {nonce} {size}\n"), 0))?;
    stream.write_all(&vec![b'.'; size])?;
    stream.flush()?;
    let mut expected = format!("ferry-probe {nonce} {size}\n").into_bytes();
    expected.resize(expected.len() + size, b'.');
    let mut answer = Vec::new();
    stream.take(expected.len() as u64).read_to_end(&mut answer)?;
    if answer == expected { Ok(()) } else { Err(std::io::Error::other("something else answers there")) }
}

/// Reads a question from a stream; `None` if it is none of ours.
pub(crate) fn read_question(stream: &mut impl BufRead, token: &str) -> std::io::Result<Option<Question>> {
    let mut line = Vec::new();
    stream.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
    let Ok(line) = String::from_utf8(line) else { return Ok(None) };
    let mut words = line.trim_end().split(' ');
    let (Some("ferry-probe"), Some(shown), Some(nonce), Some(size), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Ok(None);
    };
    let Some(size) = size.parse().ok().filter(|size| *size <= BIGGEST) else { return Ok(None) };
    if shown != token {
        return Ok(None);
    }
    std::io::copy(&mut stream.take(size as u64), &mut std::io::sink())?;
    Ok(Some(Question { nonce: nonce.to_owned(), size }))
}

/// Answers a question over a stream.
pub(crate) fn answer(stream: &mut impl Write, question: &Question) -> std::io::Result<()> {
    stream.write_all(format!("ferry-probe {} {}\n", question.nonce, question.size).as_bytes())?;
    stream.write_all(&vec![b'.'; question.size])?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_answered_at_their_size_and_only_with_the_token() {
        let question = ask_datagram("T", "n1", 1400);
        assert_eq!(question.len(), 1400);
        let answer = answer_datagram(&question, "T").unwrap();
        assert!(is_answer(&answer, "n1", 1400) && !is_answer(&answer, "n2", 1400) && !is_answer(&answer, "n1", 1401));
        assert!(answer_datagram(&question, "U").is_none() && answer_datagram(b"\xff\n", "T").is_none());
    }

    #[test]
    fn streams_are_asked_with_the_token() {
        let mut question = &b"ferry-probe T n1 3\n...rest"[..];
        assert_eq!(read_question(&mut question, "T").unwrap(), Some(Question { nonce: "n1".into(), size: 3 }));
        assert_eq!(question, b"rest");
        for foreign in ["GET / HTTP/1.1\r\n", "ferry-probe U n1 3\n", "ferry-probe T n1 99999999999\n", ""] {
            assert_eq!(read_question(&mut foreign.as_bytes(), "T").unwrap(), None, "{foreign}");
        }
    }
}
