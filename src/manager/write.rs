//! Writes a change into the config file, as it is now, and leaves everything else of it as it was.

use std::path::Path;

use super::Fault;
use super::change::Wish;
use crate::config::{Recipe, edit};

/// Whether the file has anything to do with it: what was registered for this run is not taken out of it.
pub(super) fn concerns(recipe: &Recipe, name: &str, wish: &Wish) -> bool {
    !matches!(wish, Wish::Unregister) || recipe.file_entry(name).is_some()
}

/// What is to be written.
pub(super) struct Draft {
    /// What the file said.
    before: String,
    /// What it is to say.
    after: String,
}

/// The recipe with the change in its file, and what is to be written for it. Blocks.
pub(super) fn edited(recipe: &Recipe, name: &str, wish: &Wish) -> Result<(Recipe, Draft), Fault> {
    let mut fresh = recipe.reread();
    if fresh.path().is_none() {
        return Err(Fault::unwritable("there is none"));
    }
    let Some((text, syntax)) = fresh.text() else {
        return Err(Fault::unwritable("it cannot be read"));
    };
    let is_in_file = fresh.file_entry(name).is_some();
    let edited = match wish {
        // Somebody has written it there a moment ago.
        Wish::Register(_) if is_in_file => return Err(Fault::exists(name)),
        Wish::Register(entry) | Wish::Update(entry) => edit::put_server(text, syntax, name, entry),
        Wish::Unregister if is_in_file => edit::remove_server(text, syntax, name),
        Wish::Unregister => Ok(text.to_owned()),
        Wish::Switch(on) => {
            // What was said for this run alone is kept with it.
            let with_entry = match recipe.said_entry(name) {
                Some(entry) => edit::put_server(text, syntax, name, entry),
                None => Ok(text.to_owned()),
            };
            with_entry.and_then(|text| edit::set_enabled(&text, syntax, name, *on))
        }
    };
    let after = edited.map_err(|error| Fault::unedited(error.code(), error))?;
    let draft = Draft { before: text.to_owned(), after };
    fresh = fresh.with_text(&draft.after);
    fresh.unsay(name);
    Ok((fresh, draft))
}

/// Saves it, unless somebody else has done so meanwhile. Blocks.
pub(super) fn save(path: Option<&Path>, draft: &Draft) -> Result<(), Fault> {
    let path = path.ok_or_else(|| Fault::unwritable("there is none"))?;
    let saved = edit::save(path, Some(&draft.before), &draft.after);
    saved.map(drop).map_err(|error| Fault::unedited(error.code(), error))
}
