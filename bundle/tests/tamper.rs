//! What must never pass: every flipped byte, every truncation, every pair of members swapped, every trick of
//! the envelope. Exhaustive over a small bundle.

use std::path::PathBuf;

use ferry_bundle_format::archive::{Header, padding};
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::open::{OpenError, Silent, UnverifiedBundle, VerifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::{TrustError, TrustPolicy};

struct Bench {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    policy: TrustPolicy,
}

impl Bench {
    fn new() -> Self {
        let key = SecretKey::from_seed([1; 32]);
        let bytes = Fake::new(7, 60).bytes(std::slice::from_ref(&key)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), bytes, policy: TrustPolicy::any_of(vec![key.public()]) }
    }

    /// A file of its own for each thread.
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{:?}.ferry", std::thread::current().id()))
    }

    fn verify(&self, bytes: &[u8]) -> Result<VerifiedBundle, OpenError> {
        std::fs::write(self.path(), bytes).unwrap();
        UnverifiedBundle::open(&self.path())?.trust(&self.policy, &Silent)?.verify(1, &Silent)
    }
}

/// Runs `case` for every number below `count`, on two threads.
fn each(count: usize, case: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        scope.spawn(|| (0..count).step_by(2).for_each(&case));
        (1..count).step_by(2).for_each(&case);
    });
}

#[test]
fn the_untouched_bundle_passes() {
    let bench = Bench::new();
    let bundle = bench.verify(&bench.bytes).unwrap();
    assert!(bundle.assurance().is_trusted());
    assert_eq!(bundle.lock().unwrap(), Fake::new(7, 60).lock);
}

#[test]
fn every_flipped_byte_is_refused_with_its_place() {
    let bench = Bench::new();
    each(bench.bytes.len(), |at| {
        let mut bytes = bench.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = bench.verify(&bytes).expect_err(&format!("byte {at} of {}", bytes.len()));
        let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(text.contains("step "), "byte {at}: {text}");
        // Within the content, the damaged member's range encloses the byte.
        if let OpenError::Damaged(damages) = &error {
            assert!(damages.iter().any(|d| (d.from..d.to).contains(&(at as u64))), "byte {at}: {text}");
        }
    });
}

#[test]
fn every_truncation_and_any_suffix_is_refused() {
    let bench = Bench::new();
    each(bench.bytes.len(), |length| {
        assert!(bench.verify(&bench.bytes[..length]).is_err(), "cut to {length}");
    });
    for suffix in [&[0u8][..], &[0; 512], &[0; 10_240], b"x", &bench.bytes.clone()] {
        let longer = [&bench.bytes[..], suffix].concat();
        assert!(bench.verify(&longer).is_err(), "{} more", suffix.len());
    }
}

/// The archive cut into members: each header with its content and padding.
fn members(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut members = Vec::new();
    let mut at = 0;
    while bytes[at] != 0 {
        let header = Header::decode(bytes[at..at + 512].try_into().unwrap()).unwrap();
        let end = at + 512 + usize::try_from(header.size + padding(header.size)).unwrap();
        members.push(bytes[at..end].to_vec());
        at = end;
    }
    members
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

#[test]
fn every_two_members_swapped_and_every_member_left_out_or_doubled_is_refused() {
    let bench = Bench::new();
    let good = members(&bench.bytes);
    assert_eq!(archive(&good), bench.bytes);
    for a in 0..good.len() {
        for b in a + 1..good.len() {
            let mut swapped = good.clone();
            swapped.swap(a, b);
            assert!(bench.verify(&archive(&swapped)).is_err(), "{a} and {b}");
            // And only the contents, under each other's headers, where the sizes allow it.
            let mut contents = good.clone();
            if contents[a].len() == contents[b].len() && contents[a][512..] != contents[b][512..] {
                let (head_a, head_b) = (contents[a][..512].to_vec(), contents[b][..512].to_vec());
                contents.swap(a, b);
                contents[a][..512].copy_from_slice(&head_a);
                contents[b][..512].copy_from_slice(&head_b);
                assert!(bench.verify(&archive(&contents)).is_err(), "contents of {a} and {b}");
            }
        }
        let mut without = good.clone();
        let one = without.remove(a);
        assert!(bench.verify(&archive(&without)).is_err(), "without {a}");
        let mut doubled = good.clone();
        doubled.insert(a, one);
        assert!(bench.verify(&archive(&doubled)).is_err(), "twice {a}");
    }
}

#[test]
fn signatures_decide() {
    let bench = Bench::new();
    let fake = Fake::new(7, 60);
    let (ours, theirs) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    assert!(matches!(bench.verify(&fake.bytes(&[]).unwrap()), Err(OpenError::Untrusted(TrustError::Unsigned))));
    assert!(matches!(
        bench.verify(&fake.bytes(std::slice::from_ref(&theirs)).unwrap()),
        Err(OpenError::Untrusted(TrustError::Threshold { trusted: 0, .. }))
    ));
    let both = fake.bytes(&[ours.clone(), theirs.clone()]).unwrap();
    assert!(bench.verify(&both).unwrap().assurance().is_trusted());

    // The index of one bundle under the signature of another.
    let mut mixed = members(&bench.bytes);
    mixed[1].clone_from(&members(&Fake::new(8, 60).bytes(std::slice::from_ref(&ours)).unwrap())[1]);
    assert!(matches!(bench.verify(&archive(&mixed)), Err(OpenError::Signature(_))));

    let mut two = Bench::new();
    two.policy = TrustPolicy { threshold: 2, ..TrustPolicy::any_of(vec![ours.public(), theirs.public()]) };
    assert!(two.verify(&both).is_ok());
    assert!(matches!(
        two.verify(&bench.bytes),
        Err(OpenError::Untrusted(TrustError::Threshold { trusted: 1, needed: 2, .. }))
    ));

    let mut insecure = Bench::new();
    insecure.policy = TrustPolicy { insecure_unsigned: true, ..TrustPolicy::default() };
    assert!(!insecure.verify(&fake.bytes(&[]).unwrap()).unwrap().assurance().is_trusted());
    let mut flipped = fake.bytes(&[]).unwrap();
    let last = flipped.len() - 1025;
    flipped[last] ^= 1;
    assert!(insecure.verify(&flipped).is_err(), "unsigned is not unchecked");
}
