// Proof of work, if the server requires it for a new account: ALTCHA's scheme,
// version 2. The key that is looked for is derived from a nonce and a counter, by the browser.

const BATCH = 64; // derivations under way at once

/** Returns the solution of a challenge as the server expects it. */
export async function solve(challenge) {
  const { algorithm, nonce, salt, cost, keyLength, keyPrefix } = challenge.parameters;
  const [kind, hash] = algorithm.split("/");
  if (kind !== "PBKDF2") throw new Error(`unknown algorithm: ${algorithm}`);
  const began = performance.now();
  const prefix = fromHex(keyPrefix);
  const password = new Uint8Array([...fromHex(nonce), 0, 0, 0, 0]);
  const parameters = { name: kind, hash, salt: fromHex(salt), iterations: cost };
  const derive = async (counter) => {
    new DataView(password.buffer).setUint32(password.length - 4, counter);
    const key = await crypto.subtle.importKey("raw", password.slice(), kind, false, ["deriveBits"]);
    return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, keyLength * 8));
  };
  for (let first = 0; ; first += BATCH) {
    const keys = await Promise.all(Array.from({ length: BATCH }, (_, index) => derive(first + index)));
    const found = keys.findIndex((key) => prefix.every((byte, index) => key[index] === byte));
    if (found < 0) continue;
    const time = Math.round(performance.now() - began);
    const solution = { counter: first + found, derivedKey: toHex(keys[found]), time };
    return btoa(JSON.stringify({ challenge, solution }));
  }
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g), (byte) => parseInt(byte, 16));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
