//! Opens files of artifacts. In a folder from another source, a device, a pipe or a huge file can have the name of an
//! artifact.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Maximum size of a description such as `manifest.json`, in bytes.
const MAX_DESCRIPTION: u64 = 256 << 20;

/// Opens a regular file for reading. Refuses devices, which can be endless, and pipes, which can block forever.
///
/// # Errors
/// If the file cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    check(&fs::metadata(path)?)?;
    // The file can be replaced before it is opened. NONBLOCK keeps `open` from waiting for the writer of a pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(rustix::io::Errno::ISDIR.into()),
        _ => Err(io::Error::other("a device or a pipe, not a file")),
    }
}

/// The content of a regular file.
///
/// # Errors
/// As [`open_regular`]; also if reading fails.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file, without a byte order mark.
///
/// # Errors
/// As [`read_regular`]; if it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    io::read_to_string(open_regular(path)?).map(without_mark)
}

/// The text of a file that the user names, which can be a pipe, without a byte order mark.
///
/// # Errors
/// If it cannot be read; if it is not UTF-8.
pub fn read_input(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map(without_mark)
}

/// A text without the byte order mark that some editors write.
fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// The content of a description, such as `manifest.json`.
///
/// # Errors
/// As [`read_regular`]; also if the file is larger than 256 MiB.
pub fn read_description(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(MAX_DESCRIPTION + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DESCRIPTION {
        return Err(io::Error::other(format!("more than {} MiB", MAX_DESCRIPTION >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn devices_pipes_and_large_descriptions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device")).unwrap();
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        File::create(path("sparse")).unwrap().set_len(MAX_DESCRIPTION + 1).unwrap();
        for read in [read_regular, read_description] {
            assert_eq!(read(&path("file")).unwrap(), b"text");
            assert_eq!(read(&path("link")).unwrap(), b"text");
            for name in ["device", "pipe"] {
                assert_eq!(read(&path(name)).unwrap_err().to_string(), "a device or a pipe, not a file");
            }
            assert_eq!(read(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
            assert_eq!(read(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        fs::write(path("marked"), "\u{feff}item 1\n").unwrap();
        assert_eq!([read_text(&path("marked")).unwrap(), read_input(&path("marked")).unwrap()], ["item 1\n"; 2]);
        assert!(read_text(&path("pipe")).is_err());
        let pipe = path("pipe");
        let writer = std::thread::spawn(move || fs::write(pipe, "item 2\n"));
        assert_eq!(read_input(&path("pipe")).unwrap(), "item 2\n");
        writer.join().unwrap().unwrap();
        assert_eq!(read_description(&path("sparse")).unwrap_err().to_string(), "more than 256 MiB");
    }
}
