// Creates a concert: its shows, its sections with a preview, the rules of the sale and the line.

import { insist } from "../../shared/api.js";
import { serverNow } from "../../shared/clock.js";
import { h } from "../../shared/dom.js";
import { moment, t } from "../../shared/i18n.js";
import { intend } from "../../shared/intentions.js";
import { heading, showView } from "../../shared/view.js";
import { sure } from "../dialogs.js";
import { clearFaults, showFaults } from "../field_errors.js";
import { HouseForm } from "./seat_plan_form.js";
import { operate, run } from "../operator.js";
import { onSubmit } from "../submissions.js";
import { ShowTimes } from "./show_times.js";
import { PolicyForm } from "../room/policy_form.js";
import { isZone } from "../room/venue_time.js";
import { VenueTimeField } from "../room/venue_time_field.js";

run(async () => {
  const { body } = await insist("GET", "/concerts?limit=1");
  const known = body.concerts[0] ?? { currency: "KRW", timezone: "Asia/Seoul" };
  showForm(known);
});

function showForm(known) {
  const form = h("form", { class: "stack wide-form" });
  const input = (name, properties = {}) => h("input", { id: name, name, ...properties });
  const field = (element, pointer, help) => {
    const wrap = h("div", { class: "field", "data-pointer": pointer },
      h("label", { for: element.id }, t(`new.${element.id}`)), element);
    if (help) {
      wrap.append(h("p", { class: "soft small", id: `${element.id}-help` }, help));
      element.setAttribute("aria-describedby", `${element.id}-help`);
    }
    return wrap;
  };
  const zone = () => fields.timezone.value;
  const time = (name) => new VenueTimeField(name, zone, { name });
  const timeField = (each, pointer, help) => {
    const wrap = field(each.input, pointer, help);
    wrap.append(each.note);
    return wrap;
  };
  const fields = {
    title: input("title", { required: true, maxLength: 200 }),
    artist: input("artist", { maxLength: 200 }),
    venue: input("venue", { maxLength: 200 }),
    timezone: input("timezone", { required: true, value: known.timezone, "aria-autocomplete": "list" }),
    currency: input("currency", { required: true, value: known.currency, pattern: "[A-Z]{3}", maxLength: 3 }),
    limit: input("limit", { type: "number", required: true, min: 1, max: 100, value: 4 }),
    hold: input("hold", { type: "number", required: true, min: 1, max: 60, value: 5 }),
    refundable: time("refundable"),
    opens: time("opens"),
    closes: time("closes"),
    session: input("session", { type: "number", required: true, min: 1, max: 1440, value: 10 }),
    claim: input("claim", { type: "number", required: true, min: 1, max: 3600, value: 120 }),
    order: h("select", { id: "order" }, ["arrival", "draw"].map((each) => h("option", { value: each }, t(`order.${each}`)))),
  };
  fields.timezone.setAttribute("list", "zones");
  const zones = h("datalist", { id: "zones" }, Intl.supportedValuesOf("timeZone").map((value) => h("option", { value })));
  const policy = new PolicyForm({ kind: "max_active", max_active: 100 }, "/waiting_room/policy");
  const shows = new ShowTimes(zone);
  fields.timezone.addEventListener("input", () => {
    for (const each of [fields.refundable, fields.opens, fields.closes, ...shows.fields()]) each.check();
  });
  const go = h("button", { type: "submit", class: "primary large" }, t("new.create"));
  const signal = showView("new", t("new.heading"), heading(t("new.heading")), form);
  const house = new HouseForm(() => fields.currency.value, signal);
  form.append(
    group("what", field(fields.title, "/title"), field(fields.artist, "/artist"), field(fields.venue, "/venue"),
      field(fields.timezone, "/timezone"), field(fields.currency, "/currency"), zones),
    shows.element,
    house.element,
    group("rules", field(fields.limit, "/max_seats_per_user"), field(fields.hold, "/hold_seconds"),
      timeField(fields.refundable, "/refundable_until", t("new.refundable.help"))),
    group("line", timeField(fields.opens, "/waiting_room/opens_at", t("new.opens.help")),
      timeField(fields.closes, "/waiting_room/closes_at", t("new.closes.help")),
      field(fields.order, "/waiting_room/order", t("new.order.help")),
      field(fields.session, "/waiting_room/session_seconds"), field(fields.claim, "/waiting_room/claim_seconds", t("new.claim.help"))),
    h("fieldset", { class: "card stack", "data-pointer": "/waiting_room/policy" }, h("legend", {}, t("new.policy")), policy.element),
    h("p", { class: "row end" }, h("a", { class: "button", href: "/console" }, t("cancel")), go),
  );
  onSubmit(form, go, async () => {
    clearFaults(form);
    const body = read(fields, shows, house, policy);
    if (!(await isMeant(body))) return;
    form.inert = true; // after a success the page is left: what is typed meanwhile would be lost silently
    await create(form, body);
  });
  fields.title.focus();
}

function group(name, ...content) {
  return h("fieldset", { class: "card" }, h("legend", {}, t(`new.${name}`)), h("div", { class: "fields" }, content));
}

function read(fields, shows, house, policy) {
  const sections = house.read();
  return {
    title: fields.title.value,
    artist: fields.artist.value || null,
    venue: fields.venue.value || null,
    timezone: fields.timezone.value,
    currency: fields.currency.value,
    hold_seconds: Number(fields.hold.value) * 60,
    max_seats_per_user: Number(fields.limit.value),
    refundable_until: fields.refundable.read(),
    waiting_room: {
      policy: policy.read(),
      session_seconds: Number(fields.session.value) * 60,
      claim_seconds: Number(fields.claim.value),
      opens_at: fields.opens.read(),
      closes_at: fields.closes.read(),
      order: fields.order.value,
    },
    shows: shows.fields().map((each) => ({ starts_at: each.read(), sections })),
  };
}

/** Asks whether times that have passed are meant. The server refuses those of the line. */
async function isMeant({ shows, timezone, refundable_until: refundable }) {
  const hasPassed = (instant) => instant && Date.parse(instant) < serverNow();
  const text = (instant) => moment(instant, isZone(timezone) ? timezone : "UTC");
  const past = [
    ...shows.map(({ starts_at: start }) => start).filter(hasPassed).map(text),
    hasPassed(refundable) && t("new.past.refundable", { time: text(refundable) }),
  ].filter(Boolean);
  return !past.length || sure({ title: t("new.past"), text: [t("new.past.meaning"), ...past], action: t("new.create") });
}

async function create(form, body) {
  try {
    const { body: made } = await intend("concert", body, (key) =>
      operate("POST", "/concerts", { body, key, patience: 60_000 }));
    location.assign(`/console/concerts/${made.concert_id}`);
  } catch (error) {
    form.inert = false;
    showFaults(form, error);
  }
}
