//! The SSH layer against real OpenSSH servers that the tests start on loopback, with their own keys and settings.

mod sshd;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::Digest;
use ferry_engine::host::{Bytes, Command, Host, HostErrorKind, Secret, Stdin, Upload, ssh};
use ferry_engine::site::file::{Nothing, Privilege, SecretRef};
use sshd::{Options, Sshd, User};

#[tokio::test]
async fn runs_commands() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let output = host.run(&Command::root("printf 'a\\000b'; echo e >&2; pwd >&2; umask >&2; exit 7")).await.unwrap();
    assert_eq!((output.status, output.stdout.as_slice()), (7, b"a\0b".as_slice()));
    assert_eq!(output.errors(), "e\n/\n0022\n");
    let output = host.run(&Command::new("cat").reading(Stdin::Text("hello".into()))).await.unwrap();
    assert_eq!(output.text(), "hello");
    let output = host.run(&Command::new("kill -9 $$")).await.unwrap();
    assert_eq!(output.status, 137, "{output:?}");
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        host.run(&Command::new("true")).await.unwrap();
    }
    eprintln!("20 commands in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_deadline_ends_the_process() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let pid = sshd.folder().join("pid");
    let script = format!("echo $$ > {}; sleep 1000 & sleep 1000", pid.display());
    let error = host.run(&Command::root(script).within(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::Deadline { .. }), "{error}");
    let pid: u32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
}

#[tokio::test]
async fn uploads_arrive_whole_and_go_on_where_they_stopped() {
    let Some(sshd) = Sshd::start(&Options::default()) else { return };
    let host = sshd.connect().await.unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let folder = sshd.folder().join("target");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("a file");
    let upload = Upload {
        digest: Digest::of(&bytes),
        source: Arc::new(Bytes(Arc::new(bytes.clone()))),
        path: path.display().to_string(),
        mode: 0o640,
        owner: "root:root".into(),
    };
    let part = folder.join(format!(".ferry-part-{}", upload.digest.short()));
    for (there, expected) in
        [(&bytes[..0], 0), (&bytes[..5_000_000], 5_000_000), (&[7_u8; 100][..], 0), (&bytes, 12_000_000)]
    {
        std::fs::write(&part, there).unwrap();
        let heard = std::sync::Mutex::new(Vec::new());
        host.upload(&upload, &|more| heard.lock().unwrap().push(more)).await.unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.iter().sum::<u64>(), 12_000_000);
        assert_eq!(if expected > 0 { heard[0] } else { 0 }, expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no part is left");
    }
}

fn people() -> Options {
    let user = |name, shell, sudo| User { name, shell, password: "right-pass", sudo };
    let users = vec![
        user("ops", "/bin/bash", "ALL=(ALL) NOPASSWD: ALL"),
        user("pw", "/bin/sh", "ALL=(ALL) ALL"),
        user("plain", "/bin/bash", ""),
        user("csh", "/bin/tcsh", "ALL=(ALL) NOPASSWD: ALL"),
        user("tty", "/bin/sh", "ALL=(ALL) NOPASSWD: ALL\nDefaults:tty requiretty"),
        user("out", "/usr/sbin/nologin", ""),
    ];
    Options { users, ..Options::default() }
}

fn prompt(answer: &str) -> SecretRef {
    SecretRef::Prompt(answer.into())
}

#[tokio::test]
async fn becomes_root_in_every_way() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let ways = [
        ("ops", Privilege::Sudo(Nothing {})),
        ("csh", Privilege::Sudo(Nothing {})),
        ("ops", Privilege::SudoPassword(prompt("right-pass"))),
        ("pw", Privilege::SudoPassword(prompt("right-pass"))),
        ("plain", Privilege::Su(prompt("root-pass"))),
        ("csh", Privilege::Su(prompt("root-pass"))),
    ];
    for (user, privilege) in ways {
        let host = ssh::connect(&sshd.host_as(user, privilege.clone()), &sshd.settings()).await.unwrap();
        let script = "id -u; printf '%s' \"it's \\$x \\\\ ! $(pwd) $(umask) $LC_ALL\"; printf '\\0\\377'; cat";
        for _ in 0..2 {
            let command = Command::root(script).reading(Stdin::Secret(Secret::new("the input\n")));
            let output = host.run(&command).await.unwrap_or_else(|error| panic!("{user} {privilege:?}: {error}"));
            let expected = [b"0\nit's $x \\ ! / 0022 C\0\xff".as_slice(), b"the input\n"].concat();
            assert_eq!(output.stdout, expected, "{user} {privilege:?} {output:?}");
            assert_eq!((output.status, output.errors().as_str()), (0, ""), "{user} {privilege:?}");
        }
        let output = host.run(&Command::new("id -un")).await.unwrap();
        assert_eq!(output.text().trim(), user, "commands without root are the user's own");
    }
}

#[tokio::test]
async fn says_why_root_is_not_had_and_tries_a_password_once() {
    let Some(sshd) = Sshd::start(&people()) else { return };
    let ways = [
        ("pw", Privilege::Sudo(Nothing {}), "sudoPassword"),
        ("pw", Privilege::SudoPassword(prompt("wrong-pass")), "refused the password"),
        ("plain", Privilege::SudoPassword(prompt("right-pass")), "not in the sudoers"),
        ("plain", Privilege::Su(prompt("wrong-pass")), "refused the password"),
        ("tty", Privilege::Sudo(Nothing {}), "requiretty"),
        ("plain", Privilege::None(Nothing {}), "run as plain"),
    ];
    for (user, privilege, expected) in ways {
        let host = ssh::connect(&sshd.host_as(user, privilege.clone()), &sshd.settings()).await.unwrap();
        let command = Command::root("touch /etc/no");
        let runs = (0..4).map(|_| host.run(&command));
        for outcome in futures_util::future::join_all(runs).await {
            let error = outcome.unwrap_err();
            assert!(matches!(error.kind, HostErrorKind::Privilege(_)), "{user} {privilege:?}: {error}");
            assert!(error.to_string().contains(expected), "{user} {privilege:?}: {error}");
            assert!(!error.to_string().contains("-pass"), "{error}");
        }
        eprintln!("{user} {privilege:?}: {}", host.run(&command).await.unwrap_err());
    }
    let host = ssh::connect(&sshd.host_as("out", Privilege::None(Nothing {})), &sshd.settings()).await.unwrap();
    let error = host.run(&Command::new("true")).await.unwrap_err();
    assert!(error.to_string().contains("not available"), "{error}");
}
