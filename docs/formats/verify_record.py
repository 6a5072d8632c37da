"""Checks ledger test vectors, or lines of the same form, with nothing but cbor2, blake3 and hashlib.

usage: python verify_record.py [FILE]      (default: record-vectors.txt beside this script)

Shares no code with Lineate: it is the byte forms of record.md and ledger.md written a second time.
"""

import hashlib
import pathlib
import sys

import blake3
import cbor2

SEALED_DOMAIN = "lineate 2026 sealed text v1"
KINDS = ("source view service load seal dataset run model evaluation promotion assertion collection erasure").split()


def canonical(data: bytes) -> dict:
    """The map these bytes say, if they say it in the one canonical way."""
    value = cbor2.loads(data)
    if cbor2.dumps(value, canonical=True) != data:
        raise ValueError("the bytes are not deterministic CBOR")
    if not isinstance(value, dict) or value.get(0) != 1:
        raise ValueError("expected a map whose key 0 is the version 1")
    return value


def in_domain(domain: str, data: bytes) -> str:
    return "b3:" + blake3.blake3(data, derive_key_context=domain).hexdigest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def root_hash(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + root_hash(leaves[:split]) + root_hash(leaves[split:])).digest()


def expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise ValueError(f"{what} is {actual}, expected {expected}")


def check(lines: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    leaves: list[bytes] = []
    records: list[tuple[str, str]] = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        form, *fields = line.split()
        counts[form] = counts.get(form, 0) + 1
        if form == "sealed":
            text = canonical(bytes.fromhex(fields[1]))
            expect("commitment", in_domain(SEALED_DOMAIN, text[1] + text[2].encode()), fields[0])
        elif form == "record":
            kind, record_id, data = fields[0], fields[1], bytes.fromhex(fields[2])
            record = canonical(data)
            expect("keys", list(record), [0, 1, 2])
            expect("kind", record[1], kind)
            if kind not in KINDS:
                raise ValueError(f"{kind} is not a kind of record")
            expect("id", in_domain(f"lineate 2026 record {kind} v1", data), record_id)
            if kind == "promotion" and 3 in record[2]:
                ended = ("promotion", "b3:" + record[2][3].hex())
                expect("whether the promotion it ends is before it", ended in records, True)
            records.append((kind, record_id))
        elif form == "entry":
            data = bytes.fromhex(fields[2])
            entry = canonical(data)
            leaves.append(leaf_hash(data))
            kind, record_id = records[len(leaves) - 1]
            expect("leaf", leaves[-1].hex(), fields[1])
            expect("sequence number", (entry[1], fields[0]), (len(leaves) - 1, str(len(leaves) - 1)))
            expect("kind", entry[2], kind)
            expect("record", "b3:" + entry[3].hex(), record_id)
        elif form == "root":
            expect("size", int(fields[0]), len(leaves))
            expect("root", root_hash(leaves).hex(), fields[1])
        else:
            raise ValueError(f"{form} is not a known form")
    return counts


def main() -> int:
    default = pathlib.Path(__file__).with_name("record-vectors.txt")
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    try:
        counts = check(path.read_text().splitlines())
    except (ValueError, KeyError, IndexError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{number} {form}" for form, number in counts.items()) + ": all hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
