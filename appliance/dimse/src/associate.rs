//! A-ASSOCIATE-RQ, -AC and -RJ (PS3.8 §9.3.2 to 9.3.4) and presentation context negotiation (§7.1.1.13, PS3.7 Annex D).
//!
//! dicom-ul's codec reads and writes the PDUs. It refuses items it does not know, although the standard has receivers ignore
//! them (§9.3.1), and loses its place in user information sub-items it does know; so [`distil`] first reduces a request to the
//! items this acceptor uses. Role selection, extended negotiation, user identity and asynchronous operations are thereby
//! tolerated, and not answered: the requestor then has the default role, no extensions and a window of one operation.

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    MAXIMUM_PDU_SIZE, Pdu, PresentationContextProposed, PresentationContextResult, PresentationContextResultReason,
    UserVariableItem, read_pdu, write_pdu,
};

use crate::{Offer, Uid, VERIFICATION, uid::trim};

/// DICOM application context name (PS3.7 A.2.1).
const APPLICATION_CONTEXT: &[u8] = b"1.2.840.10008.3.1.1.1";
const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";

/// Implementation Class UID of this acceptor (PS3.7 D.3.3.2), derived from a UUID (PS3.5 B.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.245317373089114414833174228995898601460";
/// Implementation Version Name of this acceptor, at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "GIFT_EDGE_1";

/// Identifiers of presentation contexts are the odd numbers of a byte.
const MAX_CONTEXTS: usize = 128;

const PDU_HEADER_BYTES: usize = 6;
/// Protocol version, reserved, called and calling AE title, reserved.
const FIXED_BYTES: usize = 68;
/// Where the AE titles and the 32 reserved bytes after them stand in A-ASSOCIATE-RQ and -AC, PDU header included.
const TITLES: std::ops::Range<usize> = 10..74;

/// An AE title (PS3.5 VR AE): 1 to 16 printable ASCII characters without backslash, trimmed. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AeTitle(String);

impl AeTitle {
    /// The title in `bytes`, without padding; `None` if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = trim(bytes);
        let legal = (1..=16).contains(&text.len()) && text.iter().all(|b| matches!(b, b' '..=b'~') && *b != b'\\');
        legal.then(|| Self(text.iter().map(|&b| char::from(b)).collect()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeTitle(..)")
    }
}

/// Who asks for an association; the driver answers by policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationRequest {
    /// Called AE title; `None` if the field holds no AE title.
    pub called_ae: Option<AeTitle>,
    /// Calling AE title; `None` if the field holds no AE title.
    pub calling_ae: Option<AeTitle>,
}

/// How the driver may reject an association (PS3.8 Table 9-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// By policy: rejected-permanent, no-reason-given; the same whether the called AE title, the calling AE title or the address
    /// is at fault, so that nothing can be learnt by trying.
    NotAllowed,
    /// Busy or short of disk: rejected-transient, temporary-congestion.
    Congestion,
}

/// Why a request is turned down without asking the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsupported {
    ProtocolVersion,
    ApplicationContext,
}

/// Not an A-ASSOCIATE-RQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A decoded request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) who: AssociationRequest,
    pub(crate) unsupported: Option<Unsupported>,
    /// The requestor's maximum PDU length; 0 = none.
    pub(crate) max_pdu_bytes: u32,
    contexts: Vec<PresentationContextProposed>,
    titles: Vec<u8>,
}

/// What an accepted presentation context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Verification,
    Storage,
}

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) id: u8,
    pub(crate) service: Service,
    pub(crate) abstract_syntax: Uid,
    pub(crate) transfer_syntax: Uid,
}

impl Request {
    /// Decodes a whole PDU.
    pub(crate) fn decode(pdu: &[u8]) -> Result<Self, Malformed> {
        let distilled = distil(pdu)?;
        let limit = u32::try_from(distilled.len()).unwrap_or(MAXIMUM_PDU_SIZE).clamp(4096, MAXIMUM_PDU_SIZE);
        let Ok(Some(Pdu::AssociationRQ(request))) = read_pdu(distilled.as_slice(), limit, true) else {
            return Err(Malformed);
        };
        let AssociationRQ { protocol_version, application_context_name, presentation_contexts, user_variables, .. } =
            request;
        let contexts = presentation_contexts;
        let distinct: std::collections::HashSet<u8> = contexts.iter().map(|context| context.id).collect();
        if distinct.len() != contexts.len() || distinct.iter().any(|id| id % 2 == 0) {
            return Err(Malformed);
        }
        let unsupported = if protocol_version & 1 == 0 {
            Some(Unsupported::ProtocolVersion)
        } else if trim(application_context_name.as_bytes()) != APPLICATION_CONTEXT {
            Some(Unsupported::ApplicationContext)
        } else {
            None
        };
        let max_pdu_bytes = user_variables.iter().find_map(|item| match item {
            UserVariableItem::MaxLength(max) => Some(*max),
            _ => None,
        });
        let titles = pdu.get(TITLES).ok_or(Malformed)?.to_vec();
        let title = |range| AeTitle::parse(titles.get(range).unwrap_or_default());
        let who = AssociationRequest { called_ae: title(0..16), calling_ae: title(16..32) };
        Ok(Self { who, unsupported, max_pdu_bytes: max_pdu_bytes.unwrap_or(0), contexts, titles })
    }

    /// Negotiates (PS3.8 §7.1.1.13): the accepted contexts and the A-ASSOCIATE-AC.
    pub(crate) fn accept(&self, offer: &Offer) -> Result<(Vec<Context>, Vec<u8>), Malformed> {
        let mut accepted = Vec::new();
        let mut results = Vec::with_capacity(self.contexts.len());
        for proposed in &self.contexts {
            let (reason, transfer_syntax) = match negotiate(proposed, offer) {
                Ok(context) => {
                    let transfer_syntax = context.transfer_syntax.as_str().to_owned();
                    accepted.push(context);
                    (PresentationContextResultReason::Acceptance, transfer_syntax)
                }
                // Present, and not significant (PS3.8 Table 9-18).
                Err(reason) => (reason, IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
            };
            results.push(PresentationContextResult { id: proposed.id, reason, transfer_syntax });
        }
        let pdu = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            calling_ae_title: String::new(),
            called_ae_title: String::new(),
            application_context_name: String::from_utf8_lossy(APPLICATION_CONTEXT).into_owned(),
            presentation_contexts: results,
            user_variables: vec![
                UserVariableItem::MaxLength(offer.max_pdu_bytes),
                UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
                UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
            ],
        });
        let mut bytes = encode(&pdu)?;
        // "Shall be sent with a value identical to the value received" (PS3.8 Table 9-17): byte for byte.
        bytes.get_mut(TITLES).ok_or(Malformed)?.copy_from_slice(&self.titles);
        Ok((accepted, bytes))
    }
}

fn negotiate(
    proposed: &PresentationContextProposed,
    offer: &Offer,
) -> Result<Context, PresentationContextResultReason> {
    let unsupported = PresentationContextResultReason::AbstractSyntaxNotSupported;
    let abstract_syntax = Uid::parse(proposed.abstract_syntax.as_bytes()).ok_or(unsupported.clone())?;
    let service = match abstract_syntax.as_str() {
        VERIFICATION => Service::Verification,
        class if offer.storage_sop_classes.contains(class) => Service::Storage,
        _ => return Err(unsupported),
    };
    let syntaxes = || proposed.transfer_syntaxes.iter().filter_map(|text| Uid::parse(text.as_bytes()));
    let preferred =
        offer.transfer_syntax_order.iter().find_map(|wanted| syntaxes().find(|uid| uid.as_str() == wanted.as_str()));
    let transfer_syntax =
        preferred.or_else(|| syntaxes().next()).ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported)?;
    Ok(Context { id: proposed.id, service, abstract_syntax, transfer_syntax })
}

/// A-ASSOCIATE-RJ for a rejection by the driver.
pub(crate) fn reject(rejection: Rejection) -> Result<Vec<u8>, Malformed> {
    let (result, source) = match rejection {
        Rejection::NotAllowed => (
            AssociationRJResult::Permanent,
            AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::NoReasonGiven),
        ),
        Rejection::Congestion => (
            AssociationRJResult::Transient,
            AssociationRJSource::ServiceProviderPresentation(
                AssociationRJServiceProviderPresentationReason::TemporaryCongestion,
            ),
        ),
    };
    encode(&Pdu::AssociationRJ(AssociationRJ { result, source }))
}

/// A-ASSOCIATE-RJ for a request that this acceptor cannot serve at all.
pub(crate) fn reject_unsupported(why: Unsupported) -> Result<Vec<u8>, Malformed> {
    let source = match why {
        Unsupported::ProtocolVersion => AssociationRJSource::ServiceProviderASCE(
            AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported,
        ),
        Unsupported::ApplicationContext => {
            AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::ApplicationContextNameNotSupported)
        }
    };
    encode(&Pdu::AssociationRJ(AssociationRJ { result: AssociationRJResult::Permanent, source }))
}

/// Encodes a PDU by dicom-ul.
pub(crate) fn encode(pdu: &Pdu) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).map_err(|_| Malformed)?;
    Ok(bytes)
}

/// The request with only the items this acceptor uses: application context, presentation contexts with abstract and transfer
/// syntaxes, maximum length. Every length is checked against what encloses it.
fn distil(pdu: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (fixed, mut items) = pdu.split_at_checked(PDU_HEADER_BYTES + FIXED_BYTES).ok_or(Malformed)?;
    let mut out = fixed.to_vec();
    let mut contexts = 0;
    while !items.is_empty() {
        let (kind, body) = item(&mut items)?;
        match kind {
            0x10 => push_item(&mut out, kind, body),
            0x20 => {
                contexts += 1;
                if contexts > MAX_CONTEXTS {
                    return Err(Malformed);
                }
                let (head, mut subs) = body.split_at_checked(4).ok_or(Malformed)?;
                let mut kept = head.to_vec();
                while !subs.is_empty() {
                    let (kind, body) = item(&mut subs)?;
                    if matches!(kind, 0x30 | 0x40) && Uid::parse(body).is_some() {
                        push_item(&mut kept, kind, body);
                    }
                }
                push_item(&mut out, kind, &kept);
            }
            0x50 => {
                let (mut subs, mut kept) = (body, Vec::new());
                while !subs.is_empty() {
                    let (kind, body) = item(&mut subs)?;
                    if kind == 0x51 && body.len() == 4 {
                        push_item(&mut kept, kind, body);
                    }
                }
                push_item(&mut out, kind, &kept);
            }
            _ => {}
        }
    }
    let length = u32::try_from(out.len() - PDU_HEADER_BYTES).map_err(|_| Malformed)?;
    out.get_mut(2..PDU_HEADER_BYTES).ok_or(Malformed)?.copy_from_slice(&length.to_be_bytes());
    Ok(out)
}

/// Takes an item or sub-item (type, reserved, 16-bit length, body) off the front.
fn item<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Malformed> {
    let &[kind, _, a, b, ref rest @ ..] = *bytes else { return Err(Malformed) };
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([a, b]))).ok_or(Malformed)?;
    *bytes = rest;
    Ok((kind, body))
}

fn push_item(into: &mut Vec<u8>, kind: u8, body: &[u8]) {
    into.extend_from_slice(&[kind, 0]);
    // No longer than the item it was made of, whose length was 16 bits.
    into.extend_from_slice(&(body.len() as u16).to_be_bytes());
    into.extend_from_slice(body);
}

#[cfg(test)]
mod tests;
