//! The hosts, in a process of their own: started as `sshfarm N`, asked by a line on its standard input, ended by its end.
//!
//! ```text
//! ► (started)        ◄ [port, port, …]                   one JSON line each
//! ► "count\n"        ◄ [[received, sent, input, commands], …]   by host, in their order
//! ```

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ferry_engine::host::fake::{FakeHost, Traffic};

use super::scripted::nature;
use super::site::entries;

/// Runs the hosts until standard input ends.
pub async fn serve(count: usize) -> io::Result<()> {
    let _ = ferry_engine::host::make_room(2 * count);
    let mut hosts = Vec::new();
    for entry in entries(count) {
        hosts.push(FakeHost::start(nature(&entry)).await?);
    }
    tell(&hosts.iter().map(FakeHost::port).collect::<Vec<_>>())?;
    let (line, mut lines) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for one in io::stdin().lock().lines() {
            if one.is_err() || line.blocking_send(()).is_err() {
                return;
            }
        }
    });
    while lines.recv().await.is_some() {
        let count = |host: &FakeHost| {
            let Traffic { received, sent, input, commands } = host.traffic();
            [received, sent, input, commands]
        };
        tell(&hosts.iter().map(count).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn tell(value: &impl serde::Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A farm that runs until it is dropped.
pub struct Farm {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The hosts' ports at 127.0.0.1.
    pub ports: Vec<u16>,
}

impl Farm {
    /// Starts it; `program` is `sshfarm`.
    pub fn start(program: &Path, count: usize) -> io::Result<Self> {
        let mut child =
            Command::new(program).arg(count.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = BufReader::new(stdout.ok_or_else(|| io::Error::other("no pipe"))?);
        let mut farm = Self { child, stdin, stdout, ports: Vec::new() };
        farm.ports = farm.read()?;
        Ok(farm)
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// What has gone over each host's connections so far.
    pub fn count(&mut self) -> io::Result<Vec<Traffic>> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other("no pipe"))?;
        stdin.write_all(b"count\n")?;
        let counts: Vec<[u64; 4]> = self.read()?;
        let of = |[received, sent, input, commands]: [u64; 4]| Traffic { received, sent, input, commands };
        Ok(counts.into_iter().map(of).collect())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.stdin = None;
        drop(self.child.wait());
    }
}
