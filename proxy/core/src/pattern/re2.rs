//! Where the syntax of RE2, which Consul's users write, and that of Rust's expressions differ.
//!
//! Most is the same. What is not is rewritten here, so that an expression means what it means to Envoy: `\Q…\E`, `\C`,
//! `\d` and its like of ASCII alone, a brace or a bracket that stands for itself, no operations on sets. What neither
//! knows (look-around, back-references) is left for the parser to refuse.

/// `re2` in Rust's syntax.
pub(super) fn translate(re2: &str) -> String {
    let mut to = Translation { rest: re2, out: String::with_capacity(re2.len() + 16) };
    while let Some(next) = to.take() {
        match next {
            '\\' => to.escape(),
            '[' => to.class(),
            '{' if !starts_with_count(to.rest) => to.out.push_str(r"\{"),
            other => to.out.push(other),
        }
    }
    to.out
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Translation<'a> {
    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        Some(next)
    }

    /// Whether the rest begins with `text`, which is then taken.
    fn take_text(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What follows a backslash outside of brackets.
    fn escape(&mut self) {
        match self.take() {
            Some('Q') => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                self.out.push_str(&regex_syntax::escape(quoted));
            }
            // Any byte, be it half of a character.
            Some('C') => self.out.push_str("(?s-u:.)"),
            Some(word @ ('b' | 'B')) => {
                self.out.push_str(r"(?-u:\");
                self.out.push(word);
                self.out.push(')');
            }
            Some(name) => match perl(name) {
                Some((members, negated)) => {
                    self.out.push_str(if negated { "[^" } else { "[" });
                    self.out.push_str(members);
                    self.out.push(']');
                }
                None => self.escaped(name),
            },
            None => self.out.push('\\'),
        }
    }

    /// An escape that means the same in and out of brackets.
    fn escaped(&mut self, name: char) {
        match name {
            // To Rust these are the borders of a word.
            '<' | '>' => self.out.push(name),
            'p' if self.take_text("{^") => self.out.push_str(r"\P{"),
            'P' if self.take_text("{^") => self.out.push_str(r"\p{"),
            other => {
                self.out.extend(['\\', other]);
                // The braces of `\p{Greek}` and `\x{1F600}` count nothing.
                if matches!(other, 'p' | 'P' | 'x') && self.take_text("{") {
                    self.out.push('{');
                }
            }
        }
    }

    /// What follows an opening bracket, up to the one that closes it.
    fn class(&mut self) {
        self.out.push('[');
        if self.take_text("^") {
            self.out.push('^');
        }
        // A bracket that closes nothing stands for itself.
        if self.take_text("]") {
            self.out.push_str(r"\]");
        }
        while let Some(next) = self.take() {
            match next {
                ']' => return self.out.push(']'),
                '[' => match self.rest.strip_prefix(':').and_then(|rest| rest.split_once(":]")) {
                    Some((name, rest)) => {
                        self.rest = rest;
                        self.out.push_str("[:");
                        self.out.push_str(name);
                        self.out.push_str(":]");
                    }
                    None => self.out.push_str(r"\["),
                },
                // Doubled, Rust takes these for operators.
                '&' | '~' => self.out.extend(['\\', next]),
                '-' if self.take_text("-") => self.out.push_str(r"-\-"),
                '\\' => self.escape_in_class(),
                other => self.out.push(other),
            }
        }
    }

    fn escape_in_class(&mut self) {
        let Some(name) = self.take() else { return self.out.push('\\') };
        match perl(name) {
            Some((members, false)) => self.out.push_str(members),
            Some((members, true)) => {
                self.out.push_str("[^");
                self.out.push_str(members);
                self.out.push(']');
            }
            None => self.escaped(name),
        }
    }
}

/// What `\d`, `\s` and `\w` have in them, and whether `name` is the one that has all else.
fn perl(name: char) -> Option<(&'static str, bool)> {
    let members = match name.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\f\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((members, name.is_ascii_uppercase()))
}

/// Whether what follows a brace makes it a repetition: `2}`, `2,}` or `2,3}`.
fn starts_with_count(rest: &str) -> bool {
    let Some((count, _)) = rest.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_two_syntaxes_share_stays_as_it_is() {
        for same in [
            "",
            "/a|/b",
            r"/v[0-9]+/.*",
            "(?i)/a",
            "(?P<name>x)",
            r"\.json$",
            "a{2}b{2,}c{2,3}",
            r"\pN\p{Greek}\x{e9}",
            "[[:alpha:]x]",
            "[^/]",
            r"\\",
            r"[\]]",
            "(?U)a+?",
            "é",
        ] {
            assert_eq!(translate(same), same);
        }
    }

    #[test]
    fn what_they_do_not_share_is_rewritten() {
        for (written, expected) in [
            (r"/\Qa.b*\E.", r"/a\.b\*."),
            (r"\Qa+", r"a\+"),
            (r"\Q\E", ""),
            (r"\C", "(?s-u:.)"),
            (r"\d\D\s\w", r"[0-9][^0-9][\t\n\f\r ][0-9A-Za-z_]"),
            (r"[\d\W-]", "[0-9[^0-9A-Za-z_]-]"),
            (r"\ba\B", r"(?-u:\b)a(?-u:\B)"),
            (r"\<a\>", "<a>"),
            (r"\p{^Greek}[\P{^Greek}]", r"\P{Greek}[\p{Greek}]"),
            ("/{id}/a{,5}{", r"/\{id}/a\{,5}\{"),
            ("[[a]", r"[\[a]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[a&&b~~c]", r"[a\&\&b\~\~c]"),
            ("[+--]", r"[+-\-]"),
            ("\\", "\\"),
            ("[\\", "[\\"),
        ] {
            assert_eq!(translate(written), expected, "{written}");
        }
    }
}
