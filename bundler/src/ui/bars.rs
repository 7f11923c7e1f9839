//! A progress bar on a terminal, with the lines above it.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::event::{Event, Reporter};

pub(super) struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { bar: Mutex::new(None) }
    }

    fn print(&self, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match bar.as_ref() {
            Some(bar) => bar.suspend(|| super::err(text)),
            None => super::err(text),
        }
    }
}

fn new_bar(name: &str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Lines that stand at the screen's end until the next ones take their place, and a sign that ferry still looks.
fn new_picture(text: &str) -> ProgressBar {
    let picture = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg}\n{spinner} looking; Ctrl-C ends it, what is good is kept") {
        picture.set_style(style);
    }
    picture.set_message(super::printable(text));
    picture.enable_steady_tick(Duration::from_millis(200));
    picture
}

impl Reporter for Bars {
    fn event(&self, event: &Event) {
        match event {
            Event::Moved { bytes } => {
                if let Some(bar) = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref() {
                    bar.inc(*bytes);
                }
            }
            Event::Phase { name, bytes, .. } => {
                self.finish();
                if let Some(line) = super::line(event) {
                    super::err(&line);
                }
                let bar = bytes.filter(|&n| n > 0).map(|n| new_bar(name, n));
                *self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bar;
            }
            Event::Picture { text, .. } => {
                self.finish();
                *self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(new_picture(text));
            }
            Event::Result { text, .. } => {
                self.finish();
                super::out(text);
            }
            _ => {
                if let Some(line) = super::line(event) {
                    self.print(&line);
                }
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}
