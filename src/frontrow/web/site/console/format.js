// Formats numbers in the page's language.

import { language } from "../shared/i18n.js";

const numbers = new Intl.NumberFormat(language);
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

/** A count. */
export const number = (value) => numbers.format(value);

/** A share between 0 and 1, or a dash if there is none yet. */
export const percent = (share) => (share === null ? "–" : percents.format(share));
