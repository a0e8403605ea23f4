//! The text of a stream, as a control request for `who` has it: what is read is shown so that it is read as the same.

use herald::app::stream::parse;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(flow) => assert_eq!(parse(&flow.to_string()), Ok(flow), "{flow}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
