//! The objects of a scenario, as people would make them.
//!
//! Called by the runner.

use super::{Plan, Scenario, Vm};
use crate::core::{Kind, PLAN};
use serde_json::{Map, Value, json};

/// The namespace of providers.
pub(super) const PROVIDERS: &str = "forklift";

fn object(kind: Kind, namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "forklift.konveyor.io/v1beta1", "kind": kind.name(),
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

impl Scenario {
    /// Providers, and maps unless the scenario is without.
    pub(super) fn infrastructure(&self) -> Vec<Value> {
        let host = json!({ "type": "openshift", "url": "", "secret": {} });
        let mut all = vec![object(Kind::Provider, PROVIDERS, "host", host)];
        for provider in &self.providers {
            let mut settings = json!({ "sdkEndpoint": "vcenter" });
            if provider.vddk {
                settings["vddkInitImage"] = json!("registry.example/vddk:8");
            }
            let spec = json!({
                "type": provider.kind, "url": format!("https://{}.example/sdk", provider.name), "settings": settings,
                "secret": { "name": provider.name, "namespace": PROVIDERS },
            });
            all.push(object(Kind::Provider, PROVIDERS, &provider.name, spec));
        }
        let there = |which: &&str| !self.without.iter().any(|without| without == which);
        all.extend(["network", "storage"].into_iter().filter(there).flat_map(|which| self.maps(which)));
        all
    }

    /// A map for each source.
    pub(super) fn maps(&self, which: &str) -> Vec<Value> {
        let (kind, prefix) = if which == "network" { (Kind::NetworkMap, "net") } else { (Kind::StorageMap, "sto") };
        let map = |provider: &super::Provider| {
            let spec = json!({ "provider": sides(&provider.name), "map": [] });
            object(kind, self.namespace(), &format!("{prefix}-{}", provider.name), spec)
        };
        self.providers.iter().map(map).collect()
    }

    /// A plan of one of its names.
    pub(super) fn plan(&self, plan: &Plan, number: usize, name: &str) -> Value {
        let source = plan.source.as_deref().or(self.providers.first().map(|provider| provider.name.as_str()));
        let source = source.unwrap_or("host");
        let namespace = self.namespace();
        let (mut vms, mut worlds) = (Vec::new(), Map::new());
        let several = plan.vms.iter().flat_map(|vm| (1..=vm.count.unwrap_or(1)).map(move |index| (vm, index)));
        for (place, (vm, index)) in several.enumerate() {
            let filled = |text: &str| text.replace("{n}", &format!("{number:02}")).replace("{i}", &format!("{index:02}"));
            let vm_name = filled(&vm.name);
            let id = vm.id.as_deref().map_or_else(|| format!("vm-{}", 100 * number + place + 1), &filled);
            worlds.insert(vm_name.clone(), world(vm, number, &id));
            let mut entry = vm.spec.clone();
            entry.insert("name".into(), json!(vm_name));
            if !vm.by_name {
                entry.insert("id".into(), json!(id));
            }
            if !vm.hooks.is_empty() {
                let hook = |(step, hook): (&String, &String)| json!({ "step": step, "hook": { "namespace": namespace, "name": hook } });
                entry.insert("hooks".into(), vm.hooks.iter().map(hook).collect());
            }
            vms.push(Value::Object(entry));
        }
        let mut spec = plan.spec.clone();
        spec.entry("targetNamespace").or_insert_with(|| json!(format!("{namespace}-target")));
        spec.insert("provider".into(), sides(source));
        let map = |prefix: &str| json!({ "namespace": namespace, "name": format!("{prefix}-{source}") });
        spec.insert("map".into(), json!({ "network": map("net"), "storage": map("sto") }));
        spec.insert("vms".into(), Value::Array(vms));
        let mut made = object(Kind::Plan, namespace, name, Value::Object(spec));
        let world = without_nothing(json!({ "vms": worlds, "conditions": plan.conditions }));
        made["metadata"]["annotations"] = json!({ PLAN: world.to_string() });
        if !plan.labels.is_empty() {
            made["metadata"]["labels"] = json!(plan.labels);
        }
        made
    }
}

/// A Migration of a plan.
pub(super) fn migration(namespace: &str, plan: &str, name: &str) -> Value {
    object(Kind::Migration, namespace, name, json!({ "plan": { "namespace": namespace, "name": plan } }))
}

fn sides(source: &str) -> Value {
    let side = |name: &str| json!({ "namespace": PROVIDERS, "name": name });
    json!({ "source": side(source), "destination": side("host") })
}

fn world(vm: &Vm, number: usize, id: &str) -> Value {
    let mut world = vm.world.clone();
    world.id.get_or_insert_with(|| id.to_owned());
    if !vm.fails_in.is_empty() && !vm.fails_in.contains(&number) {
        world.fails.clear();
    }
    without_nothing(json!(world))
}

/// What says nothing is left out: an annotation is read by people too.
fn without_nothing(value: Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) | Value::Object(_) => false,
    };
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, value)| (name, without_nothing(value)));
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Array(list) => list.into_iter().map(without_nothing).collect(),
        other => other,
    }
}
