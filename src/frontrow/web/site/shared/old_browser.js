// Warns users of a browser that is too old for the pages' scripts. No module, and in the syntax of 2016, so that such
// a browser can run it.

{
  const isNewEnough =
    "noModule" in document.createElement("script") &&
    [window.AbortController, window.HTMLDialogElement, window.TextDecoderStream, window.reportError].every(Boolean) &&
    [Array.prototype.at, Object.hasOwn, Intl.DateTimeFormat.prototype.formatRange].every(Boolean);
  document.getElementById("old-browser").hidden = isNewEnough;
}
