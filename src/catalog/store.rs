//! The last good offering of every server, kept on disk so that the first list after a start is complete at once.
//!
//! One file per server, replaced as a whole: several Switchboards may read and write the same folder, and each may be
//! killed at any moment. A file that is not exactly what was written is worth nothing and is treated as missing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::catalog::naming;
use crate::catalog::offering::Offering;
use crate::names::ServerName;
use crate::protocol::ListKind;
use crate::wire::json;

/// The format of the files. A file of another format is left alone until it is replaced.
const FORMAT: &str = "1";

/// Larger files are not ours.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// A temporary file this old was left by a process that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// A file for a profile that no client has had for this long goes.
const FORGOTTEN: Duration = Duration::from_secs(180 * 24 * 3600);

const TEMPORARY: &str = ".tmp";
const FINISHED: &str = ".json";

/// What was found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the server showed.
    pub offering: Offering,
    /// Whether it showed that to a client of the same abilities.
    pub same_profile: bool,
}

/// A folder of stored offerings. All calls use blocking file I/O.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a folder, creates it if it is missing, and removes what killed processes left there.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Store> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        remove_stale(&folder);
        Ok(Store { folder })
    }

    /// What `server` showed last, if it was stored under the same `fingerprint` (whatever identifies the program behind
    /// the name). Anything else is `None`; damage is logged.
    ///
    /// Some servers show one client more than another, so every `profile` (what a client can do) has a shelf of its own.
    /// While it is empty, the newest offering to another client has to do.
    pub fn load(&self, server: &ServerName, fingerprint: &str, profile: &str) -> Option<Stored> {
        let own = self.path(server, profile);
        if let Some(offering) = load_file(&own, server, fingerprint) {
            return Some(Stored { offering, same_profile: true });
        }
        let mut others = self.files_of(server);
        others.retain(|(_, path)| *path != own);
        others.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
        let offering = others.iter().find_map(|(_, path)| load_file(path, server, fingerprint))?;
        Some(Stored { offering, same_profile: false })
    }

    /// Stores what `server` showed to a client of this profile. It is on disk as a whole or not at all.
    ///
    /// # Errors
    /// If a file cannot be written, flushed or renamed; an earlier offering then stays.
    pub fn save(
        &self,
        server: &ServerName,
        fingerprint: &str,
        profile: &str,
        offering: &Offering,
    ) -> io::Result<()> {
        let temporary = self.temporary(server);
        let written = write(&temporary, &encode(server, fingerprint, offering))
            .and_then(|()| fs::rename(&temporary, self.path(server, profile)));
        if written.is_err() {
            // Nothing can be done about a file that cannot even be removed; `open` tries again in an hour.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        sync_folder(&self.folder);
        Ok(())
    }

    /// The files in such a folder that are not what was written, and why. They are ignored and replaced in time.
    pub fn damaged(folder: &Path) -> Vec<(PathBuf, String)> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let files = files.filter(|path| path.to_string_lossy().ends_with(FINISHED));
        files.filter_map(|path| Some((check(&path).err()?, path))).map(|(why, path)| (path, why)).collect()
    }

    fn path(&self, server: &ServerName, profile: &str) -> PathBuf {
        self.folder.join(format!("{}.{profile}{FINISHED}", file_stem(server)))
    }

    /// The server's files for all profiles, with the time of their last change.
    fn files_of(&self, server: &ServerName) -> Vec<(Option<SystemTime>, PathBuf)> {
        let start = format!("{}.", file_stem(server));
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let is_one = |name: &str| name.starts_with(&start) && name.ends_with(FINISHED);
        let files = entries.flatten().filter(|entry| is_one(&entry.file_name().to_string_lossy()));
        files.map(|entry| (entry.metadata().and_then(|data| data.modified()).ok(), entry.path())).collect()
    }

    /// A name that no other writer uses, in this process or another.
    fn temporary(&self, server: &ServerName) -> PathBuf {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}-{count}-{:08x}", std::process::id(), fastrand::u32(..));
        self.folder.join(format!("{}.{unique}{TEMPORARY}", file_stem(server)))
    }
}

/// Readable, and different for every name. Names can be long, file names cannot.
fn file_stem(server: &ServerName) -> String {
    let slug = crate::names::slug(server.as_str());
    format!("{}-{}", &slug[..slug.len().min(40)], naming::hash(server, "", 12))
}

fn remove_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let age =
            entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        let limit = match entry.file_name().to_string_lossy() {
            name if name.ends_with(TEMPORARY) => STALE,
            name if name.ends_with(FINISHED) => FORGOTTEN,
            _ => continue,
        };
        if age.is_some_and(|age| age > limit) {
            // Another Switchboard may be removing the same file.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    // Without this the rename may reach the disk before the content does.
    file.sync_all()
}

/// Makes the rename itself durable. Losing it costs one stored catalog, so a failure is no error.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}

fn load_file(path: &Path, server: &ServerName, fingerprint: &str) -> Option<Offering> {
    match read(path).and_then(|text| text.map(|text| parse(text, server, fingerprint)).transpose()) {
        Ok(offering) => offering.flatten(),
        Err(reason) => {
            tracing::warn!(%server, path = %path.display(), %reason, "stored catalog is not usable");
            None
        }
    }
}

fn read(path: &Path) -> Result<Option<Bytes>, String> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if size > MAX_FILE {
        return Err(format!("it has {size} bytes"));
    }
    fs::read(path).map(|text| Some(text.into())).map_err(|error| error.to_string())
}

/// Whether a file is as it was written. One of another format is not ours to judge.
fn check(path: &Path) -> Result<(), String> {
    let Some(text) = read(path)? else { return Ok(()) };
    let Some(rest) = text.strip_prefix(format!("{{\"format\":{FORMAT},\"sha256\":\"").as_bytes()) else {
        let other = text.starts_with(b"{\"format\":");
        return if other { Ok(()) } else { Err("it is no stored catalog".to_owned()) };
    };
    let (sum, body) = rest.split_at_checked(64).ok_or("it is cut off")?;
    let body = body.strip_prefix(b"\"").ok_or("it is no stored catalog")?;
    if sum == digest(body).as_bytes() { Ok(()) } else { Err("its checksum is wrong".to_owned()) }
}

// === the format ===
//
// {"format":1,"sha256":"<of everything after this string>","server":…,"fingerprint":…,"saved_at":<unix seconds>,
//  "initialize":{…},"tools":[…],"prompts":[…],"resources":[…],"resourceTemplates":[…]}

fn encode(server: &ServerName, fingerprint: &str, offering: &Offering) -> Vec<u8> {
    let mut body = b",\"server\":".to_vec();
    json::push_string(&mut body, server.as_str());
    body.extend_from_slice(b",\"fingerprint\":");
    json::push_string(&mut body, fingerprint);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    body.extend_from_slice(format!(",\"saved_at\":{now}").as_bytes());
    if !offering.initialize.is_empty() {
        body.extend_from_slice(b",\n\"initialize\":");
        body.extend_from_slice(&offering.initialize);
    }
    for kind in ListKind::ALL {
        body.extend_from_slice(format!(",\n\"{}\":[", kind.key()).as_bytes());
        body.extend_from_slice(&offering.list(kind).join(&b",\n"[..]));
        body.push(b']');
    }
    body.extend_from_slice(b"}\n");
    let mut text = format!("{{\"format\":{FORMAT},\"sha256\":\"{}\"", digest(&body)).into_bytes();
    text.extend_from_slice(&body);
    text
}

fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Ok(None)` if the file is sound but not about this server as it is now.
///
/// Every value is checked once and the whole text is never passed twice: this stands between a client and its first
/// list.
fn parse(text: Bytes, server: &ServerName, fingerprint: &str) -> Result<Option<Offering>, String> {
    let mut reader = Reader { text: &text, at: 0 };
    reader.expect(b"{")?;
    if reader.value("\"format\":")? != FORMAT.as_bytes() {
        return Ok(None);
    }
    let checksum = reader.value(",\"sha256\":")?;
    let body = text.get(reader.at..).unwrap_or_default();
    if json::string(checksum).is_none_or(|written| written != digest(body)) {
        return Err("its checksum does not fit".to_owned());
    }
    std::str::from_utf8(&text).map_err(|error| error.to_string())?;
    let names = [(",\"server\":", server.as_str()), (",\"fingerprint\":", fingerprint)];
    for (key, wanted) in names {
        if json::string(reader.value(key)?).is_none_or(|found| found != wanted) {
            return Ok(None);
        }
    }
    reader.value(",\"saved_at\":")?;
    let mut offering = Offering::default();
    if reader.expect(b",\n\"initialize\":").is_ok() {
        offering.initialize = text.slice_ref(reader.value("")?);
    }
    for kind in ListKind::ALL {
        reader.expect(format!(",\n\"{}\":[", kind.key()).as_bytes())?;
        while reader.expect(b"]").is_err() {
            let item = reader.value("")?;
            offering.list_mut(kind).push(text.slice_ref(item));
            // No comma after the last item: then the bracket comes next, or the text is not ours.
            let _ = reader.expect(b",\n");
        }
    }
    reader.expect(b"}\n")?;
    if reader.at != text.len() { Err("something follows its end".to_owned()) } else { Ok(Some(offering)) }
}

/// Reads what [`encode`] wrote, in the order in which it was written.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn expect(&mut self, what: &[u8]) -> Result<(), String> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(what)) {
            return Err(format!(
                "`{}` is missing at offset {}",
                String::from_utf8_lossy(what).trim(),
                self.at
            ));
        }
        self.at += what.len();
        Ok(())
    }

    /// The JSON value after `key`.
    fn value(&mut self, key: &str) -> Result<&'a [u8], String> {
        self.expect(key.as_bytes())?;
        let start = self.at;
        self.at = json::skip_value(self.text, start).map_err(|error| error.to_string())?;
        Ok(&self.text[start..self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(mark: &str) -> Offering {
        let item = |text: &str| Bytes::from(text.replace("MARK", mark));
        Offering {
            initialize: item(r#"{"protocolVersion":"2025-06-18", "x" : 1e400}"#),
            tools: vec![item(r#"{"name" : "MARK","n":1.10}"#), item(r#"{"name":"b\u0041"}"#)],
            prompts: vec![],
            resources: vec![item("{\"uri\":\"a:é\"}")],
            templates: vec![item("{}")],
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state/catalog")).unwrap();
        (folder, store)
    }

    fn load(store: &Store, server: &ServerName, fingerprint: &str) -> Option<Offering> {
        store.load(server, fingerprint, "p").map(|stored| stored.offering)
    }

    #[test]
    fn a_new_kind_of_client_sees_what_the_last_one_saw_until_it_has_its_own() {
        let (_folder, store) = store();
        let server = ServerName::from("a");
        store.save(&server, "f", "old", &offering("old")).unwrap();
        let age = fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(60));
        File::options().write(true).open(store.path(&server, "old")).unwrap().set_times(age).unwrap();
        store.save(&server, "f", "new", &offering("new")).unwrap();
        let found =
            |profile| store.load(&server, "f", profile).map(|stored| (stored.offering, stored.same_profile));
        assert_eq!(found("third"), Some((offering("new"), false)));
        assert_eq!(found("old"), Some((offering("old"), true)));
        assert_eq!(store.load(&"a.new".into(), "f", "old"), None);
    }

    #[test]
    fn gives_back_the_very_bytes() {
        let (_folder, store) = store();
        let server = ServerName::from("My Server/../é");
        assert_eq!(load(&store, &server, "f"), None);
        store.save(&server, "f", "p", &offering("one")).unwrap();
        assert_eq!(load(&store, &server, "f"), Some(offering("one")));
        store.save(&server, "f", "p", &Offering::default()).unwrap();
        assert_eq!(load(&store, &server, "f"), Some(Offering::default()));
        assert_eq!(load(&store, &server, "other"), None);
        assert_eq!(load(&store, &"my-server".into(), "f"), None);
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn damage_is_never_taken_for_content() {
        let (_folder, store) = store();
        let server = ServerName::from("a");
        store.save(&server, "f", "p", &offering("one")).unwrap();
        let path = store.path(&server, "p");
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() - 1 {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(load(&store, &server, "f"), None, "cut to {length} bytes");
        }
        for at in 0..good.len() {
            for flip in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                fs::write(&path, &bad).unwrap();
                assert_eq!(load(&store, &server, "f"), None, "bit flipped in byte {at}");
            }
        }
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert_eq!(load(&store, &server, "f"), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(load(&store, &server, "f"), None, "a folder in its place");
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let (_folder, store) = store();
        let server = ServerName::from("a");
        let offerings: Vec<Offering> =
            (0..4).map(|n| offering(&format!("writer {n}").repeat(n * 500 + 1))).collect();
        store.save(&server, "f", "p", &offerings[0]).unwrap();
        std::thread::scope(|scope| {
            for offering in &offerings {
                scope.spawn(|| (0..20).for_each(|_| store.save(&server, "f", "p", offering).unwrap()));
            }
            for _ in 0..200 {
                let loaded = load(&store, &server, "f").expect("there is always a whole file");
                assert!(offerings.contains(&loaded));
            }
        });
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 1);
    }

    #[test]
    fn only_stale_leftovers_are_removed() {
        let (_folder, store) = store();
        let [old, new, other] =
            ["a.1-0-00.tmp", "a.2-0-00.tmp", "a.json"].map(|name| store.folder.join(name));
        for path in [&old, &new, &other] {
            fs::write(path, "x").unwrap();
        }
        let past = SystemTime::now() - STALE - Duration::from_secs(60);
        for path in [&old, &other] {
            File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
        }
        Store::open(&store.folder).unwrap();
        assert_eq!([old.exists(), new.exists(), other.exists()], [false, true, true]);
    }
}
