// The last hour as charts. The library is loaded when the first one is drawn.

import { OutOfTouch } from "../../shared/api.js";
import { h } from "../../shared/dom.js";
import { language, t } from "../../shared/i18n.js";
import { number } from "../format.js";

const LIBRARY = new URL("../../vendor/uplot/uPlot.iife.min.js", import.meta.url).href;
const STYLE = new URL("../../vendor/uplot/uPlot.min.css", import.meta.url).href;
const HEIGHT = 220;
let loading;

/** A chart of some fields of the minutes; also as a table and a text, for screen readers. */
export class Chart {
  constructor(title, names, signal) {
    this.names = names;
    this.title = title;
    this.place = h("div", { class: "chart", role: "img" });
    this.rows = h("tbody", {});
    this.element = h("section", { class: "card stack" },
      h("h2", {}, title),
      this.place,
      h("details", {}, h("summary", {}, t("chart.table")),
        h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": title }, h("table", { class: "rows" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("chart.time")),
            names.map((name) => h("th", { scope: "col", class: "number" }, t(`history.${name}`))))),
          this.rows))));
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.redraw(), { signal });
    const watcher = new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height: HEIGHT }));
    watcher.observe(this.place);
    signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
  }

  /** Shows these minutes. */
  async show(minutes) {
    this.minutes = minutes;
    const last = minutes.at(-1);
    const said = this.names.map((name) => `${t(`history.${name}`)}: ${number(last[name])}`).join(", ");
    this.place.setAttribute("aria-label", `${this.title}. ${said}`);
    this.rows.replaceChildren(...[...minutes].reverse().map((minute) => h("tr", {},
      h("th", { scope: "row" }, timeOf(minute.at)),
      this.names.map((name) => h("td", { class: "number" }, number(minute[name]))))));
    const data = [minutes.map(({ at }) => Date.parse(at) / 1000), ...this.names.map((name) => minutes.map((minute) => minute[name]))];
    await library();
    if (this.plot) this.plot.setData(data);
    else this.plot = new window.uPlot(this.options(), data, this.place);
  }

  redraw() {
    this.plot?.destroy();
    this.plot = undefined;
    if (this.minutes) this.show(this.minutes);
  }

  options() {
    const style = getComputedStyle(this.place);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    return {
      width: this.place.clientWidth,
      height: HEIGHT,
      legend: { live: true },
      cursor: { y: false },
      scales: { y: { range: (_, _low, high) => [0, Math.max(4, Math.ceil((high ?? 0) * 1.1))] } },
      axes: [
        { ...axis, values: (_, splits) => splits.map((second) => timeOf(second * 1000)) },
        { ...axis, size: 60, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? number(value) : "")) },
      ],
      series: [
        { label: t("chart.time"), value: (_, second) => (second === null ? "–" : timeOf(second * 1000)) },
        ...this.names.map((name, index) => ({
          label: t(`history.${name}`),
          stroke: colour(`--chart-${index + 1}`),
          width: 2,
          dash: index === 1 ? [6, 4] : index === 2 ? [2, 3] : undefined, // distinguishable without colour
          points: { show: false },
          value: (_, value) => (value === null ? "–" : number(value)),
        })),
      ],
    };
  }
}

function timeOf(at) {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));
}

function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: LIBRARY });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new OutOfTouch()));
    document.head.append(h("link", { rel: "stylesheet", href: STYLE }), script);
  });
  return loading;
}
