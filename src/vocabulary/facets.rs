//! The facets of an item's identifier as token ids of a language model.

use std::path::Path;

use crate::artifact::read_text;
use crate::error::{Error, Result};
use crate::text_tokenizer::TextTokenizer;

/// The three facets in the format of TransRec's code (arXiv 2310.06491). Concatenated they read
/// ` || id ## attribute @@ ## attribute @@ title`, with a leading space as in running text.
///
/// Whitespace in the title becomes single spaces. An item without attributes keeps the delimiter after its id.
pub fn trans_rec(id: &str, attributes: &[&str], title: &str) -> [String; 3] {
    let attributes: Vec<String> = attributes.iter().map(|attribute| format!(" ## {} @@", attribute.trim())).collect();
    let attributes = if attributes.is_empty() { " ## ".into() } else { attributes.concat() };
    let title: String = title.split_whitespace().flat_map(|word| [" ", word]).collect();
    [format!(" || {}", id.trim()), attributes, title]
}

/// The tokenizer of a language model, for identifiers with several facets.
#[derive(Debug)]
pub struct FacetTokenizer {
    tokenizer: TextTokenizer,
}

impl FacetTokenizer {
    /// Reads `tokenizer.json` of a Hugging Face folder. Use one that [`super::write_vocabulary`] extended if semantic IDs
    /// are a facet.
    ///
    /// # Errors
    /// [`Error::Missing`] without `tokenizer.json`; [`Error::File`] where it cannot be read.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            let help = "pass a folder with tokenizer.json; AutoTokenizer's save_pretrained writes one".into();
            return Err(Error::Missing { path, expected: "the tokenizer of a Hugging Face folder".into(), help });
        }
        let help = "save it again with AutoTokenizer's save_pretrained";
        let text = read_text(&path).map_err(|e| Error::io("read", &path, e))?;
        let wrong = |e| Error::file(&path, "a Hugging Face tokenizer", e, help);
        Ok(FacetTokenizer { tokenizer: TextTokenizer::parse(&text).map_err(wrong)? })
    }

    /// The id of a token, such as the end-of-text token.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The token ids of each facet, without special tokens.
    ///
    /// The concatenated facets are tokenized as one text, so that the ids are those that the language model sees. A token
    /// belongs to the facet in which it ends.
    ///
    /// # Errors
    /// [`Error::Data`] where the tokenizer refuses the text.
    pub fn tokenize<S: AsRef<str>>(&self, facets: &[S]) -> Result<Vec<Vec<u32>>> {
        let joined: String = facets.iter().map(AsRef::as_ref).collect();
        let encoding = self.tokenizer.encode(&joined).map_err(|e| {
            let got = format!("{e}, for {joined:?}");
            Error::data("identifier", "a text that the tokenizer accepts", got, "check the text of the item")
        })?;
        let mut ends: Vec<usize> = Vec::with_capacity(facets.len());
        for facet in facets {
            ends.push(ends.last().unwrap_or(&0) + facet.as_ref().len());
        }
        let mut ids = vec![Vec::new(); facets.len()];
        let mut at = 0;
        for (&id, &(_, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            at = ends.partition_point(|&other| other < end).max(at).min(facets.len().saturating_sub(1));
            if let Some(facet) = ids.get_mut(at) {
                facet.push(id);
            }
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_format_of_trans_rec() {
        assert_eq!(trans_rec("12", &["Toys", "Games "], "A\n  ball").concat(), " || 12 ## Toys @@ ## Games @@ A ball");
        assert_eq!(trans_rec("12", &[], "A ball").concat(), " || 12 ##  A ball");
        assert_eq!(trans_rec("12", &["Toys"], " "), [" || 12", " ## Toys @@", ""]);
    }

    #[test]
    fn a_folder_without_a_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(FacetTokenizer::load(folder.path()), Err(Error::Missing { .. })));
        std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        assert!(matches!(FacetTokenizer::load(folder.path()), Err(Error::File { .. })));
    }
}
