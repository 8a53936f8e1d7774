// Proof of work, if the server requires it for a new account: ALTCHA's scheme,
// version 2. The key that is looked for is derived from a nonce and a counter: by the browser itself, or by a library
// where it can't (Web Crypto exists only over https and on this device).

import { pause } from "./api.js";

const LIBRARY = new URL("../vendor/noble-hashes/", import.meta.url).href;
const BATCH = 64; // derivations under way at once

/** Returns the solution of a challenge as the server expects it. */
export async function solve(challenge) {
  const { algorithm, nonce, salt, cost, keyLength, keyPrefix } = challenge.parameters;
  const [kind, hash] = algorithm.split("/");
  if (kind !== "PBKDF2") throw new Error(`unknown algorithm: ${algorithm}`);
  const began = performance.now();
  const prefix = fromHex(keyPrefix);
  const password = new Uint8Array([...fromHex(nonce), 0, 0, 0, 0]);
  const deriveKey = await (crypto.subtle ? native : library)(hash, fromHex(salt), cost, keyLength);
  const derive = (counter) => {
    new DataView(password.buffer).setUint32(password.length - 4, counter);
    return deriveKey(password.slice());
  };
  for (let first = 0; ; first += BATCH) {
    const keys = await Promise.all(Array.from({ length: BATCH }, (_, index) => derive(first + index)));
    const found = keys.findIndex((key) => prefix.every((byte, index) => key[index] === byte));
    if (found < 0) {
      if (!crypto.subtle) await pause(0); // the page stays usable
      continue;
    }
    const time = Math.round(performance.now() - began);
    const solution = { counter: first + found, derivedKey: toHex(keys[found]), time };
    return btoa(JSON.stringify({ challenge, solution }));
  }
}

/** Returns the browser's own derivation of a key (PBKDF2). */
async function native(hash, salt, iterations, length) {
  const parameters = { name: "PBKDF2", hash, salt, iterations };
  return async (password) => {
    const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
    return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, length * 8));
  };
}

/** Returns the same derivation in JavaScript, several times slower. */
async function library(hash, salt, iterations, length) {
  if (hash !== "SHA-256") throw new Error(`unknown hash: ${hash}`);
  const [{ pbkdf2 }, { sha256 }] = await Promise.all([
    import(`${LIBRARY}pbkdf2.js`),
    import(`${LIBRARY}sha2.js`),
  ]);
  return (password) => pbkdf2(sha256, password, salt, { c: iterations, dkLen: length });
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g), (byte) => parseInt(byte, 16));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
