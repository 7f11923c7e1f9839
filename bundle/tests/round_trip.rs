//! What is written reads back as it was, whatever it is.

use std::path::Path;

use ferry_bundle_format::archive::Header;
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::index::Index;
use ferry_bundle_format::lock::{Lock, MAX_MEMBER};
use ferry_bundle_format::manifest::Manifest;
use ferry_bundle_format::oci::Document;
use ferry_bundle_format::{Digest, Reference};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn locks_and_indexes(seed in 1u64..1_000_000, layer in 1usize..400) {
        let fake = Fake::new(seed, layer);
        let text = fake.lock.to_yaml();
        let lock = Lock::parse(Path::new("a.lock.yaml"), &text).unwrap();
        prop_assert_eq!(&lock, &fake.lock);
        prop_assert_eq!(lock.to_yaml(), text);
        let bundle = fake.bundle(&[]);
        prop_assert_eq!(&Index::parse(&bundle.index().to_json()).unwrap(), bundle.index());
        prop_assert_eq!(fake.bytes(&[]).unwrap().len() as u64, bundle.length());
    }

    #[test]
    fn headers(name in "[a-z0-9._-]{1,20}(/[a-z0-9_-]{1,20}){0,3}", size in 0..=MAX_MEMBER) {
        prop_assume!(!name.split('/').any(|part| part == "." || part == ".."));
        let header = Header { name, size };
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn references(text in "[a-z0-9]{1,8}\\.[a-z]{2,4}(:[0-9]{1,4})?(/[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?){1,3}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}") {
        let reference = Reference::parse(&text).unwrap();
        prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
    }

    #[test]
    fn no_input_makes_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,300}") {
        let _ = Document::parse(&bytes, None);
        let _ = Index::parse(&bytes);
        let _ = Digest::parse(&text);
        let _ = Reference::parse(&text);
        let _ = Manifest::parse(Path::new("a.yaml"), &text);
        let _ = Lock::parse(Path::new("a.lock.yaml"), &text);
        if let Ok(block) = <[u8; 512]>::try_from(&bytes[..bytes.len().min(512)]) {
            let _ = Header::decode(&block);
        }
    }
}
