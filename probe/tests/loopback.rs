//! The real binary on loopback: every verb says yes where it should, and no where it should.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output, Stdio};

const PROBE: &str = env!("CARGO_BIN_EXE_ferry-probe");

fn probe(words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(PROBE).args(words).output().expect("the probe runs");
    assert!(stderr.is_empty() || status.code() == Some(2), "{}", String::from_utf8_lossy(&stderr));
    (status.code(), String::from_utf8(stdout).expect("text"))
}

/// A probe that goes on until the test ends.
struct Running {
    child: Child,
    lines: Vec<String>,
}

impl Running {
    /// Starts it and reads `count` lines.
    fn start(words: &[&str], count: usize) -> Self {
        let mut child = Command::new(PROBE).args(words).stdout(Stdio::piped()).spawn().expect("the probe runs");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = Vec::new();
        for _ in 0..count {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            lines.push(line);
        }
        Self { child, lines }
    }

    fn port(&self, line: usize) -> String {
        let text = self.lines[line].split_once("\"port\":").expect("a port").1;
        text.chars().take_while(char::is_ascii_digit).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn listeners_answer_who_knows_the_token() {
    let words = ["serve", "--listen", "tcp:127.0.0.1:0", "--listen", "udp:127.0.0.1:0", "--for", "60", "--token", "T1"];
    let serving = Running::start(&words, 3);
    assert!(serving.lines[2].contains("\"ready\":true"), "{:?}", serving.lines);
    let tcp = format!("tcp:127.0.0.1:{}", serving.port(0));
    let udp = format!("udp:127.0.0.1:{}", serving.port(1));
    for size in ["0", "1400", "9000"] {
        let (code, text) = probe(&["dial", "--token", "T1", "--size", size, &tcp, &udp]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.matches("\"ok\":true,\"ms\":").count(), 2, "{text}");
    }
    let (code, text) = probe(&["dial", "--token", "T2", "--timeout", "300", &tcp, &udp]);
    assert_eq!((code, text.matches("\"ok\":false").count()), (Some(1), 2), "{text}");
}

#[test]
fn another_listener_is_not_ours() {
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || foreign.accept().unwrap().0.write_all(b"SSH-2.0-x\r\n"));
    let (code, text) = probe(&["dial", "--token", "T", &format!("tcp:127.0.0.1:{port}")]);
    assert_eq!(code, Some(1), "{text}");
    answering.join().unwrap().unwrap();
    let (code, text) = probe(&["dial", "--token", "T", &format!("tcp:127.0.0.1:{port}")]);
    assert!(code == Some(1) && text.contains("refused"), "{text}");
}

#[test]
fn ports_are_had_or_not() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (specific, all) = (format!("tcp:127.0.0.1:{port}"), format!("tcp:{port}"));
    let (code, text) = probe(&["bind", &specific, &all]);
    assert_eq!((code, text.matches("\"ok\":false").count()), (Some(1), 2), "{text}");
    drop(taken);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = format!("udp:127.0.0.1:{}", socket.local_addr().unwrap().port());
    assert_eq!(probe(&["bind", &udp]).0, Some(1));
    drop(socket);
    assert_eq!(probe(&["bind", &specific, &udp]).0, Some(0));
}

#[test]
fn disks_and_volumes_are_measured_and_left_as_they_were() {
    let folder = std::env::temp_dir().join(format!("ferry-probe-test-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.display().to_string();
    let (code, text) = probe(&["fsync", &path, "--bytes", "46000"]);
    assert!(code == Some(0) && text.contains("\"writes\":20") && text.contains("\"p99_ms\":"), "{text}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(probe(&["fsync", "/no/such/folder"]).0, Some(1));

    let file = folder.join("ferry-volume-test");
    assert_eq!(probe(&["volume", "write", &path, "--bytes", "200001", "--seed", "7"]).0, Some(0));
    assert_eq!(probe(&["volume", "check", &path, "--bytes", "200001", "--seed", "7"]).0, Some(0));
    assert_eq!(probe(&["volume", "check", &path, "--bytes", "200001", "--seed", "8"]).0, Some(1));
    assert_eq!(probe(&["volume", "check", &path, "--bytes", "200000", "--seed", "7"]).0, Some(1));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[123_456] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, text) = probe(&["volume", "check", &path, "--bytes", "200001", "--seed", "7"]);
    assert!(code == Some(1) && text.contains("byte 123456 differs"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn web_pages_say_who_answers() {
    let serving = Running::start(&["http", "--listen", "127.0.0.1:0", "--name", "pod-7"], 1);
    let base = format!("http://127.0.0.1:{}", serving.port(0));
    let (code, text) = probe(&["get", &format!("{base}/hostname")]);
    assert!(code == Some(0) && text.contains("\"status\":200,\"body\":\"pod-7\""), "{text}");
    assert!(probe(&["get", &format!("{base}/healthz?x=1")]).1.contains("\"body\":\"ok\""));
    let (code, text) = probe(&["get", &format!("{base}/else")]);
    assert!(code == Some(1) && text.contains("\"status\":404"), "{text}");
    assert_eq!(probe(&["get", "https://127.0.0.1/"]).0, Some(2));
}

#[test]
fn names_are_asked_over_udp_and_tcp() {
    // A name server of one name: answers with 10.0.0.9, or NXDOMAIN for others.
    let reply = |question: &[u8]| {
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        if question[12..].starts_with(b"\x04good\x04test\x00") {
            answer[7] = 1;
            answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 9]);
        } else {
            answer[3] |= 3;
        }
        answer
    };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&reply(&buffer[..count]), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let answer = reply(&question);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    let server = address.to_string();
    for more in [&[][..], &["--tcp"]] {
        let words = |name| [&["resolve", name, "--server", &server][..], more].concat();
        let (code, text) = probe(&words("good.test"));
        assert!(code == Some(0) && text.contains(r#""rcode":"NOERROR","addresses":["10.0.0.9"]"#), "{text}");
        let (code, text) = probe(&words("bad.test"));
        assert!(code == Some(1) && text.contains("NXDOMAIN"), "{text}");
    }
}

#[test]
fn clocks_tell_the_time_and_misuse_is_said() {
    let (code, text) = probe(&["clock"]);
    assert!(code == Some(0) && text.starts_with("{\"epoch_ns\":1"), "{text}");
    assert_eq!(probe(&["sleep", "0"]).0, Some(0));
    for wrong in [&["nothing"][..], &[], &["dial", "tcp:127.0.0.1:1"], &["clock", "x"], &["bind"], &["fsync"]] {
        assert_eq!(probe(wrong), (Some(2), String::new()), "{wrong:?}");
    }
}
