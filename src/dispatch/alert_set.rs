//! Alerts, each once, in order of their ids: what a receiver knows.
//!
//! A sorted vector: most hold one alert, and thousands of them are kept.

use crate::alert::{Alert, AlertId};

/// Alerts by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSet(Vec<Alert>);

impl AlertSet {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the alert of this id is there.
    pub fn contains(&self, id: &AlertId) -> bool {
        self.0.binary_search_by(|alert| alert.id.cmp(id)).is_ok()
    }

    /// The alerts, in order of their ids.
    pub fn iter(&self) -> std::slice::Iter<'_, Alert> {
        self.0.iter()
    }

    /// Keeps those that this holds for.
    pub fn retain(&mut self, holds: impl FnMut(&Alert) -> bool) {
        self.0.retain(holds);
    }
}

impl Extend<Alert> for AlertSet {
    /// Of two with one id the later one stays.
    fn extend<I: IntoIterator<Item = Alert>>(&mut self, alerts: I) {
        self.0.extend(alerts);
        // Stable: the later one is behind, and the first of its kind once this is turned round.
        self.0.reverse();
        self.0.sort_by(|one, other| one.id.cmp(&other.id));
        self.0.dedup_by(|later, earlier| later.id == earlier.id);
        self.0.shrink_to_fit();
    }
}

impl FromIterator<Alert> for AlertSet {
    fn from_iter<I: IntoIterator<Item = Alert>>(alerts: I) -> Self {
        let mut set = Self::default();
        set.extend(alerts);
        set
    }
}

impl<'a> IntoIterator for &'a AlertSet {
    type Item = &'a Alert;
    type IntoIter = std::slice::Iter<'a, Alert>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for AlertSet {
    type Item = Alert;
    type IntoIter = std::vec::IntoIter<Alert>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
