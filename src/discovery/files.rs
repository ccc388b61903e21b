//! Servers in the configs of other programs. Files are read, nothing is written, and nothing of them is run.

mod clients;
mod dialect;
mod references;

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::finder::{Draft, Looked};
use super::finding::{Failed, Source, one_line};
use crate::config::{Environment, Syntax, parse_tree};
use crate::failure::{Code, Failure};
use clients::{Client, Place};
use dialect::{Dialect, Translated};

/// The largest file that is read, in bytes: some programs keep their history beside their servers.
const LARGEST: u64 = 32 << 20;
/// More servers than this are not read of one file.
const MOST: usize = 500;

/// Reads the configs of these programs and these files. Blocks. Each place with what came of it; a file that is not there is no
/// failure.
pub(super) fn read(names: &[String], paths: &[PathBuf], environment: &Environment) -> Vec<(String, Looked)> {
    let place = Place::of(environment);
    let mut read = Vec::new();
    for name in names {
        let Some(client) = Client::find(name) else {
            let source = Source::File { client: None, path: name.clone() };
            let failure =
                Failure::new(Code::ConfigValue, format!("`{name}` is no program that is known here"));
            read.push((name.clone(), Looked::failed(Failed { place: name.clone(), source, failure })));
            continue;
        };
        let mut looked = Looked::default();
        for path in client.paths(&place) {
            looked.append(file(&path, Some(client)));
        }
        read.push((client.name.to_owned(), looked));
    }
    for path in paths {
        let whole = environment.expand_home(&path.to_string_lossy());
        read.push((path.display().to_string(), file(&whole, Client::of_path(&whole))));
    }
    read
}

/// The servers of one file.
fn file(path: &Path, client: Option<&'static Client>) -> Looked {
    let source = Source::File { client: client.map(|client| client.name), path: path.display().to_string() };
    let fail = |why: String| {
        let failure = Failure::new(Code::ConfigFile, why);
        Looked::failed(Failed { place: path.display().to_string(), source: source.clone(), failure })
    };
    let text = match text_of(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Looked::default(),
        Err(why) => return fail(why),
    };
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let root = match parse_tree(&text, Syntax::of_extension(extension).unwrap_or(Syntax::Json)) {
        Ok(root) => root,
        Err(why) => return fail(format!("it cannot be read: {why}")),
    };
    let guess = dialect::of_content(&root);
    let dialect = client.map_or(guess, |client| client.dialect);
    let mut looked = Looked::default();
    for (name, entry) in entries(&root, dialect) {
        if looked.drafts.len() == MOST {
            looked.is_partial = true;
            break;
        }
        looked.drafts.extend(draft(name, &entry, dialect, &source));
    }
    looked
}

fn text_of(path: &Path) -> Result<Option<String>, String> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("it cannot be opened: {error}")),
    };
    // A pipe or a device could keep us waiting for ever.
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB", LARGEST >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

/// The entries of a file with their names, wherever its program keeps them.
fn entries(root: &Value, dialect: &Dialect) -> Vec<(String, Map<String, Value>)> {
    let mut sections: Vec<&Value> = dialect.sections.iter().filter_map(|path| at(root, path)).collect();
    if dialect.has_projects {
        let projects = root.get("projects").and_then(Value::as_object);
        sections.extend(
            projects.into_iter().flat_map(Map::values).filter_map(|project| project.get("mcpServers")),
        );
    }
    let mut entries = Vec::new();
    for section in sections {
        match section {
            Value::Object(members) => entries.extend(
                members.iter().filter_map(|(name, entry)| Some((name.clone(), entry.as_object()?.clone()))),
            ),
            Value::Array(elements) => entries.extend(elements.iter().filter_map(|entry| {
                Some((entry.get("name")?.as_str()?.to_owned(), entry.as_object()?.clone()))
            })),
            _ => {}
        }
    }
    entries
}

/// The value at a path of keys. Some programs have keys with dots in them, so a path is a list.
fn at<'a>(root: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, key| value.get(key))
}

fn draft(name: String, entry: &Map<String, Value>, dialect: &Dialect, source: &Source) -> Option<Draft> {
    let Translated { entry, problem } = dialect.translate(entry)?;
    let mut draft = Draft::new(entry, source.clone());
    draft.description = draft.entry.get("description").and_then(Value::as_str).and_then(one_line);
    draft.called = one_line(&name);
    draft.problem = problem;
    Some(draft)
}

#[cfg(test)]
mod tests;
