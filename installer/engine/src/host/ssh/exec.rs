//! One command on one channel: sends it, answers the password prompt once, feeds its standard input, collects what it
//! prints until its end mark has come on both streams.
//!
//! Nothing is believed but the marks: EOF, exit status and close come in any order, or not at all.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::privilege::Climb;
use super::wrap::{Mark, Reader};
use crate::host::{HostErrorKind, Output, Progress, Secret};

/// What a command reads.
pub(super) enum Feed<'a> {
    /// These bytes; they may be none.
    Bytes(Bytes),
    /// Everything that comes here, and who hears of it.
    Stream(mpsc::Receiver<std::io::Result<Bytes>>, Progress<'a>),
}

/// A command, ready to go.
pub(super) struct Exec<'a> {
    pub(super) line: String,
    pub(super) mark: Mark,
    pub(super) climb: &'a Climb,
    pub(super) feed: Feed<'a>,
    pub(super) limit: usize,
    /// Released as soon as the command has begun: until then no other command tries the same password.
    pub(super) gate: Option<OwnedMutexGuard<()>>,
    /// How long the login shell may take before the command begins. A password that is asked for has its own time.
    pub(super) patience: Duration,
    /// Gets what the login shell said by itself.
    pub(super) noise: &'a Mutex<Vec<String>>,
}

/// How a command ended otherwise than with a status.
pub(super) enum Failed {
    /// For this reason.
    Kind(HostErrorKind),
    /// Root was not had: why, and whether a password was given.
    NoRoot(String, bool),
    /// The host ran nothing: it said this.
    NotRun(String),
    /// The host began nothing for this long, and had said this by then.
    NotBegun { after: Duration, said: String },
    /// More output than allowed.
    Flood,
    /// The channel ended without a status, for this reason.
    Cut(String),
}

/// Tells the writing half what to do next.
enum Say {
    Password(Secret),
    Rest,
    End,
}

/// A channel's writing half that closes the channel when it goes.
struct Closing(Arc<ChannelWriteHalf<Msg>>);

impl Drop for Closing {
    fn drop(&mut self) {
        let half = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(half.close().await) });
        }
    }
}

impl Exec<'_> {
    /// Runs it. `group` gets the process group on the host, once it is known.
    pub(super) async fn run(mut self, channel: Channel<Msg>, group: &AtomicU32) -> Result<Output, Failed> {
        let (read, write) = channel.split();
        let write = Closing(Arc::new(write));
        let cut = |error: russh::Error| Failed::Cut(error.to_string());
        write.0.exec(true, std::mem::take(&mut self.line)).await.map_err(cut)?;
        let (say, said) = mpsc::channel(4);
        let feed = std::mem::replace(&mut self.feed, Feed::Bytes(Bytes::new()));
        let writing = speak(write.0.clone(), said, feed);
        let listening = self.listen(read, say, group);
        tokio::pin!(writing, listening);
        tokio::select! {
            output = &mut listening => output,
            error = &mut writing => match error {
                // What could not be written is explained by what the host says, if it says anything.
                Ok(()) => listening.await,
                Err(error) => Err(Failed::Kind(HostErrorKind::Upload { path: String::new(), why: error.to_string() })),
            },
        }
    }

    async fn listen(
        &mut self,
        mut read: ChannelReadHalf,
        say: mpsc::Sender<Say>,
        group: &AtomicU32,
    ) -> Result<Output, Failed> {
        let mut out = Reader::new(&self.mark);
        let mut err = Reader::new(&self.mark);
        let mut given = false;
        let mut cut = "the connection is gone".to_owned();
        let late = tokio::time::sleep(self.patience);
        tokio::pin!(late);
        while out.status().is_none() || err.status().is_none() {
            let message = tokio::select! {
                biased;
                message = read.wait() => message,
                () = &mut late, if !out.has_begun() && !given => {
                    let said = format!("{}\n{}", err.before(), out.before()).trim().to_owned();
                    return Err(Failed::NotBegun { after: self.patience, said });
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => out.feed(&data),
                Some(ChannelMsg::ExtendedData { data, .. }) => err.feed(&data),
                Some(ChannelMsg::Failure) => return Err(Failed::NotRun("it refuses to run commands".to_owned())),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    cut = format!("the session ended with status {exit_status}, and the command without one");
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    cut = format!("the session was killed: {signal_name:?}");
                }
                // Output may still be on its way after the status, so only this is the end.
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
            if out.length().max(err.length()) > self.limit {
                return Err(Failed::Flood);
            }
            if let Some(number) = out.group()
                && group.swap(number, Ordering::Relaxed) == 0
            {
                self.gate = None;
                let _ = say.send(Say::Rest).await;
            }
            if !out.has_begun() {
                self.answer(&out, &err, &mut given, &say).await?;
            }
        }
        let said = format!("{}\n{}", err.before(), out.before()).trim().to_owned();
        if let Some(status) = out.status().or(err.status()) {
            // Errors may be those of sudo: its lecture, its prompt.
            *self.noise.lock().unwrap_or_else(PoisonError::into_inner) = out.noise();
            return Ok(Output { status, stdout: out.output(), stderr: err.output() });
        }
        if out.has_begun() {
            return Err(Failed::Cut(cut));
        }
        match self.climb.verdict(&said, &self.mark, given) {
            Some(why) => Err(Failed::NoRoot(why, given)),
            None if cut.starts_with("the connection") => Err(Failed::Cut(cut)),
            None => Err(Failed::NotRun(if said.is_empty() { cut } else { said })),
        }
    }

    /// Before the beginning: gives the password when it is asked for, once.
    async fn answer(
        &self,
        out: &Reader,
        err: &Reader,
        given: &mut bool,
        say: &mpsc::Sender<Say>,
    ) -> Result<(), Failed> {
        if let Some(user) = out.denied() {
            let why = format!("commands run as {user}, and the site file gives no way to root");
            return Err(Failed::NoRoot(why, false));
        }
        let Some(password) = self.climb.password() else { return Ok(()) };
        let said = format!("{}\n{}", out.before(), err.before());
        match (self.climb.asked(&said, &self.mark), *given) {
            (0, _) | (1, true) => {}
            (_, false) => {
                *given = true;
                let _ = say.send(Say::Password(password.clone())).await;
            }
            (_, true) => {
                let _ = say.send(Say::End).await;
                let why = self.climb.verdict(&said, &self.mark, true);
                return Err(Failed::NoRoot(why.unwrap_or_else(|| "the password was refused".to_owned()), true));
            }
        }
        Ok(())
    }
}

/// The writing side: waits for what to do, then does it. Ends only when standard input could not be read.
async fn speak(half: Arc<ChannelWriteHalf<Msg>>, mut said: mpsc::Receiver<Say>, feed: Feed<'_>) -> std::io::Result<()> {
    let mut feed = Some(feed);
    while let Some(say) = said.recv().await {
        // An error here means that the channel is gone; the reading side knows more.
        match say {
            Say::Password(secret) => drop(half.data_bytes(format!("{}\n", secret.expose()).into_bytes()).await),
            Say::Rest => match feed.take() {
                Some(Feed::Bytes(bytes)) => {
                    drop(half.data_bytes(bytes).await);
                    drop(half.eof().await);
                }
                Some(Feed::Stream(mut source, progress)) => {
                    while let Some(chunk) = source.recv().await {
                        let chunk = chunk?;
                        let length = chunk.len() as u64;
                        if half.data_bytes(chunk).await.is_err() {
                            break;
                        }
                        progress(length);
                    }
                    drop(half.eof().await);
                }
                None => {}
            },
            Say::End => drop(half.eof().await),
        }
    }
    std::future::pending().await
}
