//! The text of a scenario: what is read can be written and is read as the same.

#[path = "../../host/tests/sim/scenario/mod.rs"]
#[allow(dead_code, reason = "the simulator uses all of it")]
mod language;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(scenario) = text.parse::<language::Scenario>() else { return };
    assert_eq!(scenario.to_string().parse(), Ok(scenario));
}
