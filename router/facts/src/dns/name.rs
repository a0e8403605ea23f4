//! Names in messages, with their compression (RFC 1035, sections 3.1 and 4.1.4).

use crate::Oddity;
use crate::limits::DNS_NAME_LEN_MAX;
use crate::name::push_escaped;
use crate::reader::Reader;

/// The two highest bits of a pointer.
const POINTER: u8 = 0xc0;

/// Reads the name where the reader stands, and steps behind it. A pointer must lead to before the place where the last part
/// of the name began, so no name is endless.
pub(super) fn read<'a>(message: &'a [u8], reader: &mut Reader<'a>) -> Result<String, Oddity> {
    let mut text = String::new();
    let mut len = 0;
    // Where the part that is read now begins.
    let mut begin = message.len() - reader.rest().len();
    let mut part = *reader;
    let mut has_jumped = false;
    loop {
        let first = part.u8().ok_or(Oddity::DnsMessage)?;
        match first & POINTER {
            0 if first == 0 => break,
            0 => {
                let label = part.take(first.into()).ok_or(Oddity::DnsMessage)?;
                len += label.len() + 1;
                if len + 1 > DNS_NAME_LEN_MAX {
                    return Err(Oddity::DnsNameTooLong);
                }
                push_label(&mut text, label);
            }
            POINTER => {
                let low = part.u8().ok_or(Oddity::DnsMessage)?;
                let target = usize::from(first & !POINTER) << 8 | usize::from(low);
                if target >= begin {
                    return Err(Oddity::DnsPointer);
                }
                if !has_jumped {
                    *reader = part;
                    has_jumped = true;
                }
                begin = target;
                part = Reader::new(message.get(target..).ok_or(Oddity::DnsPointer)?);
            }
            // The other two kinds of labels are given up (RFC 6891, section 5) or were never used.
            _ => return Err(Oddity::DnsMessage),
        }
    }
    if !has_jumped {
        *reader = part;
    }
    Ok(if text.is_empty() { ".".to_owned() } else { text })
}

fn push_label(text: &mut String, label: &[u8]) {
    if !text.is_empty() {
        text.push('.');
    }
    for byte in label {
        if *byte == b'.' {
            text.push('\\');
        }
        push_escaped(text, *byte);
    }
}
