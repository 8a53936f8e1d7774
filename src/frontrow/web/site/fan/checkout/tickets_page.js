// The user's active holds, tickets (to show, print and add to a calendar), balance and refunds.

import "../../shared/uncaught.js";
import { insist } from "../../shared/api.js";
import { button, h } from "../../shared/dom.js";
import { signInLink } from "../../shared/account.js";
import { session, signOut } from "../../shared/guest.js";
import { moment, money, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { secondsUntil } from "../../shared/clock.js";
import { heading, showView, viewName } from "../../shared/view.js";
import { confirmed } from "../../shared/confirm.js";
import { seatName } from "../../shared/seat_names.js";
import { HoldCard, isActive } from "./hold_card.js";

const API = "/api/v1";
const paid = new URLSearchParams(location.search).get("paid");

load();

async function load() {
  try {
    const { user_id: user, signed_in: isSignedIn } = await session();
    if (!user) {
      showNothing();
      return;
    }
    const { body: me } = await insist("GET", "/users/me");
    const ids = new Set([...me.reservations.filter(isActive), ...me.tickets].map(({ concert_id: id }) => id));
    const concerts = await Promise.all([...ids].map((id) => insist("GET", `/concerts/${id}`)));
    showTickets(me, new Map(concerts.map(({ body }) => [body.concert_id, body])), isSignedIn);
  } catch (error) {
    if (viewName() === "tickets") notify(sentence(error), "bad");
    else showView("failed", t("my_tickets"), heading(t("my_tickets")), h("p", { role: "alert" }, sentence(error)),
      button(t("try_again"), load, { class: "primary" }));
  }
}

function showNothing() {
  const signIn = signInLink();
  showView("tickets", t("my_tickets"), heading(t("my_tickets")), h("p", {}, t("tickets.none")),
    h("p", { class: "row" },
      signIn && h("a", { class: "button primary", href: signIn }, t("account.sign_in")),
      h("a", { class: signIn ? "button" : "button primary", href: "/" }, t("all_concerts"))));
}

function showTickets(me, concerts, isSignedIn) {
  const { tickets, payments } = me;
  const groups = payments.map((payment) => ({
    payment,
    tickets: tickets.filter((ticket) => ticket.payment_id === payment.payment_id),
  })).filter((group) => group.tickets.length);
  groups.sort((a, b) => Number(b.payment.payment_id === paid) - Number(a.payment.payment_id === paid));
  const bought = groups.find((group) => group.payment.payment_id === paid && isUsable(group));
  const holds = me.reservations.filter(isActive).map((hold) =>
    new HoldCard(hold, concerts.get(hold.concert_id),
      h("a", { class: "button primary", href: `/concerts/${hold.concert_id}/seats` }, t("holding.pay"))));
  const head = t(bought ? "paid.heading" : "my_tickets");
  const signal = showView(
    "tickets",
    bought ? `${head} – ${bought.tickets[0].title}` : head,
    heading(head),
    bought && [h("p", { class: "soft" }, bought.tickets[0].title), h("p", {}, t("paid.text"))],
    holds.map(({ element }) => element),
    groups.length || holds.length ? groups.map((group) => purchase(group, concerts)) : h("p", {}, t("tickets.none")),
    h("section", { class: "panel row spread" },
      h("p", {}, t("tickets.balance"), " ", h("strong", { class: "figures" }, money(me.balance, me.currency))),
      !isSignedIn && button(t("tickets.forget"), forget, { class: "plain" }),
    ),
  );
  for (const hold of holds) hold.start(signal, () => hold.element.remove());
}

/** Whether a purchase still has a ticket to show at the entrance. */
function isUsable({ payment, tickets }) {
  return payment.state === "paid" && tickets.some(({ state }) => state === "valid");
}

function purchase({ payment, tickets }, concerts) {
  const [first] = tickets;
  const concert = concerts.get(first.concert_id);
  return h("section", { class: "card stack purchase" },
    h("div", { class: "row spread" },
      h("h2", {}, first.title),
      payment.state === "refunded" && h("span", { class: "badge warn" }, t("tickets.refunded")),
    ),
    h("p", { class: "soft" },
      [moment(first.starts_at, first.timezone), first.venue].filter(Boolean).join(" · ")),
    h("ul", { class: "tickets" }, tickets.map((ticket) => h("li", {}, ticketCard(ticket)))),
    h("p", { class: "row spread soft small" },
      h("span", {}, t("tickets.paid", { amount: money(payment.amount, payment.currency) })),
      mayRefund(payment, tickets, concert) && button(t("refund.ask"), () => refund(payment), { class: "plain danger" }),
    ),
  );
}

function ticketCard(ticket) {
  const path = `${API}/tickets/${ticket.ticket_id}`;
  const seat = seatName(ticket);
  const calendarLink = (name) => h("a", { class: "button", href: `${path}/calendar.ics`, download: "ticket.ics" }, t(name));
  const rest = {
    valid: () => [
      h("img", { class: "qr", src: `${path}/qr.svg`, alt: t("tickets.qr", { seat }), width: 220, height: 220 }),
      h("p", { class: "row" },
        h("a", { class: "button", href: `${path}/print`, target: "_blank", rel: "noopener" }, t("tickets.print")),
        calendarLink("tickets.calendar"),
      ),
    ],
    used: () => [h("p", { class: "soft" }, t("tickets.used", { time: moment(ticket.checked_in_at, ticket.timezone) }))],
    void: () => [
      h("p", { class: "soft" }, t(`tickets.void.${ticket.void_reason}`)),
      // The entry is a cancellation now: opening it removes the one that was added before.
      h("p", { class: "row" }, calendarLink("tickets.calendar_remove")),
    ],
  };
  return h("article", { class: `ticket ${ticket.state}` },
    h("h3", { class: "row spread" }, h("span", {}, seat), h("span", { class: "badge" }, t(`tickets.${ticket.state}.state`))),
    rest[ticket.state](),
  );
}

function mayRefund(payment, tickets, concert) {
  const until = concert?.refundable_until;
  return payment.state === "paid" && until && secondsUntil(until) > 0 && secondsUntil(tickets[0].starts_at) > 0
    && tickets.every(({ state }) => state === "valid");
}

async function refund(payment) {
  const amount = money(payment.amount, payment.currency);
  if (!(await confirmed(t("refund.sure", { amount }), t("refund.ask")))) return;
  try {
    await insist("POST", `/payments/${payment.payment_id}/refunds`, { key: `page-refund-${payment.payment_id}` });
    notify(t("refund.done", { amount }), "good");
  } catch (error) {
    notify(sentence(error), "bad");
  }
  await load();
}

async function forget() {
  const choice = await confirmed(t("tickets.forget_sure"), t("tickets.forget"), t("tickets.forget_key"));
  if (!choice) return;
  try {
    await signOut(choice.also);
    sessionStorage.clear();
    location.assign("/");
  } catch (error) {
    notify(sentence(error), "bad");
  }
}
