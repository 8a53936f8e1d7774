"""`frontrow tickets verify`: distinguishes genuine codes with the public key alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from frontrow.cli import main as cli
from frontrow.payments.ticket_code import key_id_of, verify
from frontrow.payments.ticket_keys import jwks, pem, read_keys
from frontrow.web.openapi.examples import CODE

PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
OTHER = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
GENUINE = (
    "genuine  ticket 2c1f9e4d-6a7b-4c8d-9e0f-1a2b3c4d5e60  "
    "show 7c9e6679-7425-40de-944b-e07fc1f90ae7  seat 7\n"
)
FORGED = CODE[:-4] + "AAAA"


def as_jwks(*keys: bytes) -> str:
    """Returns a JWK set."""
    document = [{"kid": k.kid, "kty": k.kty, "crv": k.crv, "x": k.x} for k in jwks(keys).keys]
    return json.dumps({"keys": document})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with the key of the documented code."""
    file = tmp_path / "keys.pem"
    file.write_text(pem(PUBLIC))
    return file


def run(*arguments: object, given: str = "") -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(cli.main, ["tickets", "verify", *map(str, arguments)], input=given)


def test_genuine_code_is_accepted(key_file: Path) -> None:
    """The output describes the ticket; the exit code is 0."""
    result = run(CODE, "--public-key", key_file)
    assert (result.exit_code, result.output) == (0, GENUINE)


def test_other_codes_are_refused(key_file: Path) -> None:
    """Each code has its answer, genuine ones among them; the exit code is 1."""
    result = run(FORGED, CODE, CODE[:-1], "", "--public-key", key_file)
    assert result.exit_code == 1
    assert result.output == (
        "refused  the signature is wrong\n"
        + GENUINE
        + "refused  a code has 140 characters of base64url\n" * 2
    )


def test_codes_are_read_from_the_input(key_file: Path) -> None:
    """Without an argument codes are read from the input by line; other text is refused."""
    result = run("--public-key", key_file, given=f"{CODE}\n\n  {CODE}\r\n{'x' * 10_000}\n{CODE}")
    assert result.exit_code == 1
    assert result.output.count(GENUINE) == 3
    assert result.output.count("refused  a code has") == 3
    assert run("--public-key", key_file, given=f"{CODE}\n").exit_code == 0


def test_each_scan_is_answered_at_once(key_file: Path) -> None:
    """Each line is answered before the end of the input."""
    command = [sys.executable, "-m", "frontrow", "tickets", "verify", "--public-key", str(key_file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as gate:
        assert gate.stdin
        assert gate.stdout
        for code, answer in ((CODE, GENUINE), (FORGED, "refused  the signature is wrong\n")):
            gate.stdin.write(f"{code}\n")
            gate.stdin.flush()
            assert gate.stdout.readline() == answer
        gate.stdin.close()
    assert gate.returncode == 1


@pytest.mark.parametrize(
    "text",
    [
        pem(OTHER) + pem(PUBLIC),
        "text before the key\n" + pem(PUBLIC),
        as_jwks(PUBLIC),
        as_jwks(OTHER, PUBLIC),
        json.dumps(json.loads(as_jwks(PUBLIC))["keys"][0]),
    ],
)
def test_key_formats_are_accepted(tmp_path: Path, text: str) -> None:
    """PEM, one or several, a JWK, a JWK set."""
    file = tmp_path / "keys"
    file.write_text(text)
    assert run(CODE, "--public-key", file).output == GENUINE
    assert verify(CODE, read_keys(text)).number == 7


def test_several_key_files_are_accepted(tmp_path: Path, key_file: Path) -> None:
    """A code may be signed with any of the keys."""
    other = tmp_path / "other"
    other.write_text(pem(OTHER))
    assert run(CODE, "--public-key", other).output == (
        f"refused  signed with an unknown key, {key_id_of(PUBLIC)}\n"
    )
    assert run(CODE, "--public-key", other, "--public-key", key_file).exit_code == 0


WRONG_KEY = generate_private_key(SECP256R1()).public_key()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        pem(PUBLIC)[:40],
        pem(PUBLIC).replace("MCow", "AAAA"),
        WRONG_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "{",
        "{}",
        '{"keys": []}',
        '{"keys": 7}',
        '{"keys": [7]}',
        '{"kty": "OKP", "crv": "Ed25519"}',
        '{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}',
        '{"kty": "OKP", "crv": "X25519", "x": "AAAA"}',
        '{"kty": "OKP", "crv": "Ed25519", "x": "é"}',
    ],
)
def test_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    """A file without such a key is a usage error; nothing is verified."""
    file = tmp_path / "keys"
    file.write_text(text)
    result = run(CODE, "--public-key", file)
    assert result.exit_code == 2
    assert str(file) in result.output.replace("\n", "")
    assert "genuine" not in result.output


def test_key_is_required(tmp_path: Path) -> None:
    """Without a key, or with a missing file, the command is refused."""
    assert run(CODE).exit_code == 2
    assert run(CODE, "--public-key", tmp_path / "none").exit_code == 2
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert run(CODE, "--public-key", binary).exit_code == 2
