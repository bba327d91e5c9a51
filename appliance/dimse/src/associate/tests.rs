use super::*;

const CT: &[u8] = b"1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &[u8] = b"1.2.840.10008.1.2.1";
const IMPLICIT: &[u8] = b"1.2.840.10008.1.2";

fn sub(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_item(&mut bytes, kind, body);
    bytes
}

fn context(id: u8, abstract_syntax: &[u8], syntaxes: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0];
    body.extend(sub(0x30, abstract_syntax));
    syntaxes.iter().for_each(|ts| body.extend(sub(0x40, ts)));
    sub(0x20, &body)
}

fn request(version: u16, items: &[Vec<u8>]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([0, 0]);
    body.extend(b"GIFTCLOUD       VOLUSON1\0\0      ");
    body.extend([0xEE; 32]);
    items.iter().for_each(|item| body.extend(item));
    let mut pdu = vec![1, 0];
    pdu.extend((body.len() as u32).to_be_bytes());
    pdu.extend(body);
    pdu
}

fn offer() -> Offer {
    Offer::new(65_536, ["1.3.12.2.1107.5.9.1".to_owned()], vec![])
}

fn application() -> Vec<u8> {
    sub(0x10, APPLICATION_CONTEXT)
}

#[test]
fn items_nobody_asked_for_are_tolerated() {
    let mut user = sub(0x51, &[0, 0, 0x40, 0]);
    user.extend(sub(0x53, &[0, 1, 0, 1]));
    user.extend(sub(0x54, b"\0\x031.2\x01\x00"));
    user.extend(sub(0x54, b"\xff\xff"));
    user.extend(sub(0x56, b"\xff\xfe"));
    user.extend(sub(0x57, b"anything"));
    user.extend(sub(0x58, b"\x02\x01\x00\x04user\x00\x02pw"));
    user.extend(sub(0x77, b"?"));
    let items = [application(), context(1, CT, &[EXPLICIT]), sub(0x99, b"unknown"), sub(0x50, &user)];
    let request = Request::decode(&request(0x8001, &items)).unwrap();
    assert_eq!((request.unsupported, request.max_pdu_bytes), (None, 0x4000));
    assert_eq!(request.who.calling_ae.as_ref().unwrap().as_str(), "VOLUSON1");
    assert_eq!(request.who.called_ae.as_ref().unwrap().as_str(), "GIFTCLOUD");
}

#[test]
fn the_first_proposed_syntax_is_taken_unless_an_order_says_otherwise() {
    let items = [
        application(),
        context(1, CT, &[IMPLICIT, EXPLICIT]),
        context(3, b"1.2.840.10008.5.1.4.1.2.1.1", &[IMPLICIT]),
        context(5, CT, &[]),
        context(7, b"1.2.840.10008.1.1\0", &[b"1.2.840.10008.1.2\0"]),
        context(9, b"1.3.12.2.1107.5.9.1", &[b"not a uid", b"1.2.840.113619.5.2"]),
    ];
    let pdu = request(1, &items);
    let request = Request::decode(&pdu).unwrap();
    let (accepted, bytes) = request.accept(&offer()).unwrap();
    let summary: Vec<_> = accepted.iter().map(|c| (c.id, c.service, c.transfer_syntax.as_str())).collect();
    let expected = [
        (1, Service::Storage, "1.2.840.10008.1.2"),
        (7, Service::Verification, "1.2.840.10008.1.2"),
        (9, Service::Storage, "1.2.840.113619.5.2"),
    ];
    assert_eq!(summary, expected);
    assert_eq!(bytes[TITLES], pdu[TITLES], "titles and reserved bytes go back as they came");

    let Ok(Some(Pdu::AssociationAC(ac))) = read_pdu(bytes.as_slice(), 65_536, true) else { panic!() };
    let reasons: Vec<_> = ac.presentation_contexts.iter().map(|c| (c.id, c.reason.clone() as u8)).collect();
    assert_eq!(reasons, [(1, 0), (3, 3), (5, 4), (7, 0), (9, 0)]);
    assert!(ac.user_variables.contains(&UserVariableItem::MaxLength(65_536)));

    let ordered = Offer { transfer_syntax_order: vec!["1.2.840.10008.1.2.1".to_owned()], ..offer() };
    assert_eq!(request.accept(&ordered).unwrap().0[0].transfer_syntax.as_str(), "1.2.840.10008.1.2.1");
}

#[test]
fn a_full_house_of_contexts_is_accepted_and_one_more_is_not() {
    let mut items = vec![application()];
    items.extend((0..128u16).map(|n| context((2 * n + 1) as u8, CT, &[EXPLICIT, IMPLICIT])));
    assert_eq!(Request::decode(&request(1, &items)).unwrap().accept(&offer()).unwrap().0.len(), 128);
    items.push(context(1, CT, &[EXPLICIT]));
    assert!(Request::decode(&request(1, &items)).is_err());
}

#[test]
fn malformed_requests_are_told() {
    let contexts = |ids: &[u8]| {
        let items: Vec<_> =
            std::iter::once(application()).chain(ids.iter().map(|id| context(*id, CT, &[EXPLICIT]))).collect();
        request(1, &items)
    };
    let no_abstract = request(1, &[application(), sub(0x20, &[1, 0, 0, 0])]);
    let overrun = request(1, &[application(), vec![0x20, 0, 0xff, 0xff, 1]]);
    for bad in [contexts(&[2]), contexts(&[1, 1]), no_abstract, overrun, request(1, &[]), vec![1, 0, 0, 0, 0, 0]] {
        assert!(Request::decode(&bad).is_err());
    }
    assert_eq!(Request::decode(&request(2, &[application()])).unwrap().unsupported, Some(Unsupported::ProtocolVersion));
    let other = request(1, &[sub(0x10, b"1.2.3")]);
    assert_eq!(Request::decode(&other).unwrap().unsupported, Some(Unsupported::ApplicationContext));
}

#[test]
fn ae_titles_stay_out_of_debug_output() {
    let title = AeTitle::parse(b"SMITH^JOHN").unwrap();
    assert!(!format!("{title:?}").contains("SMITH"));
    assert_eq!([AeTitle::parse(b"A\\B"), AeTitle::parse(b"  "), AeTitle::parse(b"\xc3\xa9")], [None, None, None]);
}
