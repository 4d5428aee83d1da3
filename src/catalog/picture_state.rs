//! Detects image files that have changed since they were encoded.

use std::os::unix::fs::MetadataExt;

use super::ImageSource;
use crate::artifact::sha256;

/// A digest of the image files of consecutive items: their paths, sizes, modification times and change times. Image
/// bytes in the table are covered by the hash of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PictureState(String);

impl PictureState {
    /// Adds the images of an item.
    pub fn add(&mut self, images: &[ImageSource]) {
        for image in images {
            let ImageSource::Path(path) = image else { continue };
            let about = std::fs::metadata(path).ok();
            let about = about.map(|a| (a.len(), a.mtime(), a.mtime_nsec(), a.ctime(), a.ctime_nsec()));
            self.0 = sha256(format!("{}\n{}\n{about:?}", self.0, path.display()).as_bytes());
        }
    }

    /// The digest. Empty if no item has an image file.
    pub fn digest(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_changes_the_digest() {
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
        // The size and the modification time are the same, but the change time differs.
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert!(one == again && absent != one && one != state());
        let mut none = PictureState::default();
        none.add(&[ImageSource::Bytes(vec![1])]);
        assert_eq!(none.digest(), "");
    }
}
