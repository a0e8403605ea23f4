//! The identification strings of SSH (RFC 4253, section 4.2).

use crate::limits::{SSH_BANNER_LEN_MAX, SSH_PRELUDE_BYTES_MAX};
use crate::{FactName, Facts, Oddity, Progress, Value};

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// Begins with its string.
    Client,
    /// May say lines of text before its string.
    Server,
}

/// How every string begins.
const BEGIN: &[u8] = b"SSH-";

/// Reads one direction up to the end of its string.
#[derive(Debug)]
pub struct Parser {
    speaker: Speaker,
    /// The current line, as far as it has come and may be a string.
    line: Vec<u8>,
    /// Bytes of the lines before.
    prelude: usize,
    end: Option<Progress>,
}

impl Parser {
    /// A parser at the stream's first byte.
    pub fn new(speaker: Speaker) -> Self {
        Self { speaker, line: Vec::new(), prelude: 0, end: None }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], facts: &mut Facts) -> Progress {
        if let Some(end) = self.end {
            return end;
        }
        let mut progress = self.need();
        for byte in bytes {
            progress = self.byte(*byte, facts);
            if progress.is_end() {
                break;
            }
        }
        if progress.is_end() {
            self.end = Some(progress);
            self.line = Vec::new();
        }
        if let Progress::Refused(oddity) = progress {
            facts.add_oddity(FactName::SshOddities, oddity);
        }
        progress
    }

    fn byte(&mut self, byte: u8, facts: &mut Facts) -> Progress {
        let may_be_string = self.line.iter().chain([&byte]).zip(BEGIN).all(|(byte, expected)| byte == expected);
        if may_be_string {
            return self.string(byte, facts);
        }
        if self.speaker == Speaker::Client {
            return Progress::NotThis;
        }
        // A line of text before the string: only its first byte that tells it from a string is kept.
        self.prelude += 1;
        if byte == b'\n' {
            self.prelude += self.line.len();
            self.line.clear();
        } else if self.line.len() < BEGIN.len() {
            self.line.push(byte);
        }
        if self.prelude > SSH_PRELUDE_BYTES_MAX {
            return Progress::NotThis;
        }
        self.need()
    }

    /// What is missing of the begin of a string, if this line may be one.
    fn need(&self) -> Progress {
        let missing = BEGIN.strip_prefix(self.line.as_slice()).map_or(1, <[u8]>::len);
        Progress::Need(missing.max(1))
    }

    /// A byte of a line that begins like a string.
    fn string(&mut self, byte: u8, facts: &mut Facts) -> Progress {
        if byte == b'\n' {
            return self.tell(facts);
        }
        self.line.push(byte);
        // Its CR and LF count.
        if self.line.len() + 1 > SSH_BANNER_LEN_MAX {
            return Progress::Refused(Oddity::SshBannerTooLong);
        }
        self.need()
    }

    fn tell(&mut self, facts: &mut Facts) -> Progress {
        let line = match self.line.strip_suffix(b"\r") {
            Some(line) => line,
            None => {
                facts.add_oddity(FactName::SshOddities, Oddity::SshLineFeed);
                &self.line
            }
        };
        let name = match self.speaker {
            Speaker::Client => FactName::SshClientBanner,
            Speaker::Server => FactName::SshServerBanner,
        };
        facts.add(name, Value::Text(String::from_utf8_lossy(line).into_owned()));
        let is_version_2 = line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-");
        let is_printable = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if is_version_2 && is_printable { Progress::Done } else { Progress::Refused(Oddity::SshBanner) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(speaker: Speaker, bytes: &[u8]) -> (Progress, serde_json::Value) {
        let (mut parser, mut facts) = (Parser::new(speaker), Facts::new());
        let progress = parser.feed(bytes, &mut facts);
        let (mut slow, mut same) = (Parser::new(speaker), Facts::new());
        for byte in bytes {
            slow.feed(&[*byte], &mut same);
        }
        assert_eq!((slow.feed(&[], &mut same), &same), (progress, &facts), "{}", bytes.escape_ascii());
        (progress, serde_json::to_value(&facts).unwrap())
    }

    #[test]
    fn strings_are_read() {
        let (progress, facts) = read(Speaker::Client, b"SSH-2.0-example_1.0 test\r\n\0\0\x01");
        assert_eq!((progress, facts), (Progress::Done, json!({"ssh.client_banner": "SSH-2.0-example_1.0 test"})));
        let (progress, facts) = read(Speaker::Server, b"Hello\r\nSS\r\n\r\nSSH-2.0-OpenSSH_9.6\n\0");
        let expected =
            json!({"ssh.server_banner": "SSH-2.0-OpenSSH_9.6", "ssh.oddities": ["line ends without carriage return"]});
        assert_eq!((progress, facts), (Progress::Done, expected));
        for banner in [&b"SSH-1.5-x\r\n"[..], b"SSH-2.0-\0\r\n", b"SSH-\r\n"] {
            let (progress, facts) = read(Speaker::Client, banner);
            assert_eq!(
                (progress, &facts["ssh.oddities"]),
                (Progress::Refused(Oddity::SshBanner), &json!(["malformed banner"]))
            );
        }
    }

    #[test]
    fn clients_say_nothing_before_it_and_all_has_bounds() {
        assert_eq!(read(Speaker::Client, b"Hello\r\nSSH-2.0-x\r\n").0, Progress::NotThis);
        assert_eq!(read(Speaker::Client, b"SS").0, Progress::Need(2));
        let long = |len: usize| [&b"SSH-2.0-"[..], &vec![b'x'; len - 10], b"\r\n"].concat();
        assert_eq!(read(Speaker::Client, &long(SSH_BANNER_LEN_MAX)).0, Progress::Done);
        assert_eq!(read(Speaker::Client, &long(SSH_BANNER_LEN_MAX + 1)).0, Progress::Refused(Oddity::SshBannerTooLong));
        assert_eq!(read(Speaker::Server, &b"text\r\n".repeat(SSH_PRELUDE_BYTES_MAX)).0, Progress::NotThis);
        assert_eq!(read(Speaker::Server, &vec![b'x'; SSH_PRELUDE_BYTES_MAX * 2]).0, Progress::NotThis);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_cuts_say_the_same(
            parts in proptest::collection::vec(prop::sample::select(vec!["S", "SSH-", "2.0-", "\r\n", "\n", "x", "\0"]), 0..20),
        ) {
            read(Speaker::Client, parts.concat().as_bytes());
            read(Speaker::Server, parts.concat().as_bytes());
        }
    }
}
