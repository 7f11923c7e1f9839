//! How fast uploads are beside `scp` and `sftp`, over loopback. Prints, and asserts nothing: times are the machine's.
//!
//! `cargo test --release -p ferry-engine --test openssh throughput -- --ignored --nocapture`
#![expect(clippy::print_stderr, reason = "a measurement is there to be read")]

use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sshd::{Options, Sshd, host};
use ferry_bundle_format::Digest;
use ferry_engine::host::{Bytes, Command, Host, HostError, Output, Upload, ssh};

/// Prints how long each command of an upload took.
struct Phases;

impl ssh::Trace for Phases {
    fn began(&self, _: &str, _: &Command) -> u64 {
        0
    }
    fn ended(&self, _: u64, _: &Result<Output, HostError>, took: Duration) {
        eprint!("{took:.2?} ");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, with --release --ignored --nocapture"]
async fn uploads_beside_scp_and_sftp() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let mib = 512;
    let bytes: Vec<u8> =
        (0..mib << 18).map(|n: u32| n.wrapping_mul(2_654_435_761)).flat_map(u32::to_le_bytes).collect();
    let file = sshd.folder().join("source");
    std::fs::write(&file, &bytes).unwrap();
    let target = sshd.folder().join("target");
    let mut settings = sshd.settings();
    settings.trace = Arc::new(Phases);
    let host = ssh::connect(&host(vec![sshd.jump()]), &settings).await.unwrap();
    let upload = Upload {
        digest: Digest::of(&bytes),
        source: Arc::new(Bytes(Arc::new(bytes))),
        path: target.display().to_string(),
        mode: 0o644,
        owner: "root:root".into(),
    };
    let id = sshd.folder().join("id").display().to_string();
    let shared = ["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", &id, "-P"];
    let from = file.display().to_string();
    let to = format!("root@127.0.0.1:{}", target.display());
    let port = sshd.port.to_string();
    let rate = |took: Duration| f64::from(mib) / took.as_secs_f64();
    let (mut best, mut scp, mut copied) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..3 {
        let begun = Instant::now();
        host.upload(&upload, &|_| ()).await.unwrap();
        best = best.max(rate(begun.elapsed()));
        for (program, rates) in [(["scp", ""], &mut copied), (["scp", "-O"], &mut scp)] {
            let begun = Instant::now();
            let mut command = Process::new(program[0]);
            command
                .args(program[1..].iter().filter(|flag| !flag.is_empty()))
                .args(shared)
                .arg(&port)
                .args([&from, &to]);
            assert!(command.status().unwrap().success());
            *rates = rates.max(rate(begun.elapsed()));
        }
    }
    eprintln!(
        "{mib} MiB, best of 3: ferry {best:.0} MiB/s (hashed there, synced), scp -O {scp:.0}, scp over sftp {copied:.0}"
    );
    eprintln!("ratio {:.2} to scp -O, {:.2} to sftp", best / scp, best / copied);
}
