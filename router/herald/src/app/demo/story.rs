//! What the demonstration says, for someone who has never heard of this.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use super::steps::{Moment, Seen, Stream};
use super::witness::{Plugin, Witness};
use crate::app::reports::{SessionRow, Text, table};
use herald_core::event::Step;

/// Columns of what the plugins counted.
const PLUGINS: [&str; 6] = ["NODE", "PLUGIN", "FRAMES", "DROPS", "FAULTS", "ITS OWN COUNTERS"];

/// Colours, on a terminal that wants them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paint {
    /// With ANSI colours.
    Colour,
    /// Plain text.
    Plain,
}

impl Paint {
    /// For standard output; `NO_COLOR` switches colours off (no-color.org).
    pub(super) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !unwanted { Self::Colour } else { Self::Plain }
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    pub(super) fn title(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn name(self, text: &str) -> String {
        self.with("36", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }
}

/// What is going to happen.
pub(super) fn opening(paint: Paint) -> String {
    let title = paint.title("Herald: one web page through a cluster of three routers");
    format!(
        "{title}\n\n\
         Three nodes, a, b and c, are one router between two networks. A client on the first network fetches a page from\n\
         a server on the second. One node takes each stream, c here, and its plugins inspect every packet of it, in both\n\
         directions; the nodes a and b only hand it the frames. Everything below is real, in network namespaces of\n\
         this machine: the kernel's TCP, the frames, and what the three processes tell of them.\n\n\
         \x20 client --- first network --- [ a  b  c ] --- second network --- server\n"
    )
}

/// Who takes part in the stream.
pub(super) struct Cast<'a> {
    /// Holds the redirector of the first interface.
    pub(super) first: &'a str,
    /// Holds that of the second.
    pub(super) second: &'a str,
    /// The chosen node.
    pub(super) chosen: &'a str,
}

impl<'a> Cast<'a> {
    /// By what the nodes told; a part that nobody told of has no name.
    pub(super) fn of(seen: &'a [Seen]) -> Self {
        let teller = |moment| seen.iter().find(|s| s.moment == moment).map_or("?", |s| s.node.as_str());
        Self {
            first: teller(Moment::Before(Step::M1)),
            second: teller(Moment::Before(Step::M7)),
            chosen: teller(Moment::Before(Step::M4)),
        }
    }
}

/// The way of the packets, and each moment with its time since M1.
pub(super) fn steps(paint: Paint, stream: &Stream, seen: &[Seen], witnesses: &[Witness], chain: &str) -> String {
    let cast = Cast::of(seen);
    let (first, second, chosen) = (paint.name(cast.first), paint.name(cast.second), paint.name(cast.chosen));
    let mut text = format!(
        "{}\n\n\
         \x20 client {source} --> {first} --> {chosen} --> server {destination}\n\
         \x20 client {source} <-- {chosen} <-- {second} <-- server {destination}\n\n",
        paint.title("The twelve steps, as the nodes told them"),
        source = stream.opener,
        destination = stream.other,
    );
    let start = seen.first().map_or(0, |s| s.at_ns);
    let _text = writeln!(text, "{}", paint.faint("      µs  step  node  what happened"));
    for moment in seen {
        let micros = moment.at_ns.saturating_sub(start) / 1_000;
        let node = format!("{:<4}", moment.node);
        let name = format!("{:<4}", moment.moment.name());
        let what = words(moment.moment, &cast, stream, witnesses, chain);
        let _text = writeln!(text, "{micros:>8}  {}  {}  {what}", paint.title(&name), paint.name(&node));
    }
    text += &paint.faint("The time is when the node read its clock: once for all that it did in one go.");
    text + "\n"
}

fn words(moment: Moment, cast: &Cast<'_>, stream: &Stream, witnesses: &[Witness], chain: &str) -> String {
    let Cast { first, second, chosen } = *cast;
    let Stream { opener, other } = stream;
    let macs = witnesses.iter().find(|w| w.node == chosen).map(|w| w.macs.clone()).unwrap_or_default();
    let (first_mac, second_mac) = (macs.first.mac, macs.second.mac);
    match moment {
        Moment::Before(step) | Moment::After(step) => match step {
            Step::M1 => format!(
                "the stream's first packet, {opener} to {other}, reaches {first}: it holds the first redirector"
            ),
            Step::M2 => format!("{first} chooses {chosen} and notes it: a redirector session"),
            Step::M3 => format!("{first} redirects the packet to {chosen}: the same bytes to another MAC, {first_mac}"),
            Step::M4 => format!("{chosen} makes its marker session: it is the stream's chosen node"),
            Step::M5 => format!("the packet passes the plugins of {chosen}: {chain}"),
            Step::M6 => format!(
                "{chosen} announces the session to {second}, which holds the second redirector, and holds the packet"
            ),
            Step::M7 => {
                format!("{second} makes its redirector session, return packets belong to {chosen}, and acknowledges")
            }
            Step::M8 => format!("{chosen} itself sends the packet out of its second interface, from MAC {second_mac}"),
            Step::M9 => format!("the first return packet, {other} to {opener}, reaches {second}"),
            Step::M10 => format!("{second} looks into its redirector session: the chosen node is {chosen}"),
            Step::M11 => format!("{second} redirects the packet to {chosen}: to MAC {second_mac}"),
            Step::M12 => format!(
                "it passes the plugins, and {chosen} itself sends it out of its first interface, from MAC {first_mac}"
            ),
        },
        Moment::Acknowledged => format!("the acknowledgement of {second} reaches {chosen}: the packet may leave"),
    }
}

/// What each node remembers of the stream.
pub(super) fn sessions(paint: Paint, witnesses: &[Witness]) -> String {
    let mut text = paint.title("The sessions of each node, right after the request (herald sessions)") + "\n";
    for witness in witnesses {
        let _text =
            write!(text, "\nnode {}\n{}", paint.name(&witness.node), Vec::<SessionRow>::text(&witness.sessions));
    }
    text
}

/// What the plugins of each node counted.
pub(super) fn plugins(paint: Paint, chains: &[(String, Vec<Plugin>)]) -> String {
    let mut rows = Vec::new();
    for (node, plugin) in chains.iter().flat_map(|(node, chain)| chain.iter().map(move |plugin| (node, plugin))) {
        let counters: Vec<_> = plugin.counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let counted = [plugin.packets, plugin.drops, plugin.faults].map(|count| count.to_string());
        rows.push([&[node.clone(), plugin.id.clone()], &counted[..], &[counters.join(", ")]].concat());
    }
    let title = paint.title("What the plugins of each node counted");
    let note = paint.faint(
        "acl and flowlog judge a stream once, when it starts, and ask for none of its frames. hello asks for all; one frame\n\
         can hold several packets that the kernel left together.",
    );
    format!("{title}\n\n{}{note}\n", table(PLUGINS, rows))
}

/// What `flowlog` wrote.
pub(super) fn flow_line(paint: Paint, chosen: &str, line: &str) -> String {
    let title = paint.title(&format!("The line that flowlog wrote on {chosen} when the stream ended"));
    format!("{title}\n\n  {line}\n")
}
