//! One C-STORE (PS3.7 §9.1.1) as SCU, over dicom-rs.

use std::net::TcpStream;

use dicom_core::{PrimitiveValue, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, mem::InMemElement};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::{
    Pdu,
    association::{ClientAssociation, client::ClientAssociationOptions},
    pdu::{PDataValue, PDataValueType},
};

use crate::{definition::Definition, error::CanaryError, object::Object, settings::Settings};

/// Most bytes of one P-DATA-TF PDU; every peer takes as much.
const PDU_BYTES: usize = 16 << 10;
/// Of these, the headers of PDU and PDV.
const HEADER_BYTES: usize = 12;

/// Sends `object`; returns once the receiver has answered that it has it for good.
///
/// # Errors
/// It has not.
pub(crate) fn send(settings: &Settings, definition: &Definition, object: &Object) -> Result<(), CanaryError> {
    let mut association = ClientAssociationOptions::new()
        .calling_ae_title(definition.calling_ae.clone())
        .called_ae_title(definition.called_ae.clone())
        .with_presentation_context(Object::SOP_CLASS, vec![Object::TRANSFER_SYNTAX])
        .connection_timeout(settings.timeout())
        .read_timeout(settings.timeout())
        .write_timeout(settings.timeout())
        .establish(settings.receiver)
        .map_err(|_| CanaryError::Association)?;
    let context = association.presentation_contexts().first().ok_or(CanaryError::Association)?.id;
    let part = |association: &mut ClientAssociation<TcpStream>, value_type, is_last, data: &[u8]| {
        let value = PDataValue { presentation_context_id: context, value_type, is_last, data: data.to_vec() };
        association.send(&Pdu::PData { data: vec![value] }).map_err(|_| CanaryError::Broken)
    };
    part(&mut association, PDataValueType::Command, true, &store_rq(object)?)?;
    let mut chunks = object.bytes.chunks(PDU_BYTES - HEADER_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        part(&mut association, PDataValueType::Data, chunks.peek().is_none(), chunk)?;
    }
    let status = match association.receive().map_err(|_| CanaryError::Broken)? {
        Pdu::PData { data } => data.first().and_then(|value| status(&value.data)).ok_or(CanaryError::Broken)?,
        _ => return Err(CanaryError::Broken),
    };
    if status != 0 {
        return Err(CanaryError::Refused(status));
    }
    // It is stored; how the association ends changes nothing.
    let _ = association.release();
    Ok(())
}

/// The command set of a C-STORE-RQ (PS3.7 §9.3.1.1).
fn store_rq(object: &Object) -> Result<Vec<u8>, CanaryError> {
    let number = |tag, value: u16| InMemElement::new(tag, VR::US, dicom_value!(U16, [value]));
    let uid = |tag, value: &str| InMemElement::new(tag, VR::UI, PrimitiveValue::from(value));
    let command = InMemDicomObject::command_from_element_iter([
        uid(tags::AFFECTED_SOP_CLASS_UID, Object::SOP_CLASS),
        number(tags::COMMAND_FIELD, 0x0001),
        number(tags::MESSAGE_ID, 1),
        number(tags::PRIORITY, 0),
        // A data set follows: anything but 0101H.
        number(tags::COMMAND_DATA_SET_TYPE, 0),
        uid(tags::AFFECTED_SOP_INSTANCE_UID, &object.sop_instance),
    ]);
    let mut bytes = Vec::new();
    let syntax = IMPLICIT_VR_LITTLE_ENDIAN.erased();
    command.write_dataset_with_ts(&mut bytes, &syntax).map_err(|_| CanaryError::Encode)?;

    Ok(bytes)
}

/// Status (0000,0900) of a response.
fn status(command: &[u8]) -> Option<u16> {
    let syntax = IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let response = InMemDicomObject::read_dataset_with_ts(command, &syntax).ok()?;
    response.element(tags::STATUS).ok()?.to_int().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_and_anything_else_is_none() {
        let answer = [0, 0, 0, 9, 2, 0, 0, 0, 0x00, 0xA7];
        assert_eq!(status(&answer), Some(0xA700));
        assert_eq!(status(&answer[..9]), None);
        assert_eq!(status(&[]), None);
    }
}
