// What a handheld scanner types: keys of a US keyboard, whatever layout and input method this device has.

const CODE = /^\s*\S{0,3}a[\w-]{139}\s*$/i; // after a prefix for the kind of barcode; of either case
const LETTER = /^Key([A-Z])$/;
const DIGIT = /^(?:Digit|Numpad)(\d)$/;
const LINE_ENDS = ["KeyJ", "KeyM"]; // with Ctrl: line feed and carriage return
const OTHER = "\ufffd"; // a key that no code needs

/** Whether a text has the form of a ticket's code. */
export function isCode(text) {
  return CODE.test(text);
}

/** Whether a key types a character other than a space, which presses buttons. */
export function isCharacter({ key, ctrlKey, altKey, metaKey }) {
  return (key.length === 1 || key === "Process") && key !== " " && !ctrlKey && !altKey && !metaKey;
}

/** The field of the codes. Its keys are recorded too: under a Korean layout only they have the cases of the letters. */
export class ScannerField {
  /**
   * @param {HTMLInputElement} input
   * @param {() => void} submit
   */
  constructor(input, submit) {
    this.input = input;
    this.submit = submit;
    this.keys = "";
    this.isEnding = false; // Enter has been pressed while a syllable was composed
    input.addEventListener("keydown", (event) => this.press(event));
    input.addEventListener("compositionend", () => {
      if (this.isEnding) setTimeout(submit); // with the last syllable in the field
      this.isEnding = false;
    });
  }

  press(event) {
    const isEnd = event.code.endsWith("Enter") || (event.ctrlKey && LINE_ENDS.includes(event.code));
    if (isEnd && event.isComposing) this.isEnding = true;
    else if ((isEnd && event.ctrlKey) || (event.code === "Tab" && isCode(this.text()))) {
      event.preventDefault(); // instead of a shortcut, or of leaving the field
      this.submit();
    } else if (!isEnd) this.keys += keyOf(event);
  }

  /** The text, or the keys if only they have the form of a code. */
  text() {
    return !isCode(this.input.value) && isCode(this.keys) ? this.keys : this.input.value;
  }

  /** Returns the text and empties the field for the next one. */
  take() {
    const text = this.text();
    this.input.value = "";
    this.keys = "";
    return text;
  }
}

/** The character of a key on a US keyboard; nothing for a modifier. */
function keyOf({ code, shiftKey }) {
  const letter = LETTER.exec(code)?.[1];
  if (letter) return shiftKey ? letter : letter.toLowerCase();
  if (code === "Minus") return shiftKey ? "_" : "-";
  if (code === "BracketRight") return "]";
  if (/^(Shift|Control|Alt|Meta)(Left|Right)$|^(CapsLock|Lang\d|Space)$/.test(code)) return "";
  return (!shiftKey && DIGIT.exec(code)?.[1]) || OTHER;
}
