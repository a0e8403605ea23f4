//! `acl`: ordered rules on the opening packet of a stream. The first rule that matches decides for the whole stream, both
//! directions; if none does, the default policy decides. Return packets need no rule of their own.
//!
//! ```toml
//! default = "drop"                       # "pass" (the default of the default), "drop" or "reject"
//!
//! [[rules]]                              # rule 1
//! action = "pass"                        # "pass", "drop" (silently) or "reject" (TCP reset, ICMP prohibited)
//! name = "web"                           # optional: shown as drop reason and counter; "rule-1" if there is none
//! protocol = "tcp"                       # "tcp", "udp", "icmp", "icmpv6" or a number; left out: any
//! interface = "first"                    # where the stream opens: "first" or "second"; left out: either
//! source = "10.1.0.0/24"                 # the opener: a prefix, an address, or a list of them; left out: any
//! destination = ["10.2.0.0/24", "fd00:2::/64"]
//! destination_ports = [80, 443, "8000-8080"]  # a port, a range, or a list; `source_ports` likewise; TCP and UDP only
//!
//! [[rules]]                              # rule 2
//! action = "reject"
//! ```
//!
//! Each rule's hits are a counter of the plugin, in streams. The decision falls once, when a stream starts: its packets cost
//! nothing.

mod config;
mod rule;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use herald_plugin::prelude::*;

use rule::Rule;

/// The rules in their order, and what they have decided.
#[derive(Default)]
struct Acl {
    rules: Vec<Counted<Rule>>,
    default: Counted<Policy>,
}

/// Something that decides, and how many streams it decided.
#[derive(Default)]
struct Counted<T> {
    decides: T,
    hits: AtomicU64,
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Policy {
    /// It passes.
    #[default]
    Pass,
    /// Its packets end silently.
    Drop,
    /// Its packets end, and both ends are told.
    Reject,
}

const DEFAULT: &str = "default";

impl Plugin for Acl {
    type Stream = ();

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        let (default, rules) = config::read(config)?;
        let counted = |rule| Counted { decides: rule, hits: AtomicU64::new(0) };
        *self = Self {
            rules: rules.into_iter().map(counted).collect(),
            default: Counted { decides: default, ..Counted::default() },
        };
        Ok(())
    }

    fn stream_started(&self, (): &mut (), stream: &StreamInfo<'_>) -> Verdict {
        let (hits, verdict) = match self.rules.iter().find(|rule| rule.decides.matches(stream)) {
            Some(rule) => (&rule.hits, rule.decides.policy.verdict(rule.decides.name)),
            None => (&self.default.hits, self.default.decides.verdict(Reason::from(DEFAULT))),
        };
        hits.fetch_add(1, Relaxed);
        verdict
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        for rule in &self.rules {
            counters.report(rule.decides.name.as_str(), rule.hits.load(Relaxed));
        }
        counters.report(DEFAULT, self.default.hits.load(Relaxed));
    }
}

impl Policy {
    fn verdict(self, reason: Reason) -> Verdict {
        match self {
            Self::Pass => Verdict::pass().for_stream(),
            Self::Drop => Verdict::drop(reason).for_stream(),
            Self::Reject => Verdict::reject(reason).for_stream(),
        }
    }
}

export_plugin!(Acl, manifest = "plugin.toml");
