//! Text with placeholders in braces, as in `{title}`. Doubled braces stand for literal ones.

/// Values of the placeholders, by name.
pub(super) type Values<'a> = [(&'static str, &'a str)];

/// A text with placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FillableText(Vec<TextSegment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum TextSegment {
    Literal(String),
    Placeholder(String),
}

impl FillableText {
    /// The text with its placeholders replaced. A placeholder without a value becomes the empty string.
    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        let value = |word: &str| values.iter().find(|(name, _)| *name == word).map_or("", |(_, value)| value);
        let pieces = self.0.iter().map(|piece| match piece {
            TextSegment::Literal(text) => text.as_str(),
            TextSegment::Placeholder(word) => value(word),
        });
        pieces.collect()
    }

    /// The names of the placeholders.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            TextSegment::Placeholder(word) => Some(word.as_str()),
            TextSegment::Literal(_) => None,
        })
    }

    /// Parses a text.
    ///
    /// # Errors
    /// The reason, as a phrase.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let (mut pieces, mut text) = (Vec::new(), String::new());
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            text += &rest[..at];
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text += brace;
                rest = after;
            } else if brace == "}" {
                return Err("a } without its {; write }} for a brace".into());
            } else {
                let end = rest.find('}').ok_or("a { without its }; write {{ for a brace")?;
                if !text.is_empty() {
                    pieces.push(TextSegment::Literal(std::mem::take(&mut text)));
                }
                pieces.push(TextSegment::Placeholder(rest[..end].trim().to_owned()));
                rest = &rest[end + 1..];
            }
        }
        text += rest;
        if !text.is_empty() {
            pieces.push(TextSegment::Literal(text));
        }
        Ok(FillableText(pieces))
    }
}
