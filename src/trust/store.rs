//! Pins on disk: one file per server, replaced as a whole, mode 0600.
//!
//! Several Switchboards and `switchboard approve` share the folder. Whoever changes a file holds its lock, reads it again,
//! adds what it knows, and replaces it; so nothing that another one has noted is lost.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::pins::Pins;
use super::review::Case;
use crate::names::{ServerName, slug};
use crate::trust::canonical;

/// The format of the files. One of a later format is left alone.
const FORMAT: u32 = 1;

/// Larger files are not ours.
const MAX_FILE: u64 = 128 << 20;

/// The folder of all pins. All calls use blocking file I/O.
#[derive(Clone, Debug)]
pub struct PinStore {
    folder: PathBuf,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// These pins, of the server as it is configured now.
    Pins(Pins),
    /// Nothing about this server, or about another one of the same name.
    Nothing,
    /// It cannot be read, or not by this version. It must not be replaced.
    Unknown(String),
}

/// Tells one content of a file from another without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(Option<SystemTime>, u64)>);

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    server: String,
    identity: String,
    /// Of the pins; a file that was written by halves is worth nothing.
    digest: String,
    pins: serde_json::Value,
}

impl PinStore {
    /// The store below the folder of Switchboard's state. Nothing is created before something is kept.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("trust") }
    }

    fn path(&self, server: &ServerName) -> PathBuf {
        let slug = slug(server.as_str());
        let digits = &canonical::hex(server.as_str().as_bytes())[..16];
        self.folder.join(format!("{}-{digits}.json", &slug[..slug.len().min(40)]))
    }

    /// Changes whenever the file is replaced.
    pub fn stamp(&self, server: &ServerName) -> Stamp {
        let data = fs::metadata(self.path(server)).ok();
        Stamp(data.map(|data| (data.modified().ok(), data.len())))
    }

    /// What is kept about a server. `identity` is what it is in the config.
    pub fn load(&self, server: &ServerName, identity: &str) -> Found {
        let path = self.path(server);
        match fs::metadata(&path) {
            Ok(data) if data.len() > MAX_FILE => {
                return Found::Unknown(format!("it has {} bytes", data.len()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(error) => return Found::Unknown(error.to_string()),
        }
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) => return Found::Unknown(error.to_string()),
        };
        match read(&text, server, identity) {
            Ok(found) => found,
            Err(reason) => {
                // It is of no use to anybody, and the server is looked at as if for the first time.
                tracing::warn!(%server, path = %path.display(), %reason, "pinned definitions are not usable");
                Found::Nothing
            }
        }
    }

    /// Releases exactly the versions of these cases, all of one server; what comes later waits again.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn approve(&self, server: &ServerName, identity: &str, cases: &[&Case]) -> io::Result<Pins> {
        self.update(server, identity, |pins| {
            let approved = cases.iter().map(|case| {
                let definition = &case.definition;
                pins.approve(definition.kind, &definition.name, &definition.digest)
            });
            approved.fold(false, |any, changed| any | changed)
        })
    }

    /// Changes what is kept: `change` gets what is there now and says whether it made it different. Gives the result.
    ///
    /// # Errors
    /// The file cannot be locked, written, flushed or renamed, or must not be replaced; what was kept stays.
    pub fn update(
        &self,
        server: &ServerName,
        identity: &str,
        change: impl FnOnce(&mut Pins) -> bool,
    ) -> io::Result<Pins> {
        make_folder(&self.folder)?;
        let path = self.path(server);
        let lock = create(&path.with_extension("lock"), false)?;
        lock.lock()?;
        let mut pins = match self.load(server, identity) {
            Found::Pins(pins) => pins,
            Found::Nothing => Pins::default(),
            Found::Unknown(reason) => return Err(io::Error::other(reason)),
        };
        if change(&mut pins) {
            // Whoever holds the lock is alone; what a killed process left is in the way.
            let temporary = path.with_extension("tmp");
            let _ = fs::remove_file(&temporary);
            let written = write(&temporary, &encode(server, identity, &pins)?)
                .and_then(|()| fs::rename(&temporary, &path));
            if written.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            written?;
        }
        Ok(pins)
    }
}

fn read(text: &[u8], server: &ServerName, identity: &str) -> Result<Found, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if document.format != FORMAT {
        return Ok(Found::Unknown(format!("it has format {}, this version knows {FORMAT}", document.format)));
    }
    if canonical::digest(&document.pins) != document.digest {
        return Err("its digest does not fit".to_owned());
    }
    if document.server != server.as_str() || document.identity != identity {
        return Ok(Found::Nothing);
    }
    let pins = serde_json::from_value(document.pins).map_err(|error| error.to_string())?;
    Ok(Found::Pins(pins))
}

fn encode(server: &ServerName, identity: &str, pins: &Pins) -> io::Result<Vec<u8>> {
    let pins = serde_json::to_value(pins)?;
    let document = Document {
        format: FORMAT,
        server: server.to_string(),
        identity: identity.to_owned(),
        digest: canonical::digest(&pins),
        pins,
    };
    let mut text = serde_json::to_vec(&document)?;
    text.push(b'\n');
    Ok(text)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn create(path: &Path, new: bool) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).create_new(new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create(path, true)?;
    file.write_all(text)?;
    // Without this the rename may reach the disk before the content does.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ListKind;
    use crate::trust::{Definition, Standing};

    fn tool(description: &str) -> Definition {
        let text =
            format!(r#"{{"name":"a","description":"{description}","inputSchema":{{"maximum":1.10}}}}"#);
        Definition::read(ListKind::Tools, text.as_bytes()).unwrap()
    }

    fn see(definition: &Definition) -> impl FnOnce(&mut Pins) -> bool {
        move |pins| pins.see(ListKind::Tools, &[definition], true)
    }

    #[test]
    fn what_is_kept_comes_back_with_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let store = PinStore::new(folder.path());
        let server = ServerName::from("My Server/../x");
        assert_eq!(store.load(&server, "i"), Found::Nothing);
        let before = store.stamp(&server);
        let pins = store.update(&server, "i", see(&tool("x"))).unwrap();
        assert_eq!(store.load(&server, "i"), Found::Pins(pins.clone()));
        assert_ne!(store.stamp(&server), before);
        let version = &pins.pin(ListKind::Tools, "a").unwrap().versions()[0];
        assert_eq!(version.definition["inputSchema"]["maximum"].to_string(), "1.10");
        assert_eq!(store.load(&server, "other"), Found::Nothing, "another program is another server");
        assert_eq!(store.load(&"my-server-x".into(), "i"), Found::Nothing);
        #[cfg(unix)]
        {
            let mode = |path: &Path| {
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
            };
            assert_eq!((mode(&store.path(&server)), mode(&store.folder)), (0o600, 0o700));
        }
    }

    #[test]
    fn damage_is_never_taken_for_content() {
        let folder = tempfile::tempdir().unwrap();
        let store = PinStore::new(folder.path());
        let server = ServerName::from("a");
        store.update(&server, "i", see(&tool("x"))).unwrap();
        let sound = fs::read(store.path(&server)).unwrap();
        let text = String::from_utf8(sound.clone()).unwrap();
        let damages = [
            Vec::new(),
            b"{}".to_vec(),
            sound[..sound.len() / 2].to_vec(),
            text.replace("\"x\"", "\"y\"").into_bytes(),
            vec![0xff; 100],
        ];
        for damage in damages {
            fs::write(store.path(&server), &damage).unwrap();
            assert_eq!(store.load(&server, "i"), Found::Nothing);
            let pins = store.update(&server, "i", see(&tool("z"))).unwrap();
            assert_eq!(pins.standing(&tool("z")), Standing::First);
        }
        let later = text.replace("\"format\":1", "\"format\":2");
        fs::write(store.path(&server), &later).unwrap();
        assert!(matches!(store.load(&server, "i"), Found::Unknown(_)));
        assert!(store.update(&server, "i", see(&tool("z"))).is_err());
        assert_eq!(fs::read(store.path(&server)).unwrap(), later.into_bytes(), "it is left alone");
    }
}
