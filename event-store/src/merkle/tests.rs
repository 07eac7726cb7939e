//! Published vectors, a naive tree written from the definitions, and a second implementation.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;

use super::*;
use crate::record::leaf_hash;

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hash(text: &str) -> TreeHash {
    hex(text).try_into().unwrap()
}

fn hashes(texts: &[&str]) -> Vec<TreeHash> {
    texts.iter().map(|text| hash(text)).collect()
}

/// The eight leaves with which Certificate Transparency's implementations are tested, and the roots of the trees over them.
const CT_LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const CT_ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const N1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const N4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const N67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const N6: &str = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f";

fn ct_leaves() -> Vec<TreeHash> {
    CT_LEAVES.iter().map(|leaf| leaf_hash(&hex(leaf))).collect()
}

/// The definitions of RFC 6962, section 2.1, word for word.
mod naive {
    use super::super::{TreeHash, node_hash};
    use sha2::{Digest, Sha256};

    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn mth(d: &[TreeHash]) -> TreeHash {
        match d.len() {
            0 => Sha256::digest([]).into(),
            1 => d[0],
            n => node_hash(&mth(&d[..k(n)]), &mth(&d[k(n)..])),
        }
    }

    pub(super) fn path(m: usize, d: &[TreeHash]) -> Vec<TreeHash> {
        let n = d.len();
        if n == 1 {
            return Vec::new();
        }
        let k = k(n);
        let (mut path, sibling) = if m < k {
            (path(m, &d[..k]), mth(&d[k..]))
        } else {
            (path(m - k, &d[k..]), mth(&d[..k]))
        };
        path.push(sibling);
        path
    }

    pub(super) fn proof(m: usize, d: &[TreeHash]) -> Vec<TreeHash> {
        subproof(m, d, true)
    }

    fn subproof(m: usize, d: &[TreeHash], is_known: bool) -> Vec<TreeHash> {
        if m == d.len() {
            return if is_known { Vec::new() } else { vec![mth(d)] };
        }
        let k = k(d.len());
        let (mut proof, last) = if m <= k {
            (subproof(m, &d[..k], is_known), mth(&d[k..]))
        } else {
            (subproof(m - k, &d[k..], false), mth(&d[..k]))
        };
        proof.push(last);
        proof
    }
}

/// Finds the hash of a complete subtree among the leaves.
fn among(leaves: &[TreeHash]) -> impl FnMut(Subtree) -> Result<TreeHash, String> {
    move |Subtree { level, index }| {
        let first = usize::try_from(index << level).unwrap();
        let end = first + (1 << level);
        leaves
            .get(first..end)
            .map(naive::mth)
            .ok_or(format!("{first}..{end} is not all there"))
    }
}

fn inclusion(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    let plan = inclusion_plan(index as u64, leaves.len() as u64).unwrap();
    follow(&plan, among(leaves)).unwrap()
}

fn consistency(from: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    let plan = consistency_plan(from as u64, leaves.len() as u64).unwrap();
    follow(&plan, among(leaves)).unwrap()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = ct_leaves();
    let mut edge = Edge::default();
    assert_eq!(edge.root(), EMPTY_ROOT);
    assert_eq!(EMPTY_ROOT.as_slice(), Sha256::digest([]).as_slice());
    for (leaf, root) in leaves.iter().zip(CT_ROOTS) {
        edge.append(leaf);
        assert_eq!(edge.root(), hash(root));
        let size = edge.size();
        let peaks = follow(&[root_plan(size)], among(&leaves)).unwrap();
        assert_eq!(peaks, [hash(root)]);
    }
}

#[test]
fn inclusion_proofs_are_those_of_certificate_transparency() {
    let leaves = ct_leaves();
    let vectors: [(usize, usize, &[&str]); 5] = [
        (0, 8, &[N1, N23, N4567]),
        (5, 8, &[N4, N67, CT_ROOTS[3]]),
        (2, 3, &[CT_ROOTS[1]]),
        (1, 5, &[CT_ROOTS[0], N23, N4]),
        (0, 1, &[]),
    ];
    for (index, size, path) in vectors {
        let path = hashes(path);
        assert_eq!(inclusion(index, &leaves[..size]), path, "leaf {index} of {size}");
        let root = hash(CT_ROOTS[size - 1]);
        let (index, size) = (index as u64, size as u64);
        let leaf = leaves[usize::try_from(index).unwrap()];
        let verify = |leaf, index, size, path: &[TreeHash], root| verify_inclusion(leaf, index, size, path, root);
        assert_eq!(verify(&leaf, index, size, &path, &root), Ok(()));
        // The probes with which those implementations are tested.
        for (wrong_index, wrong_size) in [
            (index.wrapping_sub(1), size),
            (index + 1, size),
            (index ^ 2, size),
            (index, size * 2),
            (index, size / 2),
        ] {
            assert!(
                verify(&leaf, wrong_index, wrong_size, &path, &root).is_err(),
                "{wrong_index} of {wrong_size}"
            );
        }
        assert!(verify(&[7; 32], index, size, &path, &root).is_err());
        assert!(verify(&leaf, index, size, &path, &EMPTY_ROOT).is_err());
        for place in 0..path.len() {
            let mut wrong = path.clone();
            wrong[place][0] ^= 8;
            assert!(verify(&leaf, index, size, &wrong, &root).is_err());
            wrong.remove(place);
            assert!(verify(&leaf, index, size, &wrong, &root).is_err());
        }
        for place in 0..=path.len() {
            let mut wrong = path.clone();
            wrong.insert(place, root);
            assert!(verify(&leaf, index, size, &wrong, &root).is_err());
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_certificate_transparency() {
    let leaves = ct_leaves();
    let vectors: [(usize, usize, &[&str]); 5] = [
        (1, 1, &[]),
        (1, 8, &[N1, N23, N4567]),
        (6, 8, &[N45, N67, CT_ROOTS[3]]),
        (2, 5, &[N23, N4]),
        (6, 7, &[N45, N6, CT_ROOTS[3]]),
    ];
    for (from, to, path) in vectors {
        let path = hashes(path);
        assert_eq!(consistency(from, &leaves[..to]), path, "{from} to {to}");
        let (one, two) = (hash(CT_ROOTS[from - 1]), hash(CT_ROOTS[to - 1]));
        let (from, to) = (from as u64, to as u64);
        assert_eq!(verify_consistency(from, &one, to, &two, &path), Ok(()));
        if path.is_empty() {
            continue;
        }
        for (wrong_from, wrong_to) in [
            (from - 1, to),
            (from + 1, to),
            (from ^ 2, to),
            (from, to * 2),
            (from, to / 2),
        ] {
            let checked = verify_consistency(wrong_from, &one, wrong_to, &two, &path);
            assert!(checked.is_err(), "{wrong_from} to {wrong_to}");
        }
        assert!(verify_consistency(from, &[7; 32], to, &two, &path).is_err());
        assert!(verify_consistency(from, &one, to, &[7; 32], &path).is_err());
        assert!(verify_consistency(from, &two, to, &one, &path).is_err());
        assert!(verify_consistency(from, &one, to, &two, &[]).is_err());
        for added in [one, two, path[0]] {
            assert!(verify_consistency(from, &one, to, &two, &[&path[..], &[added]].concat()).is_err());
            assert!(verify_consistency(from, &one, to, &two, &[&[added], &path[..]].concat()).is_err());
        }
        for place in 0..path.len() {
            let mut wrong = path.clone();
            wrong[place][0] ^= 16;
            assert!(verify_consistency(from, &one, to, &two, &wrong).is_err());
            wrong.remove(place);
            assert!(verify_consistency(from, &one, to, &two, &wrong).is_err());
        }
    }
}

#[test]
fn edge_sizes_are_decided() {
    let (one, two) = ([1; 32], [2; 32]);
    // No leaf, no proof.
    assert_eq!(inclusion_plan(0, 0), None);
    assert_eq!(inclusion_plan(1, 1), None);
    assert!(matches!(
        verify_inclusion(&one, 0, 0, &[], &one),
        Err(ProofError::NoLeaf { .. })
    ));
    assert!(matches!(
        verify_inclusion(&one, 1, 1, &[], &one),
        Err(ProofError::NoLeaf { .. })
    ));
    assert_eq!(verify_inclusion(&one, 0, 1, &[], &one), Ok(()));
    // From nothing every tree grows; nothing has one root only.
    assert_eq!(consistency_plan(0, 9), Some(Vec::new()));
    assert_eq!(consistency_plan(9, 9), Some(Vec::new()));
    assert_eq!(consistency_plan(9, 8), None);
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 9, &one, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[]), Ok(()));
    assert_eq!(verify_consistency(9, &one, 9, &one, &[]), Ok(()));
    assert!(verify_consistency(0, &one, 9, &one, &[]).is_err());
    assert!(verify_consistency(0, &one, 0, &one, &[]).is_err());
    assert!(verify_consistency(0, &EMPTY_ROOT, 9, &one, &[two]).is_err());
    assert!(verify_consistency(9, &one, 9, &two, &[]).is_err());
    assert!(verify_consistency(9, &one, 9, &one, &[two]).is_err());
    assert!(matches!(
        verify_consistency(9, &one, 8, &one, &[]),
        Err(ProofError::Shrunk { .. })
    ));
}

#[test]
fn every_pair_of_small_sizes_agrees_with_the_definitions() {
    let leaves: Vec<TreeHash> = (0_u32..45).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    for size in 1..=leaves.len() {
        let tree = &leaves[..size];
        let root = naive::mth(tree);
        assert_eq!(Edge::over(tree).root(), root);
        for index in 0..size {
            let path = inclusion(index, tree);
            assert_eq!(path, naive::path(index, tree));
            assert_eq!(
                verify_inclusion(&tree[index], index as u64, size as u64, &path, &root),
                Ok(())
            );
        }
        for from in 1..=size {
            let path = consistency(from, tree);
            assert_eq!(path, naive::proof(from, tree));
            let earlier = naive::mth(&tree[..from]);
            assert_eq!(
                verify_consistency(from as u64, &earlier, size as u64, &root, &path),
                Ok(())
            );
        }
    }
}

/// The other implementation's tree over the same leaves; it hashes the leaves' contents itself.
fn other_tree(size: usize) -> (Vec<TreeHash>, MemoryBackedTree<Sha256, [u8; 4]>) {
    let mut tree = MemoryBackedTree::new();
    let mut leaves = Vec::new();
    for number in 0..u32::try_from(size).unwrap() {
        tree.push(number.to_be_bytes());
        leaves.push(leaf_hash(&number.to_be_bytes()));
    }
    (leaves, tree)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn proofs_agree_with_the_definitions_and_another_implementation(
        size in 1_usize..2000, index in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
    ) {
        let (leaves, other) = other_tree(size);
        let root = Edge::over(&leaves).root();
        prop_assert_eq!(root, naive::mth(&leaves));
        let other_root: TreeHash = (*other.root().as_bytes()).into();
        prop_assert_eq!(root, other_root);
        let theirs = RootHash::<Sha256>::new(root.into(), size as u64);

        let index = index.index(size);
        let path = inclusion(index, &leaves);
        prop_assert_eq!(&path, &naive::path(index, &leaves));
        let other_path = other.prove_inclusion(index);
        prop_assert_eq!(path.concat(), other_path.as_bytes());
        prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size as u64, &path, &root), Ok(()));
        let proof = InclusionProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
        let leaf = u32::try_from(index).unwrap().to_be_bytes();
        prop_assert!(theirs.verify_inclusion(&leaf, index as u64, &proof).is_ok());

        let from = 1 + from.index(size);
        let path = consistency(from, &leaves);
        prop_assert_eq!(&path, &naive::proof(from, &leaves));
        let earlier = naive::mth(&leaves[..from]);
        prop_assert_eq!(verify_consistency(from as u64, &earlier, size as u64, &root, &path), Ok(()));
        if from < size {
            let other_path = other.prove_consistency(size - from);
            prop_assert_eq!(path.concat(), other_path.as_bytes());
            let proof = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
            let earlier = RootHash::<Sha256>::new(earlier.into(), from as u64);
            prop_assert!(theirs.verify_consistency(&earlier, &proof).is_ok());
        }
    }

    #[test]
    fn hostile_sizes_and_paths_are_refused_without_harm(
        a in number(), b in number(), len in 0_usize..70, byte in any::<u8>(),
    ) {
        let path = vec![[byte; 32]; len];
        let hash = [byte; 32];
        // A tree of one leaf is its leaf; nothing else can be right with made-up hashes.
        let checked = verify_inclusion(&hash, a, b, &path, &hash);
        prop_assert_eq!(checked.is_ok(), b == 1 && a == 0 && len == 0);
        let checked = verify_consistency(a, &hash, b, &hash, &path);
        prop_assert_eq!(checked.is_ok(), a == b && a > 0 && len == 0);
        let (plan, proof_len) = (inclusion_plan(a, b), path_len(a, b.saturating_sub(1)));
        prop_assert_eq!(plan.is_some(), a < b);
        if let Some(plan) = plan {
            prop_assert_eq!(plan.len(), proof_len);
            prop_assert!(plan.len() < PATH_MAX);
        }
        if let Some(plan) = consistency_plan(a, b) {
            prop_assert!(plan.len() <= PATH_MAX);
            let expected = vec![[0; 32]; plan.len()];
            let checked = verify_consistency(a, &hash, b, &hash, &expected);
            let has_other_length = matches!(checked, Err(ProofError::Length { .. }));
            prop_assert!(!has_other_length);
        }
        prop_assert_eq!(u32::try_from(root_plan(b).len()).unwrap(), b.count_ones());
    }
}

/// Small numbers, powers of two and their neighbours, the largest, and any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..20,
        (0_u32..64, -2_i64..3).prop_map(|(bit, off)| (1_u64 << bit).wrapping_add_signed(off)),
        (0_u64..3).prop_map(|off| u64::MAX - off),
        any::<u64>(),
    ]
}

#[test]
fn the_longest_proofs_are_as_long_as_said() {
    let longest = consistency_plan(u64::MAX - 1, u64::MAX).unwrap().len();
    let inclusion = inclusion_plan(u64::MAX - 1, u64::MAX).unwrap().len();
    let deepest = inclusion_plan(0, u64::MAX).unwrap().len();
    assert_eq!(deepest, 64);
    assert!(longest <= PATH_MAX && inclusion <= PATH_MAX);
    let from = (1 << 63) - 1;
    assert!(consistency_plan(from, u64::MAX).unwrap().len() <= PATH_MAX);
}
