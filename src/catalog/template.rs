//! A form of text with the names of columns in it: `{title}. {brand}. {categories:" > "}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Between the parts of a list, where the form says nothing else.
const COMMA: &str = ", ";

/// A form of text: words around fields. A field is a column's name in braces, with what stands between the parts of a
/// list after a colon and in quotes. Doubled braces are braces.
///
/// An empty field drops out, and the words before it with it. Where that leaves the text to begin with separators, they
/// go too: of `{title}. {brand}` without a title remains the brand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    source: String,
    fields: Vec<Field>,
    /// What stands after the last field.
    tail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// What stands before it.
    lead: String,
    column: String,
    between: String,
}

impl Template {
    /// The columns, in order; one that stands there twice is named twice.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.column.as_str())
    }

    /// The text of an item: `fields` has the parts of each of [`Template::columns`]. Empty where all are.
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
                return Err("a } without its {".into());
            } else {
                let (field, after) = Self::field(rest)?;
                fields.push(Field { lead: std::mem::take(&mut lead), ..field });
                rest = after;
            }
        }
        lead += rest;
        if fields.is_empty() {
            return Err("no column in braces".into());
        }
        Ok(Template { source: source.to_owned(), fields, tail: lead })
    }

    /// The field that `rest` begins with, its opening brace gone, and what comes after its closing one.
    fn field(rest: &str) -> Result<(Field, &str), String> {
        let end = rest.find(['}', ':']).ok_or("a { without its }")?;
        let column = rest[..end].trim();
        if column.is_empty() || column.contains('{') {
            return Err(format!("no column's name in {{{column}}}"));
        }
        let mut after = &rest[end..];
        let mut between = COMMA.to_owned();
        if let Some(quoted) = after.strip_prefix(':') {
            let wrong = || format!("after {column}: not a text in quotes and a }}");
            let inner = quoted.trim_start().strip_prefix('"').ok_or_else(wrong)?;
            let close = inner.find('"').ok_or_else(wrong)?;
            between = inner[..close].to_owned();
            after = inner[close + 1..].trim_start();
        }
        let after = after.strip_prefix('}').ok_or("a { without its }")?;
        Ok((Field { lead: String::new(), column: column.to_owned(), between }, after))
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(source: &str) -> Result<Self> {
        Self::parse(source).map_err(|reason| {
            let expected = "a form such as {title}. {categories:\" > \"}";
            Error::config("template", expected, format!("{source:?}: {reason}"), "mend it; {{ and }} are braces")
        })
    }
}

impl TryFrom<String> for Template {
    type Error = Error;

    fn try_from(source: String) -> Result<Self> {
        source.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.source
    }
}

impl fmt::Display for Template {
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
        form.parse::<Template>().unwrap().fill(&views)
    }

    #[test]
    fn fields_are_filled_or_drop_out() {
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
    fn bad_forms_say_what_is_wrong() {
        let says = |form: &str| form.parse::<Template>().unwrap_err().to_string();
        assert!(says("plain").contains("no column in braces"));
        assert!(says("{title").contains("without its }"));
        assert!(says("title}").contains("without its {"));
        assert!(says("{}").contains("no column's name"));
        assert!(says("{a:>}").contains("in quotes"));
        assert!(says("{a:\">}").contains("in quotes"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_form_or_is_refused(source in ".{0,40}") {
            if let Ok(template) = source.parse::<Template>() {
                prop_assert_eq!(template.to_string(), source);
                prop_assert!(template.columns().count() > 0);
            }
        }
    }
}
