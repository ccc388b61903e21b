//! The places that installers use, whether a shell knows them or not.

use std::fs;
use std::path::{Path, PathBuf};

const SYSTEM: &[&str] =
    &["/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin", "/snap/bin"];

const IN_HOME: &[&str] = &[
    ".local/bin",
    ".cargo/bin",
    ".bun/bin",
    ".deno/bin",
    ".volta/bin",
    ".local/share/mise/shims",
    ".asdf/shims",
    ".local/share/fnm/aliases/default/bin",
];

/// Those of them that exist.
pub(super) fn existing(home: Option<&Path>) -> Vec<PathBuf> {
    let system = SYSTEM.iter().map(PathBuf::from);
    let in_home = home.into_iter().flat_map(|home| IN_HOME.iter().map(|folder| home.join(folder)));
    let nvm = home.and_then(|home| nvm_default(&home.join(".nvm")));
    system.chain(in_home).chain(nvm).filter(|folder| folder.is_dir()).collect()
}

/// The Node.js that a new shell would use under nvm: an alias leads to a version or the beginning of one.
fn nvm_default(nvm: &Path) -> Option<PathBuf> {
    let mut wanted = "default".to_owned();
    // `default` → `lts/*` → `lts/jod` → `v22.11.0` is the longest way; a circle must not hold us.
    for _ in 0..4 {
        match fs::read_to_string(nvm.join("alias").join(&wanted)) {
            Ok(target) => wanted = target.trim().to_owned(),
            Err(_) => break,
        }
    }
    let wanted = version(&wanted);
    let installed = fs::read_dir(nvm.join("versions/node")).ok()?.flatten();
    let installed = installed.filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())));
    // Names such as `node` and `stable` mean the newest one.
    let fitting =
        installed.filter(|(found, _)| wanted.as_ref().is_none_or(|wanted| found.starts_with(wanted)));
    fitting.max().map(|(_, folder)| folder.join("bin"))
}

/// `v20.1` as `[20, 1]`.
fn version(text: &str) -> Option<Vec<u32>> {
    text.strip_prefix('v').unwrap_or(text).split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvm_leads_to_the_version_its_default_means() {
        let home = tempfile::tempdir().unwrap();
        let nvm = home.path().join(".nvm");
        for version in ["v9.0.0", "v20.9.0", "v20.11.1", "v22.1.0"] {
            fs::create_dir_all(nvm.join("versions/node").join(version).join("bin")).unwrap();
        }
        fs::create_dir_all(nvm.join("alias/lts")).unwrap();
        fs::write(nvm.join("alias/lts/iron"), "v20.9.0\n").unwrap();
        let check = |alias: &str, expected: &str| {
            fs::write(nvm.join("alias/default"), alias).unwrap();
            let expected = nvm.join("versions/node").join(expected).join("bin");
            assert!(existing(Some(home.path())).contains(&expected), "{alias}");
        };
        check("20\n", "v20.11.1");
        check("v20.9.0", "v20.9.0");
        check("lts/iron", "v20.9.0");
        check("node", "v22.1.0");
        check("default", "v22.1.0");
    }
}
