"""Wires all features of one process together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from frontrow.concerts.catalogue import Catalogue
from frontrow.concerts.seat_maps import SeatMaps
from frontrow.concerts.service import Concerts, agree_on_currency
from frontrow.db.faults import Faults, classify
from frontrow.db.hosts import Hosts
from frontrow.db.pool import open_pool
from frontrow.db.readiness import Readiness
from frontrow.db.watch import Watch, watching
from frontrow.errors import SetupError
from frontrow.exposition.exposition import Exposition
from frontrow.group_commit import Lanes
from frontrow.listings import Listings
from frontrow.metrics import observe_batch
from frontrow.operators.operator_key import OperatorKey
from frontrow.operators.sessions import OperatorSessions
from frontrow.payments.cancellations import Cancellations
from frontrow.payments.check_in import CheckIns
from frontrow.payments.refunds import Refunds
from frontrow.payments.service import Payments
from frontrow.payments.ticket_signing import load_ticket_signer
from frontrow.payments.tickets import Tickets
from frontrow.reservations.model import AddressSeats, UnpaidHolds
from frontrow.reservations.place_access import PlaceAccess
from frontrow.reservations.service import Reservations
from frontrow.retention.erasure import Erasures
from frontrow.settings import Settings
from frontrow.users.challenge import Challenges, load_challenges
from frontrow.users.guests import Guests
from frontrow.users.service import Users
from frontrow.users.sign_in import SignIn, open_sign_in
from frontrow.waiting_room.admission_signal import AdmissionSignal
from frontrow.waiting_room.draw import Draws
from frontrow.waiting_room.latency_histogram import LatencyHistogram
from frontrow.waiting_room.service import WaitingRooms
from frontrow.waiting_room.snapshot import Snapshot
from frontrow.waiting_room.token import TokenSigner, load_signer
from frontrow.wallet.ledger import Ledger

_CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Services:
    """The services of one process."""

    settings: Settings
    pool: asyncpg.Pool
    lanes: Lanes
    faults: Faults
    readiness: Readiness
    signer: TokenSigner
    operator_key: OperatorKey | None
    """``None`` in processes that serve no calls."""
    operator_sessions: OperatorSessions | None
    """``None`` without an operator key."""
    admission_signal: AdmissionSignal
    stopping: asyncio.Event
    latencies: LatencyHistogram
    users: Users
    sign_in: SignIn | None
    """Signs users in at an OpenID issuer; ``None`` without one."""
    challenges: Challenges | None
    """Proof of work for guest accounts; ``None`` if it isn't required."""
    guests: Guests
    rooms: WaitingRooms
    draws: Draws
    catalogue: Catalogue
    listings: Listings
    seat_maps: SeatMaps
    concerts: Concerts
    reservations: Reservations
    place_access: PlaceAccess
    ledger: Ledger
    payments: Payments
    tickets: Tickets
    refunds: Refunds
    check_ins: CheckIns
    cancellations: Cancellations
    erasures: Erasures
    exposition: Exposition


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Opens the services on the database of the settings, until the block ends.

    Raises:
        SetupError: no database is set, or the installation has another currency.
        OSError, asyncpg.PostgresError: the database can't be reached or isn't migrated.
    """
    if settings.database_url is None:
        message = "FRONTROW_DATABASE_URL is not set"
        raise SetupError(message)
    hosts = Hosts(settings.database_url.get_secret_value())
    pool = await open_pool(
        hosts,
        connections=settings.pool_connections,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        wait_seconds=settings.deadline_seconds,
    )
    faults = Faults()
    async with AsyncExitStack() as opened:
        opened.push_async_callback(_close, pool)
        watch = await opened.enter_async_context(watching(hosts, faults))
        yield await _wire(settings, pool, watch, faults, opened)


async def _close(pool: asyncpg.Pool) -> None:
    """Closes the pool; ends connections whose server doesn't answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()


async def _wire(
    settings: Settings,
    pool: asyncpg.Pool,
    watch: Watch,
    faults: Faults,
    opened: AsyncExitStack,
) -> Services:
    currency = settings.currency
    await agree_on_currency(pool, currency)
    lanes = _lanes(settings, faults, watch)
    admission_signal = AdmissionSignal()
    stopping = asyncio.Event()
    latencies = LatencyHistogram()
    wake, note = admission_signal.wake, latencies.observe
    signer = await load_signer(pool, remembered_tokens=settings.cached_credentials)
    ticket_signer = await load_ticket_signer(pool)
    users = Users(pool, lanes, remembered_keys=settings.cached_credentials)
    await users.read_revocations()
    challenges = await load_challenges(
        pool, tries=settings.guest_challenge_tries, seconds=settings.guest_challenge_seconds
    )
    sign_in = await opened.enter_async_context(open_sign_in(settings, users))
    snapshot = Snapshot(pool)
    await snapshot.refresh()
    payments = Payments(pool, lanes, ticket_signer, currency=currency, wake=wake, note=note)
    rooms = WaitingRooms(pool, lanes, signer, snapshot, wake=wake)
    catalogue = Catalogue(pool, lanes)
    listings = Listings(catalogue, snapshot)
    seat_maps = _seat_maps(settings, pool, lanes)
    reservations = Reservations(
        pool,
        lanes,
        currency=currency,
        unpaid=UnpaidHolds(settings.unpaid_holds, settings.unpaid_holds_seconds),
        address_seats=_address_seats(settings),
        wake=wake,
        stopping=stopping,
        note=note,
    )
    operator_key, operator_sessions = await _operator(settings, pool)
    exposition = Exposition(
        settings.metrics_dir,
        snapshot.by_concert,
        most_concerts=settings.metrics_concerts,
        alone=settings.workers == 1,
    )
    opened.push_async_callback(exposition.close)
    return Services(
        settings=settings,
        pool=pool,
        lanes=lanes,
        faults=faults,
        readiness=Readiness(pool, faults),
        signer=signer,
        operator_key=operator_key,
        operator_sessions=operator_sessions,
        admission_signal=admission_signal,
        stopping=stopping,
        latencies=latencies,
        users=users,
        sign_in=sign_in,
        challenges=challenges,
        guests=Guests(users, challenges, allowed=settings.guests_allowed),
        rooms=rooms,
        draws=Draws(pool, snapshot),
        catalogue=catalogue,
        listings=listings,
        seat_maps=seat_maps,
        concerts=Concerts(
            pool,
            currency=currency,
            has_issuer=sign_in is not None,
            changed=listings.changed,
        ),
        reservations=reservations,
        place_access=PlaceAccess(catalogue, seat_maps, rooms, reservations),
        ledger=Ledger(pool, lanes, currency=currency),
        payments=payments,
        refunds=Refunds(pool, lanes, to_payment=payments.to_payment),
        cancellations=Cancellations(pool, changed=listings.changed),
        tickets=Tickets(pool, ticket_signer),
        check_ins=CheckIns(pool, lanes, ticket_signer),
        erasures=Erasures(pool, users, snapshot, wake=wake),
        exposition=exposition,
    )


def _lanes(settings: Settings, faults: Faults, watch: Watch) -> Lanes:
    """Returns the group commit, which records the faults and the answers of the database."""

    def observe(lane: str, items: int, seconds: float) -> None:
        observe_batch(lane, items, seconds)
        faults.clear(lane)
        watch.note_answer()

    return Lanes(
        classify=classify,
        batch_items=settings.batch_items,
        queue_items=settings.queue_items,
        deadline_seconds=settings.deadline_seconds,
        observe=observe,
        note_fault=faults.note,
        is_away=lambda: watch.is_away,
    )


def _seat_maps(settings: Settings, pool: asyncpg.Pool, lanes: Lanes) -> SeatMaps:
    return SeatMaps(
        pool,
        lanes,
        changes_seconds=settings.seat_change_seconds,
        most_seats=settings.seat_map_seats,
    )


def _address_seats(settings: Settings) -> AddressSeats:
    """Returns the limits on unpaid seats; a setting of 0 is no limit."""
    return AddressSeats(
        settings.unpaid_seats_ipv4 or None,
        settings.unpaid_seats_ipv6_64 or None,
        settings.unpaid_seats_ipv6_56 or None,
        settings.unpaid_seats_ipv6_48 or None,
    )


async def _operator(
    settings: Settings, pool: asyncpg.Pool
) -> tuple[OperatorKey | None, OperatorSessions | None]:
    """Returns the operator's key and sessions, if this process has a key."""
    if settings.operator_key is None:
        return None, None
    key = OperatorKey(settings.operator_key.get_secret_value())
    sessions = OperatorSessions(pool, key)
    await sessions.refresh()
    return key, sessions
