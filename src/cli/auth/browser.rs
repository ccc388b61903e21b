//! Opens an address in the user's browser.

use std::process::{Command, Stdio};

/// Opens an address, if there is a browser to be expected here; says whether it was tried.
///
/// The address comes from a stranger. It is one argument of a fixed program, never a part of a command line, and it can
/// neither be an option nor name anything but a web page.
pub(super) fn open(url: &str) -> bool {
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    if !is_page || url.contains(|letter: char| letter.is_control() || letter.is_whitespace() || letter == '"')
    {
        return false;
    }
    let Some((program, before)) = opener() else { return false };
    let child = Command::new(program)
        .args(before)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    // It ends when it has handed the address over; until we end, somebody should notice.
    std::thread::spawn(move || child.wait());
    true
}

#[cfg(target_os = "macos")]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    Some(("open", &[]))
}

#[cfg(target_os = "windows")]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    Some(("rundll32.exe", &["url.dll,FileProtocolHandler"]))
}

/// Without a display there is at most a browser in the terminal, which would take the terminal from us.
#[cfg(not(any(target_os = "macos", target_os = "windows")))]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    (set("DISPLAY") || set("WAYLAND_DISPLAY")).then_some(("xdg-open", &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_are_opened() {
        for url in
            ["file:///etc/passwd", "-x", "javascript:x", "https://a b", "https://a\n", "https://a\"b", ""]
        {
            assert!(!open(url), "{url}");
        }
    }
}
