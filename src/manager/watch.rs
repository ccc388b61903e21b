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
        let Some(first) = weak.upgrade() else { return };
        let mut seen = first.look(Looks::default()).await;
        // It may have changed since it was read.
        let mut is_news = first.is_behind().await;
        drop(first);
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(manager) = weak.upgrade() else { return };
            let mut now = manager.look(seen.clone()).await;
            if now == seen && !std::mem::take(&mut is_news) {
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
    /// Whether the config in force is made of another text than the file has.
    async fn is_behind(&self) -> bool {
        let recipe = self.recipe.lock().await.clone();
        let is_behind = move || recipe.reread().text() != recipe.text();
        tokio::task::spawn_blocking(is_behind).await.unwrap_or_default()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_content_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let files = [one.clone(), two.clone()];
        std::fs::write(&one, "a").unwrap();
        let mut seen = Looks::of(&files, &Looks::default());
        let mut check = |what: &str, is_news: bool| {
            let now = Looks::of(&files, &seen);
            assert_eq!(now != seen, is_news, "{what}");
            seen = now;
        };
        check("nothing", false);
        // The same length, within the grain of any clock.
        std::fs::write(&one, "b").unwrap();
        check("another content", true);
        std::fs::write(&one, "b").unwrap();
        check("the same again", false);
        std::fs::write(&two, "x").unwrap();
        check("a file that was not there", true);
        std::fs::remove_file(&two).unwrap();
        check("a file that is gone", true);
        std::fs::rename(&one, &two).unwrap();
        check("two files", true);
    }
}
