//! `catalex constrain`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::catalog::{CatalogSpec, TextSpec};
use catalex::constraint::{CONSTRAINT_FILE, ConstraintForm, Forms, titles, tokens_of};
use catalex::error::Error;
use catalex::index::{Index, VOCABULARY};
use catalex::progress::Progress;
use catalex::semantic_id::TokenTable;
use catalex::vocabulary::TokenIds;
use clap::Args;

use super::options::Output;

#[derive(Debug, Args)]
pub(super) struct ConstrainArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: Output,
    /// trie, static, llguidance, xgrammar, gbnf, regex, choices, xllm, minionerec.
    #[arg(long, value_name = "FORM,...", value_delimiter = ',', required = true)]
    form: Vec<String>,
    /// Folder that `catalex vocab --tokenizer` wrote: forms then hold token ids [default: the index's own]
    #[arg(long, value_name = "DIR")]
    vocabulary: Option<PathBuf>,
    /// File of the ids of the items that may be said, one a line [default: all items]
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// Catalog with the items' titles, for minionerec.
    #[arg(long, value_name = "CATALOG", requires = "title")]
    catalog: Option<PathBuf>,
    /// Column of the item ids in the catalog [default: item_id or id]
    #[arg(long, value_name = "COLUMN", requires = "catalog")]
    id: Option<String>,
    /// Columns of the title, joined in this order.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "catalog")]
    title: Vec<String>,
    /// Number of the language model's logits, for static [default: the vocabulary's size]
    #[arg(long, value_name = "N")]
    logits: Option<usize>,
    /// Levels of static's dense tables: 1, or 2 for few tokens.
    #[arg(long, value_name = "N", default_value_t = 1)]
    dense_depth: usize,
}

pub(super) fn run(args: ConstrainArgs, progress: &dyn Progress) -> Result<()> {
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    let forms = args.form.iter().map(|name| name.parse::<ConstraintForm>()).collect::<catalex::Result<Vec<_>>>()?;
    if let Some((_, twice)) = forms.iter().enumerate().find(|(at, form)| forms[..*at].contains(form)) {
        return Err(Error::config("form", "each form once", format!("{twice} twice"), "name it once").into());
    }
    catalex::artifact::refuse_existing(out, overwrite)?;
    let table = super::sources::token_table(&args.tokens)?;
    let tokens = token_ids(&args, &table)?;
    let rows = args.only.as_deref().map(|path| only(path, &table)).transpose()?;
    let titles = args.catalog.clone().map(|path| {
        let text = TextSpec::Joined(args.title.clone());
        titles(&CatalogSpec { path, id: args.id.clone(), text, ..CatalogSpec::default() }, &table)
    });
    let titles = titles.transpose()?;
    let written = Forms {
        table: &table,
        rows: rows.as_deref(),
        tokens,
        titles: titles.as_deref(),
        logits: args.logits,
        dense_depth: args.dense_depth,
    };
    written.write(out, &forms, overwrite, progress)?;
    super::print(&fs::read_to_string(out.join(CONSTRAINT_FILE))?)
}

/// The token ids of the vocabulary that was named, else of the index's own where it has a tokenizer.
fn token_ids(args: &ConstrainArgs, table: &TokenTable) -> Result<Option<TokenIds>> {
    if let Some(folder) = &args.vocabulary {
        return Ok(Some(tokens_of(table, folder)?));
    }
    if !Index::is_index(&args.tokens) {
        return Ok(None);
    }
    let folder = Index::open(&args.tokens)?.path(VOCABULARY);
    Ok(if folder.join(catalex::vocabulary::TOKENIZER_FOLDER).is_dir() {
        Some(tokens_of(table, &folder)?)
    } else {
        None
    })
}

/// The rows of the items that a file names, in the table's order.
fn only(path: &Path, table: &TokenTable) -> Result<Vec<u32>> {
    let help = "write one id of the token table a line";
    let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let row_of = table.item_ids.rows_by_text();
    let mut chosen = vec![false; table.item_ids.len()];
    for (line, id) in text.lines().enumerate().filter(|(_, id)| !id.is_empty()) {
        let Some(&row) = row_of.get(id) else {
            return Err(
                Error::file(path, "ids of the token table", format!("{id:?} in line {}", line + 1), help).into()
            );
        };
        chosen[row] = true;
    }
    let rows: Vec<u32> = (0..).zip(&chosen).filter(|(_, chosen)| **chosen).map(|(row, _)| row).collect();
    if rows.is_empty() {
        return Err(Error::file(path, "at least one id", "none", help).into());
    }
    Ok(rows)
}
