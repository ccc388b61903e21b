//! Installs the real servers and clients that the tests drive, exactly as locked, into a cache that survives
//! the run: `$SWITCHBOARD_TEST_CACHE`, else `.cache/real` of the repository.
//!
//! A set is a folder under `tests/real/npm` or `tests/real/python` with its lock. Its place in the cache is
//! named after the lock's hash, so an old install is never taken for a new one. An install happens in a
//! temporary folder and is renamed when it is complete; a file lock keeps two test processes from doing it
//! twice. A set that cannot be installed fails the test: nothing is skipped, except on a developer's machine
//! that says `SWITCHBOARD_SKIP_REAL=1`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Whether this machine asked to leave out everything that needs Node or Python. Refused under `CI=true`.
pub(crate) fn skipped() -> bool {
    let asked = std::env::var_os("SWITCHBOARD_SKIP_REAL").is_some_and(|value| value == "1");
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!(asked && in_ci), "SWITCHBOARD_SKIP_REAL is refused in CI: these tests are the proof");
    asked
}

/// An installed npm set: the folder that holds its `node_modules`.
pub(crate) fn npm(set: &str) -> PathBuf {
    install("npm", set, "package-lock.json", |source, target| {
        fs::copy(source.join("package.json"), target.join("package.json")).unwrap();
        fs::copy(source.join("package-lock.json"), target.join("package-lock.json")).unwrap();
        run(Command::new("npm").current_dir(target).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]));
    })
}

/// The file `path` inside a package of an npm set.
pub(crate) fn npm_file(set: &str, path: &str) -> PathBuf {
    existing(npm(set).join("node_modules").join(path))
}

/// The interpreter of an installed Python set. Run modules with `-m`: scripts of the environment name the
/// temporary folder that it was made in.
pub(crate) fn python(set: &str) -> PathBuf {
    let place = install("python", set, "requirements.txt", |source, target| {
        run(Command::new("python3").args(["-m", "venv"]).arg(target));
        run(Command::new(target.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
            .arg(source.join("requirements.txt")));
    });
    existing(place.join("bin/python"))
}

/// The `node` of this machine, by its full path: the tests clear the environment of what they start.
pub(crate) fn node() -> PathBuf {
    which::which("node").expect("node is needed for the real servers and clients")
}

/// Where the sets, scenarios and their locks are.
pub(crate) fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real")
}

fn install(kind: &str, set: &str, lock: &str, fill: impl FnOnce(&Path, &Path)) -> PathBuf {
    let source = source_folder().join(kind).join(set);
    let content = fs::read(source.join(lock)).unwrap_or_else(|error| panic!("no lock of set {set}: {error}"));
    let cache = cache_folder();
    fs::create_dir_all(&cache).unwrap();
    let name = format!("{kind}-{set}-{}", short_hash(&content));
    let place = cache.join(&name);

    let guard = File::create(cache.join(format!("{name}.lock"))).unwrap();
    guard.lock().unwrap();
    if !place.exists() {
        let unfinished = cache.join(format!("{name}.unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished).unwrap();
        fill(&source, &unfinished);
        fs::rename(&unfinished, &place).unwrap();
    }
    place
}

fn cache_folder() -> PathBuf {
    std::env::var_os("SWITCHBOARD_TEST_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/real"), PathBuf::from)
}

fn short_hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "the installed set lacks {}", path.display());
    path
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
