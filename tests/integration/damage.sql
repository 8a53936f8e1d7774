-- Damage that the audit must find. Each block runs as the owner on the data of trading.py and is then
-- rolled back; its first line has exactly the invariants that it breaks, and its description.
--
-- Room 1 is capped: 1 paid, 2 left, 3 left while waiting, 4 and 5 expired, 6 holds a seat, 7 was
-- admitted, 8 is the user of 4, 9 waits. Room 2 has a rate: 1 and 2 paid, 3 waits. Room 3 was drawn:
-- 3 left before the draw, three of the other eleven were admitted, 13 joined later. In room 4 a
-- payment was refunded, and one of its seats sold again. In room 5 1 paid and 2 held seats, then the
-- show was cancelled.

-- seat_has_one_holder: seats taken by a missing reservation
UPDATE seat SET reservation_id = gen_random_uuid(), held_until = now() + interval '1 hour'
WHERE number = 50;

-- seat_has_one_holder: an active hold without its seat
UPDATE seat SET reservation_id = NULL, held_until = NULL
WHERE held_until > now() AND held_until < 'infinity';

-- seat_has_one_holder: a seat held longer than its hold
UPDATE seat SET held_until = held_until + interval '1 second'
WHERE held_until > now() AND held_until < 'infinity';

-- seat_has_one_holder, ticket_fits_its_sale: a sold seat that becomes free again
UPDATE seat SET held_until = now() + interval '1 hour' WHERE number = 1 AND held_until = 'infinity'
    AND show_id IN (SELECT show_id FROM stock WHERE sold > 0);
UPDATE stock SET sold = sold - 1 WHERE sold > 0;

-- seat_has_one_holder: a seat taken for an ended hold
UPDATE seat SET held_until = now() + interval '1 hour',
    reservation_id = (SELECT reservation_id FROM reservation WHERE state = 'expired')
WHERE number = 5 AND held_until IS NULL;

-- seat_has_one_holder: two active holds of one seat
INSERT INTO reservation
SELECT (jsonb_populate_record(r, jsonb_build_object('reservation_id', gen_random_uuid()))).*
FROM reservation AS r WHERE state = 'held';

-- hold_belongs_to_a_session: another user's hold
UPDATE reservation SET user_id = gen_random_uuid() WHERE state = 'released';

-- hold_belongs_to_a_session: another concert's hold
UPDATE reservation SET concert_id = gen_random_uuid() WHERE state = 'released';

-- hold_belongs_to_a_session: made before the claim
UPDATE reservation SET created_at = created_at - interval '1 day' WHERE state = 'released';

-- hold_belongs_to_a_session: made after the place was finished
UPDATE reservation SET created_at = closed_at + interval '1 second',
    closed_at = closed_at + interval '2 seconds'
WHERE state = 'released' AND place_number = 2;

-- hold_belongs_to_a_session: held by a finished place
UPDATE place SET state = 'finished', reason = 'left', finished_at = now()
WHERE room_id = 1 AND number = 6;

-- hold_closes_in_time: paid after its end
UPDATE reservation SET held_until = closed_at WHERE state = 'paid';

-- hold_closes_in_time: released after its end
UPDATE reservation SET closed_at = held_until WHERE state = 'released';

-- hold_closes_in_time: expired too early
UPDATE reservation SET closed_at = held_until - interval '1 second' WHERE state = 'expired';

-- session_times_agree: a session longer than its hold
UPDATE place SET expires_at = expires_at + interval '1 second' WHERE room_id = 1 AND number = 6;

-- session_times_agree: no time to claim
UPDATE place SET expires_at = admitted_at WHERE room_id = 1 AND number = 7;

-- session_times_agree: expired too early
UPDATE place SET finished_at = expires_at - interval '1 second'
WHERE reason = 'expired' AND room_id = 1;

-- session_times_agree: left before joining
UPDATE place SET finished_at = joined_at - interval '1 second' WHERE left_seq IS NOT NULL;

-- amount_is_the_price: a hold of another amount
UPDATE reservation SET amount = amount + 1 WHERE state = 'released';

-- amount_is_the_price, seats_fit_their_sections: a seat of another price
UPDATE seat SET price = price + 1 WHERE number = 4;

-- sale_closes_its_reservation: at another instant
UPDATE reservation SET closed_at = closed_at - interval '1 microsecond' WHERE state = 'paid';

-- sale_closes_its_reservation: in another concert
UPDATE payment SET concert_id = gen_random_uuid();

-- sale_closes_its_reservation: other seats
UPDATE reservation SET seats = '{2,1}' WHERE seats = '{1,2}';

-- sale_has_one_debit: another balance
UPDATE payment SET balance = balance + 1;

-- sale_has_one_debit: a debit without a payment
INSERT INTO transfer
SELECT r, w.user_id, w.entries + 1, 'payment', w.user_id, a.account_id, 9, w.balance - 9, r, now()
FROM place AS p JOIN wallet AS w USING (user_id), house_account AS a, gen_random_uuid() AS r
WHERE p.room_id = 1 AND p.number = 5 AND a.name = 'sales';
UPDATE wallet AS w SET balance = balance - 9, entries = entries + 1
FROM place AS p WHERE p.user_id = w.user_id AND p.room_id = 1 AND p.number = 5;

-- refund_gives_back_once: a refund without a payment
INSERT INTO transfer
SELECT gen_random_uuid(), w.user_id, w.entries + 1, 'refund', a.account_id, w.user_id, 9,
    w.balance + 9, gen_random_uuid(), now()
FROM place AS p JOIN wallet AS w USING (user_id), house_account AS a
WHERE p.room_id = 1 AND p.number = 5 AND a.name = 'sales';
UPDATE wallet AS w SET balance = balance + 9, entries = entries + 1
FROM place AS p WHERE p.user_id = w.user_id AND p.room_id = 1 AND p.number = 5;

-- sale_finishes_one_place: at another instant
UPDATE place SET finished_at = finished_at + interval '1 microsecond' WHERE reason = 'paid';

-- sale_finishes_one_place: a sale whose place left
UPDATE place SET reason = 'left' WHERE reason = 'paid' AND room_id = 1;

-- sale_finishes_one_place: a paid place without a sale
UPDATE place SET reason = 'paid' WHERE reason = 'left' AND claimed_at IS NOT NULL;

-- sale_gives_its_tickets: a lost ticket
DELETE FROM ticket WHERE number = 2;

-- sale_gives_its_tickets: void tickets
UPDATE ticket SET void_at = now(), void_reason = 'refunded' WHERE void_at IS NULL;

-- sale_gives_its_tickets: another user's tickets
UPDATE ticket SET user_id = gen_random_uuid();

-- sale_gives_its_tickets: two tickets for each seat
DROP INDEX ticket_valid;
INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number)
SELECT gen_random_uuid(), payment_id, user_id, show_id, number FROM ticket WHERE void_at IS NULL;

-- sale_closes_its_reservation: refunded at another instant
UPDATE reservation SET closed_at = closed_at + interval '1 microsecond' WHERE state = 'refunded';

-- sale_gives_its_tickets, ticket_fits_its_sale: valid tickets of a refunded payment
DROP INDEX ticket_valid;
UPDATE ticket SET void_at = NULL, void_reason = NULL WHERE void_reason = 'refunded';

-- sale_gives_its_tickets: void for another reason
UPDATE ticket SET void_reason = 'show_cancelled' WHERE void_reason = 'refunded';

-- refund_gives_back_once: a refund of another amount
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE wallet SET balance = balance - 1
WHERE user_id IN (SELECT user_id FROM transfer WHERE kind = 'refund');
UPDATE transfer SET amount = amount - 1, balance = balance - 1 WHERE kind = 'refund';

-- refund_gives_back_once: refunded twice
DROP INDEX transfer_refund;
INSERT INTO transfer
SELECT gen_random_uuid(), user_id, entry + 1, kind, debit_account, credit_account, amount,
    balance + amount, reference, created_at
FROM transfer WHERE kind = 'refund';
UPDATE wallet AS w SET balance = t.balance, entries = t.entry
FROM transfer AS t WHERE t.user_id = w.user_id AND t.kind = 'refund' AND t.entry > w.entries;

-- refund_gives_back_once, balance_is_its_transfers, money_is_kept: a refund without money
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
DELETE FROM transfer WHERE kind = 'refund';

-- refund_frees_its_seats: a seat that is still taken after its refund
UPDATE seat AS s SET reservation_id = r.reservation_id, held_until = r.held_until - interval '1 day'
FROM reservation AS r WHERE r.state = 'refunded' AND s.show_id = r.show_id AND s.number = 2;

-- ticket_fits_its_sale, seat_has_one_holder: the seat of a ticket that another user holds
UPDATE seat SET reservation_id = gen_random_uuid() WHERE number = 2 AND held_until = 'infinity';

-- ticket_fits_its_sale: checked in before it was paid
UPDATE ticket SET checked_in_at = checked_in_at - interval '1 day';

-- ticket_fits_its_sale, sale_gives_its_tickets: checked in when it was void
ALTER TABLE ticket DROP CONSTRAINT ticket_is_let_in_while_valid;
UPDATE ticket SET void_at = checked_in_at - interval '1 microsecond', void_reason = 'refunded'
WHERE checked_in_at IS NOT NULL;

-- ticket_fits_its_sale: two check-ins with one number
DROP INDEX ticket_check_in;
UPDATE ticket SET check_in_id = '00000000-0000-0000-0000-000000000000'
WHERE check_in_id IS NOT NULL;

-- ticket_fits_its_sale: a check-in without a time
ALTER TABLE ticket DROP CONSTRAINT ticket_check_in_has_its_time;
UPDATE ticket SET checked_in_at = NULL WHERE number = 2;

-- cancelled_show_is_settled: a cancellation without a record
DELETE FROM cancellation;

-- cancelled_show_is_settled: refunds of another amount
UPDATE cancellation SET amount_refunded = amount_refunded + 1;

-- cancelled_show_is_settled: counted refunds that were not made
UPDATE cancellation SET payments_total = payments_total + 1, finished_at = NULL;

-- cancelled_show_is_settled: sold after it was cancelled
UPDATE show SET cancelled_at = cancelled_at - interval '1 day',
    sales_end_at = sales_end_at - interval '1 day'
WHERE cancelled_at IS NOT NULL;
UPDATE cancellation SET started_at = started_at - interval '1 day';

-- cancelled_show_is_settled, seat_has_one_holder: held although it is cancelled
UPDATE reservation SET state = 'held', closed_at = NULL
WHERE show_id IN (SELECT show_id FROM cancellation) AND state = 'released';

-- cancelled_show_is_settled, sale_gives_its_tickets, ticket_fits_its_sale: valid tickets of a cancelled show
UPDATE ticket SET void_at = NULL, void_reason = NULL WHERE void_reason = 'show_cancelled';

-- balance_is_its_transfers: money moved between wallets without a transfer
UPDATE wallet SET balance = balance
    + CASE WHEN user_id = (SELECT user_id FROM place WHERE room_id = 1 AND number = 1) THEN 1 ELSE -1 END
WHERE user_id IN (SELECT user_id FROM place WHERE room_id = 1 AND number IN (1, 5));

-- balance_is_its_transfers: entries without a transfer
UPDATE wallet SET entries = entries + 1;

-- balance_is_its_transfers: a gap in a wallet's entries
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE transfer SET entry = entry + 1 WHERE entry = 2
    AND user_id NOT IN (SELECT user_id FROM transfer WHERE entry = 3);

-- balance_is_its_transfers: a wrong running balance
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE transfer SET balance = balance + 1 WHERE kind = 'charge';

-- balance_is_its_transfers: entries out of order
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE transfer SET created_at = now() + interval '1 hour' WHERE kind = 'charge';

-- money_is_kept: money charged out of the sales
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE transfer SET debit_account = (SELECT account_id FROM house_account WHERE name = 'sales')
WHERE kind = 'charge';

-- money_is_kept: a payment to an unknown account
ALTER TABLE transfer DISABLE TRIGGER transfer_append_only;
UPDATE transfer SET credit_account = gen_random_uuid() WHERE kind = 'payment';

-- numbers_are_gapless: the last number is lost
DELETE FROM place WHERE room_id = 1 AND number = 9;

-- numbers_are_gapless: an issued number without a place
UPDATE waiting_room SET issued = issued + 1;

-- numbers_are_gapless: a number left out
UPDATE place SET number = 10 WHERE room_id = 1 AND number = 9;
UPDATE waiting_room SET issued = 10 WHERE room_id = 1;

-- numbers_follow_joining: a smaller number for a later join
UPDATE place SET joined_at = joined_at - interval '1 day' WHERE room_id = 1 AND number = 9;

-- user_has_one_live_place: two live places
DROP INDEX place_live;
UPDATE place SET user_id = (SELECT user_id FROM place WHERE room_id = 1 AND number = 8)
WHERE room_id = 1 AND number = 9;

-- user_has_one_live_place: two places that were live at one time
UPDATE place SET user_id = (SELECT user_id FROM place WHERE room_id = 1 AND number = 1)
WHERE room_id = 1 AND number = 3;

-- admission_follows_order: passed over, and left only later
UPDATE place SET finished_at = now() WHERE left_seq IS NOT NULL;

-- admission_follows_order, admission_is_logged_once: served without an admission
UPDATE waiting_room SET serving = issued, called = issued - left_passed WHERE room_id < 3;

-- admission_follows_order, admission_is_logged_once: admitted out of order
UPDATE waiting_room SET serving = serving - 1, called = called - 1 WHERE room_id < 3;

-- admission_is_logged_once: fewer than were admitted
UPDATE admission SET admitted = 1 WHERE room_id = 1 AND first_position = 1;

-- admission_is_logged_once: up to another number
UPDATE admission SET last_position = 3 WHERE room_id = 1 AND first_position = 1;

-- admission_is_logged_once: a missing record
DELETE FROM admission WHERE room_id = 1 AND first_position = 8;

-- policy_in_force: a policy that was never set
UPDATE waiting_room SET policy = '{"kind": "open"}' WHERE room_id = 1;

-- policy_in_force: changed before it was set
UPDATE policy_change SET changed_at = changed_at + interval '1 day'
WHERE room_id = 1 AND policy_version = 1;

-- policy_in_force, cap_is_kept: admitted under a later policy
UPDATE admission SET policy_version = 2 WHERE room_id = 1 AND first_position = 1;

-- policy_in_force: admitted without a policy
UPDATE admission SET policy_version = 7 WHERE room_id = 1 AND first_position = 1;

-- cap_is_kept: more counted than the cap
UPDATE policy_change SET policy = jsonb_set(policy, '{max_active}', '1')
WHERE room_id = 1 AND policy_version = 1;

-- cap_is_kept: a slot reused before it was free
UPDATE place SET finished_at = finished_at + interval '1 minute' WHERE room_id = 1 AND number = 2;

-- cap_is_kept: fewer counted than there were
UPDATE admission SET active = active - 1 WHERE room_id = 1;

-- rate_is_kept: two admitted where one was allowed
UPDATE policy_change SET policy = jsonb_set(policy, '{admit}', '1') WHERE room_id = 2;
UPDATE waiting_room SET policy = jsonb_set(policy, '{admit}', '1') WHERE room_id = 2;

-- leavers_are_counted: one too many
UPDATE waiting_room SET left_count = left_count + 1;

-- leavers_are_counted: a number left out
UPDATE place SET left_seq = 2 WHERE left_seq = 1;

-- leavers_are_counted, admission_is_logged_once: no leave is counted
UPDATE place SET left_seq = NULL;
UPDATE waiting_room SET left_count = 0, left_passed = 0, called = serving;

-- draw_follows_its_rule: another seed
UPDATE draw SET seed = repeat('0', 64), commitment = encode(sha256(repeat('0', 64)::bytea), 'hex');

-- draw_follows_its_rule: a digest of others
UPDATE draw SET digest = repeat('0', 64);

-- draw_follows_its_rule: a finished draw recorded as unfinished
UPDATE draw SET digest = NULL, drawn_at = NULL;

-- draw_follows_its_rule: a draw in a line that had none
UPDATE waiting_room SET line_order = 'arrival';

-- draw_follows_its_rule: a drawn position in a line without a draw
INSERT INTO drawn VALUES (2, 1, 1);

-- stock_counts_sales: a seat too many
UPDATE stock SET sold = sold + 1;

-- stock_counts_sales: money too much
UPDATE stock SET revenue = revenue + 1;

-- stock_counts_sales: sales not folded in
DELETE FROM sold_delta;

-- stock_counts_sales: no stock
DELETE FROM stock;

-- show_has_its_seats: the last one is missing
DELETE FROM seat WHERE number = 50;

-- show_has_its_seats: one in between is missing
DELETE FROM seat WHERE number = 49;

-- show_has_its_seats: a price that no seat has
UPDATE show SET price_from = price_from - 1;

-- erased_user_is_gone: a key that an erased user still has
INSERT INTO user_key SELECT sha256('x'), user_id, now() FROM erasure;

-- erased_user_is_gone: a place of an erased user
UPDATE place SET user_id = (SELECT user_id FROM erasure) WHERE room_id = 1 AND number = 9;

-- references_exist: an erasure of a missing user
UPDATE erasure SET user_id = gen_random_uuid();

-- seats_fit_their_sections: one that ends too early
UPDATE show_section SET last_number = last_number - 1, seats_per_row = 1;

-- seats_fit_their_sections: another name
UPDATE show_section SET name = 'Balcony';

-- seats_fit_their_sections: a show without sections
DELETE FROM show_section;

-- references_exist: a place in a missing room
INSERT INTO place (place_id, user_id, joined_at, room_id, number)
SELECT gen_random_uuid(), user_id, now(), 99, 1 FROM wallet LIMIT 1;

-- references_exist: a place of a missing user
UPDATE place SET user_id = gen_random_uuid() WHERE room_id = 1 AND number = 9;

-- references_exist: a key of a missing user
UPDATE user_key SET user_id = gen_random_uuid()
WHERE key_hash = (SELECT min(key_hash) FROM user_key);

-- references_exist: a wallet of a missing user
INSERT INTO wallet VALUES (gen_random_uuid());

-- references_exist, seats_fit_their_sections: a seat of a missing show
INSERT INTO seat VALUES (gen_random_uuid(), 1, 1);

-- references_exist: a hold of a missing place
INSERT INTO reservation
SELECT (jsonb_populate_record(r, jsonb_build_object(
    'reservation_id', gen_random_uuid(), 'place_number', 999
))).*
FROM reservation AS r WHERE state = 'expired';

-- references_exist: a ticket of a missing payment
INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number, void_at, void_reason)
SELECT gen_random_uuid(), gen_random_uuid(), user_id, show_id, number, now(), 'refunded' FROM ticket;

-- references_exist: a sale of a missing show
INSERT INTO sold_delta (show_id, seats, amount) VALUES (gen_random_uuid(), 1, 1);

-- references_exist, sale_gives_its_tickets: a ticket of a missing seat
INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number, void_at, void_reason)
SELECT gen_random_uuid(), payment_id, user_id, show_id, 77, now(), 'refunded' FROM ticket;

-- references_exist, amount_is_the_price: a hold in a missing show
UPDATE reservation SET show_id = gen_random_uuid() WHERE state = 'released';

-- balance_is_its_transfers, money_is_kept: a higher balance without a transfer
UPDATE wallet SET balance = balance + 1;

-- sale_closes_its_reservation, sale_has_one_debit, sale_finishes_one_place, refund_gives_back_once, cancelled_show_is_settled, stock_counts_sales, references_exist: no payments
DELETE FROM payment;

-- sale_closes_its_reservation, sale_finishes_one_place, sale_gives_its_tickets, stock_counts_sales, sale_has_one_debit, refund_gives_back_once, cancelled_show_is_settled: one hold paid twice
ALTER TABLE payment DROP CONSTRAINT payment_reservation_id_key;
INSERT INTO payment
SELECT (jsonb_populate_record(y, jsonb_build_object('payment_id', gen_random_uuid()))).*
FROM payment AS y;
