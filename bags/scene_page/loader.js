// Unpacks the modules in this page, registers their import names with the browser, and starts main.js.
"use strict";
(async () => {
  const bytes = (id) => Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const status = document.getElementById("status");
  try {
    const unpacked = new Blob([bytes("client")]).stream().pipeThrough(new DecompressionStream("gzip"));
    const modules = JSON.parse(await new Response(unpacked).text());
    const url = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const map = document.createElement("script");
    map.type = "importmap";
    map.nonce = document.currentScript?.nonce ?? document.querySelector("script[nonce]").nonce;
    map.textContent = JSON.stringify({ imports: Object.fromEntries(Object.entries(modules).map(([n, s]) => [n, url(s)])) });
    document.head.append(map);
    const { start } = await import(url(bytes("main")));
    await start(bytes("scene"), JSON.parse(document.getElementById("facts").textContent));
    status.hidden = true;
  } catch (error) {
    status.textContent = `This browser cannot show the scene (${error.message}).`;
    throw error;
  }
})();
