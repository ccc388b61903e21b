//! The environment of a server: the few variables every program needs, and what its owner wrote down.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::SpawnPlan;

/// What programs need to find their user, their files and their language. Tokens live in the others, so a server gets
/// those only by name. `PATH` is set apart.
#[cfg(not(windows))]
const INHERITED: &[&str] = &[
    "HOME",
    "LOGNAME",
    "SHELL",
    "TERM",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TZ",
    "XDG_RUNTIME_DIR",
];
#[cfg(windows)]
const INHERITED: &[&str] = &[
    "APPDATA",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
];

/// The variables of a child: the inherited ones out of `own`, then `path`, then what the plan sets.
pub(super) fn of_child(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    plan: &SpawnPlan,
    path: &OsStr,
) -> BTreeMap<OsString, OsString> {
    let is_wanted = |name: &OsStr| {
        let mut wanted = INHERITED.iter().copied().chain(plan.inherit_env.iter().map(String::as_str));
        wanted.any(|wanted| is_name(name, wanted))
    };
    // Old shells pass functions as values that start so, and run them: nothing a server should get from us.
    let is_function = |value: &OsStr| value.as_encoded_bytes().starts_with(b"()");
    let mut variables: BTreeMap<_, _> =
        own.into_iter().filter(|(name, value)| is_wanted(name) && !is_function(value)).collect();
    variables.retain(|name, _| !is_name(name, "PATH"));
    variables.insert("PATH".into(), path.to_owned());
    for (name, value) in &plan.env {
        variables.retain(|other, _| !is_name(other, name));
        variables.insert(name.into(), value.into());
    }
    variables
}

/// The `PATH` that the plan sets, if it sets one.
pub(super) fn configured_path(plan: &SpawnPlan) -> Option<&OsStr> {
    plan.env.iter().rfind(|(name, _)| is_name(OsStr::new(name), "PATH")).map(|(_, value)| OsStr::new(value))
}

/// Whether two names mean the same variable; Windows does not care for their case.
fn is_name(name: &OsStr, wanted: &str) -> bool {
    if cfg!(windows) { name.eq_ignore_ascii_case(wanted) } else { name == wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_the_list_and_what_its_owner_wrote() {
        let own = [
            ("HOME", "/home/a"),
            ("LANG", "() { evil; }"),
            ("PATH", "/ours"),
            ("API_TOKEN", "not yours"),
            ("WANTED", "yes"),
            ("USER", "a"),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let plan = SpawnPlan {
            env: vec![("USER".into(), "b".into()), ("NEW".into(), "1".into())],
            inherit_env: vec!["WANTED".into(), "UNSET".into()],
            ..crate::supervisor::tests::plan("true", [])
        };
        let found = of_child(own, &plan, OsStr::new("/search"));
        let expected =
            [("HOME", "/home/a"), ("NEW", "1"), ("PATH", "/search"), ("USER", "b"), ("WANTED", "yes")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())).into());
    }
}
