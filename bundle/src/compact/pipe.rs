//! Bytes from one thread to a reader on another: a bounded channel of chunks. Whoever goes away first is noticed by the
//! other, so neither side outlives its use.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How many chunks may wait.
const WAITING: usize = 4;

type Chunk = io::Result<Vec<u8>>;

/// The side that gives.
pub(super) struct Giver(SyncSender<Chunk>);

/// The side that reads.
pub(super) struct Taker {
    chunks: Receiver<Chunk>,
    chunk: Vec<u8>,
    at: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Failed,
}

pub(super) fn pipe() -> (Giver, Taker) {
    let (sender, chunks) = sync_channel(WAITING);
    (Giver(sender), Taker { chunks, chunk: Vec::new(), at: 0, state: State::Running })
}

impl Giver {
    /// Ends with an error, or rightly.
    pub(super) fn end(self, result: io::Result<()>) {
        // An empty chunk is the end; a channel that just closes is a thread that died.
        // Nobody may be listening any more, and that is fine.
        let _ = self.0.send(result.map(|()| Vec::new()));
    }
}

impl Write for Giver {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.0.send(Ok(bytes.to_vec())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Taker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() && !buffer.is_empty() {
            match self.state {
                State::Ended => return Ok(0),
                State::Failed => return Err(io::Error::other("reading has failed before")),
                State::Running => self.next()?,
            }
        }
        let n = buffer.len().min(self.chunk.len() - self.at);
        buffer[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Taker {
    fn next(&mut self) -> io::Result<()> {
        let lost = |_| Err(io::Error::other("the thread that reads has died"));
        match self.chunks.recv().unwrap_or_else(lost) {
            Ok(chunk) => {
                if chunk.is_empty() {
                    self.state = State::Ended;
                }
                self.chunk = chunk;
                self.at = 0;
                Ok(())
            }
            Err(error) => {
                self.state = State::Failed;
                Err(error)
            }
        }
    }
}
