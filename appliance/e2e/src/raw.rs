//! A scanner that sends exactly the bytes it is told to, also such that no real SCU would send: for attacks and for load.

use std::{
    io::{Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use dicom_ul::{
    Pdu,
    association::{ClientAssociation, client::ClientAssociationOptions},
    pdu::{PDataValue, PDataValueType},
};

/// One association, one presentation context.
#[derive(Debug)]
pub struct RawScu {
    association: ClientAssociation<TcpStream>,
    context: u8,
    sop_class: String,
}

impl RawScu {
    /// Opens an association that proposes one context.
    pub fn open(address: SocketAddr, called: &str, sop_class: &str, transfer_syntax: &str) -> Result<Self> {
        let association = ClientAssociationOptions::new()
            .calling_ae_title("RAWSCU")
            .called_ae_title(called.to_owned())
            .with_presentation_context(sop_class.to_owned(), vec![transfer_syntax.to_owned()])
            .connection_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .write_timeout(Duration::from_secs(120))
            .establish(address)?;
        let context = association.presentation_contexts().first().context("no presentation context accepted")?.id;
        Ok(Self { association, context, sop_class: sop_class.to_owned() })
    }

    /// C-STORE of `length` bytes read from `bytes`; returns the status, or an error when the association ended.
    pub fn store(&mut self, sop_instance: &str, mut bytes: impl Read, length: u64) -> Result<u16> {
        let command = store_rq(&self.sop_class, sop_instance);
        let context = self.context;
        self.send(PDataValueType::Command, context, command, true)?;
        let limit = self.association.acceptor_max_pdu_length().clamp(4096, 128 << 10) as usize - 12;
        let mut left = length;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(limit);
            let mut data = vec![0; part];
            bytes.read_exact(&mut data)?;
            left -= part as u64;
            self.send(PDataValueType::Data, context, data, left == 0)?;
        }
        match self.association.receive()? {
            Pdu::PData { data } => {
                status(&data.first().context("empty P-DATA")?.data).context("no status in the answer")
            }
            other => bail!("answered {}", other.short_description()),
        }
    }

    /// Sends a P-DATA-TF header that promises `length` bytes, and some of them; returns what the peer does about it.
    pub fn promise(&mut self, length: u32) -> Result<Pdu> {
        let mut header = vec![0x04, 0];
        header.extend(length.to_be_bytes());
        header.extend([0; 64]);
        self.association.inner_stream().write_all(&header)?;
        Ok(self.association.receive()?)
    }

    /// Releases the association in order.
    pub fn release(self) -> Result<()> {
        Ok(self.association.release()?)
    }

    fn send(&mut self, value_type: PDataValueType, context: u8, data: Vec<u8>, is_last: bool) -> Result<()> {
        let value = PDataValue { presentation_context_id: context, value_type, is_last, data };
        Ok(self.association.send(&Pdu::PData { data: vec![value] })?)
    }
}

/// A C-STORE-RQ command set (PS3.7 §9.3.1.1), Implicit VR Little Endian.
fn store_rq(sop_class: &str, sop_instance: &str) -> Vec<u8> {
    let text = |uid: &str| {
        let mut bytes = uid.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    };
    let short = |value: u16| value.to_le_bytes().to_vec();
    let elements = [
        (0x0002_u16, text(sop_class)),
        (0x0100, short(0x0001)),
        (0x0110, short(1)),
        (0x0700, short(0)),
        (0x0800, short(1)),
        (0x1000, text(sop_instance)),
    ];
    let mut body = Vec::new();
    for (element, value) in elements {
        body.extend([0, 0]);
        body.extend(element.to_le_bytes());
        body.extend((value.len() as u32).to_le_bytes());
        body.extend(value);
    }
    let mut command = vec![0, 0, 0, 0, 4, 0, 0, 0];
    command.extend((body.len() as u32).to_le_bytes());
    command.extend(body);
    command
}

/// Status (0000,0900) of a response's command set.
fn status(command: &[u8]) -> Option<u16> {
    let mut rest = command;
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(rest[4..8].try_into().ok()?) as usize;
        let value = rest.get(8..8 + length)?;
        if rest[..4] == [0, 0, 0, 9] {
            return Some(u16::from_le_bytes(value.try_into().ok()?));
        }
        rest = &rest[8 + length..];
    }
    None
}
