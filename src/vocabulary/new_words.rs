//! The tokens that a tokenizer is extended by.

/// The new tokens: those of all codes in order, then the markers.
pub(super) struct NewWords {
    pub(super) words: Vec<String>,
    /// Number of the codes' tokens.
    pub(super) codes: usize,
    pub(super) begin: Option<String>,
    pub(super) end: Option<String>,
}

impl NewWords {
    /// Index of the begin marker and of the end marker.
    pub(super) fn markers(&self) -> (Option<usize>, Option<usize>) {
        let begin = self.begin.as_ref().map(|_| self.codes);
        let end = self.end.as_ref().map(|_| self.codes + usize::from(begin.is_some()));
        (begin, end)
    }
}
