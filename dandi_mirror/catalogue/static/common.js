// What all pages of the catalogue share: making elements of text, loading parts, formatting.
// Nothing here makes markup of text: no innerHTML, no document.write; the page's policy forbids them, too.
"use strict";

const catalogue = (() => {
  const asked = new Map();

  // a browser that knows trusted types loads no script but one that passes here
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("catalogue", {
        createScriptURL: (url) => {
          if (!/^(?:search\/)?[a-z0-9-]+\.js$/.test(url)) throw new TypeError("not a part of this catalogue");
          return url;
        },
      })
    : { createScriptURL: (url) => url };

  // Load a part: `file` is a script that calls data(name, value).
  function load(file) {
    const name = file.replace(/^.*\//, "").replace(/(?:-[0-9a-f]{12})?\.js$/, "");
    if (asked.has(name)) return asked.get(name).promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => {
      entry.resolve = resolve;
      const script = document.createElement("script");
      script.src = policy.createScriptURL(file);
      script.onerror = () => {
        asked.delete(name);
        reject(new Error("A part of this page could not be loaded. Load the page again."));
      };
      document.head.append(script);
    });
    asked.set(name, entry);
    return entry.promise;
  }

  function data(name, value) {
    asked.get(name)?.resolve(value);
  }

  // Letters that cannot be seen, or that move others, are shown as escapes.
  const INVISIBLE =
    /[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;

  function escaped(letter) {
    const code = letter.codePointAt(0);
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    return code < 0x10000 ? "\\u" + code.toString(16).padStart(4, "0") : "\\U" + code.toString(16).padStart(8, "0");
  }

  const visible = (text) => String(text).replace(INVISIBLE, escaped);

  // A word for a shell: what one sees is what is copied.
  function quoted(text) {
    if (/^[\w@%+=:,./-]+$/.test(text)) return text;
    if (visible(text) === text) return "'" + text.replaceAll("'", "'\\''") + "'";
    return "$'" + visible(text.replaceAll("\\", "\\\\")).replaceAll("'", "\\'") + "'";
  }

  // A text for Python; a JSON string is a Python string.
  const python = (text) => JSON.stringify(text).replace(INVISIBLE, escaped);

  // An element with properties and children; text becomes text.
  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "class") element.className = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function drawn(name, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function meter(here, all) {
    const picture = drawn("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
    const width = all ? Math.round((1000 * here) / all) / 10 : 0;
    picture.append(drawn("rect", { class: "all", width: 100, height: 6, rx: 3 }));
    picture.append(drawn("rect", { class: "part", width, height: 6, rx: 3 }));
    const label = `${number(here)} of ${number(all)} files are here`;
    return make("span", { class: "meter", role: "img", "aria-label": label }, picture);
  }

  const number = (value) => value.toLocaleString("en-US");

  function bytes(size) {
    let amount = size;
    for (const unit of ["bytes", "kB", "MB", "GB", "TB"]) {
      if (amount < 1000 || unit === "TB") return unit === "bytes" ? `${amount} bytes` : `${amount.toFixed(1)} ${unit}`;
      amount /= 1000;
    }
    return "";
  }

  const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { class: "unseen", "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  // A command or a text in a box, with a button that copies it.
  function copied(label, text) {
    const button = make("button", { type: "button", class: "copy", "aria-label": `Copy: ${label}` }, "Copy");
    button.addEventListener("click", () => copy(text, button));
    return make("div", { class: "copied" }, make("pre", { tabindex: 0, "aria-label": label }, text), button);
  }

  const config = () => JSON.parse(document.getElementById("config").textContent);

  return { load, data, visible, quoted, python, make, drawn, meter, number, bytes, counted, copy, copied, config };
})();
window.catalogue = catalogue;
