//! What tells whether picture files have changed since they were encoded.

use std::os::unix::fs::MetadataExt;

use super::ImageSource;
use crate::artifact::sha256;

/// A digest of the picture files of consecutive items: their paths, sizes and times of modification and change. Bytes in
/// the table are part of the table's own hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PictureState(String);

impl PictureState {
    /// Adds the pictures of an item.
    pub fn add(&mut self, images: &[ImageSource]) {
        for image in images {
            let ImageSource::Path(path) = image else { continue };
            let about = std::fs::metadata(path).ok();
            let about = about.map(|a| (a.len(), a.mtime(), a.mtime_nsec(), a.ctime(), a.ctime_nsec()));
            self.0 = sha256(format!("{}\n{}\n{about:?}", self.0, path.display()).as_bytes());
        }
    }

    /// The digest; empty where no item had a picture file.
    pub fn digest(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_changes_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let state = || {
            let mut state = PictureState::default();
            state.add(&[ImageSource::Path(path.clone()), ImageSource::Bytes(vec![1])]);
            state
        };
        let absent = state();
        std::fs::write(&path, "one").unwrap();
        let (one, again) = (state(), state());
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        // The same size, and the old time put back: the time of change is another one.
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(one == again && absent != one && one != state());
        let mut none = PictureState::default();
        none.add(&[ImageSource::Bytes(vec![1])]);
        assert_eq!(none.digest(), "");
    }
}
