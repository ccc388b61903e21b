//! Who may call what: the policies of a file, in the language Cedar.
//!
//! In come the file that the config names and questions: a [`Client`], a [`Thing`], and the arguments if it is called; out go
//! [`Decision`]s. One decision serves lists and calls. The room reads its file, again when it has changed, and knows nothing of
//! the running system. Whatever is wrong with the file or with a question, the answer is no.

mod book;
#[cfg(feature = "policy")]
mod cedar;
#[cfg(not(feature = "policy"))]
#[path = "policy/absent.rs"]
mod cedar;
mod question;

pub use book::Policies;
pub use question::{Action, Client, Decision, Rule, Ruling, Thing};
