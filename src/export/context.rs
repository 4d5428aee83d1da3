//! What families are written from.

use std::ops::Range;

use serde_json::Value;

use super::draw::{RecordRng, draw, others, place};
use super::form::Values;
use super::template::{Example, ItemForms, Templates};
use super::{Export, ExportSettings, ItemTexts, Show, UserTexts};
use crate::behaviour::{Histories, SplitPart, UserHistory};
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// Users and items that a dry run looks at.
const DRY: usize = 200;

/// What an export is made of, with what follows from it.
pub(super) struct Context<'a> {
    pub(super) table: &'a TokenTable,
    pub(super) texts: &'a ItemTexts,
    pub(super) histories: &'a Histories,
    pub(super) user_texts: Option<&'a UserTexts>,
    pub(super) tokens: Option<&'a TokenIds>,
    pub(super) settings: &'a ExportSettings,
    pub(super) progress: &'a dyn Progress,
    templates: Option<Templates>,
    /// Rows of items that events for training are of, and all rows: what other candidates are drawn from.
    trained: Vec<u32>,
    all: Vec<u32>,
    dry: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(export: &Export<'a>, dry: bool, progress: &'a dyn Progress) -> Result<Self> {
        let settings = export.settings;
        let (shipped, tasks) = settings.family.templates();
        let templates =
            if tasks.is_empty() { None } else { Some(Templates::load(shipped, tasks, settings.templates.as_deref())?) };
        let popularity = export.histories.popularity();
        let all: Vec<u32> = (0..).take(popularity.len()).collect();
        Ok(Context {
            table: export.table,
            texts: export.texts,
            histories: export.histories,
            user_texts: export.users,
            tokens: export.tokens,
            settings,
            progress,
            templates,
            trained: all.iter().copied().filter(|&row| popularity[row as usize] > 0).collect(),
            all,
            dry,
        })
    }

    /// The users that are written.
    pub(super) fn users(&self) -> impl Iterator<Item = UserHistory<'a>> + use<'a> {
        let (progress, most) = (self.progress, if self.dry { DRY } else { usize::MAX });
        self.histories.users().take(most).inspect(move |_| progress.advance(1))
    }

    /// The rows of the items that are written.
    pub(super) fn rows(&self) -> Range<usize> {
        let items = self.table.item_ids.len();
        0..if self.dry { items.min(DRY) } else { items }
    }

    /// An item's tokens, its markers among them.
    pub(super) fn token_texts(&self, row: usize) -> Vec<String> {
        let (format, settings) = (&self.table.metadata.token_format, self.settings);
        let codes = self.table.codes.row(row);
        let tokens = codes.iter().enumerate().map(|(level, &code)| format.token(level, code));
        let marker = |token: &String| Some(token.clone()).filter(|token| !token.is_empty());
        marker(&settings.begin_token).into_iter().chain(tokens).chain(marker(&settings.end_token)).collect()
    }

    /// An item's own id, as JSON.
    pub(super) fn item_id(&self, row: usize) -> Value {
        match &self.table.item_ids {
            ItemIds::Integers(ids) => ids[row].into(),
            ItemIds::Strings(ids) => ids[row].clone().into(),
        }
    }

    /// Own ids of items, as JSON.
    pub(super) fn item_ids(&self, rows: &[u32]) -> Vec<Value> {
        rows.iter().map(|&row| self.item_id(row as usize)).collect()
    }

    /// Which part an event belongs to is the same for all families; this walks over what is to be predicted.
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

    /// An item's semantic ID, between its markers.
    pub(super) fn id(&self, row: usize) -> String {
        let settings = self.settings;
        format!("{}{}{}", settings.begin_token, self.table.semantic_id(row), settings.end_token)
    }

    /// An item's title; its ID where it has none.
    pub(super) fn title(&self, row: usize) -> String {
        match self.texts.title(row) {
            "" => self.id(row),
            title => title.to_owned(),
        }
    }

    /// An item as prompts have it.
    pub(super) fn item(&self, row: usize) -> String {
        self.shown(row, self.settings.shown())
    }

    pub(super) fn shown(&self, row: usize, show: Show) -> String {
        let Some(ItemForms { titles, ids, both, .. }) = self.templates.as_ref().map(|templates| &templates.items)
        else {
            return self.id(row);
        };
        let form = match show {
            Show::Titles => titles,
            Show::Ids => ids,
            Show::Both => both,
        };
        let title = if show == Show::Ids { String::new() } else { self.title(row) };
        form.fill(&[("title", &title), ("id", &self.id(row))])
    }

    /// Items as prompts have them, one after the other.
    pub(super) fn list(&self, rows: &[u32]) -> String {
        self.list_as(rows, self.settings.shown())
    }

    pub(super) fn list_as(&self, rows: &[u32], show: Show) -> String {
        let items: Vec<String> = rows.iter().map(|&row| self.shown(row as usize, show)).collect();
        items.join(self.separator())
    }

    /// What stands between two items.
    pub(super) fn separator(&self) -> &str {
        self.templates.as_ref().map_or(", ", |templates| &templates.items.separator)
    }

    /// What stands before a place of a user's history, as far as prompts go back.
    pub(super) fn history<'u>(&self, user: &UserHistory<'u>, at: usize) -> &'u [u32] {
        &user.rows[user.before(at, self.settings.history)]
    }

    /// The draws of a task for an event.
    pub(super) fn draw(&self, task: &str, user: &UserHistory<'_>, at: usize) -> RecordRng {
        draw(self.settings.seed, task, place(user, at))
    }

    /// The draws of a task for an item.
    pub(super) fn draw_item(&self, task: &str, row: usize) -> RecordRng {
        draw(self.settings.seed, task, row as u64)
    }

    /// Items that the user never had. Before the test they are items that training has: what is only tested on must not
    /// be in a prompt before.
    pub(super) fn others(&self, user: &UserHistory<'_>, n: usize, part: SplitPart, draw: &mut RecordRng) -> Vec<u32> {
        others(if part == SplitPart::Test { &self.all } else { &self.trained }, user, n, draw)
    }

    /// Forms of a task, filled: as many as are asked for, and as can be.
    pub(super) fn fill(&self, task: &str, values: &Values<'_>, draw: &mut RecordRng) -> Vec<Example> {
        self.templates
            .as_ref()
            .map_or(Vec::new(), |templates| templates.fill(task, self.settings.prompts, values, draw))
    }

    /// One form of a task, filled, where there is one that can be.
    pub(super) fn fill_one(&self, task: &str, values: &Values<'_>, draw: &mut RecordRng) -> Option<Example> {
        self.templates.as_ref().and_then(|templates| templates.fill_one(task, values, draw))
    }

    /// Attributes of items, the most frequent first, those of one count in the order in which they come.
    pub(super) fn frequent_attributes(&self, rows: &[u32], most: usize) -> Vec<&'a str> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for attribute in rows.iter().flat_map(|&row| self.texts.attributes(row as usize)) {
            match counts.iter_mut().find(|(other, _)| *other == attribute) {
                Some((_, count)) => *count += 1,
                None => counts.push((attribute, 1)),
            }
        }
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts.into_iter().take(most).map(|(attribute, _)| attribute).collect()
    }
}
