// The form for an admission policy: its kind, a description, and its limits.

import { h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";

const FIELDS = {
  open: [],
  max_active: ["max_active"],
  rate: ["admit", "every_seconds"],
  max_active_and_rate: ["max_active", "admit", "every_seconds"],
  adaptive: ["min_active", "max_active", "target_p95_ms"],
};
const STARTS = { max_active: 100, admit: 50, every_seconds: 10, min_active: 20, target_p95_ms: 200 };
const MOST = { max_active: 1_000_000, admit: 1_000_000, min_active: 1_000_000, every_seconds: 3_600, target_p95_ms: 60_000 };

/** Fields to choose a policy with. `pointer`: the policy's place in the request. */
export class PolicyForm {
  constructor(policy, pointer = "/policy") {
    this.stored = policy;
    this.values = { ...STARTS, ...policy };
    this.pointer = pointer;
    this.kind = h("select", { id: "policy-kind" },
      Object.keys(FIELDS).map((kind) => h("option", { value: kind }, t(`policy.${kind}`))));
    this.kind.value = policy.kind;
    this.meaning = h("p", { class: "soft small", id: "policy-meaning" });
    this.kind.setAttribute("aria-describedby", "policy-meaning");
    this.fields = h("div", { class: "fields" });
    this.kind.addEventListener("change", () => this.show());
    this.element = h("div", { class: "stack" },
      h("div", { class: "field", "data-pointer": `${pointer}/kind` },
        h("label", { for: "policy-kind" }, t("policy")), this.kind, this.meaning),
      this.fields);
    this.show();
  }

  show() {
    this.keep();
    this.meaning.textContent = t(`policy.${this.kind.value}.meaning`);
    this.inputs = FIELDS[this.kind.value].map((name) =>
      h("input", { id: name, name, type: "number", min: 1, max: MOST[name], required: true, value: this.values[name] }));
    this.fields.replaceChildren(...this.inputs.map((input) =>
      h("div", { class: "field", "data-pointer": `${this.pointer}/${input.name}` },
        h("label", { for: input.id }, t(`policy.field.${input.name}`)), input)));
  }

  /** Shows another stored policy, unless the operator has changed the fields. */
  store(policy) {
    const entered = Object.entries(this.read());
    const isUnchanged = entered.every(([name, value]) => this.stored[name] === value);
    this.stored = policy;
    if (!isUnchanged) return;
    this.inputs = [];
    this.kind.value = policy.kind;
    Object.assign(this.values, policy);
    this.show();
  }

  keep() {
    for (const input of this.inputs ?? []) this.values[input.name] = Number(input.value);
  }

  /** The policy as the API takes it. */
  read() {
    this.keep();
    const kind = this.kind.value;
    return { kind, ...Object.fromEntries(FIELDS[kind].map((name) => [name, this.values[name]])) };
  }
}
