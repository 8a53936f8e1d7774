"""Signing in at an issuer on another site in a real browser: the cookies are Strict."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from frontrow.users.id_token import user_id_of
from testkit.database import Database
from testkit.desk import Desk, open_desk
from testkit.issuer import AUDIENCE, Issuer, running_issuer
from tests.pages.browser import PHONE, Window, accessible, window
from tests.pages.fans import open_concert


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer with another host name than the server: another site for the browser."""
    with running_issuer("localhost") as running:
        yield running


@pytest.fixture(scope="module")
async def desk(module_database: Database, issuer: Issuer) -> AsyncIterator[Desk]:
    """A server without guest accounts."""
    async with open_desk(
        module_database, oidc_issuer=issuer.address, oidc_audience=AUDIENCE
    ) as made:
        yield made


async def answer(page: Page, issuer: Issuer, name: str) -> None:
    """Signs in at the issuer under a name."""
    await expect(page).to_have_title("Issuer")
    assert page.url.startswith(f"{issuer.address}/")
    await page.get_by_role("link", name=name).click()


def expect_issuer(here: Window, issuer: Issuer) -> None:
    """Expects the issuer's pages, which are on another host and have no icon."""
    here.expected = (issuer.address,)


async def test_fan_signs_in_and_out(browser: Browser, desk: Desk, issuer: Issuer) -> None:
    """From the line to the issuer and back, first refused; then the tickets; then signing out."""
    concert = await desk.concert(title="The Line")
    async with window(browser, str(desk.http.base_url), viewport=PHONE) as here:
        expect_issuer(here, issuer)
        fan = await open_concert(here, concert)
        page = fan.page
        await expect(fan.button("join")).to_have_count(0)
        await fan.passes_checks()
        await page.get_by_role("link", name=fan.text("landing.sign_in")).click()
        await answer(page, issuer, "Nobody")
        await expect(page.get_by_role("alert")).to_contain_text("cancelled or refused")
        await accessible(page)
        await page.get_by_role("link", name="Sign in", exact=True).click()
        await answer(page, issuer, "A fan")
        await page.wait_for_url(f"**/concerts/{concert.concert_id}")
        # The page after the return has the session, whatever the order of redirects.
        await expect(fan.button("account.sign_out")).to_be_visible()
        me = await page.evaluate("fetch('/api/v1/users/me').then((answer) => answer.json())")
        assert me["user_id"] == str(user_id_of(issuer.address, "fan"))
        await fan.passes_checks()
        await fan.join()
        await fan.expect_heading("seats.heading")
        await page.goto(f"{here.address}/tickets")
        await fan.button("account.sign_out").click()
        await expect(page.get_by_role("link", name="Sign in", exact=True)).to_be_visible()
        assert await here.context.cookies() == []


async def test_expired_session_asks_to_sign_in_again(
    browser: Browser, desk: Desk, issuer: Issuer
) -> None:
    """A fan whose session expires signs in again, and returns to the choice of seats."""
    concert = await desk.concert(title="The Line")
    async with window(browser, str(desk.http.base_url)) as here:
        expect_issuer(here, issuer)
        fan = await open_concert(here, concert)
        await fan.page.get_by_role("link", name=fan.text("landing.sign_in")).click()
        await answer(fan.page, issuer, "A fan")
        await fan.join()
        await fan.expect_heading("seats.heading")
        await here.context.clear_cookies(name="frontrow_user")
        await fan.page.reload()
        await answer(fan.page, issuer, "A fan")
        await fan.expect_heading("seats.heading")


async def test_sign_in_works_without_scripts(browser: Browser, desk: Desk, issuer: Issuer) -> None:
    """Links, redirects and forms work without scripts, in Korean."""
    concert = await desk.concert(title="The Line")
    async with window(
        browser, str(desk.http.base_url), java_script_enabled=False, locale="ko-KR"
    ) as here:
        expect_issuer(here, issuer)
        page = await here.open(f"/concerts/{concert.concert_id}")
        await page.get_by_role("link", name="로그인하고 대기열 참여하기").click()
        await answer(page, issuer, "A fan")
        await page.get_by_role("button", name="대기열 참여하기").click()
        await expect(page.get_by_role("button", name="대기열 나가기")).to_be_visible()
        await page.get_by_role("button", name="로그아웃").click()
        await expect(page.get_by_role("link", name="로그인", exact=True)).to_be_visible()
