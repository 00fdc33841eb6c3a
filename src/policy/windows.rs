//! Times of the week at which archiving is allowed, in UTC: `Mon-Fri 20:00-06:00`. Pure arithmetic on instants.

use crate::plan::Time;
use std::fmt;
use std::time::Duration;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: u32 = 86_400;
const WEEK: u32 = 7 * DAY;

/// A window: on some days from one time to another. One that ends at or before its beginning ends on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The days on which it begins, Monday first.
    days: [bool; 7],
    /// Its beginning and its end, in seconds after midnight.
    from: u32,
    to: u32,
}

impl Window {
    /// Reads a window. Without days it is on every day.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (days, times) = match text.trim().rsplit_once(' ') {
            Some((days, times)) => (days_of(days)?, times),
            None => ([true; 7], text.trim()),
        };
        let wrong = || format!("{text:?} is no window; one is like Mon-Fri 20:00-06:00, Sat,Sun 00:00-24:00 or 22:00-04:00");
        let (from, to) = times.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (time(from).ok_or_else(wrong)?, time(to).ok_or_else(wrong)?);
        if from == DAY {
            return Err(format!("{text:?} begins at 24:00; that is 00:00 of the next day"));
        }
        if from == to {
            return Err(format!("{text:?} ends when it begins; a whole day is 00:00-24:00"));
        }
        Ok(Self { days, from, to })
    }

    fn length(self) -> u32 {
        if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from }
    }

    /// When it begins, in seconds after the beginning of the week.
    fn starts(self) -> impl Iterator<Item = u32> {
        (0..7).filter(move |day| self.days[*day as usize]).map(move |day| day * DAY + self.from)
    }

    /// How many seconds are left of it; 0 outside.
    fn left(self, now: u32) -> u32 {
        let left = |start: u32| self.length().saturating_sub((now + WEEK - start) % WEEK);
        self.starts().map(left).max().unwrap_or_default()
    }
}

/// Seconds after the beginning of the week. 1970 began on a Thursday.
fn of_week(at: Time) -> u32 {
    (at.unix() % WEEK + 3 * DAY) % WEEK
}

fn time(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number =
        |part: &str| (part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit())).then(|| part.parse::<u32>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 3600 + minutes * 60)
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`.
fn days_of(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("there is no day {name:?}; there are {}", DAYS.join(", ")))
    };
    let mut days = [false; 7];
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        (0..=(last + 7 - first) % 7).for_each(|offset| days[(first + offset) % 7] = true);
    }
    Ok(days)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |seconds: u32| format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
        let days: Vec<&str> = DAYS.iter().zip(self.days).filter(|(_, is_on)| *is_on).map(|(day, _)| *day).collect();
        if days.len() < 7 {
            write!(f, "{} ", days.join(","))?;
        }
        write!(f, "{}-{}", clock(self.from), clock(self.to))
    }
}

/// Several windows; none of them stands for always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(pub Vec<Window>);

impl Windows {
    /// When the next one opens; `None` while one is open.
    pub fn opens(&self, now: Time) -> Option<Time> {
        let week = of_week(now);
        if self.0.is_empty() || self.left(week) > 0 {
            return None;
        }
        let waits = self.0.iter().flat_map(|window| window.starts()).map(|start| (start + WEEK - week) % WEEK);
        waits.min().map(|wait| now.plus(Duration::from_secs(wait.into())))
    }

    /// When those that are open have closed; `None` if none is, and if they never do.
    pub fn closes(&self, now: Time) -> Option<Time> {
        let mut open = 0;
        // One window can end in another.
        while let left @ 1.. = self.left((of_week(now) + open) % WEEK) {
            open += left;
            if open >= WEEK {
                return None;
            }
        }
        (open > 0).then(|| now.plus(Duration::from_secs(open.into())))
    }

    fn left(&self, week: u32) -> u32 {
        self.0.iter().map(|window| window.left(week)).max().unwrap_or_default()
    }
}
