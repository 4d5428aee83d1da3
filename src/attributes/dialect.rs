//! The syntax of rules: expressions of SQL, with the operators `under` and `has`.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::syntax::RuleSource;
use crate::error::Result;

/// Maximum number of tokens of a rule other than literals and commas. It bounds the depth of the expression.
const MAX_TOKENS: usize = 1_000;
/// Maximum depth of parentheses and other nesting.
const MAX_DEPTH: usize = 40;

/// `COLUMN under PATH`.
pub(super) const UNDER: &str = "under";
/// `COLUMN has VALUE`.
pub(super) const HAS: &str = "has";

/// The dialect of rules.
#[derive(Debug)]
struct RuleDialect;

impl Dialect for RuleDialect {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn supports_in_empty_list(&self) -> bool {
        true
    }

    fn supports_in_unparenthesized_expr(&self) -> bool {
        true
    }

    /// A word that is not followed by `(` is a column, also if it is a keyword of SQL.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let [first, second, third] = parser.peek_tokens_ref::<3>();
        let Token::Word(word) = &first.token else { return None };
        let own = [Keyword::NOT, Keyword::NULL, Keyword::TRUE, Keyword::FALSE, Keyword::AND, Keyword::OR, Keyword::IN];
        let is_operator = word.quote_style.is_none()
            && (own.contains(&word.keyword) || [Keyword::BETWEEN, Keyword::LIKE, Keyword::IS].contains(&word.keyword));
        if is_operator || second.token == Token::LParen {
            return None;
        }
        let root = word.clone().into_ident(first.span);
        let expr = match (&second.token, &third.token) {
            (Token::Period, Token::Word(field)) => {
                Expr::CompoundIdentifier(vec![root, field.clone().into_ident(third.span)])
            }
            (Token::Period, _) => return None,
            _ => Expr::Identifier(root),
        };
        let tokens = if matches!(expr, Expr::CompoundIdentifier(_)) { 3 } else { 1 };
        (0..tokens).for_each(|_| parser.advance_token());
        Some(Ok(expr))
    }

    fn parse_infix(&self, parser: &mut Parser, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        let (operator, negated) = operator(parser)?;
        (0..1 + usize::from(negated)).for_each(|_| parser.advance_token());
        Some(self.operation(parser, left, operator, precedence).map(|expr| match negated {
            true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) },
            false => expr,
        }))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        operator(parser).map(|_| Ok(self.prec_value(Precedence::Like)))
    }
}

impl RuleDialect {
    /// Parses the right side of `under` and `has`. `under` can be followed by `separator 'TEXT'`.
    fn operation(
        &self,
        parser: &mut Parser,
        left: &Expr,
        operator: &'static str,
        precedence: u8,
    ) -> Result<Expr, ParserError> {
        let right = Box::new(parser.parse_subexpr(precedence.max(self.prec_value(Precedence::Like)))?);
        let mut op = operator.to_owned();
        let is_separator =
            matches!(&parser.peek_token_ref().token, Token::Word(word) if word.value.eq_ignore_ascii_case("separator"));
        if operator == UNDER && is_separator {
            parser.advance_token();
            op = format!("{UNDER} {}", parser.parse_literal_string()?);
        }
        Ok(Expr::BinaryOp { left: Box::new(left.clone()), op: BinaryOperator::Custom(op), right })
    }
}

/// The operator `under` or `has` that comes next, and whether `not` precedes it.
fn operator(parser: &Parser) -> Option<(&'static str, bool)> {
    let named = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => {
            [UNDER, HAS].into_iter().find(|operator| word.value.eq_ignore_ascii_case(operator))
        }
        _ => None,
    };
    let [first, second] = parser.peek_tokens_ref::<2>();
    match &first.token {
        Token::Word(word) if word.keyword == Keyword::NOT => named(&second.token).map(|operator| (operator, true)),
        token => named(token).map(|operator| (operator, false)),
    }
}

/// Parses the text of a rule.
///
/// # Errors
/// [`crate::Error::Rule`].
pub(super) fn parse(source: &RuleSource) -> Result<Expr> {
    let dialect = RuleDialect;
    let tokens = Tokenizer::new(&dialect, source.text).tokenize_with_location();
    let tokens = tokens.map_err(|e| {
        source.error((e.location.line, e.location.column), "a rule", e.message, "see docs/constrained-decoding.md")
    })?;
    let literal = |token: &Token| {
        matches!(token, Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_))
    };
    let mut counted = tokens.iter().filter(|token| !literal(&token.token));
    if let Some(token) = counted.nth(MAX_TOKENS) {
        let (at, expected) = (token.span.start, format!("at most {MAX_TOKENS} words and operators"));
        let help = "pass long lists as parameters, such as `brand in user.brands`";
        return Err(source.error((at.line, at.column), expected, "more", help));
    }
    let last = tokens.last().map_or((1, 1), |token| (token.span.end.line, token.span.end.column));
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|error| failed(source, error, last))?;
    // Programs that write SQL end a statement with a semicolon.
    if let [Token::SemiColon, Token::EOF] = parser.peek_tokens_ref::<2>().map(|next| &next.token) {
        parser.advance_token();
    }
    let next = parser.peek_token_ref();
    match &next.token {
        Token::EOF => Ok(expr),
        token => {
            let at = (next.span.start.line, next.span.start.column);
            let help = "a file has one rule; combine conditions with `and` and `or`";
            Err(source.error(at, "an operator or the end of the rule", format!("{token}"), help))
        }
    }
}

/// The error of the parser, whose message ends with the position: "Expected: an expression, found: EOF at Line: 1, ...".
fn failed(source: &RuleSource, error: ParserError, last: (u64, u64)) -> crate::Error {
    let help = "see docs/constrained-decoding.md for the syntax";
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return source.error(last, format!("nesting of at most {MAX_DEPTH} levels"), "more", help);
        }
    };
    let (message, place) = message.split_once(" at Line: ").unwrap_or((&message, ""));
    let place =
        place.split_once(", Column: ").and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    let (expected, got) = match message.strip_prefix("Expected: ").and_then(|text| text.split_once(", found: ")) {
        Some((expected, got)) => (expected, if got == "EOF" { "the end of the rule" } else { got }),
        None => ("a rule", message),
    };
    source.error(place.unwrap_or(last), expected, got, help)
}
