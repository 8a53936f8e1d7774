// The browser's user: a guest account whose key is in a cookie that scripts can't read.

import { call, insist } from "./api.js";

/** The user's id, the concerts in whose lines this browser has a place, whether it has an operator session. */
export async function session() {
  return (await insist("GET", "/session")).body;
}

/** Creates a guest account, unless this browser has one; with proof of work if the server requires it. */
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

/** Removes the user from this browser; with `endKey` a guest's key is revoked too. */
export async function signOut(endKey = false) {
  await call("DELETE", endKey ? "/session?end_key=true" : "/session");
}
