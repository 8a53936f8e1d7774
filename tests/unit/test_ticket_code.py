"""The code of a ticket can be read back, and can't be forged."""

import base64
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as some

from frontrow.payments.ticket_code import CODE_LENGTH, TicketCode, key_id_of, read, verify
from frontrow.web.openapi.examples import CODE, SHOW

# RFC 8032, section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
PUBLIC_KEYS = {key_id_of(PUBLIC): PUBLIC}
SAID = TicketCode(
    key_id_of(PUBLIC), UUID("2c1f9e4d-6a7b-4c8d-9e0f-1a2b3c4d5e60"), UUID(SHOW), number=7
)

codes = some.builds(
    TicketCode,
    some.just(SAID.key_id),
    some.uuids(),
    some.uuids(),
    some.integers(min_value=1, max_value=2**32 - 1),
)


def signed(code_values: TicketCode) -> str:
    """Returns a genuine code."""
    return code_values.signed(
        Ed25519PrivateKey.from_private_bytes(SECRET).sign(code_values.payload())
    )


def test_documented_code_is_reproduced() -> None:
    """The documented example, with the key of RFC 8032, is the program's result."""
    assert signed(SAID) == CODE
    assert verify(CODE, PUBLIC_KEYS) == SAID


@settings(deadline=None)
@given(codes)
def test_signed_values_are_read_back(code_values: TicketCode) -> None:
    """A code gives the signed values; all codes have the same length."""
    code = signed(code_values)
    assert len(code) == CODE_LENGTH
    assert read(code)[0] == verify(code, PUBLIC_KEYS) == code_values


@settings(deadline=None)
@given(codes, some.integers(min_value=0, max_value=8 * 105 - 1))
def test_any_altered_bit_is_refused(code_values: TicketCode, bit: int) -> None:
    """After a change of any bit the code is not genuine."""
    whole = bytearray(base64.urlsafe_b64decode(signed(code_values)))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"version|unknown key|signature"):
        verify(base64.urlsafe_b64encode(whole).decode(), PUBLIC_KEYS)


@settings(deadline=None)
@given(codes, some.data())
def test_any_altered_character_is_refused(code_values: TicketCode, data: some.DataObject) -> None:
    """After a change of any character the code is not genuine: every bit of a code counts."""
    code = signed(code_values)
    at = data.draw(some.integers(min_value=0, max_value=CODE_LENGTH - 1))
    other = data.draw(some.characters().filter(lambda character: character != code[at]))
    with pytest.raises(ValueError, match=r"[a-z]"):
        verify(code[:at] + other + code[at + 1 :], PUBLIC_KEYS)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "A",
        CODE[:-1],
        CODE[:-4],
        CODE[1:],
        CODE + "A",
        CODE + "=",
        CODE + "\n",
        " " + CODE[1:],
        CODE[:-1] + "=",
        CODE[:-2] + "==",
        CODE.replace("-", "+"),
        CODE.replace("_", "/"),
        CODE[:-1] + "é",
        CODE[:-1] + "\0",
        CODE.lower(),
    ],
)
def test_malformed_code_is_refused(code: str) -> None:
    """A shorter or longer code, or another alphabet, raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"[a-z]"):
        verify(code, PUBLIC_KEYS)


def test_code_of_another_key_is_refused() -> None:
    """A code of another or an unknown key is refused."""
    forger = Ed25519PrivateKey.generate()
    forged = SAID.signed(forger.sign(SAID.payload()))
    with pytest.raises(ValueError, match="signature"):
        verify(forged, PUBLIC_KEYS)
    with pytest.raises(ValueError, match="unknown key, 21fe31df"):
        verify(CODE, {})
