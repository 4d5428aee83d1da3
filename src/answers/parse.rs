//! Parsing of a language model's answer to a prompt with candidates. The answer names them by semantic ID, title or number,
//! one per line or several in one line, possibly with other text around.

use serde::Serialize;

use crate::candidate::Candidate;

/// The content of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedAnswer {
    /// Candidates by index from 0, the best first, each once.
    pub ranking: Vec<usize>,
    /// Mentions by semantic ID.
    pub by_id: usize,
    /// Mentions by title.
    pub by_title: usize,
    /// Mentions by number.
    pub by_number: usize,
    /// Repeated mentions.
    pub repeated: usize,
    /// Lines that name no candidate: other items, numbers out of range, other text.
    pub malformed: usize,
}

/// Statistics over many answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AnswerStatistics {
    /// Number of answers.
    pub answers: usize,
    /// Answers that rank every candidate.
    pub complete: usize,
    /// Answers that name no candidate.
    pub empty: usize,
    /// Mentions by semantic ID.
    pub by_id: usize,
    /// Mentions by title.
    pub by_title: usize,
    /// Mentions by number.
    pub by_number: usize,
    /// Repeated mentions.
    pub repeated: usize,
    /// Lines that name no candidate.
    pub malformed: usize,
    /// Answers whose target is known.
    pub judged: usize,
    /// Answers that rank the target first.
    pub first: usize,
    /// Sum of the targets' gains `1 / log2(1 + rank)`; 0 where the target is not named.
    pub gain: f64,
}

impl AnswerStatistics {
    /// Adds an answer. `target` is the index of the right candidate, from 0.
    pub fn add(&mut self, parsed: &ParsedAnswer, candidates: usize, target: Option<usize>) {
        self.answers += 1;
        self.complete += usize::from(parsed.ranking.len() == candidates);
        self.empty += usize::from(parsed.ranking.is_empty());
        self.by_id += parsed.by_id;
        self.by_title += parsed.by_title;
        self.by_number += parsed.by_number;
        self.repeated += parsed.repeated;
        self.malformed += parsed.malformed;
        if let Some(target) = target {
            self.judged += 1;
            let rank = parsed.ranking.iter().position(|&place| place == target);
            self.first += usize::from(rank == Some(0));
            self.gain += rank.map_or(0.0, |rank| 1.0 / (2.0 + rank as f64).log2());
        }
    }

    /// Mean NDCG of the answers with a known target.
    pub fn ndcg(&self) -> f64 {
        if self.judged == 0 { 0.0 } else { self.gain / self.judged as f64 }
    }
}

/// How a candidate was named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    Id,
    Title,
    Number,
}

/// Parses an answer.
///
/// In an answer of several lines, each line names one candidate, the first that it mentions; a single line may name
/// several. A line mentions candidates by semantic ID or by title (ignoring case). A line with neither may consist of
/// numbers, such as `3`, `[3]`, `Candidate 3` or `3, 1, 2`.
pub fn parse_answer(answer: &str, candidates: &[Candidate]) -> ParsedAnswer {
    let lines: Vec<&str> = answer.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut parsed = ParsedAnswer::default();
    let titles: Vec<String> = candidates.iter().map(|candidate| candidate.title.to_lowercase()).collect();
    for line in &lines {
        let mut named = mentions(line, candidates, &titles);
        if named.is_empty() {
            named = numbers(line, candidates.len());
        }
        if named.is_empty() {
            parsed.malformed += 1;
        }
        if lines.len() > 1 && named.first().is_some_and(|(_, by)| *by != NamedBy::Number) {
            named.truncate(1);
        }
        for (place, by) in named {
            match by {
                NamedBy::Id => parsed.by_id += 1,
                NamedBy::Title => parsed.by_title += 1,
                NamedBy::Number => parsed.by_number += 1,
            }
            if parsed.ranking.contains(&place) {
                parsed.repeated += 1;
            } else {
                parsed.ranking.push(place);
            }
        }
    }
    parsed
}

/// The candidates that a line mentions by semantic ID or title, in order. Of overlapping titles the longer one counts.
fn mentions(line: &str, candidates: &[Candidate], titles: &[String]) -> Vec<(usize, NamedBy)> {
    let lower = line.to_lowercase();
    let mut found: Vec<(usize, usize, usize, NamedBy)> = Vec::new();
    for (place, (candidate, title)) in candidates.iter().zip(titles).enumerate() {
        let id = candidate.semantic_id.as_str();
        if !id.is_empty() {
            found.extend(line.match_indices(id).map(|(at, _)| (at, id.len(), place, NamedBy::Id)));
        }
        if !title.is_empty() && title != &id.to_lowercase() {
            let whole = |&(at, _): &(usize, &str)| {
                let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !touches(lower[..at].chars().next_back()) && !touches(lower[at + title.len()..].chars().next())
            };
            // A title of digits is ambiguous with a line number: it never matches as a title.
            let is_number = title.chars().all(|c| c.is_ascii_digit());
            if !is_number {
                let matches = lower.match_indices(title.as_str()).filter(whole);
                found.extend(matches.map(|(at, _)| (at, title.len(), place, NamedBy::Title)));
            }
        }
    }
    found.sort_by_key(|&(at, length, place, _)| (at, std::cmp::Reverse(length), place));
    let mut end = 0;
    let mut named = Vec::new();
    for (at, length, place, by) in found {
        if at >= end {
            named.push((place, by));
            end = at + length;
        }
    }
    named
}

/// The candidates that a line names by number. The line `2. 7` names number 7.
fn numbers(line: &str, candidates: usize) -> Vec<(usize, NamedBy)> {
    let is_between = |c: char| c.is_whitespace() || ",;>|[]()#*\"'`".contains(c);
    let mut words: Vec<&str> = line.split(is_between).filter(|word| !word.is_empty()).collect();
    if words.len() > 1 && words[0].ends_with(['.', ':']) && words[0].len() > 1 {
        let leads = words[0][..words[0].len() - 1].chars().all(|c| c.is_ascii_digit());
        words.drain(..usize::from(leads));
    }
    let mut found = Vec::new();
    for word in words {
        let word = word.trim_end_matches(['.', ':', '=']);
        match word.parse::<usize>() {
            Ok(number) if (1..=candidates).contains(&number) => found.push((number - 1, NamedBy::Number)),
            // A number out of range or a sentence: its numbers are ambiguous.
            Ok(_) => return Vec::new(),
            Err(_) if ["candidate", "item", "option", "no"].contains(&&*word.to_lowercase()) || word == "-" => {}
            Err(_) => return Vec::new(),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates() -> Vec<Candidate> {
        let titles = ["Toy Story", "Toy Story 2", "Heat", "1984", "It's a \"Wonderful\" Life, 1946"];
        let candidate = |(at, title): (usize, &&str)| Candidate {
            item_id: at.to_string(),
            title: (*title).to_owned(),
            semantic_id: format!("<a_{at}><b_1>"),
        };
        titles.iter().enumerate().map(candidate).collect()
    }

    fn ranking(answer: &str) -> Vec<usize> {
        parse_answer(answer, &candidates()).ranking
    }

    #[test]
    fn ids_titles_and_numbers_are_parsed() {
        assert_eq!(ranking("1. Heat\n2. Toy Story 2\n3. toy story\n"), [2, 1, 0]);
        assert_eq!(ranking("<a_2><b_1>\n<a_0><b_1>"), [2, 0]);
        assert_eq!(ranking("<a_2><b_1>, <a_0><b_1> > <a_4><b_1>"), [2, 0, 4]);
        assert_eq!(ranking("3\n1\n\n2"), [2, 0, 1]);
        assert_eq!(ranking("[3] > [1] > [2]"), [2, 0, 1]);
        assert_eq!(ranking("3, 1, 2."), [2, 0, 1]);
        assert_eq!(ranking("1. 3\n2. 1"), [2, 0]);
        assert_eq!(ranking("Candidate 4"), [3]);
        assert_eq!(ranking("Heat, Toy Story and Toy Story 2"), [2, 0, 1]);
        assert_eq!(ranking("- It's a \"wonderful\" life, 1946\n- Heat"), [4, 2]);
        // In several lines, each names one item, whatever else it mentions.
        assert_eq!(ranking("1. Heat, because you liked Toy Story\n2. Toy Story"), [2, 0]);
    }

    #[test]
    fn malformed_and_repeated_lines_are_counted() {
        let parsed = parse_answer("Here is my ranking:\nHeat\n17\nReheated\nHeat\n2", &candidates());
        assert_eq!(parsed.ranking, [2, 1]);
        assert_eq!((parsed.malformed, parsed.repeated, parsed.by_title, parsed.by_number), (3, 1, 2, 1));
        let mut sums = AnswerStatistics::default();
        sums.add(&parsed, 5, Some(1));
        sums.add(&parse_answer("", &candidates()), 5, Some(0));
        sums.add(&parse_answer("1 2 3 4 5", &candidates()), 5, Some(0));
        assert_eq!((sums.answers, sums.complete, sums.empty, sums.first, sums.judged), (3, 1, 1, 1, 3));
        assert!((sums.ndcg() - (1.0 / 3f64.log2() + 1.0) / 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(answer in "(\\PC|\n|[0-9]|Heat|<a_1><b_1>){0,40}") {
            let parsed = parse_answer(&answer, &candidates());
            let mut once = parsed.ranking.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), parsed.ranking.len());
            prop_assert_eq!(parsed.by_id + parsed.by_title + parsed.by_number, parsed.ranking.len() + parsed.repeated);
        }

        #[test]
        fn every_plain_format_of_a_ranking_is_parsed(order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(), form in 0..4) {
            let say = |(rank, &place): (usize, &usize)| {
                let candidate = &candidates()[place];
                match form {
                    0 => candidate.semantic_id.clone(),
                    1 => format!("{}. {}", rank + 1, candidate.semantic_id),
                    2 => format!("{}", place + 1),
                    _ => format!("{}. {}", rank + 1, place + 1),
                }
            };
            let answer: Vec<String> = order.iter().enumerate().map(say).collect();
            prop_assert_eq!(ranking(&answer.join("\n")), order);
        }
    }
}
