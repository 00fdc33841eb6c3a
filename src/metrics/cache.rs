//! The lines of each plan and provider, kept until it changes.
//!
//! Owned by the loop, which puts in what changed; a scrape gets an [`Exposition`] of what is here. One changed plan costs the
//! rendering of one plan.

use super::exposition::Exposition;
use super::families::{FAMILIES, Fleet, PlanContext, Render};
use super::write::{Out, TextSink};
use crate::plan::{Key, PlanPhase, Provider, VmPhase};
use std::sync::Arc;

/// The rendered lines of every plan and provider.
#[derive(Debug, Default)]
pub struct Cache {
    plans: imbl::OrdMap<Key, Arc<Rendered>>,
    providers: imbl::OrdMap<Key, Arc<Rendered>>,
    fleet: Fleet,
    samples: u64,
}

/// The lines of one object, family by family.
#[derive(Debug)]
pub(super) struct Rendered {
    text: Box<str>,
    /// For each family of the table, where its lines end.
    ends: Box<[u32]>,
    samples: u32,
    /// What the object counts for in the fleet: the phase of a plan and its VMs by phase.
    counts: Option<(PlanPhase, [u32; VmPhase::ALL.len()])>,
}

impl Rendered {
    /// The lines of the family at this place in the table.
    pub(super) fn lines(&self, family: usize) -> &str {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let start = family.checked_sub(1).map_or(0, end);
        self.text.get(start..end(family)).unwrap_or_default()
    }
}

impl Cache {
    /// Renders a plan that is new or has changed.
    pub fn put_plan(&mut self, plan: &PlanContext<'_>) {
        let mut rendered = render(|render, out| match render {
            Render::Plan(write) => write(plan, out),
            Render::Provider(_) | Render::Fleet(_) => {}
        });
        rendered.counts = Some((plan.state.phase, plan.state.vm_counts()));
        self.count(&rendered, true);
        let old = self.plans.insert(plan.state.plan.key.clone(), Arc::new(rendered));
        self.uncount(old);
    }

    /// Forgets a plan.
    pub fn remove_plan(&mut self, key: &Key) {
        let old = self.plans.remove(key);
        self.uncount(old);
    }

    /// Renders a provider that is new or has changed.
    pub fn put_provider(&mut self, provider: &Provider) {
        let rendered = render(|render, out| match render {
            Render::Provider(write) => write(provider, out),
            Render::Plan(_) | Render::Fleet(_) => {}
        });
        self.count(&rendered, true);
        let old = self.providers.insert(provider.key.clone(), Arc::new(rendered));
        self.uncount(old);
    }

    /// Forgets a provider.
    pub fn remove_provider(&mut self, key: &Key) {
        let old = self.providers.remove(key);
        self.uncount(old);
    }

    /// One consistent view for the scrapes of this generation. What it costs does not depend on the number of plans.
    pub fn exposition(&self) -> Exposition {
        Exposition::new(self.plans.clone(), self.providers.clone(), self.fleet, self.samples)
    }

    fn uncount(&mut self, old: Option<Arc<Rendered>>) {
        if let Some(old) = old {
            self.count(&old, false);
        }
    }

    fn count(&mut self, rendered: &Rendered, added: bool) {
        let step = |total: &mut u64, by: u32| {
            *total = if added { total.saturating_add(by.into()) } else { total.saturating_sub(by.into()) };
        };
        step(&mut self.samples, rendered.samples);
        if let Some((phase, vms)) = &rendered.counts {
            step(&mut self.fleet.plans[*phase as usize], 1);
            for (total, count) in self.fleet.vms.iter_mut().zip(vms) {
                step(total, *count);
            }
        }
    }
}

fn render(mut write: impl FnMut(Render, &mut Out<'_>)) -> Rendered {
    let mut sink = TextSink::default();
    let mut ends = Vec::with_capacity(FAMILIES.len());
    for family in FAMILIES {
        write(family.render, &mut Out { family, sink: &mut sink });
        ends.push(u32::try_from(sink.text.len()).unwrap_or(u32::MAX));
    }
    Rendered { text: sink.text.into(), ends: ends.into(), samples: sink.samples, counts: None }
}
