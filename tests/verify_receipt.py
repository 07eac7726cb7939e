#!/usr/bin/env python3
"""A second implementation of the verification of receipts, written from the specifications alone.

RFC 6962 (section 2.1), RFC 9162 (section 2.1.3.2), C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof.
Needs Python 3.9 and the package `cryptography`. It shares no code with Flowledger and is compared with it by a test.

    verify_receipt.py RECORD PROOF VKEY [WITNESS_VKEY ...]     files and keys; all witnesses must have cosigned
    verify_receipt.py --batch                                  one JSON object a line on standard input
"""

import base64
import binascii
import hashlib
import json
import sys
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DASH = "\u2014 "


class Refused(Exception):
    """Why a receipt proves nothing."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def from_base64(text):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Refused("not base64") from None
    require(base64.b64encode(data).decode("ascii") == text, "another form of base64")
    return data


def decimal(text):
    require(text != "" and all(c in "0123456789" for c in text), "not a decimal number")
    require(text == "0" or text[0] != "0", "a leading zero")
    number = int(text)
    require(number < 2**64, "a number beyond 64 bits")
    return number


def hash_of(text):
    data = from_base64(text)
    require(len(data) == 32, "not a hash")
    return data


def check_name(name):
    require(name != "" and "+" not in name, "not a name")
    require(not any(c.isspace() or unicodedata.category(c) == "Cc" for c in name), "not a name")


class Key:
    """A vkey: name, kind 1 (signs notes) or 4 (cosigns checkpoints), public key."""

    def __init__(self, text, kind):
        parts = text.split("+", 2)
        require(len(parts) == 3, "not a key")
        self.name, key_id, coded = parts
        check_name(self.name)
        data = from_base64(coded)
        require(len(data) == 33 and data[0] == kind, "not a key of this kind")
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        require(key_id.lower() == self.id.hex(), "another key id")
        self.bytes = data[1:]
        self.kind = kind

    def check(self, text, signature):
        message = text.encode()
        if self.kind == 4:
            require(len(signature) == 72, "a cosignature has 72 bytes")
            seconds = int.from_bytes(signature[:8], "big")
            require(seconds < 2**63, "a time beyond 63 bits")
            message = f"cosignature/v1\ntime {seconds}\n".encode() + message
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.bytes).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise Refused(f"a wrong signature of {self.name}") from None


class Note:
    """A signed note: text, and lines of name, key id and signature."""

    def __init__(self, text):
        require(not any(c < " " and c != "\n" for c in text), "a control character")
        end = text.rfind("\n\n")
        require(end >= 0, "no signatures")
        self.text, lines = text[: end + 1], text[end + 2 :]
        require(lines.endswith("\n"), "no signatures")
        self.signatures = []
        for line in lines[:-1].split("\n"):
            require(line.startswith(DASH), "not a signature line")
            name, blank, coded = line[len(DASH) :].partition(" ")
            require(blank == " ", "not a signature line")
            check_name(name)
            data = from_base64(coded)
            require(len(data) > 4, "not a signature")
            self.signatures.append((name, data[:4], data[4:]))
        require(len(self.signatures) <= 100, "too many signatures")

    def count(self, key):
        """How many signatures of a key there are; all must be right."""
        of_key = [signature for name, key_id, signature in self.signatures if (name, key_id) == (key.name, key.id)]
        for signature in of_key:
            key.check(self.text, signature)
        return len(of_key)


def leaf_hash(record):
    return hashlib.sha256(b"\0" + record).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_from(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    require(index < size, "no such leaf")
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        require(sn != 0, "a path that is too long")
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            root = node_hash(root, sibling)
        fn >>= 1
        sn >>= 1
    require(sn == 0, "a path that is too short")
    return root


def verify(record, proof, log, witnesses, quorum):
    """The record's position, from 1."""
    try:
        text = proof.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    key = Key(log, 1)
    head, empty, rest = text.partition("\n\n")
    require(empty != "", "no checkpoint")
    lines = head.split("\n")
    require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof")
    if lines and lines[0].startswith("extra "):
        require(len(from_base64(lines.pop(0)[len("extra ") :])) <= 65536, "too much data")
    require(lines and lines[0].startswith("index "), "no index")
    index = decimal(lines.pop(0)[len("index ") :])
    require(len(lines) <= 64, "a path that is too long")
    path = [hash_of(line) for line in lines]
    note = Note(rest)
    body = note.text[:-1].split("\n")
    require("" not in body and len(body) >= 3, "not a checkpoint")
    require(body[0] == key.name, "another log")
    size, root = decimal(body[1]), hash_of(body[2])
    require(size > 0 or root == hashlib.sha256(b"").digest(), "another root of nothing")
    require(note.count(key) > 0, "not signed by the log")
    require(root_from(leaf_hash(record), index, size, path) == root, "another root")
    keys = [Key(witness, 4) for witness in witnesses]
    require(len({witness.bytes for witness in keys} | {key.bytes}) == len(keys) + 1, "a key twice")
    seen = [witness for witness in keys if note.count(witness) > 0]
    require(len(seen) >= quorum, "too few witnesses")
    return index + 1


def batch():
    for line in sys.stdin:
        case = json.loads(line)
        record, proof = bytes.fromhex(case["record"]), bytes.fromhex(case["proof"])
        try:
            print("good", verify(record, proof, case["log"], case["witnesses"], len(case["witnesses"])))
        except Refused as why:
            print("refused", why)


def main():
    if sys.argv[1:] == ["--batch"]:
        batch()
        return 0
    if len(sys.argv) < 4:
        print(__doc__)
        return 2
    record_file, proof_file, log, *witnesses = sys.argv[1:]
    with open(record_file, "rb") as record, open(proof_file, "rb") as proof:
        try:
            position = verify(record.read(), proof.read(), log, witnesses, len(witnesses))
        except Refused as why:
            print(f"it proves nothing: {why}")
            return 1
    print(f"good: the record stands at position {position}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
