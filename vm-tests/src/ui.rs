//! What the bed says: lines with the seconds since it began. The only place that prints.

use std::time::Instant;

/// Says lines, and keeps them for the evidence.
#[derive(Debug)]
pub struct Ui {
    began: Instant,
    said: std::sync::Mutex<String>,
}

impl Default for Ui {
    fn default() -> Self {
        Self { began: Instant::now(), said: std::sync::Mutex::default() }
    }
}

impl Ui {
    /// Says what happens, with the time.
    pub fn say(&self, text: impl AsRef<str>) {
        let line = format!("[{:7.1}s] {}", self.began.elapsed().as_secs_f64(), text.as_ref());
        if let Ok(mut said) = self.said.lock() {
            said.push_str(&line);
            said.push('\n');
        }
        eprint_line(&line);
    }

    /// Everything that was said.
    pub fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }
}

/// What somebody asked for, as it is: the output of a command on a host, a list.
#[expect(clippy::print_stdout, reason = "this is the screen")]
pub fn answer(text: &str) {
    print!("{text}");
    if !text.is_empty() && !text.ends_with('\n') {
        println!();
    }
}

/// A line beside the answer.
#[expect(clippy::print_stderr, reason = "this is the screen")]
pub fn eprint_line(text: &str) {
    eprintln!("{text}");
}
