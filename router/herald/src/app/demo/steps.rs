//! The twelve steps of one stream, found in the nodes' events and checked.

use super::witness::{Told, Witness};
use crate::app::reports::step_name;
use herald_core::event::Step;

/// A node reads its clock once for a batch of frames, so a step's time can be earlier than its cause by as long as a
/// batch may last, preempted on a crowded machine. Within one node the numbers of the events decide.
const BATCH_TIME_MAX_NS: u64 = 20_000_000;

/// What is looked for: the steps, and the acknowledgement without which M8 must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// A step up to M7.
    Before(Step),
    /// The acknowledgement reached the chosen node.
    Acknowledged,
    /// A step from M8 on.
    After(Step),
}

/// All of them, in their order.
const MOMENTS: [Moment; 13] = [
    Moment::Before(Step::M1),
    Moment::Before(Step::M2),
    Moment::Before(Step::M3),
    Moment::Before(Step::M4),
    Moment::Before(Step::M5),
    Moment::Before(Step::M6),
    Moment::Before(Step::M7),
    Moment::Acknowledged,
    Moment::After(Step::M8),
    Moment::After(Step::M9),
    Moment::After(Step::M10),
    Moment::After(Step::M11),
    Moment::After(Step::M12),
];

impl Moment {
    /// `M1` to `M12`, or `ack`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before(step) | Self::After(step) => step_name(step),
            Self::Acknowledged => "ack",
        }
    }

    fn of(told: &Told) -> Option<Self> {
        let name = match (told.event.as_str(), &told.step) {
            ("acknowledged", _) => "ack",
            (_, Some(step)) => step.as_str(),
            (_, None) => return None,
        };
        MOMENTS.into_iter().find(|moment| moment.name() == name)
    }
}

/// Why the steps are not what they have to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepsError {
    /// No node saw the request.
    #[error("no node tells of a stream to {0}: the request did not cross the cluster")]
    NoStream(String),
    /// A step is missing.
    #[error("step {0} is missing: no node tells of it")]
    Missing(&'static str),
    /// A step came before one that has to be before it.
    #[error("step {later} on {later_node} came before {earlier} on {earlier_node}")]
    Order {
        /// What has to be first.
        earlier: &'static str,
        /// Where.
        earlier_node: String,
        /// What was first.
        later: &'static str,
        /// Where.
        later_node: String,
    },
    /// More than one node did what one has to do.
    #[error("{one} and {other} both tell of {step}: one node has to do it")]
    Twice {
        /// The step.
        step: &'static str,
        /// A node.
        one: String,
        /// Another.
        other: String,
    },
}

/// One stream, by its ends as reports write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    /// Who opened it.
    pub(super) opener: String,
    /// Whom it opened it to.
    pub(super) other: String,
}

impl Stream {
    /// The stream to `other` that opened first.
    pub(super) fn to(other: &str, witnesses: &[Witness]) -> Result<Self, StepsError> {
        let events = witnesses.iter().flat_map(|w| &w.events);
        let opening = events.filter(|t| t.step.as_deref() == Some("M1") && t.destination.as_deref() == Some(other));
        let first = opening.min_by_key(|t| t.at_ns).and_then(|t| t.source.clone());
        let opener = first.ok_or_else(|| StepsError::NoStream(other.to_owned()))?;
        Ok(Self { opener, other: other.to_owned() })
    }

    fn has(&self, told: &Told) -> bool {
        let ends = (told.source.as_deref(), told.destination.as_deref());
        let (opener, other) = (Some(self.opener.as_str()), Some(self.other.as_str()));
        ends == (opener, other) || ends == (other, opener)
    }
}

/// One moment of the stream as a node told it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Which.
    pub(super) moment: Moment,
    /// Who told it.
    pub(super) node: String,
    /// Its number among the node's events.
    number: u64,
    /// When, on the clock that all nodes share.
    pub(super) at_ns: u64,
}

/// Everything that the nodes tell of the stream, in order of time.
pub(super) fn collect(stream: &Stream, witnesses: &[Witness]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for witness in witnesses {
        for told in witness.events.iter().filter(|told| stream.has(told)) {
            let Some(moment) = Moment::of(told) else { continue };
            seen.push(Seen { moment, node: witness.node.clone(), number: told.number, at_ns: told.at_ns });
        }
    }
    seen.sort_by_key(|s| (s.at_ns, s.moment));
    seen
}

/// Whether each step is there once, in order, and on the node where it belongs.
pub(super) fn check(seen: &[Seen]) -> Result<(), StepsError> {
    let mut before: Option<&Seen> = None;
    for moment in MOMENTS {
        let mut found = seen.iter().filter(|s| s.moment == moment);
        let this = found.next().ok_or(StepsError::Missing(moment.name()))?;
        if let Some(other) = found.find(|s| s.node != this.node) {
            return Err(StepsError::Twice { step: moment.name(), one: this.node.clone(), other: other.node.clone() });
        }
        if let Some(before) = before.filter(|before| !follows(before, this)) {
            return Err(StepsError::Order {
                earlier: before.moment.name(),
                earlier_node: before.node.clone(),
                later: moment.name(),
                later_node: this.node.clone(),
            });
        }
        before = Some(this);
    }
    // What the chosen node does: M4, M5, M6, ack, M8, M12. Numbers compare only within one node, so all must be on it.
    one_node_did(seen, &["M4", "M5", "M6", "ack", "M8", "M12"])?;
    in_order_of_numbers(seen, &["M4", "M5", "M6", "ack", "M8", "M12"])
}

fn follows(earlier: &Seen, later: &Seen) -> bool {
    if earlier.node == later.node {
        earlier.number < later.number
    } else {
        earlier.at_ns <= later.at_ns.saturating_add(BATCH_TIME_MAX_NS)
    }
}

fn one_node_did(seen: &[Seen], names: &[&str]) -> Result<(), StepsError> {
    let mut those = seen.iter().filter(|s| names.contains(&s.moment.name()));
    let Some(one) = those.next() else { return Ok(()) };
    those.find(|s| s.node != one.node).map_or(Ok(()), |other| {
        Err(StepsError::Twice { step: other.moment.name(), one: one.node.clone(), other: other.node.clone() })
    })
}

fn in_order_of_numbers(seen: &[Seen], names: &[&str]) -> Result<(), StepsError> {
    let firsts = names.iter().filter_map(|name| seen.iter().find(|s| s.moment.name() == *name)).collect::<Vec<_>>();
    for pair in firsts.windows(2) {
        if let [earlier, later] = pair
            && earlier.number >= later.number
        {
            return Err(StepsError::Order {
                earlier: earlier.moment.name(),
                earlier_node: earlier.node.clone(),
                later: later.moment.name(),
                later_node: later.node.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELLERS: [&str; 13] = ["a", "a", "a", "c", "c", "c", "b", "c", "c", "b", "b", "b", "c"];

    /// Each moment a microsecond after the one before.
    fn good() -> Vec<Seen> {
        let moments = MOMENTS.into_iter().zip(TELLERS).zip(1..);
        moments
            .map(|((moment, node), number)| Seen { moment, node: node.to_owned(), number, at_ns: number * 1_000 })
            .collect()
    }

    #[test]
    fn thirteen_moments_in_order_are_good() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn each_missing_moment_is_named() {
        for place in 0..MOMENTS.len() {
            let mut seen = good();
            let gone = seen.remove(place);
            assert_eq!(check(&seen), Err(StepsError::Missing(gone.moment.name())));
        }
    }

    #[test]
    fn a_packet_that_leaves_before_the_acknowledgement_is_found() {
        let mut seen = good();
        let (ack, m8) = (seen[7].number, seen[8].number);
        (seen[7].number, seen[8].number) = (m8, ack);
        let error = check(&seen).unwrap_err();
        assert_eq!(error.to_string(), "step M8 on c came before ack on c");
    }

    #[test]
    fn a_return_packet_long_before_the_first_packet_left_is_found() {
        let mut seen = good();
        seen.iter_mut().for_each(|s| s.at_ns += BATCH_TIME_MAX_NS);
        seen[9].at_ns = 0;
        assert_eq!(check(&seen).unwrap_err().to_string(), "step M9 on b came before M8 on c");
    }

    #[test]
    fn two_nodes_that_do_the_same_are_found() {
        let mut seen = good();
        seen.push(Seen { node: "b".to_owned(), ..seen[4].clone() });
        assert!(matches!(check(&seen), Err(StepsError::Twice { step: "M5", .. })));
        let mut seen = good();
        seen[12].node = "b".to_owned();
        assert!(matches!(check(&seen), Err(StepsError::Twice { step: "M12", .. })));
    }

    #[test]
    fn a_stream_is_found_by_where_it_goes() {
        let told = |step: &str, source: &str, destination: &str| Told {
            step: Some(step.to_owned()),
            event: "step".to_owned(),
            source: Some(source.to_owned()),
            destination: Some(destination.to_owned()),
            ..Told::default()
        };
        let witness = |events| Witness {
            node: "a".to_owned(),
            macs: super::super::witness::Macs::default(),
            events,
            sessions: serde_json::Value::Null,
        };
        let witnesses = [witness(vec![told("M1", "x:1", "y:9"), told("M1", "x:2", "y:80"), told("M9", "y:80", "x:2")])];
        let stream = Stream::to("y:80", &witnesses).unwrap();
        assert_eq!(stream, Stream { opener: "x:2".to_owned(), other: "y:80".to_owned() });
        assert_eq!(collect(&stream, &witnesses).len(), 2);
        assert!(Stream::to("y:443", &witnesses).is_err());
    }
}
