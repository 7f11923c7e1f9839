//! JSON lines on standard output: the only thing this program says when it was called rightly.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// One line, built field by field.
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn new() -> Self {
        Self(String::new())
    }

    /// A text.
    pub(crate) fn text(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.name(name);
        quote(&mut self.0, value.as_ref());
        self
    }

    /// Texts.
    pub(crate) fn texts(mut self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        self.name(name);
        self.0.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            quote(&mut self.0, &value);
        }
        self.0.push(']');
        self
    }

    /// A whole number.
    pub(crate) fn number(mut self, name: &str, value: impl Into<u128>) -> Self {
        self.name(name);
        self.0.push_str(&value.into().to_string());
        self
    }

    /// Yes or no.
    pub(crate) fn yes(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// A duration in milliseconds, with three digits after the point.
    pub(crate) fn milliseconds(mut self, name: &str, value: Duration) -> Self {
        self.name(name);
        let micros = value.as_micros();
        let _ = write!(self.0, "{}.{:03}", micros / 1000, micros % 1000);
        self
    }

    /// `error`, if there is one, and `ok`.
    pub(crate) fn outcome<T>(self, result: &Result<T, impl std::fmt::Display>) -> Self {
        match result {
            Ok(_) => self.yes("ok", true),
            Err(error) => self.yes("ok", false).text("error", error.to_string()),
        }
    }

    /// Prints it. If nobody reads any more there is nobody to tell.
    pub(crate) fn print(self) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{{{}}}", self.0).and_then(|()| out.flush());
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        quote(&mut self.0, name);
        self.0.push(':');
    }
}

fn quote(to: &mut String, text: &str) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => to.extend(['\\', c]),
            c if c.is_control() => drop(write!(to, "\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}

/// Says how it is called.
pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json() {
        let line = Line::new().text("a", "x\"\\\n").number("n", 7_u32).yes("y", true);
        let line = line.milliseconds("ms", Duration::from_micros(1_005)).texts("l", ["p".to_owned(), "q".to_owned()]);
        assert_eq!(line.0, r#""a":"x\"\\\u000a","n":7,"y":true,"ms":1.005,"l":["p","q"]"#);
    }
}
