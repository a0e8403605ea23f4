//! One message: header, questions and records (RFC 1035, section 4; RFC 6891 for EDNS).

use super::name;
use crate::fact::{Answer, Question};
use crate::name::{Form, address, form};
use crate::reader::Reader;
use crate::{FactName, Facts, Oddity, Value};

/// Types of records whose data are read.
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const DNAME: u16 = 39;
const OPT: u16 = 41;

/// The flag that says: a response.
const RESPONSE: u16 = 0x8000;

/// What a whole message says.
#[derive(Debug)]
pub(super) struct Message {
    /// The response code, of a response.
    code: Option<u8>,
    questions: Vec<Question>,
    answers: Vec<Answer>,
    /// The greatest datagram that the sender takes (RFC 6891, section 6.2.3).
    udp_size: Option<u16>,
    oddities: Vec<Oddity>,
}

impl Message {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Oddity> {
        let mut reader = Reader::new(bytes);
        let header = Header::parse(&mut reader).ok_or(Oddity::DnsMessage)?;
        let code = (header.flags & RESPONSE != 0).then_some(header.flags.to_be_bytes()).map(|[_, low]| low & 0x0f);
        let mut message =
            Self { code, questions: Vec::new(), answers: Vec::new(), udp_size: None, oddities: Vec::new() };
        // Servers in use take exactly one (RFC 9619).
        if header.questions > 1 {
            message.oddities.push(Oddity::DnsQuestions);
        }
        for _ in 0..header.questions {
            let question = Question::parse(bytes, &mut reader)?;
            message.questions.push(question);
        }
        for place in 0..header.answers + header.others {
            let record = Record::parse(bytes, &mut reader)?;
            if record.answer.kind == OPT && place >= header.answers {
                if message.udp_size.is_some() {
                    return Err(Oddity::DnsMessage);
                }
                message.udp_size = Some(record.class);
            } else if place < header.answers {
                message.answers.push(record.answer);
            }
        }
        if !reader.is_empty() {
            message.oddities.push(Oddity::DnsTrailing);
        }
        Ok(message)
    }

    /// Puts what it says into the facts.
    pub(super) fn tell(self, facts: &mut Facts) {
        let is_host = |question: &Question| matches!(question.kind, A | AAAA) && form(&question.name) == Form::Other;
        if self.questions.iter().any(is_host) {
            facts.add_oddity(FactName::DnsOddities, Oddity::DnsNameNoHost);
        }
        for oddity in self.oddities {
            facts.add_oddity(FactName::DnsOddities, oddity);
        }
        // A response repeats its query's questions.
        for question in self.questions.into_iter().filter(|_| self.code.is_none()) {
            facts.add(FactName::DnsQuestions, Value::Questions(vec![question]));
        }
        // One by one: of many as many are kept as have room.
        for answer in self.answers {
            facts.add(FactName::DnsAnswers, Value::Answers(vec![answer]));
        }
        if let Some(code) = self.code {
            facts.add(FactName::DnsResponseCode, Value::Number(code.into()));
        } else if let Some(size) = self.udp_size {
            facts.add(FactName::DnsUdpSize, Value::Number(size.into()));
        }
    }
}

/// Flags and counts.
struct Header {
    flags: u16,
    questions: u16,
    answers: u32,
    /// Records of the other two sections.
    others: u32,
}

impl Header {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let _id = reader.u16()?;
        let (flags, questions, answers) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let others = u32::from(reader.u16()?) + u32::from(reader.u16()?);
        Some(Self { flags, questions, answers: answers.into(), others })
    }
}

impl Question {
    fn parse<'a>(message: &'a [u8], reader: &mut Reader<'a>) -> Result<Self, Oddity> {
        let name = name::read(message, reader)?;
        let mut numbers = || Some((reader.u16()?, reader.u16()?));
        let (kind, class) = numbers().ok_or(Oddity::DnsMessage)?;
        Ok(Self { name, kind, class })
    }
}

/// A record of any section.
struct Record {
    answer: Answer,
    class: u16,
}

impl Record {
    fn parse<'a>(message: &'a [u8], reader: &mut Reader<'a>) -> Result<Self, Oddity> {
        let name = name::read(message, reader)?;
        let mut numbers = || Some((reader.u16()?, reader.u16()?, reader.u32()?));
        let (kind, class, ttl) = numbers().ok_or(Oddity::DnsMessage)?;
        let mut behind = *reader;
        let content = behind.field16().ok_or(Oddity::DnsMessage)?;
        let data = match kind {
            A | AAAA => Some(address(content.rest()).ok_or(Oddity::DnsMessage)?),
            NS | CNAME | PTR | DNAME => {
                // A name in the data may point to anywhere before it.
                let mut inside = *reader;
                inside.u16();
                let named = name::read(message, &mut inside)?;
                if inside.rest().len() != behind.rest().len() {
                    return Err(Oddity::DnsMessage);
                }
                Some(named)
            }
            _ => None,
        };
        *reader = behind;
        Ok(Self { answer: Answer { name, kind, ttl, data }, class })
    }
}
