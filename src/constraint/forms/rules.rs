//! The rule that selected the items of a folder of forms.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::id_list::write_ids;
use crate::artifact::{read_text, sha256_file};
use crate::error::{Error, Result};

/// The ids to which the user restricted a rule, one per line.
pub(in crate::constraint) const RULE_ITEMS_FILE: &str = "rule-items.txt";

/// A rule over the attributes of an index, which selects items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemRules {
    /// The text of the rule.
    pub rule: String,
    /// The values of its parameters.
    pub user: BTreeMap<String, Value>,
    /// The ids of the items that it may select; `None` for all items.
    pub only: Option<Vec<String>>,
}

/// `rules` in `constraint.json`.
#[derive(Debug, Deserialize)]
pub(in crate::constraint) struct RecordedRules {
    rule: String,
    user: BTreeMap<String, Value>,
    only: Option<RecordedItems>,
}

#[derive(Debug, Deserialize)]
struct RecordedItems {
    sha256: String,
}

impl ItemRules {
    /// Writes the ids into a folder. Returns the description of the rule.
    pub(super) fn write(&self, folder: &Path) -> Result<Value> {
        let mut description = json!({"rule": self.rule, "user": self.user});
        if let Some(only) = &self.only {
            let path = folder.join(RULE_ITEMS_FILE);
            write_ids(&path, only)?;
            description["only"] = json!({"file": RULE_ITEMS_FILE, "items": only.len(), "sha256": sha256_file(&path)?});
        }
        Ok(description)
    }
}

impl RecordedRules {
    /// The SHA-256 of the file of ids, if there is one.
    pub(in crate::constraint) fn sha256(&self) -> Option<&str> {
        self.only.as_ref().map(|only| only.sha256.as_str())
    }

    /// Reads the rule of a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(in crate::constraint) fn read(&self, folder: &Path) -> Result<ItemRules> {
        let path = folder.join(RULE_ITEMS_FILE);
        let read = || read_text(&path).map_err(|e| Error::io("read", &path, e));
        let text = self.only.is_some().then(read).transpose()?;
        let only = text.map(|text| text.lines().map(str::to_owned).collect());
        Ok(ItemRules { rule: self.rule.clone(), user: self.user.clone(), only })
    }
}
