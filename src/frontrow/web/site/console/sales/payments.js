// Payments with their tickets, and refunds.

import { button, h } from "../../shared/dom.js";
import { moment, money, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { sure } from "../dialogs.js";
import { operate } from "../operator.js";

/** @type {Intl.DateTimeFormatOptions} */
const SHORT = { dateStyle: "short", timeStyle: "medium" };

/** A payment as an item of a list. */
export function paymentItem(payment) {
  const item = h("li", { class: "payment", tabIndex: -1 });
  const draw = (now) => item.replaceChildren(...content(now, async () => {
    const then = await refund(now);
    if (!then) return;
    const hadFocus = item.contains(document.activeElement);
    draw(then);
    if (hadFocus) item.focus(); // its button was removed
  }));
  draw(payment);
  return item;
}

function content(payment, giveBack) {
  const isPaid = payment.state === "paid";
  return [
    h("div", {},
      h("p", {}, h("strong", { class: "figures" }, money(payment.amount, payment.currency)), " ",
        h("span", { class: `badge ${isPaid ? "good" : "warn"}` }, t(`payment.${payment.state}`))),
      h("p", { class: "soft small" }, moment(payment.paid_at, undefined, SHORT)),
      payment.refund_reason && h("p", { class: "soft small" }, t(`refund.${payment.refund_reason}`))),
    h("ul", { class: "chips" }, payment.tickets.map((ticket) => h("li", { class: `chip ${ticket.state}` },
      t("ticket", { number: String(ticket.number), state: t(`ticket.${ticket.state}`) }), ticket.gate && ` · ${ticket.gate}`))),
    h("p", { class: "soft small ids" }, t("payment.id"), " ", h("code", {}, payment.payment_id), h("br"),
      t("payment.user"), " ", h("a", { href: `/console/lookup?id=${payment.user_id}` }, payment.user_id)),
    isPaid ? button(t("refund"), giveBack, { class: "danger" }) : h("span", {}),
  ];
}

async function refund(payment) {
  const amount = money(payment.amount, payment.currency);
  const wanted = await sure({ title: t("refund.sure", { amount }), text: t("refund.meaning"), action: t("refund") });
  if (!wanted) return null;
  try {
    await operate("POST", `/payments/${payment.payment_id}/refunds`, { key: `console-refund-${payment.payment_id}` });
    const { body } = await operate("GET", `/lookups/${payment.payment_id}`);
    notify(t("refund.done", { amount }), "good");
    return body.payments[0];
  } catch (error) {
    notify(sentence(error), "bad");
    return null;
  }
}
