//! What the integration tests share: a client that speaks raw lines, a look into `/proc`, the installer of
//! software that nobody here wrote, and the comparison "equal to the server driven directly".
//!
//! A test crate takes it with `#[path = "../support/mod.rs"] mod support;` (or plain `mod support;` from
//! `tests/NAME.rs`). Nothing in here knows a room of the program: it drives processes from the outside.

#![allow(dead_code, reason = "every test crate uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken test support must fail the test, loudly")]

pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod real;
pub(crate) mod same;
