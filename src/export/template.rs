//! Prompts as data: a TOML file a family, shipped in the crate, with tables of forms for each task.
//!
//! ```toml
//! [items]                     # how items are written inside prompts
//! titles = '"{title}"'
//! ids = "{id}"
//! both = '"{title}" {id}'
//! separator = ", "
//!
//! [[next-item]]               # one form of the task "next-item"; there may be many
//! system = "..."              # may be left out, and so may be `input`
//! instruction = "... {history} ..."
//! input = "..."
//! output = "{item}"
//! ```
//!
//! Words in braces are filled in; each task says which there are. Doubled braces are braces.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::draw::RecordRng;
use super::form::{FillableText, Values};
use crate::error::{Error, Result};
use rand::seq::index::sample;

/// A task of a family: what its forms may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) name: &'static str,
    /// Words that may stand in a prompt.
    pub(super) given: &'static [&'static str],
    /// Words that may stand in the answer, and one of which must; nothing is answered where there are none.
    pub(super) answer: &'static [&'static str],
}

/// A filled form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// What is to be done.
    pub instruction: String,
    /// What it is to be done with; empty where the form has none.
    pub input: String,
    /// The answer; empty where the task has none.
    pub output: String,
    /// What a system message says; empty where the form has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system: String,
}

impl Example {
    /// The prompt of a chat: instruction and input in one.
    pub fn prompt(&self) -> String {
        match (self.instruction.is_empty(), self.input.is_empty()) {
            (_, true) => self.instruction.clone(),
            (true, false) => self.input.clone(),
            (false, false) => format!("{}\n{}", self.instruction, self.input),
        }
    }
}

/// The forms of a family.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    pub(super) items: ItemForms,
    tasks: Vec<(&'static str, Vec<PromptForms>)>,
}

/// How an item is written inside a prompt, and what stands between two.
#[derive(Debug, Clone)]
pub(super) struct ItemForms {
    pub(super) titles: FillableText,
    pub(super) ids: FillableText,
    pub(super) both: FillableText,
    pub(super) separator: String,
}

/// A form of a task.
#[derive(Debug, Clone)]
struct PromptForms {
    /// System, instruction, input, output.
    forms: [FillableText; 4],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItems {
    titles: String,
    ids: String,
    both: String,
    separator: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrompt {
    #[serde(default)]
    system: String,
    instruction: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    output: String,
}

impl Templates {
    /// The shipped forms, or those of a file: its tasks replace the shipped ones of their names.
    ///
    /// # Errors
    /// [`Error::Io`] for the file; [`Error::File`] for what is no TOML, a task or key that the family does not have, and
    /// a word in braces that the task does not know or lacks.
    pub(super) fn load(shipped: &str, tasks: &[Task], replaced: Option<&Path>) -> Result<Self> {
        let home = Path::new("the shipped templates");
        let mut templates = Templates { items: read_items(home, shipped)?, tasks: read_tasks(home, shipped, tasks)? };
        if let Some(path) = replaced {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
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

    /// Up to `n` different forms of a task, filled. Forms that ask for a value that is empty are left out, so there may
    /// be none.
    pub(super) fn fill(&self, task: &str, n: usize, values: &Values<'_>, draw: &mut RecordRng) -> Vec<Example> {
        let prompts = self.tasks.iter().find(|(name, _)| *name == task).map_or(&[][..], |(_, prompts)| prompts);
        let filled = |word: &str| values.iter().any(|(name, value)| *name == word && !value.is_empty());
        let fit: Vec<&PromptForms> = prompts.iter().filter(|prompt| prompt.words().all(filled)).collect();
        let chosen = sample(draw, fit.len(), n.min(fit.len()));
        chosen.into_iter().map(|at| fit[at].fill(values)).collect()
    }

    /// One form of a task, filled, where there is one that can be.
    pub(super) fn fill_one(&self, task: &str, values: &Values<'_>, draw: &mut RecordRng) -> Option<Example> {
        self.fill(task, 1, values, draw).pop()
    }
}

impl PromptForms {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.forms.iter().flat_map(FillableText::words)
    }

    fn fill(&self, values: &Values<'_>) -> Example {
        let [system, instruction, input, output] = self.forms.each_ref().map(|form| form.fill(values));
        Example { instruction, input, output, system }
    }
}

fn wrong(path: &Path, expected: impl Into<String>, got: impl ToString) -> Error {
    let help = "mend it; `catalex export --for FAMILY --show-templates` prints the shipped ones";
    Error::file(path, expected, got, help)
}

fn parse(path: &Path, text: &str) -> Result<toml::Table> {
    text.parse::<toml::Table>().map_err(|e| {
        let reason = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        wrong(path, "templates in TOML", reason)
    })
}

fn read_items(path: &Path, text: &str) -> Result<ItemForms> {
    let table = parse(path, text)?;
    let items = table.get("items").cloned().ok_or_else(|| wrong(path, "a table [items]", "none"))?;
    let raw: RawItems = items.try_into().map_err(|e| wrong(path, "a table [items]", e))?;
    let form = |key: &str, source: &str, words: &[&str]| {
        let at = format!("{key} of [items]");
        let form = checked(path, &at, source, words)?;
        match words.iter().all(|word| form.words().any(|other| other == *word)) {
            true => Ok(form),
            false => Err(wrong(path, format!("{} in {at}", braced(words)), format!("{source:?}"))),
        }
    };
    Ok(ItemForms {
        titles: form("titles", &raw.titles, &["title"])?,
        ids: form("ids", &raw.ids, &["id"])?,
        both: form("both", &raw.both, &["title", "id"])?,
        separator: raw.separator,
    })
}

fn read_tasks(path: &Path, text: &str, tasks: &[Task]) -> Result<Vec<(&'static str, Vec<PromptForms>)>> {
    let mut found = Vec::new();
    for (name, value) in parse(path, text)?.into_iter().filter(|(name, _)| name != "items") {
        let task = tasks.iter().find(|task| task.name == name).ok_or_else(|| {
            let names: Vec<&str> = tasks.iter().map(|task| task.name).collect();
            wrong(path, format!("tasks of this family: {}", names.join(", ")), format!("{name:?}"))
        })?;
        let raw: Vec<RawPrompt> =
            value.try_into().map_err(|e| wrong(path, format!("forms [[{name}]] with an instruction"), e))?;
        if raw.is_empty() {
            return Err(wrong(path, format!("a form of {name}"), "none"));
        }
        let prompts = raw.iter().enumerate().map(|(at, raw)| read_prompt(path, task, at + 1, raw));
        found.push((task.name, prompts.collect::<Result<_>>()?));
    }
    Ok(found)
}

fn read_prompt(path: &Path, task: &Task, number: usize, raw: &RawPrompt) -> Result<PromptForms> {
    let at = |key: &str| format!("{key} of form {number} of {}", task.name);
    let given = |key: &str, source: &str| checked(path, &at(key), source, task.given);
    let forms = [
        given("system", &raw.system)?,
        given("instruction", &raw.instruction)?,
        given("input", &raw.input)?,
        checked(path, &at("output"), &raw.output, task.answer)?,
    ];
    let asked = forms[..3].iter().flat_map(FillableText::words).next().is_some();
    if !asked && !task.given.is_empty() {
        let expected = format!("one of {} in form {number} of {}", braced(task.given), task.name);
        return Err(wrong(path, expected, format!("{:?}", raw.instruction)));
    }
    let answered = forms[3].words().next().is_some();
    if answered == task.answer.is_empty() || (task.answer.is_empty() && !raw.output.is_empty()) {
        let expected = match task.answer {
            [] => format!("no output in form {number} of {}", task.name),
            words => format!("one of {} in {}", braced(words), at("output")),
        };
        return Err(wrong(path, expected, format!("{:?}", raw.output)));
    }
    Ok(PromptForms { forms })
}

fn checked(path: &Path, at: &str, source: &str, words: &[&str]) -> Result<FillableText> {
    let form = FillableText::parse(source).map_err(|reason| wrong(path, format!("a form in {at}"), reason))?;
    let unknown = form.words().find(|word| !words.contains(word)).map(str::to_owned);
    match unknown {
        None => Ok(form),
        Some(word) => {
            let expected =
                if words.is_empty() { "no words in braces".into() } else { format!("{} only", braced(words)) };
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
    use crate::export::draw::draw;
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
    fn forms_are_filled_and_those_without_a_value_left_out() {
        let templates = Templates::load(SHIPPED, &TASKS, None).unwrap();
        let fill = |values: &Values<'_>, n| templates.fill("next", n, values, &mut draw(1, "next", 0));
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
    fn a_file_replaces_its_tasks_only() {
        let templates = replaced("[[next]]\ninstruction = \"{mood}\"\noutput = \"{item}\"\n").unwrap();
        let one = templates.fill_one("next", &[("mood", "m"), ("item", "y")], &mut draw(1, "", 0)).unwrap();
        assert_eq!(one.instruction, "m");
        assert!(templates.fill_one("ask", &[("history", "h")], &mut draw(1, "", 0)).is_some());
    }

    #[test]
    fn wrong_files_say_what_is_wrong() {
        let says = |text: &str| replaced(text).unwrap_err().to_string();
        assert!(says("[[next]").contains("templates in TOML"));
        assert!(says("[[nxt]]\ninstruction = \"\"").contains("next, ask"));
        assert!(says("[[next]]\ntext = \"x\"").contains("[[next]]"));
        let unknown = says("[[next]]\ninstruction = \"{histroy}\"\noutput = \"{item}\"");
        assert!(
            unknown.contains("mine.toml") && unknown.contains("{histroy}") && unknown.contains("{history}, {mood}")
        );
        assert!(unknown.contains("instruction of form 1 of next"));
        assert!(says("[[next]]\ninstruction = \"{item}\"\noutput = \"{item}\"").contains("got {item}"));
        assert!(says("[[next]]\ninstruction = \"x\"\noutput = \"{item}\"").contains("one of {history}"));
        assert!(says("[[next]]\ninstruction = \"{mood}\"\noutput = \"x\"").contains("one of {item} in output"));
        assert!(says("[[next]]\ninstruction = \"{mood\"\noutput = \"{item}\"").contains("without its }"));
        assert!(says("[[ask]]\ninstruction = \"{history}\"\noutput = \"x\"").contains("no output"));
        assert!(says("next = []").contains("a form of next"));
        assert!(
            says("[items]\ntitles = \"x\"\nids = \"{id}\"\nboth = \"\"\nseparator = \"\"")
                .contains("{title} in titles")
        );
    }

    proptest! {
        #[test]
        fn values_are_never_forms(value in ".{0,30}") {
            let templates = Templates::load(SHIPPED, &TASKS, None).unwrap();
            let filled = templates.fill_one("ask", &[("history", &value)], &mut draw(0, "", 0));
            prop_assert_eq!(filled.map(|example| example.instruction).unwrap_or_default(), value);
        }
    }
}
