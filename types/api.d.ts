// Types of the API, written by `make docs`. Do not edit.

type Query = "" | `?${string}`;

declare namespace Api {
  type ActiveHold = { reservation_id: string; user_id: string; show_id: string; seats: Array<number>; amount: number; created_at: string; held_until: string };
  type ActiveHolds = { holds: Array<Api.ActiveHold> };
  type AdaptivePolicy = { kind: "adaptive"; min_active: number; max_active: number; target_p95_ms: number };
  type AlreadyCheckedInProblem = { type: string; title: string; status: 409; detail: string; code: "already_checked_in"; checked_in_at: string; gate: (string) | (null); ticket_id: string; concert_id: string; concert_title: string; show_id: string; date: string; starts_at: string; number: number; section: (string) | (null); row: number; seat: number };
  type AmountMismatchProblem = { type: string; title: string; status: 422; detail: string; code: "amount_mismatch"; expected: number };
  type Audit = { violations: number; findings: Array<Api.Finding> };
  type Balance = { user_id: string; balance: number; currency: string };
  type BalanceRemainsProblem = { type: string; title: string; status: 409; detail: string; code: "balance_remains"; balance: number };
  type Cancellation = { show_id: string; state: "cancelled" | "cancelling"; payments_total: number; payments_refunded: number; seats_freed: number; amount_refunded: number; started_at: string; finished_at: (string) | (null) };
  type Challenge = { parameters: Api.ChallengeParameters; signature: string };
  type ChallengeFailedProblem = { type: string; title: string; status: 403; detail: string; code: "challenge_failed"; reason: "expired" | "invalid" | "used" };
  type ChallengeParameters = { algorithm: string; nonce: string; salt: string; cost: number; keyLength: number; keyPrefix: string; keySignature: string; expiresAt: number; data: Record<string, unknown> };
  type ChallengeRequiredProblem = { type: string; title: string; status: 403; detail: string; code: "challenge_required" };
  type Charge = { charge_id: string; user_id: string; amount: number; balance: number; created_at: string };
  type CheckIn = { ticket_id: string; concert_id: string; title: string; show_id: string; date: string; starts_at: string; number: number; section: (string) | (null); row: number; seat: number; checked_in_at: string; gate: (string) | (null) };
  type ConcertChange = { title?: string; hold_seconds?: number; max_seats_per_user?: number; refundable_until?: (string) | (null); guests?: boolean; description?: (string) | (null); poster_url?: (string) | (null); age_limit?: (number) | (null) };
  type ConcertPage = { concerts: Array<Api.ListedConcert>; next: (string) | (null) };
  type ConcertShows = { shows: Array<Api.ShowSales> };
  type CreatedConcert = { concert_id: string; shows: Array<Api.CreatedShow> };
  type CreatedShow = { show_id: string; date: string };
  type CredentialInvalidProblem = { type: string; title: string; status: 401; detail: string; code: "credential_invalid" };
  type CredentialMissingProblem = { type: string; title: string; status: 401; detail: string; code: "credential_missing" };
  type DateStock = { date: string; shows: Array<Api.ShowStock> };
  type Dates = { dates: Array<Api.DateStock> };
  type Draw = { concert_id: string; commitment: string; committed_at: string; opens_at: (string) | (null); drawn_at: (string) | (null); entrants: (number) | (null); digest: (string) | (null); seed: (string) | (null) };
  type Entries = { entries: Array<Api.Entry>; next: (number) | (null) };
  type Entry = { number: number; entry: string; position: number };
  type Eta = { p50: number; p90: number };
  type ExportedKey = { created_at: string; revoked_at: (string) | (null); expires_at: (string) | (null) };
  type ExportedPayment = { payment_id: string; reservation_id: string; concert_id: string; show_id: string; seats: Array<number>; amount: number; balance: number; state: "paid" | "refunded"; paid_at: string; refunded_at: (string) | (null); refund_reason: ("buyer" | "operator" | "show_cancelled") | (null) };
  type ExportedPlace = { concert_id: string; number: number; state: "admitted" | "finished" | "waiting"; reason: ("expired" | "left" | "paid") | (null); joined_at: string; admitted_at: (string) | (null); claimed_at: (string) | (null); expires_at: (string) | (null); finished_at: (string) | (null) };
  type ExportedReservation = { reservation_id: string; concert_id: string; show_id: string; place_number: number; seats: Array<number>; amount: number; state: "expired" | "held" | "paid" | "refunded" | "released"; created_at: string; held_until: string; closed_at: (string) | (null) };
  type ExportedTicket = { ticket_id: string; payment_id: string; show_id: string; number: number; checked_in_at: (string) | (null); gate: (string) | (null); void_at: (string) | (null); void_reason: ("refunded" | "show_cancelled") | (null) };
  type FieldError = { pointer: string; detail: string };
  type Finding = { invariant: string; says: string; checked: number; violations: number; examples: Array<string> };
  type FinishedPlaces = { paid?: number; left?: number; expired?: number };
  type ForecastQuality = { judged: number; below_p50: (number) | (null); below_p90: (number) | (null); median_error_seconds: (number) | (null) };
  type FoundPayments = { payments: Array<Api.SoldPayment> };
  type Guest = { user_id: string; user_key: string };
  type HeadTooLargeProblem = { type: string; title: string; status: 431; detail: string; code: "head_too_large" };
  type Health = { status: string };
  type HoldExpiredProblem = { type: string; title: string; status: 410; detail: string; code: "hold_expired" };
  type IdempotencyKeyReusedProblem = { type: string; title: string; status: 422; detail: string; code: "idempotency_key_reused" };
  type InsufficientBalanceProblem = { type: string; title: string; status: 402; detail: string; code: "insufficient_balance"; balance: number; amount: number; shortfall: number };
  type InternalErrorProblem = { type: string; title: string; status: 500; detail: string; code: "internal_error" };
  type InvalidRequestProblem = { type: string; title: string; status: 422; detail: string; code: "invalid_request"; errors: Array<Api.FieldError> };
  type JoinedStatus = { user_id: string; concert_id: string; number: number; position: (number) | (null); state: "admitted" | "finished" | "waiting"; ahead: number; eta_seconds: (Api.Eta) | (null); poll_after_ms: number; room_state: "closed" | "open" | "paused" | "scheduled" | "sold_out"; sale: "cancelled" | "ended" | "open"; seats_available: number; seats_outnumbered: boolean; issued_at: string; admitted_at: (string) | (null); claimed_at: (string) | (null); expires_at: (string) | (null); reason: ("expired" | "left" | "paid") | (null); token?: string };
  type KeyInUseProblem = { type: string; title: string; status: 409; detail: string; code: "key_in_use" };
  type KeyLimitProblem = { type: string; title: string; status: 409; detail: string; code: "key_limit"; limit: number };
  type KeyState = { key_id: string; purpose: "challenge" | "ticket" | "token"; state: "accepted" | "coming" | "retired" | "signing"; signs_at: string; retired_at: (string) | (null) };
  type KeyStates = { keys: Array<Api.KeyState> };
  type LetIn = { show_id: string; tickets: number; checked_in: number };
  type LineExport = { places: Array<Api.ServedPlace> };
  type LineHistory = { as_of: string; minutes: Array<Api.Minute> };
  type ListedConcert = { concert_id: string; title: string; artist: (string) | (null); venue: (string) | (null); timezone: string; currency: string; max_seats_per_user: number; first_date: (string) | (null); last_date: (string) | (null); price_from: (number) | (null); refundable_until: (string) | (null); guests: boolean; sale: "cancelled" | "ended" | "open"; state: "closed" | "open" | "paused" | "scheduled" | "sold_out" };
  type ListedShow = { show_id: string; date: string; starts_at: string; seats_total: number; seats_available: number; sale: "cancelled" | "ended" | "open" };
  type MalformedProblem = { type: string; title: string; status: 400; detail: string; code: "malformed" };
  type MaxActiveAndRatePolicy = { kind: "max_active_and_rate"; max_active: number; admit: number; every_seconds: number };
  type MaxActivePolicy = { kind: "max_active"; max_active: number };
  type Me = { user_id: string; balance: number; currency: string; reservations: Array<Api.Reservation>; payments: Array<Api.Payment>; tickets: Array<Api.Ticket> };
  type MethodNotAllowedProblem = { type: string; title: string; status: 405; detail: string; code: "method_not_allowed" };
  type Minute = { at: string; joined: number; called: number; paid: number; gone: number; gave_up: number; waiting: number; admitted: number };
  type NewCharge = { amount: number };
  type NewCheckIn = { code: string; gate?: (string) | (null); show_id?: (string) | (null); concert_id?: (string) | (null) };
  type NewConcertWithRoom = { title: string; artist?: (string) | (null); venue?: (string) | (null); timezone?: string; currency?: string; hold_seconds?: number; max_seats_per_user?: number; refundable_until?: (string) | (null); guests?: boolean; description?: (string) | (null); poster_url?: (string) | (null); age_limit?: (number) | (null); shows: Array<Api.NewShow>; waiting_room?: Api.RoomSettings };
  type NewKey = { keep?: boolean };
  type NewPayment = { reservation_id: string; amount: number };
  type NewReservation = { date?: (string) | (null); show_id?: (string) | (null); seats?: (Array<number>) | (null); count?: (number) | (null); section?: (string) | (null); together?: (boolean) | (null) };
  type NewRotation = { purpose?: "challenge" | "ticket" | "token" };
  type NewSection = { name: string; price: number; seats?: (number) | (null); rows?: (number) | (null); seats_per_row?: (number) | (null) };
  type NewSettings = { policy: (Api.OpenPolicy) | (Api.MaxActivePolicy) | (Api.RatePolicy) | (Api.MaxActiveAndRatePolicy) | (Api.AdaptivePolicy); session_seconds?: number; claim_seconds?: number; opens_at?: (string) | (null); closes_at?: (string) | (null); order?: "arrival" | "draw" };
  type NewShow = { starts_at: string; sales_end_at?: (string) | (null); sections?: (Array<Api.NewSection>) | (null); price?: (number) | (null); seats?: (number) | (null) };
  type NewShows = { shows: Array<Api.NewShow> };
  type NewToken = { concert_id: string };
  type NewUser = { altcha?: (string) | (null) };
  type NotAdmittedProblem = { type: string; title: string; status: 403; detail: string; code: "not_admitted"; ahead: number; poll_after_ms: number };
  type NotAllowedProblem = { type: string; title: string; status: 403; detail: string; code: "not_allowed" };
  type NotFoundProblem = { type: string; title: string; status: 404; detail: string; code: "not_found" };
  type OpenPolicy = { kind: "open" };
  type OperatorSession = { expires_at: string };
  type OverloadedProblem = { type: string; title: string; status: 503; detail: string; code: "overloaded" };
  type PaidTicket = { ticket_id: string; number: number; code: (string) | (null) };
  type Payment = { payment_id: string; reservation_id: string; user_id: string; amount: number; currency: string; balance: number; state: "paid" | "refunded"; seats: Array<number>; tickets: Array<Api.PaidTicket>; paid_at: string; refund: (Api.Refund) | (null) };
  type PaymentPage = { payments: Array<Api.Payment>; next: (string) | (null) };
  type Problem = { type: string; title: string; status: number; detail: string; code: string };
  type QueueDocument = { concert_id: string; state: "closed" | "open" | "paused" | "scheduled" | "sold_out"; serving: number; issued: number; waiting: number; admitted: number; sale: "cancelled" | "ended" | "open"; seats_available: number; seats_held: number; seats_total: number; seats_outnumbered: boolean; order: "arrival" | "draw"; opens_at: (string) | (null); closes_at: (string) | (null); admitted_per_minute: number; as_of: string };
  type RateLimitedProblem = { type: string; title: string; status: 429; detail: string; code: "rate_limited" };
  type RatePolicy = { kind: "rate"; admit: number; every_seconds: number };
  type RecentlyReleasedProblem = { type: string; title: string; status: 409; detail: string; code: "recently_released"; seats: Array<number>; retry_after_seconds: number };
  type Refund = { refund_id: string; amount: number; balance: number; refunded_at: string; reason: "buyer" | "operator" | "show_cancelled" };
  type RefundClosedProblem = { type: string; title: string; status: 409; detail: string; code: "refund_closed" };
  type RequestTimeoutProblem = { type: string; title: string; status: 408; detail: string; code: "request_timeout" };
  type Reservation = { reservation_id: string; concert_id: string; show_id: string; date: string; starts_at: string; seats: Array<Api.ReservedSeat>; amount: number; currency: string; state: "expired" | "held" | "paid" | "refunded" | "released"; held_until: string; created_at: string; payment_id: (string) | (null) };
  type ReservationClosedProblem = { type: string; title: string; status: 409; detail: string; code: "reservation_closed"; state: "expired" | "paid" | "refunded" | "released" };
  type ReservedSeat = { number: number; section: (string) | (null); price: number };
  type RoomClosedProblem = { type: string; title: string; status: 409; detail: string; code: "room_closed" };
  type RoomSettings = { policy?: (Api.OpenPolicy) | (Api.MaxActivePolicy) | (Api.RatePolicy) | (Api.MaxActiveAndRatePolicy) | (Api.AdaptivePolicy); session_seconds?: number; claim_seconds?: number; opens_at?: (string) | (null); closes_at?: (string) | (null); order?: "arrival" | "draw" };
  type SaleChange = { sales_end_at: (string) | (null) };
  type Seat = { number: number; section: (string) | (null); price: number; state: "available" | "held" | "sold" };
  type SeatCounts = { total: number; available: number; held: number; sold: number };
  type SeatLimitProblem = { type: string; title: string; status: 409; detail: string; code: "seat_limit"; limit: number };
  type SeatMap = { show_id: string; date: string; starts_at: string; version: string; complete: boolean; seats_available: number; sections?: Array<Api.Section>; seats?: Array<Api.Seat>; numbers?: Array<number>; states?: string };
  type SeatTakenProblem = { type: string; title: string; status: 409; detail: string; code: "seat_taken"; seats: Array<number> };
  type SeatsUnavailableProblem = { type: string; title: string; status: 409; detail: string; code: "seats_unavailable"; available: number; together: number };
  type Section = { name: (string) | (null); price: number; first_number: number; last_number: number; seats_per_row: number };
  type ServedPlace = { number: number; position: (number) | (null); state: "admitted" | "finished" | "waiting"; reason: ("expired" | "left" | "paid") | (null); joined_at: string; admitted_at: (string) | (null); finished_at: (string) | (null) };
  type Session = { user_id: (string) | (null); signed_in: boolean; places: Array<string>; operator: boolean };
  type ShowAmbiguousProblem = { type: string; title: string; status: 409; detail: string; code: "show_ambiguous"; shows: Array<string> };
  type ShowClosedProblem = { type: string; title: string; status: 409; detail: string; code: "show_closed" };
  type ShowSale = { show_id: string; starts_at: string; sales_end_at: string };
  type ShowSales = { show_id: string; date: string; starts_at: string; sales_end_at: string; cancelled_at: (string) | (null); seats: Api.SeatCounts; revenue: number };
  type ShowStock = { show_id: string; starts_at: string; seats_total: number; seats_available: number; sale: "cancelled" | "ended" | "open" };
  type ShownConcert = { concert_id: string; title: string; artist: (string) | (null); venue: (string) | (null); timezone: string; currency: string; max_seats_per_user: number; first_date: (string) | (null); last_date: (string) | (null); price_from: (number) | (null); refundable_until: (string) | (null); guests: boolean; sale: "cancelled" | "ended" | "open"; description: (string) | (null); poster_url: (string) | (null); age_limit: (number) | (null); state: "closed" | "open" | "paused" | "scheduled" | "sold_out"; shows: Array<Api.ListedShow> };
  type SignInRequiredProblem = { type: string; title: string; status: 403; detail: string; code: "sign_in_required" };
  type SoldPayment = { payment_id: string; reservation_id: string; user_id: string; concert_id: string; show_id: string; starts_at: string; amount: number; currency: string; state: "paid" | "refunded"; tickets: Array<Api.SoldTicket>; paid_at: string; refunded_at: (string) | (null); refund_reason: ("buyer" | "operator" | "show_cancelled") | (null) };
  type SoldPayments = { payments: Array<Api.SoldPayment>; next: (string) | (null) };
  type SoldTicket = { ticket_id: string; number: number; state: "used" | "valid" | "void"; checked_in_at: (string) | (null); gate: (string) | (null) };
  type Statistics = { waiting: number; called: number; claimed: number; cap: (number) | (null); finished: Api.FinishedPlaces; no_show_share: (number) | (null); joined_per_minute: number; admitted_per_minute: number; finished_per_minute: number; forecast: Api.ForecastQuality; seats: Api.SeatCounts; revenue: number; holds_expired: number };
  type Status = { user_id: string; concert_id: string; number: number; position: (number) | (null); state: "admitted" | "finished" | "waiting"; ahead: number; eta_seconds: (Api.Eta) | (null); poll_after_ms: number; room_state: "closed" | "open" | "paused" | "scheduled" | "sold_out"; sale: "cancelled" | "ended" | "open"; seats_available: number; seats_outnumbered: boolean; issued_at: string; admitted_at: (string) | (null); claimed_at: (string) | (null); expires_at: (string) | (null); reason: ("expired" | "left" | "paid") | (null) };
  type Ticket = { ticket_id: string; payment_id: string; concert_id: string; title: string; venue: (string) | (null); timezone: string; show_id: string; date: string; starts_at: string; number: number; section: (string) | (null); row: number; seat: number; paid_at: string; state: "used" | "valid" | "void"; checked_in_at: (string) | (null); void_at: (string) | (null); void_reason: ("refunded" | "show_cancelled") | (null); code: (string) | (null) };
  type TicketKey = { kid: string; kty: "OKP"; crv: "Ed25519"; x: string; use: "sig" };
  type TicketKeys = { keys: Array<Api.TicketKey> };
  type TicketVoidProblem = { type: string; title: string; status: 409; detail: string; code: "ticket_void"; reason: "refunded" | "show_cancelled" };
  type TokenFinishedProblem = { type: string; title: string; status: 401; detail: string; code: "token_finished"; reason: "expired" | "left" | "paid" };
  type TooLargeProblem = { type: string; title: string; status: 413; detail: string; code: "too_large" };
  type Transfer = { transfer_id: string; kind: "charge" | "payment" | "refund"; amount: number; balance: number; reference: (string) | (null); created_at: string };
  type Transfers = { transfers: Array<Api.Transfer>; next: (string) | (null) };
  type UnavailableProblem = { type: string; title: string; status: 503; detail: string; code: "unavailable"; cause?: "canceled" | "disk_full" | "io_error" | "not_migrated" | "out_of_resources" | "read_only" | "stopping" | "unreachable" };
  type UnsupportedMediaTypeProblem = { type: string; title: string; status: 415; detail: string; code: "unsupported_media_type" };
  type UserExport = { user_id: string; created_at: string; erased_at: (string) | (null); balance: number; currency: string; user_keys: Array<Api.ExportedKey>; places: Array<Api.ExportedPlace>; reservations: Array<Api.ExportedReservation>; transfers: Array<Api.Transfer>; payments: Array<Api.ExportedPayment>; tickets: Array<Api.ExportedTicket> };
  type UserKey = { user_id: string; user_key: string };
  type VersionConflictProblem = { type: string; title: string; status: 412; detail: string; code: "version_conflict"; etag: string };
  type WrongShowProblem = { type: string; title: string; status: 409; detail: string; code: "wrong_show"; show_id: string; concert_id: string };
}

type Answer<Method extends string, Path extends string> = `${Method} ${Path}` extends infer Call ?
  Call extends `POST /admin/concerts/${string}/waiting-room/pause${Query}` ? Api.RoomSettings :
  Call extends `POST /admin/concerts/${string}/waiting-room/resume${Query}` ? Api.RoomSettings :
  Call extends `GET /concerts/${string}/dates/${string}/seats${Query}` ? Api.SeatMap :
  Call extends `GET /concerts/${string}/queue/draw/entries${Query}` ? Api.Entries :
  Call extends `GET /queue/tokens/me/events${Query}` ? undefined :
  Call extends `GET /admin/concerts/${string}/history${Query}` ? Api.LineHistory :
  Call extends `GET /admin/concerts/${string}/holds${Query}` ? Api.ActiveHolds :
  Call extends `GET /admin/concerts/${string}/order${Query}` ? Api.LineExport :
  Call extends `GET /admin/concerts/${string}/payments${Query}` ? Api.SoldPayments :
  Call extends `GET /admin/concerts/${string}/shows${Query}` ? Api.ConcertShows :
  Call extends `POST /admin/concerts/${string}/shows${Query}` ? Api.CreatedConcert :
  Call extends `GET /admin/concerts/${string}/stats${Query}` ? Api.Statistics :
  Call extends `GET /admin/concerts/${string}/waiting-room${Query}` ? Api.RoomSettings :
  Call extends `PUT /admin/concerts/${string}/waiting-room${Query}` ? Api.RoomSettings :
  Call extends `POST /admin/keys/${string}/retire${Query}` ? undefined :
  Call extends `POST /admin/payments/${string}/refunds${Query}` ? Api.Payment :
  Call extends `GET /admin/shows/${string}/cancellation${Query}` ? Api.Cancellation :
  Call extends `POST /admin/shows/${string}/cancellation${Query}` ? Api.Cancellation :
  Call extends `GET /admin/shows/${string}/check-ins${Query}` ? Api.LetIn :
  Call extends `GET /admin/shows/${string}/seats${Query}` ? Api.SeatMap :
  Call extends `POST /admin/users/${string}/keys${Query}` ? Api.UserKey :
  Call extends `DELETE /admin/users/${string}/keys${Query}` ? undefined :
  Call extends `GET /concerts/${string}/queue/draw${Query}` ? Api.Draw :
  Call extends `POST /users/${string}/balance/charges${Query}` ? Api.Charge :
  Call extends `GET /users/${string}/balance/transfers${Query}` ? Api.Transfers :
  Call extends `POST /admin/keys/rotations${Query}` ? Api.KeyState :
  Call extends `POST /admin/tickets/check-ins${Query}` ? Api.CheckIn :
  Call extends `GET /queue/tokens/me${Query}` ? Api.Status :
  Call extends `DELETE /queue/tokens/me${Query}` ? undefined :
  Call extends `GET /users/me/export${Query}` ? Api.UserExport :
  Call extends `POST /users/me/keys${Query}` ? Api.UserKey :
  Call extends `DELETE /users/me/keys${Query}` ? undefined :
  Call extends `PATCH /admin/concerts/${string}${Query}` ? Api.ConcertChange :
  Call extends `GET /admin/lookups/${string}${Query}` ? Api.FoundPayments :
  Call extends `PATCH /admin/shows/${string}${Query}` ? Api.ShowSale :
  Call extends `GET /concerts/${string}/dates${Query}` ? Api.Dates :
  Call extends `GET /concerts/${string}/queue${Query}` ? Api.QueueDocument :
  Call extends `POST /payments/${string}/refunds${Query}` ? Api.Payment :
  Call extends `GET /tickets/${string}/calendar.ics${Query}` ? undefined :
  Call extends `GET /tickets/${string}/print${Query}` ? undefined :
  Call extends `GET /tickets/${string}/qr.svg${Query}` ? undefined :
  Call extends `GET /users/${string}/balance${Query}` ? Api.Balance :
  Call extends `GET /admin/audit${Query}` ? Api.Audit :
  Call extends `POST /admin/concerts${Query}` ? Api.CreatedConcert :
  Call extends `GET /admin/keys${Query}` ? Api.KeyStates :
  Call extends `POST /admin/session${Query}` ? Api.OperatorSession :
  Call extends `DELETE /admin/session${Query}` ? undefined :
  Call extends `POST /queue/tokens${Query}` ? Api.JoinedStatus :
  Call extends `GET /tickets/keys${Query}` ? Api.TicketKeys :
  Call extends `GET /users/challenge${Query}` ? Api.Challenge :
  Call extends `GET /users/me${Query}` ? Api.Me :
  Call extends `DELETE /users/me${Query}` ? undefined :
  Call extends `GET /concerts/${string}${Query}` ? Api.ShownConcert :
  Call extends `GET /payments/${string}${Query}` ? Api.Payment :
  Call extends `GET /reservations/${string}${Query}` ? Api.Reservation :
  Call extends `DELETE /reservations/${string}${Query}` ? undefined :
  Call extends `GET /tickets/${string}${Query}` ? Api.Ticket :
  Call extends `GET /concerts${Query}` ? Api.ConcertPage :
  Call extends `GET /payments${Query}` ? Api.PaymentPage :
  Call extends `POST /payments${Query}` ? Api.Payment :
  Call extends `POST /reservations${Query}` ? Api.Reservation :
  Call extends `GET /session${Query}` ? Api.Session :
  Call extends `POST /session${Query}` ? Api.Session :
  Call extends `DELETE /session${Query}` ? undefined :
  Call extends `POST /users${Query}` ? Api.Guest :
  unknown : never;

type Sent<Method extends string, Path extends string> = `${Method} ${Path}` extends infer Call ?
  Call extends `POST /admin/concerts/${string}/shows${Query}` ? Api.NewShows :
  Call extends `PUT /admin/concerts/${string}/waiting-room${Query}` ? Api.NewSettings :
  Call extends `POST /users/${string}/balance/charges${Query}` ? Api.NewCharge :
  Call extends `POST /admin/keys/rotations${Query}` ? Api.NewRotation :
  Call extends `POST /admin/tickets/check-ins${Query}` ? Api.NewCheckIn :
  Call extends `POST /users/me/keys${Query}` ? Api.NewKey :
  Call extends `PATCH /admin/concerts/${string}${Query}` ? Api.ConcertChange :
  Call extends `PATCH /admin/shows/${string}${Query}` ? Api.SaleChange :
  Call extends `POST /admin/concerts${Query}` ? Api.NewConcertWithRoom :
  Call extends `POST /queue/tokens${Query}` ? Api.NewToken :
  Call extends `POST /payments${Query}` ? Api.NewPayment :
  Call extends `POST /reservations${Query}` ? Api.NewReservation :
  Call extends `POST /session${Query}` ? Api.NewUser :
  Call extends `POST /users${Query}` ? Api.NewUser :
  unknown : never;
