//! `report.html`: the figures for people, in one file that opens offline.

use std::fmt::Write;

use super::Figures;

/// A prefix and some of the items under it.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// The prefix as tokens.
    pub prefix: String,
    /// Number of items under it.
    pub items: usize,
    /// Some of them: id and text.
    pub members: Vec<(String, String)>,
}

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}\
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d9dee3;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.9em;background:#f1f4f7;padding:.1em .3em}\
svg{width:100%;height:auto}.scroll{overflow-x:auto}\
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e4e7ea}code{background:#23282d}th,td{border-color:#333a41}}";

/// The report of a table: its figures, the training's errors by epoch, and items that share a prefix.
pub fn report(title: &str, figures: &Figures, errors: &[f64], neighbours: &[Neighbours]) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{0}</title>\
         <style>{STYLE}</style></head><body><main><h1>{0}</h1>",
        escape(title)
    );
    summary(&mut html, figures);
    usage(&mut html, figures);
    if errors.len() > 1 {
        curve(&mut html, errors);
    }
    if !neighbours.is_empty() {
        html.push_str("<h2>Items that share a prefix</h2><div class=\"scroll\"><table><tr><th>Prefix</th>");
        html.push_str("<th class=\"n\">Items</th><th>Some of them</th></tr>");
        for group in neighbours {
            let members: Vec<String> = group
                .members
                .iter()
                .map(|(id, text)| {
                    if text.is_empty() {
                        escape(id)
                    } else {
                        format!("{} <small>({})</small>", escape(text), escape(id))
                    }
                })
                .collect();
            let (prefix, members) = (escape(&group.prefix), members.join("<br>"));
            let _ = write!(
                html,
                "<tr><td><code>{prefix}</code></td><td class=\"n\">{}</td><td>{members}</td></tr>",
                group.items
            );
        }
        html.push_str("</table></div>");
    }
    html.push_str("<h2>Most crowded prefixes</h2><div class=\"scroll\"><table><tr><th class=\"n\">Depth</th><th>Prefix</th><th class=\"n\">Items</th></tr>");
    for crowded in &figures.crowded {
        let prefix = escape(&crowded.prefix);
        let _ = write!(
            html,
            "<tr><td class=\"n\">{}</td><td><code>{prefix}</code></td><td class=\"n\">{}</td></tr>",
            crowded.depth, crowded.items
        );
    }
    html.push_str("</table></div></main></body></html>\n");
    html
}

fn summary(html: &mut String, figures: &Figures) {
    let _ = write!(
        html,
        "<p>{} items, {} distinct semantic IDs of {} levels.</p><ul>",
        figures.items, figures.distinct_ids, figures.levels
    );
    if let Some(c) = &figures.collisions {
        let _ = write!(
            html,
            "<li>The quantizer alone gave {} items ({:.2}%) an ID that another had; {} items were moved to free IDs, \
             which adds {:.2}% to the distortion.</li>",
            c.items - c.distinct_before,
            100.0 * c.collision_rate,
            c.moved,
            100.0 * c.added_distortion
        );
    }
    if let Some(r) = figures.reconstruction {
        let _ = write!(
            html,
            "<li>The IDs keep {:.1}% of what tells items apart (relative reconstruction error {:.4}).</li>",
            100.0 * (1.0 - r.after_resolution),
            r.after_resolution
        );
    }
    let prefixes: Vec<String> = figures.distinct_prefixes.iter().map(usize::to_string).collect();
    let _ = write!(html, "<li>Distinct prefixes by depth: {}.</li></ul>", prefixes.join(", "));
}

fn usage(html: &mut String, figures: &Figures) {
    html.push_str(
        "<h2>Codebooks</h2><div class=\"scroll\"><table><tr><th class=\"n\">Level</th><th class=\"n\">Codes</th>",
    );
    html.push_str("<th class=\"n\">Used</th><th class=\"n\">Perplexity</th><th class=\"n\">Gini</th></tr>");
    for l in &figures.usage {
        let _ = write!(
            html,
            "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{:.3}</td></tr>",
            l.level, l.codes, l.used, l.perplexity, l.gini
        );
    }
    html.push_str("</table></div>");
}

/// The error by epoch as a line.
fn curve(html: &mut String, errors: &[f64]) {
    let (width, height, margin) = (600.0, 160.0, 30.0);
    let (low, high) = errors.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &e| (low.min(e), high.max(e)));
    let range = (high - low).max(f64::MIN_POSITIVE);
    let points: Vec<String> = errors
        .iter()
        .enumerate()
        .map(|(i, e)| {
            let x = margin + (width - 2.0 * margin) * i as f64 / (errors.len() - 1) as f64;
            let y = margin + (height - 2.0 * margin) * (high - e) / range;
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let points = points.join(" ");
    let _ = write!(
        html,
        "<h2>Training</h2><p>Relative reconstruction error of held-out items by epoch: from {:.4} to {low:.4}.</p>\
         <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"error by epoch\">\
         <polyline fill=\"none\" stroke=\"#2f6fde\" stroke-width=\"2\" points=\"{points}\"/></svg>",
        errors[0]
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_texts_cannot_become_markup() {
        let figures = Figures {
            items: 1,
            levels: 1,
            codebook_sizes: vec![2],
            model_hash: String::new(),
            distinct_ids: 1,
            collisions: None,
            usage: vec![],
            distinct_prefixes: vec![1],
            crowded: vec![],
            reconstruction: None,
        };
        let group = Neighbours {
            prefix: "<a_0>".into(),
            items: 1,
            members: vec![("1".into(), "<script>alert(1)</script>".into())],
        };
        let html = report("t", &figures, &[], &[group]);
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && html.contains("<code>&lt;a_0&gt;"));
    }
}
