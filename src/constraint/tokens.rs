//! The trie over the token ids of a language model.

use std::path::Path;

use super::subset::Subset;
use super::trie::{Prefix, Trie};
use crate::artifact::read_description;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;
use crate::vocabulary::{TokenIds, VOCABULARY_FILE};

/// A trie whose codes are token ids of a language model.
#[derive(Debug, Clone, Copy)]
pub struct TokenTrie<'a> {
    trie: &'a Trie,
    tokens: &'a TokenIds,
}

impl Trie {
    /// The trie over token ids; `None` for a trie without [`Trie::with_tokens`].
    pub fn by_tokens(&self) -> Option<TokenTrie<'_>> {
        self.tokens.as_ref().map(|tokens| TokenTrie { trie: self, tokens })
    }
}

impl<'a> TokenTrie<'a> {
    /// The token ids.
    pub fn tokens(self) -> &'a TokenIds {
        self.tokens
    }

    /// The trie of codes.
    pub fn trie(self) -> &'a Trie {
        self.trie
    }

    /// The prefix of these tokens; `None` where no item has it.
    pub fn find(self, tokens: &[u32]) -> Option<Prefix> {
        tokens.iter().try_fold(Prefix::EMPTY, |prefix, &token| self.child(prefix, token))
    }

    /// A prefix extended by one token; `None` where no item has it.
    pub fn child(self, prefix: Prefix, token: u32) -> Option<Prefix> {
        match self.tokens.code_of(token)? {
            (level, code) if level == prefix.depth() => self.trie.child(prefix, code),
            _ => None,
        }
    }

    /// The tokens that are allowed next, ascending; none after a complete ID.
    pub fn allowed(self, prefix: Prefix) -> impl Iterator<Item = u32> + 'a {
        let first = self.tokens.first_of_level(prefix.depth());
        self.trie.allowed(prefix).iter().map(move |&code| first + u32::from(code))
    }

    /// The tokens that are allowed next and lead to an item of the subset.
    pub fn allowed_in(self, prefix: Prefix, subset: &'a Subset) -> impl Iterator<Item = u32> + 'a {
        let first = self.tokens.first_of_level(prefix.depth());
        self.trie.allowed_in(prefix, subset).map(move |code| first + u32::from(code))
    }
}

/// Reads the token ids of a table's codes from its vocabulary folder.
///
/// # Errors
/// As [`TokenIds::read`]; [`Error::Mismatch`] for the vocabulary of another table: other codebooks, another model or
/// another token format.
pub fn tokens_of(table: &TokenTable, vocabulary: &Path) -> Result<TokenIds> {
    let tokens = TokenIds::read(vocabulary)?;
    let path = vocabulary.join(VOCABULARY_FILE);
    let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
    let description: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::artifact(&path, "a vocabulary", e, "create it again with `catalex vocab`"))?;
    let of_table = &table.metadata;
    let text = |key: &str| description[key].as_str().unwrap_or_default().to_owned();
    let compared = [
        ("codebooks", format!("{:?}", of_table.codebook_sizes), format!("{:?}", tokens.codebook_sizes)),
        ("token format", of_table.token_format.to_string(), text("token_format")),
        ("model hash", of_table.model_hash.clone(), text("model_hash")),
    ];
    match compared.into_iter().find(|(_, of_table, of_vocabulary)| of_table != of_vocabulary) {
        None => Ok(tokens),
        Some((what, of_table, of_vocabulary)) => Err(Error::mismatch(
            format!("token table and vocabulary {}, {what}", vocabulary.display()),
            of_table,
            of_vocabulary,
            "pass the vocabulary that `catalex vocab` wrote for this table",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn tokens() -> TokenIds {
        TokenIds { first_id: 100, codebook_sizes: vec![10, 20], begin: None, end: None, vocabulary_size: 130 }
    }

    #[test]
    fn prefixes_are_found_by_token_ids() {
        let trie = Trie::new(array![[1u16, 2], [1, 7], [9, 0]].view()).unwrap();
        assert!(trie.by_tokens().is_none());
        let trie = trie.with_tokens(tokens()).unwrap();
        let by_tokens = trie.by_tokens().unwrap();
        assert_eq!(by_tokens.allowed(Prefix::EMPTY).collect::<Vec<_>>(), [101, 109]);
        let prefix = by_tokens.find(&[101]).unwrap();
        assert_eq!(by_tokens.allowed(prefix).collect::<Vec<_>>(), [112, 117]);
        let second = trie.subset(|row| row == 1);
        assert_eq!(by_tokens.allowed_in(prefix, &second).collect::<Vec<_>>(), [117]);
        assert_eq!(by_tokens.find(&[101, 117]).unwrap().depth(), 2);
        // A token of another level, a token of no code, a prefix without items.
        for wrong in [&[112][..], &[3], &[101, 109], &[102]] {
            assert_eq!(by_tokens.find(wrong), None, "{wrong:?}");
        }
        assert_eq!(by_tokens.allowed(by_tokens.find(&[109, 110]).unwrap()).count(), 0);
    }
}
