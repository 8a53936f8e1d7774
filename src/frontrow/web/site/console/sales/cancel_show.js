// Cancels a show: its consequences, a title to type as a confirmation, and the progress of the refunds.

import { button, h } from "../../shared/dom.js";
import { money, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { sure } from "../dialogs.js";
import { operate } from "../operator.js";

/** The card of one show. */
export class Cancelling {
  /**
   * @param {Api.ListedConcert} concert
   * @param {Api.ShowSales} shown
   * @param {string} when
   */
  constructor(concert, shown, when) {
    this.concert = concert;
    this.shown = shown;
    this.when = when;
    this.progress = null;
    this.path = /** @type {const} */ (`/shows/${shown.show_id}/cancellation`);
    this.element = h("section", { class: "card stack" });
  }

  /** Shows the present state. */
  async look() {
    if (this.shown.cancelled_at) {
      const { body } = await operate("GET", this.path);
      this.progress = body;
    }
    this.draw();
  }

  /** Refreshes the progress until all refunds are done. */
  async follow() {
    if (this.progress?.state === "cancelling") await this.look();
  }

  draw() {
    const { progress } = this;
    if (!progress) {
      this.element.replaceChildren(h("h2", {}, t("cancel_show")), h("p", { class: "soft" }, t("cancel_show.meaning")),
        h("p", {}, button(t("cancel_show"), () => this.cancel(), { class: "danger" })));
      return;
    }
    const isOver = progress.state === "cancelled";
    this.element.replaceChildren(
      h("h2", { tabIndex: -1 }, t(isOver ? "cancelled" : "cancelling")),
      h("progress", { class: "track", max: Math.max(1, progress.payments_total), value: isOver ? Math.max(1, progress.payments_total) : progress.payments_refunded,
        "aria-label": t("cancelled.refunds") }),
      h("p", { role: "status" }, t("cancelled.so_far", {
        some: progress.payments_refunded, all: progress.payments_total, seats: progress.seats_freed,
        amount: money(progress.amount_refunded, this.concert.currency),
      })));
  }

  async cancel() {
    try {
      const { body } = await operate("GET", `/concerts/${this.concert.concert_id}/shows`);
      const now = body.shows.find(({ show_id: id }) => id === this.shown.show_id);
      const wanted = await sure({
        title: t("cancel_show.sure", { when: this.when }),
        text: [t("cancel_show.stake", { count: now.seats.sold, amount: money(now.revenue, this.concert.currency) }), t("cancel_show.meaning")],
        action: t("cancel_show"),
        typed: this.concert.title.trim(),
      });
      if (!wanted) return;
      const { body: progress } = await operate("POST", this.path);
      this.shown.cancelled_at = progress.started_at;
      this.progress = progress;
      this.draw();
      this.element.querySelector("h2").focus();
    } catch (error) {
      notify(sentence(error), "bad");
    }
  }
}
