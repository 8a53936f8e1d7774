-- The invariants, one query each: the numbers of rows that it covers and that violate it, and up to five of
-- the latter described. :now is the time for all of them; it lies after the snapshot that they read. All are
-- set-based: nothing is looked up row by row.

-- name: seat_has_one_holder
-- A seat is taken by exactly the one active or paid reservation that lists it, until the same time.
WITH wanted AS (
    SELECT r.reservation_id, r.show_id, unnest(r.seats) AS number,
        CASE r.state WHEN 'paid' THEN 'infinity' ELSE r.held_until END AS until
    FROM reservation AS r
    WHERE r.state = 'paid' OR (r.state = 'held' AND r.held_until > :now::timestamptz)
),
taken AS (
    SELECT show_id, number, reservation_id, held_until AS until FROM seat
    WHERE held_until > :now::timestamptz
),
pair AS (
    SELECT show_id, number, coalesce(t.reservation_id, w.reservation_id) AS reservation_id,
        w.until AS wanted_until, t.until AS taken_until
    FROM wanted AS w FULL JOIN taken AS t USING (show_id, number, reservation_id)
),
bad AS (
    SELECT format('seat %s of show %s: ', number, show_id) || CASE
        WHEN wanted_until IS NULL
            THEN format('taken for %s, which is not active or does not list it', reservation_id)
        WHEN taken_until IS NULL THEN format('reservation %s does not have it', reservation_id)
        ELSE format('reservation %s has it until another time', reservation_id)
    END AS what
    FROM pair WHERE wanted_until IS DISTINCT FROM taken_until
    UNION ALL
    SELECT format('seat %s of show %s: listed %s times', number, show_id, count(*))
    FROM wanted GROUP BY show_id, number HAVING count(*) > 1
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: hold_belongs_to_a_session
-- A hold is made by a claimed place of its user in its concert's line, and no hold outlives its place.
WITH seen AS (
    SELECT r.*, p.user_id AS place_user_id, p.state AS place_state, p.claimed_at, p.finished_at,
        w.concert_id AS room_concert_id, s.concert_id AS show_concert_id
    FROM reservation AS r
    JOIN place AS p ON p.room_id = r.room_id AND p.number = r.place_number
    JOIN waiting_room AS w ON w.room_id = r.room_id
    JOIN show AS s ON s.show_id = r.show_id
),
bad AS (
    SELECT format('reservation %s: ', reservation_id) || CASE
        WHEN user_id <> place_user_id THEN 'its place is another user''s'
        WHEN concert_id <> room_concert_id THEN 'its place is in another concert''s line'
        WHEN concert_id <> show_concert_id THEN 'its show is another concert''s'
        WHEN claimed_at IS NULL OR created_at < claimed_at THEN 'created before its place was claimed'
        WHEN created_at > finished_at THEN 'created after its place was finished'
        ELSE 'held though its place is finished'
    END AS what
    FROM seen
    WHERE user_id <> place_user_id OR concert_id <> room_concert_id OR concert_id <> show_concert_id
        OR claimed_at IS NULL OR created_at < claimed_at OR created_at > finished_at
        OR (state = 'held' AND held_until > :now::timestamptz AND place_state <> 'admitted')
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: hold_closes_in_time
-- A hold is paid or released before its end, or expires at its end or later.
WITH seen AS (
    SELECT r.reservation_id, r.state, r.created_at, r.held_until,
        coalesce(y.paid_at, r.closed_at) AS closed_at
    FROM reservation AS r LEFT JOIN payment AS y USING (reservation_id)
),
bad AS (
    SELECT format('reservation %s: held until %s, %s at %s', reservation_id, held_until, state,
        closed_at) AS what
    FROM seen
    WHERE closed_at < created_at OR (state <> 'held' AND (state = 'expired') <> (closed_at >= held_until))
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: session_times_agree
-- A place's times are in order, and a session ends at its own end or with its latest hold.
WITH seen AS (
    SELECT p.*, greatest(p.session_until, h.held_until) AS until
    FROM place AS p
    LEFT JOIN (
        SELECT room_id, place_number AS number, max(held_until) AS held_until FROM reservation
        GROUP BY room_id, place_number
    ) AS h USING (room_id, number)
),
bad AS (
    SELECT format('number %s of room %s: ', number, room_id) || CASE
        WHEN joined_at > admitted_at OR admitted_at > claimed_at OR admitted_at >= expires_at
            OR claimed_at > session_until OR greatest(joined_at, admitted_at, claimed_at) > finished_at
            THEN 'its times are out of order'
        WHEN expires_at <> until THEN format('expires at %s, not at %s', expires_at, until)
        ELSE format('%s at %s, though it expires at %s', reason, finished_at, expires_at)
    END AS what
    FROM seen
    WHERE joined_at > admitted_at OR admitted_at > claimed_at OR admitted_at >= expires_at
        OR claimed_at > session_until OR greatest(joined_at, admitted_at, claimed_at) > finished_at
        OR (claimed_at IS NOT NULL AND expires_at <> until)
        OR (reason = 'expired') <> (finished_at >= expires_at)
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: amount_is_the_price
-- A reservation's amount is the sum of its seats' prices.
WITH seen AS (
    SELECT r.reservation_id, r.amount, cardinality(r.seats) AS seats, sum(s.price) AS price,
        count(s.price) AS priced
    FROM (
        SELECT reservation_id, show_id, amount, seats, unnest(seats) AS number FROM reservation
    ) AS r
    LEFT JOIN seat AS s USING (show_id, number)
    GROUP BY r.reservation_id, r.amount, r.seats
),
bad AS (
    SELECT format('reservation %s: %s, its seats cost %s', reservation_id, amount, price) AS what
    FROM seen WHERE amount IS DISTINCT FROM price OR seats <> priced
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: sale_closes_its_reservation
-- A paid or refunded reservation has one payment, with the same user, show, seats, amount, state and
-- time of its end; no other has one.
WITH pair AS (
    SELECT coalesce(r.reservation_id, y.reservation_id) AS reservation_id, y.payment_id,
        r.state::text AS state, y.state::text AS payment_state, r.closed_at, coalesce(y.refunded_at, y.paid_at) AS ended_at,
        (r.user_id, r.concert_id, r.show_id, r.seats, r.amount)
            = (y.user_id, y.concert_id, y.show_id, y.seats, y.amount) AS same,
        count(y.payment_id) OVER (PARTITION BY y.reservation_id) AS payments
    FROM (SELECT * FROM reservation WHERE state IN ('paid', 'refunded')) AS r
    FULL JOIN payment AS y USING (reservation_id)
),
bad AS (
    SELECT format('reservation %s: ', reservation_id) || CASE
        WHEN payment_id IS NULL THEN 'paid, without a payment'
        WHEN state IS NULL THEN format('not paid, though payment %s is for it', payment_id)
        WHEN payments > 1 THEN format('paid %s times', payments)
        ELSE format('not as payment %s says', payment_id)
    END AS what
    FROM pair
    WHERE payment_id IS NULL OR payments > 1 OR same IS NOT TRUE OR state <> payment_state
        OR closed_at <> ended_at
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: sale_has_one_debit
-- A payment has one transfer from its user, at the same time.
WITH pair AS (
    SELECT coalesce(y.payment_id, t.transfer_id) AS payment_id, y.payment_id IS NULL AS unsold,
        t.transfer_id IS NULL AS undebited,
        (y.user_id, y.amount, y.balance, y.paid_at) = (t.user_id, t.amount, t.balance, t.created_at)
            AS same
    FROM payment AS y
    FULL JOIN (SELECT * FROM transfer WHERE kind = 'payment') AS t ON t.transfer_id = y.payment_id
),
bad AS (
    SELECT format('payment %s: ', payment_id) || CASE
        WHEN unsold THEN 'debited, but there is no such payment'
        WHEN undebited THEN 'never debited'
        ELSE 'debited otherwise than it says'
    END AS what
    FROM pair WHERE same IS NOT TRUE
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: refund_gives_back_once
-- A refunded payment has one transfer back to its user, of its amount and at its time; no other has one.
WITH pair AS (
    SELECT coalesce(y.payment_id, t.reference) AS payment_id, y.payment_id IS NULL AS unrefunded,
        t.transfer_id IS NULL AS unpaid,
        (y.user_id, y.amount, y.refunded_at) = (t.user_id, t.amount, t.created_at) AS same,
        count(t.transfer_id) OVER (PARTITION BY t.reference) AS transfers
    FROM (SELECT * FROM payment WHERE state = 'refunded') AS y
    FULL JOIN (SELECT * FROM transfer WHERE kind = 'refund') AS t ON t.reference = y.payment_id
),
bad AS (
    SELECT format('payment %s: ', payment_id) || CASE
        WHEN unrefunded THEN 'money back, though it is not refunded'
        WHEN unpaid THEN 'refunded without money back'
        WHEN transfers > 1 THEN format('money back %s times', transfers)
        ELSE 'money back otherwise than it says'
    END AS what
    FROM pair WHERE same IS NOT TRUE OR transfers > 1
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: refund_frees_its_seats
-- No seat is still taken for a reservation that was refunded.
WITH bad AS (
    SELECT format('seat %s of show %s: taken for %s, which is refunded', s.number, s.show_id,
        s.reservation_id) AS what
    FROM seat AS s JOIN reservation AS r USING (reservation_id)
    WHERE r.state = 'refunded'
)
SELECT (SELECT coalesce(sum(cardinality(seats)), 0) FROM reservation WHERE state = 'refunded') AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: sale_finishes_one_place
-- A payment finishes the place that held its seats (unless that is pruned) at the same time; a place
-- finished as paid has one payment.
WITH pair AS (
    SELECT y.payment_id, y.paid_at, y.user_id, p.user_id AS place_user_id, p.finished_at,
        coalesce(y.room_id, p.room_id) AS room_id, coalesce(y.number, p.number) AS number,
        count(y.payment_id) OVER (PARTITION BY y.room_id, y.number) AS payments
    FROM (
        SELECT y.payment_id, y.paid_at, y.user_id, r.room_id, r.place_number AS number
        FROM payment AS y JOIN reservation AS r USING (reservation_id)
        LEFT JOIN waiting_room AS w USING (room_id)
        WHERE r.place_number <= w.pruned_to IS NOT TRUE
    ) AS y
    FULL JOIN (SELECT * FROM place WHERE reason = 'paid') AS p
        ON p.room_id = y.room_id AND p.number = y.number
),
bad AS (
    SELECT format('number %s of room %s: ', number, room_id) || CASE
        WHEN payment_id IS NULL THEN 'finished as paid, without a payment'
        WHEN finished_at IS NULL THEN format('not finished by payment %s', payment_id)
        WHEN payments > 1 THEN format('finished by %s payments', payments)
        ELSE format('finished otherwise than payment %s says', payment_id)
    END AS what
    FROM pair
    WHERE payments <> 1 OR user_id IS DISTINCT FROM place_user_id
        OR paid_at IS DISTINCT FROM finished_at
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: sale_gives_its_tickets
-- A payment has one ticket for each of its seats: valid, or void since its refund, with the reason.
WITH pair AS (
    SELECT y.payment_id, y.state, t.numbers, t.same, t.valid, t.void,
        ARRAY(SELECT n FROM unnest(y.seats) AS n ORDER BY n) AS seats
    FROM payment AS y
    LEFT JOIN (
        SELECT t.payment_id, array_agg(t.number ORDER BY t.number) AS numbers,
            bool_and(t.user_id = y.user_id AND t.show_id = y.show_id) AS same,
            bool_and(t.void_at IS NULL) AS valid,
            bool_and(
                t.void_at = y.refunded_at AND t.void_reason::text =
                    CASE y.refund_reason WHEN 'show_cancelled' THEN 'show_cancelled' ELSE 'refunded' END
            ) AS void
        FROM ticket AS t JOIN payment AS y USING (payment_id)
        GROUP BY t.payment_id
    ) AS t USING (payment_id)
),
bad AS (
    SELECT format('payment %s (%s): seats %s, tickets %s', payment_id, state, seats, numbers) AS what
    FROM pair
    WHERE numbers IS DISTINCT FROM seats OR NOT same
        OR CASE state WHEN 'paid' THEN valid ELSE void END IS NOT TRUE
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: ticket_fits_its_sale
-- A valid ticket's seat is sold for its payment; a ticket is checked in at most once, by a check-in of its
-- own, after its payment and while it was valid.
WITH seen AS (
    SELECT t.*, y.paid_at, count(*) OVER (PARTITION BY t.check_in_id) AS together,
        (s.reservation_id, s.held_until) IS NOT DISTINCT FROM (y.reservation_id, 'infinity') AS sold
    FROM ticket AS t
    JOIN payment AS y USING (payment_id)
    LEFT JOIN seat AS s ON s.show_id = t.show_id AND s.number = t.number
),
bad AS (
    SELECT format('ticket %s: ', ticket_id) || CASE
        WHEN NOT sold AND void_at IS NULL
            THEN format('seat %s of show %s is not sold for it', number, show_id)
        WHEN checked_in_at IS NULL OR check_in_id IS NULL THEN 'incompletely checked in'
        WHEN together > 1 THEN format('checked in with %s others', together - 1)
        ELSE format('checked in at %s, paid at %s, void at %s', checked_in_at, paid_at, void_at)
    END AS what
    FROM seen
    WHERE (NOT sold AND void_at IS NULL)
        OR (checked_in_at IS NULL) <> (check_in_id IS NULL)
        OR (check_in_id IS NOT NULL AND together > 1)
        OR checked_in_at < paid_at OR checked_in_at > void_at
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: cancelled_show_is_settled
-- A cancelled show sells nothing, and its refunds match its progress: once finished, all are made.
WITH seen AS (
    SELECT s.show_id, s.cancelled_at, c.started_at, c.finished_at, c.payments_total,
        (c.payments_refunded, c.seats_freed, c.amount_refunded)
            = (coalesce(y.payments, 0), coalesce(y.seats, 0), coalesce(y.amount, 0)) AS same,
        coalesce(y.payments, 0) AS refunded, coalesce(v.payments, 0) AS unrefunded,
        coalesce(v.late, 0) AS late, coalesce(h.holds, 0) AS holds
    FROM show AS s
    LEFT JOIN cancellation AS c USING (show_id)
    LEFT JOIN (
        SELECT show_id, count(*) AS payments, sum(cardinality(seats)) AS seats, sum(amount) AS amount
        FROM payment WHERE refund_reason = 'show_cancelled' GROUP BY show_id
    ) AS y USING (show_id)
    LEFT JOIN (
        SELECT y.show_id, count(*) FILTER (WHERE t.valid OR y.state = 'paid') AS payments,
            count(*) FILTER (WHERE y.paid_at > s.cancelled_at) AS late
        FROM payment AS y
        JOIN show AS s USING (show_id)
        LEFT JOIN (
            SELECT payment_id, bool_or(void_at IS NULL) AS valid FROM ticket GROUP BY payment_id
        ) AS t USING (payment_id)
        WHERE s.cancelled_at IS NOT NULL GROUP BY y.show_id
    ) AS v USING (show_id)
    LEFT JOIN (
        SELECT show_id, count(*) AS holds FROM reservation
        WHERE state = 'held' AND held_until > :now::timestamptz GROUP BY show_id
    ) AS h USING (show_id)
    WHERE s.cancelled_at IS NOT NULL OR c.show_id IS NOT NULL OR y.show_id IS NOT NULL
),
bad AS (
    SELECT format('show %s: ', show_id) || CASE
        WHEN cancelled_at IS DISTINCT FROM started_at
            THEN format('cancelled at %s, its refunds began at %s', cancelled_at, started_at)
        WHEN holds > 0 THEN format('cancelled, with %s holds', holds)
        WHEN late > 0 THEN format('cancelled, and sold %s times after that', late)
        WHEN finished_at IS NOT NULL AND unrefunded > 0
            THEN format('finished, though %s purchases are not refunded', unrefunded)
        ELSE format('%s refunded, %s not, of %s: not what its progress says', refunded, unrefunded,
            payments_total)
    END AS what
    FROM seen
    WHERE cancelled_at IS DISTINCT FROM started_at OR holds > 0 OR late > 0 OR same IS NOT TRUE
        OR refunded + unrefunded <> payments_total
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: balance_is_its_transfers
-- A wallet's balance is the sum of its transfers, entry by entry, gapless, and was never below zero.
WITH entry AS (
    SELECT user_id, entry, balance, change, created_at,
        row_number() OVER line AS place, lag(created_at) OVER line AS created_before,
        sum(change) OVER (line ROWS UNBOUNDED PRECEDING) AS running
    FROM (
        SELECT *, CASE kind WHEN 'payment' THEN -amount ELSE amount END AS change FROM transfer
    ) AS t
    WINDOW line AS (PARTITION BY user_id ORDER BY entry)
),
total AS (
    SELECT user_id, count(*) AS entries, sum(change) AS balance FROM entry GROUP BY user_id
),
pair AS (
    SELECT user_id, w.balance, w.entries, coalesce(t.balance, 0) AS sum,
        coalesce(t.entries, 0) AS transfers
    FROM wallet AS w FULL JOIN total AS t USING (user_id)
),
bad AS (
    SELECT format('wallet %s: %s after %s entries, its %s transfers give %s', user_id, balance,
        entries, transfers, sum) AS what
    FROM pair WHERE balance IS DISTINCT FROM sum OR entries IS DISTINCT FROM transfers OR balance < 0
    UNION ALL
    SELECT format('wallet %s: entry %s (the %s.) says %s, the sum is %s', user_id, entry, place,
        balance, running)
    FROM entry
    WHERE entry <> place OR balance <> running OR running < 0 OR created_at < created_before
)
SELECT (SELECT count(*) FROM pair) + (SELECT count(*) FROM entry) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: money_is_kept
-- Money is kept: the balances plus the sales are the charges.
WITH house AS (
    SELECT max(account_id::text) FILTER (WHERE name = 'cash')::uuid AS cash,
        max(account_id::text) FILTER (WHERE name = 'sales')::uuid AS sales
    FROM house_account
),
flow AS (
    SELECT debit_account, credit_account, kind, sum(amount) AS amount, count(*) AS transfers,
        bool_and(
            (debit_account, credit_account) IS NOT DISTINCT FROM CASE kind
                WHEN 'charge' THEN (house.cash, user_id)
                WHEN 'payment' THEN (user_id, house.sales)
                ELSE (house.sales, user_id)
            END
        ) AS fits
    FROM transfer CROSS JOIN house
    GROUP BY debit_account, credit_account, kind
),
total AS (
    SELECT (SELECT coalesce(sum(balance), 0) FROM wallet) AS wallets,
        coalesce(sum(
            CASE house.sales WHEN credit_account THEN amount WHEN debit_account THEN -amount END
        ), 0) AS sales,
        coalesce(sum(
            CASE house.cash WHEN debit_account THEN amount WHEN credit_account THEN -amount END
        ), 0) AS cash
    FROM house LEFT JOIN flow ON true
),
bad AS (
    SELECT format('wallets %s + sales %s are not the %s that came in', wallets, sales, cash) AS what
    FROM total WHERE wallets + sales <> cash
    UNION ALL
    SELECT format('%s from account %s to account %s', kind, debit_account, credit_account)
    FROM flow WHERE NOT fits
)
SELECT (SELECT coalesce(sum(transfers), 0)::bigint FROM flow) + (SELECT count(*) FROM wallet)
        AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: numbers_are_gapless
-- The numbers of a line are 1..issued, each given once; pruned ones are the first.
WITH gap AS (
    SELECT room_id, number, lag(number, 1, coalesce(pruned_to, 0))
            OVER (PARTITION BY room_id ORDER BY number) AS before
    FROM place LEFT JOIN waiting_room USING (room_id)
),
line AS (
    SELECT room_id, issued, coalesce(last, pruned_to) AS last FROM waiting_room
    LEFT JOIN (SELECT room_id, max(number) AS last FROM place GROUP BY room_id) AS p USING (room_id)
),
bad AS (
    SELECT format('number %s of room %s: follows %s', number, room_id, before) AS what FROM gap
    WHERE number <> before + 1
    UNION ALL
    SELECT format('room %s: %s issued, the last number is %s', room_id, issued, last) FROM line
    WHERE issued <> last
)
SELECT (SELECT count(*) FROM gap) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: numbers_follow_joining
-- A user who joined earlier has a smaller number.
WITH pair AS (
    SELECT room_id, number, joined_at,
        lag(joined_at) OVER (PARTITION BY room_id ORDER BY number) AS before
    FROM place
),
bad AS (
    SELECT format('number %s of room %s: joined at %s, the one before at %s', number, room_id,
        joined_at, before) AS what
    FROM pair WHERE joined_at < before
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: user_has_one_live_place
-- A user has at most one unfinished place in a line at any time, now and before. Unlinked places of
-- erased users are left out.
WITH pair AS (
    SELECT room_id, user_id, number, joined_at, lag(number) OVER line AS before,
        lag(finished_at, 1, '-infinity') OVER line AS finished_before
    FROM place WHERE user_id <> retention_nobody()
    WINDOW line AS (PARTITION BY room_id, user_id ORDER BY number)
),
bad AS (
    SELECT format('user %s in room %s: number %s was given while number %s lived', user_id, room_id,
        number, before) AS what
    FROM pair WHERE coalesce(finished_before, 'infinity') > joined_at
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: admission_follows_order
-- Users are admitted strictly in serving order (by number, or as drawn): nobody is passed over except those
-- who left. The Kendall tau distance between positions and admissions is 0.
WITH seen AS (
    SELECT p.room_id, p.number, p.state, p.admitted_at, p.finished_at, r.serving,
        coalesce(d.position, p.number) AS position,
        -- The first time that a place behind this one was admitted.
        min(p.admitted_at) OVER (
            PARTITION BY p.room_id ORDER BY coalesce(d.position, p.number) DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS behind_at
    FROM place AS p JOIN waiting_room AS r USING (room_id) LEFT JOIN drawn AS d USING (room_id, number)
),
bad AS (
    SELECT format('number %s of room %s (%s, admitted at %s): serving %s, one behind called at %s',
        number, room_id, state, admitted_at, serving, behind_at) AS what
    FROM seen
    WHERE (state = 'waiting' AND position <= serving)
        OR (admitted_at IS NOT NULL AND position > serving)
        OR coalesce(admitted_at, finished_at, 'infinity') > behind_at
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: admission_is_logged_once
-- The logged admissions are those of the places: the same places at the same times, each once. Of pruned
-- places the count is known.
WITH logged AS (
    SELECT room_id, admitted_at, sum(admitted - pruned) AS admitted, min(first_position) AS first,
        max(last_position) AS last, sum(pruned) AS pruned
    FROM admission GROUP BY room_id, admitted_at
),
happened AS (
    SELECT room_id, admitted_at, count(*) AS admitted, min(coalesce(position, number)) AS first,
        max(coalesce(position, number)) AS last
    FROM place LEFT JOIN drawn USING (room_id, number)
    WHERE admitted_at IS NOT NULL GROUP BY room_id, admitted_at
),
pair AS (
    SELECT room_id, admitted_at, l.first, l.last, coalesce(l.admitted, 0) AS logged,
        coalesce(h.admitted, 0) AS admitted,
        l.admitted = h.admitted AND CASE l.pruned
            WHEN 0 THEN (l.first, l.last) = (h.first, h.last)
            ELSE l.first <= h.first AND h.last <= l.last
        END AS same
    FROM logged AS l FULL JOIN happened AS h USING (room_id, admitted_at)
),
turn AS (
    SELECT room_id, first_position, admitted_at, lag(last_position) OVER line AS before,
        lag(admitted_at) OVER line AS admitted_before
    FROM admission
    WINDOW line AS (PARTITION BY room_id ORDER BY first_position)
),
total AS (
    SELECT r.room_id, r.called, r.pruned_called + coalesce(sum(h.admitted), 0) AS admitted
    FROM waiting_room AS r LEFT JOIN happened AS h USING (room_id) GROUP BY r.room_id
),
bad AS (
    SELECT format('room %s at %s: %s logged (%s..%s), %s admitted', room_id, admitted_at, logged,
        first, last, admitted) AS what
    FROM pair WHERE same IS NOT TRUE
    UNION ALL
    SELECT format('room %s: the admission of %s overlaps the one before', room_id, first_position)
    FROM turn WHERE first_position <= before OR admitted_at < admitted_before
    UNION ALL
    SELECT format('room %s: %s called, %s admitted', room_id, called, admitted)
    FROM total WHERE called <> admitted
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: draw_follows_its_rule
-- A drawn line has the commitment of its seed, the digest of its entrants (unless some are pruned), and the
-- positions that follow from both; any other line has no positions.
WITH seen AS (
    SELECT w.room_id, w.line_order, w.entrants AS drawn_entrants, w.pruned_to,
        (w.pruned_to > 0 AND w.pruned_to >= w.entrants) IS TRUE AS over, d.seed, d.commitment, d.entrants,
        d.digest, d.drawn_at, (SELECT count(*) FROM drawn WHERE drawn.room_id = w.room_id) AS drawn,
        (
            SELECT encode(sha256(convert_to(coalesce(string_agg(
                encode(sha256(convert_to(p.place_id::text, 'UTF8')), 'hex') || chr(10), ''
                ORDER BY p.number
            ), ''), 'UTF8')), 'hex')
            FROM place AS p WHERE p.room_id = w.room_id AND p.number <= d.entrants
        ) AS entrants_digest
    FROM waiting_room AS w LEFT JOIN draw AS d USING (room_id)
),
ruled AS (
    SELECT s.room_id, n AS number, row_number() OVER (
            PARTITION BY s.room_id
            ORDER BY sha256(convert_to(s.seed || ':' || s.digest || ':' || n, 'UTF8'))
        ) AS position
    FROM seen AS s CROSS JOIN LATERAL generate_series(1, s.entrants) AS n
    WHERE s.drawn_at IS NOT NULL AND NOT s.over
),
bad AS (
    SELECT format('room %s: %s', room_id, CASE
        WHEN (line_order = 'draw') <> (seed IS NOT NULL) THEN 'its order and its draw disagree'
        WHEN commitment <> encode(sha256(convert_to(seed, 'UTF8')), 'hex')
            THEN 'the commitment is to another seed'
        WHEN digest <> entrants_digest AND pruned_to = 0 THEN 'the digest is of other entrants'
        ELSE format('%s entrants, %s drawn', entrants, drawn)
    END) AS what
    FROM seen
    WHERE (line_order = 'draw') <> (seed IS NOT NULL)
        OR commitment <> encode(sha256(convert_to(seed, 'UTF8')), 'hex')
        OR digest <> entrants_digest AND pruned_to = 0
        OR drawn_entrants IS DISTINCT FROM CASE WHEN drawn_at IS NOT NULL THEN entrants END
        OR drawn <> coalesce(drawn_entrants, 0) AND NOT over
    UNION ALL
    SELECT format('room %s: number %s is at position %s', r.room_id, r.number, d.position)
    FROM ruled AS r LEFT JOIN drawn AS d USING (room_id, number)
    WHERE d.position IS DISTINCT FROM r.position
)
SELECT (SELECT count(*) FROM seen) + (SELECT count(*) FROM ruled) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: policy_in_force
-- Every admission happened under the policy in force at the time; a line's policy is its latest one.
WITH change AS (
    SELECT room_id, policy_version, policy, changed_at, row_number() OVER line AS place,
        lead(changed_at, 1, 'infinity') OVER line AS until,
        lead(policy_version) OVER line IS NULL AS latest
    FROM policy_change
    WINDOW line AS (PARTITION BY room_id ORDER BY policy_version)
),
bad AS (
    SELECT format('room %s: number %s was called at %s under policy %s', a.room_id, a.first_position,
        a.admitted_at, a.policy_version) AS what
    FROM admission AS a
    LEFT JOIN change AS c USING (room_id, policy_version)
    WHERE (a.admitted_at BETWEEN c.changed_at AND c.until) IS NOT TRUE
    UNION ALL
    SELECT format('room %s: policy %s is not as its history says', r.room_id, r.policy_version)
    FROM waiting_room AS r
    LEFT JOIN change AS c ON c.room_id = r.room_id AND c.latest
    WHERE (c.policy_version, c.policy) IS DISTINCT FROM (r.policy_version, r.policy)
    UNION ALL
    SELECT format('room %s: policy %s is the %s.', room_id, policy_version, place) FROM change
    WHERE policy_version <> place OR until < changed_at
)
SELECT (SELECT count(*) FROM admission) + (SELECT count(*) FROM change) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: cap_is_kept
-- Right after each admission, the number of admitted and unfinished places was at most the logged count and at
-- most the cap; the cap was the policy's, or between an adaptive policy's bounds.
WITH event AS (
    -- Those no longer kept count neither as called nor as finished.
    SELECT room_id, admitted_at AS at, 1 AS kind, first_position, admitted - pruned AS change, active,
        cap, policy_version
    FROM admission
    UNION ALL
    SELECT room_id, finished_at, 0, NULL, -1, NULL, NULL, NULL FROM place
    WHERE admitted_at IS NOT NULL AND finished_at IS NOT NULL
),
swept AS (
    SELECT *, sum(change) OVER (
        PARTITION BY room_id ORDER BY at, kind, first_position ROWS UNBOUNDED PRECEDING
    ) AS in_fact
    FROM event
),
seen AS (
    SELECT s.*, (c.policy ->> 'max_active')::int AS most,
        coalesce(c.policy ->> 'min_active', c.policy ->> 'max_active')::int AS least
    FROM swept AS s LEFT JOIN policy_change AS c USING (room_id, policy_version)
    WHERE s.kind = 1
),
bad AS (
    SELECT format('room %s at %s: %s called and unfinished, %s counted, cap %s of %s..%s', room_id, at,
        in_fact, active, cap, least, most) AS what
    FROM seen
    WHERE in_fact > active OR active > cap OR active > most OR (cap BETWEEN least AND most) IS FALSE
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: rate_is_kept
-- No window of a rate policy's length that ends with an admission has more admissions than the policy allows.
WITH policy AS (
    SELECT room_id, policy_version, (policy ->> 'admit')::int AS admit,
        make_interval(secs => (policy ->> 'every_seconds')::int) AS every, changed_at,
        lead(changed_at, 1, 'infinity') OVER (PARTITION BY room_id ORDER BY policy_version) AS until
    FROM policy_change
),
near AS (
    SELECT p.room_id, p.policy_version, p.admit, p.every, a.admitted_at, a.admitted,
        a.policy_version = p.policy_version AS own
    FROM policy AS p JOIN admission AS a USING (room_id)
    WHERE p.admit IS NOT NULL AND a.admitted_at > p.changed_at - p.every AND a.admitted_at <= p.until
),
event AS (
    SELECT room_id, policy_version, admit, admitted_at AS at, 1 AS kind, own, admitted AS change
    FROM near
    UNION ALL
    -- An admission leaves the window just when it is as old as the window is long.
    SELECT room_id, policy_version, admit, admitted_at + every, 0, false, -admitted FROM near
),
swept AS (
    SELECT *, sum(change) OVER (
        PARTITION BY room_id, policy_version ORDER BY at, kind
    ) AS in_window
    FROM event
),
seen AS (SELECT * FROM swept WHERE own),
bad AS (
    SELECT format('room %s at %s: %s called within the window, %s allowed', room_id, at, in_window,
        admit) AS what
    FROM seen WHERE in_window > admit
)
SELECT (SELECT count(*) FROM seen) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: leavers_are_counted
-- Users who left a line while waiting are numbered 1..left_count; left_passed of them are behind the line's
-- head. Pruned places had either been admitted, or left and been passed.
WITH line AS (
    SELECT r.room_id, r.left_count, r.left_passed, r.pruned_to - r.pruned_called AS pruned,
        coalesce(p.leavers, 0) AS leavers, coalesce(p.last, 0) AS last,
        coalesce(p.uncounted, 0) AS uncounted, coalesce(p.passed, 0) AS passed
    FROM waiting_room AS r
    LEFT JOIN (
        SELECT room_id, count(DISTINCT left_seq) AS leavers, max(left_seq) AS last,
            count(*) FILTER (WHERE reason = 'left' AND left_seq IS NULL) AS uncounted,
            count(*) FILTER (WHERE coalesce(position, number) <= serving) AS passed
        FROM place JOIN waiting_room USING (room_id) LEFT JOIN drawn USING (room_id, number)
        WHERE state = 'finished' AND admitted_at IS NULL GROUP BY room_id
    ) AS p USING (room_id)
),
bad AS (
    SELECT format('room %s: %s leavers counted (%s passed), %s numbered (%s passed), the last is %s, %s '
        'have no number', room_id, left_count, left_passed, leavers, passed, last, uncounted) AS what
    FROM line
    WHERE left_count <> leavers + pruned OR left_passed <> passed + pruned OR uncounted > 0
        OR CASE pruned WHEN 0 THEN leavers <> last ELSE last > left_count END
)
SELECT (SELECT coalesce(sum(leavers), 0)::bigint FROM line) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: stock_counts_sales
-- The stock's counts of sold seats and of revenue are those of the seats and the payments.
WITH pair AS (
    SELECT s.show_id, t.sold + coalesce(d.seats, 0) AS counted, coalesce(e.seats, 0) AS sold,
        t.revenue + coalesce(d.amount, 0) AS revenue, coalesce(y.amount, 0) AS paid
    FROM show AS s
    LEFT JOIN stock AS t USING (show_id)
    LEFT JOIN (
        SELECT show_id, sum(seats) AS seats, sum(amount) AS amount FROM sold_delta GROUP BY show_id
    ) AS d USING (show_id)
    LEFT JOIN (
        SELECT show_id, count(*) AS seats FROM seat WHERE held_until = 'infinity' GROUP BY show_id
    ) AS e USING (show_id)
    LEFT JOIN (
        SELECT show_id, sum(amount) AS amount FROM payment WHERE state = 'paid' GROUP BY show_id
    ) AS y USING (show_id)
),
bad AS (
    SELECT format('show %s: %s seats for %s counted, %s for %s sold', show_id, counted, revenue, sold,
        paid) AS what
    FROM pair WHERE (counted, revenue) IS DISTINCT FROM (sold, paid)
)
SELECT (SELECT count(*) FROM pair) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: show_has_its_seats
-- A show has the seats 1..seats_total, none cheaper than its lowest price.
WITH seen AS (
    SELECT s.show_id, s.seats_total, s.price_from, coalesce(e.seats, 0) AS seats, e.first, e.last,
        e.price
    FROM show AS s
    LEFT JOIN (
        SELECT show_id, count(DISTINCT number) AS seats, min(number) AS first, max(number) AS last,
            min(price) AS price
        FROM seat GROUP BY show_id
    ) AS e USING (show_id)
),
bad AS (
    SELECT format('show %s: %s seats from %s, it has %s (%s..%s) from %s', show_id, seats_total,
        price_from, seats, first, last, price) AS what
    FROM seen
    WHERE (seats_total, 1, seats_total, price_from) IS DISTINCT FROM (seats, first, last, price)
)
SELECT (SELECT coalesce(sum(seats), 0)::bigint FROM seen) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: erased_user_is_gone
-- A user who was erased a minute ago or more has no active key, unfinished place or active hold.
WITH gone AS (
    SELECT user_id FROM erasure WHERE erased_at < :now::timestamptz - interval '1 minute'
),
bad AS (
    SELECT format('user %s: has an active key', user_id) AS what
    FROM gone JOIN user_key USING (user_id) WHERE revoked_at IS NULL
    UNION ALL
    SELECT format('user %s: is at number %s of room %s', user_id, number, room_id)
    FROM gone JOIN place USING (user_id)
    WHERE state <> 'finished' AND coalesce(expires_at > :now::timestamptz, true)
    UNION ALL
    SELECT format('user %s: holds seats with %s', user_id, reservation_id)
    FROM gone JOIN reservation USING (user_id)
    WHERE state = 'held' AND held_until > :now::timestamptz
)
SELECT (SELECT count(*) FROM gone) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: seats_fit_their_sections
-- A show's sections cover its numbers, each once, and a seat has the name and the price of its section.
WITH numbered AS (
    SELECT c.show_id, c.name, c.price, generate_series(c.first_number, c.last_number) AS number
    FROM show_section AS c
),
bad AS (
    SELECT format('show %s: %s seats, its sections have %s', s.show_id, s.seats_total, c.seats) AS what
    FROM show AS s
    LEFT JOIN (SELECT show_id, count(*) AS seats FROM numbered GROUP BY show_id) AS c USING (show_id)
    WHERE c.seats IS DISTINCT FROM s.seats_total
    UNION ALL
    SELECT format('seat %s of show %s: %s for %s, its section is %s for %s', number, show_id, e.section,
        e.price, n.name, n.price)
    FROM seat AS e LEFT JOIN numbered AS n USING (show_id, number)
    WHERE (e.section, e.price) IS DISTINCT FROM (n.name, n.price)
)
SELECT (SELECT count(*) FROM numbered) AS checked, (SELECT count(*) FROM bad) AS violations,
    ARRAY(SELECT what FROM bad LIMIT 5) AS examples;

-- name: references_exist
-- Every row that another row refers to exists: the check of foreign keys for the tables without any.
WITH bad AS (
    SELECT format('place %s of room %s: no such room', number, room_id) AS what FROM place AS p
    WHERE NOT EXISTS (SELECT FROM waiting_room AS r WHERE r.room_id = p.room_id)
    UNION ALL
    SELECT format('place %s of room %s: no such user', number, room_id) FROM place AS p
    WHERE p.user_id <> retention_nobody()
        AND NOT EXISTS (SELECT FROM app_user AS u WHERE u.user_id = p.user_id)
    UNION ALL
    SELECT format('user_key %s: no such user', encode(key_hash, 'hex')) FROM user_key AS k
    WHERE NOT EXISTS (SELECT FROM app_user AS u WHERE u.user_id = k.user_id)
    UNION ALL
    SELECT format('erasure %s: no such user', user_id) FROM erasure AS e
    WHERE NOT EXISTS (SELECT FROM app_user AS u WHERE u.user_id = e.user_id)
    UNION ALL
    SELECT format('wallet %s: no such user', user_id) FROM wallet AS w
    WHERE NOT EXISTS (SELECT FROM app_user AS u WHERE u.user_id = w.user_id)
    UNION ALL
    SELECT format('seat %s of show %s: no such show', number, show_id) FROM seat AS e
    WHERE NOT EXISTS (SELECT FROM show AS s WHERE s.show_id = e.show_id)
    UNION ALL
    SELECT format('reservation %s: no such show', reservation_id) FROM reservation AS r
    WHERE NOT EXISTS (SELECT FROM show AS s WHERE s.show_id = r.show_id)
    UNION ALL
    SELECT format('reservation %s: no such place', reservation_id) FROM reservation AS r
    LEFT JOIN waiting_room AS w USING (room_id)
    WHERE r.place_number <= w.pruned_to IS NOT TRUE AND NOT EXISTS (
        SELECT FROM place AS p WHERE p.room_id = r.room_id AND p.number = r.place_number
    )
    UNION ALL
    SELECT format('payment %s: no such reservation', payment_id) FROM payment AS y
    WHERE NOT EXISTS (SELECT FROM reservation AS r WHERE r.reservation_id = y.reservation_id)
    UNION ALL
    SELECT format('ticket %s: no such payment', ticket_id) FROM ticket AS t
    WHERE NOT EXISTS (SELECT FROM payment AS y WHERE y.payment_id = t.payment_id)
    UNION ALL
    SELECT format('ticket %s: no such seat', ticket_id) FROM ticket AS t
    WHERE NOT EXISTS (
        SELECT FROM seat AS e WHERE e.show_id = t.show_id AND e.number = t.number
    )
    UNION ALL
    SELECT format('sold_delta %s: no such show', delta_id) FROM sold_delta AS d
    WHERE NOT EXISTS (SELECT FROM show AS s WHERE s.show_id = d.show_id)
)
SELECT (SELECT count(*) FROM place) + (SELECT count(*) FROM wallet) + (SELECT count(*) FROM seat)
        + (SELECT count(*) FROM reservation) + (SELECT count(*) FROM payment)
        + (SELECT count(*) FROM ticket) + (SELECT count(*) FROM sold_delta)
        + (SELECT count(*) FROM user_key) AS checked,
    (SELECT count(*) FROM bad) AS violations, ARRAY(SELECT what FROM bad LIMIT 5) AS examples;
