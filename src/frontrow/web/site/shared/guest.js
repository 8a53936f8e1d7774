// Who one is: a guest account whose key only the browser's cookie knows.

import { call, insist } from "./api.js";

/** The user's id and the concerts in whose lines this browser has a place. */
export async function session() {
  return (await insist("GET", "/session")).body;
}

/** Makes a guest account, unless this browser has one. */
export async function beSomebody() {
  return (await insist("POST", "/session", { body: {} })).body;
}

/** Makes this browser forget who it was. */
export async function signOut() {
  await call("DELETE", "/session");
}
