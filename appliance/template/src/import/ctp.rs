//! CTP pixel scripts: `{ signature } (x,y,w,h) …`, and text around them, which is comment. The first signature that is true of an
//! image wins. A signature is made of `Keyword.method("text")` or `[gggg,eeee].method("text")`, `*` (and), `+` (or), `!` (not)
//! and parentheses (mircwiki.rsna.org, "The CTP DICOM Pixel Anonymizer"; PixelScript.java).

use super::{
    Problem,
    rule::{Area, Attribute, How, Parsed, Rule, Test},
};

/// Deepest parentheses.
const DEPTH: usize = 32;
/// Most alternatives of one signature.
const ALTERNATIVES: usize = 512;

/// Reads a script.
pub(super) fn read(text: &str) -> Result<Parsed, Problem> {
    let line_of = |offset: usize| text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count() + 1;
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    let mut at = text.find('{');
    while let Some(open) = at {
        let line = line_of(open);
        let close = text[open..].find('}').map(|n| open + n);
        let close = close.ok_or_else(|| Problem::at(line, "a signature without its }"))?;
        at = text[close..].find('{').map(|n| close + n);
        let areas = areas(text, close + 1, at.unwrap_or(text.len()), &line_of, &mut problems);
        let signature = &text[open + 1..close];
        let mut parser = Parser { text: signature, at: 0, line: &|offset| line_of(open + 1 + offset) };
        match parser.alternatives(0).and_then(|found| parser.end().map(|()| found)) {
            Ok(_) if areas.is_empty() => {
                problems.push(Problem::at(line, "a signature without a rectangle: CTP passes what matches it"))
            }
            Ok(found) => rules.extend(found.into_iter().map(|tests| Rule {
                line,
                tests,
                blank: areas.clone(),
                ..Rule::default()
            })),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((rules, problems))
}

/// The rectangles in `from..to`.
fn areas(
    text: &str,
    from: usize,
    to: usize,
    line_of: &dyn Fn(usize) -> usize,
    problems: &mut Vec<Problem>,
) -> Vec<Area> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(open) = text[at..to].find('(').map(|n| at + n) {
        let line = line_of(open);
        let Some(close) = text[open..to].find(')').map(|n| open + n) else {
            problems.push(Problem::at(line, "a rectangle without its )"));
            break;
        };
        let numbers: Option<Vec<i64>> = text[open + 1..close].split(',').map(|n| n.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => {
                found.push(Area { line, xywh: [x, y, width, height] });
            }
            _ => problems.push(Problem::at(line, "not a rectangle of four numbers; CTP passes over it")),
        }
        at = close + 1;
    }
    found
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    line: &'t dyn Fn(usize) -> usize,
}

/// Alternatives, each of tests that must all hold.
type Alternatives = Vec<Vec<Test>>;

impl Parser<'_> {
    fn error<T>(&self, what: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::at((self.line)(self.at.min(self.text.len())), what))
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is = self.peek() == Some(wanted);
        if is {
            self.at += wanted.len_utf8();
        }
        is
    }

    fn end(&mut self) -> Result<(), Problem> {
        match self.peek() {
            None => Ok(()),
            Some(other) => self.error(format!("{other:?} is not expected in a signature")),
        }
    }

    /// `a + b`.
    fn alternatives(&mut self, depth: usize) -> Result<Alternatives, Problem> {
        let mut all = self.all(depth)?;
        while self.take('+') {
            all.extend(self.all(depth)?);
        }
        if all.len() > ALTERNATIVES { self.error("too many alternatives") } else { Ok(all) }
    }

    /// `a * b`.
    fn all(&mut self, depth: usize) -> Result<Alternatives, Problem> {
        let mut all = self.one(depth)?;
        while self.take('*') {
            let more = self.one(depth)?;
            if all.len() * more.len() > ALTERNATIVES {
                return self.error("too many alternatives");
            }
            all = all.iter().flat_map(|a| more.iter().map(|b| [a.as_slice(), b].concat())).collect();
        }
        Ok(all)
    }

    /// A test, its negation, or a group.
    fn one(&mut self, depth: usize) -> Result<Alternatives, Problem> {
        if depth > DEPTH {
            return self.error("parentheses too deep");
        }
        if self.take('!') {
            return match self.one(depth + 1)?.as_slice() {
                [tests] if tests.len() == 1 => {
                    let mut test = tests[0].clone();
                    test.how = How::Other("not".to_owned());
                    Ok(vec![vec![test]])
                }
                _ => self.error("not of several tests"),
            };
        }
        if self.take('(') {
            let found = self.alternatives(depth + 1)?;
            return if self.take(')') { Ok(found) } else { self.error("( without its )") };
        }
        self.test().map(|test| vec![vec![test]])
    }

    /// `Keyword.method("text")`.
    fn test(&mut self) -> Result<Test, Problem> {
        self.peek();
        let line = (self.line)(self.at);
        let rest = &self.text[self.at..];
        let name_end = match rest.starts_with('[') {
            true => rest.find(']').map(|n| n + 1),
            false => rest.find(|c: char| !c.is_ascii_alphanumeric()),
        };
        let Some(name_end) = name_end.filter(|n| *n > 0) else { return self.error("an attribute is expected") };
        let attribute = Attribute::of(&rest[..name_end]);
        self.at += name_end;
        if !self.take('.') {
            return self.error(". and a method are expected");
        }
        self.peek();
        let rest = &self.text[self.at..];
        let method = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        self.at += method.len();
        let how = match method {
            "equals" => How::Equals { case: true },
            "equalsIgnoreCase" => How::Equals { case: false },
            "contains" => How::Contains { case: true },
            "containsIgnoreCase" => How::Contains { case: false },
            "startsWith" => How::StartsWith { case: true },
            "startsWithIgnoreCase" => How::StartsWith { case: false },
            "endsWith" => How::EndsWith { case: true },
            "endsWithIgnoreCase" => How::EndsWith { case: false },
            other => How::Other(other.to_owned()),
        };
        if !self.take('(') {
            return self.error("( is expected");
        }
        let value = self.quoted()?;
        if self.take(')') {
            Ok(Test { line, attribute, how, values: vec![value] })
        } else {
            self.error(") is expected")
        }
    }

    fn quoted(&mut self) -> Result<String, Problem> {
        if !self.take('"') {
            return self.error("a text in quotes is expected");
        }
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('"') else { return self.error("a text without its closing quote") };
        self.at += end + 1;
        Ok(rest[..end].to_owned())
    }
}
