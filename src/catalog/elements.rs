//! The elements of HTML, for [`super::markup`].

/// All HTML elements, including obsolete ones, the root elements of SVG and MathML, and the elements that Word writes.
/// Sorted.
#[rustfmt::skip]
const ELEMENTS: [&str; 148] = [
    "a", "abbr", "acronym", "address", "applet", "area", "article", "aside", "audio", "b", "base", "basefont", "bdi",
    "bdo", "bgsound", "big", "blink", "blockquote", "body", "br", "button", "canvas", "caption", "center", "cite",
    "code", "col", "colgroup", "data", "datalist", "dd", "del", "details", "dfn", "dialog", "dir", "div", "dl", "dt",
    "em", "embed", "fieldset", "figcaption", "figure", "font", "footer", "form", "frame", "frameset", "h1", "h2",
    "h3", "h4", "h5", "h6", "head", "header", "hgroup", "hr", "html", "i", "iframe", "img", "input", "ins", "kbd",
    "keygen", "label", "legend", "li", "link", "listing", "main", "map", "mark", "marquee", "math", "menu",
    "menuitem", "meta", "meter", "nav", "nobr", "noembed", "noframes", "noscript", "o:p", "object", "ol", "optgroup",
    "option", "output", "p", "param", "path", "picture", "plaintext", "pre", "progress", "q", "rb", "rp", "rt", "rtc",
    "ruby", "s", "samp", "script", "search", "section", "select", "slot", "small", "source", "spacer", "span",
    "st1:city", "st1:place", "strike", "strong", "style", "sub", "summary", "sup", "svg", "table", "tbody", "td",
    "template", "textarea", "tfoot", "th", "thead", "time", "title", "tr", "track", "tt", "u", "ul", "v:imagedata",
    "v:shape", "var", "video", "w:wrap", "wbr", "xml", "xmp",
];

/// Elements without an end tag, or with an optional one. Sorted.
#[rustfmt::skip]
const WITHOUT_END_TAG: [&str; 43] = [
    "area", "base", "basefont", "bgsound", "body", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "frame",
    "head", "hr", "html", "img", "input", "keygen", "li", "link", "menuitem", "meta", "optgroup", "option", "p",
    "param", "path", "plaintext", "rb", "rp", "rt", "rtc", "source", "spacer", "tbody", "td", "tfoot", "th", "thead",
    "tr", "track", "wbr",
];

/// Attributes that are written without a value. Sorted.
#[rustfmt::skip]
const BARE_ATTRIBUTES: [&str; 38] = [
    "allowfullscreen", "async", "autofocus", "autoplay", "checked", "compact", "contenteditable", "controls",
    "crossorigin", "declare", "default", "defer", "disabled", "download", "draggable", "formnovalidate", "hidden",
    "inert", "ismap", "itemscope", "loop", "multiple", "muted", "nohref", "nomodule", "noresize", "noshade",
    "novalidate", "nowrap", "open", "playsinline", "readonly", "required", "reversed", "selected", "spellcheck",
    "translate", "truespeed",
];

/// The element of this name, in any case.
pub(super) fn element(name: &str) -> Option<&'static str> {
    // The longest name has 11 characters.
    let name = (name.len() <= 12).then(|| name.to_ascii_lowercase())?;
    ELEMENTS.binary_search(&name.as_str()).ok().map(|at| ELEMENTS[at])
}

/// Whether HTML requires that the element is closed by an end tag.
pub(super) fn needs_end_tag(element: &str) -> bool {
    WITHOUT_END_TAG.binary_search(&element).is_err()
}

/// Whether this can be an attribute without a value. In `<a few words>`, `few` cannot, so the text is not a tag.
pub(super) fn is_bare_attribute(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphabetic());
    !is_word || BARE_ATTRIBUTES.binary_search(&name.to_ascii_lowercase().as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_found() {
        assert!(ELEMENTS.is_sorted() && WITHOUT_END_TAG.is_sorted() && BARE_ATTRIBUTES.is_sorted());
        assert!(WITHOUT_END_TAG.iter().all(|name| element(name).is_some()));
        assert_eq!((element("DIV"), element("String"), element("o:p")), (Some("div"), None, Some("o:p")));
        assert!(needs_end_tag("style") && !needs_end_tag("br"));
        assert!(is_bare_attribute("Checked") && is_bare_attribute("data-x") && !is_bare_attribute("Tale"));
    }
}
