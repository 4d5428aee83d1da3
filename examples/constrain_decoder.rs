//! Restricts the decoder of a language model to valid semantic IDs: at each step, the logits of all tokens that cannot lead
//! to an item are masked.
//!
//!     cargo run --locked --release --no-default-features --example constrain_decoder -- TOKENS.parquet

use std::path::{Path, PathBuf};

use catalex::constraint::{After, Decoding, LogitsMut, PartialAnswers, Prefix, Rules, Start, Trie};
use catalex::semantic_id::TokenTable;
use catalex::vocabulary::TokenIds;

/// Number of tokens of the language model before the tokens of the codes were added.
const OLD_TOKENS: u32 = 100;
/// The token that ends an answer.
const EOS: u32 = 2;

/// Generates one ID. `model` stands for the language model: it returns a logit per token for the tokens so far.
pub(crate) fn generate(table: &TokenTable, model: impl Fn(&[i64]) -> Vec<f32>) -> catalex::Result<Vec<u32>> {
    // The token ids of the codes. `catalex::constraint::tokens_of` reads them from the folder that `catalex vocab
    // --tokenizer` wrote.
    let sizes = table.metadata.codebook_sizes.clone();
    let vocabulary_size = OLD_TOKENS + sizes.iter().sum::<usize>() as u32;
    let tokens = TokenIds { first_id: OLD_TOKENS, codebook_sizes: sizes, begin: None, end: None, vocabulary_size };

    let trie = Trie::new(table.codes.view())?.with_tokens(tokens)?;
    println!("an ID can begin with the codes {:?}", trie.allowed(Prefix::EMPTY));

    // The answer is one ID, then the end.
    let rules = Rules { start: Start::Always, after: After::Eos, eos: vec![EOS] };
    let Some(by_tokens) = trie.by_tokens() else { return Ok(Vec::new()) };
    let decoding = Decoding::new(by_tokens, &rules)?;
    let prompt: Vec<i64> = vec![11, 12, 13];
    let mut answer = prompt.clone();
    loop {
        let mut logits = model(&answer);
        // A batch of one row. Allowed tokens keep their logits, all others get minus infinity.
        let batch =
            PartialAnswers { tokens: &answer, rows: 1, prompt: prompt.len(), subsets: &[], per_first_code: &[] };
        decoding.mask(batch, LogitsMut::InPlace(&mut logits), f32::NEG_INFINITY)?;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default();
        if best as u32 == EOS {
            return Ok(answer[prompt.len()..].iter().map(|&token| token as u32 - OLD_TOKENS).collect());
        }
        answer.push(best as i64);
    }
}

fn main() -> catalex::Result<()> {
    let example = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/index-0.1/tokens.parquet");
    let table = TokenTable::read(&std::env::args().nth(1).map_or_else(example, PathBuf::from))?;
    let tokens = table.metadata.codebook_sizes.iter().sum::<usize>() + OLD_TOKENS as usize;
    // A language model without any skill.
    let generated =
        generate(&table, |so_far| (0..tokens).map(|token| ((token * 37 + so_far.len() * 101) % 97) as f32).collect())?;
    println!("generated the tokens {generated:?}, counted from the first code of the first level");
    Ok(())
}
