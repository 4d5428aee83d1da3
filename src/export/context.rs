//! The data from which families write their records.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::Export;
use super::fillable_text::Values;
use super::items::ItemTexts;
use super::negatives::NegativePool;
use super::record_rng::{RecordRng, event_number, record_rng};
use super::settings::{ExportSettings, Show};
use super::template::{Example, ItemTemplates, Templates};
use super::user_texts::UserTexts;
use crate::behaviour::{Histories, SplitPart, UserHistory};
use crate::candidate::Candidate;
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// Users and items that a dry run reads.
const DRY_RUN_RECORDS: usize = 200;

/// The inputs of an export, and values derived from them.
pub(super) struct Context<'a> {
    pub(super) table: &'a TokenTable,
    pub(super) texts: &'a ItemTexts,
    pub(super) histories: &'a Histories,
    pub(super) user_texts: Option<&'a UserTexts>,
    pub(super) tokens: Option<&'a TokenIds>,
    pub(super) settings: &'a ExportSettings,
    pub(super) progress: &'a dyn Progress,
    templates: Option<Templates>,
    /// How prompts name an item.
    show: Show,
    /// Rows of the items with training events: the pool of negatives before the test.
    trained: NegativePool,
    /// All rows: the pool of negatives for the test.
    all: NegativePool,
    dry_run: bool,
}

impl<'a> Context<'a> {
    /// `show` is the family's default for how prompts name an item.
    pub(super) fn new(
        export: &Export<'a>,
        templates: Option<Templates>,
        show: Show,
        dry_run: bool,
        progress: &'a dyn Progress,
    ) -> Self {
        let settings = export.settings;
        let popularity = export.histories.popularity();
        let all: Vec<u32> = (0..).take(popularity.len()).collect();
        Context {
            table: export.table,
            texts: export.texts,
            histories: export.histories,
            user_texts: export.users,
            tokens: export.tokens,
            settings,
            progress,
            templates,
            show: settings.show.unwrap_or(show),
            trained: NegativePool::new(all.iter().copied().filter(|&row| popularity[row as usize] > 0).collect()),
            all: NegativePool::new(all),
            dry_run,
        }
    }

    /// The users to write.
    pub(super) fn users(&self) -> impl Iterator<Item = UserHistory<'a>> + use<'a> {
        let progress = self.progress;
        self.users_unseen().inspect(move |_| progress.advance(1))
    }

    /// The users to write, so that a family can check them before writing.
    pub(super) fn users_unseen(&self) -> impl Iterator<Item = UserHistory<'a>> + use<'a> {
        self.histories.users().take(if self.dry_run { DRY_RUN_RECORDS } else { usize::MAX })
    }

    /// The rows of the items to write.
    pub(super) fn rows(&self) -> Range<usize> {
        let items = self.table.item_ids.len();
        0..if self.dry_run { items.min(DRY_RUN_RECORDS) } else { items }
    }

    /// An item's tokens, with the markers around them.
    pub(super) fn token_texts(&self, row: usize) -> Vec<String> {
        let (format, settings) = (&self.table.metadata.token_format, self.settings);
        let codes = self.table.codes.row(row);
        let tokens = codes.iter().enumerate().map(|(level, &code)| format.token(level, code));
        let marker = |token: &String| Some(token.clone()).filter(|token| !token.is_empty());
        marker(&settings.begin_token).into_iter().chain(tokens).chain(marker(&settings.end_token)).collect()
    }

    /// An item's catalog id, as JSON.
    pub(super) fn item_id(&self, row: usize) -> Value {
        match &self.table.item_ids {
            ItemIds::Integers(ids) => ids[row].into(),
            ItemIds::Strings(ids) => ids[row].clone().into(),
        }
    }

    /// Catalog ids of items, as JSON.
    pub(super) fn item_ids(&self, rows: &[u32]) -> Vec<Value> {
        rows.iter().map(|&row| self.item_id(row as usize)).collect()
    }

    /// Calls `take` for every event that is to be predicted, with its part and its position in the history.
    pub(super) fn each_target(
        &self,
        mut take: impl FnMut(&UserHistory<'a>, SplitPart, usize) -> Result<()>,
    ) -> Result<()> {
        for user in self.users() {
            for part in SplitPart::ALL {
                user.targets(part).try_for_each(|at| take(&user, part, at))?;
            }
        }
        Ok(())
    }

    /// An item's semantic ID, with the markers around it.
    pub(super) fn id(&self, row: usize) -> String {
        let settings = self.settings;
        format!("{}{}{}", settings.begin_token, self.table.semantic_id(row), settings.end_token)
    }

    /// An item's title, or its semantic ID if it has no title.
    pub(super) fn title(&self, row: usize) -> String {
        match self.texts.title(row) {
            "" => self.id(row),
            title => title.to_owned(),
        }
    }

    /// An item as prompts name it.
    pub(super) fn item(&self, row: usize) -> String {
        self.shown(row, self.show)
    }

    /// An item, named in a given way.
    pub(super) fn shown(&self, row: usize, show: Show) -> String {
        let Some(ItemTemplates { titles, ids, both, .. }) = self.templates.as_ref().map(|templates| &templates.items)
        else {
            return self.id(row);
        };
        let template = match show {
            Show::Titles => titles,
            Show::Ids => ids,
            Show::Both => both,
        };
        let title = if show == Show::Ids { String::new() } else { self.title(row) };
        template.fill(&[("title", &title), ("id", &self.id(row))])
    }

    /// Items as prompts name them, joined by the separator.
    pub(super) fn list(&self, rows: &[u32]) -> String {
        self.list_as(rows, self.show)
    }

    /// Items, named in a given way and joined by the separator.
    pub(super) fn list_as(&self, rows: &[u32], show: Show) -> String {
        let items: Vec<String> = rows.iter().map(|&row| self.shown(row as usize, show)).collect();
        items.join(self.separator())
    }

    /// The separator between two items.
    pub(super) fn separator(&self) -> &str {
        self.templates.as_ref().map_or(", ", |templates| &templates.items.separator)
    }

    /// The rows before an event of the history, at most as many as prompts show.
    pub(super) fn history<'u>(&self, user: &UserHistory<'u>, at: usize) -> &'u [u32] {
        &user.rows[user.before(at, self.settings.history)]
    }

    /// The random number generator of a task for an event.
    pub(super) fn rng(&self, task: &str, user: &UserHistory<'_>, at: usize) -> RecordRng {
        record_rng(self.settings.seed, task, event_number(user, at))
    }

    /// The random number generator of a task for an item.
    pub(super) fn item_rng(&self, task: &str, row: usize) -> RecordRng {
        record_rng(self.settings.seed, task, row as u64)
    }

    /// Samples items without an event of the user. For training and validation the items have training events, so that
    /// an item of the test alone is in no earlier prompt.
    pub(super) fn others(&self, user: &UserHistory<'_>, n: usize, part: SplitPart, rng: &mut RecordRng) -> Vec<u32> {
        let pool = if part == SplitPart::Test { &self.all } else { &self.trained };
        pool.sample(user, n, rng)
    }

    /// Fills templates of a task: at most as many as the settings ask for, fewer where not enough can be filled.
    pub(super) fn fill(&self, task: &str, values: &Values<'_>, rng: &mut RecordRng) -> Vec<Example> {
        self.templates.as_ref().map_or(Vec::new(), |templates| templates.fill(task, self.settings.prompts, values, rng))
    }

    /// Fills one template of a task; `None` where none can be filled.
    pub(super) fn fill_one(&self, task: &str, values: &Values<'_>, rng: &mut RecordRng) -> Option<Example> {
        self.templates.as_ref().and_then(|templates| templates.fill_one(task, values, rng))
    }

    /// An item as a candidate of a prompt.
    pub(super) fn candidate(&self, row: usize) -> Candidate {
        Candidate { item_id: self.table.item_ids.text(row), title: self.title(row), semantic_id: self.id(row) }
    }

    /// The most frequent attributes of items, the most frequent first, ties in order of appearance.
    pub(super) fn frequent_attributes(&self, rows: &[u32], most: usize) -> Vec<&'a str> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for attribute in rows.iter().flat_map(|&row| self.texts.attributes(row as usize)) {
            let place = *places.entry(attribute).or_insert(counts.len());
            match counts.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => counts.push((attribute, 1)),
            }
        }
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts.into_iter().take(most).map(|(attribute, _)| attribute).collect()
    }
}
