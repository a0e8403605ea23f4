//! The configuration: strict, and each error names the rule, the key, what was found and what is allowed.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use herald_plugin::prelude::*;
use ipnet::IpNet;
use serde::Deserialize;
use toml::{Table, Value};

use crate::rule::{self, Rule};
use crate::{DEFAULT, Policy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    default: Option<Value>,
    #[serde(default)]
    rules: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    action: Value,
    name: Option<String>,
    protocol: Option<Value>,
    interface: Option<Value>,
    source: Option<Value>,
    destination: Option<Value>,
    source_ports: Option<Value>,
    destination_ports: Option<Value>,
}

/// A wrong value: what was found, and what is allowed.
struct Wrong {
    key: &'static str,
    found: String,
    allowed: &'static str,
}

/// Rules of one list: what can still be looked through for each new stream.
const RULES_MAX: usize = 10_000;

/// The default policy and the rules in their order.
pub(crate) fn read(text: &str) -> Result<(Policy, Vec<Rule>), ConfigError> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::new(error.message()))?;
    if raw.rules.len() > RULES_MAX {
        return Err(ConfigError::new(format!("{} rules are given, at most {RULES_MAX} are allowed", raw.rules.len())));
    }
    let default = raw.default.map_or(Ok(Policy::Pass), |value| policy("default", &value));
    let default = default.map_err(|wrong| ConfigError::new(wrong.to_string()))?;
    let mut rules: Vec<Rule> = Vec::with_capacity(raw.rules.len());
    for (number, raw) in (1..).zip(raw.rules) {
        let error = |text: String| ConfigError::new(format!("rule {number}: {text}"));
        let raw: RawRule = raw.try_into().map_err(|e| error(e.message().to_owned()))?;
        let rule = read_rule(number, &raw).map_err(|wrong| error(wrong.to_string()))?;
        if rule.name.as_str() == DEFAULT || rules.iter().any(|other| other.name == rule.name) {
            return Err(error(format!("name {:?} is taken; each rule needs its own", rule.name.as_str())));
        }
        rules.push(rule);
    }
    Ok((default, rules))
}

fn read_rule(number: usize, raw: &RawRule) -> Result<Rule, Wrong> {
    let list = |value: &Option<Value>| match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    };
    let ends = |key, value| list(value).iter().map(|value| prefix(key, value)).collect::<Result<Vec<_>, _>>();
    let ranges = |key, value| list(value).iter().map(|value| ports(key, value)).collect::<Result<Vec<_>, _>>();
    let rule = Rule {
        policy: policy("action", &raw.action)?,
        name: Reason::from_text(raw.name.as_deref().unwrap_or(&format!("rule-{number}"))),
        protocol: raw.protocol.as_ref().map(protocol).transpose()?,
        interface: raw.interface.as_ref().map(interface).transpose()?,
        source: rule::End { prefixes: ends("source", &raw.source)?, ports: ranges("source_ports", &raw.source_ports)? },
        destination: rule::End {
            prefixes: ends("destination", &raw.destination)?,
            ports: ranges("destination_ports", &raw.destination_ports)?,
        },
    };
    let asks_ports = !rule.source.ports.is_empty() || !rule.destination.ports.is_empty();
    match rule.protocol {
        Some(protocol) if asks_ports && protocol != rule::TCP && protocol != rule::UDP => {
            Err(Wrong { key: "protocol", found: protocol.to_string(), allowed: "\"tcp\" or \"udp\" beside ports" })
        }
        _ if !can_meet(&rule.source.prefixes, &rule.destination.prefixes) => Err(Wrong {
            key: "destination",
            found: raw.destination.as_ref().map(Value::to_string).unwrap_or_default(),
            allowed: "a prefix of the same IP version as source",
        }),
        _ => Ok(rule),
    }
}

/// Some stream has its ends in both lists: there is an IP version common to them.
fn can_meet(sources: &[IpNet], destinations: &[IpNet]) -> bool {
    let is_v4 = |net: &IpNet| net.addr().is_ipv4();
    sources.is_empty()
        || destinations.is_empty()
        || sources.iter().any(|source| destinations.iter().any(|destination| is_v4(source) == is_v4(destination)))
}

fn policy(key: &'static str, value: &Value) -> Result<Policy, Wrong> {
    match value.as_str() {
        Some("pass") => Ok(Policy::Pass),
        Some("drop") => Ok(Policy::Drop),
        Some("reject") => Ok(Policy::Reject),
        Some(_) | None => Err(Wrong::new(key, value, "\"pass\", \"drop\" or \"reject\"")),
    }
}

fn protocol(value: &Value) -> Result<u8, Wrong> {
    let number = match value.as_str() {
        Some("icmp") => Some(1),
        Some("tcp") => Some(rule::TCP),
        Some("udp") => Some(rule::UDP),
        Some("icmpv6") => Some(58),
        Some(_) => None,
        None => value.as_integer().and_then(|number| u8::try_from(number).ok()),
    };
    number.ok_or_else(|| {
        Wrong::new("protocol", value, "\"tcp\", \"udp\", \"icmp\", \"icmpv6\" or a number from 0 to 255")
    })
}

fn interface(value: &Value) -> Result<Interface, Wrong> {
    match value.as_str() {
        Some("first") => Ok(Interface::First),
        Some("second") => Ok(Interface::Second),
        Some(_) | None => Err(Wrong::new("interface", value, "\"first\" or \"second\"")),
    }
}

fn prefix(key: &'static str, value: &Value) -> Result<IpNet, Wrong> {
    const ALLOWED: &str = "an address or a prefix such as \"10.1.0.0/24\" or \"fd00:1::/64\", or a list of them";
    let text = value.as_str().unwrap_or_default();
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| Wrong::new(key, value, ALLOWED))?;
    if net.addr() == net.network() {
        Ok(net)
    } else {
        Err(Wrong::new(key, value, "a prefix without bits behind its length"))
    }
}

fn ports(key: &'static str, value: &Value) -> Result<RangeInclusive<u16>, Wrong> {
    let range = match (value.as_integer(), value.as_str()) {
        (Some(port), _) => u16::try_from(port).ok().map(|port| port..=port),
        (None, Some(text)) => {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            low.parse().ok().zip(high.parse().ok()).map(|(low, high)| low..=high)
        }
        (None, None) => None,
    };
    const ALLOWED: &str = "a port from 0 to 65535, a range such as \"8000-8080\", or a list of them";
    range.filter(|range| !range.is_empty()).ok_or_else(|| Wrong::new(key, value, ALLOWED))
}

impl Wrong {
    fn new(key: &'static str, value: &Value, allowed: &'static str) -> Self {
        Self { key, found: value.to_string(), allowed }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {}; allowed is {}", self.key, self.found, self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_passes_everything() {
        let (default, rules) = read("").unwrap();
        assert_eq!((default, rules.len()), (Policy::Pass, 0));
    }

    #[test]
    fn an_empty_rule_matches_everything() {
        let (default, rules) = read("default = \"drop\"\n[[rules]]\naction = \"pass\"").unwrap();
        assert_eq!(default, Policy::Drop);
        assert!(rules[0].protocol.is_none() && rules[0].source.prefixes.is_empty());
        assert_eq!(rules[0].name.as_str(), "rule-1");
    }

    #[test]
    fn errors_name_rule_key_value_and_what_is_allowed() {
        for (rule, expected) in [
            ("protocol = \"tcp\"", "missing field `action`"),
            ("action = \"deny\"", "action is \"deny\"; allowed is \"pass\", \"drop\" or \"reject\""),
            ("action = 1", "action is 1; allowed is"),
            ("action = \"drop\"\nport = 1", "unknown field `port`, expected one of `action`, `name`, `protocol`"),
            ("action = \"drop\"\nprotocol = \"tpc\"", "protocol is \"tpc\"; allowed is \"tcp\""),
            ("action = \"drop\"\nprotocol = 256", "protocol is 256"),
            ("action = \"drop\"\ninterface = \"third\"", "interface is \"third\"; allowed is \"first\" or \"second\""),
            ("action = \"drop\"\nsource = \"10.1.0/24\"", "source is \"10.1.0/24\"; allowed is an address or a prefix"),
            ("action = \"drop\"\nsource = [\"::/0\", 5]", "source is 5; allowed is an address"),
            ("action = \"drop\"\nsource = \"10.1.0.5/24\"", "allowed is a prefix without bits behind its length"),
            ("action = \"drop\"\nsource_ports = 65536", "source_ports is 65536; allowed is a port"),
            ("action = \"drop\"\ndestination_ports = \"90-80\"", "destination_ports is \"90-80\"; allowed is a port"),
            (
                "action = \"drop\"\nprotocol = \"icmp\"\nsource_ports = 1",
                "protocol is 1; allowed is \"tcp\" or \"udp\"",
            ),
            ("action = \"drop\"\nsource = \"10.0.0.0/8\"\ndestination = \"::1\"", "same IP version"),
            ("action = \"drop\"\nname = \"web\"", "name \"web\" is taken"),
        ] {
            let text = format!("[[rules]]\naction = \"pass\"\nname = \"web\"\n[[rules]]\n{rule}");
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with("rule 2: ") && error.contains(expected), "{rule}: {error}");
        }
    }

    #[test]
    fn the_top_level_is_strict_too() {
        assert!(read("defualt = \"drop\"").unwrap_err().to_string().contains("unknown field `defualt`"));
        assert!(read("default = \"open\"").unwrap_err().to_string().starts_with("default is \"open\""));
        assert!(read("rules = 5").is_err() && read("[[rules]").is_err());
    }
}
