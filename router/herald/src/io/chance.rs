//! Random bytes from the kernel. Everything below the application is given its chance as an argument.

use std::fs::File;
use std::io::{self, Read};

/// Random bytes that no outsider can guess.
///
/// # Errors
/// When the kernel's source cannot be read.
pub fn random<const LEN: usize>() -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
