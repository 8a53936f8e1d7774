-- name: join
-- Gives users their places in one line: see the function.
SELECT outcome, user_id, key_lasts, place_id, number, state, joined_at, admitted_at, claimed_at,
    expires_at
FROM waiting_room_join(
    p_users => :user_id, p_keys => :key_hash, p_places => :place_id, p_room_id => :room_id
)
ORDER BY item;

-- name: enter
-- Checks whether places may act, and claims each at its first admitted call: see the function.
SELECT outcome, reason FROM waiting_room_enter(:room_id, :number, :place_id) ORDER BY item;

-- name: admit
-- Admits the next places of one line: see the function. Without :tidy, returns no row if no place waits: the
-- function, which counts the admitted places and finishes overdue ones, is then not called.
SELECT a.outcome, a.admitted, a.expired, a.active, a.more
FROM waiting_room AS w
CROSS JOIN LATERAL waiting_room_admit(
    w.room_id, :policy_version, :cap, :rate, :rate_seconds
) AS a
WHERE w.room_id = :room_id
    AND (:tidy OR waiting_room_waiting(w.issued, w.serving, w.left_count, w.left_passed) > 0);

-- name: admission_work
-- The lines that may admit now: see the function.
SELECT room_id, slots FROM waiting_room_work(:rooms, :every);

-- name: admit_unlocked
-- Admits the next places of many lines that aren't locked: see the function.
SELECT outcome, admitted, expired, active, more
FROM waiting_room_admit_unlocked(:room_id, :policy_version, :cap, :rate, :rate_seconds)
ORDER BY item;

-- name: close
-- Finishes waiting places of a line that has closed: see the function.
SELECT waiting_room_close(:room_id, :after, :limit);

-- name: adapt
-- Reports measurements, and takes the next step of an adaptive policy: see the function.
SELECT waiting_room_adapt(:room_id, :policy_version, :calls, :bounds_ms, :step_seconds);

-- name: adapt_unlocked
-- The same for many lines; returns those that are locked, which must be adapted alone: see the function.
SELECT waiting_room_adapt_unlocked(:room_id, :policy_version, :calls, :bounds_ms, :step_seconds);

-- name: configure
-- Replaces a line's policy, times and order: see the function.
SELECT waiting_room_configure(
    :concert_id, :policy::jsonb, :session_seconds, :claim_seconds, :opens_at, :closes_at,
    :line_order, :seed, :known_versions
);

-- name: settings_of_room
-- A line's policy, times and order, and their version.
SELECT policy::text, session_seconds, claim_seconds, opens_at, closes_at, line_order, policy_version
FROM waiting_room WHERE concert_id = :concert_id;

-- name: pause
-- Pauses or resumes admission; returns the room.
UPDATE waiting_room SET paused = :paused WHERE concert_id = :concert_id RETURNING room_id;

-- name: places
-- Places by room and number, in the order of the arrays; NULLs where there is none.
SELECT p.place_id, p.state, p.reason, p.admitted_at, p.claimed_at, p.expires_at,
    p.expires_at <= clock_timestamp() AS overdue
FROM unnest(:room_id::int[], :number::int[]) WITH ORDINALITY AS k (room_id, number, item)
LEFT JOIN LATERAL (
    SELECT p.* FROM place AS p WHERE p.room_id = k.room_id AND p.number = k.number
) AS p ON true
ORDER BY k.item;

-- name: close_entries
-- Closes the entries of a draw that is due: see the function.
SELECT waiting_room_close_entries(:room_id);

-- name: lift_statement_timeout!
-- For this transaction: the draw of a long line may take longer than any other statement.
SET LOCAL statement_timeout = 0;

-- name: draw
-- Draws a line whose entries are closed: see the function.
SELECT waiting_room_draw(:room_id);

-- name: draw_of_concert
-- A concert's draw; its outcome is NULL until it has been drawn.
SELECT w.concert_id, d.commitment, d.committed_at, w.opens_at, d.drawn_at,
    CASE WHEN d.drawn_at IS NOT NULL THEN d.entrants END AS entrants, d.digest,
    CASE WHEN d.drawn_at IS NOT NULL THEN d.seed END AS seed
FROM waiting_room AS w JOIN draw AS d USING (room_id)
WHERE w.concert_id = :concert_id;

-- name: entries
-- The entrants of a drawn line, by number.
SELECT p.number, waiting_room_entry(p.place_id) AS entry
FROM place AS p
WHERE p.room_id = :room_id AND p.number > :after AND p.number <= :entrants
ORDER BY p.number LIMIT :limit;
