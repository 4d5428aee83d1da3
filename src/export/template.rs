//! Prompt templates: one TOML file per family, shipped in the crate, with one or more templates per task.
//!
//! ```toml
//! [items]                     # how prompts name an item
//! titles = '"{title}"'
//! ids = "{id}"
//! both = '"{title}" {id}'
//! separator = ", "
//!
//! [[next-item]]               # a template of the task "next-item"; a task may have several
//! system = "..."              # optional, as is `input`
//! instruction = "... {history} ..."
//! input = "..."
//! output = "{item}"
//! ```
//!
//! Words in braces are placeholders; each task has its own. Doubled braces stand for literal ones.

use std::path::Path;

use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::fillable_text::{FillableText, Values};
use super::record_rng::RecordRng;
use crate::artifact::read_input;
use crate::error::{Error, Result};

/// A task of a family and the placeholders of its templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) name: &'static str,
    /// Placeholders that a prompt may use.
    pub(super) given: &'static [&'static str],
    /// Placeholders of the answer, which must use at least one. A task without any has no answer.
    pub(super) answer: &'static [&'static str],
}

/// A filled template: one training example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The instruction.
    pub instruction: String,
    /// The input of the instruction; empty where the template has none.
    pub input: String,
    /// The expected answer; empty where the task has none.
    pub output: String,
    /// The system message; empty where the template has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system: String,
}

impl Example {
    /// Instruction and input as one user message.
    pub fn prompt(&self) -> String {
        match (self.instruction.is_empty(), self.input.is_empty()) {
            (_, true) => self.instruction.clone(),
            (true, false) => self.input.clone(),
            (false, false) => format!("{}\n{}", self.instruction, self.input),
        }
    }
}

/// The templates of a family.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    pub(super) items: ItemTemplates,
    tasks: Vec<(&'static str, Vec<PromptTemplate>)>,
}

/// How prompts name an item, and the separator between items.
#[derive(Debug, Clone)]
pub(super) struct ItemTemplates {
    pub(super) titles: FillableText,
    pub(super) ids: FillableText,
    pub(super) both: FillableText,
    pub(super) separator: String,
}

/// A template of a task.
#[derive(Debug, Clone)]
struct PromptTemplate {
    /// System, instruction, input, output.
    texts: [FillableText; 4],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemsTable {
    titles: String,
    ids: String,
    both: String,
    separator: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptTable {
    #[serde(default)]
    system: String,
    instruction: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    output: String,
}

impl Templates {
    /// The shipped templates; those of the file replace the shipped ones task by task.
    ///
    /// # Errors
    /// [`Error::Io`] for the file; [`Error::File`] for invalid TOML, unknown tasks or keys, and unknown or missing
    /// placeholders.
    pub(super) fn load(shipped: &str, tasks: &[Task], replaced: Option<&Path>) -> Result<Self> {
        let home = Path::new("the shipped templates");
        let mut templates = Templates { items: read_items(home, shipped)?, tasks: read_tasks(home, shipped, tasks)? };
        if let Some(path) = replaced {
            let text = read_input(path).map_err(|e| Error::io("read", path, e))?;
            if parse(path, &text)?.contains_key("items") {
                templates.items = read_items(path, &text)?;
            }
            for (name, prompts) in read_tasks(path, &text, tasks)? {
                templates.tasks.retain(|(other, _)| *other != name);
                templates.tasks.push((name, prompts));
            }
        }
        Ok(templates)
    }

    /// Fills up to `n` different templates of a task, drawn at random. Templates with a placeholder whose value is empty
    /// are skipped, so the result may be empty.
    pub(super) fn fill(&self, task: &str, n: usize, values: &Values<'_>, rng: &mut RecordRng) -> Vec<Example> {
        let prompts = self.tasks.iter().find(|(name, _)| *name == task).map_or(&[][..], |(_, prompts)| prompts);
        let filled = |word: &str| values.iter().any(|(name, value)| *name == word && !value.is_empty());
        let fit: Vec<&PromptTemplate> = prompts.iter().filter(|prompt| prompt.placeholders().all(filled)).collect();
        let chosen = sample(rng, fit.len(), n.min(fit.len()));
        chosen.into_iter().map(|at| fit[at].fill(values)).collect()
    }

    /// Fills one template of a task, drawn at random; `None` where none can be filled.
    pub(super) fn fill_one(&self, task: &str, values: &Values<'_>, rng: &mut RecordRng) -> Option<Example> {
        self.fill(task, 1, values, rng).pop()
    }
}

impl PromptTemplate {
    fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().flat_map(FillableText::placeholders)
    }

    fn fill(&self, values: &Values<'_>) -> Example {
        let [system, instruction, input, output] = self.texts.each_ref().map(|text| text.fill(values));
        Example { instruction, input, output, system }
    }
}

fn wrong(path: &Path, expected: impl Into<String>, got: impl ToString) -> Error {
    let help = "correct it; `catalex export --for FAMILY --show-templates` prints the shipped templates";
    Error::file(path, expected, got, help)
}

fn parse(path: &Path, text: &str) -> Result<toml::Table> {
    text.parse::<toml::Table>().map_err(|e| {
        let reason = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        wrong(path, "templates in TOML", reason)
    })
}

fn read_items(path: &Path, text: &str) -> Result<ItemTemplates> {
    let table = parse(path, text)?;
    let items = table.get("items").cloned().ok_or_else(|| wrong(path, "a table [items]", "none"))?;
    let raw: ItemsTable = items.try_into().map_err(|e| wrong(path, "a table [items]", e))?;
    let text = |key: &str, source: &str, words: &[&str]| {
        let at = format!("{key} of [items]");
        let text = checked(path, &at, source, words)?;
        match words.iter().all(|word| text.placeholders().any(|other| other == *word)) {
            true => Ok(text),
            false => Err(wrong(path, format!("{} in {at}", braced(words)), format!("{source:?}"))),
        }
    };
    Ok(ItemTemplates {
        titles: text("titles", &raw.titles, &["title"])?,
        ids: text("ids", &raw.ids, &["id"])?,
        both: text("both", &raw.both, &["title", "id"])?,
        separator: raw.separator,
    })
}

fn read_tasks(path: &Path, text: &str, tasks: &[Task]) -> Result<Vec<(&'static str, Vec<PromptTemplate>)>> {
    let mut found = Vec::new();
    for (name, value) in parse(path, text)?.into_iter().filter(|(name, _)| name != "items") {
        let task = tasks.iter().find(|task| task.name == name).ok_or_else(|| {
            let names: Vec<&str> = tasks.iter().map(|task| task.name).collect();
            wrong(path, format!("tasks of this family: {}", names.join(", ")), format!("{name:?}"))
        })?;
        let raw: Vec<PromptTable> =
            value.try_into().map_err(|e| wrong(path, format!("templates [[{name}]] with an instruction"), e))?;
        if raw.is_empty() {
            return Err(wrong(path, format!("a template of {name}"), "none"));
        }
        let prompts = raw.iter().enumerate().map(|(at, raw)| read_prompt(path, task, at + 1, raw));
        found.push((task.name, prompts.collect::<Result<_>>()?));
    }
    Ok(found)
}

fn read_prompt(path: &Path, task: &Task, number: usize, raw: &PromptTable) -> Result<PromptTemplate> {
    let at = |key: &str| format!("{key} of template {number} of {}", task.name);
    let given = |key: &str, source: &str| checked(path, &at(key), source, task.given);
    let texts = [
        given("system", &raw.system)?,
        given("instruction", &raw.instruction)?,
        given("input", &raw.input)?,
        checked(path, &at("output"), &raw.output, task.answer)?,
    ];
    let asked = texts[..3].iter().flat_map(FillableText::placeholders).next().is_some();
    if !asked && !task.given.is_empty() {
        let expected = format!("one of {} in template {number} of {}", braced(task.given), task.name);
        return Err(wrong(path, expected, format!("{:?}", raw.instruction)));
    }
    let answered = texts[3].placeholders().next().is_some();
    if answered == task.answer.is_empty() || (task.answer.is_empty() && !raw.output.is_empty()) {
        let expected = match task.answer {
            [] => format!("no output in template {number} of {}", task.name),
            words => format!("one of {} in {}", braced(words), at("output")),
        };
        return Err(wrong(path, expected, format!("{:?}", raw.output)));
    }
    Ok(PromptTemplate { texts })
}

fn checked(path: &Path, at: &str, source: &str, words: &[&str]) -> Result<FillableText> {
    let text = FillableText::parse(source).map_err(|reason| wrong(path, format!("a template in {at}"), reason))?;
    let unknown = text.placeholders().find(|word| !words.contains(word)).map(str::to_owned);
    match unknown {
        None => Ok(text),
        Some(word) => {
            let expected = if words.is_empty() { "no placeholders".into() } else { format!("{} only", braced(words)) };
            Err(wrong(path, format!("{expected} in {at}"), format!("{{{word}}}")))
        }
    }
}

fn braced(words: &[&str]) -> String {
    words.iter().map(|word| format!("{{{word}}}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::record_rng::record_rng;
    use proptest::prelude::*;
    use std::fs;

    const SHIPPED: &str = r#"
        [items]
        titles = '"{title}"'
        ids = "{id}"
        both = "{title} {id}"
        separator = ", "
        [[next]]
        instruction = "After {history}?"
        output = "{item}"
        [[next]]
        system = "Guess."
        instruction = "{{literally}}"
        input = "{history} and {mood}"
        output = "{item}."
        [[ask]]
        instruction = "{history}"
    "#;
    const TASKS: [Task; 2] = [
        Task { name: "next", given: &["history", "mood"], answer: &["item"] },
        Task { name: "ask", given: &["history"], answer: &[] },
    ];

    fn replaced(text: &str) -> Result<Templates> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        fs::write(&path, text).unwrap();
        Templates::load(SHIPPED, &TASKS, Some(&path))
    }

    #[test]
    fn templates_are_filled_and_those_without_a_value_skipped() {
        let templates = Templates::load(SHIPPED, &TASKS, None).unwrap();
        let fill = |values: &Values<'_>, n| templates.fill("next", n, values, &mut record_rng(1, "next", 0));
        let sad = fill(&[("history", "x"), ("mood", ""), ("item", "y")], 5);
        assert_eq!(sad.len(), 1);
        assert_eq!((sad[0].instruction.as_str(), sad[0].output.as_str()), ("After x?", "y"));
        let both = fill(&[("history", "x"), ("mood", "sun"), ("item", "y")], 5);
        assert_eq!(both.len(), 2);
        let long = both.iter().find(|example| !example.system.is_empty()).unwrap();
        assert_eq!((long.prompt().as_str(), long.output.as_str()), ("{literally}\nx and sun", "y."));
        assert!(fill(&[("history", ""), ("item", "y")], 5).is_empty());
    }

    #[test]
    fn a_file_replaces_only_the_tasks_it_has() {
        let templates = replaced("[[next]]\ninstruction = \"{mood}\"\noutput = \"{item}\"\n").unwrap();
        let one = templates.fill_one("next", &[("mood", "m"), ("item", "y")], &mut record_rng(1, "", 0)).unwrap();
        assert_eq!(one.instruction, "m");
        assert!(templates.fill_one("ask", &[("history", "h")], &mut record_rng(1, "", 0)).is_some());
    }

    #[test]
    fn errors_name_the_file_the_template_and_the_placeholder() {
        let says = |text: &str| replaced(text).unwrap_err().to_string();
        assert!(says("[[next]").contains("templates in TOML"));
        assert!(says("[[nxt]]\ninstruction = \"\"").contains("next, ask"));
        assert!(says("[[next]]\ntext = \"x\"").contains("[[next]]"));
        let unknown = says("[[next]]\ninstruction = \"{histroy}\"\noutput = \"{item}\"");
        assert!(
            unknown.contains("mine.toml") && unknown.contains("{histroy}") && unknown.contains("{history}, {mood}")
        );
        assert!(unknown.contains("instruction of template 1 of next"));
        assert!(says("[[next]]\ninstruction = \"{item}\"\noutput = \"{item}\"").contains("got {item}"));
        assert!(says("[[next]]\ninstruction = \"x\"\noutput = \"{item}\"").contains("one of {history}"));
        assert!(says("[[next]]\ninstruction = \"{mood}\"\noutput = \"x\"").contains("one of {item} in output"));
        assert!(says("[[next]]\ninstruction = \"{mood\"\noutput = \"{item}\"").contains("without its }"));
        assert!(says("[[ask]]\ninstruction = \"{history}\"\noutput = \"x\"").contains("no output"));
        assert!(says("next = []").contains("a template of next"));
        assert!(
            says("[items]\ntitles = \"x\"\nids = \"{id}\"\nboth = \"\"\nseparator = \"\"")
                .contains("{title} in titles")
        );
    }

    proptest! {
        #[test]
        fn braces_in_values_are_not_placeholders(value in ".{0,30}") {
            let templates = Templates::load(SHIPPED, &TASKS, None).unwrap();
            let filled = templates.fill_one("ask", &[("history", &value)], &mut record_rng(0, "", 0));
            prop_assert_eq!(filled.map(|example| example.instruction).unwrap_or_default(), value);
        }
    }
}
