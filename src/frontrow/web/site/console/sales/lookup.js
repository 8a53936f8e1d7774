// Finds payments by the id of a payment, a reservation, a ticket or a user.

import { h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { sentence } from "../../shared/refusals.js";
import { announce, heading, showView } from "../../shared/view.js";
import { operate, run } from "../operator.js";
import { paymentItem } from "./payments.js";

const UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";

run(async () => {
  const id = h("input", { id: "id", required: true, pattern: UUID, autocomplete: "off", spellcheck: false });
  id.setAttribute("aria-describedby", "id-help");
  const go = h("button", { type: "submit", class: "primary" }, t("lookup.go"));
  const found = h("div", {});
  const form = h("form", { class: "card stack" },
    h("div", { class: "field" }, h("label", { for: "id" }, t("lookup.id")), id,
      h("p", { class: "soft small", id: "id-help" }, t("lookup.help"))),
    h("p", {}, go));
  let latest = "";
  const look = async () => {
    const wanted = id.value.trim();
    latest = wanted;
    go.setAttribute("aria-busy", "true");
    history.replaceState(null, "", `?id=${encodeURIComponent(wanted)}`);
    const { said, content } = await find(wanted);
    if (latest !== wanted) return; // another one was asked for meanwhile
    go.removeAttribute("aria-busy");
    found.replaceChildren(content);
    if (said) announce(said, { now: true });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  showView("lookup", t("nav.lookup"), heading(t("nav.lookup")), form, found);
  id.value = new URLSearchParams(location.search).get("id") ?? "";
  if (id.value && form.checkValidity()) await look();
  else id.focus();
});

async function find(id) {
  try {
    const { body } = await operate("GET", `/lookups/${id}`);
    return {
      said: t("lookup.found", { count: body.payments.length }),
      content: h("ol", { class: "payments card" }, body.payments.map((payment) => paymentItem(payment))),
    };
  } catch (error) {
    return { content: h("p", { class: "card", role: "alert" }, error.code === "not_found" ? t("lookup.nothing") : sentence(error)) };
  }
}
