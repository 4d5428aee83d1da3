//! Tokenizes texts for the encoder.

use std::path::PathBuf;

use rayon::prelude::*;
use tokenizers::{NormalizerWrapper, Tokenizer};

use crate::catalog::cut_text;
use crate::error::{Error, Result};
use crate::text_tokenizer::guarded;

/// Number of bytes of a text that are tokenized, per token of the maximum length. The next number is used if the
/// previous one gives too few tokens. A token has about 4 bytes. The result differs from that of the whole text only if
/// the tokens have more bytes on average than the last number.
const BYTES_PER_TOKEN: [usize; 3] = [32, 128, 512];
/// Number of required tokens beyond the maximum length, so that the cut does not influence the result.
const MARGIN: usize = 16;

/// Tokenizes texts. The tokenizer truncates to the maximum length.
#[derive(Debug)]
pub(super) struct TextReader {
    pub(super) tokenizer: Tokenizer,
    pub(super) prompt: String,
    pub(super) max_length: usize,
    /// Whether long texts are truncated at the start.
    pub(super) cut_left: bool,
    /// The graph, for errors.
    pub(super) path: PathBuf,
}

/// The tokens of a text, of at most the maximum length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TokenizedText {
    pub(super) ids: Vec<u32>,
    pub(super) types: Vec<u32>,
    /// Whether the text has more tokens.
    pub(super) is_cut: bool,
}

impl TextReader {
    /// The tokens of each text.
    pub(super) fn read(&self, texts: &[String]) -> Result<Vec<TokenizedText>> {
        let tokens = || texts.par_iter().map(|text| self.tokens(text)).collect::<tokenizers::Result<_>>();
        guarded(|| tokens().map_err(|e| e.to_string()))
            .map_err(|e| Error::file(&self.path, "texts that the tokenizer accepts", e, "check the tokenizer's folder"))
    }

    /// The tokens of a text. Tokenizes only the part that the encoder can read, because a tokenizer needs several
    /// hundred bytes of memory per byte of text.
    fn tokens(&self, text: &str) -> tokenizers::Result<TokenizedText> {
        let mut tokens = TokenizedText { ids: Vec::new(), types: Vec::new(), is_cut: false };
        for bytes in BYTES_PER_TOKEN {
            let part = cut_text(text, self.max_length.saturating_mul(bytes), self.cut_left);
            let encoding = match self.prompt.is_empty() {
                true => self.tokenizer.encode(part, true)?,
                false => self.tokenizer.encode(format!("{}{part}", self.prompt), true)?,
            };
            let is_whole = part.len() == text.len();
            let beyond: usize = encoding.get_overflowing().iter().map(|more| more.len()).sum();
            tokens = TokenizedText {
                ids: encoding.get_ids().to_vec(),
                types: encoding.get_type_ids().to_vec(),
                is_cut: beyond > 0 || !is_whole,
            };
            if is_whole || beyond >= MARGIN {
                break;
            }
        }
        Ok(tokens)
    }
}

/// Lowercases texts before all other steps of the tokenizer, as in sentence-transformers.
pub(super) fn lower_case(tokenizer: &mut Tokenizer) {
    let mut steps = vec![NormalizerWrapper::Lowercase(tokenizers::normalizers::utils::Lowercase)];
    steps.extend(tokenizer.get_normalizer().cloned());
    tokenizer.with_normalizer(Some(tokenizers::normalizers::Sequence::new(steps)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::whitespace::Whitespace;
    use tokenizers::{TruncationDirection, TruncationParams};

    /// Words are tokens; at most 8 of a text are kept.
    fn reader(cut_left: bool) -> TextReader {
        let vocab = ["?", "a", "b", "c", "query"].into_iter().zip(0..).map(|(word, id)| (word.to_owned(), id));
        let model = WordLevel::builder().vocab(vocab.collect()).unk_token("?".into()).build().unwrap();
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(Whitespace {}));
        let direction = if cut_left { TruncationDirection::Left } else { TruncationDirection::Right };
        let truncation = TruncationParams { max_length: 8, direction, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).unwrap();
        TextReader { tokenizer, prompt: "query ".into(), max_length: 8, cut_left, path: PathBuf::new() }
    }

    #[test]
    fn the_cut_of_a_long_text_does_not_change_its_tokens() {
        for cut_left in [false, true] {
            let reader = reader(cut_left);
            let word = |at: usize| ["a ", "b ", "c "][(at * at / 7) % 3];
            let mut texts: Vec<String> = [0, 3, 7, 8, 9, 500].map(|words| (0..words).map(word).collect()).into();
            // Words of 100 bytes need the second bound.
            texts.push((0..90).map(|at| format!("{} {}", "x".repeat(100), word(at))).collect());
            for text in &texts {
                let whole = reader.tokenizer.encode(format!("query {text}"), true).unwrap();
                let read = reader.tokens(text).unwrap();
                assert_eq!(read.ids, whole.get_ids(), "{cut_left} {text:.30}");
                assert_eq!(read.is_cut, !whole.get_overflowing().is_empty());
            }
        }
    }

    #[test]
    fn an_endless_text_is_truncated() {
        let read = reader(false).read(&["x".repeat(50_000_000), "a ".repeat(25_000_000)]).unwrap();
        assert!(read.iter().all(|tokens| tokens.is_cut));
        assert_eq!((read[0].ids.len(), read[1].ids.len()), (2, 8));
    }
}
