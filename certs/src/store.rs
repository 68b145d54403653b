//! Files that outlive a crash: the only place of this crate that touches a disk.
//!
//! Here: writing a file whole or not at all, reading one that must not be huge, and the lock that keeps two
//! processes from changing a `ca/` directory at once. Kept out: what the files mean.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The largest file that is read: a bundle of 128 roots of RSA 4096 takes a quarter of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Mode of what anybody on the host may read: certificates.
pub const PUBLIC: u32 = 0o644;

/// Mode of private keys and of files with secrets.
pub const SECRET: u32 = 0o600;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct StoreError {
    /// What was tried.
    action: &'static str,
    /// With which file or directory.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

impl StoreError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// The file or directory at fault.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An adapter for `map_err`.
    fn while_trying<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// Writes `bytes` to `path` so that a reader, and whoever starts after a crash, sees the old file or the whole new
/// one: temporary file in the same directory, mode before contents, fsync, rename, fsync of the directory.
///
/// # Errors
/// When a step fails; the old file, if there was one, then still stands.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let write = || {
        let dir = directory_of(path);
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        prefix.push(".");
        let mut file = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(SECRET))
            .tempfile_in(dir)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|failed| failed.error)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(StoreError::while_trying("write", path))
}

/// Renames within one directory, durably.
///
/// # Errors
/// When the file is not there or the directory cannot be written.
pub fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    let rename = || {
        fs::rename(from, to)?;
        File::open(directory_of(to))?.sync_all()
    };
    rename().map_err(StoreError::while_trying("rename", from))
}

/// Removes a file, durably; one that is gone already is fine.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    let remove = || match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(()) => File::open(directory_of(path))?.sync_all(),
    };
    remove().map_err(StoreError::while_trying("remove", path))
}

/// Reads a whole file of at most 1 MiB.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    };
    read().map_err(StoreError::while_trying("read", path))
}

/// Makes a directory and those above it, unless they are there.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(StoreError::while_trying("make", dir))
}

/// The names in a directory, in byte order; none when it does not exist.
pub(crate) fn names(dir: &Path) -> Result<Vec<OsString>, StoreError> {
    let names = || match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
        Ok(entries) => {
            let mut names =
                entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        }
    };
    names().map_err(StoreError::while_trying("list", dir))
}

/// Sole right to change a directory, for as long as it lives; the kernel takes it back when the process dies.
#[derive(Debug)]
pub(crate) struct DirLock {
    _dir: File,
}

impl DirLock {
    /// Waits for whoever is changing the directory.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let take = || {
            let file = File::open(dir)?;
            file.lock()?;
            Ok(Self { _dir: file })
        };
        take().map_err(StoreError::while_trying("lock", dir))
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_file_has_its_mode_whatever_stood_there_before() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("key.pem");
        for (before, mode) in [(None, SECRET), (Some(0o666), SECRET), (Some(0o600), PUBLIC)] {
            if let Some(before) = before {
                fs::write(&path, "old")?;
                fs::set_permissions(&path, Permissions::from_mode(before))?;
            }
            write_atomic(&path, b"new", mode)?;
            assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, mode);
            assert_eq!(fs::read(&path)?, b"new");
        }
        assert_eq!(names(dir.path())?, ["key.pem"], "no temporary file is left behind");
        Ok(())
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_names_it() -> Result {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("taken");
        fs::create_dir(&path)?;
        fs::write(path.join("inside"), "")?;
        let error = write_atomic(&path, b"new", PUBLIC).map_err(|e| e.to_string());
        assert!(error.as_ref().is_err_and(|e| e.contains("taken")), "{error:?}");
        assert_eq!(names(dir.path())?, ["taken"]);
        Ok(())
    }

    #[test]
    fn a_huge_file_is_refused_and_a_missing_one_is_told_apart() -> Result {
        let dir = tempfile::tempdir()?;
        let huge = dir.path().join("huge");
        File::create(&huge)?.set_len(MAX_FILE_BYTES + 1)?;
        assert!(read(&huge).is_err_and(|e| !e.is_missing()));
        assert!(read(&dir.path().join("none")).is_err_and(|e| e.is_missing()));
        Ok(())
    }
}
