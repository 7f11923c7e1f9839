//! The person at the terminal: questions, one after the other, and Ctrl-C.
//!
//! ```text
//! Ctrl-C        while a question is open: everything ends at once
//!   first       the action that is under way is finished, no other is begun
//!   second      what runs on the hosts is ended
//!   third       this program ends, whatever is under way
//! ```

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use ferry_engine::host::Secret;
use ferry_engine::host::ssh::FirstSight;
use ferry_engine::run::Stop;
use futures_util::future::BoxFuture;

use crate::failure::ExitCode;
use crate::show;

/// Reads one line, blocking.
type Read = Arc<dyn Fn() -> String + Send + Sync>;
/// Shows a text on the terminal.
type Show = Arc<dyn Fn(&str) + Send + Sync>;

/// The terminal of a run. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Console(Arc<Inner>);

struct Inner {
    stop: Stop,
    read: Read,
    show: Show,
    /// Held from a question to its answer, so that nobody answers another one.
    turn: tokio::sync::Mutex<()>,
    /// Questions that wait for an answer.
    open: AtomicUsize,
    /// How the terminal was set before a secret was asked for.
    settings: std::sync::Mutex<Option<String>>,
}

/// Counts a question as long as it lives.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What Ctrl-C does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressed {
    /// Stops after what is under way.
    Stops,
    /// Ends what is under way.
    Aborts,
    /// Ends the program.
    Kills,
}

impl Console {
    /// The terminal of this program. Ctrl-C is answered from now on.
    pub(crate) fn open(stop: Stop) -> Self {
        let read = || {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line).unwrap_or_default()
        };
        let show = |text: &str| drop(write!(std::io::stderr().lock(), "{text}"));
        let console = Self::with(stop, Arc::new(read), Arc::new(show));
        tokio::spawn(console.clone().listen());
        console
    }

    fn with(stop: Stop, read: Read, show: Show) -> Self {
        let (turn, open, settings) = (tokio::sync::Mutex::default(), AtomicUsize::new(0), std::sync::Mutex::default());
        Self(Arc::new(Inner { stop, read, show, turn, open, settings }))
    }

    /// Whether somebody can be asked.
    pub(crate) fn is_there() -> bool {
        std::io::stdin().is_terminal()
    }

    async fn listen(self) {
        let Ok(mut signals) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()) else { return };
        while signals.recv().await.is_some() {
            if self.pressed() == Pressed::Kills {
                kill();
            }
        }
    }

    /// Ctrl-C was pressed.
    fn pressed(&self) -> Pressed {
        let Inner { stop, open, show, .. } = &*self.0;
        let asked = open.load(Ordering::SeqCst) > 0;
        self.restore();
        if stop.aborted() {
            return Pressed::Kills;
        }
        if asked || stop.asked() {
            let text = if asked { "\n" } else { "ending what is under way; Ctrl-C again leaves at once\n" };
            show(text);
            stop.abort();
            return Pressed::Aborts;
        }
        show("stopping after the action that is under way; Ctrl-C again ends it at once\n");
        stop.ask();
        Pressed::Stops
    }

    /// Asks yes or no.
    pub(crate) async fn confirm(&self, question: &str) -> bool {
        let _turn = self.0.turn.lock().await;
        self.yes(question).await
    }

    /// What is typed after a question; nothing where it was left by Ctrl-C.
    pub(crate) async fn typed(&self, question: &str) -> String {
        let _turn = self.0.turn.lock().await;
        self.line(question).await.unwrap_or_default()
    }

    async fn yes(&self, question: &str) -> bool {
        let answer = self.line(&format!("{question} [y/N]")).await;
        matches!(answer.as_deref(), Some("y" | "Y" | "yes"))
    }

    /// One line, in whose turn it is. `None` if Ctrl-C came instead.
    async fn line(&self, question: &str) -> Option<String> {
        if self.0.stop.asked() {
            return None;
        }
        let _open = Open::new(&self.0.open);
        (self.0.show)(&format!("{question} "));
        let read = self.0.read.clone();
        // The thread that reads can't be ended: the program's end takes it along.
        let answer = tokio::task::spawn_blocking(move || read());
        tokio::select! {
            biased;
            () = self.0.stop.when_asked() => None,
            answer = answer => Some(answer.unwrap_or_default().trim().to_owned()),
        }
    }

    /// Asks for a secret, blocking; without a terminal there is none.
    pub(crate) fn secret(&self, prompt: &str) -> Option<Secret> {
        if !Self::is_there() {
            return None;
        }
        let _turn = self.0.turn.blocking_lock();
        if self.0.stop.asked() {
            return None;
        }
        *self.0.settings.lock().unwrap_or_else(PoisonError::into_inner) = stty(&["-g"]);
        let _open = Open::new(&self.0.open);
        rpassword::prompt_password(format!("{prompt}: ")).ok().map(Secret::new)
    }

    /// Sets the terminal as it was before a secret was asked for: who leaves that question leaves it without echo.
    fn restore(&self) {
        if let Some(settings) = self.0.settings.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = stty(&[settings.trim()]);
        }
    }
}

/// Calls `stty` on the terminal.
fn stty(arguments: &[&str]) -> Option<String> {
    let terminal = std::fs::File::open("/dev/tty").ok()?;
    let mut command = Command::new("stty");
    let output = command.args(arguments).stdin(terminal).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Ends the program as Ctrl-C does where nobody catches it.
#[expect(clippy::exit, reason = "the third Ctrl-C ends the program even where something hangs that can't be ended")]
fn kill() -> ! {
    show::aside("left at once: what was begun on hosts may still be under way there");
    std::process::exit(ExitCode::Interrupted as i32)
}

impl FirstSight for Console {
    fn accept<'a>(&'a self, name: &'a str, algorithm: &'a str, fingerprint: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let _turn = self.0.turn.lock().await;
            if self.0.stop.asked() {
                return false;
            }
            (self.0.show)(&format!(
                "\nThe host {name} is seen for the first time. It shows this key:\n  host         {name}\n  \
                 algorithm    {algorithm}\n  fingerprint  {fingerprint}\n\
                 Compare it with what the host itself says: ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub\n"
            ));
            self.yes(&format!("Is this the key of {name}?")).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// A terminal on which these lines are typed; and all that was shown and read, in order.
    fn console(lines: &[&str]) -> (Console, Stop, Arc<Mutex<Vec<String>>>) {
        let (stop, seen) = (Stop::default(), Arc::<Mutex<Vec<String>>>::default());
        let lines = Mutex::new(lines.iter().map(|line| (*line).to_owned()).collect::<VecDeque<_>>());
        let (shown, typed) = (seen.clone(), seen.clone());
        let read = move || {
            let line = lines.lock().unwrap().pop_front().unwrap();
            typed.lock().unwrap().push(format!("<{line}>"));
            line
        };
        let show = move |text: &str| shown.lock().unwrap().push(text.to_owned());
        (Console::with(stop.clone(), Arc::new(read), Arc::new(show)), stop, seen)
    }

    #[tokio::test]
    async fn host_keys_are_asked_about_one_after_the_other() {
        let (console, _, seen) = console(&["y", "n", "yes"]);
        let ask = |name: &'static str| {
            let console = console.clone();
            async move { console.accept(name, "ssh-ed25519", &format!("SHA256:of-{name}")).await }
        };
        let (a, b, c) = tokio::join!(ask("a"), ask("b"), ask("c"));
        assert_eq!((a, b, c), (true, false, true));
        let seen = seen.lock().unwrap().concat();
        let mut rest = seen.as_str();
        // Host, algorithm and fingerprint, the question, its answer; then the next.
        for (name, answer) in [("a", "<y>"), ("b", "<n>"), ("c", "<yes>")] {
            for part in [
                &format!("host         {name}\n"),
                "ssh-ed25519",
                &format!("SHA256:of-{name}\n"),
                &format!("key of {name}? [y/N]"),
                answer,
            ] {
                let at = rest.find(part).unwrap_or_else(|| panic!("{part} is missing in {rest}"));
                assert!(!rest[..at].contains('<'), "an answer before {part}: {seen}");
                rest = &rest[at + part.len()..];
            }
        }
    }

    /// A terminal at which nobody answers, and a sign that a question is open.
    fn silent() -> (Console, Stop, tokio::sync::mpsc::UnboundedReceiver<()>) {
        let stop = Stop::default();
        let (asked, open) = tokio::sync::mpsc::unbounded_channel();
        let read = move || {
            asked.send(()).unwrap();
            std::thread::park();
            String::new()
        };
        (Console::with(stop.clone(), Arc::new(read), Arc::new(|_: &str| {})), stop, open)
    }

    #[test]
    fn ctrl_c_leaves_an_open_question_at_once() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (console, stop, mut open) = silent();
        runtime.block_on(async {
            let question = console.typed("Type the cluster's name:");
            let press = async {
                open.recv().await.unwrap();
                assert_eq!(console.pressed(), Pressed::Aborts);
            };
            let (answer, ()) = tokio::join!(question, press);
            assert!(answer.is_empty() && stop.aborted());
            assert!(!console.confirm("Apply this plan?").await, "no further question is asked");
            assert!(!console.accept("a", "ssh-ed25519", "SHA256:x").await);
        });
        runtime.shutdown_background();
    }

    #[test]
    fn the_first_ctrl_c_stops_the_second_aborts_the_third_kills() {
        let (console, stop, _) = console(&[]);
        assert_eq!(console.pressed(), Pressed::Stops);
        assert!(stop.asked() && !stop.aborted());
        assert_eq!(console.pressed(), Pressed::Aborts);
        assert!(stop.aborted());
        assert_eq!(console.pressed(), Pressed::Kills);
    }
}
