// The sounds of a gate: a high tone for an accepted ticket, a low double tone for a refused one.

let context;

/** Plays a sound; silent where the browser has no sound. */
export function sound(isGood) {
  try {
    context ??= new AudioContext();
    if (isGood) tone(880, 0, 0.15);
    else for (const start of [0, 0.22]) tone(196, start, 0.18);
  } catch {
    // The result is also shown as text.
  }
}

function tone(frequency, start, length) {
  const [source, volume] = [context.createOscillator(), context.createGain()];
  source.type = "triangle";
  source.frequency.value = frequency;
  volume.gain.value = 0.25;
  source.connect(volume).connect(context.destination);
  source.start(context.currentTime + start);
  source.stop(context.currentTime + start + length);
}
