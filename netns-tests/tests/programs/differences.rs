//! The differences from a kernel router that are wanted, each with its reason.

use crate::calls::Call;

/// One difference that is permitted.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Why Herald does otherwise.
    pub(crate) why: &'static str,
    /// Of the calls that show it a part, and of Herald's words and of the kernel's what they have then.
    cases: &'static [[&'static str; 3]],
}

/// All of them. "Section" alone is one of `router/docs/cluster.md`.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "mid-stream",
        why: "TCP whose beginning no plugin has seen is dropped with midstream = \"drop\", the default (section 6)",
        cases: &[
            ["-A -p 81", "0 packets received", "flags=R"],
            ["-sA", "filtered", "unfiltered"],
            ["-sM", "open|filtered", "closed"],
            ["-sO", "6 open|filtered tcp", "6 open tcp"],
        ],
    },
    Difference {
        name: "fragments-tiny",
        why: "a first fragment without the transport's header hides it from plugins (RFC 1858; RFC 7112; section 4)",
        cases: &[["-S -p 81 -d 100 -f", "0 packets received", "flags=RA"]],
    },
    Difference {
        name: "timestamp",
        why: "ICMP timestamp requests are not answered, which is left to a router (RFC 1812, section 4.3.3.8)",
        cases: &[["--icmp-type timestamp 10.1.0.1", "Rcvd: 0", "Rcvd: 2"]],
    },
    Difference {
        name: "no-route-rate",
        why: "the kernel tells a source of one packet without a route in a second, and of five at once; Herald's bound is one for \
              all errors",
        cases: &[
            ["ping -n -c 1 -W 1 203.0.113.9", "Destination Net Unreachable", "0 received, 100% packet loss"],
            ["203.0.113.9", "!N", ""],
        ],
    },
];

/// The difference that explains these words, of Herald and of the kernel; `None` if none does.
pub(crate) fn explain(call: &Call, herald: &str, kernel: &str) -> Option<&'static str> {
    let explains =
        |[line, ours, theirs]: &[&str; 3]| call.line.contains(line) && herald.contains(ours) && kernel.contains(theirs);
    DIFFERENCES.iter().find(|difference| difference.cases.iter().any(explains)).map(|difference| difference.name)
}
