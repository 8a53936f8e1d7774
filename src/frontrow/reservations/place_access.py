"""Access of a place in a line to the shows, seats and reservations of its own concert.

For a place that may not act, that error precedes all others. Every call of an admitted place claims
it, also a refused call.
"""

from datetime import date
from uuid import UUID

from frontrow.concerts.catalogue import Catalogue
from frontrow.concerts.model import Show
from frontrow.concerts.seat_maps import CachedSeatMap, SeatMaps
from frontrow.errors import DomainError, NotAllowed, NotFound, ShowAmbiguous, ShowClosed
from frontrow.ids import PlaceRef
from frontrow.reservations.service import Reservations
from frontrow.waiting_room.service import WaitingRooms


class PlaceAccess:
    """Finds the shows, seats and reservations that a place requests.

    Args:
        catalogue: finds shows.
        seat_maps: reads seats.
        rooms: admits and claims places.
        reservations: finds reservations.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        seat_maps: SeatMaps,
        rooms: WaitingRooms,
        reservations: Reservations,
    ) -> None:
        self._catalogue = catalogue
        self._seat_maps = seat_maps
        self._rooms = rooms
        self._reservations = reservations

    async def show_to_hold(
        self, place: PlaceRef, day: date | None, show_id: UUID | None, idempotency_key: str | None
    ) -> Show:
        """Returns the show whose seats a place wants to hold.

        Args:
            place: the place.
            day: the date of the show, if it is given.
            show_id: its id, if it is given.
            idempotency_key: the key of the request; a replay gets the show of the first request.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            NotAllowed: the show is another concert's.
            NotFound, ShowAmbiguous: the date does not name one show.
        """
        try:
            return await self._catalogue.show(place.concert_id, day, show_id)
        except ShowAmbiguous:
            # The date may have had only one show at the time of the first request.
            made = await self._reservations.made_with(place.user_id, idempotency_key)
            if made is None or made.date != day:
                await self._rooms.enter(place)
                raise
            return await self._catalogue.show(place.concert_id, None, made.show_id)
        except NotFound:
            await self._rooms.enter(place)
            if show_id is not None:
                concert_id = await self._catalogue.concert_of(show_id)
                if concert_id not in (None, place.concert_id):
                    raise NotAllowed from None
            raise

    async def seats(
        self, place: PlaceRef, concert_id: UUID, day: date, show_id: UUID | None
    ) -> CachedSeatMap:
        """Returns the seats of a show that is on sale.

        Raises:
            NotAdmitted, TokenFinished, CredentialInvalid: the place may not act.
            NotAllowed: the place is in another concert's line.
            NotFound, ShowAmbiguous: the date does not name one show.
            ShowClosed: the show is cancelled, or its sale has ended.
        """
        try:
            show = await self._show_to_see(place, concert_id, day, show_id)
        except DomainError:
            await self._rooms.enter(place)
            raise
        found = await self._seat_maps.read(place, show)
        if show.sales_end_at <= found.seats.now:
            raise ShowClosed
        return found

    async def check_reservation(self, place: PlaceRef, reservation_id: UUID) -> None:
        """Checks that a place may read a reservation.

        Raises:
            TokenFinished, CredentialInvalid: the place may not act.
            NotFound: the user has no such reservation.
            NotAllowed: the reservation is of another concert.
        """
        await self._rooms.check_live(place)
        reservation = await self._reservations.get(reservation_id, place.user_id)
        if reservation.concert_id != place.concert_id:
            raise NotAllowed

    async def _show_to_see(
        self, place: PlaceRef, concert_id: UUID, day: date, show_id: UUID | None
    ) -> Show:
        if concert_id != place.concert_id:
            raise NotAllowed
        show = await self._catalogue.show(concert_id, day, show_id)
        if show.cancelled_at is not None:
            raise ShowClosed
        return show
