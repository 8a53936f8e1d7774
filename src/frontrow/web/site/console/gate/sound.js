// What a gate hears: a high tone for "in", a low double one for "not".

let context;

/** Sounds. Says nothing where the browser has no sound. */
export function sound(isGood) {
  try {
    context ??= new AudioContext();
    if (isGood) tone(880, 0, 0.15);
    else for (const start of [0, 0.22]) tone(196, start, 0.18);
  } catch {
    // The answer can be read.
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
