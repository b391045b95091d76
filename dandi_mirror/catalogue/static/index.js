// The page of all Dandisets: search in the browser, tolerant of typing errors.
"use strict";

(() => {
  const { load, visible, make, meter, number, bytes, counted, config } = catalogue;
  const PAGE = 30;
  const FIELDS = ["id", "title", "people", "species", "techniques", "subjects", "variables", "keywords", "abstract"];
  const BOOST = { id: 6, title: 4, species: 2, keywords: 2, techniques: 1.5, people: 2, abstract: 0.5 };
  const words = document.getElementById("words");
  const order = document.getElementById("order");
  const here = document.getElementById("here");
  const found = document.getElementById("found");
  const results = document.getElementById("results");
  const more = document.getElementById("more");
  const parts = config().parts;
  const documents = new Map();
  let search = null;
  let shown = [];

  const ORDERS = {
    newest: (a, b) => b.seconds - a.seconds || a.id.localeCompare(b.id),
    size: (a, b) => b.size - a.size,
    title: (a, b) => a.title.localeCompare(b.title),
    id: (a, b) => a.id.localeCompare(b.id),
  };

  const rest = () => new Promise((resolve) => setTimeout(resolve, 0));

  async function start() {
    const index = new MiniSearch({
      fields: FIELDS,
      extractField: (one, field) => (Array.isArray(one[field]) ? one[field].join(" ") : one[field]),
      searchOptions: { boost: BOOST, prefix: (term) => term.length > 1, combineWith: "AND", maxFuzzy: 2 },
    });
    for (const part of parts) {
      const some = await load(`search/${part}`);
      for (const one of some) documents.set(one.id, one);
      for (let place = 0; place < some.length; place += 20) {
        index.addAll(some.slice(place, place + 20));
        await rest(); // so that the page answers meanwhile
      }
    }
    search = index;
    document.documentElement.dataset.ready = "yes";
  }

  // one error in a word of four letters, two in a long one; numbers are meant as they are
  function fuzzy(term) {
    if (/\d/.test(term) || term.length < 4) return false;
    return term.length < 7 ? 1 : 2;
  }

  const matches = (text, fuzzy) => search.search(text, { fuzzy }).map((hit) => documents.get(hit.id));

  function ask() {
    const begun = performance.now();
    const text = words.value.trim();
    let some;
    // errors are forgiven only if nothing has the words as they stand: that is quicker, and finds less by chance
    let forgiven = false;
    if (text) {
      some = matches(text, false);
      forgiven = !some.length;
      if (forgiven) some = matches(text, fuzzy);
    } else some = [...documents.values()];
    if (here.checked) some = some.filter((one) => one.here > 0);
    const by = ORDERS[order.value] || (text ? null : ORDERS.newest);
    if (by) some.sort(by);
    shown = some;
    results.replaceChildren();
    show();
    window.catalogue.lastSearch = performance.now() - begun;
    const near = forgiven ? " with similar words" : "";
    found.textContent = some.length ? counted(some.length, "Dandiset") + near : "Nothing found. Try fewer or other words.";
  }

  function show() {
    const start = results.childElementCount;
    results.append(...shown.slice(start, start + PAGE).map(card));
    more.hidden = results.childElementCount >= shown.length;
  }

  function card(one) {
    const link = make("a", { href: `d/${one.id}/index.html` }, visible(one.title));
    const head = make("p", { class: "meta" }, make("span", { class: "id" }, one.id), " ",
      make("span", {}, one.version), " ", make("span", {}, one.day),
      one.embargoed ? make("span", { class: "badge" }, "embargoed") : null);
    const others = one.people.length > 4 ? ` and ${one.people.length - 4} more` : "";
    const people = one.people.length
      ? make("p", { class: "people" }, visible(one.people.slice(0, 4).join("; ")) + others) : null;
    const tags = [...one.species, ...one.techniques].slice(0, 4).map((text) => make("li", {}, visible(text)));
    const facts = make("p", { class: "meta" }, make("span", {}, counted(one.files, "file")), " ",
      make("span", {}, bytes(one.size)), " ",
      one.subjectCount ? make("span", {}, counted(one.subjectCount, "subject")) : null, " ",
      make("span", {}, meter(one.here, one.files), ` ${number(one.here)} here`));
    return make("li", { class: "card" }, make("h2", {}, link), head, people, make("ul", { class: "tags" }, ...tags), facts);
  }

  let waiting = 0;
  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      if (!search) found.textContent = "Loading the search…";
      try {
        await ready;
        ask();
        const address = words.value.trim() ? `#q=${encodeURIComponent(words.value.trim())}` : "#";
        history.replaceState(null, "", address);
      } catch (error) {
        found.textContent = error.message;
      }
    }, 30);
  }

  const ready = start();
  ready.catch((error) => (found.textContent = error.message));
  document.getElementById("search").hidden = false;
  document.getElementById("search").addEventListener("submit", (event) => event.preventDefault());
  for (const control of [words, order, here]) control.addEventListener("input", soon);
  more.addEventListener("click", () => {
    const place = results.childElementCount;
    show();
    results.children[place]?.querySelector("a").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(?:INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      words.focus();
    }
  });
  const asked = /^#q=(.*)$/.exec(location.hash);
  if (asked) {
    try {
      words.value = decodeURIComponent(asked[1]);
    } catch {
      words.value = "";
    }
  }
  if (words.value) soon();
  // the page comes with the newest ones; "more" goes on after them
  ready.then(() => {
    if (shown.length || words.value) return;
    shown = [...documents.values()].sort(ORDERS.newest);
    more.hidden = shown.length <= results.childElementCount;
  }, () => {});
})();
