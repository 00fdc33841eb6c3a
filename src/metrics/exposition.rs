//! One consistent view of all families, made into a body once for each format and shared by every scrape.
//!
//! Made by [`super::Cache`] at each change and published by the loop; used by `http` and `cli`. A body is put together when it
//! is first asked for, so that a daemon that nobody scrapes does no work. Our own metrics differ at every scrape: they are
//! a part of their own, before the rest.

use super::cache::Rendered;
use super::families::{FAMILIES, Fleet, Render};
use super::format::Format;
use super::gzip::{self, Segment};
use super::write::{Out, TextSink};
use crate::plan::Key;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// All families at one instant.
#[derive(Debug, Default)]
pub struct Exposition {
    plans: imbl::OrdMap<Key, Arc<Rendered>>,
    providers: imbl::OrdMap<Key, Arc<Rendered>>,
    fleet: Fleet,
    samples: u64,
    openmetrics: Body,
    text: Body,
}

/// A body in one format, once it was asked for.
#[derive(Debug, Default)]
struct Body {
    plain: OnceLock<Bytes>,
    deflated: OnceLock<Segment>,
}

impl Exposition {
    pub(super) fn new(
        plans: imbl::OrdMap<Key, Arc<Rendered>>,
        providers: imbl::OrdMap<Key, Arc<Rendered>>,
        fleet: Fleet,
        samples: u64,
    ) -> Self {
        let fleet_samples = (fleet.plans.len() + fleet.vms.len()) as u64;
        Self { plans, providers, fleet, samples: samples + fleet_samples, ..Self::default() }
    }

    /// How many samples there are, our own metrics aside.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The whole page as text: `own` is what [`super::Own::encode`] gives. In parts, the last one closing it.
    pub fn plain(&self, format: Format, own: String) -> [Bytes; 3] {
        [format.own(own).into(), self.families(format), format.end().into()]
    }

    /// The whole page as one gzip member.
    pub fn gzip(&self, format: Format, own: String) -> Bytes {
        let own = gzip::deflate(format.own(own).as_bytes());
        let end = gzip::deflate(format.end().as_bytes());
        let families = self.body(format).deflated.get_or_init(|| gzip::deflate(&self.families(format)));
        gzip::member(&[&own, families, &end])
    }

    /// The families, without our own metrics and without an end.
    pub fn families(&self, format: Format) -> Bytes {
        self.body(format).plain.get_or_init(|| self.assemble(format).into()).clone()
    }

    fn body(&self, format: Format) -> &Body {
        match format {
            Format::OpenMetrics => &self.openmetrics,
            Format::Text => &self.text,
        }
    }

    fn assemble(&self, format: Format) -> String {
        let mut sink = TextSink::default();
        for (at, family) in FAMILIES.iter().enumerate() {
            format.head(&mut sink.text, family);
            let objects = match family.render {
                Render::Plan(_) => &self.plans,
                Render::Provider(_) => &self.providers,
                Render::Fleet(write) => {
                    write(&self.fleet, &mut Out { family, sink: &mut sink });
                    continue;
                }
            };
            for object in objects.values() {
                sink.text.push_str(object.lines(at));
            }
        }
        sink.text
    }
}
