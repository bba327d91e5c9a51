//! The part of Python that catalogues are written in: calls with literal arguments, lists, tuples, texts (also those in which a
//! constant stands), numbers, constants, list comprehensions over literals. Nothing is run.

use std::collections::BTreeMap;

use super::Problem;

/// Deepest brackets.
const DEPTH: usize = 64;

/// An expression and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Spanned {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Word(String),
    List(Vec<Spanned>),
    Call(String, Vec<(Option<String>, Spanned)>),
    /// Something else, which is not understood.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// A text, and whether constants in braces are to be put in.
    Text(String, bool),
    Number(i64),
    Sign(char),
}

/// Calls of the functions `names`, wherever they stand.
pub(super) fn calls(text: &str, names: &[&str]) -> Result<Vec<Spanned>, Problem> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, constants: BTreeMap::new() };
    let mut found = Vec::new();
    while let Some((token, _)) = reader.tokens.get(reader.at) {
        let before = reader.at.checked_sub(1).map(|at| &tokens[at].0);
        let defined = matches!(before, Some(Token::Word(word)) if word == "def" || word == "class");
        match (token, reader.sign(1)) {
            (Token::Word(name), Some('(')) if !defined && names.contains(&name.as_str()) => {
                found.push(reader.expression(0)?);
            }
            (Token::Word(name), Some('='))
                if before != Some(&Token::Sign('(')) && before != Some(&Token::Sign(',')) =>
            {
                if let (Some((Token::Text(text, false), _)), name) = (tokens.get(reader.at + 2), name.clone()) {
                    reader.constants.insert(name, text.clone());
                }
                reader.at += 1;
            }
            _ => reader.at += 1,
        }
    }
    Ok(found)
}

struct Reader<'t> {
    tokens: &'t [(Token, usize)],
    at: usize,
    constants: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn sign(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Sign(sign), _)) => Some(*sign),
            _ => None,
        }
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn take(&mut self, sign: char) -> bool {
        let is = self.sign(0) == Some(sign);
        self.at += usize::from(is);
        is
    }

    /// One expression; the reader then stands behind it.
    fn expression(&mut self, depth: usize) -> Result<Spanned, Problem> {
        let line = self.line();
        if depth > DEPTH {
            return Err(Problem::at(line, "brackets too deep"));
        }
        let value = self.operand(depth)?;
        // What is joined by an operator is not understood.
        let ends = |c: char| ",)]}=:".contains(c);
        if self.at >= self.tokens.len() || self.sign(0).is_some_and(ends) || self.word(0) == Some("for") || depth == 0 {
            return Ok(Spanned { line, value });
        }
        self.skip()?;
        Ok(Spanned { line, value: Value::Other })
    }

    fn operand(&mut self, depth: usize) -> Result<Value, Problem> {
        let Some((token, line)) = self.tokens.get(self.at).cloned() else {
            return Err(Problem::at(self.line(), "ends within an expression"));
        };
        self.at += 1;
        Ok(match token {
            Token::Text(text, put_in) => {
                let mut all = self.put_in(text, put_in);
                // Texts beside each other are one.
                while let Some((Token::Text(more, put_in), _)) = self.tokens.get(self.at).cloned() {
                    self.at += 1;
                    all = all.zip(self.put_in(more, put_in)).map(|(a, b)| a + &b);
                }
                all.map_or(Value::Other, Value::Text)
            }
            Token::Number(number) => Value::Number(number),
            Token::Sign('-') => match self.tokens.get(self.at) {
                Some((Token::Number(number), _)) => {
                    self.at += 1;
                    Value::Number(-number)
                }
                _ => Value::Other,
            },
            Token::Sign(open @ ('[' | '(')) => self.list(open, line, depth)?,
            Token::Word(name) if self.sign(0) == Some('(') => {
                self.at += 1;
                Value::Call(name, self.arguments(line, depth)?)
            }
            Token::Word(name) => match self.constants.get(&name) {
                Some(text) => Value::Text(text.clone()),
                None => Value::Word(name),
            },
            Token::Sign(_) => {
                self.at -= 1;
                Value::Other
            }
        })
    }

    fn put_in(&self, text: String, put_in: bool) -> Option<String> {
        if !put_in {
            return Some(text);
        }
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}')? + open;
            out += &rest[..open];
            out += self.constants.get(&rest[open + 1..close])?;
            rest = &rest[close + 1..];
        }
        Some(out + rest)
    }

    /// A list or tuple, the opening bracket of which was taken; a comprehension over a literal is written out.
    fn list(&mut self, open: char, line: usize, depth: usize) -> Result<Value, Problem> {
        let close = if open == '[' { ']' } else { ')' };
        let mut items = Vec::new();
        while !self.take(close) {
            if self.at >= self.tokens.len() {
                return Err(Problem::at(line, format!("{open} without its {close}")));
            }
            let before = self.at;
            let item = self.expression(depth + 1)?;
            if self.word(0) == Some("for") && items.is_empty() {
                items = self.comprehension(&item, depth)?;
                return if self.take(close) {
                    Ok(Value::List(items))
                } else {
                    self.skip()?;
                    self.take(close);
                    Ok(Value::Other)
                };
            }
            items.push(item);
            if !self.take(',') && self.sign(0) != Some(close) {
                self.skip()?;
                self.take(',');
            }
            self.progress(before)?;
        }
        Ok(Value::List(items))
    }

    /// `for a, b in [(1, 2), …]`: the item with the words put in.
    fn comprehension(&mut self, item: &Spanned, depth: usize) -> Result<Vec<Spanned>, Problem> {
        self.at += 1;
        let mut names = Vec::new();
        while let Some(word) = self.word(0).filter(|w| *w != "in") {
            names.push(word.to_owned());
            self.at += 1;
            self.take(',');
        }
        let line = self.line();
        if self.word(0) != Some("in") || names.is_empty() {
            return Err(Problem::at(line, "a comprehension that is not understood"));
        }
        self.at += 1;
        let Value::List(over) = self.expression(depth + 1)?.value else {
            return Err(Problem::at(line, "a comprehension over something that is no list"));
        };
        Ok(over
            .into_iter()
            .map(|values| {
                let each = match values.value {
                    Value::List(each) if names.len() > 1 => each.into_iter().map(|v| v.value).collect(),
                    other => vec![other],
                };
                let with: BTreeMap<&str, Value> = names.iter().map(String::as_str).zip(each).collect();
                Spanned { line: values.line, value: replaced(&item.value, &with) }
            })
            .collect())
    }

    /// Arguments, the opening bracket of which was taken.
    fn arguments(&mut self, line: usize, depth: usize) -> Result<Vec<(Option<String>, Spanned)>, Problem> {
        let mut arguments = Vec::new();
        while !self.take(')') {
            if self.at >= self.tokens.len() {
                return Err(Problem::at(line, "( without its )"));
            }
            let before = self.at;
            let name = match (self.word(0), self.sign(1)) {
                (Some(name), Some('=')) => Some(name.to_owned()),
                _ => None,
            };
            self.at += if name.is_some() { 2 } else { 0 };
            arguments.push((name, self.expression(depth + 1)?));
            if !self.take(',') && self.sign(0) != Some(')') {
                self.skip()?;
                self.take(',');
            }
            self.progress(before)?;
        }
        Ok(arguments)
    }

    /// A closing bracket that nothing opened is not gone past.
    fn progress(&self, before: usize) -> Result<(), Problem> {
        if self.at > before { Ok(()) } else { Err(Problem::at(self.line(), "a bracket that closes nothing")) }
    }

    /// Goes to the next comma or closing bracket that belongs to what is around.
    fn skip(&mut self) -> Result<(), Problem> {
        let (line, mut depth) = (self.line(), 0_usize);
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') if depth > 0 => depth -= 1,
                Token::Sign(')' | ']' | '}') => return Ok(()),
                Token::Sign(',') if depth == 0 => return Ok(()),
                _ => {}
            }
            self.at += 1;
        }
        Err(Problem::at(line, "ends within brackets"))
    }
}

fn replaced(value: &Value, with: &BTreeMap<&str, Value>) -> Value {
    let each = |item: &Spanned| Spanned { line: item.line, value: replaced(&item.value, with) };
    match value {
        Value::Word(word) => with.get(word.as_str()).cloned().unwrap_or_else(|| value.clone()),
        Value::List(items) => Value::List(items.iter().map(each).collect()),
        Value::Call(name, arguments) => {
            Value::Call(name.clone(), arguments.iter().map(|(key, item)| (key.clone(), each(item))).collect())
        }
        other => other.clone(),
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Problem> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' => {
                line += 1;
                1
            }
            c if c.is_whitespace() || c == '\\' => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..end];
                let prefix = word.to_ascii_lowercase();
                if rest[end..].starts_with(['"', '\''])
                    && prefix.len() <= 2
                    && prefix.chars().all(|c| "rfbu".contains(c))
                {
                    let (content, length, lines) = quoted(&rest[end..], prefix.contains('r'), line)?;
                    tokens.push((Token::Text(content, prefix.contains('f')), line));
                    line += lines;
                    end + length
                } else {
                    tokens.push((Token::Word(word.to_owned()), line));
                    end
                }
            }
            '"' | '\'' => {
                let (content, length, lines) = quoted(rest, false, line)?;
                tokens.push((Token::Text(content, false), line));
                line += lines;
                length
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
                let number = rest[..end].replace('_', "");
                let hex = number.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
                // A fraction is no number of pixels.
                let token = hex.or_else(|| number.parse().ok()).map_or(Token::Sign('.'), Token::Number);
                tokens.push((token, line));
                end
            }
            sign => {
                tokens.push((Token::Sign(sign), line));
                sign.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// A text at the beginning of `rest`: its content, its length with the quotes, and line breaks in it.
fn quoted(rest: &str, raw: bool, line: usize) -> Result<(String, usize, usize), Problem> {
    let quote = &rest[..1];
    let triple = quote.repeat(3);
    let delimiter = if rest.starts_with(&triple) { triple.as_str() } else { quote };
    let mut content = String::new();
    let mut characters = rest[delimiter.len()..].char_indices();
    while let Some((at, c)) = characters.next() {
        let here = delimiter.len() + at;
        if rest[here..].starts_with(delimiter) {
            let length = here + delimiter.len();
            return Ok((content, length, rest[..length].matches('\n').count()));
        }
        match c {
            '\n' if delimiter.len() == 1 => break,
            '\\' => match characters.next() {
                Some((_, next)) if raw => content.extend(['\\', next]),
                Some((_, '\n')) => {}
                Some((_, 'n')) => content.push('\n'),
                Some((_, 't')) => content.push('\t'),
                Some((_, next @ ('\\' | '\'' | '"'))) => content.push(next),
                // As Python has it: an escape that means nothing stays.
                Some((_, next)) => content.extend(['\\', next]),
                None => break,
            },
            c => content.push(c),
        }
    }
    Err(Problem::at(line, "a text without its closing quote"))
}
