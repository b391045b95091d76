// The page of a Dandiset: its files by folder, its subjects, one file with the commands that get it.
"use strict";

(() => {
  const { load, visible, quoted, python, make, number, bytes, counted, copy, copied, drawn, config } = catalogue;
  const PAGE = 200;
  const PRESENCE = ["at the archive", "in this mirror", "a Zarr", "refused: its name or record is not safe in git"];
  const LABELS = {
    subject: "Subject", species: "Species", sex: "Sex", age: "Age", session: "Session", approach: "Approach",
    technique: "Technique", variable: "Variable",
  };
  const about = config();
  const by = (id) => document.getElementById(id);
  let version = 0;
  let folders = new Map();
  let depth = 0;

  // --- copying, and the forms of the citation -----------------------------------------------------------------

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button.previousElementSibling.textContent, button));
  }

  function tabs(box) {
    const panels = [...box.querySelectorAll(".panel")];
    const list = make("div", { role: "tablist", "aria-label": "Forms of the citation" });
    const buttons = panels.map((panel, place) => {
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", `tab-${panel.id}`);
      const label = panel.dataset.label;
      const made = make("button", { type: "button", role: "tab", id: `tab-${panel.id}`, "aria-controls": panel.id,
        onclick: () => choose(place) }, label);
      list.append(made);
      return made;
    });
    function choose(chosen) {
      panels.forEach((panel, place) => (panel.hidden = place !== chosen));
      buttons.forEach((button, place) => {
        button.setAttribute("aria-selected", String(place === chosen));
        button.tabIndex = place === chosen ? 0 : -1;
      });
    }
    list.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1 };
      if (!(event.key in steps)) return;
      const place = (buttons.indexOf(document.activeElement) + steps[event.key] + buttons.length) % buttons.length;
      choose(place);
      buttons[place].focus();
    });
    box.classList.add("tabbed");
    box.prepend(list);
    choose(0);
  }
  tabs(by("citations"));

  // --- rows of files --------------------------------------------------------------------------------------------

  const part = (place) => load(about.parts[place]);

  // The rows from start to end, of all listed versions.
  async function rows(start, end) {
    const found = [];
    for (let place = Math.floor(start / about.size); place * about.size < end; place++) {
      const some = await part(place);
      const first = place * about.size;
      const last = Math.min(end - first, some.rows.length);
      for (let at = Math.max(0, start - first); at < last; at++) {
        found.push({ at: first + at, row: some.rows[at], part: some });
      }
    }
    return found;
  }

  const shownIn = (row) => (row[7] >> version) & 1;

  // The folders and files directly in a folder.
  async function children(path) {
    const known = folders.get(path);
    const inside = path ? path.length + 1 : 0;
    const inner = new Map();
    const files = [];
    if (!known) return null;
    const level = path ? path.split("/").length : 0;
    let at = known.start;
    const end = known.start + known.count;
    if (level < depth) {
      for (const folder of known.folders) {
        if (at < folder.start) await collect(at, folder.start);
        inner.set(folder.path, folder);
        at = folder.start + folder.count;
      }
    }
    if (at < end) await collect(at, end);

    async function collect(from, to) {
      for (const one of await rows(from, to)) {
        const rest = one.row[0].slice(inside);
        const slash = rest.indexOf("/");
        if (slash < 0) {
          if (shownIn(one.row)) files.push(one);
          continue;
        }
        const name = path + (path ? "/" : "") + rest.slice(0, slash);
        const folder = inner.get(name) || { path: name, start: one.at, count: 0, counts: [0, 0, 0, 0, 0, 0], folders: [] };
        folder.count = one.at - folder.start + 1;
        [0, 1].forEach((bit) => {
          if ((one.row[7] >> bit) & 1) {
            folder.counts[3 * bit] += 1;
            folder.counts[3 * bit + 1] += one.row[1];
            folder.counts[3 * bit + 2] += one.row[6] === 1 ? 1 : 0;
          }
        });
        inner.set(name, folder);
        if (!folders.has(name)) folders.set(name, folder);
      }
    }
    return { folders: [...inner.values()].filter((folder) => folder.counts[3 * version]), files };
  }

  // --- the browser ------------------------------------------------------------------------------------------------

  let items = [];
  let turn = 0;

  async function showFolder(path) {
    const mine = ++turn;
    by("filter").value = "";
    const found = await children(path);
    if (mine !== turn) return;
    if (!found) {
      by("counted").textContent = "There is no such folder.";
      return;
    }
    trail(path);
    items = [...found.folders.map((folder) => () => folderRow(folder)), ...found.files.map((one) => () => fileRow(one, false))];
    by("counted").textContent = `${counted(found.folders.length, "folder")}, ${counted(found.files.length, "file")}`;
    by("entries").replaceChildren();
    showMore();
  }

  function showMore() {
    const place = by("entries").childElementCount;
    by("entries").append(...items.slice(place, place + PAGE).map((item) => item()));
    by("more").hidden = place + PAGE >= items.length;
    return place;
  }

  const address = (kind, value) => `#${kind}=${encodeURIComponent(value)}`;

  function trail(path) {
    const steps = [make("a", { href: address("folder", "") }, about.id)];
    const names = path ? path.split("/") : [];
    names.forEach((name, place) => {
      steps.push(" / ", make("a", { href: address("folder", names.slice(0, place + 1).join("/")) }, visible(name)));
    });
    by("place").replaceChildren(...steps);
    by("place").lastElementChild.setAttribute("aria-current", "location");
  }

  function folderRow(folder) {
    const [files, size, here] = folder.counts.slice(3 * version, 3 * version + 3);
    const name = folder.path.slice(folder.path.lastIndexOf("/") + 1);
    return make("tr", {},
      make("th", { scope: "row" }, make("a", { class: "folder", href: address("folder", folder.path) }, visible(name) + "/")),
      make("td", { class: "n" }, number(files)), make("td", { class: "n" }, bytes(size)),
      make("td", { class: here === files ? "here" : here ? "some" : "away" }, here === files ? "here" : here ? `${number(here)} here` : "at the archive"));
  }

  function fileRow(one, whole) {
    const [path, size] = one.row;
    const name = whole ? path : path.slice(path.lastIndexOf("/") + 1);
    const state = ["away", "here", "zarr", "refused"][one.row[6]];
    return make("tr", {},
      make("th", { scope: "row" }, make("a", { href: address("file", path) }, visible(name))),
      make("td", { class: "n" }), make("td", { class: "n" }, bytes(size)),
      make("td", { class: state }, state === "here" ? "here" : state === "away" ? "at the archive" : state === "zarr" ? "a Zarr" : "refused"));
  }

  // Files whose paths have a text; the parts are read one after the other.
  async function filter() {
    const text = by("filter").value.trim().toLowerCase();
    if (!text) return showHash();
    const mine = ++turn;
    const found = [];
    by("file").hidden = true;
    by("place").replaceChildren("Files of all folders");
    by("entries").replaceChildren();
    for (let place = 0; place < about.parts.length; place++) {
      const some = await part(place);
      if (mine !== turn) return;
      some.rows.forEach((row, at) => {
        if (shownIn(row) && row[0].toLowerCase().includes(text)) found.push({ at: place * about.size + at, row, part: some });
      });
      items = found.map((one) => () => fileRow(one, true));
      if (by("entries").childElementCount < PAGE) showMore();
      by("counted").textContent = `${counted(found.length, "file")} in ${number(Math.min(about.rows, (place + 1) * about.size))} of ${number(about.rows)}`;
    }
    by("more").hidden = by("entries").childElementCount >= items.length;
  }

  // --- one file ---------------------------------------------------------------------------------------------------

  // Where a path is among the rows, which are sorted by the names in it.
  async function find(path) {
    const names = path.split("/");
    const before = (other) => {
      const theirs = other.split("/");
      for (let place = 0; place < Math.min(names.length, theirs.length); place++) {
        if (names[place] !== theirs[place]) return compare(theirs[place], names[place]);
      }
      return theirs.length - names.length;
    };
    let low = 0;
    let high = about.parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (before((await part(middle)).rows[0][0]) > 0) high = middle - 1;
      else low = middle;
    }
    // two versions of a file may stand on both sides of a border
    const start = Math.max(0, low - 1) * about.size;
    const some = (await rows(start, Math.min(about.rows, (low + 1) * about.size))).filter((one) => one.row[0] === path);
    return some.find((one) => shownIn(one.row)) || some[0];
  }

  // by code points, as the rows are sorted; JavaScript would compare halves of letters
  function compare(one, other) {
    const [a, b] = [[...one], [...other]];
    for (let place = 0; place < Math.min(a.length, b.length); place++) {
      const difference = a[place].codePointAt(0) - b[place].codePointAt(0);
      if (difference) return difference;
    }
    return a.length - b.length;
  }

  async function showFile(path) {
    const mine = ++turn;
    const one = await find(path);
    if (mine !== turn) return;
    if (!one) {
      by("counted").textContent = "There is no such file.";
      return;
    }
    const [, size, asset, digest, kind, facts, presence, versions, zarr] = one.row;
    if (!((versions >> version) & 1)) choose(versions & 1 ? 0 : 1);
    const name = about.listed[version];
    const title = make("h3", {}, visible(path.slice(path.lastIndexOf("/") + 1)));
    const close = make("a", { href: address("folder", path.slice(0, Math.max(0, path.lastIndexOf("/")))), class: "close" }, "Back to the folder");
    const list = make("dl", { class: "facts" });
    const fact = (label, ...values) => list.append(make("dt", {}, label), make("dd", {}, ...values));
    fact("Path", make("code", {}, visible(path)));
    fact("Size", `${bytes(size)} (${number(size)} bytes)`);
    fact("Content", PRESENCE[presence]);
    fact("In", about.listed.filter((_, place) => (versions >> place) & 1).join(", "));
    if (one.part.kinds[kind]) fact("Type", visible(one.part.kinds[kind]));
    if (digest) fact(zarr ? "Checksum" : "SHA-256", make("code", {}, digest));
    if (asset) fact("Asset id", make("code", {}, asset));
    if (zarr) fact("Zarr id", make("code", {}, zarr));
    const grouped = new Map();
    for (const [field, value] of one.part.facts[facts]) grouped.set(field, [...(grouped.get(field) || []), value]);
    for (const [field, values] of grouped) fact(LABELS[field] || field, visible(values.join(", ")));
    const parts = [close, title, list];
    if (presence !== 3) parts.push(make("h4", {}, "Get it"), ...commands(path, name, asset, zarr), ...links(path, name, asset, one.part.kinds[kind], zarr, presence));
    const inside = make("section", { class: "preview", "aria-label": "Inside this file" });
    const isFile = path.endsWith(".nwb") && (presence === 1 || (presence === 0 && about.previewsOfAll));
    if (about.previews && digest && (isFile || (presence === 2 && zarr))) parts.splice(3, 0, inside);
    by("file").replaceChildren(...parts);
    if (inside.isConnected) look(inside, digest, () => mine === turn);
    by("file").hidden = false;
    by("file").dataset.path = path;
    by("file").focus({ preventScroll: true });
    by("file").scrollIntoView({ block: "start" });
  }

  // --- what is in a file --------------------------------------------------------------------------------------------

  async function look(place, digest, wanted) {
    place.replaceChildren(make("p", { class: "quiet" }, "Looking into the file…"));
    let found;
    try {
      found = await load(`preview-${about.previews}-${digest.slice(0, 32)}.js`);
    } catch {
      found = { error: "There is no preview of this file." };
    }
    if (!wanted()) return;
    if (found.error) {
      place.replaceChildren(make("p", { class: "quiet" }, visible(found.error)));
      return;
    }
    const facts = make("dl", { class: "facts" });
    for (const [label, value] of found.facts) facts.append(make("dt", {}, visible(label)), make("dd", {}, visible(value)));
    const drawings = found.plots.map(plot).filter(Boolean);
    const scales = found.images.map(multiscale);
    const tree = make("details", {}, make("summary", {}, `Structure: ${counted(found.tree.length, "object")}`), structure(found.tree));
    place.replaceChildren(make("h4", {}, "Inside this file"), facts, ...scales, ...drawings, tree, ...origin(found));
  }

  // What was read, if not the whole content.
  function origin(found) {
    const said = [];
    if (found.ranges) said.push("Parts of it were read from the archive.");
    if (found.ranges && found.grade < 2) said.push("They were not compared with its checksum.");
    if (found.spent) said.push("At most 20 requests and 3 MB are spent on a preview, so some of it is missing here.");
    return said.length ? [make("p", { class: "quiet" }, said.join(" "))] : [];
  }

  // The levels of an image, as a table.
  function multiscale(image) {
    const sides = (some) => (some.length ? some.map(number).join(" × ") : "–");
    const rows = image.levels.map((level) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, visible(level.path))),
      make("td", { class: "n" }, sides(level.shape)), make("td", { class: "n" }, sides(level.chunks)), make("td", {}, visible(level.type))));
    const named = `Image ${[image.path, image.name].filter(Boolean).map(visible).join(": ")}; axes: ${image.axes.map(visible).join(", ") || "not named"}`;
    const heads = ["Level", "Shape", "Chunks", "Type"].map((head) => make("th", { scope: "col" }, head));
    const table = make("table", { class: "list" }, make("caption", {}, named), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    const box = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": named }, table);
    return make("div", {}, box, ...(image.without ? [make("p", { class: "quiet" }, `No picture: ${visible(image.without)}.`)] : []));
  }

  function structure(nodes) {
    const lists = new Map([["", make("ul", { class: "tree" })]]);
    for (const node of nodes) {
      const cut = node.path.lastIndexOf("/");
      const list = lists.get(cut > 0 ? node.path.slice(0, cut) : "") || lists.get("");
      const item = make("li", {}, make("code", {}, visible(node.path.slice(cut + 1))),
        node.type ? ` ${visible(node.type)}` : "", " ", make("span", { class: "quiet" }, visible(node.shape)));
      if (node.kind === "group") {
        const inner = make("ul");
        lists.set(node.path, inner);
        item.append(inner);
      }
      list.append(item);
    }
    for (const list of lists.values()) if (!list.childElementCount && list.parentElement) list.remove();
    return lists.get("");
  }

  const range = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const short = (value) => String(Number(value.toPrecision(3)));

  function plot(one) {
    const caption = make("figcaption");
    let picture;
    if (one.kind === "image") {
      picture = make("img", { src: `data:image/png;base64,${one.pixels}`, alt: visible(one.title), width: one.width * 2, height: one.height * 2 });
      caption.textContent = visible(one.title);
    } else if (one.kind === "path") {
      picture = drawn("svg", { viewBox: "0 0 300 300", class: "square", role: "img", "aria-label": visible(one.title) });
      caption.textContent = walk(one, picture);
    } else {
      picture = drawn("svg", { viewBox: "0 0 1000 300", preserveAspectRatio: "none", role: "img", "aria-label": visible(one.title) });
      if (one.kind === "raster") caption.textContent = raster(one, picture);
      else caption.textContent = lines(one, picture);
    }
    return make("figure", {}, picture, caption);
  }

  function raster(one, picture) {
    const height = 300 / Math.max(1, one.rows.length);
    one.rows.forEach((spikes, row) => {
      const path = spikes.map((time) => `M${((1000 * time) / one.seconds).toFixed(1)} ${(row * height + 0.15 * height).toFixed(1)}v${(0.7 * height).toFixed(1)}`);
      picture.append(drawn("path", { class: "tick", d: path.join("") }));
    });
    return `${visible(one.title)}; ${short(one.seconds)} seconds`;
  }

  function lines(one, picture) {
    const [left, right] = range(one.lines.flatMap((line) => line[0]));
    const height = 300 / one.lines.length;
    one.lines.forEach(([seconds, values], place) => {
      const [low, high] = range(values);
      const points = values.map((value, at) => {
        const x = (1000 * (seconds[at] - left)) / (right - left || 1);
        const y = height * (place + 0.95 - (0.9 * (value - low)) / (high - low || 1));
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      });
      picture.append(drawn("polyline", { class: "trace", points: points.join(" ") }));
    });
    const [low, high] = range(one.lines.flatMap((line) => line[1]));
    return visible(`${one.title}; ${short(right - left)} seconds, from ${short(low)} to ${short(high)} ${one.unit}`.trim());
  }

  function walk(one, picture) {
    const [across, up] = one.lines[0];
    const [[left, right], [low, high]] = [range(across), range(up)];
    const scale = 280 / (Math.max(right - left, high - low) || 1);
    const points = across.map((value, at) => `${(10 + scale * (value - left)).toFixed(1)},${(290 - scale * (up[at] - low)).toFixed(1)}`);
    picture.append(drawn("polyline", { class: "trace", points: points.join(" ") }));
    return visible(`${one.title}; ${short(right - left)} × ${short(high - low)} ${one.unit}`.trim());
  }

  function commands(path, name, asset, zarr) {
    const here = `${about.id}@${name}`;
    const origin = about.archive.client && about.archive.client !== "dandi" ? ` -i ${quoted(about.archive.client)}` : !about.archive.client && about.archive.api ? ` -i ${quoted(about.archive.api)}` : "";
    const clone = about.source ? `datalad clone ${quoted(`${about.source}/${about.id}`)} && cd ${about.id}\n` : "";
    const checkout = name === "draft" || name === "published" ? "" : `git checkout ${name}\n`;
    const made = [["DataLad, in a clone", `${clone}${checkout}datalad get ${quoted(path)}`],
      ["dandi-mirror, as a plain file", `dandi-mirror download ${quoted(`${here}/${path}`)}${origin}`],
      ["dandi-mirror, in a clone", `dandi-mirror get ${quoted(path)}`]];
    if (about.archive.client) made.push(["dandi", `dandi download ${quoted(`dandi://${about.archive.client}/${here}/${path}`)}`]);
    else if (about.archive.api && asset) made.push(["dandi", `dandi download ${quoted(`${about.archive.api}/assets/${asset}/`)}`]);
    if (!zarr) {
      const opened = path.endsWith(".nwb")
        ? "\nfrom pynwb import NWBHDF5IO\nwith NWBHDF5IO(h5py.File(file, \"r\"), \"r\") as io:\n    nwb = io.read()" : "";
      made.push(["Python", `import dandi_mirror as dm\n${opened ? "import h5py\n" : ""}file = dm.Mirror("dandi")[${python(about.id)}].open(${python(path)}, version=${python(name)})${opened}`]);
    }
    return made.map(([label, text]) => make("div", { class: "way" }, make("h5", {}, label), copied(label, text)));
  }

  function links(path, name, asset, kind, zarr, presence) {
    const made = [];
    const link = (text, href) => made.push(make("li", {}, make("a", { href, rel: "noopener noreferrer" }, text)));
    const { api, web } = about.archive;
    if (about.served && asset && !zarr) link(presence === 1 ? "Download from this mirror" : "Download", `${about.served}/assets/${asset}/download/`);
    if (about.served && asset) link("The whole record", `${about.served}/assets/${asset}/`);
    if (!about.embargoed) {
      if (api && asset && path.endsWith(".nwb")) {
        const url = `${api}/assets/${asset}/download/`;
        const query = new URLSearchParams({ url, dandisetId: about.id, dandisetVersion: name });
        link("Open in Neurosift", `https://neurosift.app/nwb?${query}`);
      }
      if (about.archive.client === "dandi" && zarr && /\.ome\.zarr$|\.zarr$/.test(path)) {
        const source = `https://dandiarchive.s3.amazonaws.com/zarr/${zarr}`;
        link("Look at it with the OME-NGFF validator", `https://ome.github.io/ome-ngff-validator/?${new URLSearchParams({ source })}`);
      }
      if (api && asset && !about.served) link("The whole record, at the archive", `${api}/assets/${asset}/`);
    }
    if (web) link("Its folder at the archive", `${web}/dandiset/${about.id}/${name}/files?${new URLSearchParams({ location: path.slice(0, Math.max(0, path.lastIndexOf("/"))) })}`);
    return made.length ? [make("h4", {}, "Look at it"), make("ul", { class: "links" }, ...made)] : [];
  }

  // --- subjects -----------------------------------------------------------------------------------------------------

  async function subjects() {
    if (!about.subjects) return;
    const table = await load(about.subjects);
    const mine = table.filter((entry) => entry[6 + 3 * version]);
    const rest = about.moreSubjects ? ` and ${number(about.moreSubjects)} more rows` : "";
    by("no-subjects").textContent = `${counted(new Set(mine.map((entry) => entry[0])).size, "subject")}, ${counted(mine.filter((entry) => entry[1]).length, "session")}${rest}`;
    by("subject-table").hidden = false;
    const body = by("subject-rows");
    body.replaceChildren();
    const show = () => {
      const start = body.childElementCount;
      body.append(...mine.slice(start, start + 50).map(subjectRow));
      by("more-subjects").hidden = body.childElementCount >= mine.length;
    };
    by("more-subjects").onclick = show;
    show();
  }

  function subjectRow(entry) {
    const [files, size, here] = entry.slice(6 + 3 * version, 9 + 3 * version);
    const button = make("button", { type: "button", class: "link", onclick: async () => {
      const [first] = await rows(entry[5], entry[5] + 1);
      const path = first.row[0];
      location.hash = address("folder", path.slice(0, Math.max(0, path.lastIndexOf("/"))));
      by("files").scrollIntoView();
    } }, visible(entry[0] || "–"));
    return make("tr", {}, make("th", { scope: "row" }, button),
      ...[1, 2, 3, 4].map((place) => make("td", {}, visible(entry[place]))),
      make("td", { class: "n" }, number(files)), make("td", { class: "n" }, bytes(size)), make("td", { class: "n" }, number(here)));
  }

  // --- the address says what is shown -------------------------------------------------------------------------------

  function choose(place) {
    version = place;
    if (by("version")) by("version").value = String(place);
    subjects();
  }

  async function showHash() {
    const asked = /^#(folder|file)=(.*)$/.exec(location.hash);
    let path = "";
    try {
      path = asked ? decodeURIComponent(asked[2]) : "";
    } catch {
      path = "";
    }
    try {
      if (asked && asked[1] === "file") {
        await openAbove(path);
        await showFile(path);
      } else {
        by("file").hidden = true;
        if (asked || location.hash === "" || !by("entries").childElementCount) {
          await openAbove(path);
          await showFolder(path);
        }
      }
    } catch (error) {
      by("counted").textContent = error.message;
    }
    document.documentElement.dataset.ready = "yes";
  }

  // Folders below those that the page knows are found in the parts of those above.
  async function openAbove(path) {
    const names = path.split("/");
    for (let count = 0; count < names.length; count++) {
      const above = names.slice(0, count).join("/");
      if (count >= depth && folders.has(above)) await children(above);
    }
    if (!by("entries").childElementCount && names.length) {
      const folder = names.slice(0, -1).join("/");
      if (folders.has(folder) && !folders.has(path)) await showFolder(folder);
    }
  }

  async function start() {
    const known = await load(about.folders);
    depth = known.depth;
    for (const [path, from, count, ...counts] of known.folders) {
      const folder = { path, start: from, count, counts, folders: [] };
      folders.set(path, folder);
      if (path) folders.get(path.slice(0, Math.max(0, path.lastIndexOf("/")))).folders.push(folder);
    }
    by("browser").hidden = false;
    by("more").addEventListener("click", () => by("entries").children[showMore()]?.querySelector("a").focus());
    let waiting = 0;
    by("filter").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => filter().catch((error) => (by("counted").textContent = error.message)), 120);
    });
    by("version")?.addEventListener("input", () => {
      choose(Number(by("version").value));
      showHash();
    });
    window.addEventListener("hashchange", showHash);
    await showHash();
    await subjects();
  }

  start().catch((error) => {
    by("browser").hidden = false;
    by("counted").textContent = error.message;
  });
})();
