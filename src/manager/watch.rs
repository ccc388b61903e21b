//! Follows the config file and the files that its values come from, by looking at them once a second: that holds for every
//! editor, for links that are replaced, and for disks behind a network.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Actor, Manager};
use crate::config::Recipe;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Files that change are left alone until they have looked the same for so long: who writes several, or one in pieces, is heard
/// to the end.
const REST: Duration = Duration::from_millis(200);
/// However long they go on changing, they are read after this.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// A file that was changed so short a time ago may change again without looking different.
const FRESH: Duration = Duration::from_secs(3);
/// More of a file is not looked at; no config and no secret is that long.
const MAX_FILE: u64 = 8 << 20;

/// The files that a config depends on: its own and those of its values.
pub(super) fn files(recipe: &Recipe, values: Vec<PathBuf>) -> Vec<PathBuf> {
    recipe.path().or(recipe.folder()).map(Path::to_path_buf).into_iter().chain(values).collect()
}

/// Begins to follow them.
pub(super) fn begin(manager: &Arc<Manager>) {
    let weak = Arc::downgrade(manager);
    let registry = Arc::clone(manager.registry());
    registry.attend(async move {
        let who = Actor::new("config file", "watch");
        let mut seen = Looks::default();
        let Some(first) = weak.upgrade() else { return };
        seen = first.look(seen).await;
        drop(first);
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(manager) = weak.upgrade() else { return };
            let mut now = manager.look(seen.clone()).await;
            if now == seen {
                continue;
            }
            let began = tokio::time::Instant::now();
            loop {
                tokio::time::sleep(REST).await;
                let later = manager.look(now.clone()).await;
                let rests = later == now;
                now = later;
                if rests || began.elapsed() > LONGEST_REST {
                    break;
                }
            }
            // What is wrong has been told; it is tried again when a file changes.
            let _ = manager.reload(&who).await;
            // Other files may count now.
            seen = manager.look(now).await;
        }
    });
}

impl Manager {
    async fn look(&self, before: Looks) -> Looks {
        let files = self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unchanged = before.clone();
        tokio::task::spawn_blocking(move || Looks::of(&files, &before)).await.unwrap_or(unchanged)
    }
}

/// How files look.
#[derive(Clone, Debug, Default)]
struct Looks {
    hasher: RandomState,
    files: Vec<(PathBuf, Option<Look>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    length: u64,
    modified: Option<SystemTime>,
    content: u64,
}

/// Only what stands in them counts.
impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        let contents = |looks: &Self| -> Vec<_> {
            let content = |look: &Option<Look>| look.as_ref().map(|look| look.content);
            looks.files.iter().map(|(path, look)| (path.clone(), content(look))).collect()
        };
        contents(self) == contents(other)
    }
}

impl Looks {
    /// Looks at these files. Those that have not changed for a while, by their metadata, are not read again. Blocks.
    fn of(files: &[PathBuf], before: &Self) -> Self {
        let hasher = before.hasher.clone();
        let look = |path: &PathBuf| {
            let known =
                before.files.iter().find(|(known, _)| known == path).and_then(|(_, look)| look.clone());
            (path.clone(), Look::at(path, known, &hasher))
        };
        Self { files: files.iter().map(look).collect(), hasher }
    }
}

impl Look {
    fn at(path: &Path, known: Option<Self>, hasher: &RandomState) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        let (length, modified) = (data.len(), data.modified().ok());
        let is_old = modified
            .and_then(|modified| SystemTime::now().duration_since(modified).ok())
            .is_some_and(|age| age > FRESH);
        if let Some(known) =
            known.filter(|known| is_old && (known.length, known.modified) == (length, modified))
        {
            return Some(known);
        }
        let content = match data.is_file() && length <= MAX_FILE {
            true => hasher.hash_one(std::fs::read(path).ok()?),
            // Of a folder, what is in it.
            false => hasher.hash_one((length, modified)),
        };
        Some(Self { length, modified, content })
    }
}
