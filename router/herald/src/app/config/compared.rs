//! What nodes compare of their configurations when they meet: a digest of each key that must or should be equal on all.
//!
//! The digests of the secret and of the plugins' configurations, in which there may be secrets, are keyed with the cluster's
//! secret. Those of all others are not, so that two nodes with different secrets still see what else differs.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::derived::{choice_key, hash, members};
use super::key::{self, Class, Compared};
use super::options::{Options, PluginOptions};
use herald_core::flow::HashKey;
use herald_core::mesh::{Likeness, Setting};

const SETTINGS_KEY: HashKey = HashKey(*b"herald settings1");

/// The keys of this configuration that nodes compare, in the order of the file.
pub(super) fn settings(options: &Options) -> Vec<Setting> {
    let all = serde_json::to_value(options).unwrap_or_default();
    let setting = |located: key::Located| {
        let likeness = match located.key.class {
            Some(Class::MustBeEqual) => Likeness::Must,
            Some(Class::ShouldBeEqual) => Likeness::Should,
            Some(Class::MayDiffer) | None => return None,
        };
        let value = located.path.split('.').try_fold(&all, |table, part| table.get(part));
        let (hash_key, text) = seen(options, located.key.compared, value.unwrap_or(&Value::Null));
        let digest = hash(hash_key, &[&located.path, &text]);
        Some(Setting { key: located.path, likeness, digest })
    };
    key::all().into_iter().filter_map(setting).collect()
}

/// What of a value counts, and what its hash is keyed with.
fn seen(options: &Options, compared: Compared, value: &Value) -> (HashKey, String) {
    let list = || value.as_array().into_iter().flatten();
    match compared {
        Compared::Value => (SETTINGS_KEY, value.to_string()),
        Compared::Set => (SETTINGS_KEY, as_set(list().map(Value::to_string))),
        Compared::Networks => {
            let networks = list().filter_map(|network| network.as_str()?.parse::<IpNet>().ok());
            (SETTINGS_KEY, as_set(networks.map(|network| network.trunc().to_string())))
        }
        Compared::Members => (SETTINGS_KEY, as_set(members(options).iter().map(ToString::to_string))),
        Compared::Secret => (choice_key(options), String::new()),
        Compared::Plugins => (choice_key(options), options.plugins.iter().map(plugin).collect()),
    }
}

fn as_set(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<_> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    json!(texts).to_string()
}

/// A plugin: the name of its file, wherever that lies, and its configuration without paths.
fn plugin(options: &PluginOptions) -> String {
    let name = options.name.rsplit('/').next();
    let config = serde_json::to_value(&options.config).unwrap_or_default();
    json!([name, without_paths(&config)]).to_string()
}

/// A value without the texts that are paths.
fn without_paths(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with('/') => Value::Null,
        Value::Array(list) => list.iter().map(without_paths).collect(),
        Value::Object(table) => table.iter().map(|(key, value)| (key.clone(), without_paths(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
