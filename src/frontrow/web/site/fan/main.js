// The fan's page: shows what the address names.

import { showConcerts } from "./concerts.js";

showConcerts(document.getElementById("main"));
