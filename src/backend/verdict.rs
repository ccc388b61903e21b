//! Which era a server turned out to speak, remembered from one start to the next (MCP 2026-07-28, "Versioning", Backward
//! Compatibility): a server that does not know the other era may answer nothing for seconds, or end.
//!
//! A server of both eras is spoken to in the era of the clients behind us, so what is remembered is remembered for those.
//! Verdicts are dated: a server that has been renewed is asked anew after a week. One small file holds all of them and is
//! replaced as a whole; where two of us write at once, one verdict may get lost, and is found again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::protocol::Era;

/// How long a verdict holds.
const HOLDS: Duration = Duration::from_secs(7 * 24 * 3600);
/// More than this is not kept; the oldest go.
const MAX_KEPT: usize = 1000;

/// What servers speak. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    file: Option<PathBuf>,
    /// By [`key`]; `None` until the file has been read.
    known: Mutex<Option<Known>>,
}

type Known = BTreeMap<String, Verdict>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    era: Era,
    /// In seconds since 1970.
    since: u64,
}

fn word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

fn key(fingerprint: &str, audience: Era) -> String {
    format!("{fingerprint}.{}", word(audience))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

impl Verdicts {
    /// The verdicts in the folder of our state. Nothing is read yet.
    pub fn open(state: &Path) -> Self {
        let shared = Shared { file: Some(state.join("eras.json")), known: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What the server of this fingerprint speaks with clients of that era, if that was found out lately.
    pub(super) fn of(&self, fingerprint: &str, audience: Era) -> Option<Era> {
        self.of_at(fingerprint, audience, now())
    }

    fn of_at(&self, fingerprint: &str, audience: Era, now: u64) -> Option<Era> {
        let mut known = self.known();
        let known = known.get_or_insert_with(|| self.read());
        let verdict = known.get(&key(fingerprint, audience))?;
        let holds = now >= verdict.since && now - verdict.since < HOLDS.as_secs();
        holds.then_some(verdict.era)
    }

    /// Notes a verdict, or with `None` that the last one was wrong, and writes the file. Uses blocking file I/O of a few
    /// kilobytes; a failure only costs the next start a question.
    pub(super) fn note(&self, fingerprint: &str, audience: Era, era: Option<Era>) {
        // Others may have written since.
        let mut latest = self.read();
        let mut known = self.known();
        let key = key(fingerprint, audience);
        match era {
            Some(era) => drop(latest.insert(key, Verdict { era, since: now() })),
            None => drop(latest.remove(&key)),
        }
        while latest.len() > MAX_KEPT {
            let oldest = latest.iter().min_by_key(|(_, verdict)| verdict.since).map(|(key, _)| key.clone());
            oldest.map(|key| latest.remove(&key));
        }
        if let Some(file) = &self.shared.file
            && let Err(error) = write(file, &latest)
        {
            tracing::debug!(%error, "verdicts on the eras of servers could not be kept");
        }
        *known = Some(latest);
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands in the file; without one, what we know ourselves.
    fn read(&self) -> Known {
        let Some(file) = &self.shared.file else {
            return self.shared.known.try_lock().ok().and_then(|known| known.clone()).unwrap_or_default();
        };
        let text = std::fs::read(file).unwrap_or_default();
        let whole: Value = serde_json::from_slice(&text).unwrap_or_default();
        let Some(entries) = whole.get("servers").and_then(Value::as_object) else { return Known::new() };
        let verdict = |entry: &Value| {
            let era = match entry.get("era")?.as_str()? {
                "legacy" => Era::Legacy,
                "modern" => Era::Modern,
                _ => return None,
            };
            Some(Verdict { era, since: entry.get("since")?.as_u64()? })
        };
        entries.iter().filter_map(|(key, entry)| Some((key.clone(), verdict(entry)?))).collect()
    }
}

fn write(file: &Path, known: &Known) -> std::io::Result<()> {
    let entries: serde_json::Map<String, Value> = known
        .iter()
        .map(|(key, verdict)| (key.clone(), json!({ "era": word(verdict.era), "since": verdict.since })))
        .collect();
    let text = serde_json::to_vec(&json!({ "servers": entries }))?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = file.with_extension(format!("{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        // Nothing can be done about a file that cannot even be removed.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_for_one_server_and_one_era_of_clients_and_for_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::open(folder.path());
        assert_eq!(verdicts.of("a", Era::Modern), None);
        verdicts.note("a", Era::Modern, Some(Era::Legacy));
        let another = Verdicts::open(folder.path());
        for verdicts in [&verdicts, &another] {
            assert_eq!(verdicts.of("a", Era::Modern), Some(Era::Legacy));
            assert_eq!(verdicts.of("a", Era::Legacy), None);
            assert_eq!(verdicts.of("b", Era::Modern), None);
            assert_eq!(verdicts.of_at("a", Era::Modern, now() + HOLDS.as_secs() + 1), None);
            assert_eq!(verdicts.of_at("a", Era::Modern, now() - 60), None, "a date in the future is no date");
        }
        another.note("b", Era::Modern, Some(Era::Modern));
        verdicts.note("a", Era::Modern, None);
        let third = Verdicts::open(folder.path());
        assert_eq!([third.of("a", Era::Modern), third.of("b", Era::Modern)], [None, Some(Era::Modern)]);
    }

    #[test]
    fn a_broken_file_is_worth_nothing_and_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("eras.json"), br#"{"servers":{"a.legacy":{"era":"mod"#).unwrap();
        let verdicts = Verdicts::open(folder.path());
        assert_eq!(verdicts.of("a", Era::Legacy), None);
        verdicts.note("a", Era::Legacy, Some(Era::Modern));
        assert_eq!(Verdicts::open(folder.path()).of("a", Era::Legacy), Some(Era::Modern));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn without_a_folder_verdicts_live_as_long_as_we_do() {
        let verdicts = Verdicts::default();
        verdicts.note("a", Era::Legacy, Some(Era::Modern));
        verdicts.note("b", Era::Legacy, Some(Era::Legacy));
        assert_eq!(verdicts.of("a", Era::Legacy), Some(Era::Modern));
    }
}
