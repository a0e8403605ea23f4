//! A cursor over bytes from outside: each step says `None` where they end too early.

/// What has not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u24(&mut self) -> Option<usize> {
        let (high, low) = (self.u8()?, self.u16()?);
        Some(usize::from(high) << 16 | usize::from(low))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// A field with its length in one byte before it.
    pub(crate) fn field8(&mut self) -> Option<Reader<'a>> {
        let len = self.u8()?;
        self.take(len.into()).map(Reader::new)
    }

    /// A field with its length in two bytes before it.
    pub(crate) fn field16(&mut self) -> Option<Reader<'a>> {
        let len = self.u16()?;
        self.take(len.into()).map(Reader::new)
    }

    /// A field with its length in three bytes before it.
    pub(crate) fn field24(&mut self) -> Option<Reader<'a>> {
        let len = self.u24()?;
        self.take(len).map(Reader::new)
    }

    /// All that is left, as numbers of two bytes.
    pub(crate) fn u16s(mut self) -> Option<Vec<u16>> {
        let mut numbers = Vec::with_capacity(self.rest.len() / 2);
        while !self.is_empty() {
            numbers.push(self.u16()?);
        }
        Some(numbers)
    }
}
