//! The one who writes the log: a thread, so that no call waits for a disk unless the config wants that.
//!
//! The first entry after a while is written at once. Where more follow closely it takes them together: to be woken for each of them
//! would cost a call more than all that is done for it otherwise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::entry::{self, Entry};
use super::folder::Folder;
use super::log::{LONGEST_LINE, Log};

/// So many entries may wait for the disk.
const QUEUE: usize = 4096;
/// So many are written at once.
const BATCH: usize = 256;
/// So long entries are gathered that nobody waits for, if others were written just before. What ends suddenly loses no more than
/// those of this time.
const GATHER: Duration = Duration::from_millis(5);

/// An entry was not kept. Why, in a sentence fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotKept(pub String);

/// See the module.
#[derive(Debug)]
pub struct Journal {
    /// `None` once it is closed.
    queue: Mutex<Option<SyncSender<Order>>>,
    /// Ends with the writer.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    thread: Thread,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last attempt to write has failed.
    is_broken: AtomicBool,
    why: Mutex<String>,
    /// Entries that were not kept since the log could last be written.
    lost: AtomicU64,
    kept: AtomicU64,
}

struct Order {
    /// Nothing, if it is only to be seen whether the log can be written.
    entry: Option<Entry>,
    done: Option<oneshot::Sender<Result<(), NotKept>>>,
}

impl Journal {
    /// Begins to write to this folder: files of about so many bytes, of which so many full ones are kept.
    ///
    /// # Errors
    /// The system gives us no thread.
    pub fn begin(folder: Folder, max_bytes: u64, keep: usize) -> std::io::Result<Self> {
        let (queue, orders) = mpsc::sync_channel(QUEUE);
        let state = Arc::<State>::default();
        let log = Log::new(folder, max_bytes, keep);
        let writer = Writer { log, state: Arc::clone(&state) };
        let (ended, end) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || {
            writer.run(&orders);
            drop(ended);
        })?;
        let thread = thread.thread().clone();
        Ok(Self { queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(end)), thread, state })
    }

    /// Takes an entry, and does not wait.
    pub fn note(&self, entry: Entry) {
        if let Err(why) = self.order(Order { entry: Some(entry), done: None }) {
            self.state.lose(1, &why.0);
        }
    }

    /// Takes an entry and waits until it is in the file.
    ///
    /// # Errors
    /// It is not.
    pub async fn keep(&self, entry: Entry) -> Result<(), NotKept> {
        self.ask(Some(entry)).await.inspect_err(|why| {
            // What the writer could not write it has counted itself.
            if !self.state.is_broken.load(Ordering::Relaxed) {
                self.state.lose(1, &why.0);
            }
        })
    }

    /// Whether entries can be kept; if they could not last time, it is tried.
    ///
    /// # Errors
    /// They cannot.
    pub async fn check(&self) -> Result<(), NotKept> {
        if !self.state.is_broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.ask(None).await
    }

    async fn ask(&self, entry: Option<Entry>) -> Result<(), NotKept> {
        let (done, result) = oneshot::channel();
        self.order(Order { entry, done: Some(done) })?;
        self.thread.unpark();
        result.await.unwrap_or_else(|_| Err(NotKept("the writer of the log has ended".into())))
    }

    fn order(&self, order: Order) -> Result<(), NotKept> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = queue.as_ref().map(|queue| queue.try_send(order));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(NotKept(format!("{QUEUE} entries wait for the disk"))),
            Some(Err(TrySendError::Disconnected(_))) | None => {
                Err(NotKept("the writer of the log has ended".into()))
            }
        }
    }

    /// What is wrong, and how many entries it has cost so far.
    pub fn trouble(&self) -> Option<(String, u64)> {
        let lost = self.state.lost.load(Ordering::Relaxed);
        let is_broken = self.state.is_broken.load(Ordering::Relaxed);
        (is_broken || lost > 0)
            .then(|| (self.state.why.lock().unwrap_or_else(PoisonError::into_inner).clone(), lost))
    }

    /// How many entries were written.
    pub fn kept(&self) -> u64 {
        self.state.kept.load(Ordering::Relaxed)
    }

    /// Takes no more entries, and waits until what it has is written, but no longer than this: a disk may hang.
    pub async fn finish(&self, patience: Duration) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.thread.unpark();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(end) = writer
            && tokio::time::timeout(patience, end).await.is_err()
        {
            tracing::error!("the audit log is not written to its end: the disk does not answer");
        }
    }
}

impl State {
    fn lose(&self, count: u64, why: &str) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why.to_owned();
    }
}

struct Writer {
    log: Log,
    state: Arc<State>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut last = None;
        let mut is_behind = false;
        while let Ok(first) = orders.recv() {
            let follows_closely = last.is_some_and(|last: Instant| last.elapsed() < GATHER);
            if follows_closely && !is_behind && first.done.is_none() {
                // Who waits for an entry ends this.
                std::thread::park_timeout(GATHER);
            }
            let mut batch = vec![first];
            batch.extend(orders.try_iter().take(BATCH - 1));
            is_behind = batch.len() == BATCH;
            last = Some(Instant::now());
            let result = self.write(&mut batch);
            for order in batch {
                if let Some(done) = order.done {
                    let _ = done.send(result.clone());
                }
            }
        }
    }

    fn write(&mut self, batch: &mut [Order]) -> Result<(), NotKept> {
        let entries = batch.iter_mut().filter_map(|order| order.entry.take());
        let mut lines: Vec<Vec<u8>> = entries.map(|entry| entry.members()).collect();
        let count = lines.len() as u64;
        // The log itself says what is missing in it.
        let lost = self.state.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            lines.insert(0, entry::lost(lost, SystemTime::now()));
        }
        debug_assert!(lines.iter().all(|line| (line.len() as u64) < LONGEST_LINE));
        match self.log.append(&lines) {
            Ok(()) => {
                self.state.kept.fetch_add(count, Ordering::Relaxed);
                if self.state.is_broken.swap(false, Ordering::Relaxed) {
                    tracing::warn!(event = "audit.resumed", lost, "the audit log can be written again");
                }
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                self.state.lose(lost + count, &why);
                if !self.state.is_broken.swap(true, Ordering::Relaxed) {
                    tracing::error!(event = "audit.failed", %error, "the audit log cannot be written");
                }
                Err(NotKept(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::entry::{Decision, Result as Outcome};
    use super::super::verify::verify;
    use super::*;
    use crate::names::ExposedName;

    fn entry(name: &str) -> Entry {
        Entry {
            time: SystemTime::UNIX_EPOCH,
            client: Some("ann".into()),
            method: "tools/call",
            server: "files".into(),
            name: ExposedName::from(format!("files__{name}").as_str()),
            original: name.into(),
            effect: "read",
            arguments: Some(br#"{"sha256":"x"}"#.to_vec()),
            decision: Decision::Refused,
            result: Outcome::Failed("SB-X-001"),
            took: Duration::from_millis(12),
        }
    }

    #[tokio::test]
    async fn entries_are_lines_of_one_chain() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("audit"));
        let journal = Journal::begin(folder.clone(), 1 << 20, 3).unwrap();
        for _ in 0..600 {
            journal.note(entry("read"));
        }
        journal.keep(entry("a \"b\"\n")).await.unwrap();
        assert_eq!((journal.kept(), journal.trouble()), (601, None));
        journal.finish(Duration::from_secs(10)).await;
        let verdict = verify(&folder.files().unwrap()).unwrap();
        assert_eq!((verdict.last, verdict.is_whole()), (Some(601), true));
        let text = fs::read_to_string(folder.current()).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["name"], "files__a \"b\"\n");
        assert_eq!((&last["decision"], &last["code"]), (&"refused".into(), &"SB-X-001".into()));
        assert_eq!(last["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(journal.keep(entry("late")).await, Err(NotKept("the writer of the log has ended".into())));
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_told_and_counted_in_the_log() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("audit");
        fs::write(&path, "in the way of the folder").unwrap();
        let folder = Folder::new(path.clone());
        let journal = Journal::begin(folder.clone(), 1 << 20, 3).unwrap();
        assert!(journal.check().await.is_ok(), "nothing has failed yet");
        assert!(journal.keep(entry("one")).await.is_err());
        assert!(journal.keep(entry("two")).await.is_err());
        assert!(journal.check().await.is_err());
        assert_eq!(journal.trouble().map(|(_, lost)| lost), Some(2));
        fs::remove_file(&path).unwrap();
        assert_eq!(journal.check().await, Ok(()));
        journal.keep(entry("three")).await.unwrap();
        assert_eq!(journal.trouble(), None);
        let text = fs::read_to_string(folder.current()).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["event"], &first["entries"]), (&"lost".into(), &2.into()));
        assert_eq!(text.lines().count(), 2);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_full_disk_leaves_no_half_line() {
        let full = std::path::Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("audit"));
        folder.make().unwrap();
        std::os::unix::fs::symlink(full, folder.current()).unwrap();
        let journal = Journal::begin(folder.clone(), 1 << 20, 3).unwrap();
        let why = journal.keep(entry("one")).await.unwrap_err();
        assert!(why.0.contains("No space left"), "{why:?}");
        fs::remove_file(folder.current()).unwrap();
        journal.keep(entry("two")).await.unwrap();
        assert_eq!(
            verify(&folder.files().unwrap()).unwrap().last,
            Some(2),
            "with the line about the lost one"
        );
    }
}
