//! How a script travels to a host and how its output is told from everything else that comes back.
//!
//! ```text
//! login shell ── exec /bin/sh -c 'eval "$(echo BASE64 | base64 -d)"'      only characters that mean the same everywhere
//!   └ sh, the user's ── [sudo | su] sh -c WRAPPER ferry SCRIPT            the privilege
//!       └ WRAPPER ── setsid ── marks the beginning ── timeout ── sh -c SCRIPT
//!                 └─ marks the end, with the status
//! ```
//! What a login shell prints stands before the mark; a status that did not come with the end mark did not come. The mark
//! is put together on the host, so a shell that prints the commands it runs does not print the mark. `setsid` gives the
//! script a process group of its own, by which it is ended; `timeout` ends it where the connection broke.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::privilege::Climb;
use crate::host::quote;

/// The largest script. Linux takes at most 128 KiB in one argument (`MAX_ARG_STRLEN`), and base64 adds a third.
pub(super) const LARGEST_SCRIPT: usize = 64 << 10;

/// How much later than here the host itself ends a script, in seconds. It does so where the connection broke.
const GRACE: u64 = 15;

/// The word by which one command's marks are known.
#[derive(Debug, Clone)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 8];
        // Without randomness no SSH connection would stand; zeros are still a mark.
        let _ = getrandom::fill(&mut bytes);
        Self(bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// The word itself.
    pub(super) fn word(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What sudo is told to prompt with.
    pub(super) fn prompt(&self) -> String {
        format!("ferry-password-{}:", self.0)
    }

    fn begin(&self) -> String {
        format!("FERRY-BEGIN-{} ", self.0)
    }

    fn end(&self) -> String {
        format!("FERRY-END-{} ", self.0)
    }

    /// Said in place of the beginning where root was wanted and is not had.
    fn deny(&self) -> String {
        format!("FERRY-DENY-{} ", self.0)
    }
}

/// The command line that the login shell gets.
pub(super) fn line(script: &str, climb: &Climb, root: bool, deadline: Duration, mark: &Mark) -> String {
    let word = &mark.0;
    let guard = if root {
        format!(r#"[ "$(id -u)" = 0 ] || {{ printf '%s%s %s\n' FERRY-DENY- {word} "$(id -un)"; exit 126; }}; "#)
    } else {
        String::new()
    };
    let seconds = deadline.as_secs() + GRACE;
    let inner = format!(
        "{guard}printf '%s%s %s\\n' FERRY-BEGIN- {word} $$; printf '%s%s %s\\n' FERRY-BEGIN- {word} $$ >&2; \
         if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 {seconds} /bin/sh -c \"$1\"; fi; \
         exec /bin/sh -c \"$1\""
    );
    let wrapper = format!(
        "umask 022; cd /; unset ENV BASH_ENV CDPATH TMOUT LANGUAGE; export LC_ALL=C LANG=C; \
         export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin; \
         exec 3<&0 </dev/null; setsid /bin/sh -c {} ferry \"$1\" <&3 3<&- & exec 3<&-; wait $! 2>/dev/null; r=$?; \
         printf '%s%s %s\\n' FERRY-END- {word} $r; printf '%s%s %s\\n' FERRY-END- {word} $r >&2",
        quote(&inner)
    );
    let program = climb.program(&quote(&wrapper), &quote(script), mark);
    format!("exec /bin/sh -c 'eval \"$(echo {} | base64 -d)\"'", BASE64.encode(program))
}

/// One of a command's two output streams, as it comes in.
#[derive(Debug)]
pub(super) struct Reader {
    mark: Mark,
    bytes: Vec<u8>,
    /// Where the script's own output begins.
    begun: Option<usize>,
    /// Where it ends, and the status.
    ended: Option<(usize, i32)>,
    /// Up to where no mark begins.
    searched: usize,
    group: Option<u32>,
}

impl Reader {
    pub(super) fn new(mark: &Mark) -> Self {
        Self { mark: mark.clone(), bytes: Vec::new(), begun: None, ended: None, searched: 0, group: None }
    }

    /// Takes what came in.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.begun.is_none()
            && let Some((_, after, word)) = self.find(&self.mark.begin())
        {
            self.begun = Some(after);
            self.searched = after;
            self.group = word.parse().ok();
        }
        if self.begun.is_some()
            && self.ended.is_none()
            && let Some((at, _, word)) = self.find(&self.mark.end())
        {
            self.ended = word.parse().ok().map(|status| (at, status));
        }
        if self.ended.is_none() {
            // A mark may be cut in two by packets; none is longer than this.
            self.searched = self.searched.max(self.bytes.len().saturating_sub(64)).max(self.begun.unwrap_or(0));
        }
    }

    /// A mark and the word after it, up to the end of its line: where it begins, where its line ends, the word.
    fn find(&self, mark: &str) -> Option<(usize, usize, String)> {
        let from = self.searched.min(self.bytes.len());
        let at = from + self.bytes[from..].windows(mark.len()).position(|window| window == mark.as_bytes())?;
        let word = at + mark.len();
        let length = self.bytes[word..].iter().take(40).position(|&byte| byte == b'\n')?;
        let text = String::from_utf8_lossy(&self.bytes[word..word + length]).trim().to_owned();
        Some((at, word + length + 1, text))
    }

    /// Whether the script has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The process group of the script on the host.
    pub(super) fn group(&self) -> Option<u32> {
        self.group
    }

    /// The status, once it is there.
    pub(super) fn status(&self) -> Option<i32> {
        self.ended.map(|(_, status)| status)
    }

    /// The user as whom the script would have run, where root was wanted and is not had.
    pub(super) fn denied(&self) -> Option<String> {
        if self.begun.is_some() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let (_, rest) = text.split_once(self.mark.deny().as_str())?;
        Some(rest.lines().next()?.trim().to_owned())
    }

    /// What came before the beginning: noise, prompts, or why there was none.
    pub(super) fn before(&self) -> String {
        let end = self.begun.unwrap_or(self.bytes.len());
        let text = String::from_utf8_lossy(&self.bytes[..end]);
        if self.begun.is_some() { String::new() } else { text.trim().chars().take(2000).collect() }
    }

    /// What the login shell said by itself before the script began: lines that are none of ours.
    pub(super) fn noise(&self) -> Vec<String> {
        // The mark that was found stands at the end of it.
        let text = String::from_utf8_lossy(&self.bytes[..self.begun.unwrap_or(0)]);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("FERRY-"));
        // One that prints what it runs prints our own line, too, which is long.
        lines.take(5).map(|line| line.chars().take(200).collect()).collect()
    }

    /// Bytes of the script's own output so far.
    pub(super) fn length(&self) -> usize {
        self.bytes.len() - self.begun.unwrap_or(0)
    }

    /// The script's own output.
    pub(super) fn output(mut self) -> Vec<u8> {
        let end = self.ended.map_or(self.bytes.len(), |(end, _)| end);
        self.bytes.truncate(end);
        self.bytes.split_off(self.begun.unwrap_or(end).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_out_exactly_however_the_bytes_come() {
        let mark = Mark::of("0123");
        let noise = "Welcome to FERRY-BEGIN-\nset -x: printf %s FERRY-BEGIN- 0123\n";
        let mut body = vec![0, 255, b'\n', b'F'];
        body.extend_from_slice(b"FERRY-END-9999 0\n no newline at the end FERRY-END-");
        let mut bytes = noise.as_bytes().to_vec();
        bytes.extend_from_slice(b"FERRY-BEGIN-0123 4711\n");
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(b"FERRY-END-0123 143\nlogout\n");
        for step in [1, 2, 7, 63, 64, 65, 1000] {
            let mut reader = Reader::new(&mark);
            for chunk in bytes.chunks(step) {
                reader.feed(chunk);
            }
            assert_eq!((reader.group(), reader.status()), (Some(4711), Some(143)), "in steps of {step}");
            assert_eq!(reader.output(), body, "in steps of {step}");
        }
    }

    #[test]
    fn the_line_has_only_characters_that_every_shell_takes_for_themselves() {
        let script = "echo 'it''s'\n\t\\ ! $(x) `y` \"z\" ü";
        let line = line(script, &Climb::None, true, Duration::from_secs(1), &Mark::of("00"));
        let word = line.strip_prefix("exec /bin/sh -c '").unwrap().strip_suffix('\'').unwrap();
        assert!(!word.contains(['\'', '\\', '!', '\n']), "{word}");
        assert!(!line.contains("FERRY-BEGIN-00"), "a shell that prints what it runs must not print the mark");
    }

    #[test]
    fn what_is_not_begun_is_not_output() {
        let mut reader = Reader::new(&Mark::of("1"));
        reader.feed(b"This account is currently not available.\n");
        assert_eq!((reader.status(), reader.has_begun()), (None, false));
        assert_eq!(reader.before(), "This account is currently not available.");
        assert!(reader.output().is_empty());
        let mut reader = Reader::new(&Mark::of("1"));
        reader.feed(b"motd\nFERRY-DENY-1 ops\n");
        assert_eq!(reader.denied().as_deref(), Some("ops"));
    }
}
