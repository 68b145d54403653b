//! Moments as `%START_TIME(…)%` writes them: the specifiers of strftime(3), and Envoy's for fractions. Always UTC.

use std::fmt::Write as _;
use std::time::SystemTime;

use time::OffsetDateTime;

use super::write::Text;

/// What is written where nobody says how: `2026-01-31T23:59:59.999Z`.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// How a moment is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TimeFormat(Box<[Part]>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Box<str>),
    Year,
    /// Without the century.
    ShortYear,
    Month,
    Day,
    /// With a space in front of one digit.
    PaddedDay,
    DayOfYear,
    Hour,
    HalfDayHour,
    HalfDay,
    Minute,
    Second,
    MonthName,
    ShortMonthName,
    WeekdayName,
    ShortWeekdayName,
    /// So many digits behind the second's point.
    Fraction(u32),
    /// Since 1970, in units of so many digits behind the second's point.
    Epoch(u32),
}

impl TimeFormat {
    /// Reads a format; the default without one.
    pub(super) fn parse(format: Option<&str>) -> Result<Self, String> {
        let mut parts = Vec::new();
        read(format.filter(|it| !it.is_empty()).unwrap_or(DEFAULT), &mut parts)?;
        Ok(Self(parts.into()))
    }

    /// Writes a moment.
    pub(super) fn write(&self, at: SystemTime, to: &mut Text<'_>) {
        let at = OffsetDateTime::from(at);
        for part in &self.0 {
            // Writing to a line cannot fail.
            let _ = part.write(at, to);
        }
    }
}

fn read(format: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        literal(&rest[..at], parts);
        rest = &rest[at + 1..];
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let (width, after) = rest.split_at(digits);
        let Some(letter) = after.chars().next() else { return Err("ends within a specifier".to_owned()) };
        rest = &after[letter.len_utf8()..];
        if let ("1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9", 'f') | ("3" | "6" | "9", 's') =
            (width, letter)
        {
            let width = width.parse().unwrap_or(9);
            parts.push(if letter == 'f' { Part::Fraction(width) } else { Part::Epoch(width) });
            continue;
        }
        if digits > 0 {
            return Err(format!("unknown specifier %{width}{letter}"));
        }
        specifier(letter, parts)?;
    }
    literal(rest, parts);
    Ok(())
}

fn specifier(letter: char, parts: &mut Vec<Part>) -> Result<(), String> {
    parts.push(match letter {
        'Y' => Part::Year,
        'y' => Part::ShortYear,
        'm' => Part::Month,
        'd' => Part::Day,
        'e' => Part::PaddedDay,
        'j' => Part::DayOfYear,
        'H' => Part::Hour,
        'I' => Part::HalfDayHour,
        'p' => Part::HalfDay,
        'M' => Part::Minute,
        'S' => Part::Second,
        'B' => Part::MonthName,
        'b' | 'h' => Part::ShortMonthName,
        'A' => Part::WeekdayName,
        'a' => Part::ShortWeekdayName,
        'f' => Part::Fraction(9),
        's' => Part::Epoch(0),
        'z' => Part::Literal("+0000".into()),
        'Z' => Part::Literal("UTC".into()),
        'n' | 't' => Part::Literal(" ".into()),
        '%' => Part::Literal("%".into()),
        'F' => return read("%Y-%m-%d", parts),
        'T' => return read("%H:%M:%S", parts),
        'R' => return read("%H:%M", parts),
        'D' => return read("%m/%d/%y", parts),
        _ => return Err(format!("unknown specifier %{letter}")),
    });
    Ok(())
}

fn literal(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
}

impl Part {
    fn write(&self, at: OffsetDateTime, to: &mut Text<'_>) -> std::fmt::Result {
        let half = |hour: u8| if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        match self {
            Self::Literal(text) => to.write_str(text),
            Self::Year => write!(to, "{:04}", at.year()),
            Self::ShortYear => write!(to, "{:02}", at.year().rem_euclid(100)),
            Self::Month => write!(to, "{:02}", u8::from(at.month())),
            Self::Day => write!(to, "{:02}", at.day()),
            Self::PaddedDay => write!(to, "{:2}", at.day()),
            Self::DayOfYear => write!(to, "{:03}", at.ordinal()),
            Self::Hour => write!(to, "{:02}", at.hour()),
            Self::HalfDayHour => write!(to, "{:02}", half(at.hour())),
            Self::HalfDay => to.write_str(if at.hour() < 12 { "AM" } else { "PM" }),
            Self::Minute => write!(to, "{:02}", at.minute()),
            Self::Second => write!(to, "{:02}", at.second()),
            Self::MonthName => write!(to, "{}", at.month()),
            Self::ShortMonthName => write!(to, "{:.3}", at.month().to_string()),
            Self::WeekdayName => write!(to, "{}", at.weekday()),
            Self::ShortWeekdayName => write!(to, "{:.3}", at.weekday().to_string()),
            Self::Fraction(digits) => {
                let fraction = at.nanosecond() / 10_u32.pow(9 - digits);
                write!(to, "{fraction:0width$}", width = *digits as usize)
            }
            Self::Epoch(digits) => {
                write!(to, "{}", at.unix_timestamp_nanos() / 10_i128.pow(9 - digits))
            }
        }
    }
}
