//! The ledger in a folder: one file for each part, and a lock that keeps a second process out.
//!
//! Opened by `app`, written by `keep`. A file is replaced as a whole: written beside, brought to the disk, renamed. So whoever
//! is killed at any moment leaves the old part or the new one.

use super::recover::Stored;
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const ENDING: &str = "ledger";
const DAMAGED: &str = "damaged";

/// A folder that is locked for this process, until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

fn named(path: &Path) -> impl FnOnce(Error) -> Error + '_ {
    move |error| Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Folder {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or written, or if another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(named(path))?;
        let lock = path.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(named(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::ResourceBusy,
                format!("{}: another mtv-sentinel uses it; each needs a folder of its own", path.display()),
            )),
            Err(TryLockError::Error(error)) => Err(named(&lock)(error)),
        }
    }

    /// Every part that is there.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn read(&self) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(named(&self.path))? {
            let path = entry.map_err(named(&self.path))?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                // What is no text is damaged, and is found to be by its checksum.
                let text = String::from_utf8_lossy(&std::fs::read(&path).map_err(named(&path))?).into_owned();
                stored.push(Stored { name: path.display().to_string(), text });
            }
        }
        Ok(stored)
    }

    /// Replaces a part.
    ///
    /// # Errors
    /// If it cannot be written; the old one is there still.
    pub fn write(&self, part: u16, text: &str) -> Result<()> {
        let path = self.path.join(format!("part-{part}.{ENDING}"));
        let beside = path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            // The name is on the disk only when the folder is.
            File::open(&self.path)?.sync_all()
        };
        write().map_err(named(&path))
    }

    /// Removes the parts from this number on.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file not be removed.
    pub fn remove_from(&self, part: u16) -> Result<()> {
        for entry in std::fs::read_dir(&self.path).map_err(named(&self.path))? {
            let path = entry.map_err(named(&self.path))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let number = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(&format!(".{ENDING}")));
            if number.and_then(|number| number.parse().ok()).is_some_and(|number: u16| number >= part) {
                std::fs::remove_file(&path).map_err(named(&path))?;
            }
        }
        Ok(())
    }

    /// Puts a damaged part aside, for a person to look at; one that was there is replaced. The part stays until it is written: a
    /// process that ends before that leaves a ledger that is damaged, and not none.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn set_aside(&self, name: &str) -> Result<PathBuf> {
        let path = PathBuf::from(name);
        let aside = path.with_extension(DAMAGED);
        std::fs::copy(&path, &aside).map_err(named(&path))?;
        Ok(aside)
    }
}
