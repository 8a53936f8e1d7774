// The browser's user: a guest account whose key is in a cookie that scripts can't read.

import { call, insist } from "./api.js";

/** The user's id, the concerts in whose lines this browser has a place, whether it is an operator's. */
export async function session() {
  return (await insist("GET", "/session")).body;
}

/** Makes a guest account, unless this browser has one; for some work where the server wants it. */
export async function beSomebody() {
  try {
    return (await insist("POST", "/session", { body: {} })).body;
  } catch (error) {
    if (error.code !== "challenge_required") throw error;
  }
  const [{ solve }, { body: challenge }] = await Promise.all([
    import("./proof.js"),
    insist("GET", "/users/challenge"),
  ]);
  return (await insist("POST", "/session", { body: { altcha: await solve(challenge) } })).body;
}

/** Removes the user from this browser. */
export async function signOut() {
  await call("DELETE", "/session");
}
