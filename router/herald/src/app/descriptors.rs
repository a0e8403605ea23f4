//! Tells when this process can open nothing more: once when that begins, and once when it is over.

use std::io;
use std::os::fd::AsFd;

/// Whether the last look found a descriptor left.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    are_used_up: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    UsedUp,
    Left,
}

impl Descriptors {
    /// Looks, and tells what is new.
    pub(super) fn look(&mut self) {
        let copy = io::stderr().as_fd().try_clone_to_owned();
        match self.found(copy.is_ok()) {
            None => {}
            Some(News::UsedUp) => tracing::error!(
                "no file descriptor is left: links and commands that connect now are not answered; see the limit of open files \
                 (ulimit -n)"
            ),
            Some(News::Left) => tracing::info!("file descriptors are left again"),
        }
    }

    fn found(&mut self, left: bool) -> Option<News> {
        let were_used_up = std::mem::replace(&mut self.are_used_up, !left);
        match (were_used_up, left) {
            (false, false) => Some(News::UsedUp),
            (true, true) => Some(News::Left),
            (false, true) | (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_told_once() {
        let mut descriptors = Descriptors::default();
        let told = [true, false, false, true, true].map(|left| descriptors.found(left));
        assert_eq!(told, [None, Some(News::UsedUp), None, Some(News::Left), None]);
    }
}
