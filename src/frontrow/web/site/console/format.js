// Figures in the words of the page's language.

import { language } from "../shared/i18n.js";

const numbers = new Intl.NumberFormat(language);
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

/** A count. */
export const number = (value) => numbers.format(value);

/** A share of 1; nothing where there is none yet. */
export const percent = (share) => (share === null ? "–" : percents.format(share));
