//! The uplink's side. Each request is a connection of its own; the calls block, for as long as the caller's patience at most.

use std::{
    io,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::SendTimeout},
    time::{TimeVal, TimeValLike as _},
};

use crate::{Answer, Failure, Patient, PublicKeyInfo, ReadError, Request, protocol::DIGEST_BYTES};

/// Why the signer gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It is not there, or too slow.
    #[error("the signer does not answer: {0}")]
    Silent(io::Error),
    /// What came is no answer to what was asked.
    #[error("the signer's answer is none")]
    Answer,
    /// It says why.
    #[error("the signer says: {0}")]
    Failed(Failure),
}

/// Asks the signer.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    patience: Duration,
}

impl Client {
    /// A client of the signer that listens at `socket`; a request is given up after twice `patience` at the latest.
    pub fn new(socket: PathBuf, patience: Duration) -> Self {
        Self { socket, patience }
    }

    /// The public half of the device key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn public_key(&self) -> Result<PublicKeyInfo, ClientError> {
        match self.ask(Request::PublicKey)? {
            Answer::PublicKey(key) => Ok(key),
            Answer::Failed(failure) => Err(ClientError::Failed(failure)),
            Answer::Signature(_) => Err(ClientError::Answer),
        }
    }

    /// The device key's ECDSA signature (DER) of a SHA-256 digest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn sign(&self, digest: [u8; DIGEST_BYTES]) -> Result<Vec<u8>, ClientError> {
        match self.ask(Request::Sign(digest))? {
            Answer::Signature(signature) => Ok(signature),
            Answer::Failed(failure) => Err(ClientError::Failed(failure)),
            Answer::PublicKey(_) => Err(ClientError::Answer),
        }
    }

    fn ask(&self, request: Request) -> Result<Answer, ClientError> {
        let stream = self.connect().map_err(ClientError::Silent)?;
        let mut patient = Patient::new(&stream, self.patience);
        request.write(&mut patient).map_err(ClientError::Silent)?;
        Answer::read(&mut patient).map_err(|error| match error {
            ReadError::Io(error) => ClientError::Silent(error),
            ReadError::Form => ClientError::Answer,
        })
    }

    /// Connects; waits for a place in the queue no longer than for an answer.
    fn connect(&self) -> io::Result<UnixStream> {
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = i64::try_from(self.patience.as_millis()).unwrap_or(i64::MAX);
        setsockopt(&socket, SendTimeout, &TimeVal::milliseconds(patience))?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.socket)?)?;
        Ok(UnixStream::from(socket))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixListener, time::Instant};

    use super::*;

    fn asked(answer: &'static [u8]) -> Result<PublicKeyInfo, ClientError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            Request::read(&mut stream).unwrap();
            stream.write_all(answer).unwrap();
        });
        let said = Client::new(path, Duration::from_secs(10)).public_key();
        serving.join().unwrap();
        said
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(matches!(asked(&[1, 255, 0, 1, 2]), Err(ClientError::Failed(Failure::Key))));
        assert!(matches!(asked(&[1, 130, 0, 8, 0x30, 6, 2, 1, 1, 2, 1, 1]), Err(ClientError::Answer)));
        assert!(matches!(asked(b"HTTP/1.1 200 OK"), Err(ClientError::Answer)));
        assert!(matches!(asked(&[1, 129]), Err(ClientError::Silent(_))));
        assert!(matches!(asked(&[]), Err(ClientError::Silent(_))));
    }

    #[test]
    fn a_signer_that_hangs_or_is_not_there_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let client = Client::new(path.clone(), Duration::from_millis(200));
        assert!(matches!(client.public_key(), Err(ClientError::Silent(_))));
        // It takes connections in (the kernel does) and says nothing; then its queue is full, too.
        let _listener = UnixListener::bind(&path).unwrap();
        let began = Instant::now();
        assert!(matches!(client.sign([0; 32]), Err(ClientError::Silent(_))));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
