//! Templates of an item's text, with columns in braces: `{title}. {brand}. {categories:" > "}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Separator of list elements, unless the template gives another.
const COMMA: &str = ", ";

/// A template of an item's text. A field is a column name in braces, optionally followed by a colon and the quoted separator
/// of list elements. Doubled braces stand for braces.
///
/// An empty field is dropped together with the words before it. Separators that would then start the text are dropped, too:
/// `{title}. {brand}` without a title gives the brand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextTemplate {
    source: String,
    fields: Vec<TemplateField>,
    /// The words after the last field.
    tail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TemplateField {
    /// The words before it.
    lead: String,
    column: String,
    between: String,
}

impl TextTemplate {
    /// The columns, in order. One that occurs twice is listed twice.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.column.as_str())
    }

    /// The text of an item. `fields` has the values of each of [`TextTemplate::columns`]. Empty if all of them are.
    pub(super) fn fill(&self, fields: &[&[String]]) -> String {
        let mut text = String::new();
        let mut dropped = false;
        for (field, parts) in self.fields.iter().zip(fields) {
            if parts.is_empty() {
                dropped = true;
                continue;
            }
            let separators = |c: char| c.is_whitespace() || (c.is_ascii_punctuation() && !"([{\"'#$".contains(c));
            let lead = if text.is_empty() && dropped { field.lead.trim_start_matches(separators) } else { &field.lead };
            text += lead;
            text += &parts.join(&field.between);
        }
        if text.is_empty() { text } else { text + &self.tail }
    }

    fn parse(source: &str) -> Result<Self, String> {
        let (mut fields, mut lead) = (Vec::new(), String::new());
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            lead += &rest[..at];
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                lead += brace;
                rest = after;
            } else if brace == "}" {
                return Err("a } without a {".into());
            } else {
                let (field, after) = Self::field(rest)?;
                fields.push(TemplateField { lead: std::mem::take(&mut lead), ..field });
                rest = after;
            }
        }
        lead += rest;
        if fields.is_empty() {
            return Err("no column in braces".into());
        }
        Ok(TextTemplate { source: source.to_owned(), fields, tail: lead })
    }

    /// Parses the field at the start of `rest`, after its opening brace. Returns it with the text after its closing brace.
    fn field(rest: &str) -> Result<(TemplateField, &str), String> {
        let end = rest.find(['}', ':']).ok_or("a { without a }")?;
        let column = rest[..end].trim();
        if column.is_empty() || column.contains('{') {
            return Err(format!("no column name in {{{column}}}"));
        }
        let mut after = &rest[end..];
        let mut between = COMMA.to_owned();
        if let Some(quoted) = after.strip_prefix(':') {
            let wrong = || format!("after {column}: expected a separator in quotes, then }}");
            let inner = quoted.trim_start().strip_prefix('"').ok_or_else(wrong)?;
            let close = inner.find('"').ok_or_else(wrong)?;
            between = inner[..close].to_owned();
            after = inner[close + 1..].trim_start();
        }
        let after = after.strip_prefix('}').ok_or("a { without a }")?;
        Ok((TemplateField { lead: String::new(), column: column.to_owned(), between }, after))
    }
}

impl FromStr for TextTemplate {
    type Err = Error;

    fn from_str(source: &str) -> Result<Self> {
        Self::parse(source).map_err(|reason| {
            let expected = "a template such as {title}. {categories:\" > \"}";
            Error::config(
                "template",
                expected,
                format!("{source:?}: {reason}"),
                "correct it; write {{ and }} for braces",
            )
        })
    }
}

impl TryFrom<String> for TextTemplate {
    type Error = Error;

    fn try_from(source: String) -> Result<Self> {
        source.parse()
    }
}

impl From<TextTemplate> for String {
    fn from(template: TextTemplate) -> Self {
        template.source
    }
}

impl fmt::Display for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(form: &str, values: &[&[&str]]) -> String {
        let values: Vec<Vec<String>> = values.iter().map(|v| v.iter().map(|&p| p.to_owned()).collect()).collect();
        let views: Vec<&[String]> = values.iter().map(Vec::as_slice).collect();
        form.parse::<TextTemplate>().unwrap().fill(&views)
    }

    #[test]
    fn fields_are_filled_or_dropped() {
        let form = "{title}. {brand}. {categories:\" > \"}";
        assert_eq!(filled(form, &[&["Pen"], &["Bic"], &["Office", "Ink"]]), "Pen. Bic. Office > Ink");
        assert_eq!(filled(form, &[&["Pen"], &[], &["Office"]]), "Pen. Office");
        assert_eq!(filled(form, &[&[], &["Bic"], &[]]), "Bic");
        assert_eq!(filled(form, &[&[], &[], &[]]), "");
        assert_eq!(filled("Title: {t}; brand: {b}.", &[&[], &["Bic"]]), "brand: Bic.");
        assert_eq!(filled("{a}{b}", &[&["x", "y"], &["z"]]), "x, yz");
        assert_eq!(filled("{{{a}}}", &[&["x"]]), "{x}");
    }

    #[test]
    fn invalid_templates_are_explained() {
        let says = |form: &str| form.parse::<TextTemplate>().unwrap_err().to_string();
        assert!(says("plain").contains("no column in braces"));
        assert!(says("{title").contains("without a }"));
        assert!(says("title}").contains("without a {"));
        assert!(says("{}").contains("no column name"));
        assert!(says("{a:>}").contains("in quotes"));
        assert!(says("{a:\">}").contains("in quotes"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_is_refused(source in ".{0,40}") {
            if let Ok(template) = source.parse::<TextTemplate>() {
                prop_assert_eq!(template.to_string(), source);
                prop_assert!(template.columns().count() > 0);
            }
        }
    }
}
