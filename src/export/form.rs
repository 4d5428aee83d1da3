//! Text with words in braces to fill in; doubled braces are braces.

/// What words in braces stand for.
pub(super) type Values<'a> = [(&'static str, &'a str)];

/// Text with words to fill in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FillableText(Vec<TextSegment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum TextSegment {
    Text(String),
    Word(String),
}

impl FillableText {
    /// The text with its words filled in; a word without a value is left out.
    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        let value = |word: &str| values.iter().find(|(name, _)| *name == word).map_or("", |(_, value)| value);
        let pieces = self.0.iter().map(|piece| match piece {
            TextSegment::Text(text) => text.as_str(),
            TextSegment::Word(word) => value(word),
        });
        pieces.collect()
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            TextSegment::Word(word) => Some(word.as_str()),
            TextSegment::Text(_) => None,
        })
    }

    /// Reads a form; what is wrong with it is said in words.
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
                    pieces.push(TextSegment::Text(std::mem::take(&mut text)));
                }
                pieces.push(TextSegment::Word(rest[..end].trim().to_owned()));
                rest = &rest[end + 1..];
            }
        }
        text += rest;
        if !text.is_empty() {
            pieces.push(TextSegment::Text(text));
        }
        Ok(FillableText(pieces))
    }
}
