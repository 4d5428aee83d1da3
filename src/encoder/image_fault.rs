//! Faults of images.

use crate::error::Error;

/// The reason why an image cannot be used: the expected and the actual content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImageFault {
    pub(super) expected: String,
    pub(super) got: String,
}

impl ImageFault {
    /// The fault as the error of an item.
    pub(super) fn of_item(self, item: &str) -> Error {
        Error::Item {
            item: item.to_owned(),
            expected: self.expected,
            got: self.got,
            help: "correct the image, leave the cell empty, or pass --on-bad-image missing".into(),
        }
    }
}

pub(super) fn fault(expected: impl Into<String>, got: impl ToString) -> ImageFault {
    ImageFault { expected: expected.into(), got: got.to_string() }
}
