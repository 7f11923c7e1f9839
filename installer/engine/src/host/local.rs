//! The operator's own machine as a host: commands by `sh`, files by rename, connections by plain TCP.
//!
//! For installing on the machine that one sits at, and for gathering its facts. It becomes root by being root already.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ferry_bundle_format::digest::digest_reader;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process;

use super::{Command, Host, HostError, HostErrorKind, Output, Progress, Stdin, Stream, Upload, quote};

/// How many bytes are copied at once.
const CHUNK: usize = 1 << 20;

/// This machine.
#[derive(Debug, Clone)]
pub struct LocalHost {
    name: String,
}

impl LocalHost {
    /// This machine, under that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn error(&self, kind: HostErrorKind) -> HostError {
        HostError::new(&self.name, kind)
    }

    async fn execute(&self, command: &Command) -> Result<Output, HostError> {
        if command.root && !is_root() {
            let why = "this program does not run as root; run it with sudo".to_owned();
            return Err(self.error(HostErrorKind::Privilege(why)));
        }
        let lost = |error: std::io::Error| self.error(HostErrorKind::Lost(error.to_string()));
        // A group of its own, so that what the script started ends with it.
        let mut child = process::Command::new("sh")
            .args(["-c", &format!("umask 022\n{}", command.script)])
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(lost)?;
        let group = child.id();
        let (mut input, mut out, mut err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let text = match &command.stdin {
            Stdin::Empty => "",
            Stdin::Text(text) => text,
            Stdin::Secret(secret) => secret.expose(),
        };
        let feed = async {
            // A script need not read what it is given: a closed pipe is no error.
            if let Some(mut input) = input.take() {
                let _ = input.write_all(text.as_bytes()).await;
            }
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let read_out = async { if let Some(out) = &mut out { out.read_to_end(&mut stdout).await } else { Ok(0) } };
        let read_err = async { if let Some(err) = &mut err { err.read_to_end(&mut stderr).await } else { Ok(0) } };
        let whole = async {
            let ((), out, err) = tokio::join!(feed, read_out, read_err);
            out.and(err)?;
            child.wait().await
        };
        let Ok(ended) = tokio::time::timeout(command.deadline, whole).await else {
            if let Some(group) = group {
                let script = format!("kill -s KILL -- -{group}");
                let _ = process::Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().await;
            }
            let (after, script) = (command.deadline, command.script.clone());
            return Err(self.error(HostErrorKind::Deadline { after, script }));
        };
        let ended = ended.map_err(lost)?;
        let status = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default());
        Ok(Output { status, stdout, stderr })
    }

    async fn place(&self, upload: &Upload, progress: Progress<'_>) -> Result<(), HostError> {
        let failed = |why: String| self.error(HostErrorKind::Upload { path: upload.path.clone(), why });
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let job = upload.clone();
        let copied = tokio::task::spawn_blocking(move || {
            // Nobody listens any more once the call is cancelled; the copy is then of no use either.
            copy(&job, &|count| sender.send(count).map_err(std::io::Error::other))
        });
        while let Some(count) = receiver.recv().await {
            progress(count);
        }
        let part =
            copied.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        let (from, to) = (quote(&part.display().to_string()), quote(&upload.path));
        let script = format!("chown {} {from} && mv -f {from} {to}", quote(&upload.owner));
        let output = self.execute(&Command::new(script)).await?;
        if output.status == 0 { Ok(()) } else { Err(failed(output.errors().trim().to_owned())) }
    }
}

/// Whether this process runs as root.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Copies to a file beside the place, syncs it, and compares the digest of what lies there.
fn copy(upload: &Upload, progress: &dyn Fn(u64) -> std::io::Result<()>) -> std::io::Result<PathBuf> {
    let part = PathBuf::from(format!("{}.ferry-part", upload.path));
    if let Some(folder) = Path::new(&upload.path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut from = upload.source.open_at(0)?;
    // A new file, never one that somebody else has put there, nor what a link leads to.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count])?;
        progress(count as u64)?;
    }
    to.set_permissions(std::fs::Permissions::from_mode(upload.mode))?;
    to.sync_all()?;
    let (found, _) = digest_reader(File::open(&part)?)?;
    if found != upload.digest {
        std::fs::remove_file(&part)?;
        return Err(std::io::Error::other(format!("it has the digest {found}, not {}", upload.digest)));
    }
    Ok(part)
}

impl Host for LocalHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        self.execute(command).boxed()
    }

    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.place(upload, progress).boxed()
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        async move {
            let stream = TcpStream::connect((address, port)).await.map_err(|error| {
                let (address, why) = (format!("{address}:{port}"), error.to_string());
                self.error(HostErrorKind::Unreachable { address, why })
            })?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ferry_bundle_format::Digest;

    use super::super::{Bytes, Secret};
    use super::*;

    fn host() -> LocalHost {
        LocalHost::new("here")
    }

    #[tokio::test]
    async fn commands_give_status_and_both_outputs() {
        let command = Command::new("cat; umask; pwd; echo $LC_ALL; echo no >&2; exit 3");
        let output = host().run(&command.reading(Stdin::Secret(Secret::new("hunter2\n")))).await.unwrap();
        assert_eq!((output.status, output.text().as_str()), (3, "hunter2\n0022\n/\nC\n"));
        assert_eq!(output.errors(), "no\n");
        let killed = host().run(&Command::new("kill -TERM $$")).await.unwrap();
        assert_eq!(killed.status, 128 + 15);
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", quote(&pids.display().to_string()));
        let error = host().run(&Command::new(script).within(Duration::from_millis(500))).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Deadline { .. }), "{error}");
        let pid = std::fs::read_to_string(&pids).unwrap();
        let alive = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        // A killed process is gone once the kernel has come round to it.
        for _ in 0..500 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child goes on");
    }

    #[tokio::test]
    async fn uploads_are_compared_and_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b c").display().to_string();
        let owner = if is_root() { "0:0".to_owned() } else { String::new() };
        let bytes = b"content".to_vec();
        let mut upload = Upload {
            digest: Digest::of(&bytes),
            source: Arc::new(Bytes(Arc::new(bytes))),
            path: path.clone(),
            mode: 0o755,
            owner,
        };
        let arrived = std::sync::atomic::AtomicU64::new(0);
        let count = |n| {
            arrived.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
        };
        host().upload(&upload, &count).await.unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), arrived.into_inner()), (b"content".to_vec(), 7));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        upload.digest = Digest::of(b"else");
        let error = host().upload(&upload, &|_| {}).await.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Upload { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1, "no part is left");
    }
}
