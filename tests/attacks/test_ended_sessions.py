"""Copied cookies after signing out, on the process that ended them and on another one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from testkit.desk import Desk, check_problem, eventually, open_desk
from testkit.serving import OPERATOR_KEY
from testkit.visitors import Visitor, visiting

PATH = "/admin/audit"


async def status_of(visitor: Visitor, path: str, cookie: str) -> int:
    """Returns the status of a call with a copied cookie."""
    response = await visitor.ask("GET", path, headers={"Cookie": cookie})
    return response.status_code


async def signed_in(visitor: Visitor) -> str:
    """Signs the operator in; returns a copy of the cookie."""
    made = await visitor.ask("POST", "/admin/session", OPERATOR_KEY)
    assert made.status_code == 201
    return f"frontrow_operator={visitor.secrets()['frontrow_operator']}"


def respelled(cookie: str) -> str:
    """Returns the cookie with another spelling of the same signature.

    The last character of its base64 has bits that aren't part of the signature.
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text, last = cookie[:-1], alphabet.index(cookie[-1])
    other = text + alphabet[last ^ 1]
    signature = other.rpartition(".")[2] + "="
    assert urlsafe_b64encode(urlsafe_b64decode(signature)).decode().rstrip("=") != signature[:-1]
    return other


async def test_copied_operator_cookie_ends_everywhere(desk: Desk) -> None:
    """A copy, also with its signature respelled, ends at sign-out; another session stays."""
    async with (
        open_desk(desk.database) as second,
        visiting(desk) as here,
        visiting(second) as there,
    ):
        kept, copy = await signed_in(there), await signed_in(here)
        for visitor in (here, there):
            for cookie in (kept, copy, respelled(copy)):
                assert await status_of(visitor, PATH, cookie) == 200  # the control
        assert (await here.ask("DELETE", "/admin/session")).status_code == 204
        for cookie in (copy, respelled(copy)):
            refused = await here.ask("GET", PATH, headers={"Cookie": cookie})
            check_problem(refused, 401, "credential_invalid")

        async def ended() -> bool:
            return await status_of(there, PATH, copy) == 401

        await eventually(ended)
        assert await status_of(there, PATH, respelled(copy)) == 401
        for visitor in (here, there):
            assert await status_of(visitor, PATH, kept) == 200
        shown = await there.ask("GET", "/session", headers={"Cookie": copy})
        assert shown.json()["operator"] is False


async def test_ended_operator_cookie_stays_ended_after_a_restart(desk: Desk) -> None:
    """A process that starts later refuses it at once; ending it again is harmless."""
    async with visiting(desk) as here:
        copy = await signed_in(here)
        for _ in range(2):
            ended = await here.ask("DELETE", "/admin/session", headers={"Cookie": copy})
            assert ended.status_code == 204
        async with open_desk(desk.database) as later, visiting(later) as there:
            assert await status_of(there, PATH, copy) == 401


async def test_other_site_ends_no_session(desk: Desk) -> None:
    """A page of another site can't sign the operator out; nor does a forged cookie end anything."""
    async with visiting(desk) as here:
        copy = await signed_in(here)
        elsewhere = {"Origin": "https://evil.example"}
        refused = await here.ask("DELETE", "/admin/session", headers=elsewhere)
        check_problem(refused, 403, "not_allowed")
        forged = {"Cookie": f"{copy.rpartition('.')[0]}.{'A' * 43}"}
        assert (await here.ask("DELETE", "/admin/session", headers=forged)).status_code == 204
        assert await status_of(here, PATH, copy) == 200


async def test_copied_guest_cookie_ends_on_request(desk: Desk) -> None:
    """Signing out leaves a guest's key valid, unless its end is requested."""
    async with visiting(desk) as here:
        for query, status in (("", 200), ("?end_key=true", 401)):
            await here.sign_in()
            copy = f"frontrow_user={here.secrets()['frontrow_user']}"
            assert (await here.ask("DELETE", f"/session{query}")).status_code == 204
            assert here.secrets() == {}
            assert await status_of(here, "/users/me", copy) == status
