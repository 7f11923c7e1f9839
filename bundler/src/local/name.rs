//! Member names of foreign archives: `./a/b` and `a/b` are one name, what leaves the archive is none.

/// The longest name that is read, in bytes.
const MAX_NAME: usize = 1024;

/// A member's name without a leading `./` and a trailing `/`. The archive's root itself is the empty name.
pub(super) fn member(bytes: &[u8]) -> Result<String, &'static str> {
    let text = text(bytes)?;
    if text.starts_with('/') {
        return Err("absolute names are not allowed");
    }
    let text = text.strip_suffix('/').unwrap_or(text);
    let text = text.strip_prefix("./").unwrap_or(text);
    if text.is_empty() || text == "." {
        return Ok(String::new());
    }
    match text.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        None => Ok(text.to_owned()),
        Some("..") => Err("`..` is not allowed in names"),
        Some(_) => Err("empty and `.` components are not allowed in names"),
    }
}

/// What a symbolic link at `from` points to, as a member's name.
pub(super) fn symlink_target(from: &str, target: &[u8]) -> Result<String, &'static str> {
    let text = text(target)?;
    if text.starts_with('/') {
        return Err("it is a link to an absolute path");
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("it is a link out of the archive")?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// A name as it may be shown.
pub(super) fn printable(bytes: &[u8]) -> String {
    let shown = |&b: &u8| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '\u{fffd}' };
    bytes.iter().take(200).map(shown).collect()
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return Err("a name has 1 to 1024 bytes");
    }
    if !bytes.iter().all(|&b| (b.is_ascii_graphic() || b == b' ') && b != b'\\') || bytes.get(1) == Some(&b':') {
        return Err("only printable ASCII is allowed in names, without backslashes and drive letters");
    }
    std::str::from_utf8(bytes).map_err(|_| "a name is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (name, normal) in [("a/b", "a/b"), ("./a/b", "a/b"), ("a/", "a"), ("./", ""), (".", ""), ("..a", "..a")] {
            assert_eq!(member(name.as_bytes()).as_deref(), Ok(normal), "{name}");
        }
        for name in [
            "",
            "/",
            "/a",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "./../a",
            "a//b",
            "a/./b",
            "././a",
            "a\\b",
            "C:/a",
            "C:a",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\0b",
            "//a",
        ] {
            assert!(member(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(member("a".repeat(1025).as_bytes()).is_err());
    }

    #[test]
    fn links_stay_inside() {
        let target = |from, to: &str| symlink_target(from, to.as_bytes());
        assert_eq!(target("b/layer.tar", "../a/layer.tar").as_deref(), Ok("a/layer.tar"));
        assert_eq!(target("b/layer.tar", "./x").as_deref(), Ok("b/x"));
        assert_eq!(target("a", "b").as_deref(), Ok("b"));
        for bad in ["../../a", "/etc/passwd", "../a/../../b", "\\\\host\\share", "a\0"] {
            assert!(target("b/layer.tar", bad).is_err(), "{bad}");
        }
    }
}
