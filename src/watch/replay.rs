//! The source `replay`: recordings of watch events, at their own pace or to their end at once.
//!
//! A recording is NDJSON, gzip'd or not, one event a line: `{"time": RFC 3339, "type": "ADDED|MODIFIED|DELETED", "object":
//! {…}}`. The time of everything that follows from it is that of the recording, so that a replay is the same every time.

use super::{Observation, Seen, documents, event_seen, files};
use crate::plan::Time;
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// What was there when the recording began comes as ADDED within this time of its first event.
const START: Duration = Duration::from_secs(1);

/// A recording, or several that are played together.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    at: Timestamp,
    initial: bool,
    text: Result<Box<[u8]>, String>,
    origin: String,
}

impl Recording {
    /// Reads the recording at `path`, or all recordings of a folder together.
    ///
    /// # Errors
    /// If there is nothing at `path`, it cannot be read, or it holds no event with a time.
    pub fn load(path: &Path) -> Result<Self, String> {
        let files = files::list(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut recordings = Vec::new();
        let alone = files.len() == 1;
        for file in files {
            let name = files::name(&file);
            let bytes = files::load(&file).map_err(|reason| format!("{name}: {reason}"))?;
            // Of several, one may have recorded a kind of which nothing was there.
            if alone || !bytes.iter().all(u8::is_ascii_whitespace) {
                recordings.push(Self::parse(&name, &bytes)?);
            }
        }
        if recordings.is_empty() {
            return Err(format!("{}: there is no recording in this folder", path.display()));
        }
        Ok(Self::together(recordings))
    }

    /// Reads a recording from bytes, gzip'd or not.
    ///
    /// # Errors
    /// If it is broken gzip, or holds no event with a time.
    pub fn unpack(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let bytes = documents::unpack(bytes.to_vec()).map_err(|reason| format!("{name}: {reason}"))?;
        Self::parse(name, &bytes)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        for document in documents::documents(bytes) {
            let origin = format!("{name}:{}", document.line);
            let time = document.json.as_ref().ok().and_then(|json| documents::event(json)?.time?.parse().ok());
            // A line without a time belongs to the one before it.
            let Some(at) = time.or_else(|| lines.last().map(|line: &Line| line.at)) else { continue };
            let text = document.json.map(|json| json.into_owned().into_boxed_slice());
            lines.push(Line { at, initial: false, text, origin });
        }
        let Some(first) = lines.first().map(|line| line.at) else {
            return Err(format!("{name}: it is no recording: it holds no event with a time"));
        };
        for line in &mut lines {
            let added =
                line.text.as_ref().is_ok_and(|json| documents::event(json).is_some_and(|event| event.kind == "ADDED"));
            if !added || line.at.duration_since(first).unsigned_abs() > START {
                break;
            }
            line.initial = true;
        }
        Ok(Self { lines })
    }

    /// Several recordings in order of time, as if they had been one.
    pub fn together(recordings: Vec<Self>) -> Self {
        let mut lines: Vec<Line> = recordings.into_iter().flat_map(|recording| recording.lines).collect();
        lines.sort_by_key(|line| line.at);
        Self { lines }
    }

    /// First and last instant.
    pub fn span(&self) -> Option<(Time, Time)> {
        Some((second(self.lines.first()?.at), second(self.lines.last()?.at)))
    }

    /// Everything up to and including the second `until`, or all of it, at once; the end last.
    pub fn observations(&self, until: Option<Time>) -> impl Iterator<Item = Observation> {
        let end = until.or(self.span().map(|(_, last)| last)).unwrap_or(Time::MIN);
        self.timed(until).map(|(_, observation)| observation).chain([Observation::new(end, Seen::Ended)])
    }

    /// The same with the exact instants, without the end.
    fn timed(&self, until: Option<Time>) -> impl Iterator<Item = (Timestamp, Observation)> {
        let shown = self.lines.iter().take_while(|line| until.is_none_or(|until| second(line.at) <= until)).count();
        let lines = &self.lines[..shown];
        let synced = lines.iter().position(|line| !line.initial).unwrap_or(shown);
        let last = lines.last().map(|line| (line.at, Observation::new(second(line.at), Seen::Synced)));
        let events = lines.iter().enumerate().flat_map(move |(number, line)| {
            let at = second(line.at);
            let mut found = Vec::new();
            if number == synced {
                found.push(Seen::Synced);
            }
            match &line.text {
                Err(reason) => found.push(Seen::BadInput(line.origin.clone(), reason.clone())),
                Ok(json) => match documents::event(json) {
                    Some(event) => found.extend(event_seen(event, &line.origin)),
                    None => found.push(Seen::BadInput(line.origin.clone(), "it is no event".to_owned())),
                },
            }
            found.into_iter().map(move |what| (line.at, Observation::new(at, what)))
        });
        // A recording that shows nothing but what was there at its start is complete at its end.
        events.chain(last.filter(|_| synced == shown))
    }
}

fn second(at: Timestamp) -> Time {
    Time::from_unix(at.as_second()).unwrap_or(Time::MIN)
}

/// How a recording is played.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many times faster than it was recorded.
    pub speed: f64,
    /// Where it stops and stays.
    pub until: Option<Time>,
    /// Whether it starts again at its end.
    pub repeat: bool,
    /// No pause lasts longer than this, so that nobody watches a recording in which nothing happens.
    pub longest_pause: Duration,
}

impl Pace {
    /// How long to wait between two events of a recording.
    pub fn pause(&self, before: Timestamp, after: Timestamp) -> Duration {
        after.duration_since(before).unsigned_abs().div_f64(self.speed).min(self.longest_pause)
    }
}

/// Plays a recording until its end, or for ever, or until the receiver is gone. With an instant to stop at it goes there at once.
pub async fn play(recording: Recording, pace: Pace, to: mpsc::Sender<Observation>) {
    loop {
        let mut before: Option<Timestamp> = None;
        let mut last = None;
        for (at, observation) in recording.timed(pace.until) {
            if let (Some(before), None) = (before, pace.until) {
                tokio::select! {
                    () = to.closed() => return,
                    () = tokio::time::sleep(pace.pause(before, at)) => {}
                }
            }
            before = Some(at);
            last = Some(observation.at);
            if to.send(observation).await.is_err() {
                return;
            }
        }
        let end = pace.until.or(last).unwrap_or(Time::MIN);
        let again = pace.repeat && pace.until.is_none() && last.is_some();
        let what = if again { Seen::Restarted } else { Seen::Ended };
        if to.send(Observation::new(end, what)).await.is_err() {
            return;
        }
        if !again {
            return to.closed().await;
        }
    }
}
