// Shows the OpenAPI document with Swagger UI, between the page's introduction and its list of errors.

globalThis.SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("reader"),
  docExpansion: "list",
  onComplete() {
    // The list of errors has moved down since the browser scrolled to the code in the address.
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  },
});
