//! What a fake host does with one command: takes the wrapping off, asks its handler, and plays the answer.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::PoisonError;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Answer, Asked, State};
use crate::host::Output;
use crate::host::ssh::Unwrapped;

type Result<T = ()> = std::result::Result<T, russh::Error>;

/// Plays one command; a client that is gone ends it.
pub(super) async fn play(state: &State, channel: Channel<Msg>, line: &str) {
    let (read, write) = channel.split();
    let done = match Unwrapped::read(line) {
        Some(command) => {
            let asked = Asked { script: command.script.clone(), root: command.root };
            state.traffic.command();
            if state.nature.remembers {
                state.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
            }
            let answer = (state.nature.handler)(&asked);
            perform(state, read, &write, &command, answer).await
        }
        None => Ok(()),
    };
    let _ = done;
    let _ = write.close().await;
}

async fn perform(
    state: &State,
    mut read: ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    command: &Unwrapped,
    answer: Answer,
) -> Result {
    write.data_bytes(state.nature.noise.clone().into_bytes()).await?;
    write.extended_data_bytes(1, state.nature.noise.clone().into_bytes()).await?;
    match answer {
        Answer::Run => return run(state, read, write, command).await,
        Answer::Refuse(text) => {
            write.data_bytes(text.into_bytes()).await?;
            return write.exit_status(1).await;
        }
        // There is no process: 1 is a group that nobody ends.
        _ => begin(write, command, 1).await?,
    }
    match answer {
        Answer::Say(output) => {
            drain(&mut read, state).await;
            say(write, command, &output).await
        }
        Answer::Late(time, output) => {
            tokio::time::sleep(time).await;
            say(write, command, &output).await
        }
        Answer::Backwards(output) => {
            write.exit_status(0).await?;
            say(write, command, &output).await?;
            write.eof().await
        }
        Answer::Break(text) => {
            write.data_bytes(text).await?;
            // What was said is to arrive before the connection breaks.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            state.cut();
            Ok(())
        }
        Answer::Hang => {
            while read.wait().await.is_some() {}
            Ok(())
        }
        Answer::Flood => loop {
            write.data_bytes(vec![b'.'; 32 << 10]).await?;
        },
        Answer::NoStatus | Answer::Run | Answer::Refuse(_) => Ok(()),
    }
}

async fn begin(write: &ChannelWriteHalf<Msg>, command: &Unwrapped, group: u32) -> Result {
    write.data_bytes(command.beginning(group).into_bytes()).await?;
    write.extended_data_bytes(1, command.beginning(group).into_bytes()).await
}

async fn say(write: &ChannelWriteHalf<Msg>, command: &Unwrapped, output: &Output) -> Result {
    write.data_bytes(output.stdout.clone()).await?;
    write.extended_data_bytes(1, output.stderr.clone()).await?;
    finish(write, command, output.status).await
}

async fn finish(write: &ChannelWriteHalf<Msg>, command: &Unwrapped, status: i32) -> Result {
    write.data_bytes(command.ending(status).into_bytes()).await?;
    write.extended_data_bytes(1, command.ending(status).into_bytes()).await?;
    write.exit_status(0).await
}

async fn drain(read: &mut ChannelReadHalf, state: &State) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => state.traffic.input(data.len()),
            ChannelMsg::Eof | ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// Really runs the script, in a process group of its own.
async fn run(state: &State, mut read: ChannelReadHalf, write: &ChannelWriteHalf<Msg>, command: &Unwrapped) -> Result {
    let mut process = Command::new("sh");
    process.args(["-c", &command.script]).current_dir(&state.folder).env("LC_ALL", "C").process_group(0);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = process.spawn()?;
    let group = Group(child.id().unwrap_or(0));
    begin(write, command, group.0).await?;
    let mut stdin = child.stdin.take();
    let out = pipe(child.stdout.take(), write, None);
    let err = pipe(child.stderr.take(), write, Some(1));
    let feed = async {
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(pipe) = &mut stdin {
                        // A script need not read what it is given.
                        let _ = pipe.write_all(&data).await;
                    }
                }
                ChannelMsg::Eof => stdin = None,
                ChannelMsg::Close => return,
                _ => {}
            }
        }
    };
    let work = async {
        let (status, out, err) = tokio::join!(child.wait(), out, err);
        out?;
        err?;
        finish(write, command, status_of(status?)).await
    };
    // When nobody listens any longer, nothing of it is left behind.
    let _group = group;
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done,
        // The channel is gone, and with it whoever waited: the group is killed.
        () = feed => Ok(()),
    }
}

/// A process group that is killed with this. It is gone, as a rule, and then nothing happens.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        if self.0 > 1 {
            let script = format!("kill -s KILL -- -{}", self.0);
            let mut kill = std::process::Command::new("sh");
            let _ =
                kill.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

async fn pipe(from: Option<impl AsyncRead + Unpin>, write: &ChannelWriteHalf<Msg>, ext: Option<u32>) -> Result {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        match ext {
            None => write.data_bytes(buffer[..length].to_vec()).await?,
            Some(ext) => write.extended_data_bytes(ext, buffer[..length].to_vec()).await?,
        }
    }
}

fn status_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
