//! The channel between monitor and worker: an `AF_UNIX` `SOCK_SEQPACKET` pair, one JSON message a packet, bounded in size.
//!
//! The monitor distrusts what arrives: it takes no descriptors, waits no longer than a deadline, and never blocks on a
//! worker that does not read. Relies on the kernel keeping packet borders.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest message, bytes: well under the kernel's default send buffer, so one always fits.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// Most descriptors in one message.
pub const DESCRIPTORS: usize = 10;

/// Why a message could not be sent or had.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other side is gone.
    #[error("the other side of the channel is gone")]
    Closed,
    /// Not in time.
    #[error("no message within the time allowed")]
    Timeout,
    /// Not a message of this channel, or too large.
    #[error("not a message of this channel")]
    Form,
    /// The kernel's.
    #[error("channel: {0}")]
    Io(#[from] std::io::Error),
}

/// One end.
#[derive(Debug)]
pub struct Endpoint {
    socket: OwnedFd,
    packet: Vec<u8>,
}

/// The two ends of a new channel; both close on exec.
///
/// # Errors
/// The kernel's.
pub fn pair() -> Result<(Endpoint, OwnedFd), ChannelError> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(std::io::Error::from)?;
    Ok((Endpoint::new(ours), theirs))
}

impl Endpoint {
    /// The end that `socket` is.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, packet: vec![0; MESSAGE_BYTES] }
    }

    /// Sends `message` with `descriptors`; waits for room until `deadline` (without: for ever).
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), ChannelError> {
        let bytes = serde_json::to_vec(message).map_err(|_| ChannelError::Form)?;
        if bytes.len() > MESSAGE_BYTES || descriptors.len() > DESCRIPTORS {
            return Err(ChannelError::Form);
        }
        let mut flags = SendFlags::NOSIGNAL;
        if deadline.is_some() {
            flags |= SendFlags::DONTWAIT;
        }
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(ChannelError::Form);
            }
            match sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, flags) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => self.wait(PollFlags::POLLOUT, deadline, || ())?,
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Io(error.into())),
            }
        }
    }

    /// Receives a message; descriptors that come with it are dropped by the kernel. `alive` is called about once a second
    /// while waiting.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn recv<T: DeserializeOwned>(
        &mut self,
        deadline: Option<Instant>,
        alive: impl FnMut(),
    ) -> Result<T, ChannelError> {
        if deadline.is_some() {
            self.wait(PollFlags::POLLIN, deadline, alive)?;
        }
        self.receive(&mut RecvAncillaryBuffer::default())
    }

    /// Receives a message and the descriptors that come with it, in order.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn recv_descriptors<T: DeserializeOwned>(&mut self) -> Result<(T, Vec<OwnedFd>), ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = self.receive(&mut ancillary)?;
        let mut descriptors = Vec::new();
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                descriptors.extend(rights);
            }
        }
        Ok((message, descriptors))
    }

    fn receive<T: DeserializeOwned>(&mut self, ancillary: &mut RecvAncillaryBuffer<'_>) -> Result<T, ChannelError> {
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut self.packet)];
            match recvmsg(&self.socket, &mut slices, ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Io(error.into())),
            }
        };
        if received.bytes == 0 {
            return Err(ChannelError::Closed);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(ChannelError::Form);
        }
        let bytes = self.packet.get(..received.bytes).ok_or(ChannelError::Form)?;
        serde_json::from_slice(bytes).map_err(|_| ChannelError::Form)
    }

    fn wait(&self, what: PollFlags, deadline: Option<Instant>, mut alive: impl FnMut()) -> Result<(), ChannelError> {
        loop {
            let left = deadline.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(ChannelError::Timeout);
            }
            let slice = left.min(Duration::from_secs(1)).max(Duration::from_millis(1));
            let timeout = PollTimeout::try_from(slice).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), what)], timeout) {
                Ok(0) | Err(Errno::EINTR) => alive(),
                Ok(_) => return Ok(()),
                Err(error) => return Err(ChannelError::Io(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _};

    use super::*;

    #[test]
    fn a_message_and_its_descriptors_arrive_in_order() {
        let (ours, theirs) = pair().unwrap();
        let mut theirs = Endpoint::new(theirs);
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, path.file_name().unwrap().as_encoded_bytes()).unwrap());
        let files = paths.map(|path| File::open(path).unwrap());
        ours.send(&"hello", &[files[0].as_fd(), files[1].as_fd()], None).unwrap();
        let (text, descriptors) = theirs.recv_descriptors::<String>().unwrap();
        assert_eq!(text, "hello");
        let read = descriptors.into_iter().map(|fd| {
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text).unwrap();
            text
        });
        assert_eq!(read.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn descriptors_nobody_asked_for_are_not_taken() {
        let (mut ours, theirs) = pair().unwrap();
        let theirs = Endpoint::new(theirs);
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let file = File::open("/dev/null").unwrap();
        let before = open();
        for _ in 0..50 {
            theirs.send(&1u8, &[file.as_fd(); 3], None).unwrap();
            assert_eq!(ours.recv::<u8>(None, || ()).unwrap(), 1);
        }
        // Other tests of this process open files too; a leak would be 150.
        assert!(open() < before + 50);
    }

    #[test]
    fn silence_flood_junk_and_death_are_told_apart() {
        let soon = || Some(Instant::now() + Duration::from_millis(30));
        let (mut ours, theirs) = pair().unwrap();
        assert!(matches!(ours.recv::<u8>(soon(), || ()), Err(ChannelError::Timeout)));

        // A peer that never reads cannot block the sender beyond its deadline.
        let filled = (0..100_000).find_map(|_| ours.send(&"x".repeat(60_000), &[], soon()).err());
        assert!(matches!(filled, Some(ChannelError::Timeout)), "{filled:?}");

        // What comes is waited for: another test's child may hold the other end between its fork and its exec.
        let in_time = || Some(Instant::now() + Duration::from_secs(20));
        let theirs = Endpoint::new(theirs);
        theirs.send(&"not a number", &[], None).unwrap();
        assert!(matches!(ours.recv::<u8>(in_time(), || ()), Err(ChannelError::Form)));
        rustix::net::send(&theirs.socket, &vec![b'1'; MESSAGE_BYTES + 1], SendFlags::empty()).unwrap();
        assert!(
            matches!(ours.recv::<u8>(in_time(), || ()), Err(ChannelError::Form)),
            "a truncated packet is no message"
        );
        assert!(matches!(theirs.send(&"x".repeat(MESSAGE_BYTES), &[], None), Err(ChannelError::Form)));
        drop(theirs);
        assert!(matches!(ours.recv::<u8>(in_time(), || ()), Err(ChannelError::Closed)));
    }
}
