//! A host of tests that answers by matcher, and the answers of a healthy node: most of them captured on a real one.
//!
//! The answer given last wins, so a test takes the healthy host and makes one thing ill. Every script that ran is kept.

pub(crate) mod node;
pub(crate) mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Stdin, Stream, Upload};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Makes an answer from the script and its standard input: status and standard output.
type Answer = Arc<dyn Fn(&str, &str) -> (i32, String) + Send + Sync>;
/// Makes the far end of a connection.
type Serve = Arc<dyn Fn() -> Box<dyn Stream> + Send + Sync>;

/// A host that answers by matcher.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    name: String,
    answers: Vec<(Vec<String>, Answer)>,
    ports: BTreeMap<u16, Serve>,
    ran: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// A host that knows no answer.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Answers scripts that hold all of `parts`.
    pub(crate) fn answers(
        mut self,
        parts: &[&str],
        answer: impl Fn(&str, &str) -> (i32, String) + Send + Sync + 'static,
    ) -> Self {
        self.answers.push((parts.iter().map(|part| (*part).to_owned()).collect(), Arc::new(answer)));
        self
    }

    /// Says this, with status 0.
    pub(crate) fn says(self, parts: &[&str], text: &str) -> Self {
        let text = text.to_owned();
        self.answers(parts, move |_, _| (0, text.clone()))
    }

    /// Fails with this.
    pub(crate) fn fails(self, parts: &[&str], text: &str) -> Self {
        let text = text.to_owned();
        self.answers(parts, move |_, _| (1, text.clone()))
    }

    /// Serves connections to a port.
    pub(crate) fn serves(mut self, port: u16, serve: impl Fn() -> Box<dyn Stream> + Send + Sync + 'static) -> Self {
        self.ports.insert(port, Arc::new(serve));
        self
    }

    /// Serves nothing on a port.
    pub(crate) fn closed(mut self, port: u16) -> Self {
        self.ports.remove(&port);
        self
    }

    /// Every script that ran.
    pub(crate) fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }
}

impl Host for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        let input = match &command.stdin {
            Stdin::Text(text) => text.as_str(),
            _ => "",
        };
        self.ran.lock().unwrap().push(format!("{}\n{input}", command.script));
        let fits = |(parts, _): &&(Vec<String>, Answer)| parts.iter().all(|part| command.script.contains(part));
        let (status, text) = match self.answers.iter().rev().find(fits) {
            Some((_, answer)) => answer(&command.script, input),
            None => (127, format!("no answer for {}", command.script)),
        };
        // What a failing command says it says on standard error, too.
        let stderr = if status == 0 { Vec::new() } else { text.clone().into_bytes() };
        async move { Ok(Output { status, stdout: text.into_bytes(), stderr }) }.boxed()
    }

    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        unreachable!("checks bring no files")
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        let served = self.ports.get(&port).map(|serve| serve());
        let refused = || HostErrorKind::Unreachable { address: format!("{address}:{port}"), why: "refused".into() };
        let served = served.ok_or_else(|| HostError::new(&self.name, refused()));
        async move { served }.boxed()
    }
}
