//! The differences from a kernel router that are wanted, each with its reason.

use crate::case::{Case, Trait};
use crate::outcome::{Emission, Maker};

/// One difference that is permitted.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Why Herald does otherwise.
    pub(crate) why: &'static str,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// Takes out of an outcome what may differ.
    Erases(fn(&Case, &mut Vec<Emission>)),
    /// True if it explains these outcomes, of Herald and of the kernel.
    Explains(fn(&Case, &[Emission], &[Emission]) -> bool),
}

const fn erases(name: &'static str, why: &'static str, erase: fn(&Case, &mut Vec<Emission>)) -> Difference {
    Difference { name, why, form: Form::Erases(erase) }
}

const fn explains(
    name: &'static str,
    why: &'static str,
    explain: fn(&Case, &[Emission], &[Emission]) -> bool,
) -> Difference {
    Difference { name, why, form: Form::Explains(explain) }
}

const LATE: &str = "fragments-late";

/// All of them. "Section" alone is one of `router/docs/cluster.md`.
pub(crate) const DIFFERENCES: &[Difference] = &[
    erases(
        "answer-tos",
        "the kernel copies bits of the packet's traffic class into errors and resets; what was TOS is DSCP and ECN now, and errors \
         are CS6 (RFC 2474, section 4.2.2.2; RFC 1812, section 4.3.2.5)",
        |_, outcome| outcome.iter_mut().for_each(erase_tos),
    ),
    erases(
        "echo",
        "the answer to a ping has the flags and options of the request, as all but addresses and type comes back (RFC 792), this \
         router once in a recorded route; the kernel's has the options that it knows, and it twice",
        |_, outcome| answers_v4(outcome).for_each(erase_echo),
    ),
    erases(
        "option-padding",
        "what stands behind the last IPv4 option passes as it is, as all of a packet does that a router needs not change; the kernel makes it 0",
        |_, outcome| outcome.iter_mut().for_each(erase_padding),
    ),
    erases(
        "fragment-options",
        "IPv4 options that only the first fragment has are not in the others (RFC 791, section 3.1); the kernel leaves as many \
         bytes that mean nothing there",
        |_, outcome| outcome.iter_mut().for_each(erase_nothing),
    ),
    erases(
        "error-options",
        "the kernel's errors have the options of the packet, and quote them as it has filled them in; only source routes would \
         need that, which are refused, and what is quoted may be either (RFC 1812, sections 4.3.2.3 and 4.3.2.6)",
        |_, outcome| answers_v4(outcome).for_each(erase_options),
    ),
    erases(
        "quoted-hop-limit",
        "where a neighbour is silent Herald quotes the packet as it arrived, the kernel with its hop limit less one; both may be \
         (RFC 1812, section 4.3.2.3)",
        |_, outcome| outcome.iter_mut().for_each(erase_quoted_hop_limit),
    ),
    erases(
        LATE,
        "what does not become whole within 30 s is told to its source (RFC 792; RFC 8200, section 4.5; section 4)",
        |case, outcome| outcome.retain(|emission| !is_late(case, emission)),
    ),
    explains(
        "transport-checksum",
        "a segment or datagram with a wrong checksum reaches no plugin, as no end would take it (section 7)",
        |case, herald, _| case.has(Trait::TransportChecksum) && herald.is_empty(),
    ),
    explains(
        "mid-stream",
        "TCP whose beginning no plugin has seen is dropped with midstream = \"drop\", the default (section 6)",
        |case, herald, _| case.has(Trait::Midstream) && herald.is_empty(),
    ),
    explains(
        "unknown-quote",
        "an ICMP error about a stream that no node knows is forged or late (RFC 5927, section 4; section 6)",
        |case, herald, _| case.has(Trait::UnknownQuote) && herald.is_empty(),
    ),
    explains(
        "fragments-incomplete",
        "all fragments of a datagram go to one node, whose plugins see it whole: without one of them none leaves (section 4)",
        |case, herald, _| case.has(Trait::Incomplete) && !passes(herald),
    ),
    explains("fragments-twice", "of a fragment that comes twice one leaves (section 4)", |case, herald, kernel| {
        case.has(Trait::Duplicate) && without_repetitions(kernel) == herald
    }),
    explains(
        "fragments-overlap",
        "a datagram of which two fragments overlap is dropped whole (RFC 5722; section 4)",
        |case, herald, _| case.has(Trait::Overlap) && !passes(herald),
    ),
    explains(
        "fragments-tiny",
        "a first fragment without the transport's header hides it from plugins (RFC 1858; RFC 7112; section 4)",
        |case, herald, _| case.has(Trait::Tiny) && !passes(herald),
    ),
    explains(
        "fragments-one-error",
        "an error is about a datagram; the kernel sends one for each fragment of IPv6, also for those of ICMP errors",
        |case, herald, kernel| {
            let is_told = !herald.is_empty() || case.has(Trait::IcmpError);
            case.has(Trait::Fragments)
                && is_told
                && !passes(kernel)
                && herald.iter().all(|error| kernel.contains(error))
        },
    ),
    explains(
        "hop-by-hop",
        "routers need not look into the hop-by-hop header (RFC 8200, section 4; RFC 9673), and Herald does not",
        |case, herald, kernel| case.has(Trait::HopByHop) && !herald.is_empty() && !passes(kernel),
    ),
    explains("jumbogram", "a length of 0 is none; Herald knows no jumbograms (RFC 2675)", |case, herald, _| {
        let is_cut = |emission: &Emission| emission.maker == Maker::Gateway || emission.packet.len() <= 40;
        case.has(Trait::Jumbo) && herald.iter().all(is_cut)
    }),
    explains(
        "routing-header-0",
        "a routing header of type 0 with segments left is refused by routers, too (RFC 5095; section 2)",
        |case, herald, _| case.has(Trait::SourceRoute) && herald.is_empty(),
    ),
    explains(
        "reverse-path",
        "with reverse_path = \"loose\", the default, a source without a route is refused in IPv6 as in IPv4 (RFC 3704; section 2)",
        |case, herald, _| case.has(Trait::UnroutedSource) && herald.is_empty(),
    ),
    explains(
        "own-source",
        "who sends with an address of the gateway is refused in IPv6 as in IPv4 (RFC 2827)",
        |case, herald, _| case.has(Trait::OwnSource) && herald.is_empty(),
    ),
    explains(
        "link-local",
        "link-local packets never cross a router, nor come back out of the same interface, and nobody is told (RFC 3927, section 7; \
         RFC 4291, section 2.5.6; section 2)",
        |case, herald, _| case.has(Trait::LinkLocal) && herald.is_empty(),
    ),
    explains(
        "martian",
        "the unspecified address and IPv4-mapped ones are on no wire; who sends there is not told (RFC 4291, sections 2.5.2 and \
         2.5.5.2; section 2)",
        |case, herald, _| case.has(Trait::Martian) && herald.is_empty(),
    ),
    explains(
        "same-interface",
        "a packet is not sent back to the host that it is from: it would go to and fro until its hop limit ran out (section 2)",
        |case, herald, _| case.has(Trait::OnTheSpot) && herald.is_empty(),
    ),
    explains(
        "redirects",
        "ICMP redirects are off by default, as what goes straight passes no plugin; the kernel always sends those of IPv6 (section 2)",
        |case, herald, kernel| {
            let others: Vec<_> = kernel.iter().filter(|emission| emission.icmp() != Some((137, 0))).cloned().collect();
            case.has(Trait::Hairpin) && others == herald
        },
    ),
    explains(
        "no-route-rate",
        "the kernel tells a source of one packet without a route in a second, and of five at once; Herald's bound is one for all \
         errors",
        |case, herald, kernel| {
            case.has(Trait::Unrouted) && kernel.is_empty() && herald.len() == 1 && herald[0].icmp() == Some((3, 0))
        },
    ),
    explains(
        "new-icmp",
        "no error is sent about an error; an extended echo (RFC 8335) is none, but the kernel takes every type above 18 for one, and \
         looks for errors of IPv6 behind headers that no host looks behind",
        |case, herald, kernel| {
            let is_told = kernel.is_empty() && herald.len() == 1 && !passes(herald);
            // Where nothing is left of the message, its type is not known either.
            is_told && (case.has(Trait::NewIcmp) || case.has(Trait::IcmpError) && case.has(Trait::Extensions))
        },
    ),
    explains(
        "which-fault",
        "a packet with bad or refused IPv4 options and another fault is told of either; which one no standard says",
        |case, herald, kernel| case.has(Trait::BadOptions) && !herald.is_empty() && !passes(herald) && !passes(kernel),
    ),
    explains(
        "far-source",
        "a ping to an anycast address of the gateway is answered where its source is; the kernel answers only where it came",
        |case, herald, kernel| {
            let is_answered = herald.len() == 1 && herald[0].icmp() == Some((129, 0));
            case.has(Trait::FarSource) && case.has(Trait::ToGateway) && kernel.is_empty() && is_answered
        },
    ),
    explains(
        "timestamp",
        "ICMP timestamp requests are not answered, which is left to a router (RFC 1812, section 4.3.3.8)",
        |case, herald, kernel| {
            let answers = kernel.iter().all(|answer| answer.icmp() == Some((14, 0)));
            case.has(Trait::TimeQuestion) && case.has(Trait::ToGateway) && herald.is_empty() && answers
        },
    ),
    explains(
        "group-frame",
        "a unicast packet in a frame to a group is answered by nobody (RFC 1122, section 3.3.6)",
        |case, herald, _| case.has(Trait::GroupFrame) && herald.is_empty(),
    ),
    explains(
        "unicast-question",
        "an advertisement has its MAC and the override flag also where the question came by unicast (RFC 4861, section 7.2.4)",
        |case, herald, kernel| {
            let begins =
                |answer: &[u8]| (answer.get(8..44).map(<[u8]>::to_vec), answer.get(48..64).map(<[u8]>::to_vec));
            let alike = |(one, other): (&Emission, &Emission)| begins(&one.packet) == begins(&other.packet);
            case.has(Trait::UnicastQuestion) && herald.len() == kernel.len() && herald.iter().zip(kernel).all(alike)
        },
    ),
    explains(
        "other-network",
        "an address is answered for on its own network only; the kernel's default is arp_ignore = 0",
        |case, herald, _| case.has(Trait::OtherNetwork) && herald.is_empty(),
    ),
];

/// The differences that explain these outcomes; `None` if none do.
pub(crate) fn explain(case: &Case, herald: &[Emission], kernel: &[Emission]) -> Option<Vec<&'static str>> {
    let (mut herald, mut kernel) = (herald.to_vec(), kernel.to_vec());
    let mut names = Vec::new();
    for difference in DIFFERENCES {
        if herald == kernel {
            return Some(names);
        }
        match difference.form {
            Form::Erases(erase) => {
                let before = (herald.clone(), kernel.clone());
                for outcome in [&mut herald, &mut kernel] {
                    erase(case, outcome);
                    outcome.sort_unstable();
                }
                if before != (herald.clone(), kernel.clone()) {
                    names.push(difference.name);
                }
            }
            Form::Explains(explains) if explains(case, &herald, &kernel) => {
                // What else was erased before need not be part of it.
                names.retain(|name| *name == LATE);
                names.push(difference.name);
                return Some(names);
            }
            Form::Explains(_) => {}
        }
    }
    (herald == kernel).then_some(names)
}

/// Whether this says that a fragment has not come in time.
pub(crate) fn is_late(case: &Case, emission: &Emission) -> bool {
    let is_told = match emission.packet[0] >> 4 {
        4 => emission.icmp() == Some((11, 1)),
        _ => emission.icmp() == Some((3, 1)),
    };
    case.has(Trait::Fragments) && emission.maker == Maker::Gateway && is_told
}

/// Whether something of what was sent has passed.
fn passes(outcome: &[Emission]) -> bool {
    outcome.iter().any(|emission| emission.maker == Maker::Test)
}

fn without_repetitions(outcome: &[Emission]) -> Vec<Emission> {
    let mut all = outcome.to_vec();
    all.dedup();
    all
}

fn answers_v4(outcome: &mut [Emission]) -> impl Iterator<Item = &mut Emission> {
    outcome.iter_mut().filter(|emission| {
        emission.maker == Maker::Gateway && emission.packet[0] >> 4 == 4 && emission.packet[..2] != [0, 1]
    })
}

/// True for an ICMP error of IPv4.
fn is_error(emission: &Emission) -> bool {
    matches!(emission.icmp(), Some((3 | 11 | 12, _)))
}

fn erase_tos(answer: &mut Emission) {
    let is_v6 = answer.packet[0] >> 4 == 6;
    if answer.is_reset() {
        answer.packet[1] = 0;
        answer.packet[0] &= if is_v6 { 0xf0 } else { 0xff };
    } else if answer.maker == Maker::Gateway && !is_v6 && is_error(answer) {
        answer.packet[1] &= 0xe0;
    }
}

/// Options are filled in by both, but in other ways.
fn erase_echo(answer: &mut Emission) {
    if answer.icmp() != Some((0, 0)) {
        return;
    }
    answer.packet[6] &= !0x40;
    answer.packet[2..4].fill(0);
    let header = usize::from(answer.packet[0] & 15) * 4;
    answer.packet.drain(20..header);
    answer.packet[0] = 0x45;
}

/// Takes options out of a fragment that is not the first, if none of them does anything.
fn erase_nothing(emission: &mut Emission) {
    let header = usize::from(emission.packet[0] & 15) * 4;
    let is_later = emission.packet[0] >> 4 == 4 && (emission.packet[6] & 0x1f != 0 || emission.packet[7] != 0);
    if !is_later || header <= 20 || emission.packet[20..header].iter().any(|option| *option > 1) {
        return;
    }
    emission.packet.drain(20..header);
    emission.packet[0] = 0x45;
    let len = (emission.packet.len() as u16).to_be_bytes();
    emission.packet[2..4].copy_from_slice(&len);
}

/// Makes what stands behind the last IPv4 option 0.
fn erase_padding(emission: &mut Emission) {
    let header = usize::from(emission.packet[0] & 15) * 4;
    if emission.packet[0] >> 4 != 4 || header <= 20 {
        return;
    }
    let Some(mut rest) = emission.packet.get_mut(20..header) else { return };
    loop {
        let len = match *rest {
            [0, ..] => return rest.fill(0),
            [1, ..] => 1,
            [_, len, ..] if len >= 2 => usize::from(len),
            _ => return,
        };
        let Some(behind) = rest.get_mut(len..) else { return };
        rest = behind;
    }
}

/// Takes the options out of an error, and what is behind the first bytes, as there is less room for it with options.
fn erase_options(error: &mut Emission) {
    let header = usize::from(error.packet[0] & 15) * 4;
    if !is_error(error) || error.packet.get(header + 8).is_none_or(|first| first & 15 <= 5) {
        return;
    }
    error.packet.drain(20..header);
    error.packet[0] = 0x45;
    error.packet[2..4].fill(0);
    error.packet.truncate(520);
    let options = 48..28 + usize::from(error.packet[28] & 15) * 4;
    error.packet[38..40].fill(0);
    error.packet.get_mut(options).into_iter().for_each(|options| options.fill(0));
}

fn erase_quoted_hop_limit(emission: &mut Emission) {
    if emission.maker == Maker::Test {
        return;
    }
    match (emission.packet[0] >> 4, emission.icmp()) {
        (4, Some((3, 1))) => {
            emission.packet[28 + 8] = 0;
            emission.packet[28 + 10..28 + 12].fill(0);
        }
        (6, Some((1, 3))) => emission.packet[48 + 7] = 0,
        _ => {}
    }
}
