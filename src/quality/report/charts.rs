//! SVG charts, coloured by the page's style sheet.

use std::fmt::Write;

use super::markup::{escape, grouped};

/// Maximum number of columns in the chart of a codebook. In larger codebooks, several codes share a column.
const MAX_COLUMNS: usize = 256;

/// Number of items per code in descending order, with a line at perfectly even usage.
pub(super) fn codebook(counts: &[usize], label: &str) -> String {
    let (width, height) = (512.0, 96.0);
    let mut sorted = counts.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let highest = sorted.first().copied().unwrap_or(0).max(1) as f64;
    let columns: Vec<usize> = sorted.chunks(sorted.len().div_ceil(MAX_COLUMNS).max(1)).map(|c| c[0]).collect();
    let step = width / columns.len().max(1) as f64;
    // One path around all columns.
    let mut path = format!("M0 {height}");
    for (at, &count) in columns.iter().enumerate() {
        let y = height * (1.0 - count as f64 / highest);
        let _ = write!(path, "V{}H{}", short(y), short(step * (at + 1) as f64));
    }
    let _ = write!(path, "V{height}Z");
    let even = short(height * (1.0 - counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64 / highest));
    format!(
        "<svg class=\"codebook\" viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\"><path class=\"area\" d=\"{path}\"/>\
         <path class=\"even\" d=\"M0 {even}H{width}\"/></svg>",
        escape(label)
    )
}

/// A metric by epoch, with a mark at the epoch whose state was kept.
pub(super) fn curve(name: &str, values: &[(f64, f64)], kept: Option<f64>) -> Option<String> {
    let (width, height, left, bottom, top) = (480.0, 200.0, 52.0, 26.0, 10.0);
    let (first, last) = (values.first()?, values.last()?);
    if values.len() < 2 || last.0 <= first.0 {
        return None;
    }
    let ends = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &(_, v)| (l.min(v), h.max(v)));
    let range = (ends.1 - ends.0).max(f64::MIN_POSITIVE);
    let x = |epoch: f64| short(left + (width - left - 12.0) * (epoch - first.0) / (last.0 - first.0));
    let y = |value: f64| short(top + (height - top - bottom) * (ends.1 - value) / range);
    let points: Vec<String> = values.iter().map(|&(epoch, value)| format!("{},{}", x(epoch), y(value))).collect();
    let mut out = format!(
        "<svg class=\"curve\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{} by epoch: {} at first, {} \
         at last\">",
        escape(name),
        figure(first.1),
        figure(last.1)
    );
    for value in [ends.1, ends.0] {
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{left} {0}H{width}\"/><text x=\"{1}\" y=\"{0}\" dy=\"4\" \
             text-anchor=\"end\">{2}</text>",
            y(value),
            left - 8.0,
            figure(value)
        );
    }
    for (epoch, anchor) in [(first.0, "start"), (last.0, "end")] {
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">epoch {}</text>",
            x(epoch),
            height - 6.0,
            grouped(epoch.max(0.0) as usize)
        );
    }
    let _ = write!(out, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
    if let Some(&(epoch, value)) = values.iter().find(|(epoch, _)| Some(*epoch) == kept) {
        let _ = write!(out, "<circle class=\"kept\" cx=\"{}\" cy=\"{}\" r=\"5\"/>", x(epoch), y(value));
    }
    Some(out + "</svg>")
}

/// A bar for a fraction, in a table cell.
pub(super) fn bar(share: f64) -> String {
    format!("<span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{}%\"></i></span>", short(100.0 * share))
}

/// A figure with as many digits as tell something.
fn figure(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 4 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A coordinate with one decimal, omitted if it is zero.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_their_number_of_items() {
        let svg = codebook(&[0, 4, 2, 2], "a \"b\"");
        assert!(svg.contains("M0 96V0H128V48H256V48H384V96H512V96Z"), "{svg}");
        // Two items a code, where the fullest has four.
        assert!(svg.contains("M0 48H512") && svg.contains("a &quot;b&quot;"), "{svg}");
        assert_eq!(codebook(&vec![1; 60_000], "x").matches('H').count(), 256 + 1 - (256 - 60_000usize.div_ceil(235)));
    }

    #[test]
    fn a_curve_needs_two_epochs() {
        let svg = curve("error", &[(0.0, 0.5), (1.0, 0.25), (2.0, 0.3)], Some(1.0)).unwrap();
        assert!(svg.contains("points=\"52,10 260,174 468,141.2\"") && svg.contains("cx=\"260\" cy=\"174\""), "{svg}");
        assert_eq!(curve("error", &[(0.0, 0.5)], None), None);
        assert!(curve("flat", &[(0.0, 0.5), (1.0, 0.5)], None).unwrap().contains("52,10 468,10"));
    }
}
