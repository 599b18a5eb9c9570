"use strict";
// The only script of the page: the theme, tables of prompts, and following a run. Data becomes text, never markup.
(() => {
  const root = document.documentElement;
  const kept = (area, key) => { try { return JSON.parse(area.getItem(key)); } catch { return null; } };
  const keep = (area, key, value) => { try { area.setItem(key, JSON.stringify(value)); } catch { /* files may keep nothing */ } };
  const made = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };

  // The theme: as the system has it, light, dark.
  const themes = ["auto", "light", "dark"];
  let theme = kept(localStorage_(), "ptc-theme") || "auto";
  function localStorage_() { try { return window.localStorage; } catch { return null; } }
  const dress = () => { if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme; };
  dress();

  // A table of prompts.
  const CHANGES = ["newly solved", "lost", "better", "worse", "same", "never solved"];
  const CHUNK = 60;
  const MARKS = { "newly solved": "▲ newly solved", lost: "▼ lost", better: "△ better", worse: "▽ worse", same: "– same", "never solved": "· never solved" };
  const value = (one) => (one === null ? null : one[1] !== null ? (one[0] ? one[1] / one[0] : null) : one[2]);
  const told = (one) => (one === null ? "–" : one[1] !== null ? `${one[1]}/${one[0]}` : one[2] === null ? "–" : one[2].toFixed(3));
  const change = (before, after) => {
    if (before === null || after === null) return "same";
    if (before === 0 && after === 0) return "never solved";
    if (before === 0 && after > 0) return "newly solved";
    if (before > 0 && after === 0) return "lost";
    return after > before ? "better" : after < before ? "worse" : "same";
  };

  function explorer(box) {
    const data = JSON.parse(box.querySelector("script.data").textContent);
    const key = `ptc ${root.dataset.run} ${box.dataset.eval}`;
    const state = Object.assign({ comparison: 0, change: "", search: "", sort: null, open: [], shown: CHUNK, top: 0 }, kept(sessionStorage, key));
    const find = (name) => box.querySelector(name);
    const [head, body, pane, count] = ["thead", "tbody", ".rows", ".count"].map(find);
    const [comparison, filter, search] = [".comparison", ".change", ".search"].map(find);
    let rows = [];
    let listed = [];

    const pair = () => data.comparisons[state.comparison] || { before: 0, after: data.models.length - 1 };
    const columns = () => [
      { name: "prompt", of: (row) => row.prompt },
      { name: "answer", of: (row) => row.answer, wide: true },
      ...data.models.map((model, place) => ({ name: model, place, of: (row) => value(row.models[place]), number: true, wide: place !== pair().before && place !== pair().after })),
      { name: "Δ", of: (row) => row.delta, number: true },
      { name: "change", of: (row) => CHANGES.indexOf(row.change) },
    ];

    function compare() {
      const { before, after } = pair();
      rows = data.prompts.map(([prompt, answer, models], place) => {
        const [first, last] = [models[before], models[after]].map((one) => (one === null || one === undefined ? null : value(one)));
        return { place, prompt, answer, models, change: change(first, last), delta: first === null || last === null ? null : last - first };
      });
      for (const option of filter.options) {
        const name = option.value;
        option.textContent = name ? `${name} (${rows.filter((row) => row.change === name).length})` : `all (${rows.length})`;
      }
    }

    function list() {
      const words = state.search.toLowerCase();
      listed = rows.filter((row) => (!state.change || row.change === state.change) && (!words || `${row.prompt}\n${row.answer}`.toLowerCase().includes(words)));
      const by = state.sort && columns().find((column) => column.name === state.sort[0]);
      if (by) {
        const sign = state.sort[1];
        listed.sort((one, other) => {
          const [a, b] = [by.of(one), by.of(other)];
          if (a === b) return one.place - other.place;
          if (a === null) return 1;
          if (b === null) return -1;
          return (a < b ? -1 : 1) * sign;
        });
      }
      count.textContent = `${listed.length} of ${data.total} prompts`;
      body.replaceChildren();
      more(Math.max(CHUNK, state.shown));
    }

    function heads() {
      const line = made("tr");
      for (const column of columns()) {
        const cell = made("th");
        cell.scope = "col";
        if (column.wide) cell.classList.add("wide");
        if (column.number) cell.classList.add("number");
        const sorted = state.sort && state.sort[0] === column.name ? state.sort[1] : 0;
        if (sorted) cell.setAttribute("aria-sort", sorted > 0 ? "ascending" : "descending");
        const button = made("button", column.name + (sorted ? (sorted > 0 ? " ↑" : " ↓") : ""));
        button.type = "button";
        button.addEventListener("click", () => {
          state.sort = [column.name, sorted ? -sorted : column.number ? -1 : 1];
          update();
          for (const each of head.querySelectorAll("button")) if (each.textContent.startsWith(column.name)) each.focus();
        });
        cell.append(button);
        line.append(cell);
      }
      head.replaceChildren(line);
    }

    function more(until) {
      const drawn = body.querySelectorAll("tr.row").length;
      const piece = document.createDocumentFragment();
      for (const row of listed.slice(drawn, until)) piece.append(...lines(row));
      body.append(piece);
      state.shown = Math.min(until, Math.max(listed.length, CHUNK));
    }

    function lines(row) {
      const line = made("tr", undefined, "row");
      for (const column of columns()) {
        const cell = made("td");
        if (column.wide) cell.classList.add("wide");
        if (column.number) cell.classList.add("number");
        if (column.name === "prompt") {
          const button = made("button", row.prompt.trim() || "(empty)", "open");
          button.type = "button";
          button.title = row.prompt;
          button.setAttribute("aria-expanded", String(state.open.includes(row.place)));
          cell.append(button);
        } else if (column.name === "answer") { cell.classList.add("answer"); cell.textContent = row.answer; cell.title = row.answer; }
        else if (column.name === "change") { cell.classList.add("change"); if (row.change === "lost") cell.classList.add("lost"); if (row.change === "newly solved") cell.classList.add("gained"); cell.textContent = MARKS[row.change]; }
        else if (column.name === "Δ") cell.textContent = row.delta === null ? "–" : (row.delta > 0 ? "+" : row.delta < 0 ? "−" : "±") + Math.abs(row.delta).toFixed(2);
        else cell.textContent = told(row.models[column.place] ?? null);
        line.append(cell);
      }
      line.addEventListener("click", () => {
        const open = state.open.includes(row.place);
        state.open = open ? state.open.filter((place) => place !== row.place) : [...state.open, row.place];
        line.querySelector(".open").setAttribute("aria-expanded", String(!open));
        if (open) line.nextSibling.remove(); else line.after(rollouts(row));
        save();
      });
      return state.open.includes(row.place) ? [line, rollouts(row)] : [line];
    }

    function rollouts(row) {
      const line = made("tr", undefined, "rollouts");
      const cell = made("td");
      cell.colSpan = columns().length;
      const prompt = made("pre", row.prompt);
      const sides = made("div", undefined, "sides");
      for (const place of [...new Set([pair().before, pair().after])]) {
        const side = made("div");
        const one = row.models[place];
        side.append(made("h4", `${data.models[place]}: ${told(one ?? null)}`));
        for (const each of one ? one[4] : []) side.append(attempt(each));
        if (one && one[3]) side.append(made("p", `${one[3]} more attempts are in the measurement's counts.parquet.`, "method"));
        sides.append(side);
      }
      cell.append(prompt);
      if (row.answer) cell.append(made("p", `answer: ${row.answer}`, "method"));
      cell.append(sides);
      line.append(cell);
      return line;
    }

    function attempt([response, times, score, verdict, finished, tokens, logp, cut]) {
      const box = made("div", undefined, "attempt");
      const right = score !== null && score >= 1;
      const words = [`${score === null ? "" : right ? "✓ " : "✗ "}${verdict}`, score === null ? "not scored" : `score ${+score.toFixed(4)}`];
      if (times > 1) words.unshift(`${times} ×`);
      if (tokens) words.push(`${tokens} tokens`);
      if (logp !== null) words.push(`log p ${logp.toFixed(2)}`);
      if (!finished) words.push("cut at the token limit");
      if (cut) words.push("shown in part");
      const line = made("div", words.join(" · "));
      if (score !== null) line.className = right ? "gained" : "";
      box.append(line, made("pre", response));
      return box;
    }

    function save() { state.top = pane.scrollTop; keep(sessionStorage, key, state); }
    function update() { heads(); list(); save(); }

    for (const name of CHANGES) { const option = made("option", name); option.value = name; filter.append(option); }
    if (comparison) {
      comparison.value = String(state.comparison);
      comparison.addEventListener("change", () => { state.comparison = Number(comparison.value); compare(); update(); });
    }
    compare();
    filter.value = state.change;
    search.value = state.search;
    filter.addEventListener("change", () => { state.change = filter.value; state.shown = CHUNK; update(); });
    search.addEventListener("input", () => { state.search = search.value; state.shown = CHUNK; update(); });
    pane.addEventListener("scroll", () => { if (pane.scrollTop + 2 * pane.clientHeight > pane.scrollHeight) more(state.shown + CHUNK); save(); });
    const top = state.top;
    update();
    pane.scrollTop = top;
  }

  // A run that goes on writes the page anew: it comes back as it was left.
  const place = `ptc ${root.dataset.run} page`;
  const folds = () => [...document.querySelectorAll("details")];
  const leave = () => keep(sessionStorage, place, { x: scrollX, y: scrollY, open: folds().flatMap((each) => (each.open ? [each.querySelector("summary").textContent] : [])), focus: document.activeElement?.id || "" });
  function comeBack() {
    const was = kept(sessionStorage, place);
    if (!was) return;
    for (const each of folds()) each.open = was.open.includes(each.querySelector("summary").textContent);
    scrollTo(was.x, was.y);
    if (was.focus) document.getElementById(was.focus)?.focus({ preventScroll: true });
  }
  function follow() {
    const busy = ["INPUT", "SELECT"].includes(document.activeElement?.tagName) || String(getSelection());
    if (busy) setTimeout(follow, 1000);
    else { leave(); location.reload(); }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.lastElementChild.textContent = theme; button.setAttribute("aria-label", `Theme: ${theme === "auto" ? "as the system has it" : theme}`); };
    label();
    button.addEventListener("click", () => { theme = themes[(themes.indexOf(theme) + 1) % themes.length]; keep(localStorage_(), "ptc-theme", theme); dress(); label(); });
    for (const box of document.querySelectorAll(".explorer")) explorer(box);
    if (root.dataset.live) { history.scrollRestoration = "manual"; comeBack(); setTimeout(follow, Number(root.dataset.live)); }
    else if (kept(sessionStorage, place)) { comeBack(); sessionStorage.removeItem(place); }
  });
  let unfolded = [];
  addEventListener("beforeprint", () => { unfolded = folds().filter((each) => !each.open); for (const each of unfolded) each.open = true; });
  addEventListener("afterprint", () => { for (const each of unfolded) each.open = false; });
})();
